"""Tables of the studies, as markdown."""

import math
import platform
from collections.abc import Iterable, Sequence

import pandas as pd
import torch

from hardsight.bench.hardness import KINDS
from hardsight.bench.ranks import Standing
from hardsight.bench.speed import Case, Growth, Timed

# The score that hardsight stands for in the studies, the same for all sets and kinds.
OURS = "error (50)"


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


def measures(rows: pd.DataFrame, found: Standing) -> str:
    """The study of measures."""
    kinds = list(found.by_kind.columns)
    middle = (len(found.mean) + 1) / 2
    told = [
        "# Which measure finds hard samples?",
        f"{rows['set'].nunique()} data sets ({', '.join(rows['set'].unique())}), {len(kinds)} kinds of hardness, shares "
        f"{', '.join(f'{share:g}' for share in sorted(rows['share'].unique()))}, {rows['seed'].nunique()} seeds; "
        f"{len(found.mean)} measures, ranked by average precision (AUPRC, hard samples are the positives) in every set, "
        "kind and share, mean over seeds. The number in brackets is that of the trainings; all costs are those of a measure "
        "alone, though measures that need the same trainings share them. CPU seconds of one thread.",
        f"Friedman test over {found.blocks} pairs of a set and a kind: p = {found.p:.2g}. Mean ranks that differ by less "
        f"than {found.distance:.1f} cannot be told apart (Nemenyi, 5 %). The middle of the field is rank {middle:g}.",
        "## All measures",
        _overall(rows, found),
        f"## Where `{OURS}` stands",
        _ours(rows, found, middle),
        "## Mean ranks by kind",
        _table(("measure", *kinds), ((name, *(f"{rank:.1f}" for rank in row)) for name, row in found.by_kind.iterrows())),
    ]
    faults = rows[rows["fault"] != ""].groupby(["measure", "fault"]).size()
    if len(faults):
        told += [
            "## Without a score",
            _table(("measure", "cells", "why"), ((name, str(n), why) for (name, why), n in faults.items())),
        ]
    return "\n\n".join(told)


def _overall(rows: pd.DataFrame, found: Standing) -> str:
    mean = rows.groupby("measure")[["auroc", "auprc", "lift", "precision", "stability"]].mean()
    # The first cell of a process also imports and compiles.
    seconds = rows.groupby("measure")["seconds"].median()
    trainings = rows.groupby("measure")["trainings"].max()
    head = ("measure", "of", "trainings", "seconds", "mean rank", "worst kind", "AUROC", "AUPRC", "lift", "precision at n",
            "stability")  # fmt: skip
    cells = []
    for name in found.mean.index:
        row, worst = mean.loc[name], found.by_kind.loc[name]
        cells.append(
            (
                name,
                found.by[name],
                str(trainings[name]),
                f"{seconds[name]:.2f}",
                f"{found.mean[name]:.1f}",
                f"{worst.max():.1f} ({worst.idxmax()})",
                *(_known(row[each], ".3f") for each in ("auroc", "auprc")),
                _known(row["lift"], ".1f"),
                *(_known(row[each], ".3f") for each in ("precision", "stability")),
            )
        )
    return _table(head, cells)


def _ours(rows: pd.DataFrame, found: Standing, middle: float) -> str:
    if OURS not in found.by_kind.index:
        return f"`{OURS}` lacks a score in some cell."
    auprc = rows.groupby(["kind", "measure"])["auprc"].mean()
    cells = []
    for kind, ranks in found.by_kind.items():
        first = ranks.idxmin()
        place = int((ranks < ranks[OURS]).sum()) + 1
        cells.append(
            (
                str(kind),
                KINDS[str(kind)].what,
                f"{ranks[OURS]:.1f}",
                f"{place} of {len(ranks)}",
                "yes" if ranks[OURS] <= middle else "**no**",
                f"{auprc[kind, OURS]:.3f}",
                f"{first} ({ranks[first]:.1f}; {auprc[kind, first]:.3f})",
            )
        )
    return _table(("kind", "what is made hard", "mean rank", "place", "in the upper half", "AUPRC", "first"), cells)


def _known(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
