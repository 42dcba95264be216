"""Format numbers and print the table of a run."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardsight.theory.claim import Claim, Interval

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: float) -> str:
    """Format a number with three digits, with a power of ten if that is shorter.

    >>> [format_number(each) for each in (0.99781, 12345.0, 2.2e-16, -0.0, 50.0)]
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


def format_interval(interval: Interval | None) -> str:
    """Format both ends of an interval; an empty string for None.

    >>> format_interval(Interval(0.5, 0.75))
    '0.5 … 0.75'
    """
    return "" if interval is None else f"{format_number(interval.low)} … {format_number(interval.high)}"


def summarise(claims: Sequence[Claim]) -> str:
    """Return one sentence on how many claims hold."""
    failed = [claim.name for claim in claims if not claim.holds]
    count = f"{len(claims) - len(failed)} of {len(claims)} claims hold"
    seconds = f"{sum(claim.seconds for claim in claims):,.0f} s of CPU time"
    return f"{count}; {seconds}." if not failed else f"{count}; {seconds}. These fail: {', '.join(failed)}."


def print_table(claims: Sequence[Claim], console: Console) -> None:
    """Print one row per claim, grouped by family: first measured number, interval, and whether it holds."""
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
        measured = f"{format_number(value)} {escape(name)}"
        rows.add_row(
            claim.name,
            claim.kind,
            measured,
            format_interval(claim.interval),
            f"{claim.seeds:,}",
            f"{claim.seconds:.1f}",
            verdict,
        )
    console.print(rows)
    console.print(f"\n{escape(summarise(claims))}")
