"""What every reader of tables takes and gives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import pandas as pd

from hardsight.data.read_options import ReadOptions

NO_ROLES: Mapping[str, str] = MappingProxyType({})


class Table(NamedTuple):
    """The columns of a table. Features are typed; labels, ids and groups keep their spelling."""

    frame: pd.DataFrame
    notices: list[str]  # what a user should know of how it was read
    # Columns by the roles that the format gives them, where no other column was named: an option, or "image".
    roles: Mapping[str, str] = NO_ROLES


class CheckNames(Protocol):
    """What a reader calls as soon as the names of the columns are known."""

    def __call__(self, names: list[str], hint: str, roles: Mapping[str, str] = ...) -> None:
        """Check that all columns that were named are there.

        Args:
            names: of all columns.
            hint: advice for messages, or "".
            roles: as in :class:`Table`.

        Raises:
            InputError: one is missing.
        """


def accept_names(names: list[str], hint: str, roles: Mapping[str, str] = NO_ROLES) -> None:
    """Accept all columns, as a :class:`CheckNames`."""


Reader = Callable[[Path, ReadOptions, CheckNames], Table]
