"""The command line: parse arguments, call the library, print.

Each module of :mod:`hardsight.cli.commands` holds one command, or a few that belong together, and is found by being there.
Heavy modules are imported inside the command that needs them, so that help is quick.
"""

from hardsight.cli import commands
from hardsight.cli.group import main

__all__ = ["commands", "main"]
