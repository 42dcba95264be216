"""Files of held-out losses: a table with one row per loss."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from hardsight.data.annotation_files import read_plain_table
from hardsight.data.columns import check_column_name
from hardsight.data.read_options import ReadOptions
from hardsight.errors import Faults


def read_losses(place: Path, columns: Mapping[str, str | None], options: ReadOptions) -> pd.DataFrame:
    """Read a table of losses, with its columns named by their roles: view, loss, and id, or sample and perhaps part.

    Args:
        columns: the column of each role; None: that of the same name, if there is one.
        options: how the file is written.

    Raises:
        InputError: a file that cannot be used, a column that is not there or has two roles, or no column of samples.
    """
    table = read_plain_table(place, options)
    named = {role: name or role for role, name in columns.items() if name is not None or role in table.columns}
    if columns["sample"] is not None:
        named.pop("id", None)
    elif columns["id"] is not None:
        named.pop("sample", None)
    faults = Faults()
    for role, name in named.items():
        with faults.collect():
            check_column_name(table.columns, name, role)
    if len(set(named.values())) < len(named):
        faults.messages.append(f"a column cannot have two roles: got {', '.join(f'{r}={n!r}' for r, n in named.items())}")
    if not named.keys() & {"id", "sample"}:
        faults.messages.append("the samples are missing: name their column (--id, or --sample if losses are of parts)")
    faults.raise_all()
    return pd.DataFrame({role: table[name] for role, name in named.items()})
