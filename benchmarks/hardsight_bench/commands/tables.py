"""`hardsight bench tables`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.output import count_progress
from hardsight.cli.parsing import split_names
from hardsight_bench.commands.group import JOBS, QUIET, bench


@bench.command("tables")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Folder of the unpacked packages.")
@click.option("--tables", metavar="NAME,…", help="Tables. [default: 24]")
@click.option("--noise", "noises", metavar="NAME,…", help="uniform, class, instance. [default: all]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Number of seeds: 0, 1, …")
@click.option("--rows", "max_rows", type=click.IntRange(min=100), default=5000, show_default=True,
              help="Maximum number of rows of a table.")  # fmt: skip
@click.option("--methods", metavar="NAME,…", help="default, a learner, or a peer. [default: all]")
@click.option("--again", metavar="NAME,…", help="Methods to run again even if --out holds them.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-tables.csv"), show_default=True,
              help="Csv file of the results; finished cells are not run again.")  # fmt: skip
@JOBS
@QUIET
def find_wrong_labels(
    folder: Path,
    tables: str | None,
    noises: str | None,
    seeds: int,
    max_rows: int,
    methods: str | None,
    again: str | None,
    out: Path,
    jobs: int,
    quiet: bool,
) -> None:
    """Find wrong labels in real tables by hardsight, cleanlab and the area under the margin.

    Prints a page in Markdown about all results of --out. An interrupted run continues where it stopped.
    """
    from hardsight_bench import tables_page
    from hardsight_bench import tables_study as study_module
    from hardsight_bench.real_tables import DEFAULT_TABLES
    from hardsight_bench.tables_methods import METHODS
    from hardsight_bench.tables_noise import NOISES

    study = study_module.Study(
        tables=split_names(tables) or DEFAULT_TABLES,
        noises=split_names(noises) or tuple(NOISES),
        seeds=range(seeds),
        methods=split_names(methods) or tuple(METHODS),
        folder=folder,
        out=out,
        max_rows=max_rows,
        again=split_names(again),
    )
    with count_progress("cells", len(study_module.list_jobs(study)), quiet=quiet) as tick:
        rows = study_module.run_study(study, jobs, tick)
    click.echo(tables_page.render_page(rows))
