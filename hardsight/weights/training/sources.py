"""What weights come from: a scheme by its name, an array, or a measured difficulty."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights import Scheme, scheme, weigh


class Source(NamedTuple):
    """Either a scheme, or weights that stay as they are.

    Attributes:
        scheme: None where the weights are fixed.
        weights: ``(sample,)`` float32, in the order of ``ids``; None where a scheme finds them.
        ids: of the samples; None where they are 0, 1, … in their order, or are not known.
    """

    scheme: Scheme | None
    weights: Tensor | None
    ids: Any


def resolve_source(what: Any, ids: Any, by: str | None, parameters: Mapping[str, Any]) -> Source:
    """What was given, as a scheme or as weights.

    Args:
        what: a scheme's name, an array of weights ``(sample,)``, or a :class:`Difficulty`.
        ids: of the samples, or None.
        by: with a difficulty, the scheme that :func:`hardsight.weigh` makes weights by; None: "auto".
        parameters: the scheme's own.

    Raises:
        InputError: none of these, weights that are not finite or below zero, parameters that nothing reads, or ids of a
            difficulty that are not whole numbers.
    """
    if isinstance(what, Difficulty):
        if what.ids.dtype.kind not in "iu":
            raise InputError(
                "this difficulty's ids are strings: measure with whole numbers as ids, or pass the array of weights"
            )
        if ids is not None:
            raise InputError("a difficulty brings its own ids: leave ids out")
        weights = weigh(what, by or "auto", **parameters)
        return Source(None, torch.from_numpy(weights).float(), what.ids)
    if by is not None:
        raise InputError(
            "scheme= goes with a difficulty only: pass the scheme's name first, hs.Weighting('superloss', …)"
        )
    if isinstance(what, str):
        found = scheme(what)
        found.check(parameters)
        return Source(found, None, ids)
    if parameters:
        raise InputError(f"fixed weights have no parameter {next(iter(parameters))!r}")
    return Source(None, _check_weights(what), ids)


def _check_weights(what: Any) -> Tensor:
    if isinstance(what, Tensor):
        what = (what.float() if what.is_floating_point() else what).detach().cpu().numpy()
    values = np.asarray(what)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iuf":
        raise InputError(
            f"weights must be numbers, one a sample. Got the shape {tuple(values.shape)} of {values.dtype}: "
            "pass an array (sample,), the name of a scheme, or a difficulty"
        )
    return check_nonnegative("weights", torch.tensor(values).float())


def check_nonnegative(name: str, values: Tensor) -> Tensor:
    """The values of all samples, checked: finite and 0 or more. ``(sample,)``

    Raises:
        InputError: one that is not; names its sample.
    """
    wrong = ~(values.isfinite() & (values >= 0))
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise InputError(f"{name} must be finite and 0 or more. Sample {at} has {float(values[at]):g}")
    return values
