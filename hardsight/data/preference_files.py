"""Files of preferences: a table with one pair per row."""

from pathlib import Path

import pandas as pd

from hardsight.data.annotation_files import read_plain_table
from hardsight.data.columns import check_column_name
from hardsight.data.read_options import ReadOptions
from hardsight.errors import Faults, InputError


def read_preferences(place: Path, *, chosen: str, rejected: str, options: ReadOptions) -> pd.DataFrame:
    """Read a table of pairs; its columns of the two are renamed to "chosen" and "rejected".

    Args:
        chosen: the column of what was preferred.
        rejected: the column of the other.
        options: how the file is written.

    Raises:
        InputError: a file that cannot be used, or a column that is not there.
    """
    table = read_plain_table(place, options)
    if chosen == rejected:
        raise InputError(f"column {chosen!r} cannot be both chosen and rejected: name another column (--chosen, --rejected)")
    faults = Faults()
    for role, name in (("chosen", chosen), ("rejected", rejected)):
        with faults.collect():
            check_column_name(table.columns, name, role)
    faults.raise_all()
    others = [name for name in ("chosen", "rejected") if name in table and name not in (chosen, rejected)]
    return table.drop(columns=others).rename(columns={chosen: "chosen", rejected: "rejected"})
