"""Weights and schemes in words."""

import json
from typing import Any

import numpy as np

from hardsight.weights.scheme import Scheme

_FLOW = {True: "flows through the weights, as published", False: "does not flow through the weights"}


def effective(weights: np.ndarray) -> float:
    """How many samples of equal weight have a mean as precise: (sum w)² / sum w² (Kish 1965, Survey sampling).

    >>> effective(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())


def summary(ids: np.ndarray, weights: np.ndarray, largest: int = 5) -> str:
    """The effective sample size, how many weigh nothing, and the largest weights, in two lines.

    >>> print(summary(np.array(["a", "b", "c"]), np.array([2.5, 0.5, 0.0]), largest=1))
    3 weights, worth 1.4 samples of equal weight (46.2 %); 1 are 0, the mean is 1.
    Largest: a 2.5.
    """
    n, worth, zero = len(weights), effective(weights), int((weights == 0).sum())
    at = np.argsort(-weights, kind="stable")[:largest]
    shown = ", ".join(f"{ids[i]} {weights[i]:.4g}" for i in at)
    return (
        f"{n:,} weights, worth {worth:,.1f} samples of equal weight ({100 * worth / n:.1f} %); {zero:,} are 0, "
        f"the mean is {weights.mean():.4g}.\nLargest: {shown}."
    )


def told(row: Scheme) -> dict[str, str]:
    """All of a scheme that must be known to use it, a line a field; what it has not is left out."""
    parameters = ", ".join(
        f"{name} (no published default: give it)" if default is ... else f"{name}={_plain(default)}"
        for name, default in row.parameters.items()
    )
    fields = {
        "name": row.name,
        "prefers": row.description,
        "formula": row.formula,
        "priority": row.priority,
        "reads": ", ".join([*row.reads, *(f"{name} (optional)" for name in row.optional)]),
        "scale": row.scale,
        "parameters": parameters or "none",
        "gives": f"{row.kind}, one a {row.per}",
        "reduction": row.reduction,
        "normalised": row.normalization,
        "gradient": _FLOW[row.through],
        "state": "kept between steps" if row.init is not None else "none",
        "clean data": row.clean_data or "none needed",
        "source": row.source,
        "note": row.note,
    }
    return {field: value for field, value in fields.items() if value}


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
