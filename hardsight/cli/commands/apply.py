"""`hardsight apply`."""

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, take_read_options, text_file_options
from hardsight.cli.output import result_folder


@main.command(short_help="Write a table again with the reviewed labels.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--label", type=TEXT, required=True, help="Column of the labels, as for measure.")
@click.option("--id", "id_", type=TEXT, help="Column of unique names of the samples, as for measure.")
@click.option("--decisions", type=click.Path(path_type=Path), metavar="FILE",
              help="The csv file of a review. [default: DIR/decisions.csv, where serve stores it]")  # fmt: skip
@text_file_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="The table to write: another file of the same type as DATA.")  # fmt: skip
def apply(folder: Path, data: Path, label: str, id_: str | None, decisions: Path | None, output: Path,
          **options: Any) -> None:  # fmt: skip
    """Write the table DATA again with the decisions of a review: corrected labels, without dropped rows.

    DIR is the --out of measure, or its difficulty.parquet; DATA is what was measured (.csv, .tsv, also .gz, or .parquet).
    Rows without a label and all other cells stay unchanged.
    """
    from hardsight.difficulty.decisions import FILE_NAME
    from hardsight.difficulty.result import Difficulty
    from hardsight.reporting.review.apply import apply_to_table

    path = result_folder(folder) / FILE_NAME if decisions is None else decisions
    counts = apply_to_table(data, output, Difficulty.load(folder), path, label=label, id=id_,
                            options=take_read_options(options))  # fmt: skip
    unlabelled = f", {counts.unlabelled:,} without a label" if counts.unlabelled else ""
    click.echo(
        f"wrote {output}: {counts.rows:,} rows{unlabelled}, {counts.relabelled:,} relabelled; {counts.dropped:,} dropped"
    )
