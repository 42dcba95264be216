"""The commands, one module each."""

from hardsight.cli.group import import_commands

import_commands(__path__, __name__)
