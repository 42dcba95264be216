"""How much is taken from a file: refused by size before it is decoded, with limits that a user can raise."""

import os
import stat
from pathlib import Path

from hardsight.errors import InputError
from hardsight.io.system import free_memory

MAX_GIB, MAX_PIXELS, FOLLOW_LINKS = "HARDSIGHT_MAX_GIB", "HARDSIGHT_MAX_PIXELS", "HARDSIGHT_FOLLOW_LINKS"
# What data in memory is of its file: real data hardly ever shrinks more than this, and a bomb a thousandfold.
_MAX_EXPANSION = 64
# So much is always admitted.
ALWAYS_ALLOWED = 4 << 30
_MOST_PIXELS = 1 << 27
_COLUMNS = 100_000


def check_decoded_size(place: str | Path, needed: int, size: int) -> None:
    """Check what a file would take in memory.

    Args:
        place: the file, for the message.
        needed: bytes in memory, as the file declares them.
        size: bytes of the file.

    Raises:
        InputError: ``needed`` is more than 4 GiB and 64 times the file, or more than ``HARDSIGHT_MAX_GIB`` where that is
            set; or more memory than is free.
    """
    given = _given(MAX_GIB)
    allowed = max(ALWAYS_ALLOWED, _MAX_EXPANSION * size) if given is None else int(given * 2**30)
    if needed > allowed:
        raise InputError(
            f"{place} has {size:,} bytes and would unfold to {_gib(needed)}, more than the {_gib(allowed)} that are "
            f"allowed: if you trust the file, set {MAX_GIB} to more"
        )
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{place} would take {_gib(needed)} of memory, and {_gib(free)} are free: give fewer samples or features, or "
            "a .npy file, which is read piece by piece"
        )


def max_pixels() -> int:
    """How many pixels an image may have: ``HARDSIGHT_MAX_PIXELS``, or 2^27.

    Raises:
        InputError: the variable holds no positive number.
    """
    given = _given(MAX_PIXELS)
    return _MOST_PIXELS if given is None else int(given)


def check_column_count(place: str | Path, count: int) -> None:
    """Check the number of a table's columns, each of which is looked at by itself.

    Raises:
        InputError: there are more than 100,000.
    """
    if count > _COLUMNS:
        raise InputError(
            f"{place} has {count:,} columns, and a table may have {_COLUMNS:,}: give the numbers as an array (.npy, .npz)"
        )


def follow_links() -> bool:
    """Whether links may lead out of a folder of samples: ``HARDSIGHT_FOLLOW_LINKS=1``."""
    return os.environ.get(FOLLOW_LINKS, "") == "1"


def check_regular_file(place: str | Path) -> int:
    """Bytes of a file that can be read to its end.

    Raises:
        InputError: a folder, a pipe or a device.
        OSError: there is no such file, or it cannot be asked.
    """
    told = Path(place).stat()
    if not stat.S_ISREG(told.st_mode):
        raise InputError(f"{place} is no regular file: give a file, not a folder, a pipe or a device")
    return told.st_size


def _given(variable: str) -> float | None:
    text = os.environ.get(variable)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InputError(
            f"the environment variable {variable} must be a positive number. Got {text!r}: mend or unset it"
        )
    return number


def _gib(size: int) -> str:
    return f"{size / 2**30:,.3g} GiB"
