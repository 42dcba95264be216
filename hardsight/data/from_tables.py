"""Tables in files: one row per sample, and columns with roles."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from hardsight.data.columns import check_column_name
from hardsight.data.formats.table import Reader
from hardsight.data.read_options import ReadOptions
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError
from hardsight.validation import join_names

_MAX_COLUMNS = 12
# What messages of the library call the roles.
_ROLE_WORDS = {"id": "ids", "group": "groups"}


def read_table(place: Path, reader: Reader, options: ReadOptions, faults: Faults) -> Samples:
    """Read a table, and make samples of its rows.

    Args:
        faults: what was found so far; it is raised together with the faults of names, before the rows are read.

    Raises:
        InputError: a file or data that cannot be used.
    """

    def check_names(names: list[str], hint: str) -> None:
        _check_names(place, names, options, hint, faults)
        faults.raise_all()

    frame, notices = reader(place, options, check_names)
    frame = frame.drop(columns=[name for name in options.drop if name in frame])
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: pass a file with data")
    samples = Samples.of(
        frame,
        options.label,
        ids=options.id,
        groups=options.group,
        weights=options.weights,
        text=options.text,
        **options.sample_options,
    )
    return replace(samples, notices=(*notices, *samples.notices))


def read_frame(place: Path, reader: Reader, options: ReadOptions) -> pd.DataFrame:
    """Read a table as a frame, with the columns that were named for roles, as far as there are such.

    Raises:
        InputError: a file that cannot be used.
    """
    frame = reader(place, options, lambda names, hint: None).frame
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: pass a file with data")
    return frame


def _check_names(place: Path, names: list[str], options: ReadOptions, hint: str, faults: Faults) -> None:
    """Collect the roles without a column, columns with several roles, and names that are not there."""
    roles = options.columns
    taken: dict[str, str] = {}
    for role, name in (*roles.items(), *(("drop", name) for name in options.drop)):
        word = _ROLE_WORDS.get(role, role)
        with faults.collect():
            check_column_name(names, name, word)
            if name in taken and role != "drop":
                raise InputError(f"column {name!r} cannot be both {taken[name]} and {word}: name another column")
        taken.setdefault(name, word)
    if "label" not in roles:
        columns = join_names(names, _MAX_COLUMNS)
        faults.messages.append(f"the label is missing: name its column (label, --label). The columns are {columns}")
    if hint and roles.get("label") not in names:
        faults.messages[-1] += f". {hint}"
