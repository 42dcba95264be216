"""The study of real tables: tables × kinds of label noise × seeds × methods that find the wrong labels.

Results are rows of one csv file, which is written after every cell (a table, a noise and a seed), so that a run that was
stopped goes on. What is random in a cell depends on its names and seed alone, not on what else is run.
"""

import os
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from hardsight.errors import InputError, first_line
from hardsight.io.atomic import atomic_write
from hardsight.validation import suggest_name
from hardsight_bench.cells import run_cells
from hardsight_bench.real_tables import TABLES, check_tables, load_table, table_half
from hardsight_bench.tables_methods import METHODS, Findings
from hardsight_bench.tables_noise import NOISES, add_noise
from hardsight_bench.tables_scores import BANDS, band_column, score_findings

_SCORES = (
    "average_precision",
    "flagged",
    "true_positives",
    "left",
    "calibration",
    "calibration_width",
    *(band_column(band, quantity) for band in BANDS for quantity in ("n", "p", "wrong")),
)
_KEY = ("table", "noise", "seed", "method")
COLUMNS = (*_KEY, "half", "max_rows", "samples", "classes", "wrong", *_SCORES, "learner", "repeats", "seconds", "fault")


class Cell(NamedTuple):
    """A table with one kind of noise and one seed."""

    table: str
    noise: str
    seed: int


@dataclass(frozen=True)
class Study:
    """What to run.

    Attributes:
        tables: names in ``TABLES``.
        noises: names in ``NOISES``.
        seeds: seeds of samples of rows, noise and methods.
        methods: names in ``METHODS``.
        folder: folder of unpacked packages.
        out: csv file of the results.
        max_rows: maximum number of samples of a table.
        again: methods to run again even if ``out`` holds them.

    Raises:
        InputError: an unknown name.
    """

    tables: tuple[str, ...]
    noises: tuple[str, ...]
    seeds: Sequence[int]
    methods: tuple[str, ...]
    folder: Path
    out: Path
    max_rows: int
    again: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_tables(self.tables)
        for kind, names, known in (
            ("noise", self.noises, list(NOISES)),
            ("method", self.methods, list(METHODS)),
            ("method", self.again, list(METHODS)),
        ):
            for name in names:
                if name not in known:
                    raise InputError(
                        f"no {kind} is called {name!r}{suggest_name(name, known)}: choose from {', '.join(known)}"
                    )

    def cells(self) -> list[Cell]:
        """List the cells."""
        return [Cell(*names) for names in product(self.tables, self.noises, self.seeds)]


class Job(NamedTuple):
    """A cell, and the methods to run on it."""

    cell: Cell
    methods: tuple[str, ...]


def list_jobs(study: Study) -> list[Job]:
    """List the cells in which methods are to be run.

    Raises:
        InputError: the csv file cannot be read, or holds tables of another size.
    """
    rows = read_results(study.out, study.max_rows)
    done = set(rows.loc[~rows["method"].isin(study.again), list(_KEY)].itertuples(index=False, name=None))
    every = (Job(cell, tuple(name for name in study.methods if (*cell, name) not in done)) for cell in study.cells())
    return [job for job in every if job.methods]


def run_study(study: Study, jobs: int = 1, on_progress: Callable[[list[str]], None] = lambda _: None) -> pd.DataFrame:
    """Run what is not yet done; return all rows of the csv file.

    Args:
        study: what to run.
        jobs: number of processes.
        on_progress: called after each cell with its failures.

    Raises:
        InputError: the csv file cannot be read or written, or holds tables of another size; a table is not in the folder.
    """
    rows = read_results(study.out, study.max_rows)
    for new in run_cells(partial(run_job, study.folder, study.max_rows), list_jobs(study), jobs):
        rows = _merge(rows, new)
        with atomic_write(study.out) as path:
            rows.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")
        failed = new[new["fault"] != ""]
        on_progress([f"{method}: {fault}" for method, fault in zip(failed["method"], failed["fault"], strict=True)])
    # As rounded in the file, so that the page is the same when nothing is left to run.
    return read_results(study.out, study.max_rows)


def read_results(path: Path, max_rows: int) -> pd.DataFrame:
    """Return the rows of a csv file of results; none if there is no such file.

    Raises:
        InputError: the file holds other columns, or tables of another size.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        rows = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in _SCORES})
    except (OSError, ValueError) as fault:
        raise InputError(f"{path} cannot be read ({first_line(fault)}): choose another file, or delete it") from None
    if tuple(rows) != COLUMNS:
        raise InputError(f"{path} does not hold results of this study: choose another file, or delete it")
    if len(other := rows.loc[rows["max_rows"] != max_rows, "max_rows"].unique()):
        raise InputError(f"{path} holds tables of at most {other[0]:,} rows, not {max_rows:,}: choose another file")
    return rows


def _merge(rows: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with new ones in the place of earlier ones, in a fixed order."""
    both = new if rows.empty else pd.concat([rows, new], ignore_index=True)
    both = both.drop_duplicates(list(_KEY), keep="last")
    places = {name: place for known in (TABLES, NOISES, METHODS) for place, name in enumerate(known)}
    return both.sort_values(
        list(_KEY), key=lambda column: column if column.name == "seed" else column.map(places), ignore_index=True
    )


def run_job(folder: Path, max_rows: int, job: Job) -> pd.DataFrame:
    """Run methods on a cell; return one row per method.

    Raises:
        InputError: the table cannot be read.
    """
    table, noise, seed = job.cell
    data = load_table(table, folder, max_rows, seed)
    stream = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(table.encode()), zlib.crc32(noise.encode())))
    noise_stream, method_stream = stream.spawn(2)
    noisy_labels = add_noise(data, noise, np.random.default_rng(noise_stream))
    method_seed = int(method_stream.generate_state(1)[0])
    columns = job.cell._asdict() | {
        "half": table_half(table),
        "max_rows": max_rows,
        "samples": len(noisy_labels),
        "classes": len(np.unique(data.labels)),
        "wrong": int((noisy_labels != data.labels).sum()),
    }
    rows = []
    for name in job.methods:
        start = _cpu_seconds()
        findings = _run_method(name, data.features, noisy_labels, method_seed)
        row = columns | {"method": name, "seconds": _cpu_seconds() - start, "fault": ""}
        if isinstance(findings, str):
            row |= dict.fromkeys(_SCORES, np.nan) | {"learner": "", "repeats": 0, "fault": findings}
        else:
            row |= score_findings(findings, noisy_labels, data.labels)
            row |= {"learner": findings.learner, "repeats": findings.repeats}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _run_method(name: str, features: pd.DataFrame, noisy_labels: np.ndarray, seed: int) -> Findings | str:
    """Return what a method says, or the message of its failure."""
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return METHODS[name](features, noisy_labels, seed)
    except Exception as fault:  # noqa: BLE001 - a failure is a result of the study
        return first_line(fault)


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of the ones it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
