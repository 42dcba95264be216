"""Leaks between splits: samples of a test set that are copies of samples of the training set."""

import warnings
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.copies.across import CopiesAcross, find_copies_across
from hardsight.data import Samples
from hardsight.data.columns import check_column_name
from hardsight.data.conversion import to_pandas
from hardsight.data.from_datasets import is_hugging_face
from hardsight.data.from_files import find_reader, read_file
from hardsight.data.from_tables import read_frame
from hardsight.data.npy_files import read_npy
from hardsight.data.read_options import ReadOptions
from hardsight.data.sparse import count_rows
from hardsight.errors import HardsightWarning, InputError
from hardsight.io.csv_cells import same_cell
from hardsight.validation import join_names

_MAX_COLUMNS = 8
_DIFFERING, _EXACT = "labels_differ", "exact"


class Leaks(NamedTuple):
    """Pairs of copies across a training and a test set."""

    table: pd.DataFrame  # see :func:`leaks`
    notices: list[str]  # what a user should know of the comparison
    train_size: int
    test_size: int

    def describe(self, test_name: str) -> str:
        """Return how many test samples are copies of training samples, and how many of them have another label."""
        table = self.table
        copied = table["test_id"].nunique()
        if not copied:
            return f"No sample of {test_name} ({self.test_size:,}) is a copy of a sample here."
        exact = table.loc[table[_EXACT], "test_id"].nunique()
        verb = "is a copy" if copied == 1 else "are copies"
        text = f"Of {self.test_size:,} samples of {test_name}, {copied:,} {verb} of samples here, {exact:,} exactly"
        if _DIFFERING in table:
            text += f"; {table.loc[table[_DIFFERING], 'test_id'].nunique():,} with another label"
        return f"{text}: leaks.csv lists them. Scores on it are too good: remove them from one of the two."


class _Side(NamedTuple):
    """One of the two sets."""

    samples: Samples  # their labels mean nothing
    labels: np.ndarray | None  # as given, ``(sample,)`` object; None if they are unknown
    ignored: tuple[str, ...] = ()  # columns that are no features


def leaks(
    train: Any, test: Any, y_train: Any = None, y_test: Any = None, *, near: bool = True, **options: Any
) -> pd.DataFrame:
    """Find samples of a test set that are copies of samples of the training set.

    Columns of tables are matched by name. Columns that only ``test`` has are not compared, which a warning says.

    Args:
        train: a path, as :func:`hardsight.read` takes it; a frame, an array, texts, images or a dataset, as
            :meth:`hardsight.Samples.of` takes them; or :class:`hardsight.Samples`.
        test: the same.
        y_train: labels of data in memory, ``(sample,)``, or the name of their column, so that
            ``leaks(*train_test_split(X, y))`` works. None: ``label`` names their column, or they are unknown.
        y_test: the same of ``test``.
        near: whether near copies count, too.
        options: those of :func:`hardsight.read`, for both: ``label``, ``id``, ``group``, ``weights``, ``text``, ``drop``, ….

    Returns:
        One row per pair of copies, with columns ``train_id``, ``test_id``, ``exact`` (whether all features are equal) and,
        as far as labels are known, ``train_label``, ``test_label`` and ``labels_differ``. Pairs whose labels differ come
        first, then exact copies, in the order given otherwise.

    Raises:
        InputError: data that cannot be read or compared, columns of ``train`` that ``test`` lacks, or an unknown option.
    """
    known = [field.name for field in fields(ReadOptions)]
    for name in options:
        if name not in known:
            raise InputError(f"there is no option {name!r}: use those of hs.read ({', '.join(known)})")
    read_options = ReadOptions(**options)
    result = compare(_read_side(train, y_train, read_options), _read_side(test, y_test, read_options), near=near)
    for notice in result.notices:
        warnings.warn(notice, HardsightWarning, stacklevel=2)
    return result.table


def find_leaks(train: Samples, test: Path, options: ReadOptions) -> Leaks:
    """Find samples in a file or folder that are copies of samples read with the same options; see :func:`leaks`."""
    return compare(_read_side(train, None, options), _read_side(test, None, options))


def compare(train: _Side, test: _Side, *, near: bool = True) -> Leaks:
    """Compare two sets; see :func:`leaks`."""
    notices: list[str] = []
    first, second = train.samples, test.samples
    if first.kind == "table" and second.kind == "table":
        first, second = _align_columns(first, test, notices)
    pairs = find_copies_across(first, second, near=near)
    if pairs.by_chance:
        notices.append(
            "Most samples of both sets are equal to others, as rows of few categories are by chance: none is called a copy."
        )
    return Leaks(_make_table(train, test, pairs), notices, len(train.samples), len(second))


def _align_columns(train: Samples, test: _Side, notices: list[str]) -> tuple[Samples, Samples]:
    """Return both with the columns of the training samples, in their order, and with the same types.

    Columns that reading left out of the test's features, such as constant ones, are taken as they came.

    Raises:
        InputError: columns of the training samples are missing.
    """
    used, came = test.samples.features, test.samples.original
    came = used if came is None else came
    missing = [str(name) for name in train.features if name not in used and name not in came]
    if missing:
        raise InputError(
            f"the test set lacks {join_names(missing, _MAX_COLUMNS)}, which the training set has: name the columns alike, "
            f"or leave them out (drop={missing[:_MAX_COLUMNS]!r}, --drop)"
        )
    trained = train.features if train.original is None else train.original
    extra = [str(name) for name in came if name not in trained and name not in train.features and name not in test.ignored]
    if extra:
        notices.append(f"Columns that only the test set has are not compared: {join_names(extra, _MAX_COLUMNS)}.")
    pairs = {
        name: _match_types(train.features[name], used[name] if name in used else came[name].reset_index(drop=True))
        for name in train.features
    }
    first, second = (pd.DataFrame({name: pair[side] for name, pair in pairs.items()}) for side in (0, 1))
    return replace(train, features=first), replace(test.samples, features=second)


