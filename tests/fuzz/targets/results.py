"""What hardsight wrote itself and reads again: results, records, unfinished runs, weightings."""

import io
import tempfile
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch
from sklearn.datasets import load_wine

import hardsight as hs
from fuzz.target import Target
from fuzz.targets import npz as zips
from hardsight.difficulty.result import Difficulty
from hardsight.estimation.calibration import Calibration
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.measures.held_out import HeldOut


@cache
def result(kind: str) -> Difficulty:
    """A small result: of "classes", "numbers", or "losses" alone."""
    X, y = load_wine(return_X_y=True)
    X, y = X[::4], y[::4]
    ids = [f"w{i}" for i in range(len(y))]
    how = {"learner": "ridge", "folds": 3, "repeats": 2, "ids": ids}
    if kind == "classes":
        return hs.measure(X, np.array(["red", "=white", "7"])[y], refine=False, **how)
    if kind == "numbers":
        return hs.measure(X[:, 1:], X[:, 0], **(how | {"ids": None}))
    found = hs.measure(X[:, 1:], X[:, 0], **how)
    nothing = np.full(len(found), np.nan)
    return Difficulty(
        error=found.error, error_se=found.error_se, bias=nothing, variance=nothing, n_views=found.n_views, labels=nothing,
        predicted=nothing, ids=found.ids, classes=None, consensus=None, ledger=None, p_wrong=None, cause=None,
        run=replace(found.run, task="loss", loss="own"),
    )  # fmt: skip


def saved(what: object) -> bytes:
    """The bytes of the file that an object writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.parquet")
        what.save(path)
        return path.read_bytes()


def _enter_result(data: bytes, folder: Path) -> None:
    path = folder / "difficulty.parquet"
    path.write_bytes(data)
    d = hs.load(path)
    repr(d), d.table, d.recommended_action, d.transition, d.noise_rates, d.p_label, d.select(d.ids[:1].tolist())
    d.save(folder / "again.parquet")
    number = zlib.crc32(data)
    if number % 4 == 0:
        assert np.isfinite(hs.weigh(d)).all()
    if number % 32 == 1:
        d.review(folder / "review.html")
    if number % 64 == 2:
        d.report(folder / "report.html")


def _edited(rng: Random, data: bytes) -> bytes:
    from fuzz.targets.tables import parquet_edited

    return parquet_edited(b"hardsight")(rng, data)


# Records


@cache
def _records() -> list[bytes]:
    made = []
    for ids, measures in (([3, 1, 2], None), (["a", "b", "=c"], ["aum", "forgetting", "vog", "agreement"])):
        record = hs.Record(measures)
        for view in range(3):
            rng = np.random.default_rng(view)
            record.add(
                view=view, ids=ids, logits=rng.normal(size=(3, 2)) * 3, labels=[0, 1, 0],
                features=rng.normal(size=(3, 4)), input_gradients=rng.normal(size=(3, 5)), rate=0.1,
            )  # fmt: skip
        made.append(saved(record))
    return [*made, saved(hs.Record(["aum"]))]


def _enter_record(data: bytes, folder: Path) -> None:
    (folder / "record.npz").write_bytes(data)
    record = hs.Record.load(folder / "record.npz")
    repr(record), record.table, record.labels
    if len(record) and record.classes == 2:
        new = [10**6] if record._store.index.kind == "int" else ["new"]
        record.add(view=2**40, ids=new, logits=[[0.5, -4.0]], labels=[1])
    record.save(folder / "again.npz")


# Unfinished runs

_IDENTITY = {"data": "x", "seed": "0"}


def _held_out() -> HeldOut:
    labels = torch.tensor([0, 1, 0, 1])
    views = [(torch.arange(4), torch.log(torch.full((4, 2), 0.5 - 0.1 * i, dtype=torch.float64)), i) for i in range(2)]
    return HeldOut.from_views(labels, 2, iter(views))


@cache
def _checkpoints() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path, seeds = Path(folder, "progress.npz"), []
        for calibration in (None, Calibration(2.0, 2.0, 0.5, 0.1, 4)):
            Checkpoint(path, _IDENTITY).save(_held_out(), 2, ["a notice"], calibration)
            seeds.append(path.read_bytes())
        return seeds


def _enter_checkpoint(data: bytes, folder: Path) -> None:
    (folder / "progress.npz").write_bytes(data)
    turns, notices, _ = Checkpoint(folder / "progress.npz", _IDENTITY).restore(_held_out())
    assert turns >= 0
    assert all(isinstance(notice, str) for notice in notices)


# Weightings that a Trainer keeps in its checkpoints


@cache
def _weightings() -> list[bytes]:
    weighting = hs.Weighting("focal", size=4)
    weighting(torch.tensor([0.5, 1.0]), ids=torch.tensor([0, 2]))
    file = io.BytesIO()
    torch.save(weighting.state_dict(), file)
    return [file.getvalue()]


TARGETS = [
    Target("results", "difficulty.parquet", lambda: [saved(result(kind)) for kind in ("classes", "numbers", "losses")],
         (_edited,), _enter_result, 0.25),
    Target("records", "records (.npz)", _records, (zips.member_edited("about"), zips.header_edited), _enter_record, 0.3),
    Target("unfinished runs", "progress.npz", _checkpoints, (zips.member_edited("header"), zips.header_edited),
         _enter_checkpoint, 0.3),
]  # fmt: skip
