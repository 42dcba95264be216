"""Checkpoints: the state of a run on disk, saved atomically after every few repeats."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hardsight import __version__
from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.estimation.calibration import Calibration, read_calibration
from hardsight.io import npz
from hardsight.io.atomic import atomic_write
from hardsight.learners import Learner
from hardsight.learners.network import native
from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Plan
from hardsight.resampling.splitters import Splitter

SCHEMA = 1
# Bytes read at a time, straight into the array that they belong to.
_CHUNK = 2**20


def digest(*parts: Any) -> str:
    """Return a fingerprint of arrays, text and other JSON types that is the same on every machine."""
    state = blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            state.update(json.dumps(part, sort_keys=True, default=str).encode())
    return state.hexdigest()


def run_identity(
    samples: Samples, learner: Learner, splitter: Splitter, plan: Plan, calibrate: bool | None = False
) -> dict[str, str]:
    """Return what must be equal for an unfinished run to continue, by name.

    Args:
        calibrate: whether predictions are calibrated; see :class:`Runner`.
    """
    return {
        "the data": digest(samples.kind, samples.fingerprints().view(np.uint8), samples.matrix if samples.numeric else None),
        "the labels": digest(samples.labels, samples.classes),
        "the weights": digest(samples.weights),
        "the ids": digest(samples.ids),
        "the groups or duplicates": digest(plan.blocks),
        "the learner": digest(learner.name, learner.describe()),
        "the splits": digest(splitter.describe() if plan.rounds else plan.repeats),
        "the seed": digest(plan.seed),
        "whether errors are adjusted": digest(plan.in_sample),
        "whether predictions are calibrated": digest(calibrate),
        "the versions of hardsight, torch or numba": digest(__version__, torch.__version__, native.version()),
    }


class _Header(NamedTuple):
    schema: Any
    repeats: int
    notices: list[str]
    identity: dict[str, Any]
    calibration: Calibration | None


class Progress(NamedTuple):
    """What a checkpoint holds beside the running moments."""

    repeats: int = 0  # number of finished repeats
    notices: Sequence[str] = ()
    calibration: Calibration | None = None  # None before the first predictions, or if they are not calibrated


class Checkpoint:
    """One file with the running moments of a run, the number of repeats they hold, and the identity of the run.

    Args:
        path: the file, ``.npz`` without pickled objects.
        identity: what must be equal for the run to continue, by name: data, learner, splits, seed, …
    """

    def __init__(self, path: str | Path, identity: dict[str, str]) -> None:
        self.path, self.identity = Path(path), identity

    def save(self, record: HeldOut, repeats: int, notices: Sequence[str], calibration: Calibration | None = None) -> None:
        """Replace the file by the state after a number of repeats.

        Raises:
            InputError: the file cannot be written.
        """
        about = {
            "schema": SCHEMA,
            "repeats": repeats,
            "notices": list(notices),
            "identity": self.identity,
            "calibration": None if calibration is None else calibration._asdict(),
        }
        header = json.dumps(about, ensure_ascii=False)
        arrays: dict[str, Any] = {name: value.numpy() for name, value in record.state().items()}
        with atomic_write(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)

    def restore(self, record: HeldOut) -> Progress:
        """Fill an empty record from the file, and return what else it holds: nothing if there is no file.

        Raises:
            InputError: the file is damaged or belongs to another run; the message names the difference.
        """
        if not self.path.exists():
            return Progress()
        with self._open() as archive:
            header = _parse_header(json.loads(bytes(archive.read("header"))))
        changed = [name for name, value in self.identity.items() if header.identity.get(name) != value]
        if changed or header.schema != SCHEMA:
            raise InputError(
                f"the unfinished run in {self.path} cannot be continued: {', '.join(changed) or 'its format'} "
                "changed since it was started. Use the original data and arguments, or start again without resume"
            )
        with self._open() as archive:
            for name, array in record.state().items():
                _read_into(array.numpy(), archive, name)
        return Progress(header.repeats, header.notices, header.calibration)

    @contextmanager
    def _open(self) -> Iterator[npz.Archive]:
        try:
            with npz.open_npz(self.path) as archive:
                yield archive
        except InputError as error:
            raise InputError(
                f"{self.path} cannot be read as an unfinished run: delete it and start again ({error})"
            ) from None


def _parse_header(header: dict[str, Any]) -> _Header:
    parsed = _Header(
        header["schema"], header["repeats"], header["notices"], header["identity"], read_calibration(header["calibration"])
    )
    valid = type(parsed.repeats) is int and parsed.repeats >= 0 and isinstance(parsed.identity, dict)
    if not valid or not isinstance(parsed.notices, list) or not all(isinstance(text, str) for text in parsed.notices):
        raise ValueError("header")
    return parsed


def _read_into(array: np.ndarray, archive: npz.Archive, name: str) -> None:
    """Read a saved array into an existing one.

    Raises:
        KeyError: nothing was saved under the name.
        ValueError: the shape or type differs, or the file ends too soon.
    """
    with archive.open(name) as (file, shape, dtype):
        if (shape, dtype) != (array.shape, array.dtype):
            raise ValueError(name)
        target = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(target), _CHUNK):
            chunk = target[start : start + _CHUNK]
            chunk[:] = file.read(len(chunk))
