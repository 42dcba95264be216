"""Samples without a label: left out, or kept apart so that models can predict them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import RawSamples, check_ids, missing_ids, to_column
from hardsight.data.labels import missing_labels
from hardsight.data.samples import Samples
from hardsight.data.sparse import count_rows, is_sparse
from hardsight.errors import InputError
from hardsight.validation import format_option

MODES = ("drop", "predict", "refuse")


def find_labelled(y: Any, name: str, n_samples: int, mode: str) -> np.ndarray | None:
    """Return the rows that have a label, ascending; None if all have one, or if missing labels are refused later.

    Args:
        y: one label per sample, ``(sample,)``.
        name: of the label, for messages.
        mode: "drop", "predict" or "refuse".
    """
    if mode == "refuse":
        return None
    try:
        array = to_column(y, f"label {name!r}")
    except InputError:
        # What are no labels is refused where they are encoded.
        return None
    missing = missing_labels(array)
    # Labels of another number are refused where they are encoded.
    if len(array) != n_samples or not missing.any():
        return None
    labelled = np.flatnonzero(~missing)
    # With fewer than two labels, the missing ones are refused where labels are encoded.
    return labelled if len(labelled) >= 2 else None


def describe_unlabelled(name: str, n_missing: int, n_samples: int, mode: str | None) -> str:
    """Return a notice of the samples without a label.

    Args:
        mode: "drop" or "predict"; None if they were left out and cannot be predicted.
    """
    noun = "1 sample has" if n_missing == 1 else f"{n_missing:,} of {n_samples:,} samples have"
    if mode == "predict":
        return f"{noun} no label {name!r}: predicted by models that are trained on all others."
    if mode is None:
        return f"{noun} no label {name!r}: left out."
    return (
        f"{noun} no label {name!r}: left out. To have the models predict them, pass unlabelled='predict' "
        f"({format_option('unlabelled', 'predict')})."
    )


def take_labelled(raw: RawSamples, labelled: np.ndarray) -> RawSamples:
    """Return the rows with a label; their ids stay those of the whole data."""
    ids = np.arange(count_rows(raw.features)) if raw.ids is None else raw.ids
    values = {"y": raw.y, "ids": ids, "groups": raw.groups, "weights": raw.weights}
    taken = {name: take_rows(value, labelled) for name, value in values.items()}
    return replace(raw, features=take_rows(raw.features, labelled), **taken, notices=[*raw.notices])


def take_rows(values: Any, rows: np.ndarray) -> Any:
    """Return some entries of an array, Series, frame, tensor, list or other sequence; None stays None.

    >>> take_rows(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if values is None:
        return None
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "select_columns"):
        # A dataset of the package datasets.
        return values.select(rows)
    arrays = np.ndarray | pd.Index | pd.api.extensions.ExtensionArray
    if isinstance(values, arrays) or is_sparse(values) or hasattr(values, "detach"):
        return values[rows]
    items = list(values)
    return [items[row] for row in rows]


def split_samples(samples: Samples, ids: Any, labelled: np.ndarray) -> Samples:
    """Return the labelled samples, with the others in :attr:`Samples.unlabelled`.

    Args:
        samples: features of all samples; labels, ids, groups and weights of the labelled ones alone.
        ids: of all samples, as they were passed; None: their rows.
        labelled: rows of the labelled samples, ascending.
    """
    n = count_rows(samples.features)
    others = np.setdiff1d(np.arange(n), labelled)
    placeholders = np.zeros(n, dtype=samples.labels.dtype)
    everything = replace(samples, labels=placeholders, ids=np.arange(n), groups=None, weights=None)
    return replace(
        everything.take(labelled),
        labels=samples.labels,
        ids=samples.ids,
        groups=samples.groups,
        weights=samples.weights,
        unlabelled=replace(everything.take(others), ids=_other_ids(ids, n, others), notices=()),
    )


def _other_ids(ids: Any, n_samples: int, others: np.ndarray) -> np.ndarray:
    """Return the ids of samples without a label; if any of them has none, they are named by their rows."""
    if ids is None:
        return others
    array = to_column(ids, "ids")
    if missing_ids(array[others]).any():
        return np.array([f"row {row}" for row in others])
    checked: np.ndarray = check_ids(ids, n_samples)[others]
    return checked


def join_unlabelled(samples: Samples) -> Samples:
    """Return the labelled samples followed by those without a label, whose labels are zeros.

    Raises:
        ValueError: all samples have a label.
    """
    others = samples.unlabelled
    if others is None:
        raise ValueError("unlabelled")
    if samples.parts is not None and samples.whole is not None and others.parts is not None and others.whole is not None:
        whole = join_unlabelled(replace(samples.whole, unlabelled=others.whole))
        # A sample of which some labels are known is among both.
        whole = replace(whole, ids=np.arange(len(whole)))
        row = np.concatenate([samples.features, others.features + len(samples.whole)])
        name = np.concatenate([samples.parts.name, others.parts.name])
        parts = replace(samples.parts, sample=row, name=name, whole=whole)
        return replace(
            samples,
            features=row,
            labels=np.concatenate([samples.labels, others.labels]),
            ids=parts.ids,
            groups=row,
            weights=None if samples.weights is None else np.concatenate([samples.weights, np.ones(len(others))]),
            parts=parts,
            unlabelled=None,
        )

    def join(values: Any, more: Any) -> Any:
        if isinstance(values, pd.DataFrame):
            return pd.concat([values, more], ignore_index=True)
        if is_sparse(values):
            from scipy.sparse import vstack

            return vstack([values, more], format="csr")
        return None if values is None else np.concatenate([values, more])

    return replace(
        samples,
        features=join(samples.features, others.features),
        labels=join(samples.labels, others.labels),
        ids=join(samples.ids, others.ids),
        groups=None,
        original=join(samples.original, others.original),
        embedding=join(samples.embedding, others.embedding),
        weights=join(samples.weights, np.ones(len(others))),
        unlabelled=None,
    )
