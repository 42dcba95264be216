"""The study of weights: worlds × schemes × learners; how much of what the truth would gain does a scheme gain?

Every row trains the same learner from the same seed on the same samples, and differs by its weights alone. The difficulty
that rows read is measured once for each world and learner, by models of that learner's kind that see the given labels alone.
A cell's random numbers come from streams of their own, so that none depends on which rows or cells are run besides.
"""

import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from hardsight import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.errors import HardsightError, HardsightWarning, InputError
from hardsight.estimation.measure import measure
from hardsight.io.atomic import atomic_write
from hardsight.learners import LEARNERS
from hardsight.learners.network.network import Network
from hardsight.learners.sklearn import leveled, predict, seeded, weight_argument
from hardsight_bench import weights_field as schemes
from hardsight_bench.cells import claim_folder, run_cells
from hardsight_bench.cells import read_rows as left
from hardsight_bench.heterogeneous_ensemble import (
    EnsembleTask,
    MemberResult,
    WeightedMember,
    count_epochs,
    train_members,
)
from hardsight_bench.scores import METRICS, difference_standard_error, effective_share, score_predictions
from hardsight_bench.weights_field import Row
from hardsight_bench.weights_scenarios import MOST, Cell, Scenario, make_scenario

SETS = ("digits", "fashion", "letter", "satellite", "penbased", "texture", "products")
# What is not the same in two versions of this number cannot stand in one folder.
PROTOCOL = 1


class LearnerKind(NamedTuple):
    """A learner of the study.

    Attributes:
        what: its recipe, in words.
        measure: ``learner`` of ``hs.measure``, by which its difficulty is measured, in 5 folds, or as many as the rarest
            class has labels.
        repeats: of that.
        network: the recipe; None: that of ``LEARNERS``.
    """

    what: str
    measure: str
    repeats: int
    network: Network | None = None


KINDS: dict[str, LearnerKind] = {
    "network": LearnerKind(
        "`hs.Network()`: a perceptron with 128 hidden units, AdamW at 3e-3 with a cosine schedule, weight decay scaled to "
        "the steps, batches of 64, 20 epochs and at least 400 steps",
        "auto",
        4,
        Network(),
    ),
    "long-network": LearnerKind(
        "the same perceptron for 100 epochs with AdamW's weight decay of .01, so that it learns wrong labels by heart",
        "auto",
        4,
        Network(epochs=100, weight_decay=0.01),
    ),
    "logistic": LearnerKind("scikit-learn's logistic regression on scaled features, C = 1", "logistic", 4),
    # Boosted trees take ten times as long as all else.
    "lightgbm": LearnerKind("LightGBM, 100 trees", "lightgbm", 2),
}
FOLDS = 5


class Study(NamedTuple):
    """What is run.

    Attributes:
        cells: of the grid.
        learners: names in ``KINDS``.
        rows: of :func:`hardsight_bench.weights_field.rows`.
        folder: where data sets other than scikit-learn's lie.
        out: where results go.
        most: training samples, at most.
        again: names of rows that are run although they are there.
    """

    cells: list[Cell]
    learners: tuple[str, ...]
    rows: list[Row]
    folder: Path | None
    out: Path
    most: int = MOST
    again: tuple[str, ...] = ()


class Job(NamedTuple):
    """A cell with one learner, and the names of its rows that are to be run."""

    cell: Cell
    learner: str
    missing: tuple[str, ...]


def list_jobs(study: Study) -> list[Job]:
    """What is to be run.

    Raises:
        InputError: an unknown learner.
    """
    for name in study.learners:
        if name not in KINDS:
            raise InputError(f"no learner of this study is called {name!r}: choose among {', '.join(KINDS)}")
    every = (Job(cell, learner, _missing(study, cell, learner)) for cell in study.cells for learner in study.learners)
    return [job for job in every if job.missing]


def run_study(study: Study, jobs: int = 1, tell: Callable[[list[str]], None] = lambda _: None) -> pd.DataFrame:
    """Run what is not yet done; a row for each cell, learner and row of the study.

    Args:
        study: what to run.
        jobs: processes at a time.
        tell: called after each cell and learner that was run, with what failed in it.

    Raises:
        InputError: ``out`` holds another study, or cannot be written; a data set or learner does not exist.
    """
    claim_folder(study.out, {"protocol": PROTOCOL, "most": study.most, "study": "weights"})
    for faults in run_cells(partial(run_cell, study), list_jobs(study), jobs):
        tell(faults)
    parts = [left(_part(study, cell, learner), "row") for cell in study.cells for learner in study.learners]
    found = pd.concat(parts, ignore_index=True)
    found = found[found["row"].isin({row.name for row in study.rows})].reset_index(drop=True)
    with atomic_write(study.out / "weights.parquet") as path:
        found.to_parquet(path)
    return found


def _part(study: Study, cell: Cell, learner: str) -> Path:
    return study.out / "cells" / f"{learner}-{cell.file}"


def _missing(study: Study, cell: Cell, learner: str) -> tuple[str, ...]:
    path = _part(study, cell, learner)
    done = set(left(path, "row")["row"]) if path.exists() else set()
    return tuple(row.name for row in _possible(study.rows, learner) if row.name not in done or row.name in study.again)


def _possible(rows: Sequence[Row], learner: str) -> list[Row]:
    in_batches = KINDS[learner].network is not None
    return [row for row in rows if in_batches or row.how != "in training"]


