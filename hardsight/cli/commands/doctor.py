"""`hardsight doctor`."""

from pathlib import Path

import click

from hardsight.cli.group import main
from hardsight.cli.output import print_json


@main.command(short_help="Report the environment, for bug reports.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="The folder that results are to be written to; it is not created.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
@click.pass_context
def doctor(ctx: click.Context, out: Path, as_json: bool) -> None:
    """Print the environment for a bug report: versions, cores, threads, accelerators, extras, folders.

    It contains no names of users, folders or machines. The exit status is 1 if there is a problem.
    """
    from hardsight.cli.doctor import describe, examine

    report = examine(out)
    print_json(report) if as_json else click.echo(describe(report))
    ctx.exit(1 if report["faults"] else 0)
