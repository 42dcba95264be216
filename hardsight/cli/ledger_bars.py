"""Stacked bars of the ledger made of letters, for terminals: every letter is a factor's, coloured where there is colour."""

import numpy as np
from rich.text import Text

from hardsight.attribution.names import FACTORS
from hardsight.reporting.palette import COLOURS

LEGEND = ", ".join(f"{name[0].upper()} {name}" for name in FACTORS)


def stacked(lines: np.ndarray, width: int) -> list[Text]:
    """One bar a row, all to one scale; what is below zero stands left of an upright mark, there where any is.

    Args:
        lines: ``(row, 4)`` noise, imbalance, margin, uncertainty.
        width: of a bar in cells.

    >>> [bar.plain for bar in stacked(np.array([[2.0, -1.0, 1.0, 0.0], [0.5, 0.5, 0.0, 1.0]]), 9)]
    ['II│NNNNMM', '  │NIUU']
    """
    rising, falling = np.maximum(lines, 0), np.maximum(-lines, 0)
    high, low = rising.sum(1).max(initial=0), falling.sum(1).max(initial=0)
    cells = (width - 1 if low > 0 else width) / max(high + low, 1e-12)
    left = round(low * cells)
    bars = []
    for up, down in zip(rising, falling, strict=True):
        below, above = _letters(down * cells), _letters(up * cells)
        bar = Text(" " * (left - len(below)))
        _write(bar, below[::-1])
        if left:
            bar.append("│")
        _write(bar, above)
        bars.append(bar)
    return bars


def _letters(amounts: np.ndarray) -> list[int]:
    """The factor of every cell; ends are rounded, not lengths, so that the whole bar keeps its length."""
    ends = np.floor(np.cumsum(amounts) + 0.5).astype(int)
    return np.repeat(np.arange(len(FACTORS)), np.diff(ends, prepend=0)).tolist()


def _write(bar: Text, factors: list[int]) -> None:
    for factor in factors:
        name = FACTORS[factor]
        bar.append(name[0].upper(), style=f"black on {COLOURS[name]}")
