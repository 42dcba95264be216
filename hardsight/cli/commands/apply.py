"""`hardsight apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, take_read_options, text_file_options
from hardsight.cli.output import result_folder

if TYPE_CHECKING:
    import pandas as pd

    from hardsight.difficulty.result import Difficulty

_CHANGES_SHOWN = 20


@main.command(short_help="Write a table again with the reviewed labels.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--label", type=TEXT, required=True, help="Column of the labels, as for measure.")
@click.option("--id", "id_", type=TEXT, help="Column of unique names of the samples, as for measure.")
@click.option("--decisions", type=click.Path(path_type=Path), metavar="FILE",
              help="The csv file of a review. [default: DIR/decisions.csv, where serve stores it]")  # fmt: skip
@click.option("--suggestions", is_flag=True,
              help="Also change every other label for which the result advises it; see --preview first.")  # fmt: skip
@click.option("--drop-copies", is_flag=True,
              help="Keep one sample of each set of copies: the one whose label is likeliest right.")  # fmt: skip
@click.option("--preview", is_flag=True,
              help="Print the changes, and how many labels they should put right and spoil; write nothing.")  # fmt: skip
@text_file_options
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The table to write: another file of the same type as DATA; required without --preview.")  # fmt: skip
def apply(folder: Path, data: Path, label: str, id_: str | None, decisions: Path | None, suggestions: bool,
          drop_copies: bool, preview: bool, output: Path | None, **options: Any) -> None:  # fmt: skip
    """Write the table DATA again with the decisions of a review: corrected labels, without dropped rows.

    DIR is the --out of measure, or its difficulty.parquet; DATA is what was measured (.csv, .tsv, also .gz, or .parquet).
    Rows without a label and all other cells stay unchanged.
    """
    from hardsight.difficulty.actions import describe_trust
    from hardsight.difficulty.decisions import FILE_NAME, gather_decisions
    from hardsight.difficulty.result import Difficulty
    from hardsight.reporting.review.apply import apply_to_table

    if output is None and not preview:
        raise click.UsageError("name the table to write with --output, or see the changes with --preview")
    path = result_folder(folder) / FILE_NAME if decisions is None else decisions
    # Without a review, these two options are all there is to do.
    needed = decisions is not None or not (suggestions or drop_copies)
    difficulty = Difficulty.load(folder)
    rows = gather_decisions(difficulty, path if needed or path.exists() else None, suggestions=suggestions)
    if suggestions and difficulty.ledger_trust < 1:
        click.echo(describe_trust(difficulty.ledger_trust))
    if difficulty.p_wrong is not None:
        click.echo(_describe_forecast(difficulty, rows))
    if preview or output is None:
        _print_preview(difficulty, rows, drop_copies=drop_copies)
        return
    counts = apply_to_table(data, output, difficulty, rows, label=label, id=id_,
                            options=take_read_options(options), drop_copies=drop_copies)  # fmt: skip
    unlabelled = f", {counts.unlabelled:,} without a label" if counts.unlabelled else ""
    copies = f", {counts.redundant:,} left out as copies" if drop_copies else ""
    click.echo(
        f"wrote {output}: {counts.rows:,} rows{unlabelled}, {counts.relabelled:,} relabelled; {counts.dropped:,} dropped"
        f"{copies}"
    )


def _describe_forecast(d: "Difficulty", rows: "pd.DataFrame") -> str:
    text = d.forecast(rows).describe()
    return (
        f"Forecast, as if nobody had looked: {text}" if text else "No label changes, and no sample is dropped by decision."
    )


def _print_preview(d: "Difficulty", rows: "pd.DataFrame", *, drop_copies: bool) -> None:
    """Print the changes, one per line, and the forecast by class."""
    from hardsight.difficulty.decisions import DROP, RELABEL, match_decisions
    from hardsight.reporting.formatting import format_count, format_line

    matched = match_decisions(rows, d)
    changes = [
        _describe_change(d, row, code, action)
        for row, code, action in zip(matched.rows, matched.labels, matched.actions, strict=True)
        if action == DROP or (action == RELABEL and code != d.labels[row])
    ]
    for line in changes[:_CHANGES_SHOWN]:
        click.echo(f"  {line}")
    if len(changes) > _CHANGES_SHOWN:
        click.echo(f"  and {format_count(len(changes) - _CHANGES_SHOWN, 'more change')}")
    if d.p_wrong is not None and changes:
        table = d.forecast(rows).table
        table = table[(table["relabelled"] + table["dropped"]) > 0]
        table = table.loc[:, (table != 0).any()]
        table.index = table.index.map(lambda name: format_line(name, 40))
        click.echo(f"By given label (samples, then labels expected):\n{table.round(1).to_string()}")
    if drop_copies:
        redundant = d.ids[d.apply(rows, drop_copies=True).redundant]
        named = ", ".join(format_line(name, 40) for name in redundant[:_CHANGES_SHOWN].tolist())
        more = ", …" if len(redundant) > _CHANGES_SHOWN else ""
        ids = f" (id {named}{more})" if len(redundant) else ""
        click.echo(f"{format_count(len(redundant), 'sample')} left out because a copy stays{ids}.")


def _describe_change(d: "Difficulty", row: int, code: Any, action: str) -> str:
    """Return one change with what is known of it: the probabilities of the given label and of the suggested one."""
    import numpy as np

    from hardsight.difficulty.decisions import DROP
    from hardsight.reporting.formatting import format_line, format_number

    name, given = format_line(d.ids[row], 60), format_line(d.label_names(d.labels[[row]])[0], 40)
    right = "" if d.p_wrong is None else f" (p {format_number(1 - d.p_wrong[row], 2)})"
    if action == DROP:
        return f"{name}: {given}{right} dropped"
    new = format_line(d.label_names(np.array([code]))[0], 40)
    if d.suggested is None or d.p_suggested is None or code != d.suggested[row]:
        return f"{name}: {given}{right} → {new}"
    return f"{name}: {given}{right} → {new} (p {format_number(d.p_suggested[row], 2)})"
