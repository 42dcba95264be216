"""The group that all commands join."""

import io
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import Any

import click

from hardsight import __version__
from hardsight.cli.sections import COMMANDS, in_sections, suggest
from hardsight.errors import HardsightError

# Other packages add a command by an entry point of this group.
_ENTRY_POINTS = "hardsight.commands"
# Commands that are packages of their own, and how to install them.
_SEPARATE = {"bench": "The benchmarks are a package of their own. In a clone of the repository: pip install ./benchmarks"}


class _Commands(click.Group):
    """Commands whose expected failures are one line on stderr and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, those of other packages included, in the order of use."""
        names = sorted({*super().list_commands(ctx), *_installed()})
        return [name for _, members in in_sections(names, COMMANDS) for name in members]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each section under its title."""
        known = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        commands = {name: command for name, command in known if command is not None}
        width = max(map(len, commands), default=0)
        limit = formatter.width - width - 4
        for title, names in in_sections(commands, COMMANDS):
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), commands[name].get_short_help_str(limit)) for name in names])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names; an unknown one gets a suggestion."""
        name = str(args[0])
        if not (name.startswith("-") or ctx.resilient_parsing) and self.get_command(ctx, name) is None:
            raise click.UsageError(f"No such command {name!r}.{suggest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; one of another package is imported only when it is used."""
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in (installed := _installed()):
            command = installed[cmd_name].load()
        if command is None and cmd_name in _SEPARATE:
            raise click.UsageError(_SEPARATE[cmd_name], ctx)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        # A question mark is better than no text if a terminal lacks a letter.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not kwargs.get("standalone_mode", True):
                raise
            click.echo(f"Error: {_describe(error)}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HardsightError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted: results are unchanged. --resume continues with the models trained so far.", err=True)
            ctx.exit(130)


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_ENTRY_POINTS)}


def _describe(error: OSError) -> str:
    """Describe what the system refused; an error without a file is about the text that commands print."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else f"cannot print: {reason}"


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="hardsight")
def main() -> None:
    """Every training sample's difficulty, measured by models that never saw it.

    Begin with `hardsight demo`, or with your own data: `hardsight measure data.csv --label y`. `hardsight help COMMAND`
    lists the options of a command.
    """


def import_commands(folders: Iterable[str], package: str) -> None:
    """Import every module of a package; each adds its commands to their group when it is imported."""
    for module in iter_modules(folders):
        import_module(f"{package}.{module.name}")
