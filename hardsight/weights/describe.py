"""Text about weights and schemes."""

import json
from typing import Any

import numpy as np

from hardsight.weights.scheme import Scheme

_GRADIENT = {True: "flows through the weights, as published", False: "does not flow through the weights"}


def effective_sample_size(weights: np.ndarray) -> float:
    """Return the number of equally weighted samples whose mean is as precise: (sum w)² / sum w².

    Source: Kish 1965, Survey sampling.

    >>> effective_sample_size(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())


def summarize_weights(ids: np.ndarray, weights: np.ndarray, largest: int = 5) -> str:
    """Return the effective sample size, the number of zero weights, and the largest weights, in two lines.

    >>> print(summarize_weights(np.array(["a", "b", "c"]), np.array([2.5, 0.5, 0.0]), largest=1))
    3 weights, worth 1.4 samples of equal weight (46.2 %). Zero weights: 1. Mean: 1.
    Largest: 2.5 (id a).
    """
    n, effective, zeros = len(weights), effective_sample_size(weights), int((weights == 0).sum())
    rows = np.argsort(-weights, kind="stable")[:largest]
    listing = ", ".join(f"{weights[row]:.4g} (id {ids[row]})" for row in rows)
    return (
        f"{n:,} weights, worth {effective:,.1f} samples of equal weight ({100 * effective / n:.1f} %). Zero weights: "
        f"{zeros:,}. Mean: {weights.mean():.4g}.\nLargest: {listing}."
    )


def describe_scheme(scheme: Scheme) -> dict[str, str]:
    """Return everything that must be known to use a scheme, one line per field, without empty fields."""
    parameters = ", ".join(
        f"{name} (no published default: pass a value)" if default is ... else f"{name}={_to_json(default)}"
        for name, default in scheme.parameters.items()
    )
    fields = {
        "name": scheme.name,
        "description": scheme.description,
        "formula": scheme.formula,
        "priority": scheme.priority,
        "reads": format_inputs(scheme),
        "scale": scheme.scale,
        "parameters": parameters or "none",
        "returns": f"{scheme.kind}, one per {scheme.per}",
        "reduction": scheme.reduction,
        "normalization": scheme.normalization,
        "gradient": _GRADIENT[scheme.through],
        "state": "kept between steps" if scheme.init is not None else "none",
        "clean data": scheme.clean_data or "none needed",
        "source": scheme.source,
        "note": scheme.note,
    }
    return {field: value for field, value in fields.items() if value}


def format_inputs(scheme: Scheme) -> str:
    """Return the inputs of a scheme as a list, the optional ones marked."""
    return ", ".join([*scheme.reads, *(f"{name} (optional)" for name in scheme.optional)])


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