def _match_types(first: pd.Series, second: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return two columns unchanged, or as categories if only one is of numbers: a stray text makes a column of texts."""
    numeric = [pd.api.types.is_numeric_dtype(column) for column in (first, second)]
    if numeric[0] == numeric[1]:
        return first, second
    return _spell_numbers(first), _spell_numbers(second)


def _spell_numbers(column: pd.Series) -> pd.Series:
    """Return a column as categories in which equal numbers are spelled alike."""
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    texts = column.astype(object).where(numbers.isna(), numbers.astype(float).map(repr))
    return texts.astype("category")


def _make_table(train: _Side, test: _Side, pairs: CopiesAcross) -> pd.DataFrame:
    columns: dict[str, Any] = {"train_id": train.samples.ids[pairs.first], "test_id": test.samples.ids[pairs.second]}
    if train.labels is not None:
        columns["train_label"] = train.labels[pairs.first]
    if test.labels is not None:
        columns["test_label"] = test.labels[pairs.second]
    differ = np.zeros(len(pairs.first), dtype=bool)
    if train.labels is not None and test.labels is not None:
        differ = _labels_differ(columns["train_label"], columns["test_label"])
        columns[_DIFFERING] = differ
    columns[_EXACT] = pairs.exact
    order = np.lexsort((pairs.second, pairs.first, ~pairs.exact, ~differ))
    return pd.DataFrame(columns).iloc[order].reset_index(drop=True)


def _labels_differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return whether labels differ, ``(pair,)`` bool; a missing one differs from none, and 1 is the same as 1.0."""
    missing = pd.isna(first) | pd.isna(second)
    texts = [np.array([str(label) for label in labels], dtype=object) for labels in (first, second)]
    pairs = pd.DataFrame({"a": texts[0], "b": texts[1]})
    # Each pair of labels is compared once.
    group = pairs.groupby(["a", "b"], sort=False).ngroup().to_numpy()
    kinds = pairs.drop_duplicates(ignore_index=True)
    differ = np.array([not same_cell(a, b) for a, b in kinds.itertuples(index=False)], dtype=bool)
    result: np.ndarray = differ[group] & ~missing if len(group) else np.zeros(0, dtype=bool)
    return result


def _read_side(data: Any, y: Any, options: ReadOptions) -> _Side:
    if isinstance(data, Samples):
        return _Side(data, None if data.loss_only else _label_names(data))
    if isinstance(data, str | PathLike):
        return _read_path(Path(data), options)
    data = data if is_hugging_face(data) else to_pandas(data)
    if isinstance(data, pd.DataFrame):
        return _from_frame(data, y, options)
    if isinstance(data, np.ndarray | list | pd.Series) or hasattr(data, "shape"):
        samples = Samples.of(data, _placeholder(count_rows(data)), embedding=options.embedding)
        return _Side(samples, None if y is None else _check_labels(y, len(samples)))
    return _read_side(
        Samples.of(data, y, label=options.label, text=options.text, embedding=options.embedding), None, options
    )


def _read_path(place: Path, options: ReadOptions) -> _Side:
    reader = find_reader(place) if place.exists() else None
    if place.suffix.lower() == ".npy" and place.is_file() and not _has_labels_beside(place, options):
        return _read_side(read_npy(place), None, options)
    if reader is None:
        return _read_side(read_file(place, options), None, options)
    # A test set may have no labels, or those of one class.
    return _from_frame(read_frame(place, reader, options), None, options)


def _has_labels_beside(place: Path, options: ReadOptions) -> bool:
    """Return whether the labels of an array are in a file beside it; one at the very path belongs to the other set."""
    label = options.label
    return label is not None and (place.parent / label).is_file() and not Path(label).is_file()


def _from_frame(frame: pd.DataFrame, y: Any, options: ReadOptions) -> _Side:
    label = y if isinstance(y, str) else options.label
    labels = None if y is None or isinstance(y, str) else _check_labels(y, len(frame))
    if isinstance(y, str):
        check_column_name(frame.columns, y, "label")
    if labels is None and label in frame:
        labels = frame[label].to_numpy(dtype=object)
    roles = {name for role, name in options.columns.items() if role in ("group", "weights")} | {label, *options.drop}
    features = frame.drop(columns=[name for name in frame if name in roles])
    samples = Samples.of(features, _placeholder(len(frame)), ids=options.id, text=options.text, embedding=options.embedding)
    return _Side(samples, labels, tuple(str(name) for name in roles if name is not None))


def _check_labels(y: Any, n: int) -> np.ndarray:
    labels = np.asarray(y, dtype=object)
    if labels.shape != (n,):
        raise InputError(f"there must be one label per sample, ({n},). Got {labels.shape}")
    return labels


def _placeholder(n: int) -> np.ndarray:
    """Return labels that mean nothing, for samples that need some."""
    return np.arange(n) % 2


def _label_names(samples: Samples) -> np.ndarray:
    labels = samples.labels if samples.classes is None else [samples.classes[code] for code in samples.labels]
    return np.array(labels, dtype=object)
