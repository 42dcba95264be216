"""What stands in the file of a result, checked before it is believed: a file may be damaged, or made to do harm."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hardsight.errors import InputError
from hardsight.io import parquet

SCHEMA = 1
FACTORS = ("noise", "imbalance", "margin", "uncertainty")
PARTS = ("error", "error_se", "bias", "variance")
OPTIONAL = ("hardness", "adjusted", "suggested", "p_suggested", "noise_variance", "p_outlier")
_CODES = ("label", "predicted", "suggested")
_WORDS = ("loss", "learner", "recipe", "reason", "label_name", "task", "source")
_COUNTS = ("members", "seed")
_NEEDED = ("loss", "learner", "members")
# A sample that was judged once has no standard error, and losses alone have neither parts nor labels.
_MAY_MISS = ("error_se", "bias", "variance", "label", "predicted")


class Stored(NamedTuple):
    """The columns of a result and what stands beside them.

    Attributes:
        columns: by name, ``(sample,)``; ``cause`` is str, codes are int64, all else float64.
        consensus: ``(sample, class)`` float64, or None.
        classes: what codes stand for, or None.
        settings: what was run.
    """

    columns: dict[str, np.ndarray]
    consensus: np.ndarray | None
    classes: tuple[Any, ...] | None
    settings: dict[str, Any]


def read(path: str | Path) -> Stored:
    """What a file of a result holds.

    Raises:
        InputError: no such file, not a parquet file, not written by hardsight, or by a newer one; names the column.
    """
    try:
        table = parquet.read(path, mend="measure again")
    except FileNotFoundError:
        raise InputError(f"no file at {path}: give the difficulty.parquet that `hardsight measure` wrote") from None
    try:
        about = json.loads((table.schema.metadata or {})[b"hardsight"])
        if about["schema"] > SCHEMA:
            raise InputError(f"{path} was written by a newer hardsight (schema {about['schema']}): upgrade hardsight")
        classes = _classes(about["classes"])
        settings = _settings(about["settings"], classes)
        return Stored(_columns(table, classes, settings), _consensus(table, classes), classes, settings)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, pa.ArrowException) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(
            f"{path} was not written by hardsight ({fault!r:.200} is missing or odd): measure again"
        ) from None


def _classes(given: Any) -> tuple[Any, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not given or not all(isinstance(name, str | int | float) for name in given):
        raise ValueError("classes")
    return tuple(given)


def _settings(given: Any, classes: tuple[Any, ...] | None) -> dict[str, Any]:
    """The settings, those that are read again as what they must be."""
    words = all(isinstance(given[name] if name in _NEEDED else given.get(name, ""), str) for name in _WORDS)
    counts = all(type(given[name] if name in _NEEDED else given.get(name, 0)) is int for name in _COUNTS)
    notices = given.get("notices", [])
    if not (words and counts and isinstance(notices, list) and all(isinstance(notice, str) for notice in notices)):
        raise ValueError("settings")
    for name in ("refined", "adjusted", "pilot"):
        if not isinstance(given.get(name), dict | None):
            raise ValueError(name)
    _number(given, "reliability")
    for each, names in (("adjusted", ("gain", "gain_se")), ("refined", ("rounds", "members"))):
        for name in names:
            _number(given.get(each) or {}, name)
    n = len(classes or ())
    for name, shape in (("transition", (n, n)), ("class_shares", (n,))):
        if name in given:
            shares = np.array(given[name])
            if shares.shape != shape or shares.dtype.kind not in "iuf" or not np.isfinite(shares).all():
                raise ValueError(name)
    settings: dict[str, Any] = given
    return settings


def _number(settings: dict[str, Any], name: str) -> None:
    value = settings.get(name)
    if value is not None and not (type(value) in (int, float) and np.isfinite(value)):
        raise ValueError(name)


def _columns(table: pa.Table, classes: tuple[Any, ...] | None, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("one of two columns of one name")
    names = [*PARTS, "label", "predicted", *(name for name in OPTIONAL if name in table.column_names)]
    if "noise" in table.column_names:
        names += [*FACTORS, "p_wrong"]
    found = {name: _column(table, name, classes) for name in names}
    found["views"] = _whole(table, "views")
    found["id"] = _ids(table)
    if len(table) and found["views"].min() < 0:
        raise ValueError("views")
    if "noise" in table.column_names:
        if classes is None:
            raise ValueError("classes")
        cause = np.array(_texts(table, "cause"), dtype=object)
        if not set(cause.tolist()) <= {*FACTORS, "none"}:
            raise ValueError("cause")
        found["cause"] = cause.astype(str)
    if classes is None and (settings.get("task") == "loss") != bool(len(table) and np.isnan(found["label"]).all()):
        raise ValueError("label or task")
    return found


def _column(table: pa.Table, name: str, classes: tuple[Any, ...] | None) -> np.ndarray:
    if name in _CODES and classes is not None:
        codes = _whole(table, name)
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(classes):
            raise ValueError(name)
        return codes
    column = table[name]
    if not pa.types.is_float64(column.type) or column.null_count:
        raise ValueError(name)
    numbers: np.ndarray = column.to_numpy()
    if not np.isfinite(numbers).all() and (name not in _MAY_MISS or np.isinf(numbers).any()):
        raise ValueError(name)
    return numbers


def _whole(table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if not pa.types.is_int64(column.type) or column.null_count:
        raise ValueError(name)
    numbers: np.ndarray = column.to_numpy()
    return numbers


def _texts(table: pa.Table, name: str) -> list[str]:
    column = table[name]
    if column.null_count or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ValueError(name)
    texts: list[str] = column.to_pylist()
    return texts


def _ids(table: pa.Table) -> np.ndarray:
    column = table["id"]
    if pa.types.is_int64(column.type) and not column.null_count:
        ids: np.ndarray = column.to_numpy()
    else:
        ids = np.array(_texts(table, "id"), dtype=str)
    if len(np.unique(ids)) < len(ids):
        raise ValueError("id, which stands there twice,")
    return ids


def _consensus(table: pa.Table, classes: tuple[Any, ...] | None) -> np.ndarray | None:
    if "consensus" not in table.column_names:
        if classes is not None:
            raise KeyError("consensus")
        return None
    lists = table["consensus"].combine_chunks()
    kind = lists.type
    sound = pa.types.is_fixed_size_list(kind) and pa.types.is_float64(kind.value_type) and not lists.null_count
    if classes is None or not sound or kind.list_size != len(classes) or lists.flatten().null_count:
        raise ValueError("consensus")
    consensus: np.ndarray = lists.flatten().to_numpy().reshape(len(table), len(classes))
    return consensus
