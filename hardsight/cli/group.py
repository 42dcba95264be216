"""The group that every command joins."""

import io
import sys
from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import click

from hardsight import __version__
from hardsight.errors import HardsightError


class _Commands(click.Group):
    """Commands whose expected failures are one line on stderr and exit status 1."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command line."""
        # Where a terminal has no such letter, a question mark is better than no text.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        try:
            return super().main(*arguments, **settings)
        except OSError as fault:
            if not settings.get("standalone_mode", True):
                raise
            click.echo(f"Error: {_refusal(fault)}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HardsightError as fault:
            raise click.ClickException(" ".join(str(fault).split())) from fault
        except KeyboardInterrupt:
            click.echo("Interrupted: results are as they were. --resume goes on with what was trained.", err=True)
            ctx.exit(130)


def _refusal(fault: OSError) -> str:
    """What the system refused; a fault without a file is of the text that commands print."""
    why = fault.strerror or str(fault)
    return f"{fault.filename}: {why}" if fault.filename is not None else f"cannot print: {why}"


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="hardsight")
def main() -> None:
    """Every training sample's difficulty, measured by models that never saw it."""


def open_all(folders: Iterable[str], package: str) -> None:
    """Import every module of a package; each adds its commands to their group as it is imported."""
    for module in iter_modules(folders):
        import_module(f"{package}.{module.name}")
