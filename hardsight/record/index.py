"""Ids → rows. A row is given to an id when it is first seen and is its own from then on."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Literal

import numpy as np
import torch

from hardsight.errors import InputError

Kind = Literal["int", "str"]
Keys = list[int] | list[str]

_MEND = "give whole numbers or strings, one a sample, that name it wherever it stands in the data"


def keys(ids: Any) -> tuple[Keys, Kind]:
    """The ids of a batch as Python integers or strings.

    Raises:
        InputError: ids that are not one-dimensional, neither whole numbers nor strings, or some of both.
    """
    if isinstance(ids, torch.Tensor):
        ids = ids.detach().cpu().numpy()
    values = np.asarray(ids) if hasattr(ids, "dtype") else ids
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InputError(f"ids must be one-dimensional, got the shape {values.shape}: {_MEND}")
        if values.dtype.kind in "iu" and values.dtype != np.uint64:
            return values.tolist(), "int"
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise InputError(f"ids must be an array, a tensor or a list, got {type(ids).__name__}: {_MEND}")
    types = set(map(type, values))
    if types and all(issubclass(t, str) for t in types):
        return [*map(str, values)], "str"
    if all(issubclass(t, int | np.integer) and t is not bool for t in types):
        try:
            return np.array(values, dtype=np.int64).tolist(), "int"
        except OverflowError:
            raise InputError("an id is beyond 64 bits: give it as a string") from None
    named = ", ".join(sorted(t.__name__ for t in types))
    raise InputError(f"ids must be whole numbers or strings, all alike, got {named}: {_MEND}")


class Index:
    """The rows of all ids seen so far, in the order in which they came."""

    def __init__(self, kind: Kind | None = None, ids: Iterable[Any] = ()) -> None:
        self.kind = kind
        self._row: dict[Any, int] = {key: row for row, key in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._row)

    @property
    def ids(self) -> Keys:
        """All ids, by row."""
        return list(self._row)

    def alike(self, kind: Kind) -> None:
        """Check that ids of this kind may stand beside those already here.

        Raises:
            InputError: they may not.
        """
        if self.kind not in (None, kind):
            named = {"int": "whole numbers", "str": "strings"}
            raise InputError(f"ids have been {named[str(self.kind)]} so far, now they are {named[kind]}: {_MEND}")

    def rows(self, wanted: Keys) -> np.ndarray:
        """Their rows, -1 for ids that have none. int64."""
        return np.fromiter(map(self._row.get, wanted, repeat(-1)), np.int64, len(wanted))

    def insert(self, wanted: Keys, kind: Kind) -> np.ndarray:
        """Their rows; ids that have none are given the next ones."""
        self.kind = kind
        rows = self.rows(wanted)
        if (rows < 0).any():
            new = dict.fromkeys(key for key, row in zip(wanted, rows.tolist(), strict=True) if row < 0)
            self._row.update(zip(new, range(len(self), len(self) + len(new)), strict=True))
            rows = self.rows(wanted)
        return rows

    def order(self) -> np.ndarray:
        """Rows by ascending id, so that nothing depends on the order in which samples came. int64."""
        held = self.ids
        if self.kind == "int":
            return np.argsort(np.array(held, dtype=np.int64), kind="stable")
        return np.array(sorted(range(len(held)), key=held.__getitem__), dtype=np.int64)
