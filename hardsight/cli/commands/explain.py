"""`hardsight explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, data_options
from hardsight.cli.output import print_json, take_folder
from hardsight.cli.parsing import assigned


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@data_options
@click.option("--counts", metavar="COLUMN", type=TEXT,
              help="Column of how much each sample counts in every training, with the weights and without; what measure "
                   "calls --weights.")  # fmt: skip
@click.option("--difficulty", type=click.Path(path_type=Path),
              help="Of DATA: a difficulty.parquet, or its folder. [default: measured first]")  # fmt: skip
@click.option("--weights", type=click.Path(path_type=Path), help="File of id and weight, .csv or .parquet.")
@click.option("--scheme", "schemes", multiple=True, help="A name that `hardsight schemes` lists; may be repeated.")
@click.option("--set", "given", type=TEXT, multiple=True, metavar="NAME=VALUE",
              help="A parameter of the scheme, where there is one scheme, as for `hardsight weigh`.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="The largest weight of a scheme. [default: none]")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name that `hardsight learners` lists.")
@click.option("--folds", type=int, default=None, help="Parts of a repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out views of each sample by each arm. [default: 5]")
@click.option("--effect/--no-effect", default=True, show_default=True,
              help="Whether models are trained with and without the weights.")  # fmt: skip
@click.option("--dynamics/--no-dynamics", default=True, show_default=True,
              help="Whether the course of training is followed.")  # fmt: skip
@click.option("--target", type=click.Choice(["training", "balanced", "clean"]),
              help="The distribution that the bound is about. [default: clean]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes at a time. [default: 1]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="Folder for explanation.json and explanation.html.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def explain(
    data: Path,
    label: str | None,
    id_: str | None,
    group: str | None,
    counts: str | None,
    text: str | None,
    drop: tuple[str, ...],
    task: str,
    embedding: str,
    difficulty: Path | None,
    weights: Path | None,
    schemes: tuple[str, ...],
    given: tuple[str, ...],
    clip: float | None,
    out: Path,
    seed: int,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Tell what weights of the samples in DATA are, what is to be expected of them, and what they do.

    Trains pairs of models that differ by the weights alone, and writes explanation.json and explanation.html into --out.
    """
    from hardsight.data import read
    from hardsight.difficulty.result import Difficulty
    from hardsight.estimation.measure import measure as measured
    from hardsight.estimation.request import Execution
    from hardsight.explanation.analysis import explain as explained
    from hardsight.io.atomic import printable_name
    from hardsight.weights import weigh as weighed
    from hardsight.weights.file import read_weights

    if weights is None and not schemes:
        schemes = ("auto",)
    if given and len(schemes) != 1:
        raise click.UsageError("--set goes with one --scheme")
    roles = {"label": label, "id": id_, "group": group, "weights": counts, "text": text}
    samples = read(data, **roles, drop=drop, task=task, embedding=embedding)
    take_folder(out)
    execution = Execution(jobs=how.pop("jobs"))
    if difficulty is None:
        d = measured(samples, learner=how["learner"], seed=seed, execution=execution, progress=not quiet)
    else:
        d = Difficulty.load(difficulty).select(samples.ids)
    named = {} if weights is None else {printable_name(weights.stem): read_weights(weights, samples.ids)}
    parameters = dict(assigned(each) for each in given)
    named |= {name: weighed(d, name, clip=clip, seed=seed, **parameters) for name in schemes}
    found = explained(samples, None, d, named, seed=seed, execution=execution, progress=not quiet, **how)
    table, page = out / "explanation.json", out / "explanation.html"
    found.save(table)
    found.report(page)
    if as_json:
        files = {"explanation": str(table), "report": str(page)}
        print_json({**found.as_dict(), "files": files})
    else:
        click.echo(f"{found.text}\n\nwrote {table} and {page}")
