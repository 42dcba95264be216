"""Data that is in memory already: arrays, frames, lists, tensors and datasets."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data import frames as tables
from hardsight.data import from_datasets as datasets
from hardsight.data import images
from hardsight.data import text as texts
from hardsight.data.columns import (
    check_embedding,
    check_ids,
    encode_groups,
    is_from,
    normalize_weights,
    object_array,
    to_numpy,
)
from hardsight.data.labels import encode_labels
from hardsight.data.samples import Kind, Samples, row_slices
from hardsight.errors import InputError
from hardsight.validation import join_names

# Numbers in a sparse matrix that is written out densely: 80 MB of float64.
_DENSE = 10_000_000
_CHANNELS = (1, 3, 4)


@dataclass
class _Given:
    """What was recognised, before anything is checked against the number of samples."""

    features: Any
    kind: Kind
    y: Any = None
    ids: Any = None
    groups: Any = None
    weights: Any = None
    label: str | None = None
    integers: bool = False
    names: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def to_samples(
    X: Any,
    y: Any = None,
    *,
    ids: Any = None,
    groups: Any = None,
    weights: Any = None,
    task: str = "auto",
    label: str | None = None,
    text: str | None = None,
    embedding: Any = "auto",
) -> Samples:
    """Convert data in memory to samples; see :meth:`Samples.of`."""
    if isinstance(X, Samples):
        return X
    given = _recognise(X, y, ids, groups, weights, label, text)
    n = len(given.features)
    if n < 2:
        raise InputError(f"at least 2 samples are needed. Got {n}: give data with rows")
    name = label or given.label or "label"
    known = _identified(given, n)
    if given.y is None:
        raise InputError("y is missing: give one label a sample (y=…), or the name of the label's column")
    codes, classes, notices = encode_labels(given.y, ids=known, task=task, name=name)
    members = None
    if given.groups is not None:
        members = encode_groups(given.groups, n, given.names.get("groups", "groups"))
        if members.max() == 0:
            raise InputError("all samples are of one group: at least two groups are needed, or leave the groups out")
    counts = None
    if given.weights is not None:
        counts = normalize_weights(given.weights, n, given.names.get("weights", "weights"))
    features, numbers, more = _finished(given, embedding)
    return Samples(
        features=features,
        labels=codes,
        classes=classes,
        ids=known,
        kind=given.kind,
        groups=members,
        embedding=numbers,
        weights=counts,
        integers=given.integers,
        label_name=name,
        notices=(*given.notices, *notices, *more),
    )


def _recognise(X: Any, y: Any, ids: Any, groups: Any, weights: Any, label: str | None, text: str | None) -> _Given:
    """Which door ``X`` belongs to."""
    if datasets.is_hugging_face(X):
        frame, pictures = datasets.to_frame(X)
        return _from_frame(frame, y, ids, groups, weights, label, text, pictures=pictures, from_hub=True)
    if tables.is_frame(X):
        frame = X if isinstance(X, pd.DataFrame) else X.to_pandas()
        return _from_frame(frame, y, ids, groups, weights, label, text)
    if text is not None:
        raise InputError(f"text={text!r} names a column, but X ({type(X).__name__}) has none: leave it out")
    for value, what in ((y, "y"), (ids, "ids"), (groups, "groups"), (weights, "weights")):
        if isinstance(value, str):
            raise InputError(f"{what}={value!r} names a column, but X ({type(X).__name__}) has none: give the values")
    notices: list[str] = []
    tensor = is_from(X, "torch") and hasattr(X, "detach")
    if datasets.is_item_store(X) and y is None:
        elements, y = datasets.read_items(X)
        tensor = bool(elements) and is_from(elements[0], "torch")
        X = elements
    elif datasets.is_item_store(X):
        raise InputError(f"X ({type(X).__name__}) is a dataset that holds its labels: leave y out")
    series_label = str(y.name) if isinstance(y, pd.Series) and y.name is not None else None
    given = _Given(None, "array", y, ids, groups, weights, series_label, notices=notices)
    if isinstance(X, pd.Series):
        y = _in_order(X.index, y)
        given.y, given.ids = y, _index(X.index, notices) if ids is None else ids
        if not isinstance(X.dtype, pd.CategoricalDtype) and X.map(lambda value: isinstance(value, str)).all():
            given.features, given.kind = X.to_numpy(dtype=object), "text"
        else:
            given.features, given.kind = tables.unique_names(X.to_frame("value" if X.name is None else X.name)), "table"
        return given
    features = _array_like(X, notices)
    if features.ndim == 1 and features.dtype.kind in "OUT":
        given.features, given.kind = features, "text"
    elif features.dtype.kind in "OUT":
        given.features, given.kind = tables.unique_names(pd.DataFrame(features).infer_objects()), "table"
    else:
        given.features, given.kind = _numbers(features, tensor, notices)
        given.integers = given.kind == "array" and features.dtype.kind in "iu"
    return given


def _array_like(X: Any, notices: list[str]) -> np.ndarray:
    """Lists, tensors and matrices as one array: numbers, or objects where there is text."""
    X = to_numpy(X)
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    X = np.asarray(X) if hasattr(X, "__array__") else X
    if is_from(X, "scipy"):
        return _dense(X, notices)
    if not isinstance(X, np.ndarray):
        if (
            isinstance(X, dict | set)
            or not (hasattr(X, "__iter__") and hasattr(X, "__len__"))
            or isinstance(X, str | bytes)
        ):
            raise InputError(
                f"X must be an array, a frame, a list, a tensor or a dataset. Got {type(X).__name__}: "
                + ("give pandas.DataFrame(X)" if isinstance(X, dict) else "convert it to one of these")
            )
        items = list(X)
        if any(isinstance(item, dict) for item in items):
            raise InputError("X is a list of dicts: give pandas.DataFrame(X)")
        if not items or all(
            pd.api.types.is_scalar(item) or getattr(item, "ndim", 1) == 0 for item in map(to_numpy, items)
        ):
            X = object_array([to_numpy(item) for item in items])
        elif any(isinstance(value, str) for item in items if isinstance(item, list | tuple) for value in item):
            lengths = {len(item) if isinstance(item, list | tuple) else 1 for item in items}
            if len(lengths) > 1:
                raise InputError(
                    f"rows of X must have one length. Got {join_names(sorted(lengths)[:3])} values: fill them up"
                )
            X = pd.DataFrame(items).to_numpy(dtype=object)
        else:
            X, said = datasets.stack_elements(items)
            notices.extend(said)
    if X.dtype.kind == "S":
        raise InputError("X holds bytes: decode them to text (X.astype(str)) or to numbers")
    if X.dtype.kind not in "biufOUT":
        raise InputError(f"X must hold numbers or text. Got the type {X.dtype}: convert it to numbers")
    if X.ndim == 0:
        raise InputError("X must have one row a sample. Got a single value: give an array (sample, feature)")
    if X.dtype == object and X.size and X.ndim <= 2 and _numeric(X.ravel()):
        X = X.astype(np.float64)
    if X.ndim > 2 and X.dtype.kind in "OUT":
        raise InputError(f"X must hold numbers in {X.ndim} axes. Got {X.dtype}: convert it to numbers")
    return np.asarray(X, dtype=object) if X.dtype.kind in "OUT" else np.asarray(X)


def _numeric(values: np.ndarray) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, bool | int | float | np.number | np.bool_) for value in present)


def _dense(X: Any, notices: list[str]) -> np.ndarray:
    if not hasattr(X, "toarray"):
        raise InputError(f"X must be an array. Got {type(X).__name__}: convert it to a numpy array")
    if X.shape[0] * X.shape[-1] > _DENSE:
        raise InputError(
            f"X is a sparse matrix of shape {X.shape}, too large to write out: reduce it first "
            "(sklearn.decomposition.TruncatedSVD), or give X.toarray()"
        )
    notices.append("The sparse matrix was written out as a dense array.")
    return np.asarray(X.toarray())


def _numbers(X: np.ndarray, tensor: bool, notices: list[str]) -> tuple[np.ndarray, Kind]:
    """Numbers as an array or as images, finite where they must be."""
    if X.ndim == 1:
        X = X.reshape(-1, 1)
    if X.ndim == 4 and X.shape[1] in _CHANNELS and (tensor or X.shape[-1] not in _CHANNELS):
        X = np.moveaxis(X, 1, -1)
        notices.append(f"Channels were moved last: images are {X.shape[1]} x {X.shape[2]} x {X.shape[3]}.")
    kind: Kind = "image" if X.ndim == 3 or (X.ndim == 4 and X.shape[-1] in _CHANNELS) else "array"
    if 0 in X.shape[1:]:
        raise InputError(f"X has no features. Got shape {X.shape}: give at least one")
    if kind == "image" and X.dtype == np.uint8:
        return np.ascontiguousarray(X), kind
    _finite(X)
    return np.ascontiguousarray(X, dtype=np.result_type(X.dtype, np.float32)), kind


def _finite(X: np.ndarray) -> None:
    """Refuse numbers that float32 cannot hold, and columns without any. Block by block: the array may be a file's."""
    gaps = X.ndim == 2 and X.dtype.kind == "f"
    strange, first, known = 0, (0,), np.zeros(X.shape[1], dtype=bool)
    for rows in row_slices(len(X), X[:1].nbytes):
        part = X[rows]
        odd = np.isinf(part) if gaps else ~np.isfinite(part)
        odd |= np.abs(part) > np.finfo(np.float32).max
        if odd.any() and not strange:
            start, *place = (int(axis) for axis in np.argwhere(odd)[0])
            first = (rows.start + start, *place)
        strange += int(odd.sum())
        if gaps:
            known |= ~np.isnan(part).all(axis=0)
    if strange:
        raise InputError(
            f"X must be finite in float32. Got {X[first].item()} at {list(first)} (and {strange - 1} more): "
            + ("mend the values (NaN means missing)" if X.ndim == 2 else "mend the values")
        )
    if gaps and len(X) and not known.all():
        raise InputError(f"column {np.argmin(known)} of X has no value in any of {len(X)} rows: drop it")


