"""`hardsight apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, label_set_options, tag_column_option, take_read_options, text_file_options
from hardsight.cli.output import result_folder

if TYPE_CHECKING:
    import pandas as pd

    from hardsight.difficulty.result import Difficulty
    from hardsight.reporting.review.apply_folder import PlannedMove

_CHANGES_SHOWN = 20
# Name of the file to undo moves with, beside the result.
UNDO = "undo.json"


@main.command(short_help="Correct a table, or a folder of files, by reviewed labels.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--label", type=TEXT, help="Column of the labels, as for measure; tables need it, or --labels.")
@label_set_options
@click.option("--id", "id_", type=TEXT, help="Column of ids, as for measure.")
@click.option("--decisions", type=click.Path(path_type=Path), metavar="FILE",
              help="The csv file of a review. [default: DIR/decisions.csv, where serve stores it]")  # fmt: skip
@click.option("--suggestions", is_flag=True,
              help="Also accept every other suggestion of the result; see --preview first.")  # fmt: skip
@click.option("--drop-copies", is_flag=True,
              help="Keep one sample of each set of copies: the one whose label is most likely right.")  # fmt: skip
@click.option("--preview", is_flag=True,
              help="Print the changes, and how many labels they should put right and spoil; write nothing.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Move the files of a folder without asking.")
@text_file_options
@tag_column_option
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="The table to write, another file of the same type as DATA; or the file to undo moves with. "
                   "[default for a folder: DIR/undo.json]")  # fmt: skip
def apply(folder: Path, data: Path, label: str | None, id_: str | None, decisions: Path | None, suggestions: bool,
          drop_copies: bool, preview: bool, yes: bool, output: Path | None, **options: Any) -> None:  # fmt: skip
    """Write the table DATA again with the decisions of a review: corrected labels, without dropped rows.

    DIR is the --out of measure, or its difficulty.parquet; DATA is what was measured (.csv, .tsv, also .gz, .parquet, or a
    CoNLL file). Rows without a label and all other cells stay unchanged.

    If DATA is a folder with one folder per class, its files are moved in place: relabelled ones into the folder of their new
    class, dropped ones into DATA/.dropped. The moves are shown first; `hardsight undo` puts everything back.
    """
    from hardsight.data.tokens.conll import is_conll
    from hardsight.difficulty.actions import describe_trust
    from hardsight.difficulty.decisions import FILE_NAME, gather_decisions
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError
    from hardsight.reporting.review.apply import apply_to_table, table_kind
    from hardsight.reporting.review.apply_conll import apply_to_conll
    from hardsight.reporting.review.apply_folder import plan_moves

    reading, in_place = take_read_options(options), data.is_dir()
    tagged = is_conll(data, reading.tag_column)
    if label is None and not reading.labels and not in_place and not tagged:
        table_kind(data)
        raise click.UsageError("name the column of the labels with --label, or several columns with --labels")
    if tagged and (label or id_ or reading.labels):
        raise click.UsageError("columns of a CoNLL file have no names: leave out --label, --labels and --id")
    if output is None and not preview and not in_place:
        raise click.UsageError("name the table to write with --output, or see the changes with --preview")
    path = result_folder(folder) / FILE_NAME if decisions is None else decisions
    # Without a review, these two options are all there is to do.
    needed = decisions is not None or not (suggestions or drop_copies)
    if needed and decisions is None and not path.exists():
        raise InputError(
            f"there are no decisions at {path}: name the csv that the review page exports with --decisions, or take all "
            "suggestions with --suggestions"
        )
    difficulty = Difficulty.load(folder)
    rows = gather_decisions(difficulty, path if needed or path.exists() else None, suggestions=suggestions)
    planned = []
    record = result_folder(folder) / UNDO if output is None else output
    if in_place:
        _check_no_record(record, preview=preview)
        planned = plan_moves(data, difficulty, rows, drop_copies=drop_copies)
    if suggestions and difficulty.ledger_trust < 1:
        click.echo(describe_trust(difficulty.ledger_trust))
    if difficulty.p_wrong is not None:
        click.echo(_describe_forecast(difficulty, rows))
    if in_place:
        _move_planned(difficulty, rows, planned, data, record, preview=preview, yes=yes)
        return
    if preview or output is None:
        _print_preview(difficulty, rows, drop_copies=drop_copies)
        click.echo("Nothing was written. To write the table, name it with -o and leave out --preview.")
        return
    if tagged:
        counts = apply_to_conll(data, output, difficulty, rows, tag_column=reading.tag_column, encoding=reading.encoding)
    else:
        counts = apply_to_table(
            data, output, difficulty, rows, label=label, id=id_, options=reading, drop_copies=drop_copies
        )
    unlabelled = f", {counts.unlabelled:,} without a label" if counts.unlabelled else ""
    copies = f", {counts.redundant:,} left out {'as copies' if drop_copies else 'with them'}" if counts.redundant else ""
    click.echo(
        f"wrote {output}: {counts.rows:,} rows{unlabelled}, {counts.relabelled:,} relabelled; {counts.dropped:,} dropped"
        f"{copies}"
    )


@main.command(short_help="Put back the files that apply moved.")
@click.argument("record", metavar="FILE", type=click.Path(path_type=Path))
def undo(record: Path) -> None:
    """Put back the files that `hardsight apply` moved in a folder.

    FILE is what it wrote, by default DIR/undo.json, or DIR. It also works after an interruption, and can be repeated.
    """
    from hardsight.io.moves import undo as undo_moves
    from hardsight.reporting.formatting import format_count

    record = record / UNDO if record.is_dir() else record
    count = undo_moves(record)
    click.echo(f"put back {format_count(count, 'file')}, and removed {record}")


def _check_no_record(record: Path, *, preview: bool) -> None:
    from hardsight.errors import InputError

    if record.exists() and not preview:
        raise InputError(
            f"{record} is about files that were moved before: put them back (hardsight undo {record}), or keep that file "
            "and name another with --output"
        )


def _move_planned(
    d: "Difficulty", rows: "pd.DataFrame", planned: "list[PlannedMove]", folder: Path, record: Path, *, preview: bool,
    yes: bool,
) -> None:  # fmt: skip
    """Show moves in a folder of files, and make them if they are confirmed."""
    from hardsight.io.moves import move_files
    from hardsight.reporting.formatting import format_count, format_line
    from hardsight.reporting.review.apply_folder import COPY

    if not planned:
        click.echo("No file has to be moved.")
        return
    shown = planned if preview else planned[:_CHANGES_SHOWN]
    for each in shown:
        copy = each.action == COPY
        why = "a copy stays" if copy else _describe_labels(d, each.row, each.label, each.action)
        renamed = "; that name already exists there" if each.is_renamed else ""
        click.echo(f"  {format_line(each.move.source, 80)} → {format_line(each.move.target, 80)}: {why}{renamed}")
    if len(shown) < len(planned):
        click.echo(f"  and {format_count(len(planned) - len(shown), 'more file')}; --preview lists all")
    if preview:
        _print_effect(d, rows)
        click.echo("Nothing was moved. To move the files, leave out --preview.")
        return
    if not yes:
        click.confirm(f"Move {format_count(len(planned), 'file')} in {folder}?", abort=True)
    move_files(folder, [each.move for each in planned], record)
    click.echo(f"moved {format_count(len(planned), 'file')} in {folder}; to put them back: hardsight undo {record}")


def _describe_forecast(d: "Difficulty", rows: "pd.DataFrame") -> str:
    text = d.forecast(rows).describe()
    return f"Forecast without a review: {text}" if text else "No label changes, and no decision drops a sample."


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
    if changes:
        _print_effect(d, rows)
    if drop_copies:
        redundant = d.ids[d.apply(rows, drop_copies=True).redundant]
        named = ", ".join(format_line(name, 40) for name in redundant[:_CHANGES_SHOWN].tolist())
        more = ", …" if len(redundant) > _CHANGES_SHOWN else ""
        ids = f" (id {named}{more})" if len(redundant) else ""
        click.echo(f"{format_count(len(redundant), 'sample')} left out because a copy stays{ids}.")


def _print_effect(d: "Difficulty", rows: "pd.DataFrame") -> None:
    """Print what changes should put right and spoil, by given and new label."""
    from hardsight.reporting.formatting import format_line

    if d.p_wrong is None:
        return
    table = d.forecast(rows).changes
    if not len(table):
        return
    table = table.loc[:, (table != 0).any()]
    table.index = [
        " → ".join("dropped" if name is None or name != name else format_line(name, 40) for name in pair)
        for pair in table.index
    ]
    click.echo(f"By given and new label (samples, then labels expected):\n{table.round(1).to_string()}")


def _describe_change(d: "Difficulty", row: int, code: Any, action: str) -> str:
    from hardsight.reporting.formatting import format_line

    return f"{format_line(d.ids[row], 60)}: {_describe_labels(d, row, code, action)}"


def _describe_labels(d: "Difficulty", row: int, code: Any, action: str) -> str:
    """Return a change of a label with what is known of it: the probabilities of the given label and the suggested one."""
    import numpy as np

    from hardsight.difficulty.decisions import DROP
    from hardsight.reporting.formatting import format_line, format_number

    given = format_line(d.label_names(d.labels[[row]])[0], 40)
    right = "" if d.p_wrong is None else f" (p {format_number(1 - d.p_wrong[row], 2)})"
    if action == DROP:
        return f"{given}{right} dropped"
    new = format_line(d.label_names(np.array([code]))[0], 40)
    if d.suggested is None or d.p_suggested is None or code != d.suggested[row]:
        return f"{given}{right} → {new}"
    return f"{given}{right} → {new} (p {format_number(d.p_suggested[row], 2)})"
