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
    """The four factors of a sample as one bar; bars made together share the scale and the zero line."""

    parts: list[Part]
    zero: float
    words: str


def ledger_bars(lines: np.ndarray) -> list[Bar]:
    """One bar a row; what is below zero is stacked to the left of the zero line.

    Args:
        lines: ``(row, 4)``, as in ``FACTORS``.
    """
    low = float(np.minimum(lines, 0).sum(1).min(initial=0))
    high = float(np.maximum(lines, 0).sum(1).max(initial=0))
    width = 100 / max(high - low, 1e-12)
    made = []
    for amounts in lines.tolist():
        left = right = 0.0
        parts = []
        for name, amount in zip(FACTORS, amounts, strict=True):
            if amount < 0:
                left += amount
            start = left if amount < 0 else right
            right += max(amount, 0.0)
            parts.append(Part(name, round((start - low) * width, 2), round(abs(amount) * width, 2)))
        words = ", ".join(f"{name} {format_number(amount, 2)}" for name, amount in zip(FACTORS, amounts, strict=True))
        made.append(Bar(parts, round(-low * width, 2), words))
    return made
