"""Ids → rows. A row is given to an id when it is first seen and is its own from then on."""

from itertools import repeat
from typing import Any, Literal

import numpy as np
import torch

from hardsight.errors import InputError

Kind = Literal["int", "str"]

_MEND = "give whole numbers or strings, one a sample, that name it wherever it stands in the data"
_PLAIN = 1 << 24


def parse_ids(ids: Any) -> tuple[np.ndarray, Kind]:
    """The ids of a batch, as int64 or as an object array of strings. ``(sample,)``

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
            return values.astype(np.int64), "int"
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise InputError(f"ids must be an array, a tensor or a list, got {type(ids).__name__}: {_MEND}")
    types = set(map(type, values))
    if types and all(issubclass(t, str) for t in types):
        return _objects(values), "str"
    if all(issubclass(t, int | np.integer) and t is not bool for t in types):
        try:
            return np.array(values, dtype=np.int64), "int"
        except OverflowError:
            raise InputError("an id is beyond 64 bits: give it as a string") from None
    named = ", ".join(sorted(t.__name__ for t in types))
    raise InputError(f"ids must be whole numbers or strings, all alike, got {named}: {_MEND}")


def _objects(values: Any) -> np.ndarray:
    held = np.empty(len(values), dtype=object)
    held[:] = [*map(str, values)]
    return held


def format_id(ids: np.ndarray, at: Any) -> str:
    """One id, as a user would write it."""
    return repr(ids[int(at) : int(at) + 1].tolist()[0])


class IdIndex:
    """The rows of all ids seen so far, in the order in which they came."""

    def __init__(self, kind: Kind | None = None, ids: np.ndarray | None = None) -> None:
        self.kind: Kind | None = None
        self._count = 0
        self._ids = np.empty(0, dtype=np.int64)
        # Whole numbers below the bound are positions in a table, the fastest way; its pages cost nothing until touched.
        self._table = np.zeros(0, dtype=np.int32)
        self._row: dict[Any, int] = {}
        if kind is not None and ids is not None:
            self.insert(ids, np.full(len(ids), -1), kind)

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> np.ndarray:
        """All ids, by row; int64 or strings."""
        return self._ids[: self._count]

    def alike(self, kind: Kind) -> None:
        """Check that ids of this kind may stand beside those already here.

        Raises:
            InputError: they may not.
        """
        if self.kind not in (None, kind):
            named = {"int": "whole numbers", "str": "strings"}
            raise InputError(f"ids have been {named[str(self.kind)]} so far, now they are {named[kind]}: {_MEND}")

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """Their rows, -1 for ids that have none. int64."""
        if not self._count:
            return np.full(len(wanted), -1)
        plain = self._plain(wanted)
        if plain.all():
            found: np.ndarray = self._table[wanted].astype(np.int64) - 1
            return found
        rows = np.fromiter(map(self._row.get, wanted.tolist(), repeat(-1)), np.int64, len(wanted))
        rows[plain] = self._table[wanted[plain].astype(np.int64)] - 1
        return rows

    def insert(self, wanted: np.ndarray, rows: np.ndarray, kind: Kind) -> np.ndarray:
        """Their rows; ids that have none are given the next ones.

        Args:
            wanted: ids, each once.
            rows: what :meth:`rows` says of them.
            kind: what they are.
        """
        missing = rows < 0
        if not missing.any():
            return rows
        self._prepare(kind, int(missing.sum()))
        new = wanted[missing]
        given = np.arange(self._count, self._count + len(new))
        self._ids[given] = new
        self._count += len(new)
        plain = self._plain(new)
        self._table[new[plain].astype(np.int64)] = given[plain] + 1
        self._row.update(zip(new[~plain].tolist(), given[~plain].tolist(), strict=True))
        found = rows.copy()
        found[missing] = given
        return found

    def _prepare(self, kind: Kind, more: int) -> None:
        if self.kind is None:
            self.kind = kind
            self._ids = np.empty(0, dtype=np.int64 if kind == "int" else object)
            self._table = np.zeros(_PLAIN if kind == "int" else 0, dtype=np.int32)
        if self._count + more > len(self._ids):
            room = np.empty(max(more, len(self._ids)), dtype=self._ids.dtype)
            self._ids = np.concatenate([self._ids, room])

    def _plain(self, ids: np.ndarray) -> np.ndarray:
        return (ids >= 0) & (ids < _PLAIN) if self.kind == "int" else np.zeros(len(ids), dtype=bool)

    def order(self) -> np.ndarray:
        """Rows by ascending id, so that nothing depends on the order in which samples came. int64."""
        return np.argsort(self.ids, kind="stable")
