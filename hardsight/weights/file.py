"""Weights in a file, one row per sample, by id."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hardsight.errors import InputError, first_line
from hardsight.io import csv_cells, parquet
from hardsight.io.atomic import atomic_write

_ADVICE = "give columns id and weight, as `hardsight weigh` writes them"


def write_weights(ids: np.ndarray, weights: np.ndarray, path: str | Path) -> None:
    """Write the columns id and weight in the given order, atomically.

    Args:
        path: ends in .csv or .parquet, which sets the format.

    Raises:
        InputError: another ending, or the path cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"the path of weights must end in .csv or .parquet. Got {path}")
    with atomic_write(path) as temporary:
        if suffix == ".csv":
            text = csv_cells.format_csv(("id", "weight"), zip(ids.tolist(), weights.tolist(), strict=True))
            temporary.write_text(text, encoding="utf-8", newline="")
        else:
            # Written as bytes, because pyarrow refuses paths whose bytes are not UTF-8.
            temporary.write_bytes(pd.DataFrame({"id": ids, "weight": weights}).to_parquet(index=False))


def read_weights(path: str | Path, ids: np.ndarray) -> np.ndarray:
    """Read the columns id and weight, in the order of the given ids; ``(sample,)`` float64.

    Args:
        path: ends in .csv or .parquet.
        ids: ids of the samples, ``(sample,)``; the file may hold more.

    Raises:
        InputError: the file is missing or unreadable, has other columns, lacks an id or holds it twice, or holds a weight
            that is not a finite number of 0 or more.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(
            f"the path of weights must end in .csv or .parquet. Got {path}: pass a file that `hardsight weigh` wrote"
        )
    names, weights = _read_csv(path) if suffix == ".csv" else _read_parquet(path)
    invalid = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(invalid):
        row = invalid[0]
        raise InputError(f"{path}: weights must be finite and 0 or more. Got {weights[row]:g} for id {names[row]!r}")
    index = pd.Index(names, dtype=object)
    if not index.is_unique:
        raise InputError(f"{path} has the id {index[index.duplicated()][0]!r} twice: give every sample one weight")
    # Compared as text, because a text file does not tell numbers from names.
    rows = index.get_indexer(pd.Index(ids.astype(str), dtype=object))
    missing = ids[rows < 0]
    if len(missing):
        raise InputError(f"{path} has no weight for {len(missing):,} samples, the first is {missing[0].item()!r}")
    return np.asarray(weights[rows])


def _read_csv(path: str | Path) -> tuple[list[str], np.ndarray]:
    rows = csv_cells.parse_csv(csv_cells.read_csv_text(path, _ADVICE), str(path), ("id", "weight"), 2, _ADVICE)
    return [name for name, _ in rows], np.array([_to_float(path, *row) for row in rows])


def _read_parquet(path: str | Path) -> tuple[list[str], np.ndarray]:
    try:
        table = parquet.read(path, fix=_ADVICE)
    except FileNotFoundError:
        raise InputError(f"no file at {path}: {_ADVICE}") from None
    for name in ("id", "weight"):
        if table.column_names.count(name) != 1:
            raise InputError(f"{path} must have one column {name!r}. Got {', '.join(table.column_names[:8])}: {_ADVICE}")
    names, weights = [str(value) for value in _to_list(path, table, "id")], _to_list(path, table, "weight")
    return names, np.array([_to_float(path, *row) for row in zip(names, weights, strict=True)])


def _to_list(path: str | Path, table: pa.Table, name: str) -> list[Any]:
    try:
        values: list[Any] = table[name].to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise InputError(f"{path}: column {name!r} cannot be read ({first_line(error)}): {_ADVICE}") from None
    return values


def _to_float(path: str | Path, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{path}: weights must be numbers. Got {value!r:.60} for id {name!r}") from None
