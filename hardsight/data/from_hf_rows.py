"""Rows of a Hugging Face dataset that are kept as they are, for learners that read such rows themselves."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hardsight.data import from_datasets as datasets
from hardsight.data import text as texts
from hardsight.data.columns import check_embedding, check_ids, encode_groups, normalize_weights, object_array
from hardsight.data.labels import encode_labels
from hardsight.data.samples import Samples
from hardsight.errors import InputError
from hardsight.validation import describe_rows, join_names

TASKS = ("auto", "classification", "regression", "loss")
# What a Trainer's collators take for the label.
_LABELS = ("labels", "label", "label_ids")
_ROWS_AT_ONCE = 1000


class DatasetRows:
    """A dataset that samples can be taken from; see :class:`hardsight.data.Samples`.

    Args:
        dataset: of the package ``datasets``, with all its columns.
        features: columns that make two samples equal.
        text: the column that shows a sample; None: there is none.
        outputs: which output of a model stands for each class code, ``(class,)`` int64: the label as the dataset holds it;
            None where there are no classes.
    """

    def __init__(
        self, dataset: Any, features: Sequence[str], text: str | None = None, outputs: np.ndarray | None = None
    ) -> None:
        self.dataset, self.features, self.text, self.outputs = dataset, tuple(features), text, outputs

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, at: np.ndarray) -> "DatasetRows":
        return DatasetRows(self.dataset.select(at), self.features, self.text, self.outputs)

    def describe(self, at: int) -> str:
        """One sample in words: its text, or its values column by column."""
        row = self.dataset.with_format(None)[at]
        if self.text is not None:
            return str(row[self.text])
        return "\n".join(f"{name}: {row[name]}" for name in self.features)

    def row_bytes(self) -> Iterator[bytes]:
        """Bytes that are equal for samples with equal features, one after another. Nothing is decoded."""
        table = self.dataset.select_columns(list(self.features)).with_format("arrow")
        for rows in table.iter(_ROWS_AT_ONCE):
            yield from (repr(row).encode("utf-8", "surrogatepass") for row in rows.to_pylist())


def rows_to_samples(
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
    """Samples from a Hugging Face dataset, whose rows stay as they are.

    Args:
        X: the dataset, ready for a Trainer (texts are tokens already).
        y: name of the label's column. By default the first of labels, label and label_ids.
        ids: a column's name, or values ``(sample,)``, unique; by default 0, 1, 2, ….
        groups: likewise; samples of one group never stand on both sides of a split.
        weights: likewise, 0 or more: how much each sample counts in training.
        task: "classification", "regression", or "loss": there is nothing to predict, learners say what the loss of a sample
            is. "auto": classes or numbers where every sample has one label, else "loss".
        label: what the label is called in results; also its column, where ``y`` is None.
        text: the column that shows a sample; by default the first of strings.
        embedding: how these texts become numbers for the ledger, or numbers ``(sample, feature)``.

    Raises:
        InputError: not such a dataset, columns that are not there, labels that a Trainer cannot learn.
    """
    if not datasets.is_hugging_face(X):
        raise InputError(
            f"this learner reads a Hugging Face dataset. Got {type(X).__name__}: make one with datasets.Dataset.from_list, "
            "from_dict or from_pandas"
        )
    if task not in TASKS:
        raise InputError(f"task must be one of {join_names(TASKS)}. Got {task!r}")
    datasets.check_single_split(X)
    if len(X) < 2:
        raise InputError(f"at least 2 samples are needed. Got {len(X)}: give a dataset with rows")
    columns = _Columns(X)
    column = columns.label(y if y is not None else label)
    given = {"ids": ids, "groups": groups, "weights": weights}
    roles = {role: value for role, value in given.items() if isinstance(value, str)}
    for role, name in roles.items():
        columns.check(name, role)
    known = np.arange(len(X)) if ids is None else check_ids(columns.values(ids), len(X), "ids")
    members = None if groups is None else encode_groups(columns.values(groups), len(X), "groups")
    counts = (
        None if weights is None else normalize_weights(columns.values(weights), len(X), roles.get("weights", "weights"))
    )
    if task == "auto" and (column is None or columns.listed(column)):
        task = "loss"
    codes, classes, outputs, notices = _labels(columns, column, known, task, label)
    used = {*roles.values()} if task == "loss" else {*roles.values(), column}
    features = [name for name in X.column_names if name not in used]
    if not features:
        raise InputError(
            f"the dataset has no column beside {join_names(sorted(map(str, used)))}: give the model's inputs"
        )
    shown = columns.text(text, features)
    items = DatasetRows(X, features, shown, outputs)
    numbers = None
    if not isinstance(embedding, str):
        numbers = check_embedding(embedding, len(X))
    elif shown is not None and classes is not None:
        words, odd = texts.check_texts(np.array(X.with_format(None)[shown], dtype=object), f"column {shown!r}")
        numbers, said = texts.embed(words, embedding)
        notices += [*odd, f"{said[0]} The ledger reads them; the learner does not."]
    return Samples(
        features=items,
        labels=codes,
        classes=classes,
        ids=known,
        kind="items",
        groups=members,
        embedding=numbers,
        weights=counts,
        loss_only=task == "loss",
        label_name=label or column or "label",
        notices=tuple(notices),
    )


class _Columns:
    """The columns of a dataset by what they are for."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset.with_format(None)
        self.kinds = {name: type(kind).__name__ for name, kind in dataset.features.items()}

    def check(self, name: str, role: str) -> str:
        if name not in self.kinds:
            raise InputError(f"there is no column {name!r} to use as {role}: the columns are {join_names(self.kinds)}")
        return name

    def label(self, given: Any) -> str | None:
        if given is None:
            return next((name for name in _LABELS if name in self.kinds), None)
        if not isinstance(given, str):
            raise InputError(
                "labels must stand in the dataset, where the Trainer reads them: add them as a column (add_column) and "
                "name it, y='labels'"
            )
        return self.check(given, "label")

    def values(self, given: Any) -> Any:
        return list(self.dataset[given]) if isinstance(given, str) else given

    def listed(self, name: str) -> bool:
        """Whether every value of a column is a list, such as the labels of tokens."""
        return isinstance(self.dataset[0][name], list)

    def text(self, given: str | None, features: Sequence[str]) -> str | None:
        if given is not None:
            return self.check(given, "text")
        strings = (name for name in features if getattr(self.dataset.features[name], "dtype", None) == "string")
        return next(strings, None)


