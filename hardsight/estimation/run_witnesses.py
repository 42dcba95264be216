"""The witnesses of a run: whether it has a use for them, and which of its samples they speak of."""

from typing import Any

import numpy as np
import pandas as pd

from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.data import Samples
from hardsight.data.columns import to_column
from hardsight.data.conversion import to_pandas
from hardsight.data.label_matrix import NOT_ASKED, holds_several, read_label_matrix
from hardsight.data.labels import missing_labels
from hardsight.errors import InputError
from hardsight.estimation.label_set_witnesses import read_label_set_witnesses
from hardsight.estimation.request import Request
from hardsight.estimation.witnesses import WitnessedSamples, read_witnesses


def witnesses_of(witness: Any, samples: Samples, X: Any, y: Any, request: Request) -> list[IndependentWitness]:
    """Convert the witnesses of a run, of samples with one label each or with several.

    Args:
        X: the data, and
        y: the labels as passed.

    Raises:
        InputError: as :func:`read_witnesses`, or a run that has no use for them.
    """
    if witness is None:
        return []
    if request.estimate.ledger is False:
        raise InputError("witness serves P(label wrong), which estimate.ledger=False leaves out: leave out one of them")
    if request.loss not in (None, "log") and samples.classes is not None:
        raise InputError(f"witness serves P(label wrong), which loss={request.loss!r} does not have: leave out one of them")
    whole = samples if samples.whole is None else samples.whole
    rows, n_rows = (None, None) if isinstance(X, Samples) else _find_rows(X, y, len(whole))
    index = None if isinstance(X, Samples) else _index_of(X, y, len(whole), rows)
    witnessed = WitnessedSamples(whole.ids, samples.classes, rows, n_rows, index)
    return (
        read_witnesses(witness, witnessed)
        if samples.whole is None
        else read_label_set_witnesses(witness, samples, witnessed)
    )


def _index_of(X: Any, y: Any, n_samples: int, rows: np.ndarray | None = None) -> pd.Index | None:
    """Return the index that the data came with, at the rows of the samples; None if there is none, or another number."""
    index = next((each.index for each in (to_pandas(X), y) if isinstance(each, pd.DataFrame | pd.Series)), None)
    if index is None:
        return None
    index = index if rows is None else index[rows]
    return index if len(index) == n_samples else None


def _find_rows(X: Any, y: Any, n_samples: int) -> tuple[np.ndarray | None, int | None]:
    """Return the rows of the data that have a label, and the number of rows; None and None if all have one.

    Args:
        X: the data as passed.
        y: the labels as passed, or the name of their column.
    """
    if isinstance(y, str):
        X = to_pandas(X)
        y = X[y] if isinstance(X, pd.DataFrame) and y in X.columns else None
    try:
        if y is not None and holds_several(y):
            missing = (read_label_matrix(y, "y").values == NOT_ASKED).all(1)
        else:
            missing = missing_labels(to_column(y, "y"))
    except InputError:
        return None, None
    rows = np.flatnonzero(~missing)
    return (rows, len(missing)) if len(rows) == n_samples < len(missing) else (None, None)
