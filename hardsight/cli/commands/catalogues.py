"""`hardsight learners`, `hardsight measures` and `hardsight schemes`: what there is to choose among."""

from __future__ import annotations

import click

from hardsight.cli.group import main
from hardsight.cli.output import fields, print_json


@main.command()
def learners() -> None:
    """List the learners that --learner knows."""
    from hardsight.learners import LEARNERS

    width = max(map(len, LEARNERS))
    for name, row in LEARNERS.items():
        click.echo(f"{name:<{width}}  {row.description}")


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
def measures(name: str | None, as_json: bool) -> None:
    """List the measures that hs.Record computes, or tell all of the one called NAME."""
    from hardsight.measures import MEASURES, describe_measures

    told = describe_measures(name)
    if as_json:
        print_json(told)
    elif name is not None:
        fields({field: ", ".join(value) if isinstance(value, list) else value for field, value in told.items()})
    else:
        width, deep = max(map(len, MEASURES)), max(len(row.what) for row in MEASURES.values())
        for row in MEASURES.values():
            click.echo(f"{row.name:<{width}}  {row.what:<{deep}}  {row.cost}")


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
def schemes(name: str | None, as_json: bool) -> None:
    """List the schemes that make weights of difficulty, or tell all of the one called NAME."""
    from hardsight.weights import SCHEMES, get_scheme
    from hardsight.weights.describe import describe_scheme

    if as_json:
        told = {row.name: row.to_dict() for row in SCHEMES.values()} if name is None else get_scheme(name).to_dict()
        print_json(told)
    elif name is not None:
        fields(describe_scheme(get_scheme(name)))
    else:
        width, kinds = max(map(len, SCHEMES)), max(len(row.priority) for row in SCHEMES.values())
        for row in SCHEMES.values():
            click.echo(f"{row.name:<{width}}  {row.priority:<{kinds}}  {row.description}")
