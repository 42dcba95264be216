"""Exceptions and warnings of hardsight: one line each, which names what is wrong and how to fix it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Names from hostile files may be of any length.
_MAX_LENGTH = 2000
# A report of several faults names at most so many.
_MAX_FAULTS = 20


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


class MultipleInputError(InputError):
    """Several faults of one input, one line each.

    Args:
        messages: one line per fault, at least two.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__()
        self.messages = [single_line(message) for message in messages]
        rest = len(messages) - _MAX_FAULTS
        lines = self.messages[:_MAX_FAULTS] + ([f"and {rest} more"] if rest > 0 else [])
        self.args = ("\n".join([f"{len(messages)} faults:", *(f"- {line}" for line in lines)]),)


class Faults:
    """Collects the faults of an input, so that all of them are reported at once.

    >>> faults = Faults()
    >>> for name in ("a", "b"):
    ...     with faults.collect():
    ...         raise InputError(f"column {name!r} is empty")
    >>> faults.raise_all()
    Traceback (most recent call last):
    hardsight.errors.MultipleInputError: 2 faults:
    - column 'a' is empty
    - column 'b' is empty
    """

    def __init__(self) -> None:
        self.messages: list[str] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Catch an :class:`InputError` of the block and keep its message."""
        try:
            yield
        except MultipleInputError as error:
            self.messages.extend(error.messages)
        except InputError as error:
            self.messages.append(str(error))

    def raise_all(self) -> None:
        """Raise what was collected, if anything.

        Raises:
            InputError: the only fault, or all of them (:class:`MultipleInputError`).
        """
        if len(self.messages) == 1:
            raise InputError(self.messages[0])
        if self.messages:
            raise MultipleInputError(self.messages)


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
