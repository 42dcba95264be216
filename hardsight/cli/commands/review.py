"""`hardsight review` and `hardsight serve`: the page to review samples on, as a file or from a server."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import measured_data_options, take_read_options
from hardsight.cli.output import result_folder
from hardsight.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from hardsight.data import Samples
    from hardsight.difficulty.result import Difficulty


@main.command(cls=SectionedCommand, short_help="Write the page to review samples on.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@measured_data_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page to write. [default: DIR/review.html]")
def review(folder: Path, output: Path | None, **data: Any) -> None:
    """Write the page to look through all samples of DIR and decide about them.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.reporting.review import write

    directory = result_folder(folder)
    target = directory / "review.html" if output is None else output
    beside = target.parent == directory and (directory / "report.html").exists()
    result, samples = _load(folder, **data)
    write(result, target, samples, "report.html" if beside else None)
    click.echo(f"wrote {target}")


@main.command(cls=SectionedCommand, short_help="Serve the review page on this machine, for large data.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@measured_data_options
@click.option("--port", type=click.IntRange(0, 65535), default=8377, show_default=True, help="Port; 0: any free one.")
def serve(folder: Path, port: int, **data: Any) -> None:
    """Serve the review page of DIR on this machine only (127.0.0.1), for data too large for one file.

    Decisions are stored in DIR/decisions.csv. Ctrl-C stops the server.
    """
    try:
        from hardsight.reporting.review import server
    except ImportError:
        raise click.ClickException("the server's packages are missing: pip install 'hardsight[serve]'") from None
    result, samples = _load(folder, **data)
    directory = result_folder(folder)
    server.serve(result, samples, directory, port, lambda url: click.echo(f"review at {url} (Ctrl-C stops it)"))


def _load(folder: Path, data: Path | None, **arguments: Any) -> "tuple[Difficulty, Samples | None]":
    """Return the result in a folder, and the samples that were measured if their data is passed."""
    import numpy as np

    from hardsight.data.from_files import read_file
    from hardsight.data.read_options import ReadOptions
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError

    result = Difficulty.load(folder)
    options = take_read_options(arguments)
    if data is None:
        if replace(options, embedding="auto") != ReadOptions():
            raise click.UsageError("--label, --split and the other options of reading need --data: pass what was measured")
        return result, None
    task = "regression" if result.regression else "classification"
    samples = read_file(data, replace(options, task=task))
    by_row_number = options.id is None and np.array_equal(result.ids, np.arange(len(result)))
    # If there are fewer, ids are missing; if there are more, the first would be taken for those that were measured.
    if by_row_number and len(samples) > len(result) and np.array_equal(samples.ids, np.arange(len(samples))):
        raise InputError(
            f"{data} has {len(samples):,} rows, and {len(result):,} samples were measured by row number: pass the table "
            "that was measured"
        )
    return result, samples
