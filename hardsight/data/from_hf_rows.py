"""Conversion of Hugging Face datasets whose rows are kept as they are, for learners that read such rows themselves."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import Arguments, RawSamples, check_column_name, check_embedding
from hardsight.data.conversion import object_array
from hardsight.data.embeddings import load_embedding
from hardsight.data.encoder import Encoder
from hardsight.data.from_datasets import check_single_split, has_transform, is_hugging_face
from hardsight.data.item_reading import changed_item, fixed_random_state
from hardsight.data.labels import encode_labels
from hardsight.data.samples import Samples
from hardsight.data.text import check_texts, embed_texts
from hardsight.data.unlabelled import describe_unlabelled, find_labelled, take_labelled, take_rows
from hardsight.errors import InputError
from hardsight.validation import check_choice, describe_rows, join_names

TASKS = ("auto", "classification", "regression", "loss")
# What a Trainer's collators take for the label.
_LABELS = ("labels", "label", "label_ids")
_BATCH_ROWS = 1000


class DatasetRows:
    """A dataset that samples can be taken from; see :class:`hardsight.Samples`.

    Args:
        dataset: of the package ``datasets``, with all its columns.
        features: columns that make two samples equal.
        text: the column that shows a sample; None if there is none.
        outputs: which output of a model belongs to each class code, ``(class,)`` int64: the label as the dataset holds it.
            None if there are no classes.
    """

    def __init__(
        self, dataset: Any, features: Sequence[str], text: str | None = None, outputs: np.ndarray | None = None
    ) -> None:
        self.dataset, self.features, self.text, self.outputs = dataset, tuple(features), text, outputs

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, rows: np.ndarray) -> "DatasetRows":
        return DatasetRows(self.dataset.select(rows), self.features, self.text, self.outputs)

    def append(self, other: "DatasetRows") -> "DatasetRows":
        """Return the rows of both, without the labels' outputs.

        Raises:
            InputError: the other dataset lacks a column.
        """
        from datasets import concatenate_datasets

        missing = [name for name in self.features if name not in other.dataset.column_names]
        if missing:
            raise InputError(f"the second dataset lacks {', '.join(map(repr, missing))}: pass datasets of the same columns")
        parts = [rows.dataset.select_columns(list(self.features)).with_format(None) for rows in (self, other)]
        return DatasetRows(concatenate_datasets(parts), self.features, self.text)

    def describe(self, row: int) -> str:
        """Describe one sample: its text, or its values column by column."""
        values = self.dataset.with_format(None)[row]
        if self.text is not None:
            return str(values[self.text])
        return "\n".join(f"{name}: {values[name]}" for name in self.features)

    def row_bytes(self) -> Iterator[bytes]:
        """Yield bytes per sample, equal for samples with equal features. Nothing is decoded."""
        table = self.dataset.select_columns(list(self.features)).with_format("arrow")
        for batch in table.iter(_BATCH_ROWS):
            yield from (repr(row).encode("utf-8", "surrogatepass") for row in batch.to_pylist())


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
    unlabelled: str = "drop",
    merge_spellings: bool = False,
) -> Samples:
    """Convert a Hugging Face dataset to samples whose rows stay as they are.

    Args:
        X: the dataset, ready for a Trainer (texts are tokens already).
        y: name of the label's column. By default the first of labels, label and label_ids.
        ids: a column's name, or values ``(sample,)``, unique; by default 0, 1, 2, ….
        groups: a column's name or values; samples of one group stay on one side of every split.
        weights: a column's name or values, 0 or more: how much each sample counts in training.
        task: "classification", "regression", or "loss" if there is nothing to predict and learners compute the loss of a
            sample. "auto": classes or numbers if every sample has one label, else "loss".
        label: what the label is called in results; also its column if ``y`` is None.
        text: the column that shows a sample; by default the first column of strings.
        embedding: how these texts become numbers for the ledger, or numbers ``(sample, feature)``.
        unlabelled: "drop" leaves out rows whose label is missing (None, or -1 of a ClassLabel); "refuse" raises an error.
        merge_spellings: must be False: a Trainer reads the labels of the dataset.

    Raises:
        InputError: not such a dataset, columns that are not there, or labels that a Trainer cannot learn.
    """
    if not is_hugging_face(X):
        raise InputError(
            f"X must be a Hugging Face dataset, which this learner reads. Got {type(X).__name__}: make one with "
            "datasets.Dataset.from_list, from_dict or from_pandas"
        )
    check_choice("task", task, TASKS)
    if merge_spellings:
        raise InputError(
            "merge_spellings cannot change the labels that a Trainer reads: merge them in the dataset, with map"
        )
    embedding, _ = load_embedding(embedding)
    check_indexes(ids=ids, groups=groups, weights=weights, embedding=embedding)
    columns = _Columns(check_single_split(X))
    raw = columns.resolve(Arguments(X, y, ids, groups, weights, label, text))
    column = raw.label_name
    if task == "auto" and (column is None or columns.holds_lists(column)):
        task = "loss"
    labelled = None if task == "loss" or column is None else _find_labelled(columns, column, label or column, unlabelled)
    notices = _describe_random_rows(X)
    if labelled is not None:
        notices.append(describe_unlabelled(label or column or "label", len(X) - len(labelled), len(X), None))
        X, raw = X.select(labelled), take_labelled(raw, labelled)
        columns, embedding = (
            _Columns(X),
            embedding if isinstance(embedding, str | Encoder) else take_rows(embedding, labelled),
        )
    per_sample = raw.check_columns()
    roles = {name for name in (ids, groups, weights, None if task == "loss" else column) if isinstance(name, str)}
    features = [name for name in X.column_names if name not in roles]
    if not features:
        raise InputError(f"the dataset has no column beside {join_names(sorted(roles))}: add the model's inputs")
    labels = _encode_labels(columns, column, per_sample.ids, task, label)
    shown = columns.text_column(text, features)
    numbers, more = _embed(X, shown, embedding, has_classes=labels.classes is not None)
    return Samples(
        features=DatasetRows(X, features, shown, labels.outputs),
        labels=labels.values,
        classes=labels.classes,
        ids=per_sample.ids,
        kind="items",
        groups=per_sample.groups,
        embedding=numbers,
        weights=per_sample.weights,
        loss_only=task == "loss",
        label_name=label or column or "label",
        notices=(*notices, *labels.notices, *more),
    )


def _describe_random_rows(dataset: Any) -> list[str]:
    """Return a notice if the dataset's own transform changes its rows at every reading."""
    if not has_transform(dataset):
        return []
    with fixed_random_state():
        row = changed_item(dataset.__getitem__, len(dataset))
    if row is None:
        return []
    notice = f"Item {row} of the dataset changes when it is read again: its transform (set_transform) is random"
    return [f"{notice}, in prediction as in training. Set one without augmentation, and augment in the model itself."]


