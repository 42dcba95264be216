"""`hardsight annotators`."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import check_inputs_stay, make_console, write_csv, write_files
from hardsight.cli.options import TEXT, table_file_options, take_read_options
from hardsight.cli.output import lock_folder, print_json
from hardsight.cli.settings_file import RepeatableCommand

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from hardsight.difficulty.annotation_result import AnnotationResult

_MAX_PRINTED = 10


@main.command(cls=RepeatableCommand, short_help="Judge several annotators and their labels.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--item", type=TEXT, help="Column of the items; required for tables.")
@click.option("--annotator", type=TEXT,
              help="Column of the annotators. [default: every column but that of the items is an annotator]")  # fmt: skip
@click.option("--label", type=TEXT, help="Column of the labels; required with --annotator.")
@click.option("--drop", type=TEXT, multiple=True, metavar="COLUMN", help="Column to leave out; may be repeated.")
@click.option(
    "--merge-spellings",
    is_flag=True,
    help="Merge classes, and annotators, whose names differ only in case, blanks or the encoding of letters.",
)
@click.option("--features", type=click.Path(path_type=Path), metavar="DATA",
              help="Features of the items, to train models that judge the labels: a table, or an .npy file whose rows are "
                   "items 0, 1, 2, ….")  # fmt: skip
@click.option("--id", "id_", type=TEXT, help="Column of the items in --features. [default: as --item]")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name from `hardsight learners`.")
@click.option("--folds", type=int, default=None, help="Folds per repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out predictions per item. [default: 10]")
@table_file_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="Folder for consensus.csv, annotations.csv and annotators.csv; with --features also for the result of "
                   "measure.")  # fmt: skip
@click.option("--ask", type=click.IntRange(min=1), default=5, show_default=True,
              help="Number of items to print that should be labelled again.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the summary.")
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
def annotators(
    file: Path, item: str | None, annotator: str | None, label: str | None, merge_spellings: bool, features: Path | None,
    id_: str | None, learner: str, folds: int | None, repeats: int | None, out: Path, ask: int, seed: int, as_json: bool,
    quiet: bool, **reading: Any,
) -> None:  # fmt: skip
    """Find the true labels of items that several annotators labelled, and judge each label and each annotator.

    FILE is a table with one row per annotation (--item, --annotator, --label), or one row per item and one column per
    annotator (--item alone); or a file of Label Studio, doccano (a folder of one per annotator) or argilla.

    With --features, models that never saw an item judge its labels, too. Writes consensus.csv, annotations.csv and
    annotators.csv into --out; with --features also what `hardsight measure` writes, with the consensus as labels.
    """
    from hardsight.cli.closing import print_closing
    from hardsight.data.annotation_files import read_annotations, read_item_features
    from hardsight.data.read_options import ReadOptions
    from hardsight.errors import InputError
    from hardsight.estimation.annotations import measure_annotations

    options = take_read_options(reading)
    if features is None and (id_ is not None or folds is not None or repeats is not None or learner != "auto"):
        raise InputError(
            "--id, --learner, --folds and --repeats need --features: name the features, or leave these options out"
        )
    check_inputs_stay([path for path in (file, features) if path is not None], out)
    data = read_annotations(
        file, item=item, annotator=annotator, label=label, merge_spellings=merge_spellings, options=options
    )
    arguments: dict[str, Any] = {}
    X = None
    if features is not None:
        X, ids = read_item_features(features, id_ or item, ReadOptions(label=label if item is None else None))
        arguments = {"ids": ids, "learner": learner, "seed": seed, "progress": not quiet}
        arguments |= {name: value for name, value in (("folds", folds), ("repeats", repeats)) if value is not None}
    lock_folder(out)
    with warnings.catch_warnings():
        # The result's notices repeat them, and are printed.
        warnings.simplefilter("ignore")
        result = measure_annotations(X, data, **arguments)
        files = _write(result, out)
        if result.d is not None:
            files |= write_files(result.d, out, csv=True)
    if as_json:
        print_json(_as_json(result, files, ask))
        return
    console = make_console()
    _print_summary(result, ask, console)
    print_closing(files, [], console)


def _write(result: "AnnotationResult", out: Path) -> dict[str, Path]:
    """Write the tables of a result; return the path of each by name."""
    from hardsight.estimation.outputs import ANNOTATIONS, ANNOTATORS, CONSENSUS

    soft = result.posterior.rename(columns=lambda name: f"p({name})")
    tables = (
        ("consensus", result.consensus.join(soft).reset_index(), CONSENSUS),
        ("annotations", result.annotations.assign(weight=result.weights()), ANNOTATIONS),
        ("annotators", result.annotators.reset_index(), ANNOTATORS),
    )
    files: dict[str, Path] = {}
    for name, table, file in tables:
        files |= write_csv(name, table, out / file)
    return files


def _as_json(result: "AnnotationResult", files: dict[str, Path], ask: int) -> dict[str, Any]:
    from hardsight.io.json_values import to_records

    return {
        "items": len(result.data.items),
        "annotations": len(result.data),
        "expected_wrong": float(result.annotations["p_wrong"].sum()),
        "expected_wrong_consensus": float(result.consensus["p_wrong"].sum()),
        "annotators": to_records(result.annotators.reset_index()),
        "ask_again": to_records(result.ask_again(ask).reset_index()),
        "notices": list(result.notices),
        "files": {name: str(path) for name, path in files.items()},
    }


def _print_summary(result: "AnnotationResult", ask: int, console: "Console") -> None:
    from rich.markup import escape

    data = result.data
    wrong, of_consensus = result.annotations["p_wrong"], result.consensus["p_wrong"]
    console.print(
        f"[bold]{len(data):,} labels of {len(data.items):,} items by {len(data.annotators):,} annotators; about "
        f"{wrong.sum():,.0f} labels ({wrong.mean():.1%}) and {of_consensus.sum():,.0f} consensus labels "
        f"({of_consensus.mean():.1%}) are wrong[/bold]"
    )
    notices = [*result.notices, *(() if result.d is None else result.d.settings["notices"])]
    for notice in notices:
        console.print(f"  [yellow]![/yellow] {escape(notice)}")
    # Those who spoil most labels come first.
    table = result.annotators
    spoilt = (table["annotations"] * (1 - table["accuracy"])).sort_values(ascending=False, kind="stable")
    _print_table("Annotators, by wrong labels", table.loc[spoilt.index[:_MAX_PRINTED]], console)
    if len(table) > _MAX_PRINTED:
        console.print(f"and {len(table) - _MAX_PRINTED:,} more")
    _print_table("Label again", result.ask_again(ask), console)


def _print_table(title: str, table: "pd.DataFrame", console: "Console") -> None:
    from rich.table import Table

    from hardsight.reporting.formatting import format_line, format_number

    shown = Table(title=f"\n{title}", title_justify="left", header_style="bold", box=None, pad_edge=False)
    frame = table.reset_index()
    for name in frame.columns:
        shown.add_column(str(name).replace("_", " "), justify="right" if frame[name].dtype.kind in "if" else "left")
    for row in frame.itertuples(index=False, name=None):
        cells = [
            "–" if value is None or value != value else format_number(value, 3) if isinstance(value, float) else str(value)
            for value in row
        ]
        shown.add_row(*(format_line(cell, 60) for cell in cells))
    console.print(shown, markup=False)
