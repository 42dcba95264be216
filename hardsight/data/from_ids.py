"""Samples known by their ids alone, for learners that read the data themselves: labels and ids, features only if passed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from hardsight.data.columns import Arguments, RawSamples, check_column_name, to_column
from hardsight.data.conversion import object_array, to_numpy, to_pandas, to_series
from hardsight.data.feature_columns.clean import NoFeatureError, clean_columns
from hardsight.data.frames import unique_names
from hardsight.data.from_datasets import check_single_split, is_hugging_face, is_item_store, is_loader
from hardsight.data.from_frames import ids_from_index
from hardsight.data.item_reading import fixed_random_state, spaced_rows
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError, first_line
from hardsight.validation import join_names

_NO_FEATURES = (
    "Samples are known by their ids alone: copies are not kept together, and the ledger sees no neighbours. For both, pass "
    "numbers that describe each sample, embedding=… (sample, feature)."
)
# Where datasets keep their labels, in torchvision and elsewhere.
_LABEL_ATTRIBUTES = ("targets", "labels", "y")
_LABEL_COLUMNS = ("label", "labels")


def convert_ids(args: Arguments) -> RawSamples:
    """Convert labels without features; the features are row numbers.

    Raises:
        InputError: the labels are missing, or a column is named.
    """
    faults = Faults()
    for role in ("y", "ids", "groups", "weights", "text"):
        value = getattr(args, role)
        if isinstance(value, str):
            faults.messages.append(f"{role}={value!r} names a column, but X is missing: pass X or the values")
    faults.raise_all()
    if args.y is None:
        raise InputError("y is missing: pass one label per sample (y=…), or task='loss' if predict returns losses")
    named = isinstance(args.y, pd.Series) and args.y.name is not None
    raw = RawSamples(None, "ids", args.y, args.ids, args.groups, args.weights, str(args.y.name) if named else None)
    if args.ids is None and isinstance(args.y, pd.Series):
        raw.ids = ids_from_index(args.y.index, raw.notices)
    raw.features = np.arange(len(to_column(args.y, "y")))
    return raw


def ids_to_samples(X: Any, y: Any = None, *, ids: Any = None, **options: Any) -> Samples:
    """Convert data for a learner that reads the samples itself, by their ids.

    Args:
        X: None; ids ``(sample,)`` of integers, text or paths; a map-style torch Dataset or a Hugging Face dataset, of which
            only the labels are read; samples of several shapes, which are not read; or features as in :meth:`Samples.of`,
            which serve to find copies and neighbours. Texts are features if ``ids`` are passed, too.
        y: the labels, or the name of their column in ``X``.
        ids: of the samples, ``(sample,)``, or the name of their column. By default the index of a Series or frame if it
            holds unique integers or text, else 0, 1, 2, ….
        **options: groups, weights and the other arguments of :meth:`Samples.of`; ``task="loss"`` if there is nothing to
            predict.

    Raises:
        InputError: as in :meth:`Samples.of`.
    """
    X = X if is_hugging_face(X) else to_pandas(X)
    if X is not None and (is_hugging_face(X) or is_item_store(X)):
        columns = {name: options.get(name) for name in ("groups", "weights")}
        y, values = _read_dataset(X, y, {"ids": ids, **columns}, options)
        X, ids, options = None, values.pop("ids"), options | values
    elif isinstance(X, pd.DataFrame) and not _has_features(X, y, ids, options):
        X, y, ids, options = _read_manifest(X, y, ids, options)
    elif ids is None and _are_ids(X):
        X, ids = None, X
    elif _differ_in_shape(X):
        # They are no features, but the learner reads the samples itself.
        _check_length("y", y, len(X))
        X = None
    notices = [] if ids is not None else _note_integer_index(y if X is None else X)
    own_loss = options.get("task") == "loss"
    samples = _samples_with_own_loss(X, y, ids, options) if own_loss else Samples.of(X, y, ids=ids, **options)
    notices += [] if samples.numeric else [_NO_FEATURES]
    return replace(samples, notices=(*samples.notices, *notices))


def _note_integer_index(values: Any) -> list[str]:
    """Return a notice if ids are integers of an index, which are easily taken for row numbers."""
    index = values.index if isinstance(values, pd.Series | pd.DataFrame) else pd.RangeIndex(0)
    if index.inferred_type != "integer" or not index.is_unique or index.equals(pd.RangeIndex(len(index))):
        return []
    first = ", ".join(map(str, index[:3]))
    notice = (
        f"train and predict get the index as ids ({first}, …), not row numbers. If they look samples up by row number, pass "
        f"ids=range({len(index)})."
    )
    return [notice]


def _are_ids(X: Any) -> bool:
    """Return whether values are integers, text, paths or UUIDs, one per sample."""
    if isinstance(X, pd.Series | pd.Index | np.ndarray) or hasattr(X, "detach"):
        values = np.asarray(to_numpy(X))
        if values.ndim != 1 or values.dtype.kind in "iuUT":
            return bool(values.ndim == 1)
        return values.dtype == object and _are_names(values.tolist())
    return isinstance(X, Sequence) and not isinstance(X, str | bytes) and _are_names(X)


def _are_names(values: Sequence[Any]) -> bool:
    kinds = str | int | np.integer | np.str_ | PathLike | UUID
    return bool(len(values)) and all(isinstance(value, kinds) and not isinstance(value, bool) for value in values)


def _has_features(table: pd.DataFrame, y: Any, ids: Any, options: Mapping[str, Any]) -> bool:
    """Return whether columns without a role say anything about the samples; paths, for example, do not."""
    roles = (y, ids, *(options.get(name) for name in ("groups", "weights", "label")))
    names = {role for role in roles if isinstance(role, str)}
    columns = table.loc[:, [name not in names for name in table.columns]]
    try:
        return len(columns.columns) > 0 and len(clean_columns(unique_names(columns))[0].columns) > 0
    except NoFeatureError:
        return False
    except InputError:
        return True  # what is wrong with them is said where they are read


def _differ_in_shape(X: Any) -> bool:
    """Return whether samples are arrays, tensors or images of several shapes."""
    if not isinstance(X, list | tuple) or not all(hasattr(sample, "shape") for sample in X):
        return False
    return len({tuple(sample.shape) for sample in X}) > 1


def _read_manifest(table: pd.DataFrame, y: Any, ids: Any, options: dict[str, Any]) -> tuple[None, Any, Any, dict[str, Any]]:
    """Look up the columns of a frame that has no features, only labels, ids and the like."""

    def look_up(value: Any, role: str) -> Any:
        return table[check_column_name(table, value, role)] if isinstance(value, str) else value

    label = options.get("label")
    y = look_up(label if y is None and isinstance(label, str) and label in table else y, "label")
    columns = {name: look_up(options.get(name), name) for name in ("groups", "weights")}
    return None, y, look_up(ids, "ids"), options | columns


def _read_dataset(dataset: Any, y: Any, values: dict[str, Any], options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the labels of a dataset, and values of its samples, some of which may be named columns.

    Raises:
        InputError: a loader, no length, items of another structure, or columns that are not there.
    """
    wants_labels = y is None and options.get("task") != "loss"
    if is_hugging_face(dataset):
        return _read_hugging_face(check_single_split(dataset), y, values, wants_labels=wants_labels)
    if is_loader(dataset):
        raise InputError(f"X is a loader ({type(dataset).__name__}): pass its dataset, X.dataset")
    try:
        length = len(dataset)
    except TypeError:
        raise InputError(
            f"X ({type(dataset).__name__}) has no length: pass X=None and the labels, y=…, or a map-style dataset"
        ) from None
    names = [f"{role}={value!r}" for role, value in {"y": y, **values}.items() if isinstance(value, str)]
    if names:
        raise InputError(f"{', '.join(names)} names a column, but X ({type(dataset).__name__}) has none: pass the values")
    _check_length("y", y, length)
    values = {**values, "ids": np.arange(length) if values["ids"] is None else values["ids"]}
    return (_read_labels(dataset, length) if wants_labels else y), values


