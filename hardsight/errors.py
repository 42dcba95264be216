"""What hardsight raises and warns: one line each, which names what is wrong and says the mend."""

# A message names what is wrong; a name that a hostile file gives may be of any length.
_LONGEST = 2000


class HardsightError(Exception):
    r"""Root of every failure that a caller can expect and mend.

    What it says is one line that a terminal can show: names from files may hold line breaks and control characters.

    >>> str(HardsightError("column 'a\nb' of x\x1b[2J.csv"))
    "column 'a b' of x\\x1b[2J.csv"
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(single_line(message))


class InputError(HardsightError, ValueError):
    """Data or an argument that cannot be used as given."""


class LearnerError(HardsightError, RuntimeError):
    """A model that could not be trained or could not predict."""


class HardsightWarning(UserWarning):
    """A fallback or a doubt about the result that the caller should know of."""


def single_line(text: str, longest: int = _LONGEST) -> str:
    """A text on one line, without control characters, cut where it is too long."""
    flat = " ".join(text.splitlines())
    shown = flat if flat.isprintable() else "".join(map(_visible, flat))
    return shown if len(shown) <= longest else f"{shown[:longest]} …"


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def first_line(fault: BaseException) -> str:
    """What another library said, on one line."""
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0]
