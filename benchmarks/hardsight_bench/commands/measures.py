"""`hardsight bench measures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hardsight.cli.output import count_progress
from hardsight.cli.parsing import parse_numbers, split_names
from hardsight_bench.commands.group import FIGURES, FOLDER, JOBS, QUIET, bench


@bench.command("measures")
@FOLDER
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: nine, or with no folder scikit-learn's]")
@click.option("--kinds", metavar="NAME,…", help="Kinds of corruption. [default: all]")
@click.option("--shares", metavar="SHARE,…", default="0.05,0.1,0.2,0.4", show_default=True, help="Shares of the samples.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Number of seeds: 0, 1, …")
@click.option(
    "--most", type=click.IntRange(min=50), default=1000, show_default=True, help="Maximum number of samples of a set."
)
@click.option("--measure", "measures", multiple=True, metavar="MODULE:FUNCTION",
              help="A measure of your own: function(x, y, seed) returns one score per sample, higher is harder; may be "
                   "repeated.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for measures.parquet; finished cells are not run again.")  # fmt: skip
@FIGURES
@JOBS
@QUIET
def rank_measures(
    folder: Path | None,
    sets: str | None,
    kinds: str | None,
    shares: str,
    seeds: int,
    figures: Path | None,
    out: Path,
    jobs: int,
    quiet: bool,
    **how: Any,
) -> None:
    """Rank all measures of difficulty by how well they find samples that were made hard.

    Every set is made hard in every way, at every share, with every seed, and every measure ranks the samples. Prints a
    page in Markdown. An interrupted run continues where it stopped.
    """
    from hardsight_bench import figures as figure_files
    from hardsight_bench import measures_study as grid
    from hardsight_bench import ranks, tables
    from hardsight_bench.corruptions import KINDS

    default = ("digits", "wine", "breast-cancer") if folder is None else grid.SETS
    selection = (split_names(sets) or default, split_names(kinds) or tuple(KINDS))
    cells = grid.list_cells(*selection, parse_numbers("--shares", shares), range(seeds), folder)
    study = grid.Study(cells, folder, out, **how)
    with count_progress("cells", grid.count_missing(study), quiet=quiet) as tick:
        rows = grid.run_study(study, jobs, tick)
    ranking = ranks.rank_measures(rows)
    figure_files.write_figure(figure_files.draw_mean_ranks(ranking), (figures or out) / "measures-ranks.svg")
    figure_files.write_figure(figure_files.draw_rank_heatmap(ranking), (figures or out) / "measures-kinds.svg")
    click.echo(tables.measures_page(rows, ranking))
