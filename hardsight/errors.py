"""What hardsight raises and warns: one line each, which names what is wrong and says the mend."""


class HardsightError(Exception):
    """Root of every failure that a caller can expect and mend."""


class InputError(HardsightError, ValueError):
    """Data or an argument that cannot be used as given."""


class LearnerError(HardsightError, RuntimeError):
    """A model that could not be trained or could not predict."""


class HardsightWarning(UserWarning):
    """A fallback or a doubt about the result that the caller should know of."""
