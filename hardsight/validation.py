"""Checks of arguments, and the parts that error messages share.

Messages have one grammar: the argument and what it must be, then what was given, then what to do if that is not obvious.
"""

import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from operator import index
from typing import Any

import numpy as np

from hardsight.errors import InputError

# A message names at most so many rows, or so many names.
_MAX_ROWS = 3
_MAX_NAMES = 20
# A misspelled name is compared with at most so many.
_MAX_COMPARED = 1000


def check_int(name: str, value: Any, least: int, because: str = "", most: int | None = None) -> int:
    """Return the argument as an int.

    Args:
        because: text that follows the bound in the message, such as the reason for it.

    Raises:
        InputError: the value is not an integer, is below ``least`` or above ``most``.

    >>> check_int("folds", 5, 2)
    5
    """
    try:
        number = index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer. Got {value!r}") from None
    if number < least:
        raise InputError(f"{name} must be {least} or more{because}. Got {number}")
    if most is not None and number > most:
        raise InputError(f"{name} must be {most:,} or less. Got {number}")
    return number


def check_range(
    name: str, value: float, low: float, high: float = float("inf"), *, strict: tuple[bool, bool] = (False, False)
) -> float:
    """Return the argument if it is a number within the bounds.

    Args:
        name: the argument's name.
        value: the argument as given.
        low: lower bound.
        high: upper bound.
        strict: whether the lower and the upper bound are themselves excluded.

    Raises:
        InputError: the value is not a number or is out of bounds.

    >>> check_range("lam", 0.5, 0, 1, strict=(True, True))
    0.5
    """
    if not hasattr(value, "__float__"):
        raise InputError(f"{name} must be a number, such as 2. Got {value!r}")
    inside = (value > low if strict[0] else value >= low) and (value < high if strict[1] else value <= high)
    if not inside:
        lower = f"above {low:g}" if strict[0] else f"{low:g} or more"
        upper = "" if high == float("inf") else f" and below {high:g}" if strict[1] else f" and {high:g} or less"
        raise InputError(f"{name} must be {lower}{upper}. Got {value!r}")
    return value


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Return the argument if it is one of the choices.

    Raises:
        InputError: the value is not among the choices.

    >>> check_choice("pacing", "linear", ("linear", "root"))
    'linear'
    """
    allowed = list(choices)
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}. Got {value!r}")
    return value


def describe_rows(mask: np.ndarray, ids: np.ndarray | None = None) -> str:
    """Name the first rows of a mask for a message, with their ids if those differ from the row numbers.

    Args:
        mask: ``(sample,)`` bool, at least one True. Rows count from 0.
        ids: ``(sample,)`` ids, or None.
    """
    rows = np.flatnonzero(mask)
    shown = rows[:_MAX_ROWS]
    more = ", …" if len(rows) > _MAX_ROWS else ""
    text = f"row {shown[0]}" if len(rows) == 1 else f"rows {', '.join(map(str, shown))}{more}"
    if ids is None or np.array_equal(ids, np.arange(len(ids))):
        return text
    return f"{text}; id{'s' * (len(rows) > 1)} {', '.join(repr(i) for i in ids[shown].tolist())}{more}"


def join_names(names: Iterable[Any], most: int = _MAX_NAMES) -> str:
    """Join quoted names for a message, on one line; at most twenty are written out."""
    quoted = [repr(name) for name in names]
    rest = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {rest} more" if rest > 0 else "")


def join_examples(names: Iterable[Any], most: int) -> str:
    """Join the first quoted names for a message, followed by "…" if there are more.

    >>> join_examples("abcd", 3)
    "'a', 'b', 'c', …"
    """
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:most]) + (", …" if len(quoted) > most else "")


def suggest_name(name: str, names: Iterable[Any]) -> str:
    """Return a question in parentheses that names the closest of some names, or "" if none is close.

    >>> suggest_name("Grade", ["age", "grade"])
    " (did you mean 'grade'?)"
    """
    spellings: dict[str, str] = {}
    for known in names:
        spellings.setdefault(str(known).strip().casefold(), str(known))
    spelling = name.strip().casefold()
    # Comparing with thousands of names would take seconds.
    few = len(spellings) <= _MAX_COMPARED
    close = [spelling] if spelling in spellings else get_close_matches(spelling, spellings, n=1) if few else []
    return f" (did you mean {spellings[close[0]]!r}?)" if close else ""


def format_option(name: str, value: str) -> str:
    """Format a command-line option with its value, quoted for a shell, on one line."""
    line = " ".join(value.splitlines())
    # shlex would quote every letter beyond ASCII.
    safe = re.fullmatch(r"[\w.-]+", line)
    return f"--{name} {line if safe else shlex.quote(line)}"
