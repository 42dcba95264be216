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
@click.option(
    "--yardsticks", is_flag=True, help="Answer four questions about the lines instead, each by a yardstick of its own."
)
@click.option("--repeats", type=click.IntRange(min=2), help="Repeats of each measurement, with --yardsticks. [default: 10]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for the rows, as parquet.")  # fmt: skip
@QUIET
def factors(
    folder: Path | None,
    sets: str | None,
    seeds: int,
    most: int,
    yardsticks: bool,
    repeats: int | None,
    out: Path,
    quiet: bool,
) -> None:
    """Test whether the ledger names the right factor if several make samples hard at once.

    Prints a page in Markdown: terms against injected factors, causes, and the calibration of P(label wrong). With
    --yardsticks: which line moves if one cause is made stronger, known densities, human raters, and planted samples.
    """
    from hardsight.io.atomic import atomic_write
    from hardsight_bench import factor_yardsticks, tables
    from hardsight_bench import factors as study

    if repeats is not None and not yardsticks:
        raise click.UsageError("--repeats is for --yardsticks: add --yardsticks, or leave it out")
    make_folder(out)
    names = split_names(sets) or (("digits",) if folder is None else study.SETS)
    result: study.Study | factor_yardsticks.Yardsticks
    if yardsticks:
        with count_progress("steps", factor_yardsticks.count_steps(names, seeds), quiet=quiet) as tick:
            result = factor_yardsticks.run_yardsticks(names, folder, most, seeds, repeats, lambda: tick([]))
        page = tables.yardsticks_page(result)
    else:
        with count_progress("measurements", study.count_measurements(names, seeds), quiet=quiet) as tick:
            result = study.run_study(names, folder, most, seeds, lambda: tick([]))
        page = tables.factors_page(result)
    for part, rows in result._asdict().items():
        with atomic_write(out / f"factors-{part}.parquet") as path:
            rows.to_parquet(path)
    click.echo(page)
