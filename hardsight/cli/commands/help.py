"""`hardsight help`."""

import click

from hardsight.cli.group import main
from hardsight.cli.sections import suggest


@main.command(name="help", short_help="Show the help of a command.")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or the list of all commands. It is the same text as that of COMMAND --help."""
    command: click.Command = main
    context = ctx.find_root()
    for name in names:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{context.command_path!r} has no commands of its own. Got {name!r}", ctx)
        below = command.get_command(context, name)
        if below is None:
            raise click.UsageError(f"No such command {name!r}.{suggest(name, command.list_commands(context))}", ctx)
        command, context = below, click.Context(below, info_name=name, parent=context)
    click.echo(command.get_help(context))