def _from_frame(
    frame: pd.DataFrame,
    y: Any,
    ids: Any,
    groups: Any,
    weights: Any,
    label: str | None,
    text: str | None,
    *,
    pictures: str | None = None,
    from_hub: bool = False,
) -> _Given:
    """A frame's columns by their role: label, id, group, text, image or feature."""
    frame = tables.unique_names(frame)
    notices: list[str] = []
    if y is None and label is not None:
        y = label
    roles: dict[str, str] = {}
    values: dict[str, Any] = {"label": y, "ids": ids, "groups": groups, "weights": weights}
    for role, value in values.items():
        if isinstance(value, str) or (role == "label" and isinstance(value, int | float)):
            values[role] = _named(frame, str(value), role, roles)
        elif role == "label":
            values[role] = _in_order(frame.index, value)
    if y is None:
        raise InputError(
            f"the label is missing: name its column (y, label, --label). The columns are {join_names(frame)}"
        )
    name = roles.get("label") or (str(y.name) if isinstance(y, pd.Series) and y.name is not None else None)
    if ids is None:
        values["ids"] = _index(frame.index, notices)
    if text is not None:
        values["text"] = _named(frame, text, "text", roles)
    rest = frame.drop(columns=list(roles.values()))
    if name in rest and np.array_equal(rest[name].astype(str), np.asarray(values["label"]).astype(str)):
        rest = rest.drop(columns=[name])
        notices.append(f"Column {name!r} is the label itself: left out of the features.")
    given = _Given(
        rest, "table", values["label"], values["ids"], values["groups"], values["weights"], name, notices=notices
    )
    given.names = {role: f"{role} (column {taken!r})" for role, taken in roles.items()}
    alone = len(rest.columns) == 1
    if text is None and pictures is not None and pictures in rest:
        given.features, said = datasets.stack_elements(rest[pictures].tolist()) if len(rest) else (rest, [])
        given.kind, used = "image", pictures
        notices.extend(said)
    elif text is not None:
        given.features, given.kind, used = values["text"].to_numpy(dtype=object), "text", text
    elif alone and len(rest) and (tables.is_free_text(rest.iloc[:, 0]) or (from_hub and _is_text(rest.iloc[:, 0]))):
        used = str(rest.columns[0])
        given.features, given.kind = rest[used].to_numpy(dtype=object), "text"
        notices.append(f"Column {used!r} is read as text.")
    else:
        return given
    given.names["text"] = f"column {used!r}"
    others = [other for other in rest if other != used]
    if others:
        notices.append(f"Only column {used!r} is learnt from; left out: {join_names(others)}.")
    return given