def _check_length(name: str, column: Any, length: int) -> None:
    if column is not None and len(to_column(column, name)) != length:
        raise InputError(f"{name} must have one value per sample: X has {length}, {name} {len(column)}")


def _read_hugging_face(dataset: Any, y: Any, values: dict[str, Any], *, wants_labels: bool) -> tuple[Any, dict[str, Any]]:
    def column(name: str, role: str) -> Any:
        name = check_column_name(dataset.column_names, name, role)
        read = list(dataset.with_format(None)[name])
        # -1 is the library's mark of an unknown label.
        is_class = type(dataset.features[name]).__name__ == "ClassLabel"
        return object_array([None if is_class and value == -1 else value for value in read])

    if wants_labels:
        y = next((name for name in _LABEL_COLUMNS if name in dataset.column_names), None)
        if y is None:
            raise InputError(
                f"the label is missing: name its column (y=…). The columns are {join_names(dataset.column_names)}"
            )
    y = pd.Series(column(y, "label"), name=y) if isinstance(y, str) else y
    _check_length("y", y, len(dataset))
    read = {role: column(value, role) if isinstance(value, str) else value for role, value in values.items()}
    return y, {**read, "ids": np.arange(len(dataset)) if read["ids"] is None else read["ids"]}


def _read_labels(dataset: Any, length: int) -> Any:
    """Return the labels of a map-style dataset as its items hold them, ``(sample,)``; from its attribute if it has one."""
    with fixed_random_state():
        for name in _LABEL_ATTRIBUTES:
            stored = getattr(dataset, name, None)
            if stored is None or not hasattr(stored, "__len__") or len(stored) != length:
                continue
            plain = to_column(stored, "y")
            if all(plain[row] == _item_label(dataset, row) for row in spaced_rows(length)):
                return plain
        return object_array([_item_label(dataset, row) for row in range(length)])


def _item_label(dataset: Any, row: int) -> Any:
    try:
        item = dataset[row]
    except Exception as error:  # a dataset of the user may raise anything
        raise InputError(
            f"item {row} of X ({type(dataset).__name__}) cannot be read ({type(error).__name__}: {first_line(error)}): fix "
            "it, or pass X=None and the labels, y=…"
        ) from error
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(
            f"items of X must be (features, label) tuples. Got {type(item).__name__} at item {row}: pass X=None and the "
            "labels, y=…"
        )
    label = to_numpy(item[1])
    return label.item() if isinstance(label, np.ndarray | np.generic) and label.size == 1 else label


def _samples_with_own_loss(X: Any, y: Any, ids: Any, options: Mapping[str, Any]) -> Samples:
    """Return samples with nothing to predict, whose loss the learner computes.

    Raises:
        InputError: there are labels, or neither ids nor features that say how many samples there are.
    """
    if y is not None:
        raise InputError("y must be left out if task='loss': there is nothing to predict, and the learner computes the loss")
    if X is None and ids is None:
        raise InputError("the ids are missing: pass one per sample (ids=…), as there are no labels to count")
    n = len(to_column(to_series(ids, "ids"), "ids")) if X is None else len(X)
    # Read as a regression: labels of numbers are neither checked nor counted.
    others = {name: value for name, value in options.items() if name != "task"}
    samples = Samples.of(X, np.arange(n, dtype=np.float64), ids=ids, task="regression", **others)
    return replace(samples, labels=np.full(n, np.nan), loss_only=True)
