"""The ledger of a sample as one small stacked bar, in percent of its width."""

from typing import NamedTuple

import numpy as np

from hardsight.attribution.names import FACTORS
from hardsight.reporting.formatting import format_number


class Part(NamedTuple):
    """One coloured piece of the bar, in percent of its width."""

    factor: str
    start: float
    width: float


class Bar(NamedTuple):
    """The four factors of a sample as one bar. Bars made together share the scale and the zero line."""

    parts: list[Part]  # one per factor
    zero: float  # position of the zero line, in percent of the width
    text: str  # the same in words


def ledger_bars(terms: np.ndarray) -> list[Bar]:
    """Return one bar per row. Terms below zero are stacked to the left of the zero line.

    Args:
        terms: ``(row, 4)``, in the order of ``FACTORS``.
    """
    low = float(np.minimum(terms, 0).sum(1).min(initial=0))
    high = float(np.maximum(terms, 0).sum(1).max(initial=0))
    scale = 100 / max(high - low, 1e-12)
    bars = []
    for values in terms.tolist():
        left = right = 0.0
        parts = []
        for name, value in zip(FACTORS, values, strict=True):
            if value < 0:
                left += value
            start = left if value < 0 else right
            right += max(value, 0.0)
            parts.append(Part(name, round((start - low) * scale, 2), round(abs(value) * scale, 2)))
        text = ", ".join(f"{name} {format_number(value, 2)}" for name, value in zip(FACTORS, values, strict=True))
        bars.append(Bar(parts, round(-low * scale, 2), text))
    return bars
