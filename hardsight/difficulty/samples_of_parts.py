"""Samples whose parts were measured: sums over the parts, and what tables group rows by."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.from_label_sets import KIND, NO, YES
from hardsight.errors import InputError

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty


class RowGroups(NamedTuple):
    """What tables by class group rows by."""

    noun: str  # what a group is: "class" or "label"
    codes: np.ndarray  # of each row's group, (row,)
    names: list[Any]  # of the groups; some may have no row


def has_several_labels(d: "Difficulty") -> bool:
    """Return whether each row is one of several labels of its sample, whose classes are no and yes."""
    return d.part is not None and d.classes == (NO, YES) and d.run.part_name == KIND


def group_by_class(d: "Difficulty") -> RowGroups:
    """Return the classes of the labels as given; where samples have several labels, the labels.

    No and yes of several labels together would be groups that mean nothing.

    Raises:
        ValueError: the result has no classes.
    """
    if d.classes is None:
        raise ValueError("no classes")
    if d.part is None or not has_several_labels(d):
        return RowGroups("class", d.labels, list(d.classes))
    names, codes = np.unique(d.part, return_inverse=True)
    return RowGroups("label", codes.reshape(-1), names.tolist())


class LabelAlone(NamedTuple):
    """One of several labels, as a result of its own."""

    rows: np.ndarray  # positions in the result of all labels, (row,)
    d: "Difficulty"  # with the classes "samples without dog" and "dog"


def labels_apart(d: "Difficulty") -> Iterator[LabelAlone]:
    """Yield each label of a result whose samples have several."""
    _, codes, names = group_by_class(d)
    # What a sample's labels have in common is not known of one of them.
    without_sums = replace(d, sample_error_se=None)
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        yield LabelAlone(rows, replace(without_sums.select(codes == code), classes=(name_without(name), name)))


def name_without(label: Any) -> str:
    """Return what samples without a label are called."""
    return f"samples without {label}"


def class_codes(d: "Difficulty", codes: np.ndarray) -> np.ndarray:
    """Return a code for each class of some labels, ``(row,)``.

    Where samples have several labels, the yes of one label and that of another are different classes. Otherwise the codes
    stay as they are.
    """
    if d.part is None or d.classes is None or not has_several_labels(d):
        return codes
    of_part: np.ndarray = np.unique(d.part, return_inverse=True)[1].reshape(-1) * len(d.classes) + codes
    return of_part


def count_samples(d: "Difficulty") -> int:
    """Return the number of samples: that of the rows, or of what they are parts of."""
    return len(d) if d.sample is None else len(np.unique(d.sample))


def add_up_parts(d: "Difficulty") -> pd.DataFrame:
    """Return one row per sample, by id, hardest first; of equally hard ones the first in the data.

    Columns are ``parts``, their number; ``error``, ``bias``, ``variance`` and the factors, sums over the parts;
    ``error_se``, the standard error of the summed error, NaN where it is unknown or parts were left out; and ``mean_error``,
    the error per part. Parts of a sample are predicted by the same models, so that ``error_se`` is not the root of the
    summed squares. With P(label wrong) also ``n_wrong``, the expected number of wrong labels; ``p_any_wrong``, the
    probability that at least one is wrong if parts are independent of each other; and ``worst``, the name of the part whose
    label is likeliest wrong, of equally likely ones the one with the largest error.

    Raises:
        InputError: the rows of the result are whole samples.
    """
    if d.sample is None or d.part is None:
        raise InputError("the rows of this result are whole samples, without parts: use d.table")
    code, names = pd.factorize(d.sample)
    n = len(names)

    def add(values: np.ndarray) -> np.ndarray:
        return np.bincount(code, weights=values, minlength=n)

    parts = np.bincount(code, minlength=n)
    columns: dict[str, Any] = {"parts": parts, "error": add(d.error), "error_se": np.nan}
    if d.sample_error_se is not None:
        columns["error_se"] = d.sample_error_se[_first_of_each(code, np.zeros(len(code)), n)]
    columns["mean_error"] = columns["error"] / np.maximum(parts, 1)
    if not d.loss_only:
        columns |= {"bias": add(d.bias), "variance": add(d.variance)}
    if d.factors is not None:
        columns |= {str(name): add(values.to_numpy()) for name, values in d.factors.items() if name not in columns}
    if d.p_wrong is not None:
        # Logarithms, as a product over many parts would lose its digits.
        log_all_right = add(np.log1p(-np.minimum(d.p_wrong, np.nextafter(1, 0))))
        columns |= {"n_wrong": add(d.p_wrong), "p_any_wrong": -np.expm1(log_all_right)}
        columns["worst"] = d.part[_first_of_each(code, d.doubt_rank, n)]
    table = pd.DataFrame(columns, index=pd.Index(names, name="sample"))
    return table.iloc[np.argsort(-table["error"].to_numpy(), kind="stable")]


def has_all_parts(sample: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return whether a selection of rows has all parts of the sample of each, ``(row,)`` bool.

    Args:
        sample: sample of each part, ``(part,)``.
        rows: positions of the selected parts.
    """
    code = pd.factorize(sample)[0]
    n = code.max(initial=-1) + 1
    # A row that is selected twice counts once.
    selected = np.bincount(code[np.unique(rows)], minlength=n)
    whole: np.ndarray = (selected == np.bincount(code, minlength=n))[code[rows]]
    return whole


def _first_of_each(code: np.ndarray, key: np.ndarray, n: int) -> np.ndarray:
    """Return the position of the smallest key of each of ``n`` codes, the first of equal ones."""
    order = np.lexsort((np.arange(len(code)), key, code))
    return order[np.searchsorted(code[order], np.arange(n))]
