"""What hardsight raises and warns: one line each, which names what is wrong and says the mend."""

from operator import index
from typing import Any


class HardsightError(Exception):
    """Root of every failure that a caller can expect and mend."""


class InputError(HardsightError, ValueError):
    """Data or an argument that cannot be used as given."""


class LearnerError(HardsightError, RuntimeError):
    """A model that could not be trained or could not predict."""


class HardsightWarning(UserWarning):
    """A fallback or a doubt about the result that the caller should know of."""


def first_line(fault: BaseException) -> str:
    """What another library said, on one line."""
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0]


def whole(name: str, value: Any, least: int, because: str = "") -> int:
    """The argument as an int.

    Raises:
        InputError: it is no whole number, or below ``least``.

    >>> whole("folds", 5, 2)
    5
    """
    try:
        number = index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number. Got {value!r}") from None
    if number < least:
        raise InputError(f"{name} must be {least} or more{because}. Got {number}")
    return number
