"""Arrays in .npy files."""

from pathlib import Path

import numpy as np

from hardsight.errors import InputError, first_line
from hardsight.io import npz


def read_npy(place: Path) -> np.ndarray:
    """Read an array from an .npy file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with place.open("rb") as file:
            magic = file.read(6)
        if magic != b"\x93NUMPY":
            raise InputError(f"{place} is not a readable .npy file: write it again with numpy.save")
        # Mapped, not read: the file may be larger than the memory.
        array: np.ndarray = np.load(place, allow_pickle=False, mmap_mode="r")
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise npz.PickledError(str(place)) from None
        raise InputError(f"{place} is not a readable .npy file ({first_line(error)}): write it again") from None
    return npz.check_text(array, str(place))
