"""`hardsight bench weights`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.output import count_progress
from hardsight.cli.parsing import split_names
from hardsight_bench.commands.group import FIGURES, FOLDER, JOBS, QUIET, bench


@bench.command("weights")
@FOLDER
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: seven, or with no folder digits]")
@click.option("--noises", metavar="NAME,…", help="none, uniform-20, uniform-40, pair-40, instance-35. [default: all]")
@click.option("--imbalances", metavar="NAME,…", help="none, exp-10, exp-50, step-10, step-50. [default: all]")
@click.option("--learners", metavar="NAME,…", default="network,logistic,lightgbm", show_default=True,
              help="These, or long-network.")  # fmt: skip
@click.option("--schemes", metavar="NAME,…", help="Rows besides uniform and oracle. [default: all]")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Number of seeds: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=1500, show_default=True,
              help="Maximum number of training samples.")  # fmt: skip
@click.option("--again", metavar="NAME,…", help="Rows to run again even if --out holds them.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-weights"), show_default=True,
              help="Folder for weights.parquet; finished rows are not run again.")  # fmt: skip
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
    """Train with the weights of every scheme on mislabelled and imbalanced data, and test on clean data.

    Prints a page in Markdown: how much of the benefit of the true labels each scheme reaches. An interrupted run
    continues where it stopped.
    """
    from hardsight_bench import figures as figure_files
    from hardsight_bench import weights_field, weights_page, weights_scenarios, weights_scores
    from hardsight_bench import weights_study as study

    names = split_names(sets) or (("digits",) if folder is None else study.SETS)
    kinds = (
        split_names(noises) or tuple(weights_scenarios.NOISES),
        split_names(imbalances) or tuple(weights_scenarios.IMBALANCES),
    )
    cells = weights_scenarios.list_cells(names, *kinds, range(seeds))
    plan = study.Study(
        cells,
        split_names(learners),
        weights_field.rows(split_names(schemes)),
        folder,
        out,
        most=most,
        again=split_names(again),
    )
    with count_progress("cells", len(study.list_jobs(plan)), quiet=quiet) as tick:
        rows = study.run_study(plan, jobs, tick)
    scores = {learner: weights_scores.score_rows(rows[rows["learner"] == learner]) for learner in plan.learners}
    for learner, learner_scores in scores.items():
        figure_files.write_figure(figure_files.draw_gains(learner_scores), (figures or out) / f"weights-{learner}.svg")
    click.echo(weights_page.render_page(rows, scores))
