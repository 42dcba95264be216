"""Weights as a file, a row a sample by id."""

from pathlib import Path

import numpy as np
import pandas as pd

from hardsight.errors import InputError, first_line
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
            # As bytes: pyarrow takes no path whose bytes are not UTF-8.
            temporary.write_bytes(table.to_parquet(index=False))


def read(path: str | Path, ids: np.ndarray) -> np.ndarray:
    """Read columns id and weight, in the order of some samples, ``(sample,)`` float64.

    Args:
        path: ends in .csv or .parquet.
        ids: of the samples, ``(sample,)``; the file may hold more.

    Raises:
        InputError: no such file, one that cannot be read, other columns, or an id that is missing or stands there twice.
    """
    place = Path(path)
    if place.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"weights are read from .csv or .parquet. Got {path}: give what `hardsight weigh` wrote")
    try:
        table = pd.read_csv(place) if place.suffix.lower() == ".csv" else pd.read_parquet(place)
    except FileNotFoundError:
        raise InputError(f"no file at {path}: give weights by id, as `hardsight weigh` writes them") from None
    except (OSError, ValueError, UnicodeDecodeError) as fault:
        raise InputError(f"{path} cannot be read ({first_line(fault)}): give columns id and weight") from None
    if not {"id", "weight"} <= set(table.columns):
        raise InputError(f"{path} must have columns id and weight. Got {', '.join(map(str, table.columns[:8]))}")
    # As text, because a file of text holds numbers and names alike.
    known = pd.Series(table["weight"].to_numpy(), index=table["id"].astype(str))
    wanted = ids.astype(str)
    twice = known.index[known.index.duplicated()]
    if len(twice):
        raise InputError(f"{path} has the id {twice[0]!r} twice: give every sample one weight")
    missing = wanted[~np.isin(wanted, known.index.to_numpy(dtype=str))]
    if len(missing):
        raise InputError(f"{path} has no weight for {len(missing):,} samples, the first is {missing[0].item()!r}")
    try:
        return known.loc[wanted].to_numpy(dtype=np.float64)
    except ValueError as fault:
        raise InputError(f"{path}: weights must be numbers ({first_line(fault)})") from None
