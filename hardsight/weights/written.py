"""Weights as a file, a row a sample by id."""

from pathlib import Path

import numpy as np
import pandas as pd

from hardsight.errors import InputError
from hardsight.files import atomic


def write(ids: np.ndarray, weights: np.ndarray, path: str | Path) -> None:
    """Write columns id and weight, in the order given, all or nothing.

    Args:
        ids: ``(sample,)``.
        weights: ``(sample,)``.
        path: ends in .csv or .parquet, which says the format.

    Raises:
        InputError: another ending, or the path cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(
            f"weights are written as .csv or .parquet. Got {path}: choose a name with one of these endings"
        )
    table = pd.DataFrame({"id": ids, "weight": weights})
    with atomic(path) as temporary:
        if suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
