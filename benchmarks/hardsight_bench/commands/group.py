"""`hardsight bench`: the group, and options shared by several studies."""

from pathlib import Path

import click

FOLDER = click.option("--folder", type=click.Path(path_type=Path),
                      help="Folder of the data sets that do not come with scikit-learn. "
                           "[default: they are left out]")  # fmt: skip
FIGURES = click.option("--figures", type=click.Path(path_type=Path), help="Folder for the figures. [default: --out]")
JOBS = click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
QUIET = click.option("--quiet", is_flag=True, help="No progress bar.")


@click.group(short_help="Compare hardsight with other methods.")
def bench() -> None:
    """Studies that compare hardsight with other methods, run on this machine."""
