"""Writing a file all or nothing."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hardsight.errors import InputError
from hardsight.io.locks import lock


def as_path(path: str | Path) -> Path:
    """The argument as a path.

    Raises:
        InputError: it is none.
    """
    try:
        return Path(path)
    except TypeError:
        raise InputError(f"path must be a str or a path. Got {type(path).__name__}: name a file") from None


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """An empty file beside ``path`` to write to; it takes the place of ``path`` only when the block ends well.

    Whatever interrupts the block, ``path`` is either as it was or complete, and the other file is gone. Where the process is
    killed, the other file stays until ``path`` is written again, which takes it over: one at most is left.

    Raises:
        InputError: ``path`` is none, the folder is missing or cannot be written, the disk is full, or it is a device or a
            pipe.
    """
    target = as_path(path)
    if not target.name:
        raise InputError(f"cannot write {target}: it names no file: give a file's name")
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            # Replacing it would take /dev/null from the whole machine.
            raise InputError(f"cannot write {target}: it is a device or a pipe: name a file")
        with _beside(target) as temporary:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.replace(target)
    except OSError as fault:
        raise InputError(
            f"cannot write {target}: {fault.strerror or fault}: choose another place with free space that you may write to"
        ) from fault


def printable_name(name: str) -> str:
    r"""The name of a file as text that can be written: bytes that are not UTF-8 become escapes.

    >>> printable_name("dög.csv"), shown("d\udcf6g.csv")
    ('dög.csv', 'd\\xf6g.csv')
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path that no other writer uses; what is there when the block fails is removed."""
    temporary = target.with_name(f".{target.name}.part")
    held = _claimed(temporary)
    if held is None:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
    except BaseException:
        # Where the folder is a file, or the name too long, unlinking fails as writing did.
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if held is not None:
            os.close(held)


def _claimed(path: Path) -> int | None:
    """The file opened, emptied and locked; None where another writer holds it, or where locks are not to be had."""
    # No link is followed: whoever may write to the folder could have one wait here.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with suppress(OSError):
        while True:
            file = os.open(path, flags, 0o666)
            try:
                lock(file)
                if _stands(path, file):
                    os.ftruncate(file, 0)
                    return file
            except BaseException as fault:
                os.close(file)
                if not isinstance(fault, BlockingIOError):
                    path.unlink()
                raise
            # Between opening and locking, the writer before was done with it.
            os.close(file)
    return None


def _stands(path: Path, file: int) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except FileNotFoundError:
        return False
