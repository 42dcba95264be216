"""The study of weights: scenarios × schemes × learners. How much of the benefit of the true labels does a scheme reach?

Every row trains the same learner from the same seed on the same samples, and differs only in its weights. The
difficulty that rows use is measured once per scenario and learner, by models of the same kind that see only the given
labels. The random numbers of a cell come from separate streams, so they do not depend on which other rows or cells are
run.
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
from hardsight.errors import HardsightError, InputError
from hardsight.io.atomic import atomic_write
from hardsight.learners import LEARNERS
from hardsight.learners.network.network import Network
from hardsight.learners.sample_weights import fit_with_weights
from hardsight.learners.sklearn import mean_one, predict, set_seeds
from hardsight_bench import weights_field as schemes
from hardsight_bench.cells import claim_folder, run_cells
from hardsight_bench.cells import read_rows as left
from hardsight_bench.heterogeneous_ensemble import EnsembleTask, MemberResult, WeightedMember, count_epochs, train_members
from hardsight_bench.scores import METRICS, difference_standard_error, effective_share, score_predictions
from hardsight_bench.weights_by_other_models import BY_DEFAULT, measure_labels
from hardsight_bench.weights_field import Row
from hardsight_bench.weights_scenarios import MOST, Cell, Scenario, make_scenario

SETS = ("digits", "fashion", "letter", "satellite", "penbased", "texture", "products")
# Results of different protocol versions cannot share a folder.
PROTOCOL = 1


class LearnerKind(NamedTuple):
    """A learner of the study.

    Attributes:
        what: its recipe, as text.
        measure: ``learner`` of ``hs.measure``, by which difficulty is measured, in 5 folds, or as many as the rarest
            class has labels.
        repeats: of that measurement.
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
        "the same perceptron for 100 epochs with AdamW's weight decay of .01, so that it memorises wrong labels",
        "auto",
        4,
        Network(epochs=100, weight_decay=0.01),
    ),
    "logistic": LearnerKind("scikit-learn's logistic regression on scaled features, C = 1", "logistic", 4),
    # Boosted trees take ten times as long as the other learners.
    "lightgbm": LearnerKind("LightGBM, 100 trees", "lightgbm", 2),
}


class Study(NamedTuple):
    """What to run.

    Attributes:
        cells: of the grid.
        learners: names in ``KINDS``.
        rows: of :func:`hardsight_bench.weights_field.rows`.
        folder: folder of data sets that do not come with scikit-learn.
        out: output folder.
        most: maximum number of training samples.
        again: names of rows to run again even if they are done.
    """

    cells: list[Cell]
    learners: tuple[str, ...]
    rows: list[Row]
    folder: Path | None
    out: Path
    most: int = MOST
    again: tuple[str, ...] = ()


class Job(NamedTuple):
    """A cell with one learner, and the names of its rows to run."""

    cell: Cell
    learner: str
    missing: tuple[str, ...]


def list_jobs(study: Study) -> list[Job]:
    """List the jobs to run.

    Raises:
        InputError: an unknown learner.
    """
    for name in study.learners:
        if name not in KINDS:
            raise InputError(f"unknown learner {name!r}: choose from {', '.join(KINDS)}")
    every = (Job(cell, learner, _missing(study, cell, learner)) for cell in study.cells for learner in study.learners)
    return [job for job in every if job.missing]


def run_study(study: Study, jobs: int = 1, on_progress: Callable[[list[str]], None] = lambda _: None) -> pd.DataFrame:
    """Run what is not yet done; return one row per cell, learner and row of the study.

    Args:
        study: what to run.
        jobs: number of processes.
        on_progress: called after each cell and learner with its failures.

    Raises:
        InputError: ``out`` holds another study, or cannot be written; a data set or learner does not exist.
    """
    claim_folder(study.out, {"protocol": PROTOCOL, "most": study.most, "study": "weights"})
    for faults in run_cells(partial(run_cell, study), list_jobs(study), jobs):
        on_progress(faults)
    parts = [left(cell_path(study, cell, learner), "row") for cell in study.cells for learner in study.learners]
    table = pd.concat(parts, ignore_index=True)
    table = table[table["row"].isin({row.name for row in study.rows})].reset_index(drop=True)
    with atomic_write(study.out / "weights.parquet") as path:
        table.to_parquet(path)
    return table


def cell_path(study: Study, cell: Cell, learner: str) -> Path:
    """Return the file of the rows of a cell with one learner."""
    return study.out / "cells" / f"{learner}-{cell.file}"


def _missing(study: Study, cell: Cell, learner: str) -> tuple[str, ...]:
    path = cell_path(study, cell, learner)
    done = set(left(path, "row")["row"]) if path.exists() else set()
    return tuple(
        row.name for row in _applicable_rows(study.rows, learner) if row.name not in done or row.name in study.again
    )


def _applicable_rows(rows: Sequence[Row], learner: str) -> list[Row]:
    left_out = set() if KINDS[learner].network is not None else {"in training"}
    # A learner that is measured by default has that row already.
    return [
        row for row in rows if row.how not in left_out and not (row.name == BY_DEFAULT and KINDS[learner].measure == "auto")
    ]


