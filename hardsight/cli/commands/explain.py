"""`hardsight explain`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, TEXT_OR_FILE, data_options, take_read_options
from hardsight.cli.output import lock_folder, print_json
from hardsight.cli.parsing import parse_assignment
from hardsight.cli.sections import Choice
from hardsight.cli.settings_file import RepeatableCommand


@main.command(cls=RepeatableCommand, short_help="Explain what sample weights do, and test it.")
@click.argument("data", type=click.Path(path_type=Path))
@data_options
@click.option("--counts", metavar="COLUMN", type=TEXT_OR_FILE,
              help="Column of sample weights that apply in every training, beside the weights to explain; measure calls it "
                   "--weights.")  # fmt: skip
@click.option("--difficulty", type=click.Path(path_type=Path),
              help="The result of DATA: a difficulty.parquet, or its folder. [default: DATA is measured first]")  # fmt: skip
@click.option("--weights", "weights_file", type=click.Path(path_type=Path), help="File of id and weight, .csv or .parquet.")
@click.option("--scheme", "schemes", multiple=True, help="Name of a scheme, see `hardsight schemes`; may be repeated.")
@click.option("--set", "assignments", type=TEXT, multiple=True, metavar="NAME=VALUE",
              help="Parameter of the scheme if there is only one, as for `hardsight weigh`.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="Largest weight of a scheme. [default: no limit]")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name from `hardsight learners`.")
@click.option("--folds", type=int, default=None, help="Folds per repeat. [default: 5]")
@click.option(
    "--repeats", type=int, default=None, help="Held-out predictions per sample, with and without the weights. [default: 5]"
)
@click.option("--effect/--no-effect", default=True, show_default=True,
              help="Train models with and without the weights.")  # fmt: skip
@click.option("--dynamics/--no-dynamics", default=True, show_default=True,
              help="Follow the dynamics of training.")  # fmt: skip
@click.option("--target", type=Choice(["training", "balanced", "clean"]),
              help="Distribution that the bound is about. [default: clean]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Number of processes. [default: 1]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="Folder for explanation.json and explanation.html.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
def explain(
    data: Path,
    counts: str | None,
    difficulty: Path | None,
    weights_file: Path | None,
    schemes: tuple[str, ...],
    assignments: tuple[str, ...],
    clip: float | None,
    out: Path,
    seed: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Explain weights of the samples in DATA: what they are, what to expect of them, and what they do.

    Trains pairs of models that differ only by the weights, and writes explanation.json and explanation.html into --out.
    """
    from hardsight.data.from_files import read_file
    from hardsight.difficulty.result import Difficulty
    from hardsight.estimation.measure import measure
    from hardsight.estimation.request import Execution
    from hardsight.explanation.analysis import check_before_training
    from hardsight.explanation.analysis import explain as explain_weights
    from hardsight.io.atomic import printable_name
    from hardsight.weights import weigh
    from hardsight.weights.file import read_weights

    if weights_file is None and not schemes:
        schemes = ("auto",)
    if assignments and len(schemes) != 1:
        raise click.UsageError("--set needs exactly one --scheme")
    samples = read_file(data, replace(take_read_options(options), weights=counts))
    parameters = dict(parse_assignment(assignment) for assignment in assignments)
    weights_by_name: dict[str, Any] = {}
    if weights_file is not None:
        weights_by_name[printable_name(weights_file.stem)] = read_weights(weights_file, samples.ids)
    check_before_training(
        samples, {**weights_by_name, **{name: name for name in schemes}}, options["learner"], options["folds"],
        options["repeats"], effect=options["effect"], parameters=parameters, clip=clip,
    )  # fmt: skip
    lock_folder(out)
    execution = Execution(jobs=options.pop("jobs"))
    if difficulty is None:
        d = measure(samples, learner=options["learner"], seed=seed, execution=execution, progress=not quiet)
    else:
        d = Difficulty.load(difficulty).select(samples.ids)
    weights_by_name |= {name: weigh(d, name, clip=clip, seed=seed, **parameters) for name in schemes}
    result = explain_weights(
        samples, None, d, weights_by_name, seed=seed, execution=execution, progress=not quiet, **options
    )
    json_path, page = out / "explanation.json", out / "explanation.html"
    result.save(json_path)
    result.report(page)
    if as_json:
        files = {"explanation": str(json_path), "report": str(page)}
        print_json({**result.as_dict(), "files": files})
    else:
        click.echo(f"{result.text}\n\nwrote {json_path} and {page}")
