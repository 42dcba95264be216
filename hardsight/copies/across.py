"""Copies across two sets of samples, such as a training and a test set."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import vstack

from hardsight.copies.chance import equal_by_chance
from hardsight.copies.sets import add_near_copies, find_exact_copies
from hardsight.data import Samples
from hardsight.data.encoding import has_dates_or_text
from hardsight.data.sparse import embed_sparse
from hardsight.data.text import embed_texts
from hardsight.errors import InputError


class CopiesAcross(NamedTuple):
    """Pairs of copies, one of each set of samples, in the order of their rows. Every array is ``(pair,)``."""

    first: np.ndarray  # row in the first samples, int64
    second: np.ndarray  # row in the second samples, int64
    exact: np.ndarray  # whether the features of the two are equal, bool
    by_chance: bool = False  # whether equal samples are different ones that happen to be equal; then there are no pairs


def find_copies_across(first: Samples, second: Samples, *, near: bool = True) -> CopiesAcross:
    """Find samples of the one set that are copies of samples of the other.

    Args:
        first, second: samples with the same features, in the same order.
        near: whether near copies count, too, by the spacing of both sets together (:mod:`hardsight.copies.near`).

    Raises:
        InputError: samples of another kind, or with other features.
    """
    joint = _join(first, second)
    copies = find_exact_copies(joint)
    if equal_by_chance(joint, int(copies.exact.sum())):
        none = np.empty(0, dtype=np.int64)
        return CopiesAcross(none, none, none.astype(bool), by_chance=True)
    codes = add_near_copies(joint, copies).codes if near else copies.codes
    left, right = _pairs_of_equal(codes[: len(first)], codes[len(first) :])
    set_of_first, set_of_second = copies.codes[left], copies.codes[right + len(first)]
    return CopiesAcross(left, right, (set_of_first >= 0) & (set_of_first == set_of_second))


def _pairs_of_equal(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of rows with equal codes; -1 equals nothing."""
    order = np.argsort(right, kind="stable")
    start = np.searchsorted(right[order], left, side="left")
    count = np.where(left >= 0, np.searchsorted(right[order], left, side="right") - start, 0)
    first = np.repeat(np.arange(len(left)), count)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, order[np.repeat(start, count) + offset]


def _join(first: Samples, second: Samples) -> Samples:
    """Return both sets of samples as one, without labels.

    Numbers that were fitted to one set alone, such as those of texts, are fitted anew to both.

    Raises:
        InputError: samples of another kind, or with other features.
    """
    if first.kind != second.kind or first.sparse != second.sparse:
        raise InputError(f"both sets of samples must be of one kind. Got {_kind(first)} and {_kind(second)}")
    features, embedding = _join_features(first, second), None
    if first.kind == "text":
        embedding = embed_texts(features)[0]
    elif first.sparse:
        embedding = embed_sparse(features)[0]
    elif not (first.kind == "table" and has_dates_or_text(features)):
        embedding = _join_embeddings(first, second)
    n = len(first) + len(second)
    return Samples(features, np.full(n, np.nan), None, np.arange(n), first.kind, embedding=embedding, loss_only=True)


def _kind(samples: Samples) -> str:
    return "sparse matrix" if samples.sparse else samples.kind


def _join_features(first: Samples, second: Samples) -> Any:
    a, b = first.features, second.features
    if first.kind == "table":
        return _join_tables(a, b)
    if first.kind == "items":
        return a.append(b)
    if a.shape[1:] != b.shape[1:]:
        raise InputError(f"both sets of samples must have features of one shape. Got {a.shape[1:]} and {b.shape[1:]}")
    return vstack([a, b], format="csr") if first.sparse else np.concatenate([a, b])


def _join_tables(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    names = [str(name) for name in first]
    if names != [str(name) for name in second]:
        differing = sorted({*names} ^ {str(name) for name in second}) or names
        raise InputError(
            "both sets of samples must have the same feature columns in the same order. They differ in "
            f"{', '.join(map(repr, differing[:5]))}: read them with the same options"
        )
    return pd.DataFrame({name: _join_columns(first.iloc[:, i], second.iloc[:, i]) for i, name in enumerate(names)})


def _join_columns(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return the values of both; as categories, with those of both, if they are of different types."""
    alike = first.dtype == second.dtype or all(pd.api.types.is_numeric_dtype(column) for column in (first, second))
    if alike:
        return pd.concat([first, second], ignore_index=True)
    joint = pd.concat([first.astype(object), second.astype(object)], ignore_index=True)
    return joint if has_dates_or_text(first.to_frame()) or has_dates_or_text(second.to_frame()) else joint.astype("category")


def _join_embeddings(first: Samples, second: Samples) -> np.ndarray | None:
    """Return the numbers of both; None if neither has any.

    Raises:
        InputError: only one of them has such numbers, or the widths differ.
    """
    if first.embedding is None and second.embedding is None:
        return None
    widths = [None if each.embedding is None else each.embedding.shape[1] for each in (first, second)]
    if first.embedding is None or second.embedding is None or widths[0] != widths[1]:
        raise InputError(f"both sets of samples must have embeddings of one width. Got {widths[0]} and {widths[1]}")
    return np.concatenate([first.embedding, second.embedding])
