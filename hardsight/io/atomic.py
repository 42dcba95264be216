"""Atomic file writing: a file is replaced as a whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardsight.errors import InputError
from hardsight.io.locks import lock


def as_path(path: str | Path) -> Path:
    """Return the argument as a path.

    Raises:
        InputError: it is neither a str nor a path.
    """
    try:
        return Path(path)
    except TypeError:
        raise InputError(f"path must be a str or a path. Got {type(path).__name__}: name a file") from None


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file next to ``path`` that replaces ``path`` when the block succeeds.

    Whatever interrupts the block, ``path`` is either unchanged or complete, and the temporary file is removed. If the
    process is killed, the temporary file stays until ``path`` is written again, which reuses it: at most one is left behind.

    Raises:
        InputError: ``path`` is not a path, its folder is missing or not writable, the disk is full, or ``path`` is a device
            or a pipe.
    """
    target = as_path(path)
    if not target.name:
        raise InputError(f"cannot write {target}: it names no file: give the name of a file")
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            # Replacing /dev/null would take it away from the whole machine.
            raise InputError(f"cannot write {target}: it is a device or a pipe: name a file")
        with _temporary_file(target) as temporary:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}: choose another place with free space that you may write to"
        ) from error


def printable_name(name: str) -> str:
    r"""Return the name of a file as text that can be encoded: bytes that are not UTF-8 become escapes.

    >>> printable_name("dög.csv"), printable_name("d\udcf6g.csv")
    ('dög.csv', 'd\\xf6g.csv')
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    """Yield a path that no other writer uses; remove what is there if the block fails."""
    temporary = target.with_name(f".{target.name}.part")
    descriptor = _open_locked(temporary)
    if descriptor is None:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
    except BaseException:
        # If the folder is a file or the name is too long, unlinking fails as writing did.
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_locked(path: Path) -> int | None:
    """Open, lock and empty a file; return None if another writer holds it or the file system has no locks."""
    # Do not follow links: whoever may write to the folder could have placed one here.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with suppress(OSError):
        while True:
            descriptor = os.open(path, flags, 0o666)
            try:
                lock(descriptor)
                if _is_same_file(path, descriptor):
                    os.ftruncate(descriptor, 0)
                    return descriptor
            except BaseException as error:
                os.close(descriptor)
                if not isinstance(error, BlockingIOError):
                    path.unlink()
                raise
            # The previous writer removed or renamed the file between opening and locking: try again.
            os.close(descriptor)
    return None


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one at this path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
