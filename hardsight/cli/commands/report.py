"""`hardsight report`."""

from pathlib import Path

import click

from hardsight.cli.group import main


@main.command(short_help="Write the HTML report of a saved result.")
@click.argument("difficulty", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
def report(difficulty: Path, output: Path) -> None:
    """Write the HTML report of a saved DIFFICULTY (a difficulty.parquet); samples are shown by their ids."""
    from hardsight.difficulty.result import Difficulty

    Difficulty.load(difficulty).report(output)
    click.echo(f"wrote {output}")
