"""`hardsight weigh`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT
from hardsight.cli.output import result_folder
from hardsight.cli.parsing import parse_assignment
from hardsight.errors import first_line

if TYPE_CHECKING:
    import numpy as np

    from hardsight.difficulty.result import Difficulty


@main.command(short_help="Turn a saved result into sample weights.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--scheme", default="auto", show_default=True, help="Name of a scheme, see `hardsight schemes`.")
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="File to write, with id and weight: .csv or .parquet. [default: DIR/weights.csv]")  # fmt: skip
@click.option("--per-sample", is_flag=True,
              help="One weight per sample, the mean of its parts, where rows are parts of samples.")  # fmt: skip
@click.option("--set", "assignments", type=TEXT, multiple=True, metavar="NAME=VALUE",
              help="Parameter of the scheme (lam=0.5), the value as JSON or text; may be repeated.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="Largest weight; the mean stays 1. [default: no limit]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of schemes that draw random numbers."
)
@click.option("--decisions", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="The csv file of a review: dropped samples get weight 0, confirmed and corrected labels count as "
                   "certain.")  # fmt: skip
def weigh(
    folder: Path,
    scheme: str,
    output: Path | None,
    per_sample: bool,
    assignments: tuple[str, ...],
    clip: float | None,
    seed: int,
    decisions: Path | None,
) -> None:
    """Turn the result in DIR into weights of mean 1, one per sample, by id.

    Where rows are parts of samples, such as one of several labels, there is one weight per part; see --per-sample.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError
    from hardsight.weights import average_by_sample
    from hardsight.weights import weigh as weighed
    from hardsight.weights.describe import summarize_weights
    from hardsight.weights.file import write_weights
    from hardsight.weights.from_difficulty import apply_review
    from hardsight.weights.schemes.automatic import explain_weights

    d = Difficulty.load(folder)
    if per_sample and d.sample is None:
        raise InputError("the rows of this result are whole samples, with one weight each: leave out --per-sample")
    target = result_folder(folder) / "weights.csv" if output is None else output
    parameters = dict(parse_assignment(assignment) for assignment in assignments)
    for name in ("scheme", "clip", "seed", "decisions"):
        if name in parameters:
            raise click.UsageError(f"{name} is not a parameter of a scheme: pass --{name}")
    try:
        weights = weighed(d, scheme, clip=clip, seed=seed, decisions=decisions, **parameters)
    except (AttributeError, TypeError) as fault:
        raise click.UsageError(f"a value of --set has the wrong type for scheme {scheme!r} ({first_line(fault)})") from fault
    ids, written = d.ids, weights
    if per_sample:
        means = average_by_sample(d, weights)
        ids, written = means.index.to_numpy(), means.to_numpy()
    write_weights(ids, written, target)
    if scheme == "auto":
        if decisions is None:
            words = explain_weights(d, weights)
        else:
            review = apply_review(d, decisions)
            words = explain_weights(review.difficulty, weights[review.rows], review.certain)
        click.echo(words, err=True)
    click.echo(summarize_weights(ids, written), err=True)
    for shift in _describe_shifts(d, weights)[:1]:
        click.echo(shift, err=True)
    click.echo(f"wrote {target}")


def _describe_shifts(d: "Difficulty", weights: "np.ndarray") -> list[str]:
    """Return a line on what the weights do to class shares, if that is much; a line per label where samples have several."""
    from hardsight.difficulty.samples_of_parts import has_several_labels, labels_apart
    from hardsight.weights.priors import describe_prior_shift

    if d.classes is None:
        return []
    if not has_several_labels(d):
        lines = [describe_prior_shift(d.labels, weights, d.classes)]
    else:
        lines = [describe_prior_shift(each.d.labels, weights[each.rows], each.d.classes) for each in labels_apart(d)]
    return [line for line in lines if line]
