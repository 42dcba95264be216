"""`hardsight bench factors`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.output import count_progress, make_folder
from hardsight.cli.parsing import split_names
from hardsight_bench.commands.group import FOLDER, QUIET, bench


@bench.command()
@FOLDER
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: nine, or with no folder digits]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Number of seeds: 0, 1, …")
@click.option(
    "--most", type=click.IntRange(min=50), default=3000, show_default=True, help="Maximum number of samples of a set."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for the rows, as parquet.")  # fmt: skip
@QUIET
def factors(folder: Path | None, sets: str | None, seeds: int, most: int, out: Path, quiet: bool) -> None:
    """Test whether the ledger names the right factor if several make samples hard at once.

    Prints a page in Markdown: terms against injected factors, causes, and the calibration of P(label wrong).
    """
    from hardsight.io.atomic import atomic_write
    from hardsight_bench import factors as study
    from hardsight_bench import tables

    make_folder(out)
    names = split_names(sets) or (("digits",) if folder is None else study.SETS)
    with count_progress("measurements", study.count_measurements(names, seeds), quiet=quiet) as tick:
        result = study.run_study(names, folder, most, seeds, lambda: tick([]))
    for part, rows in result._asdict().items():
        with atomic_write(out / f"factors-{part}.parquet") as path:
            rows.to_parquet(path)
    click.echo(tables.factors_page(result))
