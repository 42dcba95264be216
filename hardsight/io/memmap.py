"""Where what a run holds lies: in main memory where that has room, otherwise in temporary files mapped into memory."""

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.io.system import file_system, free_memory

# Numbers worked on at a time: few enough to stay in a core's cache, enough that a call costs little beside them.
_BLOCK = 2**16


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Rows to work on at a time, so that what is computed on the way stays small however many there are.

    Args:
        rows: how many there are; even none are a block.
        width: numbers in each.
    """
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


class ArrayAllocator:
    """Arrays of zeros: all in main memory if they take half of what is free at most, otherwise all in temporary files.

    The files are mapped into memory, and the kernel keeps there as much of them as there is room for. They have no names,
    so nothing is left of them however the process ends, and their place on the disk is taken before they are used. Where
    an array lies changes no number.

    Args:
        needed: bytes of all arrays together.

    Attributes:
        notice: where the arrays lie, if in files.

    Raises:
        InputError: the arrays fit neither into memory nor into the temporary folder.
    """

    def __init__(self, needed: int) -> None:
        self.notice: str | None = None
        if needed <= free_memory() // 2:
            return
        folder = _folder(needed)
        self.notice = (
            f"what is held of the samples ({_gib(needed)}) is more than half of the free memory: it lies in temporary "
            f"files in {folder}."
        )
        if _in_memory(folder):
            self.notice += " That folder is in memory, too: set TMPDIR to one on a disk."

    def zeros(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A new array.

        Raises:
            InputError: the disk is full.
        """
        if self.notice is None:
            return torch.zeros(*shape, dtype=dtype)
        count = math.prod(shape)
        return torch.frombuffer(_mapped(count * dtype.itemsize), dtype=dtype, count=count).view(shape)


def _folder(needed: int) -> str:
    """The folder for temporary files, if it has room."""
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as fault:
        raise _no_room(needed, f"there is no folder for temporary files ({fault.strerror or fault})") from fault
    if _in_memory(folder):
        free = min(free, free_memory())
    if needed > free:
        raise _no_room(needed, f"the folder for temporary files, {folder}, has {_gib(free)} free")
    return folder


def _mapped(size: int) -> mmap.mmap:
    """Zeros of a file that has no name and goes with the last who holds them."""
    try:
        with tempfile.TemporaryFile() as file:
            # A file with holes would end the process when a hole is written to and the disk is full by then.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return mmap.mmap(file.fileno(), size)
    except OSError as fault:
        raise _no_room(size, f"{tempfile.gettempdir()} does not take it ({fault.strerror or fault})") from fault


def _no_room(needed: int, why: str) -> InputError:
    return InputError(
        f"what is held of the samples ({_gib(needed)}) is more than half of the free memory, and {why}: set TMPDIR to a "
        "folder on a disk with more room, free some memory, or measure fewer samples"
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def _in_memory(folder: str) -> bool:
    """Whether the files of a folder are in main memory themselves; False where nothing says."""
    return file_system(folder) in ("tmpfs", "ramfs")
