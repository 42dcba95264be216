"""Index of sample ids: an id is given a row when it is first seen, and keeps it."""

from itertools import repeat
from typing import Any, Literal

import numpy as np
import torch

from hardsight.errors import InputError

Kind = Literal["int", "str"]

_FIX = "give integers or strings, one per sample, that name it wherever it stands in the data"
# Integer ids below this are looked up in a table.
_TABLE_SIZE = 1 << 24


def parse_ids(ids: Any) -> tuple[np.ndarray, Kind]:
    """Return the ids of a batch as int64 or as an object array of strings, ``(sample,)``, and their kind.

    Raises:
        InputError: ids are not one-dimensional, neither integers nor strings, or a mixture of both.
    """
    if isinstance(ids, torch.Tensor):
        ids = ids.detach().cpu().numpy()
    values = np.asarray(ids) if hasattr(ids, "dtype") else ids
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InputError(f"ids must be one-dimensional. Got the shape {values.shape}: {_FIX}")
        if values.dtype.kind in "iu" and values.dtype != np.uint64:
            return values.astype(np.int64), "int"
        values = values.tolist()
    if not isinstance(values, list | tuple):
        raise InputError(f"ids must be an array, a tensor or a list. Got {type(ids).__name__}: {_FIX}")
    types = set(map(type, values))
    if types and all(issubclass(t, str) for t in types):
        return _to_objects(values), "str"
    if all(issubclass(t, int | np.integer) and t is not bool for t in types):
        try:
            return np.array(values, dtype=np.int64), "int"
        except OverflowError:
            raise InputError("an id is beyond 64 bits: give it as a string") from None
    names = ", ".join(sorted(t.__name__ for t in types))
    raise InputError(f"ids must be integers or strings, all of one kind. Got {names}: {_FIX}")


def _to_objects(values: Any) -> np.ndarray:
    objects = np.empty(len(values), dtype=object)
    objects[:] = [*map(str, values)]
    return objects


def format_id(ids: np.ndarray, position: Any) -> str:
    """Return one of the ids as a user would write it."""
    return repr(ids[int(position) : int(position) + 1].tolist()[0])


class IdIndex:
    """The rows of all ids seen so far, in the order in which they came."""

    def __init__(self, kind: Kind | None = None, ids: np.ndarray | None = None) -> None:
        self.kind: Kind | None = None
        self._count = 0
        self._ids = np.empty(0, dtype=np.int64)
        # Small integers are positions in a table, the fastest lookup; its pages cost nothing until touched.
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

    def check_kind(self, kind: Kind) -> None:
        """Check that ids of this kind may be added to those already here.

        Raises:
            InputError: the ids here are of the other kind.
        """
        if self.kind not in (None, kind):
            names = {"int": "integers", "str": "strings"}
            raise InputError(f"ids have been {names[str(self.kind)]} so far, now they are {names[kind]}: {_FIX}")

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows of ids, -1 for those that have none. int64."""
        if not self._count:
            return np.full(len(ids), -1)
        in_table = self._in_table(ids)
        if in_table.all():
            rows: np.ndarray = self._table[ids].astype(np.int64) - 1
            return rows
        rows = np.fromiter(map(self._row.get, ids.tolist(), repeat(-1)), np.int64, len(ids))
        rows[in_table] = self._table[ids[in_table].astype(np.int64)] - 1
        return rows

    def insert(self, ids: np.ndarray, rows: np.ndarray, kind: Kind) -> np.ndarray:
        """Return the rows of ids; those that have none are given the next ones.

        Args:
            rows: result of :meth:`rows` for them.
        """
        missing = rows < 0
        if not missing.any():
            return rows
        self._grow(kind, int(missing.sum()))
        new = ids[missing]
        new_rows = np.arange(self._count, self._count + len(new))
        self._ids[new_rows] = new
        self._count += len(new)
        in_table = self._in_table(new)
        self._table[new[in_table].astype(np.int64)] = new_rows[in_table] + 1
        self._row.update(zip(new[~in_table].tolist(), new_rows[~in_table].tolist(), strict=True))
        all_rows = rows.copy()
        all_rows[missing] = new_rows
        return all_rows

    def _grow(self, kind: Kind, more: int) -> None:
        if self.kind is None:
            self.kind = kind
            self._ids = np.empty(0, dtype=np.int64 if kind == "int" else object)
            self._table = np.zeros(_TABLE_SIZE if kind == "int" else 0, dtype=np.int32)
        if self._count + more > len(self._ids):
            extra = np.empty(max(more, len(self._ids)), dtype=self._ids.dtype)
            self._ids = np.concatenate([self._ids, extra])

    def _in_table(self, ids: np.ndarray) -> np.ndarray:
        return (ids >= 0) & (ids < _TABLE_SIZE) if self.kind == "int" else np.zeros(len(ids), dtype=bool)

    def order(self) -> np.ndarray:
        """Return the rows by ascending id, so that nothing depends on the order in which samples came. int64."""
        return np.argsort(self.ids, kind="stable")
