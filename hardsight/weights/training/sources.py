"""What weights come from: a scheme by its name, an array, or a measured difficulty."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.data.alignment import check_indexes
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights import Scheme, get_scheme, weigh
from hardsight.weights.inputs import as_plain_array, to_full_precision
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.subset_rows import is_reordered


class Source(NamedTuple):
    """Either a scheme, or fixed weights.

    Attributes:
        scheme: the scheme; None for fixed weights.
        weights: fixed weights ``(sample,)`` in the order of ``ids``, in float64 if given so; None with a scheme.
        ids: ids of the samples; None if they are 0, 1, … in order, or unknown.
    """

    scheme: Scheme | None
    weights: Tensor | None
    ids: Any


def resolve_source(source: Any, ids: Any, scheme: str | None, parameters: Mapping[str, Any]) -> Source:
    """Turn the first argument of a weighting or sampler into a scheme or into weights.

    Args:
        source: name of a scheme, array of weights ``(sample,)``, or :class:`Difficulty`.
        ids: ids of the samples, or None.
        scheme: with a difficulty, the scheme by which :func:`hardsight.weigh` makes weights; None: "auto".
        parameters: the scheme's own parameters.

    Raises:
        InputError: none of these, weights that are negative or not finite, unknown parameters, or a difficulty whose
            ids are not integers; or a series of pandas whose index is in another order.
    """
    if isinstance(source, Difficulty):
        if source.ids.dtype.kind not in "iu":
            raise InputError("this difficulty's ids are strings: measure with integers as ids, or pass the array of weights")
        if ids is not None:
            raise InputError("a difficulty brings its own ids: leave ids out")
        weights = weigh(source, scheme or "auto", **parameters)
        return Source(None, torch.from_numpy(weights), source.ids)
    if scheme is not None:
        raise InputError(
            "scheme= is for a difficulty only: pass the scheme's name as the first argument, hs.Weighting('superloss', …)"
        )
    if isinstance(source, str):
        row = get_scheme(source)
        row.check_parameters(parameters)
        return Source(row, None, ids)
    if parameters:
        raise InputError(f"fixed weights have no parameter {next(iter(parameters))!r}: leave it out")
    if ids is None:
        _check_order(source)
    else:
        check_indexes(weights=source, ids=ids)
    return Source(None, _check_weights(source), ids)


def _check_order(weights: Any) -> None:
    """Check that weights with an index, such as a series of pandas, are not in another order than their index.

    Raises:
        InputError: the index has 0, 1, … in another order, so that either could be meant.
    """
    labels = getattr(weights, "index", None)
    if labels is None or callable(labels):
        return
    rows = np.asarray(labels)
    if rows.dtype.kind in "iu" and is_reordered(rows):
        raise InputError(
            "the index of the weights has 0, 1, … in another order: pass ids=weights.index if it is the ids, or "
            "weights.to_numpy() if the weights are in the order of the data set"
        )


def _check_weights(weights: Any) -> Tensor:
    if isinstance(weights, Tensor):
        # numpy has no bfloat16.
        weights = to_full_precision(weights).detach().cpu().numpy()
    values = np.asarray(weights)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iuf":
        raise InputError(
            f"weights must be numbers, one per sample. Got the shape {tuple(values.shape)} of {values.dtype}: "
            "pass an array (sample,), the name of a scheme, or a difficulty"
        )
    dtype = torch.float64 if values.dtype.itemsize >= 8 else torch.float32
    return check_nonnegative("weights", torch.from_numpy(as_plain_array(values)).to(dtype))


def check_nonnegative(name: str, values: Tensor) -> Tensor:
    """Return the values of all samples if they are finite and 0 or more. ``(sample,)``

    Raises:
        InputError: a value is negative or not finite; names its sample.
    """
    wrong = ~(values.isfinite() & (values >= 0))
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise InputError(f"{name} must be finite and 0 or more. Sample {row} has {float(values[row]):g}")
    return values


def count_samples(source: Source, num_samples: int | None) -> int | None:
    """Return the number of samples; None if it is unknown.

    Raises:
        InputError: there is not one weight per sample.
    """
    if source.weights is None:
        return num_samples
    n_weights = len(source.weights)
    n_ids = n_weights if source.ids is None else len(source.ids)
    if n_ids != n_weights or num_samples not in (None, n_weights):
        n_samples = num_samples if source.ids is None else n_ids
        raise InputError(f"there are {n_weights} weights and {n_samples} samples: pass one weight per sample")
    return n_weights


def sort_by_id(source: Source, id_index: IdIndex) -> Tensor | None:
    """Return the fixed weights in the order of the index."""
    if source.weights is None or source.ids is None:
        return source.weights
    ordered = torch.empty_like(source.weights)
    ordered[id_index.find_rows(as_ids(source.ids))] = source.weights
    return ordered
