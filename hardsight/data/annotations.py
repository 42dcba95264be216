"""Labels by several annotators: long tables of (item, annotator, label), or wide ones with a column per annotator."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.columns import check_column_name, encode_values, to_names
from hardsight.data.conversion import object_array, to_numpy, to_pandas
from hardsight.data.frames import unique_names
from hardsight.data.labels import encode_labels, missing_labels
from hardsight.data.spellings import check_spellings
from hardsight.errors import Faults, InputError
from hardsight.validation import join_examples

_MAX_EXAMPLES = 3
# An annotator of so many labels shares one with another annotator.
_MANY_LABELS = 5
# With fewer labels per item, annotators alone can be worse than the majority (benchmarks/annotators.md).
_FEW_LABELS = 2
# Names of annotators in a matrix, and of labels in a wide table.
_LABEL = "label"


@dataclass(frozen=True, eq=False)
class Annotations:
    """Labels that several annotators gave to items; make them with :meth:`Annotations.of`.

    Attributes:
        items: names of the items, sorted, ``(item,)`` int64 or str; each has at least one annotation.
        annotators: names of the annotators, sorted, ``(annotator,)`` int64 or str; each has at least one annotation.
        classes: the labels that the codes stand for, sorted.
        item: position of each annotation's item in ``items``, ``(annotation,)`` int64.
        annotator: position of its annotator in ``annotators``, ``(annotation,)`` int64.
        label: position of its label in ``classes``, ``(annotation,)`` int64.
        notices: what a user should know about how the data was read, one sentence each.
    """

    items: np.ndarray
    annotators: np.ndarray
    classes: tuple[Any, ...]
    item: np.ndarray
    annotator: np.ndarray
    label: np.ndarray
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        """Return one line: how many annotations of how many items by how many annotators."""
        return (
            f"Annotations({len(self):,} of {len(self.items):,} items by {len(self.annotators):,} annotators, "
            f"{len(self.classes):,} classes)"
        )

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        item: str | None = None,
        annotator: str | None = None,
        label: str | None = None,
        merge_spellings: bool = False,
    ) -> "Annotations":
        """Make annotations from a table.

        Args:
            data: a long table, one row per annotation, if ``annotator`` and ``label`` are set; otherwise a wide one, one row
                per item and one column per annotator, where missing values (None, NaN, blank text) are labels that were not
                given: a frame, an array ``(item, annotator)`` or nested lists. Labels are text, integers or booleans.
            item: the column of the items. Required for a long table; of a wide one, the index names the items by default.
            annotator: the column of the annotators, for a long table.
            label: the column of the labels, for a long table.
            merge_spellings: whether classes, and annotators, that differ only in case, blanks or the encoding of letters are
                one, in their most frequent spelling. Otherwise a notice names them.

        Raises:
            InputError: data that cannot be used; all faults at once.

        >>> table = {"photo": [1, 1, 2, 2], "who": ["ann", "bob", "ann", "bob"], "said": ["cat", "cat", "dog", "cat"]}
        >>> Annotations.of(pd.DataFrame(table), item="photo", annotator="who", label="said")
        Annotations(4 of 2 items by 2 annotators, 2 classes)
        >>> Annotations.of([["cat", "cat", None], ["dog", "cat", "dog"]]).annotators.tolist()
        [0, 1, 2]
        """
        table = to_pandas(data)
        if (annotator is None) != (label is None):
            absent, present = ("annotator", label) if annotator is None else ("label", annotator)
            raise InputError(
                f"{absent} is missing: name its column ({absent}, --{absent}), or leave out {present!r} too if every "
                "annotator has a column"
            )
        notices: list[str] = []
        if annotator is not None and label is not None:
            rows = _read_long(table, item, annotator, label, notices)
        else:
            rows = _read_wide(table, item, notices)
        return _encode(rows, label or _LABEL, notices, merge_spellings=merge_spellings)


class _Rows(NamedTuple):
    """One row per annotation."""

    items: Any
    annotators: Any
    labels: np.ndarray  # object, none missing


def _read_long(table: Any, item: str | None, annotator: str, label: str, notices: list[str]) -> _Rows:
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"a long table of annotations must be a DataFrame. Got {type(table).__name__}: pass a DataFrame")
    table = unique_names(table)
    roles = {"item": item, "annotator": annotator, "label": label}
    faults, taken = Faults(), dict[str, str]()
    for role, name in roles.items():
        with faults.collect():
            if name is None:
                raise InputError("item is missing: name the column of the items (item, --item)")
            check_column_name(table.columns, name, role)
            if name in taken:
                raise InputError(f"column {name!r} cannot be both {taken[name]} and {role}: name another column")
            taken[name] = role
    faults.raise_all()
    labels = table[label].to_numpy(dtype=object)
    missing = missing_labels(labels)
    if missing.all():
        raise InputError(f"column {label!r} holds no labels: name another column")
    if missing.any():
        notices.append(f"Rows without a label in {label!r} were left out: {missing.sum():,} of {len(missing):,}.")
    kept = table[~missing]
    return _Rows(kept[item], kept[annotator], labels[~missing])


def _read_wide(table: Any, item: str | None, notices: list[str]) -> _Rows:
    frame = table if isinstance(table, pd.DataFrame) else _matrix_frame(table)
    items: Any = frame.index
    if item is not None:
        frame = unique_names(frame)
        items = frame[check_column_name(frame.columns, item, "item")]
        frame = frame.drop(columns=item)
    elif not frame.index.is_unique:
        raise InputError("the index repeats items: name the column of the items (item, --item), or reset the index")
    values = frame.to_numpy(dtype=object)
    given = ~missing_labels(values.reshape(-1)).reshape(values.shape)
    if not given.any():
        raise InputError("the table holds no labels: pass one column per annotator")
    for kept, name, what in ((given.any(1), "items", items), (given.any(0), "annotators", frame.columns)):
        if not kept.all():
            names = join_examples(np.asarray(what)[~kept].tolist(), _MAX_EXAMPLES)
            notices.append(f"Left out, {name} without a label: {names}.")
    if np.asarray(pd.Series(np.asarray(items)).duplicated()).any():
        raise InputError(
            "every item must have one row if every annotator has a column, but an item appears twice: name the columns of "
            "the annotators and labels (annotator, label) if there is one row per annotation"
        )
    row, column = np.nonzero(given)
    labels = values[row, column]
    _check_columns(frame, column, labels)
    return _Rows(np.asarray(items)[row], np.asarray(frame.columns)[column], labels)


def _matrix_frame(matrix: Any) -> pd.DataFrame:
    values = to_numpy(matrix)
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        values = values.data.astype(object)
        values[masked] = None
    try:
        array = np.asarray(values, dtype=object)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.ndim != 2:
        raise InputError(
            "annotations must be a table, one row per annotation or one column per annotator. Got another shape: pass a "
            "DataFrame, or rows of the same length"
        )
    return pd.DataFrame(array)


def _check_columns(frame: pd.DataFrame, column: np.ndarray, labels: np.ndarray) -> None:
    """Refuse columns that share no value with the others, such as a text or an id: they are no annotators' labels."""
    codes = pd.factorize(object_array([(type(value).__name__, value) for value in labels.tolist()]))[0]
    count = pd.Series(column).value_counts()
    pairs = pd.DataFrame({"column": column, "code": codes}).drop_duplicates()
    is_shared = pairs.groupby("code")["column"].transform("size") > 1
    of_column = pd.DataFrame({"shared": is_shared.groupby(pairs["column"]).any(), "count": count})
    all_differ = (pairs.groupby("column").size() == of_column["count"]) & (of_column["count"] > 1)
    foreign = ~of_column["shared"] & (all_differ | (of_column["count"] >= _MANY_LABELS))
    names = [frame.columns[position] for position in foreign.index[foreign]]
    if names and len(of_column) > 1:
        raise InputError(
            f"no other column holds the values of {join_examples(names, _MAX_EXAMPLES)}: leave out columns that are not an "
            "annotator's labels (--drop), and name that of the items (item, --item)"
        )


