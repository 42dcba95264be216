"""Run studies cell by cell: a folder belongs to one study, and cells run in parallel, in any order."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from hardsight.errors import InputError, first_line
from hardsight.estimation.backends.processes import worker_processes
from hardsight.io import parquet
from hardsight.io.atomic import atomic_write

Cell = TypeVar("Cell")
Result = TypeVar("Result")


def claim_folder(out: Path, study: dict[str, Any]) -> None:
    """Create the folder ``out / "cells"`` for the study that ``study`` describes, whichever of its cells were run.

    Raises:
        InputError: the folder holds another study, or cannot be created.
    """
    path = out / "study.json"
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(f"cannot create the folder {out}: {fault.strerror}: choose another") from fault
    if path.exists() and (existing := _read_study(path)) != study:
        raise InputError(f"{out} holds another study, {existing}, and this one is {study}: choose another folder")
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(study))


def _read_study(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path} cannot be read ({first_line(fault)}): choose another folder, or delete it") from None


def read_rows(path: Path, column: str) -> pd.DataFrame:
    """Read the rows of a cell from an earlier run.

    Args:
        path: of the file.
        column: the column that names what was run.

    Raises:
        InputError: the file holds no such rows.
    """
    fix = "delete it, and the cell is run again"
    table = parquet.read(path, fix=fix)
    if table.column_names.count(column) != 1:
        raise InputError(f"{path} has no column {column!r}: {fix}")
    try:
        frame: pd.DataFrame = table.to_pandas()
        frame[column] = frame[column].astype(str)
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{path} is not a readable parquet file ({first_line(fault)}): {fix}") from None
    return frame


def run_cells(work: Callable[[Cell], Result], cells: Sequence[Cell], jobs: int) -> Iterator[Result]:
    """Yield the result of ``work`` for each cell as soon as it is done; with several ``jobs``, in processes."""
    if jobs == 1:
        yield from map(work, cells)
        return
    executor = worker_processes(jobs)
    try:
        for future in as_completed([executor.submit(work, cell) for cell in cells]):
            yield future.result()
    except BaseException:
        # Running trainings would continue for minutes and keep the command from ending.
        executor.shutdown(kill_workers=True)
        raise
