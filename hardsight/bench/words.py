"""Tables of the studies, as markdown."""

import math
import platform
from collections.abc import Iterable, Sequence

import torch

from hardsight.bench.speed import Case, Growth, Timed


def machine() -> str:
    """What a timing was taken with."""
    return f"{torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}."


def speeds(case: Case, rows: Iterable[Timed], peak: float) -> str:
    """One case of :mod:`hardsight.bench.speed`."""
    head = ("way", "seconds", "times as fast", "sample-epochs a second", "GFLOP/s", "of peak", "log-loss", "Spearman")
    cells = [
        (
            row.way,
            f"{row.seconds:.3f}",
            f"{row.ratio:.1f}",
            _known(row.visits_per_second, ",.0f"),
            _known(row.gflops, ".1f"),
            _known(row.gflops / peak, ".1%"),
            f"{row.log_loss:.4f}",
            f"{row.spearman:.4f}",
        )
        for row in rows
    ]
    return f"## {case.title}\n\n{case.what}\n\n{_table(head, cells)}"


def growths(found: Iterable[Growth]) -> str:
    """How the time grows; every ratio is to the size before."""
    head = ("what grows", "sizes", "seconds", "times the time of the size before")
    cells = [
        (
            each.what,
            " → ".join(f"{value:,}" for value in each.values),
            " → ".join(f"{seconds:.2f}" for seconds in each.seconds),
            ", ".join(f"{after / before:.2f}" for before, after in zip(each.seconds, each.seconds[1:], strict=False)),
        )
        for each in found
    ]
    return f"## Growth\n\nPerceptrons; one size is doubled twice while the others stay.\n\n{_table(head, cells)}"


def _known(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
