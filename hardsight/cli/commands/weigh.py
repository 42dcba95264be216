"""`hardsight weigh`."""

from __future__ import annotations

from pathlib import Path

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT
from hardsight.cli.parsing import assigned
from hardsight.errors import first_line


@main.command()
@click.argument("difficulty", type=click.Path(path_type=Path))
@click.option("--scheme", default="auto", show_default=True, help="A name that `hardsight schemes` lists.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("weights.csv"), show_default=True,
              help="File of id and weight to write: .csv or .parquet.")  # fmt: skip
@click.option("--set", "given", type=TEXT, multiple=True, metavar="NAME=VALUE",
              help="A parameter of the scheme (lam=0.5), the value as JSON or text; may be repeated.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="The largest weight; the mean stays 1. [default: none]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of schemes that draw.")
@click.option("--decisions", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="The csv of a review: dropped samples weigh 0, labels kept or put right are certain.")  # fmt: skip
def weigh(
    difficulty: Path,
    scheme: str,
    output: Path,
    given: tuple[str, ...],
    clip: float | None,
    seed: int,
    decisions: Path | None,
) -> None:
    """Turn a saved DIFFICULTY (a difficulty.parquet) into weights of mean 1, one a sample, by id."""
    from hardsight.difficulty.result import Difficulty
    from hardsight.weights import weigh as weighed
    from hardsight.weights.describe import summarize_weights
    from hardsight.weights.file import write_weights
    from hardsight.weights.from_difficulty import apply_review
    from hardsight.weights.schemes.automatic import explain_weights

    d = Difficulty.load(difficulty)
    parameters = dict(assigned(each) for each in given)
    for name in ("scheme", "clip", "seed", "decisions"):
        if name in parameters:
            raise click.UsageError(f"{name} is no parameter of a scheme: pass --{name}")
    try:
        weights = weighed(d, scheme, clip=clip, seed=seed, decisions=decisions, **parameters)
    except (AttributeError, TypeError) as fault:
        raise click.UsageError(
            f"a value of --set is of a wrong kind for scheme {scheme!r} ({first_line(fault)})"
        ) from fault
    write_weights(d.ids, weights, output)
    if scheme == "auto":
        if decisions is None:
            words = explain_weights(d, weights)
        else:
            review = apply_review(d, decisions)
            words = explain_weights(review.difficulty, weights[review.rows], review.certain)
        click.echo(words, err=True)
    click.echo(summarize_weights(d.ids, weights), err=True)
    click.echo(f"wrote {output}")
