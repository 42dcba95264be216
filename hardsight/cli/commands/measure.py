"""`hardsight measure`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import check_inputs_stay, check_run, measure_and_report
from hardsight.cli.options import TEXT_OR_FILE, data_options, format_roles, run_options, take_read_options
from hardsight.cli.output import lock_folder
from hardsight.cli.parsing import make_splits
from hardsight.cli.sections import Choice
from hardsight.cli.settings_file import RepeatableCommand


@main.command(cls=RepeatableCommand, short_help="Measure the difficulty of every sample.")
@click.argument("data", type=click.Path(path_type=Path))
@data_options
@click.option("--weights", metavar="COLUMN", type=TEXT_OR_FILE, help="Column of sample weights for training, 0 or more.")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name from `hardsight learners`.")
@click.option("--loss", type=Choice(["log", "brier", "zero-one", "squared"]),
              help="Loss whose mean is the error. [default: log; squared for regression]")  # fmt: skip
@click.option(
    "--splits",
    type=Choice(["kfold", "subsets", "loo"]),
    default=None,
    help="Folds, random subsets or leave-one-out. [default: kfold]",
)
@click.option("--folds", type=int, default=None, help="Folds per repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out predictions per sample. [default: 10]")
@click.option("--members", type=int, default=None, help="Number of models, with --splits subsets. [default: 100]")
@click.option("--ratio", type=float, default=None, help="Share to train on, with --splits subsets. [default: 0.7]")
@click.option("--reliability", type=float, default=None,
              help="Train until the ranking is this reliable (such as 0.95), with at most 50 repeats.")  # fmt: skip
@click.option("--budget", default=None, metavar="MODELS|TIME",
              help='Train this many models ("20 models"), with folds and repeats chosen for that number; or stop '
                   "after a time: 90s, 10min, 2h.")  # fmt: skip
@click.option("--adjusted/--no-adjusted", default=None,
              help="Try a second estimate of the errors, from the in-sample losses of the same models. "
                   "[default: if it costs little]")  # fmt: skip
@click.option("--pilot/--no-pilot", default=None,
              help="Train a few models first, to choose how long the networks are trained. "
                   "[default: with learner auto]")  # fmt: skip
@click.option("--calibrate/--no-calibrate", default=None,
              help="Divide the models' log-probabilities by a temperature fitted to held-out predictions. "
                   "[default: for trees and other overconfident estimators]")  # fmt: skip
@click.option("--refine/--no-refine", default=None,
              help="Train again with automatic weights, to find wrong labels better. "
                   "[default: if labels look wrong]")  # fmt: skip
@click.option("--backend", type=Choice(["serial", "processes", "ray"]), default=None,
              help="Where models are trained. [default: serial; processes with --jobs 2 or more, and for forests and "
                   "boosted trees that take long]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=None,
              help="Number of processes, or of Ray tasks. [default: one per core, if there are several]")  # fmt: skip
@click.option("--address", default=None, help="Ray cluster: auto, host:port or ray://host:port. [default: this machine]")
@click.option("--resume", is_flag=True, help="Continue the unfinished run in --out.")
@click.option("--duplicates", type=Choice(["auto", "near", "together", "apart"]), default="auto", show_default=True,
              help="Which samples are always on the same side of a split: near copies and equal ones (near), equal ones "
                   "(together) or neither (apart). auto: near, or apart if equal rows are likely by chance.")  # fmt: skip
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="TEST",
    help="A test set, read with the same options: list its samples that are copies of samples in DATA (leaks.csv).",
)
@click.option(
    "--witness",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Answers of a source that never saw these labels (a zero-shot model, rules, another annotator): a table or array "
         "of class probabilities, or one column of labels; for several labels, a column of probabilities per label, or one "
         "of texts with the same separator; rows by id or in the order of DATA. May be repeated.",
)  # fmt: skip
@run_options
def measure(
    data: Path,
    against: Path | None,
    witness: tuple[Path, ...],
    splits: str | None,
    members: int | None,
    ratio: float | None,
    **run: Any,
) -> None:
    """Measure the difficulty of every sample in DATA.

    DATA is a table (.csv, .tsv, .txt, .jsonl, .parquet, .feather, .xlsx, also compressed, or a folder of parts), arrays
    (.npz with X and labels, .npy), or a folder with one subfolder of images or texts per class.

    Writes difficulty.parquet, difficulty.csv, report.html and review.html into --out; with --against, leaks.csv.
    """
    from hardsight.data.from_files import read_file
    from hardsight.data.witness_files import read_witnesses
    from hardsight.errors import Faults
    from hardsight.io.atomic import printable_name

    options, faults = take_read_options(run), Faults()
    roles = format_roles(options)
    with faults.collect():
        run["splits"] = make_splits(splits, members, ratio)
    with faults.collect():
        check_run(**run)
    with faults.collect():
        check_inputs_stay([data, *([] if against is None else [against]), *witness], run["out"])
    # Raises the faults of the run together with those of the data, before a large file is read.
    samples = read_file(data, options, faults)
    run["witness"] = read_witnesses(witness, options.id, options.label_separator)
    leaks = None
    if against is not None:
        from hardsight.copies.leaks import find_leaks

        leaks = find_leaks(samples, against, options)
        described = leaks.describe(printable_name(against.name))
        samples = replace(samples, notices=(*samples.notices, described, *leaks.notices))
    lock_folder(run["out"])
    measure_and_report(samples, source=data, leaks=None if leaks is None else leaks.table, roles=roles, **run)
