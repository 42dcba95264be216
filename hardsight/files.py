"""Writing a file all or nothing."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardsight.errors import InputError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` only when the block ends well.

    Whatever interrupts the block, ``path`` is either as it was or complete, and the temporary file is gone.

    Raises:
        InputError: the folder is missing or cannot be written, or the disk is full.
    """
    target = Path(path)
    if not target.name:
        raise InputError(f"cannot write {target}: it names no file: give a file's name")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as fault:
        raise InputError(
            f"cannot write {target}: {fault.strerror or fault}: choose another place with free space that you may write to"
        ) from fault
    finally:
        # Where the folder is a file, or the name too long, unlinking fails as writing did.
        with suppress(OSError):
            temporary.unlink()
