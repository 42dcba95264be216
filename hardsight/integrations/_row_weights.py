"""Weights of the rows that a library trains on, which knows them by their position alone."""

import inspect
from typing import Any

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights import weigh
from hardsight.weights.training import Weighting

_WEIGHTING_ARGUMENTS = frozenset(inspect.signature(Weighting).parameters) - {"scheme"}


def make_row_weighting(what: Any, rows: int, parameters: dict[str, Any]) -> Weighting:
    """A weighting whose ids are the positions of the rows.

    Args:
        what: name of a scheme, weights ``(row,)``, or a ``Difficulty`` of these rows in their order, whatever its ids.
        rows: that are trained on.
        parameters: other arguments of :class:`hardsight.Weighting`; with a difficulty also those of :func:`hardsight.weigh`.

    Raises:
        InputError: not a weight for each row, or what :class:`hardsight.Weighting` refuses.
    """
    if isinstance(what, Difficulty):
        # Its own ids may be labels of a frame's index, which are no positions.
        own = {name: parameters[name] for name in _WEIGHTING_ARGUMENTS & parameters.keys()}
        given = {name: value for name, value in parameters.items() if name not in _WEIGHTING_ARGUMENTS | {"scheme"}}
        what, parameters = weigh(what, parameters.get("scheme") or "auto", **given), own
    found = Weighting(what, **parameters)
    if found.scheme is None and found.id_index.count != rows:
        raise InputError(
            f"there are {found.id_index.count} weights and {rows} training rows: pass the weights of these rows as "
            "sample_weight"
        )
    return found
