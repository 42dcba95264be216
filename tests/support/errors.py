"""Checks of errors that users meet."""

from collections.abc import Callable
from typing import Any

import pytest

from hardsight.errors import InputError


def raises_in_one_line(
    error: type[Exception], match: str, call: Callable[..., Any], *arguments: Any, **keywords: Any
) -> str:
    """Check that a call raises an error whose message matches and is one line; returns the message."""
    with pytest.raises(error, match=match) as caught:
        call(*arguments, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message


def rejects(match: str, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """Check that a call raises ``InputError`` with one line that matches; returns the line."""
    return raises_in_one_line(InputError, match, call, *arguments, **keywords)


def is_one_line_per_fault(message):
    """Return whether a message is one printable line, or a count of faults and one printable line for each."""
    head, *faults = message.split("\n")
    counted = not faults or (head == f"{len(faults)} faults:" and all(line.startswith("- ") for line in faults))
    return counted and all(line.isprintable() for line in (head, *faults))
