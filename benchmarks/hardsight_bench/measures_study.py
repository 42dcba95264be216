"""The study of measures: sets × kinds of corruption × shares × seeds; every cell is saved as soon as it is done.

The random numbers of a cell come from separate streams (``SeedSequence.spawn``): one draws the corruption, and one per
method draws its trainings, so no two share an integer and no cell depends on which others are run.
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
# Results of different protocol versions cannot share a folder.
PROTOCOL = 1


@dataclass(frozen=True, order=True)
class Cell:
    """One corruption of one data set."""

    set: str
    kind: str
    share: float
    seed: int

    @property
    def stream(self) -> np.random.SeedSequence:
        """Return the cell's random numbers, independent of those of other cells."""
        # CRC-32, because the hash of a string differs between processes.
        place = (zlib.crc32(self.set.encode()), zlib.crc32(self.kind.encode()), round(1e6 * self.share))
        return np.random.SeedSequence(self.seed, spawn_key=place)

    @property
    def file(self) -> str:
        """Return the name of the cell's file."""
        return f"{self.set}-{self.kind}-{self.share:g}-{self.seed}.parquet"


class Study(NamedTuple):
    """What to run.

    Attributes:
        cells: of the grid.
        folder: folder of data sets that do not come with scikit-learn.
        out: output folder.
        most: maximum number of samples of a set.
        again: how many more times cells of seed 0 and share .1 are scored, from other streams, to measure the stability
            of the scores.
        measures: the user's own, ``module:function``.
        only_methods: names in ``METHODS``; None: all.
    """

    cells: list[Cell]
    folder: Path | None
    out: Path
    most: int = 1000
    again: int = 1
    measures: tuple[str, ...] = ()
    only_methods: tuple[str, ...] | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the names of all methods."""
        return (*(METHODS if self.only_methods is None else self.only_methods), *self.measures)


def list_cells(
    sets: Sequence[str], kinds: Sequence[str], shares: Sequence[float], seeds: Sequence[int], folder: Path | None
) -> list[Cell]:
    """List all valid cells: image corruptions for images, tabular ones for tables, shares up to the largest of a kind.

    Raises:
        InputError: an unknown set or kind, a share out of range, or no cell is left.
    """
    for name in kinds:
        if name not in KINDS:
            raise InputError(f"unknown kind of corruption {name!r}: choose from {', '.join(KINDS)}")
    for share in shares:
        if not 0 < share < 1:
            raise InputError(f"shares must be between 0 and 1. Got {share}")
    cells = []
    for name in sets:
        images = load_dataset(name, folder, most=2).shape is not None
        for kind in kinds:
            if KINDS[kind].images in (None, images):
                allowed = [share for share in shares if share <= KINDS[kind].most]
                cells += [Cell(name, kind, share, seed) for share in allowed for seed in seeds]
    if not cells:
        raise InputError("no cell is left: choose kinds that apply to these sets, and shares within their range")
    return cells


def run_study(study: Study, jobs: int = 1, on_progress: Callable[[list[str]], None] = lambda _: None) -> pd.DataFrame:
    """Run what is not yet done; return one row per cell and measure.

    Args:
        study: what to run.
        jobs: number of processes.
        on_progress: called after each cell with its failures.

    Raises:
        InputError: ``out`` holds another study, or cannot be written; a measure or set does not exist.
    """
    for name in study.measures:
        load_user_method(name)
    claim_folder(study.out, {"protocol": PROTOCOL, "most": study.most, "again": study.again})
    pending = [cell for cell in study.cells if _missing(study, cell)]
    for faults in run_cells(partial(run_cell, study), pending, jobs):
        on_progress(faults)
    rows = pd.concat([left(_cell_path(study, cell), "entrant") for cell in study.cells], ignore_index=True)
    table = rows[rows["entrant"].isin(study.methods)].reset_index(drop=True)
    with atomic_write(study.out / "measures.parquet") as path:
        table.to_parquet(path)
    return table


def count_missing(study: Study) -> int:
    """Return the number of cells that are not done."""
    return sum(bool(_missing(study, cell)) for cell in study.cells)


def _cell_path(study: Study, cell: Cell) -> Path:
    return study.out / "cells" / cell.file


def _missing(study: Study, cell: Cell) -> list[str]:
    path = _cell_path(study, cell)
    done = set(left(path, "entrant")["entrant"]) if path.exists() else set()
    return [name for name in study.methods if name not in done]


@lru_cache(maxsize=4)
def _loaded(name: str, folder: Path | None, most: int, seed: int) -> Dataset:
    return load_dataset(name, folder, most, seed)


def run_cell(study: Study, cell: Cell) -> list[str]:
    """Run the missing methods of a cell and save their rows; return descriptions of failures."""
    corruption, *streams = cell.stream.spawn(2 + study.again)
    dataset = KINDS[cell.kind].make(
        _loaded(cell.set, study.folder, study.most, cell.seed), cell.share, np.random.default_rng(corruption)
    )
    if not dataset.hard.any():
        raise InputError(f"{cell} makes no sample hard: use a larger share, or more samples")
    times = 1 + study.again * ((cell.share, cell.seed) == (0.1, 0))
    rows: list[dict[str, Any]] = []
    for name in _missing(study, cell):
        rows += [asdict(cell) | {"entrant": name} | row for row in _score_method(name, dataset, streams[:times])]
    path = _cell_path(study, cell)
    table = pd.DataFrame(rows)
    if path.exists():
        table = pd.concat([left(path, "entrant"), table], ignore_index=True)
    with atomic_write(path) as temporary:
        table.to_parquet(temporary)
    return [f"{row['measure']}: {row['fault']}" for row in rows if row["fault"]]


def _score_method(
    name: str, dataset: CorruptedDataset, streams: Sequence[np.random.SeedSequence]
) -> Iterator[dict[str, Any]]:
    method = METHODS[name] if name in METHODS else load_user_method(name)
    images = dataset.shape is not None
    runs = [
        run_method(name, method, MethodInput(dataset.x, dataset.y, images, method_stream(stream, name)))
        for stream in streams
    ]
    for scored in runs[0]:
        repetitions = [
            score.values for run in runs for score in run if score.measure == scored.measure and score.values is not None
        ]
        yield (
            {field: value for field, value in scored._asdict().items() if field != "values"}
            | score_detection(scored, dataset.hard)
            | {"stability": rank_stability(repetitions)}
        )


def method_stream(stream: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """Return the stream of a method, independent of the other methods."""
    return np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, zlib.crc32(name.encode())))


def score_detection(score: MethodScore, hard: np.ndarray) -> dict[str, float]:
    """Score how well a measure ranks the hard samples first."""
    base = float(hard.mean())
    if score.values is None:
        return {"base": base} | dict.fromkeys(("auroc", "auprc", "lift", "precision"), np.nan)
    values = np.nan_to_num(score.values)
    auprc = float(average_precision_score(hard, values))
    return {
        "base": base,
        "auroc": float(roc_auc_score(hard, values)),
        "auprc": auprc,
        "lift": auprc / base,
        "precision": precision_at_n(values, hard),
    }


def precision_at_n(values: np.ndarray, hard: np.ndarray) -> float:
    """Return the share of hard samples among the n highest scores, n the number of hard ones; ties count in part.

    >>> precision_at_n(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.75
    """
    n = int(hard.sum())
    last = np.sort(values)[-n]
    above, tied = values > last, values == last
    n_found = hard[above].sum() + (n - above.sum()) * hard[tied].mean()
    return float(n_found / n)


def rank_stability(runs: Iterable[np.ndarray]) -> float:
    """Return the mean Spearman correlation between runs; NaN for a single run, or if all scores are equal."""
    pairs = [spearmanr(first, second).statistic for first, second in combinations(runs, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")