def _labels(
    columns: _Columns, column: str | None, ids: np.ndarray, task: str, name: str | None
) -> tuple[np.ndarray, tuple[Any, ...] | None, np.ndarray | None, list[str]]:
    """Codes, their classes and the model's outputs for them; or targets; or NaN where there is nothing to predict."""
    if task == "loss":
        return np.full(len(ids), np.nan), None, None, []
    if column is None:
        raise InputError(f"the label is missing: name its column (y=…). The columns are {join_names(columns.kinds)}")
    if columns.listed(column):
        raise InputError(f"column {column!r} holds lists, and a label is one value a sample: pass task='loss'")
    values = object_array(list(columns.dataset[column]))
    if any(isinstance(value, str) for value in values):
        raise InputError(
            f"column {column!r} holds text, which a Trainer cannot learn: make it class codes, "
            f"dataset.class_encode_column({column!r})"
        )
    codes, classes, notices = encode_labels(values, ids=ids, task=task, name=name or column)
    if classes is None:
        return codes, None, None, notices
    outputs = np.array(classes).astype(np.int64)
    if outputs.min() < 0:
        at = values < 0
        raise InputError(
            f"column {column!r} is below 0 in {at.sum()} samples ({describe_rows(at, ids)}): label them or leave them out"
        )
    if columns.kinds[column] == "ClassLabel":
        names = columns.dataset.features[column].names
        classes = tuple(names[code] for code in outputs)
    return codes, classes, outputs, notices
