"""`hardsight apply`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT
from hardsight.cli.output import folder_of


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--label", type=TEXT, required=True, help="Column of the labels, as for measure.")
@click.option("--id", "id_", type=TEXT, help="Column that names the samples, as for measure.")
@click.option("--decisions", type=click.Path(path_type=Path), metavar="FILE",
              help="The csv of a review. [default: DIR/decisions.csv, where serve keeps them]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="The table to write, of the kind of DATA, and another file.")  # fmt: skip
def apply(folder: Path, data: Path, label: str, id_: str | None, decisions: Path | None, output: Path) -> None:
    """Write the table DATA again with what was decided: labels put right, dropped rows left out.

    DIR is the --out of measure, or its difficulty.parquet; DATA is what was measured (.csv, .tsv, also .gz, or .parquet).
    All other cells stay as they stand there.
    """
    from hardsight.difficulty.decisions import FILE_NAME
    from hardsight.difficulty.result import Difficulty
    from hardsight.reporting.review.apply import apply_to_table

    chosen = folder_of(folder) / FILE_NAME if decisions is None else decisions
    done = apply_to_table(data, output, Difficulty.load(folder), chosen, label=label, id=id_)
    click.echo(f"wrote {output}: {done.rows:,} rows, {done.relabelled:,} relabelled; {done.dropped:,} dropped")
