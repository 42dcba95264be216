"""Numbers and tables as JSON types. JSON has no NaN and no infinity, so both become null."""

from typing import Any

import numpy as np
import pandas as pd


def to_json(value: Any) -> Any:
    """Return a scalar as a JSON type: numpy scalars as Python's, NaN and infinity as None, other objects as text.

    >>> to_json(np.float64(0.5)), to_json(np.int64(2)), to_json(float("nan")), to_json("cat")
    (0.5, 2, None, 'cat')
    """
    scalar = value.item() if isinstance(value, np.generic) else value
    if isinstance(scalar, float) and not np.isfinite(scalar):
        return None
    return scalar if scalar is None or isinstance(scalar, bool | int | float | str) else str(scalar)


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as one dictionary per row, without its index.

    >>> to_records(pd.DataFrame({"a": [1.0, float("nan")]}))
    [{'a': 1.0}, {'a': None}]
    """
    return [{str(name): to_json(value) for name, value in row.items()} for row in frame.to_dict("records")]
