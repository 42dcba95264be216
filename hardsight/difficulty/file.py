"""The file of a result, written and read. A file may be damaged or hostile, so everything in it is checked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hardsight.attribution.conversions import KINDS, NO_ERROR
from hardsight.attribution.names import CAUSES, FACTORS, TOO_FEW
from hardsight.difficulty.columns import CLASS_PREDICTION_COLUMNS, COLUMNS, PREDICTION_COLUMNS, Column
from hardsight.difficulty.run_info import RunInfo
from hardsight.errors import InputError
from hardsight.io import parquet
from hardsight.io.atomic import as_path, atomic_write

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

SCHEMA = 1
# Samples that are encoded at a time, so that writing takes little memory beside the result.
_ROW_GROUP = 2**16


def write_result(d: "Difficulty", path: str | Path) -> None:
    """Write a result to a parquet file, all or nothing; see :meth:`hardsight.Difficulty.save`.

    Raises:
        InputError: the path has another ending, or cannot be written.
    """
    if as_path(path).suffix.lower() != ".parquet":
        raise InputError(f"a result is a parquet file, and {path} is named otherwise: end the name in .parquet")
    columns = {}
    for column in COLUMNS:
        values = column_values(d, column)
        if values is not None:
            columns[column.name] = _to_arrow(values)
    about: dict[str, Any] = {"schema": SCHEMA, "classes": d.classes, "settings": d.settings}
    if d.unlabelled is not None:
        columns_of_unlabelled = {str(name): d.unlabelled[name].tolist() for name in d.unlabelled}
        about["unlabelled"] = {"id": d.unlabelled.index.tolist()} | columns_of_unlabelled
    metadata = json.dumps(about, ensure_ascii=False).encode("utf-8", "surrogatepass")
    table = pa.table(columns).replace_schema_metadata({"hardsight": metadata})
    # Opened here: pyarrow takes no path whose bytes are not UTF-8.
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, row_group_size=_ROW_GROUP, compression="zstd")


def column_values(d: "Difficulty", column: Column) -> np.ndarray | None:
    """Return a column of a result as its file has it; None if the result has no such column."""
    values: np.ndarray | None = getattr(d, column.field)
    if values is None or column.name not in FACTORS:
        return values
    return values[:, FACTORS.index(column.name)]


def _to_arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).ravel())
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array(values)


def read_fields(path: str | Path) -> dict[str, Any]:
    """Read the fields of a result from its file; see :meth:`hardsight.Difficulty.load`.

    Raises:
        InputError: there is no such file, it is not a parquet file, it was not written by hardsight (names the column), or
            by a newer one.
    """
    file = as_path(path)
    file = file / "difficulty.parquet" if file.is_dir() else file
    try:
        table = parquet.read(file, fix="give the difficulty.parquet that `hardsight measure` wrote, or measure again")
    except FileNotFoundError:
        raise InputError(f"no file at {file}: give the difficulty.parquet that `hardsight measure` wrote") from None
    try:
        about = json.loads((table.schema.metadata or {})[b"hardsight"])
        if about["schema"] > SCHEMA:
            raise InputError(f"{file} was written by a newer hardsight (schema {about['schema']}): upgrade hardsight")
        classes = _read_classes(about["classes"])
        run = RunInfo.from_json(about["settings"])
        _check_label_model(run, classes)
        fields = _read_fields(table, classes)
        unlabelled = _read_unlabelled(about.get("unlabelled"), classes)
        if classes is None and run.loss_only != bool(len(table) and np.isnan(fields["labels"]).all()):
            raise ValueError("label or task")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, pa.ArrowException) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{file} was not written by hardsight ({fault!r:.200} is missing or odd): measure again") from None
    return fields | {"classes": classes, "run": run, "unlabelled": unlabelled}


def _read_classes(names: Any) -> tuple[Any, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str | int | float) for name in names):
        raise ValueError("classes")
    return tuple(names)


def _read_unlabelled(columns: Any, classes: tuple[Any, ...] | None) -> pd.DataFrame | None:
    """Check and convert the predictions of samples without a label."""
    if columns is None:
        return None
    names = PREDICTION_COLUMNS if classes is None else CLASS_PREDICTION_COLUMNS
    ids, predicted, certainty = (columns[name] for name in ("id", *names))
    if len({type(name) for name in ids}) > 1 or not all(isinstance(name, int | str) for name in ids[:1]):
        raise ValueError("unlabelled id")
    known = all(isinstance(value, float) for value in predicted) if classes is None else set(predicted) <= set(classes)
    numbers = np.array(certainty, dtype=np.float64)
    highest = np.inf if classes is None else 1
    if not known or len(set(ids)) < len(ids) or not ((numbers >= 0) & (numbers <= highest)).all():
        raise ValueError("unlabelled")
    values = {names[0]: pd.Series(predicted, dtype=object if classes else np.float64), names[1]: numbers}
    return pd.DataFrame(values).set_index(pd.Index(ids, name="id"))


def _check_label_model(run: RunInfo, classes: tuple[Any, ...] | None) -> None:
    n = len(classes or ())
    for name, value, shape in (
        ("transition", run.transition, (n, n)),
        ("class_shares", run.class_shares, (n,)),
        ("class_sizes", run.class_sizes, (n,)),
    ):
        if value is None:
            continue
        shares = np.array(value)
        if shares.shape != shape or shares.dtype.kind not in "iuf" or not np.isfinite(shares).all():
            raise ValueError(name)


def _read_fields(table: pa.Table, classes: tuple[Any, ...] | None) -> dict[str, np.ndarray]:
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("one of two columns of one name")
    has_ledger = "noise" in table.column_names
    if has_ledger and classes is None:
        raise ValueError("classes")
    if classes is None and "consensus" in table.column_names:
        raise ValueError("consensus")
    expected = {
        "always": True, "ledger": has_ledger, "classes": classes is not None, "optional": False
    }  # fmt: skip
    columns = {
        column.name: _read_column(table, column, classes)
        for column in COLUMNS
        if expected[column.presence] or (column.presence == "optional" and column.name in table.column_names)
    }
    fields = {column.field: columns[column.name] for column in COLUMNS if column.name in columns}
    if has_ledger:
        fields["ledger"] = np.stack([columns[name] for name in FACTORS], axis=1)
    return fields


def _read_column(table: pa.Table, column: Column, classes: tuple[Any, ...] | None) -> np.ndarray:
    if column.kind == "id":
        return _read_ids(table)
    if column.kind == "name":
        return _read_int_or_text(table, column.name)
    if column.kind == "cause":
        return _read_names(table, column.name, {*CAUSES, TOO_FEW})
    if column.kind == "target-error":
        return _read_names(table, column.name, {*KINDS, NO_ERROR})
    if column.kind == "log-probs":
        return _read_log_probs(table, column.name, len(classes or ()))
    if column.kind == "set":
        return _read_integers(table, column.name, None, least=-1)
    if column.kind == "count" or (column.kind == "label" and classes is not None):
        return _read_integers(table, column.name, None if column.kind == "count" else len(classes or ()))
    return _read_floats(table, column)


def _read_floats(table: pa.Table, column: Column) -> np.ndarray:
    values = table[column.name]
    if not pa.types.is_float64(values.type) or values.null_count:
        raise ValueError(column.name)
    numbers: np.ndarray = values.to_numpy()
    if not np.isfinite(numbers).all() and (not column.may_be_nan or np.isinf(numbers).any()):
        raise ValueError(column.name)
    return numbers


def _read_integers(table: pa.Table, name: str, below: int | None, least: int = 0) -> np.ndarray:
    """Read int64 values from ``least``, below a bound if there is one."""
    values = table[name]
    if not pa.types.is_int64(values.type) or values.null_count:
        raise ValueError(name)
    numbers: np.ndarray = values.to_numpy()
    if len(numbers) and (numbers.min() < least or (below is not None and numbers.max() >= below)):
        raise ValueError(name)
    return numbers


def _read_names(table: pa.Table, name: str, known: set[str]) -> np.ndarray:
    names = _read_texts(table, name)
    if not set(names) <= known:
        raise ValueError(name)
    return np.array(names, dtype=object).astype(str)


def _read_texts(table: pa.Table, name: str) -> list[str]:
    column = table[name]
    if column.null_count or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(name)
    texts: list[str] = column.to_pylist()
    return texts


def _read_ids(table: pa.Table) -> np.ndarray:
    ids = _read_int_or_text(table, "id")
    if len(np.unique(ids)) < len(ids):
        raise ValueError("id, which has repeated values,")
    return ids


def _read_int_or_text(table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if pa.types.is_int64(column.type) and not column.null_count:
        numbers: np.ndarray = column.to_numpy()
        return numbers
    return np.array(_read_texts(table, name), dtype=str)


def _read_log_probs(table: pa.Table, name: str, n_classes: int) -> np.ndarray:
    lists = table[name].combine_chunks()
    if not pa.types.is_fixed_size_list(lists.type) or not pa.types.is_float64(lists.type.value_type):
        raise ValueError(name)
    if lists.type.list_size != n_classes or lists.null_count or lists.flatten().null_count:
        raise ValueError(name)
    values: np.ndarray = lists.flatten().to_numpy().reshape(len(table), n_classes)
    return values
