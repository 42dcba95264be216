"""The names of the columns of frames."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from hardsight.errors import InputError


def columns_from_index(frame: pd.DataFrame, names: Iterable[Any]) -> pd.DataFrame:
    """Return the frame with those levels of its index as columns that are among the names and no columns yet."""
    columns = set(map(str, frame.columns))
    missing = {name for name in names if isinstance(name, str)} - columns
    levels = [level for level in frame.index.names if isinstance(level, str) and level in missing]
    return frame.reset_index(level=levels) if levels else frame


def unique_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with text for column names.

    Raises:
        InputError: two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    repeated = pd.Index(names).duplicated()
    if repeated.any():
        raise InputError(f"column name {names[int(np.argmax(repeated))]!r} appears twice: give every column its own name")
    return frame.set_axis(names, axis=1)
