"""`hardsight bench measures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hardsight.cli.output import counted
from hardsight.cli.parsing import listed, numbers
from hardsight_bench.commands.group import FIGURES, FOLDER, JOBS, QUIET, bench


@bench.command("measures")
@FOLDER
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: nine, or with no folder scikit-learn's]")
@click.option("--kinds", metavar="NAME,…", help="Kinds of hardness. [default: all]")
@click.option("--shares", metavar="SHARE,…", default="0.05,0.1,0.2,0.4", show_default=True, help="Of the samples.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=1000, show_default=True, help="Samples of a set, at most.")
@click.option("--measure", "measures", multiple=True, metavar="MODULE:FUNCTION",
              help="A measure of yours: function(x, y, seed) gives a score a sample, higher for harder; may be "
                   "repeated.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for measures.parquet; cells that it holds are not run again.")  # fmt: skip
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
    page in markdown. A run that was stopped goes on where it was.
    """
    from hardsight_bench import figures as drawings
    from hardsight_bench import measures_study as grid
    from hardsight_bench import ranks
    from hardsight_bench import tables as words
    from hardsight_bench.corruptions import KINDS

    default = ("digits", "wine", "breast-cancer") if folder is None else grid.SETS
    named = (listed(sets) or default, listed(kinds) or tuple(KINDS))
    cells = grid.list_cells(*named, numbers("--shares", shares), range(seeds), folder)
    study = grid.Study(cells, folder, out, **how)
    with counted("cells", grid.count_missing(study), quiet=quiet) as tick:
        rows = grid.run_study(study, jobs, tick)
    found = ranks.rank_measures(rows)
    drawings.write_figure(drawings.draw_mean_ranks(found), (figures or out) / "measures-ranks.svg")
    drawings.write_figure(drawings.draw_rank_heatmap(found), (figures or out) / "measures-kinds.svg")
    click.echo(words.measures_page(rows, found))
