"""Weights as a file, a row a sample by id."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hardsight.errors import InputError, first_line
from hardsight.io import csv_cells as cells
from hardsight.io import parquet
from hardsight.io.atomic import atomic_write

_MEND = "give columns id and weight, as `hardsight weigh` writes them"


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
    with atomic_write(path) as temporary:
        if suffix == ".csv":
            text = cells.format_csv(("id", "weight"), zip(ids.tolist(), weights.tolist(), strict=True))
            temporary.write_text(text, encoding="utf-8", newline="")
        else:
            # As bytes: pyarrow takes no path whose bytes are not UTF-8.
            temporary.write_bytes(pd.DataFrame({"id": ids, "weight": weights}).to_parquet(index=False))


def read(path: str | Path, ids: np.ndarray) -> np.ndarray:
    """Read columns id and weight, in the order of some samples, ``(sample,)`` float64.

    Args:
        path: ends in .csv or .parquet.
        ids: of the samples, ``(sample,)``; the file may hold more.

    Raises:
        InputError: no such file, one that cannot be read, other columns, or an id that is missing or stands there twice.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise InputError(f"weights are read from .csv or .parquet. Got {path}: give what `hardsight weigh` wrote")
    names, numbers = _csv(path) if suffix == ".csv" else _parquet(path)
    odd = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)))
    if len(odd):
        raise InputError(
            f"{path}: the weight of id {names[odd[0]]!r} is {numbers[odd[0]]:g}: weights must be finite and 0 or more"
        )
    known = pd.Index(names, dtype=object)
    if not known.is_unique:
        raise InputError(f"{path} has the id {known[known.duplicated()][0]!r} twice: give every sample one weight")
    # As text, because a file of text holds numbers and names alike.
    at = known.get_indexer(pd.Index(ids.astype(str), dtype=object))
    missing = ids[at < 0]
    if len(missing):
        raise InputError(f"{path} has no weight for {len(missing):,} samples, the first is {missing[0].item()!r}")
    wanted: np.ndarray = numbers[at]
    return wanted


def _csv(path: str | Path) -> tuple[list[str], np.ndarray]:
    rows = cells.parse_csv(cells.read_csv_text(path, _MEND), str(path), ("id", "weight"), 2, _MEND)
    return [name for name, _ in rows], np.array([_number(path, *row) for row in rows])


def _parquet(path: str | Path) -> tuple[list[str], np.ndarray]:
    try:
        table = parquet.read(path, fix=_MEND)
    except FileNotFoundError:
        raise InputError(f"no file at {path}: {_MEND}") from None
    for name in ("id", "weight"):
        if table.column_names.count(name) != 1:
            raise InputError(f"{path} must have one column {name!r}. Got {', '.join(table.column_names[:8])}: {_MEND}")
    names, weights = [str(value) for value in _values(path, table, "id")], _values(path, table, "weight")
    return names, np.array([_number(path, *row) for row in zip(names, weights, strict=True)])


def _values(path: str | Path, table: pa.Table, name: str) -> list[Any]:
    try:
        values: list[Any] = table[name].to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as fault:
        raise InputError(f"{path}: column {name!r} cannot be read ({first_line(fault)}): {_MEND}") from None
    return values


def _number(path: str | Path, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{path}: the weight of id {name!r} is {value!r:.60}: weights must be numbers") from None
