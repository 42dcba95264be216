"""A run that was stopped can go on: what is held after every few turns stands on disk, whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from hardsight.errors import InputError
from hardsight.io import npz as archives
from hardsight.io.atomic import atomic_write
from hardsight.measures.held_out import HeldOut

SCHEMA = 1
# Bytes read at a time, straight into the array that they belong to.
_PIECE = 2**20


def digest(*parts: Any) -> str:
    """A fingerprint of arrays, text and other JSON types, the same wherever it is made."""
    state = blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            state.update(json.dumps(part, sort_keys=True, default=str).encode())
    return state.hexdigest()


class Checkpoint:
    """One file with the running moments of a run, how many turns they hold, and what the run was of.

    Args:
        path: of the file, ``.npz`` without pickled objects.
        identity: what must be equal for a run to go on, by name: data, learner, splits, seed, …
    """

    def __init__(self, path: str | Path, identity: dict[str, str]) -> None:
        self.path, self.identity = Path(path), identity

    def save(self, record: HeldOut, turns: int, notices: list[str]) -> None:
        """Replace the file by what is held after a number of turns.

        Raises:
            InputError: the file cannot be written.
        """
        about = {"schema": SCHEMA, "turns": turns, "notices": notices, "identity": self.identity}
        header = json.dumps(about, ensure_ascii=False)
        arrays: dict[str, Any] = {name: value.numpy() for name, value in record.state().items()}
        with atomic_write(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)

    def restore(self, record: HeldOut) -> tuple[int, list[str]]:
        """Fill an empty record from the file; return how many turns it holds, and notices. None of either without a file.

        Raises:
            InputError: the file is damaged, or of another run (names what differs).
        """
        if not self.path.exists():
            return 0, []
        with self._open() as held:
            turns, notices, identity, schema = _told(json.loads(bytes(held.read("header"))))
        differing = [name for name, value in self.identity.items() if identity.get(name) != value]
        if differing or schema != SCHEMA:
            raise InputError(
                f"the unfinished run in {self.path} cannot be continued: {', '.join(differing) or 'its format'} "
                "changed since. Run it with what it was started with, or start anew without resuming"
            )
        with self._open() as held:
            for name, array in record.state().items():
                _fill(array.numpy(), held, name)
        return turns, notices

    @contextmanager
    def _open(self) -> Iterator[archives.Archive]:
        try:
            with archives.open_npz(self.path) as held:
                yield held
        except InputError as fault:
            raise InputError(
                f"{self.path} cannot be read as an unfinished run: delete it and start anew ({fault})"
            ) from None


def _told(header: dict[str, Any]) -> tuple[int, list[str], dict[str, Any], Any]:
    turns, notices, identity = header["turns"], header["notices"], header["identity"]
    sound = type(turns) is int and turns >= 0 and isinstance(notices, list) and isinstance(identity, dict)
    if not sound or not all(isinstance(notice, str) for notice in notices):
        raise ValueError("header")
    return turns, notices, identity, header["schema"]


def _fill(array: np.ndarray, held: archives.Archive, name: str) -> None:
    """Read what was saved of an array into its place.

    Raises:
        KeyError: nothing was saved under the name.
        ValueError: its shape or type is another, or it ends too soon.
    """
    with held.open(name) as (file, shape, dtype):
        if (shape, dtype) != (array.shape, array.dtype):
            raise ValueError(name)
        into = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(into), _PIECE):
            piece = into[start : start + _PIECE]
            piece[:] = file.read(len(piece))
