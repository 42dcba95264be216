"""Samples with several labels each: found among the arguments, and made parts, one per sample and label."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.columns import Arguments, check_column_name
from hardsight.data.conversion import object_array, to_pandas
from hardsight.data.from_datasets import is_hugging_face, read_lists_of_labels
from hardsight.data.label_matrix import (
    NOT_ASKED,
    LabelMatrix,
    holds_several,
    leave_out_constant,
    read_delimited,
    read_label_matrix,
    read_matrix,
)
from hardsight.data.labelled_parts import Parts, as_parts
from hardsight.data.samples import Samples
from hardsight.data.sparse import count_rows
from hardsight.data.unlabelled import join_unlabelled
from hardsight.errors import InputError
from hardsight.validation import join_names

NO, YES = "no", "yes"
KIND = "label"
# Pairs of written values of a column of zeros and ones, in lower case: without the label, and with it.
BINARY_SPELLINGS = (("0", "1"), ("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("0.0", "1.0"))
_NONE = "none of them"


class LabelSets(NamedTuple):
    """Samples with several labels each."""

    X: Any  # the features, without the columns of labels
    matrix: LabelMatrix
    name: str  # of the labels together
    row_names: pd.Index | None  # index that the labels came with
    notices: list[str]

    def strata(self) -> Any:
        """Return what splits are stratified by: each sample's rarest label, as a code from 1, and 0 for none; ``(sample,)``.

        Samples of which no label is known have None.
        """
        has = self.matrix.values == 1
        order = np.argsort(has.sum(0), kind="stable")
        rarest = np.where(has.any(1), order[has[:, order].argmax(1)] + 1, 0)
        unknown = (self.matrix.values == NOT_ASKED).all(1)
        codes = object_array([None if missing else int(code) for code, missing in zip(rarest, unknown, strict=True)])
        return codes if self.row_names is None else pd.Series(codes, index=self.row_names, dtype=object)

    def split(self, whole: Samples, *, predict: bool = False) -> Samples:
        """Return one part per sample and label that is known.

        Args:
            whole: the samples that have a label, with the strata as labels.
            predict: whether models shall predict what is not known: then :attr:`Samples.unlabelled` has one part per sample
                and label that is not, also of samples of which other labels are known.
        """
        matrix = self.matrix.take((self.matrix.values != NOT_ASKED).any(1))
        classes = tuple(_NONE if code == 0 else matrix.names[code - 1].item() for code in whole.classes or ())
        notices = [*self.notices, *matrix.notices, *whole.notices]
        n_incomplete = int((matrix.values == NOT_ASKED).any(1).sum())
        if predict and n_incomplete:
            notices.append(f"Of {n_incomplete:,} samples only some labels are known: the others are predicted.")
        others, whole = whole.unlabelled, replace(whole, classes=classes, notices=(), unlabelled=None)
        samples = split_labels(whole, matrix.values, matrix.names, notices)
        unknown = _split_unknown(whole, others, matrix) if predict else None
        return samples if unknown is None else replace(samples, unlabelled=unknown)


def _split_unknown(whole: Samples, others: Samples | None, matrix: LabelMatrix) -> Samples | None:
    """Return one part per sample and label that is not known; None if all are.

    Args:
        whole: the samples of which some label is known.
        others: those of which none is; None if there are none.
        matrix: of the former.
    """
    unknown = matrix.values == NOT_ASKED
    incomplete = np.flatnonzero(unknown.any(1))
    parts = [(whole.take(incomplete), unknown[incomplete])] if len(incomplete) else []
    if others is not None:
        parts.append((others, np.ones((len(others), len(matrix.names)), dtype=bool)))
    if not parts:
        return None
    samples = parts[0][0] if len(parts) == 1 else join_unlabelled(replace(parts[0][0], unlabelled=parts[1][0]))
    is_unknown = np.concatenate([values for _, values in parts])
    return split_labels(replace(samples, groups=None), np.where(is_unknown, 0, NOT_ASKED), matrix.names)


def split_labels(whole: Samples, values: np.ndarray, names: np.ndarray, notices: Sequence[str] = ()) -> Samples:
    """Return one part per sample and label; the features stay with the samples, once.

    Args:
        whole: the samples.
        values: which labels they have, ``(sample, label)``: 1, 0, or -1 if it is not known.
        names: of the labels.
    """
    row, column = np.nonzero(values != NOT_ASKED)
    parts = replace(Parts.of(whole.ids[row], names[column], kind=KIND), whole=whole, names=names)
    samples = Samples(
        features=row.astype(np.int64),
        labels=values[row, column].astype(np.int64),
        classes=(NO, YES),
        ids=parts.ids,
        kind="ids",
        groups=None if whole.groups is None else whole.groups[row],
        weights=None if whole.weights is None else whole.weights[row],
        label_name=whole.label_name,
        notices=tuple(notices),
    )
    return as_parts(samples, parts)


def find_label_sets(
    args: Arguments, labels: Sequence[str] | None, separator: str | None, *, merge_spellings: bool
) -> LabelSets | None:
    """Return the samples if they have several labels each; None if they have one.

    Args:
        args: with frames of other libraries as pandas'.
        labels: columns of zeros and ones.
        separator: what stands between the labels of a text.

    Raises:
        InputError: labels that cannot be read, or columns that are not there.
    """
    X = args.X
    y = args.label if args.y is None and isinstance(X, pd.DataFrame) else args.y
    if labels is not None:
        return _take_columns(X, y, labels, args.label, separator)
    if isinstance(y, str):
        if not _has_column(X, y):
            return None
        column = _column(X, y)
        X_rest = X.remove_columns(y) if is_hugging_face(X) else X.drop(columns=[c for c in X.columns if str(c) == y])
    else:
        column, X_rest = to_pandas(y), X
    if separator is None and not holds_several(column):
        return None
    name = args.label or (y if isinstance(y, str) else getattr(column, "name", None)) or "labels"
    index = column.index if isinstance(column, pd.Series | pd.DataFrame) and not isinstance(y, str) else None
    matrix, notices = _read(column, str(name), separator, merge_spellings), list[str]()
    if isinstance(column, pd.DataFrame):
        X_rest, notices = _without_labels(X_rest, column)
    _check_length(X_rest, matrix, str(name))
    return LabelSets(X_rest, leave_out_constant(matrix, str(name)), str(name), index, notices)


def _read(column: Any, name: str, separator: str | None, merge_spellings: bool) -> LabelMatrix:
    if separator is not None:
        return read_delimited(column, name, separator, merge_spellings=merge_spellings)
    return read_label_matrix(column, name, merge_spellings=merge_spellings)


def _take_columns(X: Any, y: Any, labels: Sequence[str], name: str | None, separator: str | None) -> LabelSets:
    names = [labels] if isinstance(labels, str) else [str(each) for each in labels]
    if y is not None and y is not name:
        raise InputError("labels names the columns of all labels: leave out y")
    if separator is not None:
        raise InputError("labels names columns of zeros and ones, which hold one label each: leave out label_separator")
    if not isinstance(X, pd.DataFrame):
        raise InputError(f"labels={names!r} names columns, but X ({type(X).__name__}) has none: pass y, (sample, label)")
    X = X.set_axis([str(each) for each in X.columns], axis=1)
    for each in names:
        check_column_name(X.columns, each, "label")
    if len(set(names)) < len(names):
        raise InputError(f"labels must name every column once. Got {join_names(names)}")
    if len(names) < 2:
        raise InputError(
            f"labels must name two columns or more. Got {join_names(names)}: name one as the label (y, --label)"
        )
    title = name or "labels"
    columns = X[names]
    matrix = read_matrix(columns.apply(_as_binary), title)
    return LabelSets(X.drop(columns=names), leave_out_constant(matrix, title), title, None, [])


def _as_binary(column: pd.Series) -> pd.Series:
    """Return a column of two written values, such as yes and no, as zeros and ones; any other unchanged."""
    if column.dtype.kind in "biuf":
        return column
    present = {str(value).strip().casefold() for value in column.dropna()}
    for off, on in BINARY_SPELLINGS:
        if present and present <= {off, on}:
            codes = {off: 0.0, on: 1.0}
            return column.map(lambda value, codes=codes: codes.get(str(value).strip().casefold(), np.nan)).astype(float)
    if present:
        example = join_names(sorted(present), 5)
        raise InputError(f"label {column.name!r} must be 0 or 1 (or no and yes). Got {example}: make it two values")
    return column.astype(float)


def _without_labels(X: Any, labels: pd.DataFrame) -> tuple[Any, list[str]]:
    """Return features without the columns of labels, which would tell them, and a notice."""
    if not isinstance(X, pd.DataFrame):
        return X, []
    same = [name for name in X.columns if name in labels.columns]
    if not same:
        return X, []
    notice = f"Columns of X that are also labels are not used as features: {join_names(same, 5)}."
    return X.drop(columns=same), [notice]


def _has_column(X: Any, name: str) -> bool:
    if is_hugging_face(X):
        return name in getattr(X, "column_names", ())
    return isinstance(X, pd.DataFrame) and name in [str(each) for each in X.columns]


def _column(X: Any, name: str) -> Any:
    if is_hugging_face(X):
        return object_array(read_lists_of_labels(X, name))
    return X.loc[:, [str(each) == name for each in X.columns]].iloc[:, 0]


def _check_length(X: Any, matrix: LabelMatrix, name: str) -> None:
    n = None if X is None or (not hasattr(X, "__len__") and not hasattr(X, "shape")) else count_rows(X)
    if n is not None and n != len(matrix.values):
        raise InputError(
            f"labels {name!r} must have one row per sample: {n:,} samples, {len(matrix.values):,} rows of labels"
        )