def _refuse_measurements(classes: tuple[Any, ...] | None, n_items: int, label: str) -> None:
    """Refuse numbers of which there are more different ones than items: they are measurements, not classes.

    Raises:
        InputError: labels are such numbers.
    """
    are_numbers = classes is not None and all(isinstance(each, int | float) for each in classes)
    if classes is not None and are_numbers and len(classes) > n_items:
        raise InputError(
            f"label {label!r} has {len(classes):,} different numbers for {n_items:,} items, which are no classes: round "
            "them into a few classes, or measure their mean per item with hs.measure"
        )


def _encode(rows: _Rows, label: str, notices: list[str], *, merge_spellings: bool) -> Annotations:
    n, faults = len(rows.labels), Faults()
    items = annotators = np.zeros(n, dtype=np.int64)
    classes: tuple[Any, ...] | None = None
    codes = items
    with faults.collect():
        items = to_names(rows.items, n, "items")
    with faults.collect():
        annotators = to_names(rows.annotators, n, "annotators")
        annotators, similar = check_spellings(annotators.astype(object), "Annotators", merge=merge_spellings)
        notices.extend(similar)
    with faults.collect():
        encoded = encode_labels(
            rows.labels, ids=np.arange(n), task="classification", name=label, merge_spellings=merge_spellings
        )
        codes, classes = encoded.values, encoded.classes
        _refuse_measurements(classes, len(np.unique(items)), label)
        notices.extend(encoded.notices)
    faults.raise_all()
    assert classes is not None
    item, item_names = encode_values(items)
    who, annotator_names = encode_values(annotators)
    with faults.collect():
        _check_annotators(annotator_names)
    kept = np.arange(n)
    with faults.collect():
        kept = _first_of_repeated(item, who, codes, item_names, annotator_names, classes, notices)
    faults.raise_all()
    annotations = Annotations(
        _name_array(item_names), _name_array(annotator_names), classes, item[kept], who[kept], codes[kept]
    )
    return Annotations(**{**vars(annotations), "notices": (*notices, *_describe_overlap(annotations))})


