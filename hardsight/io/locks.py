"""Locks on open files and folders that end with the process that holds them, however it ends."""

import errno
import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock(file: int) -> None:
    """Lock an open file or folder for this process alone, until it is closed.

    Args:
        file: what :func:`os.open` gave. Locking the same file twice, opened twice, is refused within a process, too.

    Raises:
        BlockingIOError: another holds it.
        OSError: such locks are not to be had here, as on some network file systems.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
