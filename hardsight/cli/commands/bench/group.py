"""`hardsight bench`: the group."""

from hardsight.cli.group import main


@main.group()
def bench() -> None:
    """Studies that rank hardsight against what else there is, run on this machine."""