def _named(frame: pd.DataFrame, column_name: str, role: str, roles: dict[str, str]) -> pd.Series:
    """The column of a role, which no other role may share."""
    if column_name not in frame:
        raise InputError(
            f"there is no column {column_name!r} to use as {role}: the columns are {join_names(frame)}"
            if len(frame.columns)
            else f"there is no column {column_name!r} to use as {role}: the data has no columns"
        )
    for other, taken in roles.items():
        if taken == column_name:
            raise InputError(f"column {column_name!r} cannot be both {other} and {role}: name another column")
    roles[role] = column_name
    found: pd.Series = frame[column_name]
    return found


def _is_text(values: pd.Series) -> bool:
    return bool(values.map(lambda value: value is None or isinstance(value, str)).all())


def _in_order(index: pd.Index, y: Any) -> Any:
    """Labels as they are, unless they are a Series whose index contradicts that of the features.

    Libraries differ in whether such a Series is matched by index or by position; a wrong guess shuffles all labels.
    """
    if not isinstance(y, pd.Series) or len(y) != len(index) or y.index.equals(index):
        return y
    default = pd.RangeIndex(len(index))
    # pandas itself cannot look for single values among tuples.
    alike = index.nlevels == y.index.nlevels
    permuted = alike and index.isin(y.index).all() and y.index.isin(index).all()
    if not permuted and (y.index.equals(default) or index.equals(default)):
        return y
    raise InputError(
        "X and y have different indexes: give y.reindex(X.index) to match them by index, or y.to_numpy() to match them "
        "by position"
    )


