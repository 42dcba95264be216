"""The commands, a module each."""

from hardsight.cli.group import open_all

open_all(__path__, __name__)
