"""`hardsight bench`: one module per study."""

from hardsight.cli.group import import_commands
from hardsight_bench.commands.group import bench

import_commands(__path__, __name__)

__all__ = ["bench"]
