"""What a run prints: a summary for the terminal, or one JSON object for programs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hardsight.attribution.names import FACTORS, NO_CAUSE, causes_in
from hardsight.cli.ledger_bars import LEGEND, ledger_bars
from hardsight.difficulty.actions import RECOMMENDATIONS, describe_action
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import count_samples, group_by_class
from hardsight.io.json_values import to_json, to_records
from hardsight.reporting.answer import answer, caution
from hardsight.reporting.formatting import format_class, format_error, format_line, format_number, format_share
from hardsight.reporting.nouns import class_names, nouns_of
from hardsight.reporting.summary import (
    Cause,
    Group,
    describe_measurement,
    findings,
    mean_terms,
    summarize_causes,
    summarize_groups,
)

MAX_CLASSES = 12
# Narrower terminals (in cells) leave out first the bars, then the numbers that these show.
WIDE, MEDIUM = 96, 76
_SHORT_FACTORS = ("noise", "imbal.", "margin", "uncert.")


class _TableLayout(NamedTuple):
    """What fits into a terminal: the numbers of the ledger, its bars, further columns, and cells of a name."""

    terms: bool
    bars: bool
    details: bool
    name_cells: int

    @classmethod
    def for_width(cls, width: int) -> "_TableLayout":
        medium = width >= MEDIUM
        # If the numbers do not fit, a bar does in their place.
        return cls(medium, width >= WIDE or not medium, medium, 16 + max(0, width - 100) // 4 if medium else 12)


class _Column(NamedTuple):
    """A column of a table."""

    title: str  # header of the column
    value: Callable[[Any], Any]  # the cell of a row, ready for a table
    shown: bool = True  # whether the table has this column
    # Names and advice fold over several lines, numbers and bars never do; numbers are aligned right.
    kind: Literal["name", "number", "bar", "advice"] = "number"


def print_summary(d: Difficulty, *, hardest: int, seconds: float, console: Console) -> None:
    """Print the answer, the notices, the hardest samples, the causes, the classes, and how it was measured."""
    _print_answer(d, console)
    layout = _TableLayout.for_width(console.width)
    console.print(_hardest_table(d, hardest, layout))
    if d.ledger is not None:
        console.print(_causes_table(d, layout))
        bars = f" Bars: {LEGEND}; left of a line: negative." if layout.bars else ""
        console.print(f"The four factors are means, and add up to the error.{bars}", style="dim")
    if not d.loss_only:
        console.print(_classes_table(d, layout))
    console.print("\n[bold]How it was measured[/bold]")
    seed = "" if d.run.seed is None else f" Seed {d.run.seed}."
    console.print(
        f"{escape(describe_measurement(d))} Learner: {escape(d.settings['recipe'])} ({escape(d.settings['reason'])}). "
        f"Splits: {d.settings['splits']}.{seed} Time: {seconds:.1f} s."
    )
    console.print(_make_list("•", findings(d)))


def _print_answer(d: Difficulty, console: Console) -> None:
    """Print what looks wrong, in colour by how sure it is, and the notices."""
    cautions = caution(d)
    for number, sentence in enumerate(answer(d)):
        style = "yellow" if sentence in cautions else "bold green" if number == 0 else "bold"
        console.print(escape(sentence), style=style)
    console.print(_make_list("[yellow]![/yellow]", [format_line(notice, 400) for notice in d.settings["notices"]]))


def _make_list(mark: str, sentences: Iterable[str]) -> Table:
    """Return sentences as a list whose lines are indented alike."""
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row(mark, escape(sentence))
    return grid


def _make_table(title: str, columns: Sequence[_Column], rows: Iterable[Any]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    shown = [column for column in columns if column.shown]
    for column in shown:
        if column.kind in ("name", "advice"):
            min_width = min(len(column.title), 8) if column.kind == "name" else 12
            table.add_column(column.title, overflow="fold", min_width=min_width)
        else:
            table.add_column(column.title, justify="left" if column.kind == "bar" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(column.value(row) for column in shown))
    return table


def _cut(value: Any, cells: int) -> str:
    """Return any value as one line of at most this many cells, ready for a table; wide letters take two cells."""
    text = format_class(value, cells)
    return escape(text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…")


def _format_term(amount: float) -> str:
    """Return a factor with three decimals; without a sign if that leaves zero."""
    return f"{amount:.3f}".replace("-0.000", "0.000").replace("-", "−")


def _term_columns(shown: bool, terms: Callable[[Any], Sequence[float] | None]) -> list[_Column]:
    """Return a column per factor of the ledger; a dash if a row has no samples."""

    def column(index: int) -> Callable[[Any], str]:
        def cell(row: Any) -> str:
            values = terms(row)
            return "–" if values is None else _format_term(values[index])

        return cell

    return [_Column(title, column(index), shown) for index, title in enumerate(_SHORT_FACTORS)]


def _causes_table(d: Difficulty, layout: _TableLayout) -> Table:
    total = mean_terms(d, np.ones(len(d), dtype=bool))
    rows = [
        *summarize_causes(d),
        Cause("all", len(d), format_share(1, 1), float(d.error.mean()), "", "", tuple(total.tolist()), []),
    ]
    bars = ledger_bars(np.array([row.terms for row in rows]), 14)
    columns: list[_Column] = [
        _Column("cause", lambda row: row[0].name, kind="name"),
        _Column(nouns_of(d).rows, lambda row: f"{row[0].size:,}"),
        _Column("share", lambda row: row[0].share, layout.details),
        _Column("error", lambda row: format_number(row[0].mean_error)),
        *_term_columns(layout.terms, lambda row: row[0].terms if row[0].size else None),
        _Column("ledger", lambda row: row[1], layout.bars, "bar"),
        _Column("what to do", lambda row: escape("; ".join(row[0].recommendations)), kind="advice"),
    ]
    return _make_table(f"\nWhy {nouns_of(d).rows} are hard, and what to do", columns, zip(rows, bars, strict=True))


def _classes_table(d: Difficulty, layout: _TableLayout) -> Table:
    groups = summarize_groups(d)
    rows = groups[:MAX_CLASSES]
    has_ledger = d.ledger is not None
    bars = ledger_bars(np.array([row.terms for row in rows]), 14) if has_ledger else [None] * len(rows)
    cells = layout.name_cells if has_ledger else 40
    by_label = d.classes is not None and group_by_class(d).noun == "label"
    label = "label" if by_label else format_line(d.settings.get("label_name", "label"), 40)
    no_ledger, has_noise = layout.terms and not has_ledger, d.noise_variance is not None
    columns: list[_Column] = [
        _Column(_cut(label, cells), lambda row: _cut(row[0].name, cells), kind="name"),
        _Column(nouns_of(d).samples if by_label else nouns_of(d).rows, lambda row: f"{row[0].size:,}"),
        _Column("have it", lambda row: f"{row[0].share_with:.1%}", by_label),
        _Column("error", lambda row: format_number(row[0].error)),
        _Column("± s.e.", lambda row: format_error(row[0].error, row[0].error_se)),
        *_term_columns(layout.terms and has_ledger, lambda row: row[0].terms),
        _Column("bias", lambda row: format_number(row[0].bias), no_ledger),
        _Column("variance", lambda row: format_number(row[0].variance), no_ledger),
        _Column("ledger", lambda row: row[1], layout.bars and has_ledger, "bar"),
        _Column("accuracy", lambda row: f"{row[0].accuracy:.1%}", layout.details and not d.regression),
        _Column("wrong", lambda row: f"{row[0].p_wrong:.1%}", d.p_wrong is not None),
        _Column("noise s.d.", lambda row: format_number(row[0].noise_sd), has_noise),
        _Column("outliers", lambda row: f"{row[0].outliers:.1f}", has_noise),
    ]
    of_label = "" if label == "class" else f" of {label}"
    title = f"\nBy {label}" if d.regression else f"\nBy {'label' if by_label else f'class{of_label}'}, hardest first"
    table = _make_table(escape(title), columns, zip(rows, bars, strict=True))
    if len(groups) > MAX_CLASSES:
        table.add_row(f"… {len(groups) - MAX_CLASSES:,} more")
    return table


def _hardest_table(d: Difficulty, n: int, layout: _TableLayout) -> Table:
    rows = d.hardest(n).reset_index().to_dict("records")
    has_ledger = d.ledger is not None
    terms = None if d.ledger is None else d.ledger[d.ranking[:n]]
    bars = [None] * len(rows) if terms is None else ledger_bars(terms, 12)
    classes = [None] * len(rows) if terms is None else class_names(d, d.ranking[:n]).tolist()
    cells = max(12, layout.name_cells - 4) if has_ledger else 40
    no_ledger = layout.details and not has_ledger and not d.loss_only

    def label(row: Any, name: str) -> str:
        return format_number(row[0][name], 4) if d.regression else _cut(row[0][name], cells)

    columns: list[_Column] = [
        _Column("id", lambda row: escape(format_line(row[0]["id"], 60)), kind="name"),
        _Column("label", lambda row: label(row, "label"), not d.loss_only, "name"),
        _Column("pred.", lambda row: label(row, "predicted"), layout.details and not d.loss_only, "name"),
        _Column("error", lambda row: format_number(row[0]["error"])),
        _Column("± s.e.", lambda row: format_error(row[0]["error"], row[0]["error_se"])),
        _Column("bias", lambda row: format_number(row[0]["bias"], 2), no_ledger),
        _Column("variance", lambda row: format_number(row[0]["variance"], 2), no_ledger),
        _Column("ledger", lambda row: row[1], has_ledger and layout.bars and layout.details, "bar"),
        _Column("P wrong", lambda row: f"{row[0]['p_wrong']:.2f}", has_ledger),
        _Column("P outlier", lambda row: f"{row[0]['p_outlier']:.2f}", d.p_outlier is not None),
        _Column("what to do", lambda row: _describe_action(*row[::2]), has_ledger, "advice"),
    ]
    return _make_table(f"\nThe {len(rows)} hardest {nouns_of(d).rows}", columns, zip(rows, bars, classes, strict=True))


def _describe_action(row: dict[Any, Any], class_name: Any) -> str:
    p_suggested = f"{row['p_suggested']:.2f}" if "p_suggested" in row else ""
    action = describe_action(row["todo"], _cut(class_name, 12), _cut(row.get("suggested", ""), 12), p_suggested)
    return action if row["cause"] == NO_CAUSE else f"{row['cause']}: {action}"


def summary_json(d: Difficulty, *, hardest: int, seconds: float, files: dict[str, str]) -> dict[str, Any]:
    """Return the summary as JSON types; what is unknown is null. Rows that are parts of samples are counted as "parts"."""
    causes, actions, rates = d.cause, d.recommended_action, d.noise_rates
    return {
        "samples": count_samples(d),
        "parts": None if d.sample is None else {"kind": nouns_of(d).row, "number": len(d)},
        "classes": None if d.classes is None else list(d.classes),
        "error": float(d.error.mean()),
        "bias": to_json(d.bias.mean()),
        "variance": to_json(d.variance.mean()),
        "noise_sd": d.noise_sd,
        "outliers": None if d.p_outlier is None else float(d.p_outlier.sum()),
        "accuracy": None if d.classes is None else float((d.predicted == d.labels).mean()),
        "reliability": d.settings.get("reliability"),
        "views": {"least": int(d.n_views.min()), "most": int(d.n_views.max())},
        "labels_wrong": None if d.p_wrong is None else float(d.p_wrong.sum()),
        "causes": None if causes is None else {name: int((causes == name).sum()) for name in causes_in(causes)},
        "todo": None if actions is None else {name: int((actions == name).sum()) for name in RECOMMENDATIONS},
        "ledger": None if d.ledger is None else _ledger_json(d),
        "noise_rates": None if rates is None else to_records(rates.reset_index()),
        "hardest": to_records(d.hardest(hardest).reset_index()),
        "settings": d.settings,
        "seconds": round(seconds, 3),
        "files": files,
    }


def _ledger_json(d: Difficulty) -> dict[str, Any]:
    """Return the mean factors by cause, with what to do, and by class."""

    def factors(row: Cause | Group) -> dict[str, float]:
        return dict(zip(FACTORS, row.terms, strict=True))

    rows, noun = "samples" if d.sample is None else "parts", group_by_class(d).noun
    return {
        "causes": [
            {"cause": row.name, rows: row.size, "error": to_json(row.mean_error)}
            | factors(row)
            | {"todo": row.recommendations}
            for row in summarize_causes(d)
        ],
        "classes": [
            {noun: row.name, rows: row.size, "error": row.error, "wrong": to_json(row.p_wrong)} | factors(row)
            for row in summarize_groups(d)
        ],
    }
