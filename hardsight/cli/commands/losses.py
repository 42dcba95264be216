"""`hardsight losses`."""

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import check_inputs_stay, print_result, write_files
from hardsight.cli.options import TEXT, table_file_options, take_read_options
from hardsight.cli.output import lock_folder
from hardsight.cli.sections import SectionedCommand


@main.command(cls=SectionedCommand, short_help="Rank samples or parts by held-out losses that you have.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--view", type=TEXT, default="view", show_default=True, help="Column that says which model a loss is of.")
@click.option("--loss", "loss_column", type=TEXT, default="loss", show_default=True, help="Column of the losses.")
@click.option("--id", "id_", type=TEXT, help="Column of the samples, if losses are of whole samples. [default: id]")
@click.option("--sample", type=TEXT, help="Column of the samples, if losses are of their parts. [default: sample]")
@click.option("--part", type=TEXT, help="Column of the names of the parts. [default: part, if there is such a column]")
@click.option("--kind", type=TEXT, default="part", show_default=True, help="What a part is called: box, mask, segment.")
@table_file_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="Folder for difficulty.parquet, difficulty.csv, report.html and review.html.")  # fmt: skip
@click.option("--csv/--no-csv", default=True, show_default=True, help="Also write difficulty.csv, for a spreadsheet.")
@click.option("--hardest", type=click.IntRange(min=1), default=10, show_default=True, help="Number of rows to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the summary.")
@click.option("--quiet", is_flag=True, expose_value=False, help="Show no progress bar; this command has none.")
def losses(
    file: Path, view: str, loss_column: str, id_: str | None, sample: str | None, part: str | None, kind: str, out: Path,
    csv: bool, hardest: int, as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Rank samples, or parts such as boxes of images, by the held-out losses in FILE.

    FILE is a table with one row per loss: the view (which model), the sample, its part if it has several, and the loss of a
    model that was not trained on that sample.

    Writes difficulty.parquet, difficulty.csv, report.html and review.html into --out.
    """
    from hardsight.data.loss_files import read_losses
    from hardsight.estimation.losses import measure_losses
    from hardsight.io.atomic import printable_name

    start = time.perf_counter()
    columns = {"view": view, "loss": loss_column, "id": id_, "sample": sample, "part": part}
    check_inputs_stay([file], out)
    table = read_losses(file, columns, take_read_options(reading))
    with warnings.catch_warnings():
        # The result's notices repeat them, and are printed.
        warnings.simplefilter("ignore")
        result = measure_losses(table, kind=kind)
        result = replace(result, run=replace(result.run, source=printable_name(file.name)))
        lock_folder(out)
        files = write_files(result, out, csv=csv)
    seconds = time.perf_counter() - start
    print_result(result, files, out=out, source=file, roles=None, hardest=hardest, as_json=as_json, seconds=seconds)
