"""The command line: parse, call, print.

Each module of :mod:`hardsight.cli.commands` is one command, or a few that belong together; a module that is put there is
found. Heavy rooms are opened inside the command that needs them, so that help is quick.
"""

from hardsight.cli import commands
from hardsight.cli.group import main

__all__ = ["commands", "main"]
