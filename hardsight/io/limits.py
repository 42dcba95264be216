"""Size limits on files: too large a file is refused before it is decoded; users can raise the limits."""

import os
import stat
from pathlib import Path

from hardsight.errors import InputError
from hardsight.io.system import free_memory

# Environment variables.
MAX_GIB, MAX_PIXELS, FOLLOW_LINKS = "HARDSIGHT_MAX_GIB", "HARDSIGHT_MAX_PIXELS", "HARDSIGHT_FOLLOW_LINKS"
# Largest accepted ratio of decoded size to file size: real data hardly ever compresses better; a zip bomb a thousandfold.
_MAX_EXPANSION = 64
# Decoded bytes that are accepted whatever the size of the file.
ALWAYS_ALLOWED = 4 << 30
_DEFAULT_MAX_PIXELS = 1 << 27
_MAX_COLUMNS = 100_000


def check_decoded_size(source: str | Path, needed: int, size: int) -> None:
    """Check how much memory a file would take.

    Args:
        needed: bytes in memory, as the file declares them.

    Raises:
        InputError: ``needed`` is more than 4 GiB and more than 64 times the file, or more than ``HARDSIGHT_MAX_GIB`` if that
            is set; or more memory than is free.
    """
    limit = _read_variable(MAX_GIB)
    allowed = max(ALWAYS_ALLOWED, _MAX_EXPANSION * size) if limit is None else int(limit * 2**30)
    if needed > allowed:
        raise InputError(
            f"{source} has {size:,} bytes and would decompress to {_format_gib(needed)}, more than the "
            f"{_format_gib(allowed)} that are allowed: if you trust the file, set {MAX_GIB} to more"
        )
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{source} would take {_format_gib(needed)} of memory, and {_format_gib(free)} are free: give fewer samples or "
            "features, or a .npy file, which is read piece by piece"
        )


def max_pixels() -> int:
    """Return how many pixels an image may have: ``HARDSIGHT_MAX_PIXELS``, or 2^27.

    Raises:
        InputError: the variable is not a positive number.
    """
    limit = _read_variable(MAX_PIXELS)
    return _DEFAULT_MAX_PIXELS if limit is None else int(limit)


def check_column_count(source: str | Path, count: int) -> None:
    """Check the number of columns of a table, each of which is examined separately.

    Raises:
        InputError: there are more than 100,000.
    """
    if count > _MAX_COLUMNS:
        raise InputError(
            f"{source} has {count:,} columns, and a table may have {_MAX_COLUMNS:,}: give the numbers as an array "
            "(.npy, .npz)"
        )


def follow_links() -> bool:
    """Return whether links may lead out of a folder of samples: ``HARDSIGHT_FOLLOW_LINKS=1``."""
    return os.environ.get(FOLLOW_LINKS, "") == "1"


def check_regular_file(path: str | Path) -> int:
    """Check that a file can be read to its end, and return its size in bytes.

    Raises:
        InputError: it is a folder, a pipe or a device.
        OSError: there is no such file, or its status cannot be read.
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a regular file: give a file, not a folder, a pipe or a device")
    return status.st_size


def _read_variable(name: str) -> float | None:
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InputError(f"the environment variable {name} must be a positive number. Got {text!r}: correct or unset it")
    return number


def _format_gib(size: int) -> str:
    return f"{size / 2**30:,.3g} GiB"
