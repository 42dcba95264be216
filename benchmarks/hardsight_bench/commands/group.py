"""`hardsight bench`: the group, and options that several studies take."""

from pathlib import Path

import click

FOLDER = click.option("--folder", type=click.Path(path_type=Path),
                      help="Where the data sets lie that do not come with scikit-learn. "
                           "[default: those are left out]")  # fmt: skip
FIGURES = click.option("--figures", type=click.Path(path_type=Path), help="Folder for the figures. [default: --out]")
JOBS = click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at a time.")
QUIET = click.option("--quiet", is_flag=True, help="No progress bar.")


@click.group()
def bench() -> None:
    """Studies that rank hardsight against what else there is, run on this machine."""
