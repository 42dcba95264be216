"""Arrays of a run: in main memory if they fit, otherwise in temporary files that are mapped into memory."""

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

# Numbers per block: few enough to stay in a core's cache, enough that the overhead of a call is small.
_BLOCK = 2**16


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices of rows to process one at a time, so that intermediate arrays stay small."""
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


class ArrayAllocator:
    """Allocator of zeroed arrays: all in main memory if they need at most half of what is free, otherwise all in files.

    The files are temporary and mapped into memory; the kernel caches as much of them as fits. They have no names, so nothing
    is left behind however the process ends, and their disk space is reserved before they are used. Where an array is stored
    does not change any number.

    Args:
        needed: bytes of all arrays together.

    Attributes:
        notice: where the arrays are stored, if in files; otherwise None.

    Raises:
        InputError: the arrays fit neither into memory nor into the temporary folder.
    """

    def __init__(self, needed: int) -> None:
        self.notice: str | None = None
        if needed <= free_memory() // 2:
            return
        folder = _temporary_folder(needed)
        self.notice = (
            f"The data kept per sample ({_format_gib(needed)}) needs more than half of the free memory, so it is stored in "
            f"temporary files in {folder}."
        )
        if _is_in_memory(folder):
            self.notice += " That folder is in memory, too: set TMPDIR to a folder on a disk."

    def zeros(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return a new array of zeros.

        Raises:
            InputError: the disk is full.
        """
        if self.notice is None:
            return torch.zeros(*shape, dtype=dtype)
        count = math.prod(shape)
        return torch.frombuffer(_map_zeros(count * dtype.itemsize), dtype=dtype, count=count).view(shape)


def _temporary_folder(needed: int) -> str:
    """Return the folder for temporary files, if it has enough free space."""
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _out_of_space(needed, f"there is no folder for temporary files ({error.strerror or error})") from error
    if _is_in_memory(folder):
        free = min(free, free_memory())
    if needed > free:
        raise _out_of_space(needed, f"the folder for temporary files, {folder}, has {_format_gib(free)} free")
    return folder


def _map_zeros(size: int) -> mmap.mmap:
    """Map zeros from an unnamed file, which is deleted with the last reference to the map."""
    try:
        with tempfile.TemporaryFile() as file:
            # Writing to a hole of a sparse file ends the process if the disk is full by then.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        folder = tempfile.gettempdir()
        raise _out_of_space(size, f"{folder} cannot store it ({error.strerror or error})") from error


def _out_of_space(needed: int, reason: str) -> InputError:
    return InputError(
        f"the data kept per sample ({_format_gib(needed)}) needs more than half of the free memory, and {reason}: set "
        "TMPDIR to a folder on a disk with more space, free some memory, or measure fewer samples"
    )


def _format_gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def _is_in_memory(folder: str) -> bool:
    """Return whether the files of a folder are in main memory themselves; False if that cannot be told."""
    return file_system(folder) in ("tmpfs", "ramfs")
