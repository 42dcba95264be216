"""Several labels per sample: which of all labels each sample has, from zeros and ones, lists, or texts such as "dog;cat"."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.columns import encode_values
from hardsight.data.conversion import object_array, to_numpy, to_pandas
from hardsight.data.sparse import is_sparse
from hardsight.data.spellings import check_spellings
from hardsight.errors import InputError
from hardsight.validation import describe_rows, join_examples, join_names

# What may stand between labels, for hints.
_MARKS = ";,|/\t "
# Those that a name rarely holds.
_CERTAIN_MARKS = ";|,"
_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray)
# A notice names at most so many labels.
_NAMED = 5
NOT_ASKED = -1
# A list of texts as Python or JSON writes it, such as "['dog', 'cat']" in a csv file.
_WRITTEN_LIST = re.compile(r"""\[\s*(['"].*['"])?\s*\]""", re.DOTALL)
_READ_LISTS = (
    "make them lists (frame[{0!r}].map(ast.literal_eval), or a .jsonl or .parquet file), or texts such as 'dog;cat'"
)


class LabelMatrix(NamedTuple):
    """Which labels each sample has."""

    values: np.ndarray  # (sample, label) int8: 1 if the sample has the label, 0 if not, -1 if that is not known
    names: np.ndarray  # of the labels, (label,) int64 or str
    notices: list[str]

    def take(self, rows: np.ndarray) -> "LabelMatrix":
        """Return some samples."""
        return self._replace(values=self.values[rows])


def holds_several(y: Any) -> bool:
    """Return whether labels are several per sample: a matrix of zeros and ones, or lists of labels.

    One-hot rows are one label per sample, and so are lists of one label each. As many integers for every sample, such as
    coordinates, are no labels.
    """
    if is_sparse(y):
        return bool(y.shape[1] > 1)
    y = to_pandas(to_numpy(y))
    matrix = _as_numbers(y)
    if matrix is not None:
        present = ~np.isnan(matrix)
        mostly_binary = np.isin(matrix[present], (0, 1)).mean() > 0.5 if present.any() else False
        one_hot = bool(present.all()) and bool(((matrix.sum(1) == 1) & np.isin(matrix, (0, 1)).all(1)).all())
        return mostly_binary and not one_hot
    if isinstance(y, pd.DataFrame) or getattr(y, "ndim", 1) != 1 or isinstance(y, str | bytes) or not hasattr(y, "__len__"):
        return False
    rows = [row for row in y if isinstance(row, _COLLECTIONS)]
    missing = sum(_is_missing(row) for row in y)
    if not rows or len(rows) + missing < len(y) or all(np.shape(list(row)) == (1,) for row in rows):
        return False
    if stack_rows(rows) is not None and not any(isinstance(value, str) for row in rows for value in row):
        # As many integers for every sample are coordinates or the like, in a Series as in an array.
        return False
    return all(isinstance(value, str | int | np.integer) for row in rows for value in row)


def read_label_matrix(y: Any, name: str, *, merge_spellings: bool = False) -> LabelMatrix:
    """Read which labels samples have from anything for which :func:`holds_several` holds.

    Raises:
        InputError: as :func:`read_matrix` and :func:`read_lists`.
    """
    y = y if is_sparse(y) else to_pandas(to_numpy(y))
    if getattr(y, "ndim", 1) == 2 or not _is_of_lists(y):
        return read_matrix(y, name)
    return read_lists(y, name, merge_spellings=merge_spellings)


def read_matrix(y: Any, name: str) -> LabelMatrix:
    """Read zeros and ones, ``(sample, label)``; NaN, None and NA where it is not known.

    Args:
        y: array, tensor, nested lists, sparse matrix, or a frame whose columns are the labels.
        name: what messages call the labels.

    Raises:
        InputError: other values or another shape.
    """
    if is_sparse(y):
        y = y.toarray()
    y = to_pandas(to_numpy(y))
    matrix = _as_numbers(y)
    if matrix is None:
        raise InputError(f"labels {name!r} must be zeros and ones (sample, label). Got {type(y).__name__} of other values")
    names = np.array([str(each) for each in y.columns]) if isinstance(y, pd.DataFrame) else np.arange(matrix.shape[1])
    if len(set(names.tolist())) < len(names):
        raise InputError(f"labels {name!r} must have names of their own. Got {join_examples(names.tolist(), 5)}")
    invalid = ~np.isnan(matrix) & ~np.isin(matrix, (0, 1))
    if invalid.any():
        row, column = np.argwhere(invalid)[0]
        raise InputError(
            f"labels must be 0 or 1, or missing where a label was not asked for. Got {matrix[row, column]:g} in "
            f"{names[column].item()!r} ({describe_rows(invalid.any(1))}): make it two values, or leave the column out"
        )
    return LabelMatrix(np.where(np.isnan(matrix), NOT_ASKED, matrix).astype(np.int8), names, [])


def read_lists(y: Any, name: str, *, merge_spellings: bool = False) -> LabelMatrix:
    """Read lists of labels, one per sample; an empty list means that a sample has none of the labels.

    Args:
        y: lists, tuples, sets or arrays of text or integers, ``(sample,)``; None for samples that were not labelled.
        name: what messages call the labels.
        merge_spellings: whether labels that differ only in case, blanks or the encoding of letters are one.

    Raises:
        InputError: labels that are neither text nor integers, or no sample has any.
    """
    rows = [None if _is_missing(row) else _clean(row) for row in to_pandas(to_numpy(y))]
    sample = np.repeat(np.arange(len(rows)), [0 if row is None else len(row) for row in rows])
    flat = object_array([label for row in rows if row is not None for label in row])
    if not len(flat):
        raise InputError(f"labels {name!r} are empty in every sample: pass samples that have labels")
    kinds = {str if isinstance(label, str) else int if isinstance(label, int | np.integer) else None for label in flat}
    if kinds not in ({str}, {int}):
        odd = next((label for label in flat if not isinstance(label, str | int | np.integer)), flat[0])
        raise InputError(f"labels {name!r} must be all text or all integers. Got {odd!r} among others: convert them to text")
    flat, notices = check_spellings(flat, f"Labels of {name!r}", merge=merge_spellings)
    codes, names = encode_values(flat.astype(np.int64) if kinds == {int} else flat)
    values = np.zeros((len(rows), len(names)), dtype=np.int8)
    values[[row is None for row in rows]] = NOT_ASKED
    values[sample, codes] = 1
    repeated = np.zeros(len(rows), dtype=bool)
    repeated[sample[pd.DataFrame({"sample": sample, "code": codes}).duplicated().to_numpy()]] = True
    if repeated.any():
        notices.append(f"Labels of {name!r} that a sample has twice count once ({describe_rows(repeated)}).")
    return LabelMatrix(values, np.array(names), notices)


def read_delimited(y: Any, name: str, separator: str, *, merge_spellings: bool = False) -> LabelMatrix:
    """Read texts that hold several labels, such as "dog;cat"; an empty text means that a sample has none of the labels.

    Args:
        y: ``(sample,)`` text.
        separator: what stands between two labels; blanks beside it do not count.

    Raises:
        InputError: values that are no text, or the separator is in none of them.
    """
    if not isinstance(separator, str) or not separator:
        raise InputError(f"label_separator must be the text between two labels, such as ';'. Got {separator!r}")
    cells = object_array(list(to_pandas(to_numpy(y))))
    missing = np.array([_is_missing(cell) for cell in cells])
    other = np.array([not isinstance(cell, str) for cell in cells]) & ~missing
    if other.any():
        kind = type(cells[other][0]).__name__
        raise InputError(
            f"labels {name!r} must be text to be separated. Got {kind} ({describe_rows(other)}): leave out label_separator"
        )
    written = _written_lists(cells[~missing].tolist())
    if written:
        raise InputError(
            f"labels {name!r} are written as lists, such as {written[0][:40]!r}: {_READ_LISTS.format(name)}, and leave out "
            "label_separator"
        )
    if not any(separator in cell for cell in cells[~missing]):
        counts = {mark: sum(mark in cell for cell in cells[~missing]) for mark in _MARKS}
        best = max(_MARKS, key=lambda mark: counts[mark])
        example = next((cell for cell in cells[~missing] if best in cell), "" if missing.all() else cells[~missing][0])
        hint = f"pass label_separator={best!r} (--label-separator)" if counts[best] else "leave it out (--label-separator)"
        raise InputError(f"label_separator={separator!r} is nowhere in {name!r}, which holds {example[:40]!r}: {hint}")
    lists = object_array([[] if blank else cell.split(separator) for cell, blank in zip(cells, missing, strict=True)])
    matrix = read_lists(lists, name, merge_spellings=merge_spellings)
    empty = (matrix.values == 0).all(1)
    if empty.any():
        noun = "1 sample has" if empty.sum() == 1 else f"{empty.sum():,} of {len(empty):,} samples have"
        matrix.notices.append(
            f"{noun} an empty {name!r}, which is taken as none of the labels. Leave such rows out if nobody labelled them."
        )
    matrix.notices.extend(notice_other_separator(matrix.names.tolist(), name, separator))
    return matrix


def notice_several(classes: Sequence[Any] | None, name: str) -> list[str]:
    """Return a notice if classes look like texts that hold several labels, such as "dog", "cat" and "dog;cat"."""
    if classes is None or not all(isinstance(each, str) for each in classes):
        return []
    written = _written_lists(classes)
    if written:
        notice = f"Classes of {name!r} look like written lists, such as {written[0][:40]!r}. To measure every label, "
        return [f"{notice}{_READ_LISTS.format(name)}."]
    for mark in _CERTAIN_MARKS:
        if _are_joined(classes, mark):
            notice = (
                f"Some of the {len(classes):,} classes of {name!r} look like several labels with {mark!r} between them. If "
                f"so, pass label_separator={mark!r} (--label-separator)."
            )
            return [notice]
    return []


def _written_lists(texts: Sequence[str]) -> list[str]:
    """Return the texts that are lists as Python or JSON writes them, if most are; otherwise none."""
    written = [text for text in texts if _WRITTEN_LIST.fullmatch(text.strip())]
    return written if 2 * len(written) > len(texts) else []


def _are_joined(classes: Sequence[str], mark: str) -> bool:
    """Return whether classes look like labels with a mark between them: the same labels occur in several classes.

    Labels that stand alone as well, or half of which occur twice, do; "Albany, NY" and "Buffalo, NY" do not.
    """
    split = [{label.strip() for label in each.split(mark)} - {""} for each in classes]
    counts = Counter(label for labels in split for label in labels)
    joined = [labels for labels in split if len(labels) > 1]
    alone = {label for labels in split if len(labels) == 1 for label in labels}
    again = sum(count > 1 for count in counts.values())
    in_joined = sum(any(label in labels for labels in joined) for label in alone)
    return len(joined) > 1 and (len(counts) < len(classes) or in_joined > 1 or 2 * again >= len(counts))


def notice_other_separator(names: Sequence[Any], name: str, separator: str) -> list[str]:
    """Return a notice if most labels that a separator left hold another usual one, such as "a|b" after a split at ";"."""
    for mark in _CERTAIN_MARKS:
        holding = [each for each in names if isinstance(each, str) and mark in each]
        if mark != separator and 2 * len(holding) > len(names):
            notice = (
                f"{len(holding):,} of {len(names):,} labels of {name!r} hold {mark!r}, such as {holding[0][:40]!r}: if it "
                f"stands between labels, pass label_separator={mark!r} (--label-separator) in place of {separator!r}."
            )
            return [notice]
    return []


def leave_out_constant(matrix: LabelMatrix, name: str) -> LabelMatrix:
    """Return the labels that some samples have and others have not, with a notice of the rest.

    Raises:
        InputError: there are no such labels.
    """
    on, off = (matrix.values == 1).any(0), (matrix.values == 0).any(0)
    varies = on & off
    if not varies.any():
        raise InputError(f"no label of {name!r} tells samples apart: every label is on all samples, or on none")
    if varies.all():
        return matrix
    named = join_names(matrix.names[~varies].tolist(), _NAMED)
    notice = f"Labels that all samples have, or none, are left out: {named}."
    return LabelMatrix(matrix.values[:, varies], matrix.names[varies], [*matrix.notices, notice])


def stack_rows(rows: Sequence[Any]) -> np.ndarray | None:
    """Return rows of one length, two or more, as an object matrix; None if they are anything else."""
    widths = {len(row) if isinstance(row, list | tuple | np.ndarray) else -1 for row in rows}
    if len(widths) != 1 or widths & {-1, 0, 1}:
        return None
    return np.array([list(row) for row in rows], dtype=object)


def _stack_present(rows: list[Any]) -> np.ndarray | None:
    """Return rows of one length as an object matrix, None in those of missing ones; None if they are anything else."""
    present = [place for place, row in enumerate(rows) if not _is_missing(row)]
    stacked = stack_rows([rows[place] for place in present])
    if stacked is None or len(present) == len(rows):
        return stacked
    matrix = np.full((len(rows), stacked.shape[1]), None, dtype=object)
    matrix[present] = stacked
    return matrix


def holds_lists(column: Any) -> bool:
    """Return whether labels are lists of labels, one per sample, and not a matrix of numbers."""
    if getattr(column, "ndim", 1) != 1 or not len(column):
        return False
    rows = list(column)
    return any(isinstance(row, _COLLECTIONS) for row in rows) and _is_of_lists(rows)


def _is_of_lists(column: Any) -> bool:
    """Return whether labels are lists, rather than the rows of a matrix of zeros and ones."""
    values = _stack_present(list(column))
    return values is None or not all(
        value is None or (not isinstance(value, str) and (value != value or value in (0, 1))) for value in values.flat
    )


def _as_numbers(y: Any) -> np.ndarray | None:
    """Return a matrix of several columns of numbers or booleans as float64, NaN for missing; None for anything else."""
    if isinstance(y, pd.DataFrame):
        if y.shape[1] < 2:
            return None
        kinds = [str(kind) for kind in y.dtypes]
        if all(kind in ("object", "string", "str", "category") for kind in kinds):
            return None
        y = y.astype(object).where(y.notna(), None).to_numpy()
    elif isinstance(y, list | tuple | pd.Series) or (isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype == object):
        y = _stack_present(list(y))
    if not isinstance(y, np.ndarray) or y.ndim != 2 or y.shape[1] < 2:
        return None
    if y.dtype == object and not all(
        value is None or isinstance(value, int | float | np.number | np.bool_) for value in y.flat
    ):
        return None
    return y.astype(np.float64) if y.dtype.kind in "biufO" else None


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _clean(row: Sequence[Any]) -> list[Any]:
    """Return the labels of a sample without blanks around them, and without blank ones."""
    if isinstance(row, str | bytes) or not isinstance(row, _COLLECTIONS):
        raise InputError(f"labels must be lists, one per sample. Got {row!r}: pass [{row!r}]")
    labels = sorted(row, key=repr) if isinstance(row, set | frozenset) else list(row)
    stripped = [label.strip() if isinstance(label, str) else label for label in labels]
    return [label for label in stripped if not (isinstance(label, str) and not label)]
