"""Claims in words: numbers as people write them, and the table of a run."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardsight.theory.claim import Claim, Interval

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Three digits, with a power of ten where that is shorter.

    >>> [number(each) for each in (0.99781, 12345.0, 2.2e-16, -0.0, 50.0)]
    ['0.998', '12,345', '2.2 × 10⁻¹⁶', '0', '50']
    """
    if not np.isfinite(value):
        return "–" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e6:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa.replace('-', '−')} × 10{str(int(power)).translate(_SUPERSCRIPT)}"
    text = f"{value:,.0f}" if size >= 100 or float(value).is_integer() else f"{value:.3g}"
    return text.replace("-", "−")


def interval(found: Interval | None) -> str:
    """Both ends, or nothing.

    >>> interval(Interval(0.5, 0.75))
    '0.5 … 0.75'
    """
    return "" if found is None else f"{number(found.low)} … {number(found.high)}"


def lead(claims: Sequence[Claim]) -> str:
    """How many hold, in a sentence."""
    failed = [claim.name for claim in claims if not claim.holds]
    of_all = f"{len(claims) - len(failed)} of {len(claims)} claims hold"
    seconds = f"{sum(claim.seconds for claim in claims):,.0f} s of CPU time"
    return f"{of_all}; {seconds}." if not failed else f"{of_all}; {seconds}. These fail: {', '.join(failed)}."


def table(claims: Sequence[Claim], console: Console) -> None:
    """A row a claim, the family above its rows; the first number measured, with its interval, and whether it holds."""
    rows = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", collapse_padding=True)
    rows.add_column("claim", overflow="fold")
    rows.add_column("kind")
    rows.add_column("measured", overflow="fold")
    rows.add_column("95 %", no_wrap=True)
    rows.add_column("runs", justify="right")
    rows.add_column("s", justify="right")
    rows.add_column("")
    family = ""
    for claim in claims:
        if claim.family != family:
            family = claim.family
            rows.add_row(f"[bold]{escape(family)}[/bold]")
        name, value = next(iter(claim.measured.items()))
        verdict = "[green]holds[/green]" if claim.holds else "[bold red]FAILS[/bold red]"
        told = f"{number(value)} {escape(name)}"
        rows.add_row(
            claim.name, claim.kind, told, interval(claim.interval), f"{claim.seeds:,}", f"{claim.seconds:.1f}", verdict
        )
    console.print(rows)
    console.print(f"\n{escape(lead(claims))}")
