"""Frames: what counts as one, and the names of its columns."""

from typing import Any

import numpy as np
import pandas as pd

from hardsight.errors import InputError


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas frame, or can be converted to one (polars, pyarrow)."""
    return isinstance(value, pd.DataFrame) or hasattr(value, "to_pandas")


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
