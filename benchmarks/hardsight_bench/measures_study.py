"""The grid of the study of measures: sets × kinds of hardness × shares × seeds, every cell kept as soon as it is done.

A cell's random numbers come from streams of their own (``SeedSequence.spawn``): one draws what is made hard, one each
entrant's trainings, so that no two share an integer and no cell depends on which others are run.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight_bench.cells import claim_folder, run_cells
from hardsight_bench.cells import read_rows as left
from hardsight_bench.corruptions import KINDS, CorruptedDataset
from hardsight_bench.datasets import Dataset, load_dataset
from hardsight_bench.measures_methods import METHODS, MethodInput, MethodScore, load_user_method, run_method

SETS = ("digits", "fashion", "letter", "satellite", "texture", "phoneme", "breast-cancer", "movies", "products")
SHARES = (0.05, 0.1, 0.2, 0.4)
# What is not the same in two versions of this number cannot stand in one folder.
PROTOCOL = 1


@dataclass(frozen=True, order=True)
class Cell:
    """One injection into one data set."""

    set: str
    kind: str
    share: float
    seed: int

    @property
    def stream(self) -> np.random.SeedSequence:
        """Its random numbers; those of other cells are unrelated."""
        # CRC-32, because the hash of a string is another one in every process.
        place = (zlib.crc32(self.set.encode()), zlib.crc32(self.kind.encode()), round(1e6 * self.share))
        return np.random.SeedSequence(self.seed, spawn_key=place)

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.set}-{self.kind}-{self.share:g}-{self.seed}.parquet"


class Study(NamedTuple):
    """What is run.

    Attributes:
        cells: of the grid.
        folder: where data sets other than scikit-learn's lie.
        out: where results go.
        most: samples of a set, at most.
        again: cells of seed 0 and share .1 are scored so many times more, from other streams, which tells how stable the
            scores are.
        measures: of yours, ``module:function``.
        field: what else enters, names out of ``FIELD``; None for all.
    """

    cells: list[Cell]
    folder: Path | None
    out: Path
    most: int = 1000
    again: int = 1
    measures: tuple[str, ...] = ()
    field: tuple[str, ...] | None = None

    @property
    def entrants(self) -> tuple[str, ...]:
        """Names of all entrants."""
        return (*(METHODS if self.field is None else self.field), *self.measures)


def list_cells(
    sets: Sequence[str], kinds: Sequence[str], shares: Sequence[float], seeds: Sequence[int], folder: Path | None
) -> list[Cell]:
    """All cells that make sense: kinds for images on images, for tables on tables, shares up to a kind's largest.

    Raises:
        InputError: an unknown set or kind, a share out of range, or nothing is left.
    """
    for name in kinds:
        if name not in KINDS:
            raise InputError(f"no kind of hardness is called {name!r}: choose among {', '.join(KINDS)}")
    for share in shares:
        if not 0 < share < 1:
            raise InputError(f"a share must lie between 0 and 1. Got {share}")
    found = []
    for name in sets:
        images = load_dataset(name, folder, most=2).shape is not None
        for kind in kinds:
            if KINDS[kind].images in (None, images):
                allowed = [share for share in shares if share <= KINDS[kind].most]
                found += [Cell(name, kind, share, seed) for share in allowed for seed in seeds]
    if not found:
        raise InputError("no cell is left: choose kinds that these sets can take, and shares within their range")
    return found


def run_study(study: Study, jobs: int = 1, tell: Callable[[list[str]], None] = lambda _: None) -> pd.DataFrame:
    """Run what is not yet done; a row for each cell and measure.

    Args:
        study: what to run.
        jobs: processes at a time.
        tell: called after each cell that was run, with what failed in it.

    Raises:
        InputError: ``out`` holds another study, or cannot be written; a measure or set does not exist.
    """
    for name in study.measures:
        load_user_method(name)
    claim_folder(study.out, {"protocol": PROTOCOL, "most": study.most, "again": study.again})
    to_do = [cell for cell in study.cells if _missing(study, cell)]
    for faults in run_cells(partial(run_cell, study), to_do, jobs):
        tell(faults)
    rows = pd.concat([left(_part(study, cell), "entrant") for cell in study.cells], ignore_index=True)
    found = rows[rows["entrant"].isin(study.entrants)].reset_index(drop=True)
    with atomic_write(study.out / "measures.parquet") as path:
        found.to_parquet(path)
    return found


def count_missing(study: Study) -> int:
    """How many cells are not done."""
    return sum(bool(_missing(study, cell)) for cell in study.cells)


def _part(study: Study, cell: Cell) -> Path:
    return study.out / "cells" / cell.file


def _missing(study: Study, cell: Cell) -> list[str]:
    path = _part(study, cell)
    done = set(left(path, "entrant")["entrant"]) if path.exists() else set()
    return [name for name in study.entrants if name not in done]


@lru_cache(maxsize=4)
def _loaded(name: str, folder: Path | None, most: int, seed: int) -> Dataset:
    return load_dataset(name, folder, most, seed)


def run_cell(study: Study, cell: Cell) -> list[str]:
    """Run the entrants that a cell lacks, and keep their rows; returns what failed, in words."""
    make, *streams = cell.stream.spawn(2 + study.again)
    found = KINDS[cell.kind].make(
        _loaded(cell.set, study.folder, study.most, cell.seed), cell.share, np.random.default_rng(make)
    )
    if not found.hard.any():
        raise InputError(f"{cell} makes no sample hard: take a larger share, or more samples")
    times = 1 + study.again * ((cell.share, cell.seed) == (0.1, 0))
    rows: list[dict[str, Any]] = []
    for name in _missing(study, cell):
        rows += [asdict(cell) | {"entrant": name} | row for row in _rows(name, found, streams[:times])]
    path = _part(study, cell)
    table = pd.DataFrame(rows)
    if path.exists():
        table = pd.concat([left(path, "entrant"), table], ignore_index=True)
    with atomic_write(path) as temporary:
        table.to_parquet(temporary)
    return [f"{row['measure']}: {row['fault']}" for row in rows if row["fault"]]


def _rows(name: str, found: CorruptedDataset, streams: Sequence[np.random.SeedSequence]) -> Iterator[dict[str, Any]]:
    entrant = METHODS[name] if name in METHODS else load_user_method(name)
    images = found.shape is not None
    runs = [
        run_method(name, entrant, MethodInput(found.x, found.y, images, method_stream(stream, name)))
        for stream in streams
    ]
    for scored in runs[0]:
        alike = [one.values for run in runs for one in run if one.measure == scored.measure and one.values is not None]
        yield (
            {field: value for field, value in scored._asdict().items() if field != "values"}
            | score_detection(scored, found.hard)
            | {"stability": rank_stability(alike)}
        )


def method_stream(stream: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """An entrant's part of a stream, whatever else enters."""
    return np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, zlib.crc32(name.encode())))


def score_detection(scored: MethodScore, hard: np.ndarray) -> dict[str, float]:
    """How well the scores put the hard samples first."""
    base = float(hard.mean())
    if scored.values is None:
        return {"base": base} | dict.fromkeys(("auroc", "auprc", "lift", "precision"), np.nan)
    values = np.nan_to_num(scored.values)
    auprc = float(average_precision_score(hard, values))
    return {
        "base": base,
        "auroc": float(roc_auc_score(hard, values)),
        "auprc": auprc,
        "lift": auprc / base,
        "precision": precision_at_n(values, hard),
    }


def precision_at_n(values: np.ndarray, hard: np.ndarray) -> float:
    """Share of hard samples among as many of the highest scores as there are hard ones; ties at the end count in part.

    >>> precision_at_n(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.75
    """
    n = int(hard.sum())
    last = np.sort(values)[-n]
    above, tied = values > last, values == last
    among = hard[above].sum() + (n - above.sum()) * hard[tied].mean()
    return float(among / n)


def rank_stability(runs: Iterable[np.ndarray]) -> float:
    """Mean Spearman correlation between runs; NaN where there is one run, or scores that are all equal."""
    pairs = [spearmanr(first, second).statistic for first, second in combinations(runs, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")