def _name_array(names: list[Any]) -> np.ndarray:
    return np.array(names, dtype=np.int64 if isinstance(names[0], int) else str)


def _check_annotators(names: list[Any]) -> None:
    if len(names) < 2:
        raise InputError(
            f"all labels are by the annotator {names[0]!r}: at least two annotators are needed. For one label per sample, "
            "use hs.measure (hardsight measure)"
        )


def _first_of_repeated(
    item: np.ndarray,
    annotator: np.ndarray,
    label: np.ndarray,
    items: list[Any],
    annotators: list[Any],
    classes: tuple[Any, ...],
    notices: list[str],
) -> np.ndarray:
    """Return the rows of annotations, the first of each that is repeated.

    Raises:
        InputError: an annotator gave an item different labels.
    """
    pair = item * len(annotators) + annotator
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    differs = label != label[first][inverse]
    if differs.any():
        row = int(np.argmax(differs))
        start = int(first[inverse[row]])
        n_pairs = len(np.unique(pair[differs]))
        others = f" ({n_pairs:,} such cases)" if n_pairs > 1 else ""
        raise InputError(
            f"annotator {annotators[annotator[row]]!r} gave item {items[item[row]]!r} two labels, "
            f"{classes[label[start]]!r} and {classes[label[row]]!r}{others}: keep one of them"
        )
    if len(first) < len(item):
        notices.append(f"Repeated annotations were left out: {len(item) - len(first):,}.")
    return np.sort(first)


def _describe_overlap(annotations: Annotations) -> list[str]:
    """Return notices of annotators with one item, of too few labels per item, and of a label that may stand for none."""
    notices = []
    single = np.bincount(annotations.annotator) == 1
    if single.any():
        names = join_examples(annotations.annotators[single].tolist(), _MAX_EXAMPLES)
        notices.append(f"Annotators with a single item are judged like the average annotator: {names}.")
    n_labels, n_items = len(annotations.item), len(annotations.items)
    if n_items < n_labels < _FEW_LABELS * n_items:
        notices.append(
            f"There are {n_labels / n_items:.1f} labels per item, too few to judge annotators by each other alone: P(wrong) "
            "can be far off without held-out models (X, --features)."
        )
    if -1 in annotations.classes:
        notices.append("The label -1 counts as a class. If it says that no label was given, replace it by a missing value.")
    if n_labels == n_items:
        notices.append(
            "No item has more than one label, so annotators never agree or disagree: only held-out models can tell which "
            "labels are wrong."
        )
    return notices
