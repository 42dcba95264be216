"""What a run prints: a summary for eyes, or one JSON object for machines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardsight.attribution.names import CAUSES, FACTORS, NO_CAUSE
from hardsight.cli.ledger_bars import LEGEND, stacked
from hardsight.difficulty.actions import RECOMMENDATIONS, describe_action
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.formatting import format_error, format_line, format_number, format_share
from hardsight.reporting.summary import (
    describe_measurement,
    findings,
    mean_terms,
    summarize_causes,
    summarize_groups,
)

CLASSES = 12
# Cells of a terminal below which first the bars, then the numbers they show are left out.
WIDE, MEDIUM = 96, 76
_LINES = ["noise", "imbal.", "margin", "uncert."]
_BAR = "ledger"


class _Room(NamedTuple):
    """What there is room for in a terminal."""

    lines: bool
    bars: bool
    details: bool
    name: int

    @classmethod
    def of(cls, width: int) -> "_Room":
        # Where numbers do not fit, a bar does in their place.
        return cls(
            width >= MEDIUM,
            width >= WIDE or width < MEDIUM,
            width >= MEDIUM,
            16 + max(0, width - 100) // 4 if width >= MEDIUM else 12,
        )


def summary(d: Difficulty, *, hardest: int, seconds: float, console: Console) -> None:
    """The headline, what stands out, the causes, the classes and the hardest samples, as text."""
    console.print(f"[bold]{escape(describe_measurement(d))}[/bold]")
    console.print(
        f"Learner: {escape(d.settings['recipe'])} ({escape(d.settings['reason'])}). Splits: {d.settings['splits']}. "
        f"Seed {d.settings['seed']}. {seconds:.1f} s."
    )
    for sentence in findings(d):
        console.print(f"  • {escape(sentence)}")
    for notice in d.settings["notices"]:
        console.print(f"  [yellow]![/yellow] {escape(format_line(notice, 400))}")
    room = _Room.of(console.width)
    if d.factors is not None:
        console.print(_causes(d, room))
        console.print(f"The lines are means; the four add up to the error. Bars: {LEGEND}.", style="dim")
    if not d.loss_only:
        console.print(_classes(d, room))
    console.print(_hardest(d, hardest, room))


def _table(title: str, left: Sequence[str], *right: str, last: str | None = None) -> Table:
    """A table whose first and last columns are words, which fold, and whose others are numbers, which never do."""
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for name in left:
        table.add_column(name, overflow="fold", min_width=min(len(name), 8))
    for name in right:
        table.add_column(name, justify="left" if name == _BAR else "right", no_wrap=True)
    if last is not None:
        table.add_column(last, overflow="fold", min_width=12)
    return table


def _cut(value: Any, cells: int) -> str:
    """Any value as one line of so many cells, of which wide letters take two; ready for a table."""
    text = format_line(value, cells)
    return escape(text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…")


def _amounts(lines: Iterable[float]) -> list[str]:
    """The four factors at three decimals; without a sign where that leaves zero."""
    return [f"{amount:.3f}".replace("-0.000", "0.000").replace("-", "−") for amount in lines]


def _causes(d: Difficulty, room: _Room) -> Table:
    rows = summarize_causes(d)
    table = _table(
        "\nWhy samples are hard, and what to do",
        ["cause"],
        "samples",
        *(["share"] if room.details else []),
        "error",
        *(_LINES if room.lines else []),
        *([_BAR] if room.bars else []),
        last="what to do",
    )
    everything = mean_terms(d, np.ones(len(d), dtype=bool))
    lines = np.array([*(row.terms for row in rows), everything])
    named = [
        *((row.name, row.size, row.share, row.mean_error, "; ".join(row.recommendations)) for row in rows),
        ("all", len(d), format_share(1, 1), float(d.error.mean()), ""),
    ]
    for (name, size, part, error, todo), amounts, bar in zip(named, lines, stacked(lines, 14), strict=True):
        cells: list[Any] = [name, f"{size:,}", *([part] if room.details else []), format_number(error)]
        cells += (_amounts(amounts) if size else ["–"] * len(FACTORS)) if room.lines else []
        cells += [bar] if room.bars else []
        table.add_row(*cells, escape(todo))
    return table


def _classes(d: Difficulty, room: _Room) -> Table:
    rows = summarize_groups(d)
    shown = rows[:CLASSES]
    account = d.factors is not None
    name = format_line(d.settings.get("label_name", "label"), 40)
    title = f"\nBy {name}" if d.regression else f"\nBy class of {name}, hardest first"
    parts = [] if not room.lines else _LINES if account else ["bias", "variance"]
    bars = stacked(np.array([row.terms for row in shown]), 14) if account and room.bars else []
    accuracy = ["accuracy"] if room.details and not d.regression else []
    wrong = [] if d.p_wrong is None else ["wrong"]
    noise = [] if d.noise_variance is None else ["noise s.d.", "outliers"]
    cells = room.name if account else 40
    table = _table(
        escape(title),
        [_cut(name, cells)],
        "samples",
        "error",
        "± s.e.",
        *parts,
        *([_BAR] if bars else []),
        *accuracy,
        *wrong,
        *noise,
    )
    for place, row in enumerate(shown):
        values: list[Any] = [
            _cut(row.name, cells),
            f"{row.size:,}",
            format_number(row.error),
            format_error(row.error, row.error_se),
        ]
        values += (_amounts(row.terms) if account else [format_number(row.bias), format_number(row.variance)])[
            : len(parts)
        ]
        values += bars[place : place + 1]
        values += [f"{row.accuracy:.1%}"] if accuracy else []
        values += [f"{row.p_wrong:.1%}"] if wrong else []
        values += [format_number(row.noise_sd), f"{row.outliers:.1f}"] if noise else []
        table.add_row(*values)
    if len(rows) > CLASSES:
        table.add_row(f"… {len(rows) - CLASSES:,} more")
    return table


def _hardest(d: Difficulty, n: int, room: _Room) -> Table:
    at = d.ranking[:n]
    account = d.factors is not None
    bars = stacked(d.factors.to_numpy()[at], 12) if d.factors is not None and room.bars and room.details else []
    parts = ["bias", "variance"] if room.details and not account and not d.loss_only else []
    outlier = [] if d.p_outlier is None else ["P outlier"]
    table = _table(
        f"\nThe {len(at)} hardest samples",
        ["id"] if d.loss_only else ["id", "label", *(["pred."] if room.details else [])],
        "error",
        "± s.e.",
        *parts,
        *([_BAR] if bars else []),
        *(["P wrong"] if account else []),
        *outlier,
        last="what to do" if account else None,
    )
    cells = max(12, room.name - 4) if account else 40
    for place, row in enumerate(d.hardest(n).reset_index().to_dict("records")):
        named = [] if d.loss_only else [row["label"], row["predicted"]][: 2 if room.details else 1]
        words = [format_number(name, 4) if d.regression else _cut(name, cells) for name in named]
        values: list[Any] = [escape(format_line(row["id"], 60)), *words]
        values += [format_number(row["error"]), format_error(row["error"], row["error_se"])]
        values += [format_number(row[part], 2) for part in parts]
        values += bars[place : place + 1]
        values += [f"{row['p_wrong']:.2f}"] if account else []
        values += [f"{row['p_outlier']:.2f}"] if outlier else []
        values += [_advice(row)] if account else []
        table.add_row(*values)
    return table


def _advice(row: Mapping[Any, Any]) -> str:
    said = describe_action(row["todo"], _cut(row["label"], 12), _cut(row.get("suggested", ""), 12))
    return said if row["cause"] == NO_CAUSE else f"{row['cause']}: {said}"


def machine(d: Difficulty, *, hardest: int, seconds: float, files: dict[str, str]) -> dict[str, Any]:
    """The same as JSON types; what is not known is null."""
    return {
        "samples": len(d),
        "classes": None if d.classes is None else list(d.classes),
        "error": float(d.error.mean()),
        "bias": _known(d.bias.mean()),
        "variance": _known(d.variance.mean()),
        "noise_sd": d.noise_sd,
        "outliers": None if d.p_outlier is None else float(d.p_outlier.sum()),
        "accuracy": None if d.classes is None else float((d.predicted == d.labels).mean()),
        "reliability": d.settings.get("reliability"),
        "views": {"least": int(d.n_views.min()), "most": int(d.n_views.max())},
        "labels_wrong": None if d.p_wrong is None else float(d.p_wrong.sum()),
        "causes": None if d.cause is None else {name: int((d.cause == name).sum()) for name in CAUSES},
        "todo": None
        if d.recommended_action is None
        else {action: int((d.recommended_action == action).sum()) for action in RECOMMENDATIONS},
        "ledger": _ledger(d),
        "noise_rates": _records(d.noise_rates),
        "hardest": _records(d.hardest(hardest)),
        "settings": d.settings,
        "seconds": round(seconds, 3),
        "files": files,
    }


def _ledger(d: Difficulty) -> dict[str, Any] | None:
    """Mean lines by cause, with what to do, and by class."""
    if d.factors is None:
        return None
    return {
        "causes": [
            {"cause": row.name, "samples": row.size, "error": _known(row.mean_error)}
            | dict(zip(FACTORS, row.terms, strict=True))
            | {"todo": row.recommendations}
            for row in summarize_causes(d)
        ],
        "classes": [
            {"class": row.name, "samples": row.size, "error": row.error, "wrong": _known(row.p_wrong)}
            | dict(zip(FACTORS, row.terms, strict=True))
            for row in summarize_groups(d)
        ],
    }


def _records(frame: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    if frame is None:
        return None
    return [{str(k): _known(v) for k, v in row.items()} for row in frame.reset_index().to_dict("records")]


def _known(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