def _index(index: pd.Index, notices: list[str]) -> np.ndarray | None:
    """A frame's index as ids, or None where it names no sample."""
    why = None
    if isinstance(index, pd.MultiIndex):
        why = f"has {index.nlevels} levels"
    elif index.hasnans:
        why = "misses values"
    elif index.inferred_type not in ("integer", "string"):
        why = f"holds values of type {index.inferred_type}"
    if why is not None:
        notices.append(
            f"The index {why} and names no sample: ids are 0, 1, 2, …. To name samples by it, give ids=X.index.map(str), or "
            "make it a column and name that as id."
        )
        return None
    if not index.is_unique:
        notices.append("The index repeats values and cannot name samples: ids are 0, 1, 2, ….")
        return None
    return index.to_numpy()


def _identified(given: _Given, n: int) -> np.ndarray:
    if given.ids is None:
        return np.arange(n, dtype=np.int64)
    return check_ids(given.ids, n, given.names.get("ids", "ids"))


def _finished(given: _Given, embedding: Any) -> tuple[Any, np.ndarray | None, list[str]]:
    """Checked features, the numbers that stand for them where they need such, and notices."""
    features: Any = given.features
    notices: list[str] = []
    if given.kind == "table":
        features, notices = tables.clean_columns(features)
    elif given.kind == "text":
        features, notices = texts.check_texts(features, given.names.get("text", "X"))
    elif given.kind == "image" and features.dtype != np.uint8:
        features = features.astype(np.result_type(features.dtype, np.float32), copy=False)
    if not isinstance(embedding, str):
        return features, check_embedding(embedding, len(features)), notices
    if given.kind == "text":
        numbers, said = texts.embed(features, embedding)
        return features, numbers, notices + said
    if given.kind == "image":
        pixels, said = images.embed(features, embedding)
        return features, pixels, notices + said
    if embedding != "auto":
        raise InputError(f"embedding={embedding!r} is for texts and images; these samples are numbers: leave it out")
    return features, None, notices
