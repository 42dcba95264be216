"""The names of the columns of frames."""

import numpy as np
import pandas as pd

from hardsight.errors import InputError


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