def run_cell(study: Study, job: Job) -> list[str]:
    """Run the missing rows of a cell and save them; return descriptions of failures."""
    scenario = make_scenario(job.cell, study.folder, study.most)
    # Uniform is always run, because the others are compared with it sample by sample.
    rows = [row for row in study.rows if row.name in job.missing or row.name == "uniform"]
    new = pd.DataFrame(list(_score_cell(scenario, rows, job)))
    new = new[new["row"].isin(job.missing)]
    path = cell_path(study, job.cell, job.learner)
    if path.exists():
        old = left(path, "row")
        new = pd.concat([old[~old["row"].isin(job.missing)], new], ignore_index=True)
    with atomic_write(path) as temporary:
        new.to_parquet(temporary)
    return [f"{name}: {why}" for name, why in zip(new["row"], new["fault"], strict=True) if why]


def _score_cell(scenario: Scenario, rows: list[Row], job: Job) -> Iterator[dict[str, Any]]:
    measuring, training, drawing = job.cell.stream(job.cell.noise, job.cell.imbalance, job.learner).spawn(3)
    start = time.process_time()
    difficulty = measure_difficulty(scenario, job.learner, int(measuring.generate_state(1)[0]))
    measure_seconds = time.process_time() - start
    weights_by_row = {row.name: _weights(row, scenario, difficulty, drawing) for row in rows if row.how != "in training"}
    seed = int(training.generate_state(1)[0])
    start = time.process_time()
    results = _test_predictions(scenario, rows, weights_by_row, difficulty, job.learner, seed)
    seconds_per_row = (time.process_time() - start) / len(rows)
    uniform = next(result for row, result in zip(rows, results, strict=True) if row.name == "uniform")
    if isinstance(uniform, str):
        raise InputError(f"{job.learner} cannot learn {job.cell}: {uniform}")
    columns = asdict(job.cell) | {
        "learner": job.learner,
        "samples": len(scenario.y),
        "wrong": float((scenario.y != scenario.true).mean()),
        "seconds": seconds_per_row,
        "seconds_measure": measure_seconds,
    }
    for row, result in zip(rows, results, strict=True):
        scores = dict.fromkeys((*METRICS, "se"), np.nan)
        if not isinstance(result, str):
            scores = score_predictions(result, scenario.test_y) | {
                "se": difference_standard_error(result, uniform, scenario.test_y)
            }
        yield (
            columns
            | {"row": row.name, "how": row.how}
            | scores
            | {"ess": effective_share(weights_by_row.get(row.name)), "fault": result if isinstance(result, str) else ""}
        )


def measure_difficulty(scenario: Scenario, learner: str, seed: int) -> Difficulty:
    """Measure the difficulty of the training samples, as used by the rows."""
    kind = KINDS[learner]
    return measure_labels(scenario.x, scenario.y, seed, learner=kind.measure, repeats=kind.repeats)


def _weights(row: Row, scenario: Scenario, difficulty: Difficulty, stream: np.random.SeedSequence) -> np.ndarray | str:
    return schemes.weights(row, scenario, difficulty, row_stream(stream, row.name))


def row_stream(stream: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """Return the stream of a row, independent of the other rows."""
    return np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, zlib.crc32(name.encode())))


def _test_predictions(
    scenario: Scenario,
    rows: list[Row],
    weights_by_row: Mapping[str, np.ndarray | str],
    difficulty: Difficulty,
    learner: str,
    seed: int,
) -> list[MemberResult]:
    """Return each row's predictions for the test samples, or the reason why there are none."""
    faults = {name: each for name, each in weights_by_row.items() if isinstance(each, str)}
    usable = [row for row in rows if row.name not in faults]
    if (network := KINDS[learner].network) is not None:
        task = EnsembleTask(scenario.x, scenario.y, scenario.test_x, network)
        epochs = count_epochs(task)
        members = [_make_member(row, weights_by_row, scenario, difficulty, epochs, seed) for row in usable]
        predictions = list(train_members(task, members))
    else:
        predictions = [_fit_estimator(scenario, weights_by_row[row.name], learner, seed) for row in usable]
    by_name = dict(zip([row.name for row in usable], predictions, strict=True))
    return [by_name.get(row.name, faults.get(row.name, "")) for row in rows]


def _make_member(
    row: Row,
    weights_by_row: Mapping[str, np.ndarray | str],
    scenario: Scenario,
    difficulty: Difficulty,
    epochs: float,
    seed: int,
) -> WeightedMember:
    if row.how == "in training":
        return WeightedMember(seed, objective=schemes.objective(row, scenario.y, difficulty, epochs, seed))
    weights = weights_by_row[row.name]
    assert not isinstance(weights, str)
    return WeightedMember(seed, weights)


def _fit_estimator(scenario: Scenario, weights: np.ndarray | str, learner: str, seed: int) -> MemberResult:
    """Fit a scikit-learn estimator with its recipe in ``LEARNERS``."""
    assert not isinstance(weights, str)
    model = LEARNERS[learner].make(Samples.of(scenario.x, scenario.y, weights=weights))
    estimator = set_seeds(clone(model.estimator), seed)  # type: ignore[attr-defined]
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit_with_weights(estimator, scenario.x, scenario.y, mean_one(weights, learner))
            n_classes = int(scenario.true.max()) + 1
            known = np.arange(n_classes)
            return predict(estimator, scenario.test_x, known, n_classes, len(scenario.y), learner).numpy()
    except (HardsightError, ValueError) as fault:
        return str(fault)
