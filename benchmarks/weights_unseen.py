"""What do the automatic weights gain on data that they were not made on?

    python benchmarks/weights_unseen.py FOLDER OUT --minutes 60 > benchmarks/weights_unseen.md

FOLDER is as ``hardsight_bench/datasets.py`` says, and OUT keeps finished cells. Seeds run in turn, the cells of a seed in an
order that mixes sets, noises and imbalances, so that what is done when time is up is an even sample. Sets that take several
times as long as the others come last.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from hardsight_bench import weights_study as study
from hardsight_bench.cells import claim_folder, read_rows
from hardsight_bench.tables import markdown_table
from hardsight_bench.weights_field import AUTO, rows
from hardsight_bench.weights_page import render_scores, scenario_table
from hardsight_bench.weights_scenarios import NOISES, Cell, list_cells, make_scenario
from hardsight_bench.weights_scores import CELL, GAP, HARM, list_losses, score_rows

SETS = ("olive", "libras", "crashes", "election", "liver", "chess", "mushroom", "tic-tac-toe", "ionosphere", "australian",
        "musk", "email", "saheart", "leaves", "marketing")  # fmt: skip
LAST = ("leaves", "marketing")
IMBALANCES = ("none", "step-10", "step-50")
ROWS = ("auto", "balanced", "balanced-sqrt", "noise-matrix", "ldam-drw")
BLOCKS = (*((seed, ("logistic", "network")) for seed in range(3)), (0, ("lightgbm",)))
MOST = 800
# Where the rarest class has fewer right labels, nothing could be learned of it.
LEAST_RIGHT = 10


def cells(seed: int) -> list[Cell]:
    """Return the cells of a seed, mixed."""
    every = list_cells(SETS, tuple(NOISES), IMBALANCES, (seed,))
    mixed = [every[i] for i in np.random.default_rng(seed).permutation(len(every))]
    return sorted(mixed, key=lambda cell: cell.set in LAST)


def studies(folder: Path, out: Path) -> Iterator[study.Study]:
    """Yield the study of each block."""
    for seed, learners in BLOCKS:
        yield study.Study(cells(seed), learners, rows(ROWS), folder, out, MOST)


def run(folder: Path, out: Path, minutes: float) -> None:
    """Run cells until time is up."""
    claim_folder(out, {"protocol": study.PROTOCOL, "most": MOST, "study": "weights"})
    end = time.monotonic() + 60 * minutes
    for block in studies(folder, out):
        for job in study.list_jobs(block):
            if time.monotonic() > end:
                return
            study.run_cell(block, job)


def finished(folder: Path, out: Path) -> pd.DataFrame:
    """Return the rows of all finished cells, with the number of right labels of the rarest class as ``n_right``."""
    parts = []
    for block in studies(folder, out):
        for cell, learner in product(block.cells, block.learners):
            path = study.cell_path(block, cell, learner)
            if path.exists():
                scenario = make_scenario(cell, folder, MOST)
                right = np.bincount(scenario.true[scenario.y == scenario.true], minlength=int(scenario.true.max()) + 1)
                parts.append(read_rows(path, "row").assign(n_right=int(right.min())))
    return pd.concat(parts, ignore_index=True)


def _loss_table(table: pd.DataFrame) -> str:
    lines = []
    for name in ("uniform", *ROWS, "oracle"):
        if name == "uniform" or not (table["row"] == name).any():
            continue
        every = list_losses(table, name)
        enough = every[every["n_right"] >= LEAST_RIGHT]
        lines.append((name, *(text for cells in (every, enough) for text in _count_losses(cells))))
    head = ("row", "cells", "more than half a point below", "after Holm", "sum of losses", "cells with 10 right",
            "more than half a point below", "after Holm", "sum of losses")  # fmt: skip
    return markdown_table(head, lines)


def _count_losses(cells: pd.DataFrame) -> tuple[str, ...]:
    below = int((cells["points"] < -100 * HARM).sum())
    return str(len(cells)), str(below), str(int(cells["harmed"].sum())), f"{cells['points'].clip(upper=0).sum():.0f}"


def page(table: pd.DataFrame) -> str:
    """Return the page."""
    introduction = (
        f"Sets that no choice of the weights or of the label model was made on: {', '.join(SETS)}. "
        f"Noises: {', '.join(NOISES)}. Imbalances: {', '.join(IMBALANCES)}. At most {MOST} training samples; clean test "
        "sets. Rows and columns are those of [what do weights gain?](weights.md): recovery is the part of the gap between "
        f"uniform weights and the oracle that a row closes, over cells where the gap is above {100 * GAP:g} points. A loss "
        "is what a row is below uniform, in points of balanced accuracy, and zero in other cells. Holm's correction is over "
        "all cells, of the hypothesis that the loss is half a point at most, with the standard error over test samples. "
        f"*Cells with 10 right*: those in which the rarest class has {LEAST_RIGHT} right labels or more. "
        f"{', '.join(LAST)} take several times as long as the others, so they come last."
    )
    sections = [
        "# Automatic weights on data that they were not made on",
        "`python benchmarks/weights_unseen.py FOLDER OUT --minutes MINUTES > benchmarks/weights_unseen.md`",
        introduction,
    ]
    for learner in table["learner"].unique():
        part = table[table["learner"] == learner]
        counts = part[part["row"] == "uniform"].groupby("seed").size()
        coverage = ", ".join(f"{count} of seed {seed}" for seed, count in counts.items())
        by_set = part[part["row"] == "uniform"].groupby("set", sort=False).size()
        scores = score_rows(part)
        sections += [
            f"## {learner}",
            f"Done when time was up: {coverage}, of {len(cells(0))} cells per seed.",
            f"By set: {', '.join(f'{name} {count}' for name, count in by_set.items())}.",
            render_scores(part, scores),
            _loss_table(part),
            scenario_table(scores.cells, AUTO),
            _worst(part),
        ]
    return "\n\n".join(sections)


def _worst(table: pd.DataFrame) -> str:
    cells = list_losses(table, AUTO).sort_values("points").head(10).reset_index()
    lines = [
        (*(str(row[key]) for key in CELL), str(row["n_right"]), f"{row['points']:+.1f}", "yes" if row["harmed"] else "")
        for row in cells.to_dict("records")
    ]
    head = (*CELL, "right labels of the rarest class", "points to uniform", "after Holm")
    return "The ten largest losses of the automatic weights:\n\n" + markdown_table(head, lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="0: only print the page of what is done")
    args = parser.parse_args()
    run(args.folder, args.out, args.minutes)
    print(page(finished(args.folder, args.out)))
