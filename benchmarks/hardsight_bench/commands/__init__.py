"""`hardsight bench`: one module per study."""

from hardsight.cli.group import open_all
from hardsight_bench.commands.group import bench

open_all(__path__, __name__)

__all__ = ["bench"]
