"""`hardsight review` and `hardsight serve`: the page to review samples on, as a file or from a server."""

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import measured_data_options
from hardsight.cli.output import result_folder
from hardsight.cli.saved_results import check_page, find_beside, load_result
from hardsight.cli.sections import SectionedCommand


@main.command(cls=SectionedCommand, short_help="Write the page to review samples on.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@measured_data_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page to write. [default: DIR/review.html]")
def review(folder: Path, output: Path | None, **data: Any) -> None:
    """Write the page to look through all samples of DIR and decide about them.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.estimation.outputs import REPORT, REVIEW
    from hardsight.reporting.review import write

    target = result_folder(folder) / REVIEW if output is None else output
    result, samples = load_result(folder, **data)
    check_page(target, samples)
    write(result, target, samples, find_beside(folder, target, REPORT))
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
    result, samples = load_result(folder, **data)
    directory = result_folder(folder)
    server.serve(result, samples, directory, port, lambda url: click.echo(f"review at {url} (Ctrl-C stops it)"))
