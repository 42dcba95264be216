"""`hardsight preferences`."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import check_inputs_stay, check_run, measure_and_report
from hardsight.cli.options import TEXT, run_options, table_file_options, take_read_options
from hardsight.cli.output import lock_folder
from hardsight.cli.settings_file import RepeatableCommand


@main.command(cls=RepeatableCommand, short_help="Find preferences of pairs that are likely flipped.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--chosen", type=TEXT, default="chosen", show_default=True, help="Column of the preferred answer.")
@click.option(
    "--rejected", type=TEXT, default="rejected", show_default=True, help="Column of the answer that was not preferred."
)
@click.option(
    "--prompt", type=TEXT, help="Column of the prompt that both answer. [default: prompt, if there is such a column]"
)
@click.option("--id", "id_", type=TEXT, help="Column of ids: a unique name for each pair.")
@click.option("--group", type=TEXT,
              help="Column of groups: pairs of a group stay on the same side of a split. [default: the prompt]")  # fmt: skip
@click.option("--embedding", default="auto", show_default=True,
              help="How texts become numbers: tfidf, or a model, transformers:NAME, sentence-transformers:NAME, where NAME "
                   "may be a folder.")  # fmt: skip
@click.option("--folds", type=int, default=None, help="Folds per repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out predictions per pair. [default: 10]")
@click.option("--resume", is_flag=True, help="Continue the unfinished run in --out.")
@table_file_options
@run_options
def preferences(
    file: Path,
    chosen: str,
    rejected: str,
    prompt: str | None,
    id_: str | None,
    group: str | None,
    embedding: str,
    **run: Any,
) -> None:
    """Measure how hard each preference in FILE is, and how likely it is flipped.

    FILE is a table (.csv, .jsonl, .parquet, …) with one pair per row. Texts are compared, or conversations (.jsonl,
    .parquet): lists of messages, of which the last is compared and the others are the prompt.

    Writes difficulty.parquet, difficulty.csv, report.html and review.html into --out; p_wrong is the probability that the
    preference is flipped.
    """
    from hardsight.data.preference_files import read_preferences
    from hardsight.data.preferences import read_pairs
    from hardsight.estimation.preferences import restore_order
    from hardsight.learners.linear.bradley_terry import BradleyTerry

    options = take_read_options(run)
    run |= {"learner": BradleyTerry(), "refine": False, "duplicates": "apart"}
    check_run(**run)
    check_inputs_stay([file], run["out"])
    table = read_preferences(file, chosen=chosen, rejected=rejected, options=options)
    pairs = read_pairs(table, prompts=prompt, ids=id_, groups=group, embedding=embedding, seed=run["seed"])
    lock_folder(run["out"])
    finish = partial(restore_order, shown=pairs.shown)
    measure_and_report(pairs.samples, source=file, roles=None, finish=finish, **run)
