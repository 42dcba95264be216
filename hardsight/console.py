"""What a run prints: a summary for eyes, or one JSON object for machines."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardsight.difficulty import FACTORS, Difficulty
from hardsight.report.summary import causes, findings, groups, lead
from hardsight.report.words import line, number, spread

CLASSES = 12


def summary(d: Difficulty, *, hardest: int, seconds: float, console: Console) -> None:
    """The headline, what stands out, the causes, the classes and the hardest samples, as text."""
    console.print(f"[bold]{escape(lead(d))}[/bold]")
    console.print(
        f"Learner: {escape(d.settings['recipe'])} ({escape(d.settings['reason'])}). Splits: {d.settings['splits']}. "
        f"Seed {d.settings['seed']}. {seconds:.1f} s."
    )
    for sentence in findings(d):
        console.print(f"  • {escape(sentence)}")
    for notice in d.settings["notices"]:
        console.print(f"  [yellow]![/yellow] {escape(line(notice, 400))}")
    if d.factors is not None:
        console.print(_causes(d))
    console.print(_classes(d))
    console.print(_hardest(d, hardest))


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 1))
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < left else "right", overflow="fold", max_width=40)
    return table


def _causes(d: Difficulty) -> Table:
    table = _table("\nWhy samples are hard", "cause", "samples", "share", "mean error", "share of all error")
    for row in causes(d):
        table.add_row(row.name, f"{row.size:,}", row.share, number(row.mean_error), row.total)
    return table


def _classes(d: Difficulty) -> Table:
    rows = groups(d)
    name = line(d.settings.get("label_name", "label"), 40)
    accuracy = [] if d.regression else ["held-out accuracy"]
    wrong = [] if d.p_wrong is None else ["labels wrong"]
    title = f"\nBy {name}" if d.regression else f"\nBy class of {name}, hardest first"
    table = _table(escape(title), name, "samples", "error", "± s.e.", "bias", "variance", *accuracy, *wrong)
    for row in rows[:CLASSES]:
        cells = [escape(row.name), f"{row.size:,}", number(row.error), spread(row.error, row.error_se)]
        cells += [number(row.bias), number(row.variance)]
        cells += [] if d.regression else [f"{row.accuracy:.1%}"]
        cells += [] if d.p_wrong is None else [f"{row.p_wrong:.1%}"]
        table.add_row(*cells)
    if len(rows) > CLASSES:
        table.add_row(f"… {len(rows) - CLASSES} more")
    return table


def _hardest(d: Difficulty, n: int) -> Table:
    shown = d.hardest(n)
    extra = [] if d.factors is None else ["noise", "imbal.", "margin", "uncert.", "P wrong", "cause"]
    table = _table(f"\nThe {len(shown)} hardest samples", "id", "label", "pred.", "error", "± s.e.", *extra, left=3)
    for row in shown.reset_index().to_dict("records"):
        label, predicted = (
            (number(row["label"], 4), number(row["predicted"], 4))
            if d.regression
            else (escape(line(row["label"], 40)), escape(line(row["predicted"], 40)))
        )
        cells = [escape(line(row["id"], 60)), label, predicted, number(row["error"])]
        cells.append(spread(row["error"], row["error_se"]))
        if d.factors is not None:
            cells += [f"{row[name]:.2f}".replace("-", "−") for name in FACTORS]
            cells += [f"{row['p_wrong']:.2f}", row["cause"]]
        table.add_row(*cells)
    return table


def machine(d: Difficulty, *, hardest: int, seconds: float, files: dict[str, str]) -> dict[str, Any]:
    """The same as JSON types; what is not known is null."""
    shown = d.hardest(hardest).reset_index()
    return {
        "samples": len(d),
        "classes": None if d.classes is None else list(d.classes),
        "error": float(d.error.mean()),
        "bias": _known(d.bias.mean()),
        "variance": _known(d.variance.mean()),
        "accuracy": None if d.regression else float((d.predicted == d.labels).mean()),
        "reliability": d.settings.get("reliability"),
        "views": {"least": int(d.count.min()), "most": int(d.count.max())},
        "labels_wrong": None if d.p_wrong is None else float(d.p_wrong.sum()),
        "causes": None if d.cause is None else {name: int((d.cause == name).sum()) for name in (*FACTORS, "none")},
        "hardest": [{k: _known(v) for k, v in row.items()} for row in shown.to_dict("records")],
        "settings": d.settings,
        "seconds": round(seconds, 3),
        "files": files,
    }


def _known(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
