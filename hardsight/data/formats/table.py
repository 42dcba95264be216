"""What every reader of tables takes and gives."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hardsight.data.read_options import ReadOptions


class Table(NamedTuple):
    """The columns of a table. Features are typed; labels, ids and groups keep their spelling."""

    frame: pd.DataFrame
    notices: list[str]  # what a user should know of how it was read


# Called with the names of all columns, and advice for its messages or "", as soon as the names are known; raises InputError.
CheckNames = Callable[[list[str], str], None]
Reader = Callable[[Path, ReadOptions, CheckNames], Table]
