"""`hardsight bench humans`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.output import count_progress, make_folder
from hardsight.cli.parsing import split_names
from hardsight_bench.commands.group import QUIET, bench


@bench.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Folder of the files of ratings.")
@click.option("--sets", metavar="NAME,…", default="movies,products", show_default=True, help="Rated texts.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Number of seeds: 0, 1, …")
@click.option(
    "--most", type=click.IntRange(min=50), default=4000, show_default=True, help="Maximum number of samples of a set."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for humans.parquet.")  # fmt: skip
@QUIET
def humans(folder: Path, sets: str, seeds: int, most: int, out: Path, quiet: bool) -> None:
    """Compare difficulty with the disagreement of human raters, and find labels that single raters got wrong.

    Prints a page in Markdown.
    """
    from hardsight.io.atomic import atomic_write
    from hardsight_bench import humans as study
    from hardsight_bench import tables

    make_folder(out)
    names = split_names(sets)
    with count_progress("sets and seeds", seeds * len(names), quiet=quiet) as tick:
        rows = study.run_study(names, folder, most, seeds, lambda: tick([]))
    with atomic_write(out / "humans.parquet") as path:
        rows.to_parquet(path)
    click.echo(tables.humans_page(rows))
