"""Does ``hs.explain`` know, before training, whether weights will help? Forecast, paired measurement and truth on a grid.

Worlds of ``hardsight_bench.weights_scenarios``: data sets × kinds of noise × imbalance × seeds; a difficulty of each, 5 folds ×
4; and for each scheme the forecast (ledger and weights alone), the paired measurement (5 folds × 4, given labels
alone), and the truth: balanced accuracy on a clean test set of models trained with the weights less that of models
trained without, from the same seeds. Prints a page in markdown.

The forecast was made on digits and satellite with seed 0, and checked on texture and penbased with seed 0; it was not
changed after a look at the seeds here.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hardsight_bench.heterogeneous_ensemble import EnsembleTask, WeightedMember, train_members
from hardsight_bench.weights_scenarios import Cell, Scenario, list_cells, make_scenario

import hardsight as hs
from hardsight.learners import Network

SETS = ("digits", "satellite", "texture", "penbased")
NOISES, IMBALANCES = ("none", "uniform-20", "uniform-40", "pair-40"), ("none", "exp-50")
SCHEMES: dict[str, tuple[str, dict[str, Any]]] = {
    "hard-first": ("hard-first", {}),
    "hard-first, sharp": ("hard-first", {"temperature": 0.3}),
    "easy-first": ("easy-first", {}),
    "easy-first, sharp": ("easy-first", {"temperature": 0.3}),
    "auto": ("auto", {}),
    "focal": ("focal", {}),
    "balanced": ("balanced", {}),
    "superloss": ("superloss", {}),
    "gce": ("gce", {}),
    "spl-linear": ("spl-linear", {"lam": "log K"}),
    "kl-dro": ("kl-dro", {}),
}
# Differences of test accuracy that are told from none: two standard errors over seeds and 0.3 points.
PUPILS, SURE, LEAST = 6, 2.0, 0.003


def weights(d: hs.Difficulty) -> dict[str, np.ndarray]:
    """Weights of every scheme that has any here."""
    assert d.classes is not None
    found = {}
    for name, (scheme, given) in SCHEMES.items():
        known = {key: log(len(d.classes)) if value == "log K" else value for key, value in given.items()}
        found[name] = hs.weigh(d, scheme, **known)
    return found


def truth(found: Scenario, by: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Change of balanced accuracy on the clean test set by each weights, and its standard error over seeds."""
    every = [np.ones(len(found.y)), *by.values()]
    pupils = [WeightedMember(1000 + seed, each) for seed in range(PUPILS) for each in every]
    sizes = np.bincount(found.test_y)
    accuracy = [
        float((np.bincount(found.test_y, answer.argmax(1) == found.test_y) / sizes).mean())
        if isinstance(answer, np.ndarray)
        else float("nan")
        for answer in train_members(EnsembleTask(found.x, found.y, found.test_x, Network()), pupils)
    ]
    table = np.array(accuracy).reshape(PUPILS, len(every))
    gaps = table[:, 1:] - table[:, :1]
    return {
        name: (float(gap.mean()), float(gap.std(ddof=1) / PUPILS**0.5)) for name, gap in zip(by, gaps.T, strict=True)
    }