def _find_labelled(columns: "_Columns", column: str, name: str, mode: str) -> np.ndarray | None:
    """Return the rows that have a label; None if all have one.

    Raises:
        InputError: a mode that these samples do not allow, or fewer than two labels.
    """
    if mode == "predict":
        raise InputError(
            "unlabelled='predict' is not for this learner: leave it out, and predict those rows with a model of your own"
        )
    if columns.holds_lists(column):
        return None
    values = object_array(list(columns.dataset[column]))
    if columns.kinds[column] == "ClassLabel":
        # -1 is the library's mark of an unknown label.
        values = object_array([None if value == -1 else value for value in values])
    return find_labelled(values, name, len(values), mode)


class _Columns:
    """The columns of a dataset by what they are for."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset.with_format(None)
        self.kinds = {name: type(kind).__name__ for name, kind in dataset.features.items()}

    def resolve(self, args: Arguments) -> RawSamples:
        """Look up the columns that were named for a role. The features are the dataset itself."""
        raw = RawSamples(self.dataset, "items", label_name=self._label_column(args.label if args.y is None else args.y))
        for role in ("ids", "groups", "weights"):
            value = getattr(args, role)
            if isinstance(value, str):
                raw.names[role] = f"{role} (column {check_column_name(self.kinds, value, role)!r})"
                value = list(self.dataset[value])
            setattr(raw, role, value)
        return raw

    def _label_column(self, name: Any) -> str | None:
        if name is None:
            return next((name for name in _LABELS if name in self.kinds), None)
        if not isinstance(name, str):
            raise InputError(
                "labels must be a column of the dataset, where the Trainer reads them: add one (add_column) and name it, "
                "y='labels'"
            )
        return check_column_name(self.kinds, name, "label")

    def holds_lists(self, name: str) -> bool:
        """Return whether the values of a column are lists, such as the labels of tokens."""
        return isinstance(self.dataset[0][name], list)

    def text_column(self, name: str | None, features: Sequence[str]) -> str | None:
        if name is not None:
            return check_column_name(self.kinds, name, "text")
        strings = (name for name in features if getattr(self.dataset.features[name], "dtype", None) == "string")
        return next(strings, None)


class _Labels(NamedTuple):
    """Labels of the samples: codes, targets, or NaN if there is nothing to predict; and the model's output of each class."""

    values: np.ndarray
    classes: tuple[Any, ...] | None = None
    outputs: np.ndarray | None = None
    notices: Sequence[str] = ()


def _encode_labels(columns: _Columns, column: str | None, ids: np.ndarray, task: str, name: str | None) -> _Labels:
    if task == "loss":
        return _Labels(np.full(len(ids), np.nan))
    if column is None:
        raise InputError(f"the label is missing: name its column (y=…). The columns are {join_names(columns.kinds)}")
    if columns.holds_lists(column):
        raise InputError(f"column {column!r} must hold one label per sample. Got lists: pass task='loss'")
    values = object_array(list(columns.dataset[column]))
    if any(isinstance(value, str) for value in values):
        raise InputError(
            f"column {column!r} holds text, which a Trainer cannot learn: make it class codes, "
            f"dataset.class_encode_column({column!r})"
        )
    codes, classes, notices = encode_labels(values, ids=ids, task=task, name=name or column)
    if classes is None:
        return _Labels(codes, notices=notices)
    outputs = np.array(classes).astype(np.int64)
    if outputs.min() < 0:
        unlabelled = values < 0
        raise InputError(
            f"column {column!r} is below 0 in {unlabelled.sum()} samples ({describe_rows(unlabelled, ids)}): label them or "
            "leave them out"
        )
    if columns.kinds[column] == "ClassLabel":
        names = columns.dataset.features[column].names
        classes = tuple(names[code] for code in outputs)
    return _Labels(codes, classes, outputs, notices)


def _embed(dataset: Any, column: str | None, embedding: Any, *, has_classes: bool) -> tuple[np.ndarray | None, list[str]]:
    """Return numbers for the texts that show the samples, which only the ledger of classes reads; and notices."""
    if not isinstance(embedding, str | Encoder):
        return check_embedding(embedding, len(dataset)), []
    if column is None or not has_classes:
        return None, []
    texts, notices = check_texts(object_array(list(dataset.with_format(None)[column])), f"column {column!r}")
    numbers, (notice, *_) = embed_texts(texts, embedding)
    return numbers, [*notices, f"{notice} The ledger reads them; the learner does not."]
