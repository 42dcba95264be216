"""What do the automatic weights gain on data that they were not made on?

    python benchmarks/weights_unseen.py FOLDER OUT --minutes 40 > benchmarks/weights_unseen.md

FOLDER is as ``hardsight_bench/datasets.py`` says, and OUT keeps finished cells. Cells are drawn in rounds. In a round each
noise × imbalance occurs once, and sets take turns. All seeds run a round before the next begins, so what is done when time
is up is an even sample. Several processes may fill OUT at once, each with ``--learners`` of its own.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from hardsight_bench import weights_study as study
from hardsight_bench.cells import claim_folder, read_rows
from hardsight_bench.tables import markdown_table
from hardsight_bench.weights_by_other_models import OTHER_MODELS
from hardsight_bench.weights_field import AUTO, rows
from hardsight_bench.weights_page import render_scores, scenario_table
from hardsight_bench.weights_scenarios import NOISES, Cell, make_scenario
from hardsight_bench.weights_scores import CELL, GAP, HARM, list_losses, score_rows

SETS = ("olive", "libras", "crashes", "election", "liver", "chess", "mushroom", "tic-tac-toe", "ionosphere", "australian",
        "musk", "email", "saheart")  # fmt: skip
IMBALANCES = ("none", "step-10", "step-50")
ROWS = ("auto", "balanced", "balanced-sqrt", "noise-matrix", "ldam-drw", *OTHER_MODELS)
SEEDS = (0, 1, 2)
# Boosted trees take ten times as long as the other learners.
MOST = {"logistic": 800, "network": 800, "lightgbm": 400}
ROUNDS = 4
# Where the rarest class has fewer right labels, nothing could be learned of it.
LEAST_RIGHT = 10


def draw_rounds() -> list[list[tuple[str, str, str]]]:
    """Return the set, noise and imbalance of each cell, round by round."""
    rng = np.random.default_rng(0)
    scenarios = list(product(NOISES, IMBALANCES))
    turns = [name for _ in range(ROUNDS * len(scenarios) // len(SETS) + 1) for name in rng.permutation(SETS)]
    drawn: dict[tuple[str, str, str], int] = {}
    for number in range(ROUNDS):
        for i, scenario in enumerate(rng.permutation(len(scenarios))):
            # What an earlier round has drawn is not run again.
            drawn.setdefault((str(turns[number * len(scenarios) + i]), *scenarios[scenario]), number)
    return [[cell for cell, of_round in drawn.items() if of_round == number] for number in range(ROUNDS)]


def studies(folder: Path, out: Path, learners: Sequence[str] = tuple(MOST)) -> Iterator[study.Study]:
    """Yield the study of each round with one seed and one learner, in the order in which they are run."""
    for drawn, seed, learner in product(draw_rounds(), SEEDS, learners):
        cells = [Cell(*scenario, seed) for scenario in drawn]
        yield study.Study(cells, (learner,), rows(ROWS), folder, out, MOST[learner])


def run(folder: Path, out: Path, minutes: float, learners: Sequence[str]) -> None:
    """Run cells until time is up."""
    claim_folder(out, {"protocol": study.PROTOCOL, "most": MOST, "study": "weights"})
    end = time.monotonic() + 60 * minutes
    for block in studies(folder, out, learners):
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
                scenario = make_scenario(cell, folder, block.most)
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


def page(table: pd.DataFrame, note: str) -> str:
    """Return the page, with a note on how it was made."""
    introduction = (
        f"Sets that no choice of the weights or of the label model was made on: {', '.join(SETS)}. "
        f"Noises: {', '.join(NOISES)}. Imbalances: {', '.join(IMBALANCES)}. Seeds: {', '.join(map(str, SEEDS))}. At most "
        f"{', '.join(f'{most} training samples with {name}' for name, most in MOST.items())}; clean test sets. "
        f"Of the {len(SETS) * len(NOISES) * len(IMBALANCES)} cells, a random part is run with every seed: in each round of "
        f"{len(NOISES) * len(IMBALANCES)}, each noise × imbalance once, and sets in turn. "
        "Rows and columns are those of [what do weights gain?](weights.md): recovery is the part of the gap between "
        f"uniform weights and the oracle that a row closes, over cells where the gap is above {100 * GAP:g} points. A loss "
        "is what a row is below uniform, in points of balanced accuracy, the mean over the seeds of a cell, and zero in "
        "other cells. Holm's correction is over all cells, of the hypothesis that the loss is half a point at most, with "
        "the standard error over test samples. Two rows, without a rank, are `auto` with P(label wrong) of other models: "
        "*auto-default* of `hs.measure` by default settings, *auto-informed* of models that learned from the right labels "
        "of all other samples, with the true rates of mislabelling. "
        f"*Cells with 10 right*: those in which the rarest class has {LEAST_RIGHT} right labels or more with every seed."
    )
    sections = [
        "# Automatic weights on data that they were not made on",
        "`python benchmarks/weights_unseen.py FOLDER OUT --minutes MINUTES > benchmarks/weights_unseen.md`",
        introduction,
        *([note] if note else []),
    ]
    for learner in table["learner"].unique():
        part = table[table["learner"] == learner]
        uniform = part[part["row"] == "uniform"]
        coverage = ", ".join(f"{count} of seed {seed}" for seed, count in uniform.groupby("seed").size().items())
        by_set = uniform.groupby("set", sort=False).size()
        scores = score_rows(part)
        sections += [
            f"## {learner}",
            f"Done when time was up: {coverage}; {len(uniform.groupby(CELL))} different cells.",
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
    parser.add_argument("--learners", nargs="+", choices=list(MOST), default=list(MOST), help="those to run")
    parser.add_argument("--note", default="", help="what the page says besides, for example which commit was measured")
    args = parser.parse_args()
    run(args.folder, args.out, args.minutes, args.learners)
    print(page(finished(args.folder, args.out), args.note))
