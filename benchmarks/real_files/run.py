"""Measure every file of ``drawn.csv`` by the command, with its label and nothing else; goes on where it was stopped.

    python -m real_files.run FOLDER [--learner logistic] > benchmarks/real_files/results.md

Each file is one process of ``hardsight measure``. Of larger files, 5,000 rows drawn by seed 0 are kept. A row of
``results.csv`` is written as soon as a file is done.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd

from real_files.fetch import HERE, RealFile, read_list, write_csv

_MAX_ROWS = 5_000
_TIMEOUT = 600
_RESULTS = HERE / "results.csv"


class Result(NamedTuple):
    """What came of one file.

    Attributes:
        status: "measured"; "refused", with a message; or "failed", with a traceback or after ten minutes.
        notices: what was guessed or left out, one line each; of a refusal, the message.
    """

    file: str
    label: str
    learner: str
    status: str
    rows: int
    columns: int
    samples: int
    task: str
    error: float
    seconds: float
    notices: str


def measure(file: RealFile, learner: str, folder: Path) -> Result:
    """Measure one file by the command."""
    path = sample_rows(write_csv(file, folder), folder)
    header = pd.read_csv(path, dtype=str)
    seen = (file.name, file.label, learner)
    command = [sys.executable, "-m", "hardsight.cli", "measure", path, "--label", file.label, "--json", "--quiet"]
    with TemporaryDirectory() as out:
        try:
            done = subprocess.run(
                [*command, "--learner", learner, "--out", out],
                capture_output=True, text=True, timeout=_TIMEOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Result(*seen, "failed", *header.shape, 0, "", 0, _TIMEOUT, f"not done after {_TIMEOUT} s")
    if done.returncode:
        status = "failed" if "Traceback" in done.stderr else "refused"
        return Result(*seen, status, *header.shape, 0, "", 0, 0, done.stderr.strip().removeprefix("Error: "))
    summary = json.loads(done.stdout)
    task = "regression" if summary["classes"] is None else f"{len(summary['classes'])} classes"
    notices = "\n".join(summary["settings"]["notices"])
    return Result(*seen, "measured", *header.shape, summary["samples"], task, summary["error"], summary["seconds"], notices)


def sample_rows(path: Path, folder: Path) -> Path:
    """Return a file with at most 5,000 of the rows, as they are written."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if len(frame) <= _MAX_ROWS:
        return path
    target = folder / "sampled" / path.name
    target.parent.mkdir(exist_ok=True)
    frame.sample(_MAX_ROWS, random_state=0).sort_index().to_csv(target, index=False)
    return target


def format_table(results: Iterable[Result]) -> str:
    """Return the results as a page."""
    results = list(results)
    lines = []
    for learner in sorted({result.learner for result in results}):
        group = [result for result in results if result.learner == learner]
        measured = [result for result in group if result.status == "measured"]
        short = sum(len(result.notices.splitlines()) <= 5 for result in measured)
        lines += [
            f"## Learner {learner}",
            "",
            f"{len(measured)} of {len(group)} files were measured, {short} of them with at most five notices.",
            "",
            "| file | label | rows × columns | samples | task | mean error | seconds | notices |",
            "|---|---|--:|--:|---|--:|--:|---|",
        ]
        for result in group:
            shown = "<br>".join(result.notices.replace("|", "\\|").splitlines())
            numbers = f"{result.error:.3g} | {result.seconds:.0f}" if result.status == "measured" else f"{result.status} | "
            size = f"{result.rows:,} × {result.columns}"
            lines.append(
                f"| {result.file} | {result.label} | {size} | {result.samples:,} | {result.task} | {numbers} | {shown} |"
            )
        lines.append("")
    return "\n".join(lines)


def read_results() -> list[Result]:
    """Return the results so far."""
    if not _RESULTS.exists():
        return []
    types = Result.__annotations__
    with _RESULTS.open(newline="") as lines:
        return [Result(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(lines)]


def main() -> None:
    """Measure the files that have no result yet, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="Folder of the packages and csv files.")
    parser.add_argument("--learner", default="auto")
    arguments = parser.parse_args()
    results = read_results()
    done = {(result.file, result.learner) for result in results}
    for file in read_list(HERE / "drawn.csv"):
        if (file.name, arguments.learner) in done:
            continue
        results.append(measure(file, arguments.learner, arguments.folder))
        with _RESULTS.open("a", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            if not lines.tell():
                writer.writerow(Result._fields)
            writer.writerow(results[-1])
        print(f"{results[-1].status} {file.name}", file=sys.stderr)
    print(format_table(results))


if __name__ == "__main__":
    main()
