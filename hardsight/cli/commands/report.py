"""`hardsight report`."""

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import measured_data_options
from hardsight.cli.output import result_folder
from hardsight.cli.saved_results import check_page, find_beside, load_result
from hardsight.cli.sections import SectionedCommand


@main.command(cls=SectionedCommand, short_help="Write the HTML report of a saved result.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@measured_data_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page to write. [default: DIR/report.html]")
def report(folder: Path, output: Path | None, **data: Any) -> None:
    """Write the HTML report of the result in DIR again; without --data, samples are shown by their ids.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.estimation.outputs import REPORT, REVIEW

    target = result_folder(folder) / REPORT if output is None else output
    result, samples = load_result(folder, **data)
    check_page(target, samples)
    result.report(target, samples, find_beside(folder, target, REVIEW))
    click.echo(f"wrote {target}")
