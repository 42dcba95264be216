"""Locks on open files and folders that end with the process that holds them, however it ends."""

import errno
import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int) -> None:
    """Lock an open file or folder for this process alone, until it is closed.

    Args:
        descriptor: file descriptor from :func:`os.open`. A second lock on the same file, opened twice, is refused within
            one process, too.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file system has no such locks, like some network file systems.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
