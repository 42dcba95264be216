"""Probabilities, log-probabilities and logits: which of them the rows of predictions may be."""

import warnings

from jaxtyping import Bool, Float
from torch import Tensor

from hardsight.errors import HardsightWarning, InputError

# Sums of rounded probabilities differ from one by more than those of exact ones.
EXACT, ROUNDED = 5e-3, 0.05
_NEGATIVE_ZERO = -1e-6


def are_probabilities(rows: Float[Tensor, "*row class"], tolerance: float = ROUNDED) -> Bool[Tensor, "*row"]:
    """Return which rows may be probabilities: within [0, 1], with sum one.

    Args:
        tolerance: of the sum.

    >>> import torch
    >>> are_probabilities(torch.tensor([[0.25, 0.75], [0.5, 0.7], [-1.0, 2.0]])).tolist()
    [True, False, False]
    """
    within = ((rows >= _NEGATIVE_ZERO) & (rows <= 1 + tolerance)).all(-1)
    return within & ((rows.sum(-1) - 1).abs() <= tolerance)


def are_log_probabilities(rows: Float[Tensor, "*row class"]) -> Bool[Tensor, "*row"]:
    """Return which rows may be log-probabilities: nowhere above 0, with exponentials of sum one.

    >>> import torch
    >>> are_log_probabilities(torch.tensor([[0.25, 0.75], [-1.0, -1.0]]).log()).tolist()
    [True, False]
    """
    return (rows <= ROUNDED).all(-1) & (rows.logsumexp(-1).abs() <= ROUNDED)


def look_like_probabilities(rows: Float[Tensor, "row class"]) -> bool:
    """Return whether all rows are probabilities. One row may be so by accident, and one-hot rows could be logits, too.

    >>> import torch
    >>> look_like_probabilities(torch.tensor([[0.25, 0.75], [0.5, 0.5]])), look_like_probabilities(torch.eye(2))
    (True, False)
    """
    # In most batches a logit is below zero, which is the fastest test.
    if not rows.numel() or bool(rows.min() < 0) or not bool(are_probabilities(rows, EXACT).all()):
        return False
    return int((rows < 1).all(-1).sum()) > 1


def warn_of_probabilities(rows: Float[Tensor, "row class"], source: str) -> None:
    """Warn if the outputs of a model that are read as logits look like probabilities.

    Args:
        source: what gives the outputs, for the message.
    """
    if look_like_probabilities(rows):
        warnings.warn(
            f"The outputs of {source} look like probabilities (none below zero, rows sum to one), and are read as logits: "
            "leave out its final softmax, which the loss contains.",
            HardsightWarning,
            stacklevel=3,
        )


def check_logits(name: str, rows: Float[Tensor, "row class"]) -> None:
    """Refuse probabilities in place of logits.

    Raises:
        InputError: all rows look like probabilities.
    """
    if rows.ndim == 2 and look_like_probabilities(rows):
        raise InputError(
            f"{name} look like probabilities (none below zero, rows sum to one): give what comes before the softmax, or "
            "probabilities.log(); if these are logits, logits - 1 means the same"
        )
