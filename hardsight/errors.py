"""Exceptions and warnings of hardsight: one line each, which names what is wrong and how to fix it."""

# Names from hostile files may be of any length.
_MAX_LENGTH = 2000


class HardsightError(Exception):
    r"""Base class of all errors that a caller can expect and fix.

    The message is one line that a terminal can show: names from files may hold line breaks and control characters.

    >>> str(HardsightError("column 'a\nb' of x\x1b[2J.csv"))
    "column 'a b' of x\\x1b[2J.csv"
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(single_line(message))


class InputError(HardsightError, ValueError):
    """Data or an argument cannot be used as given."""


class LearnerError(HardsightError, RuntimeError):
    """A model could not be trained or could not predict."""


class HardsightWarning(UserWarning):
    """A fallback, or a doubt about the result, that the caller should know about."""


def single_line(text: str, max_length: int = _MAX_LENGTH) -> str:
    """Return a text on one line, without control characters, cut if it is too long."""
    flat = " ".join(text.splitlines())
    printable = flat if flat.isprintable() else "".join(map(_escape, flat))
    return printable if len(printable) <= max_length else f"{printable[:max_length]} …"


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error message, or the name of the exception if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
