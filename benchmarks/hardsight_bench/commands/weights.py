"""`hardsight bench weights`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.output import counted
from hardsight.cli.parsing import listed
from hardsight_bench.commands.group import FIGURES, FOLDER, JOBS, QUIET, bench


@bench.command("weights")
@FOLDER
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: seven, or with no folder digits]")
@click.option("--noises", metavar="NAME,…", help="none, uniform-20, uniform-40, pair-40, instance-35. [default: all]")
@click.option("--imbalances", metavar="NAME,…", help="none, exp-10, exp-50, step-10, step-50. [default: all]")
@click.option("--learners", metavar="NAME,…", default="network,logistic,lightgbm", show_default=True,
              help="Those, or long-network.")  # fmt: skip
@click.option("--schemes", metavar="NAME,…", help="Rows besides uniform and oracle. [default: all]")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=1500, show_default=True,
              help="Training samples, at most.")  # fmt: skip
@click.option("--again", metavar="NAME,…", help="Rows that are run again although --out holds them.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-weights"), show_default=True,
              help="Folder for weights.parquet; what it holds is not run again.")  # fmt: skip
@FIGURES
@JOBS
@QUIET
def gain_of_weights(
    folder: Path | None,
    sets: str | None,
    noises: str | None,
    imbalances: str | None,
    learners: str,
    schemes: str | None,
    seeds: int,
    most: int,
    again: str | None,
    out: Path,
    figures: Path | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Train with the weights of every scheme on mislabelled and unbalanced data, and judge on clean data.

    Prints a page in markdown: how much of what the truth would gain each scheme gains. A run that was stopped goes on where
    it was.
    """
    from hardsight_bench import figures as drawings
    from hardsight_bench import weights_field as field
    from hardsight_bench import weights_page as gains_page
    from hardsight_bench import weights_scenarios as worlds
    from hardsight_bench import weights_scores as gained
    from hardsight_bench import weights_study as study

    names = listed(sets) or (("digits",) if folder is None else study.SETS)
    kinds = (listed(noises) or tuple(worlds.NOISES), listed(imbalances) or tuple(worlds.IMBALANCES))
    cells = worlds.list_cells(names, *kinds, range(seeds))
    whole = study.Study(
        cells, listed(learners), field.rows(listed(schemes)), folder, out, most=most, again=listed(again)
    )
    with counted("cells", len(study.list_jobs(whole)), quiet=quiet) as tick:
        rows = study.run_study(whole, jobs, tick)
    found = {learner: gained.score_rows(rows[rows["learner"] == learner]) for learner in whole.learners}
    for learner, one in found.items():
        drawings.write_figure(drawings.draw_gains(one), (figures or out) / f"weights-{learner}.svg")
    click.echo(gains_page.render_page(rows, found))
