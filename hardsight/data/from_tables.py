"""Tables in files: one row per sample, and columns with roles."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hardsight.data.columns import check_column_name
from hardsight.data.formats.table import NO_ROLES, Reader, accept_names
from hardsight.data.image_tables import read_image_table
from hardsight.data.read_options import ROLES, ReadOptions
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

    def check_names(names: list[str], hint: str, roles: Mapping[str, str] = NO_ROLES) -> None:
        _check_names(place, names, _with_roles(options, roles), hint, faults)
        faults.raise_all()

    frame, notices, roles = reader(place, options, check_names)
    options = _with_roles(options, roles)
    frame = frame.drop(columns=[name for name in options.drop if name in frame])
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: pass a file with data")
    if "image" in roles and options.text is None:
        return read_image_table(place, frame, roles["image"], options, notices)
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


def _with_roles(options: ReadOptions, roles: Mapping[str, str]) -> ReadOptions:
    """Return options in which columns that nobody named have the roles that their format gives them."""
    defaults: dict[str, Any] = {role: name for role, name in roles.items() if role in ROLES}
    return replace(options, **(defaults | options.columns))


def read_frame(place: Path, reader: Reader, options: ReadOptions) -> pd.DataFrame:
    """Read a table as a frame, with the columns that were named for roles, as far as there are such.

    Raises:
        InputError: a file that cannot be used.
    """
    frame = reader(place, options, accept_names).frame
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: pass a file with data")
    return frame


def _hint_of_task(names: list[str]) -> str:
    """Return what to do with columns that show another task than one label per row; empty if they do not."""
    if {"chosen", "rejected"} <= set(names):
        return ". Pairs of chosen and rejected answers are measured by hs.measure_preferences (hardsight preferences)"
    if names[:1] == ["-DOCSTART-"]:
        return ". To read a CoNLL file of this name, give the number of its column of tags (tag_column, --tag-column)"
    return ""


def _check_names(place: Path, names: list[str], options: ReadOptions, hint: str, faults: Faults) -> None:
    """Collect the roles without a column, columns with several roles, and names that are not there."""
    roles = options.columns
    taken: dict[str, str] = {}
    for role, name in (
        *roles.items(),
        *(("label", name) for name in options.labels),
        *(("drop", name) for name in options.drop),
    ):
        word = _ROLE_WORDS.get(role, role)
        with faults.collect():
            check_column_name(names, name, word)
            if name in taken and taken[name] == role == "label":
                raise InputError(f"labels must name every column once. Got {name!r} twice (labels, --labels)")
            if name in taken and role != "drop":
                raise InputError(f"column {name!r} cannot be both {taken[name]} and {word}: name another column")
        taken.setdefault(name, word)
    if "label" in roles and options.labels:
        faults.messages.append("labels names the columns of all labels: leave out label (--label)")
    if "label" not in roles and not options.labels:
        columns = join_names(names, _MAX_COLUMNS)
        faults.messages.append(
            f"the label is missing: name its column (label, --label). The columns are {columns}{_hint_of_task(names)}"
        )
    if hint and not options.labels and roles.get("label") not in names:
        faults.messages[-1] += f". {hint}"
