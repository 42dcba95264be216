"""`hardsight learners`, `hardsight measures` and `hardsight schemes`: lists of what can be chosen."""

import click

from hardsight.cli.group import main
from hardsight.cli.output import print_fields, print_json


@main.command(short_help="List the learners.")
def learners() -> None:
    """List the names that --learner accepts."""
    from hardsight.learners import LEARNERS

    width = max(map(len, LEARNERS))
    for name, row in LEARNERS.items():
        click.echo(f"{name:<{width}}  {row.description}")


@main.command(short_help="List the measures of difficulty, or describe one.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
def measures(name: str | None, as_json: bool) -> None:
    """List the measures that hs.Record computes, or describe the one called NAME."""
    from hardsight.measures import MEASURES, describe_measures

    description = describe_measures(name)
    if as_json:
        print_json(description)
    elif name is not None:
        print_fields({field: ", ".join(value) if isinstance(value, list) else value for field, value in description.items()})
    else:
        width, what_width = max(map(len, MEASURES)), max(len(row.what) for row in MEASURES.values())
        for row in MEASURES.values():
            click.echo(f"{row.name:<{width}}  {row.what:<{what_width}}  {row.cost}")


@main.command(short_help="List the weighting schemes, or describe one.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
def schemes(name: str | None, as_json: bool) -> None:
    """List the schemes that turn difficulty into weights, or describe the one called NAME."""
    from hardsight.weights import SCHEMES, get_scheme
    from hardsight.weights.describe import describe_scheme

    if as_json:
        description = {row.name: row.to_dict() for row in SCHEMES.values()} if name is None else get_scheme(name).to_dict()
        print_json(description)
    elif name is not None:
        print_fields(describe_scheme(get_scheme(name)))
    else:
        width, priority_width = max(map(len, SCHEMES)), max(len(row.priority) for row in SCHEMES.values())
        for row in SCHEMES.values():
            click.echo(f"{row.name:<{width}}  {row.priority:<{priority_width}}  {row.description}")
