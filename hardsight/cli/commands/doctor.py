"""`hardsight doctor`."""

from pathlib import Path

import click

from hardsight.cli.group import main
from hardsight.cli.output import print_json


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="The folder that results are to be written to; none is made.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
@click.pass_context
def doctor(ctx: click.Context, out: Path, as_json: bool) -> None:
    """Print the environment, for a bug report: versions, cores, threads, accelerators, extras, folders.

    No names of users, folders or machines are among it. Exit status 1 where something is in the way.
    """
    from hardsight.cli.doctor import examine, told

    found = examine(out)
    print_json(found) if as_json else click.echo(told(found))
    ctx.exit(1 if found["faults"] else 0)