def rows(cell: Cell, folder: Path | None, most: int) -> Iterator[dict[str, Any]]:
    """A row for each scheme."""
    found = make_scenario(cell, folder, most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = hs.measure(found.x, found.y, folds=5, repeats=4, estimate=hs.Estimate(pilot=False), seed=cell.seed)
        by = weights(d)
        told = hs.explain(found.x, found.y, d, by, folds=5, repeats=4, dynamics=False, seed=cell.seed + 100)
    real = truth(found, by)
    for verdict, overview in zip(told.verdicts.to_dict("records"), told.overview.to_dict("records"), strict=True):
        change, se = real[verdict["weights"]]
        sure = abs(change) > max(SURE * se, LEAST)
        yield {
            "set": cell.set,
            "noise": cell.noise,
            "imbalance": cell.imbalance,
            "seed": cell.seed,
            "scheme": verdict["weights"],
            "priority": overview["priority"],
            **{
                key: verdict[key]
                for key in ("predicted", "predicted_change", "measured", "measured_change", "low", "high")
            },
            "test": ("better" if change > 0 else "worse") if sure else "unclear",
            "test_change": change,
        }


def agreement(table: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """In how many rows two directions are both clear, and in how many of these they are the same."""
    clear = table[table[one].isin(["better", "worse"]) & table[other].isin(["better", "worse"])]
    return int((clear[one] == clear[other]).sum()), len(clear)


def said(same: int, of: int) -> str:
    """A share with its counts."""
    return f"{same / of:.1%} ({same} of {of})" if of else "–"


def signs(table: pd.DataFrame, other: str) -> tuple[int, int]:
    """Agreement of the forecast's sign, however small, wherever the other direction is clear."""
    clear = table[table[other].isin(["better", "worse"])]
    return int((np.where(clear["predicted_change"] > 0, "better", "worse") == clear[other]).sum()), len(clear)


def crossed(table: pd.DataFrame) -> str:
    """Predicted against measured."""
    lines = ["| forecast | measured better | unclear or the same | measured worse |", "|---|---:|---:|---:|"]
    for word in ("better", "little change", "worse"):
        mine = table[table["predicted"] == word]
        counts = [int((mine["measured"] == "better").sum()), 0, int((mine["measured"] == "worse").sum())]
        counts[1] = len(mine) - sum(counts)
        lines.append(f"| {word} | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines)


def by(table: pd.DataFrame, *columns: str) -> str:
    """Agreement by some columns."""
    lines = [
        f"| {' | '.join(columns)} | forecast = measured | forecast = test | measured = test | mean measured, points |",
        "|---|" + "---|" * (len(columns) - 1) + "---:|---:|---:|---:|",
    ]
    for key, mine in table.groupby(list(columns), sort=False):
        told = " | ".join(map(str, key))
        shares = [
            said(*agreement(mine, *pair))
            for pair in (("predicted", "measured"), ("predicted", "test"), ("measured", "test"))
        ]
        lines.append(f"| {told} | {' | '.join(shares)} | {100 * mine['measured_change'].mean():+.1f} |")
    return "\n".join(lines)


def misses(table: pd.DataFrame) -> str:
    """Cells where forecast and measurement are clear and opposite."""
    wrong = table[
        table["predicted"].isin(["better", "worse"])
        & table["measured"].isin(["better", "worse"])
        & (table["predicted"] != table["measured"])
    ]
    lines = [
        f"| {row['set']}, {row['noise']}, {row['imbalance']}, seed {row['seed']} | {row['scheme']} | "
        f"{100 * row['predicted_change']:+.1f} | {100 * row['measured_change']:+.1f} "
        f"({100 * row['low']:+.1f} to {100 * row['high']:+.1f}) | {100 * row['test_change']:+.1f} |"
        for row in wrong.to_dict("records")
    ]
    return "\n".join(["| world | scheme | forecast | measured (95 %) | test |", "|---|---|---:|---:|---:|", *lines])


def main() -> None:
    """Run what is not there yet, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the data sets lie; without it, digits alone")
    parser.add_argument("--out", type=Path, default=Path("hardsight-explain"), help="rows of worlds that are done")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--most", type=int, default=800, help="training samples of a world")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    parts = []
    for cell in list_cells(SETS if given.folder else SETS[:1], NOISES, IMBALANCES, given.seeds):
        path = given.out / cell.file
        if not path.exists():
            pd.DataFrame(list(rows(cell, given.folder, given.most))).to_parquet(path)
            print(cell.file, file=sys.stderr, flush=True)
        parts.append(pd.read_parquet(path))
    table = pd.concat(parts, ignore_index=True)
    shown = ["FOLDER" if each == str(given.folder) else "OUT" if each == str(given.out) else each for each in sys.argv]
    print(f"# Is the forecast of hs.explain right?\n\nMade by `python {' '.join(shown)}`.")
    print(f"{(__doc__ or '').partition(chr(10))[2].rstrip()}\n")
    print(
        f"{len(table)} rows. A forecast is clear from half a point on; a measurement where its 95 % interval leaves zero "
        f"out; the test from {SURE:g} standard errors over {PUPILS} seeds and {100 * LEAST:g} points on.\n"
    )
    names = {"predicted": "forecast", "measured": "paired measurement", "test": "clean test set"}
    print("| directions of balanced accuracy | agree |\n|---|---:|")
    for other in ("measured", "test"):
        print(f"| sign of the forecast = {names[other]}, wherever that is clear | {said(*signs(table, other))} |")
    for one, other in (("predicted", "measured"), ("predicted", "test"), ("measured", "test")):
        print(f"| {names[one]} = {names[other]}, where both are clear | {said(*agreement(table, one, other))} |")
    print(
        f"\n{crossed(table)}\n\n## By scheme\n\n{by(table, 'scheme')}\n\n## By world\n\n{by(table, 'noise', 'imbalance')}\n"
    )
    print(f"{by(table, 'set')}\n\n## Where forecast and measurement disagree\n\nChanges in points.\n\n{misses(table)}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