def run_cell(study: Study, job: Job) -> list[str]:
    """Run the rows that a cell lacks, and keep what they come to; returns what failed, in words."""
    made = make_scenario(job.cell, study.folder, study.most)
    # Uniform is run again each time, since the others are compared with it sample by sample.
    rows = [row for row in study.rows if row.name in job.missing or row.name == "uniform"]
    new = pd.DataFrame(list(_judged(made, rows, job)))
    new = new[new["row"].isin(job.missing)]
    path = _part(study, job.cell, job.learner)
    if path.exists():
        old = left(path, "row")
        new = pd.concat([old[~old["row"].isin(job.missing)], new], ignore_index=True)
    with atomic_write(path) as temporary:
        new.to_parquet(temporary)
    return [f"{name}: {why}" for name, why in zip(new["row"], new["fault"], strict=True) if why]


def _judged(made: Scenario, rows: list[Row], job: Job) -> Iterator[dict[str, Any]]:
    measuring, training, drawing = job.cell.stream(job.cell.noise, job.cell.imbalance, job.learner).spawn(3)
    start = time.process_time()
    difficulty = measure_difficulty(made, job.learner, int(measuring.generate_state(1)[0]))
    spent = time.process_time() - start
    given = {row.name: _weights(row, made, difficulty, drawing) for row in rows if row.how != "in training"}
    seed = int(training.generate_state(1)[0])
    start = time.process_time()
    answers = _answers(made, rows, given, difficulty, job.learner, seed)
    each = (time.process_time() - start) / len(rows)
    uniform = next(answer for row, answer in zip(rows, answers, strict=True) if row.name == "uniform")
    if isinstance(uniform, str):
        raise InputError(f"{job.learner} cannot learn {job.cell}: {uniform}")
    about = asdict(job.cell) | {
        "learner": job.learner,
        "samples": len(made.y),
        "wrong": float((made.y != made.true).mean()),
        "seconds": each,
        "seconds_measure": spent,
    }
    for row, answer in zip(rows, answers, strict=True):
        scores = dict.fromkeys((*METRICS, "se"), np.nan)
        if not isinstance(answer, str):
            scores = score_predictions(answer, made.test_y) | {
                "se": difference_standard_error(answer, uniform, made.test_y)
            }
        yield (
            about
            | {"row": row.name, "how": row.how}
            | scores
            | {"ess": effective_share(given.get(row.name)), "fault": answer if isinstance(answer, str) else ""}
        )


def measure_difficulty(made: Scenario, learner: str, seed: int) -> Difficulty:
    """The difficulty of the training samples, as the rows read it."""
    kind = KINDS[learner]
    # Flips can leave a rare class fewer labels than there are folds.
    folds = min(FOLDS, int(np.unique(made.y, return_counts=True)[1].min()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardsightWarning)
        return measure(made.x, made.y, learner=kind.measure, folds=folds, repeats=kind.repeats, seed=seed)


def _weights(row: Row, made: Scenario, difficulty: Difficulty, stream: np.random.SeedSequence) -> np.ndarray | str:
    return schemes.weights(row, made, difficulty, row_stream(stream, row.name))


def row_stream(stream: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """A row's part of a stream, whatever other rows there are."""
    return np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, zlib.crc32(name.encode())))


def _answers(
    made: Scenario,
    rows: list[Row],
    given: Mapping[str, np.ndarray | str],
    difficulty: Difficulty,
    learner: str,
    seed: int,
) -> list[MemberResult]:
    """What each row's model says of the test samples, or why there is none."""
    faults = {name: each for name, each in given.items() if isinstance(each, str)}
    able = [row for row in rows if row.name not in faults]
    if (network := KINDS[learner].network) is not None:
        task = EnsembleTask(made.x, made.y, made.test_x, network)
        epochs = count_epochs(task)
        pupils = [_pupil(row, given, made, difficulty, epochs, seed) for row in able]
        told = list(train_members(task, pupils))
    else:
        told = [_fitted(made, given[row.name], learner, seed) for row in able]
    found = dict(zip([row.name for row in able], told, strict=True))
    return [found.get(row.name, faults.get(row.name, "")) for row in rows]


def _pupil(
    row: Row,
    given: Mapping[str, np.ndarray | str],
    made: Scenario,
    difficulty: Difficulty,
    epochs: float,
    seed: int,
) -> WeightedMember:
    if row.how == "in training":
        return WeightedMember(seed, objective=schemes.objective(row, made.y, difficulty, epochs, seed))
    weights = given[row.name]
    assert not isinstance(weights, str)
    return WeightedMember(seed, weights)


def _fitted(made: Scenario, weights: np.ndarray | str, learner: str, seed: int) -> MemberResult:
    """A learner of scikit-learn's kind, with its recipe of ``LEARNERS``."""
    assert not isinstance(weights, str)
    model = LEARNERS[learner].make(Samples.of(made.x, made.y, weights=weights))
    estimator = seeded(clone(model.estimator), seed)  # type: ignore[attr-defined]
    argument = weight_argument(estimator)
    assert argument is not None
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(made.x, made.y, **{argument: leveled(weights, learner)})
            return predict(estimator, made.test_x, int(made.true.max()) + 1, len(made.y), learner).numpy()
    except (HardsightError, ValueError) as fault:
        return str(fault)
