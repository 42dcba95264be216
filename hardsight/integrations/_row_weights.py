"""Weights by row position, for libraries that know the rows they train on by position alone."""

import inspect
from typing import Any

import numpy as np
from torch import Tensor

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights import weigh
from hardsight.weights.training import Weighting

_WEIGHTING_ARGUMENTS = frozenset(inspect.signature(Weighting).parameters) - {"scheme"}


def make_row_weighting(source: Any, n_rows: int, parameters: dict[str, Any]) -> Weighting:
    """Create a weighting whose ids are the positions of the rows.

    Args:
        source: name of a scheme, weights ``(row,)``, or a ``Difficulty`` of these rows in their order, whatever its
            ids.
        n_rows: number of rows that are trained on.
        parameters: other arguments of :class:`hardsight.Weighting`; with a difficulty also those of
            :func:`hardsight.weigh`.

    Raises:
        InputError: there is not one weight per row, or :class:`hardsight.Weighting` cannot use the arguments.
    """
    if isinstance(source, Difficulty):
        # Its own ids may be labels of a frame's index rather than positions.
        options = {name: value for name, value in parameters.items() if name not in _WEIGHTING_ARGUMENTS | {"scheme"}}
        weights = weigh(source, parameters.get("scheme") or "auto", **options)
        source, parameters = weights, {name: parameters[name] for name in _WEIGHTING_ARGUMENTS & parameters.keys()}
    elif not isinstance(source, str | Tensor):
        # Libraries of rows take weights by position, whatever the index of a frame is.
        source = np.asarray(source)
    weighting = Weighting(source, **parameters)
    if weighting.scheme is None and weighting.id_index.count != n_rows:
        raise InputError(
            f"there are {weighting.id_index.count} weights and {n_rows} training rows: pass the weights of these rows "
            "as sample_weight"
        )
    return weighting
