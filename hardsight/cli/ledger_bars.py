"""Stacked bars of the ledger for terminals: every letter stands for a factor, in its colour if the terminal has colours."""

import numpy as np
from rich.text import Text

from hardsight.attribution.names import FACTORS
from hardsight.reporting.palette import COLOURS

LEGEND = ", ".join(f"{name[0].upper()} {name}" for name in FACTORS)


def ledger_bars(terms: np.ndarray, width: int) -> list[Text]:
    """Draw one bar per row, all on one scale; negative amounts are left of a vertical line, which is there if any are.

    Args:
        terms: ``(row, 4)`` noise, imbalance, margin, uncertainty.
        width: of a bar in cells.

    >>> [bar.plain for bar in ledger_bars(np.array([[2.0, -1.0, 1.0, 0.0], [0.5, 0.5, 0.0, 1.0]]), 9)]
    ['II│NNNNMM', '  │NIUU']
    """
    positive, negative = np.maximum(terms, 0), np.maximum(-terms, 0)
    high, low = positive.sum(1).max(initial=0), negative.sum(1).max(initial=0)
    scale = (width - 1 if low > 0 else width) / max(high + low, 1e-12)
    left = round(low * scale)
    bars = []
    for above, below in zip(positive, negative, strict=True):
        left_cells, right_cells = _to_cells(below * scale), _to_cells(above * scale)
        bar = Text(" " * (left - len(left_cells)))
        _append(bar, left_cells[::-1])
        if left:
            bar.append("│")
        _append(bar, right_cells)
        bars.append(bar)
    return bars


def _to_cells(amounts: np.ndarray) -> list[int]:
    """Return the factor of every cell; ends are rounded, not lengths, so that the whole bar keeps its length."""
    ends = np.floor(np.cumsum(amounts) + 0.5).astype(int)
    return np.repeat(np.arange(len(FACTORS)), np.diff(ends, prepend=0)).tolist()


def _append(bar: Text, factors: list[int]) -> None:
    for factor in factors:
        name = FACTORS[factor]
        bar.append(name[0].upper(), style=f"black on {COLOURS[name]}")
