"""Does ``hs.explain`` know before training whether weights help? Forecast, paired measurement and truth on a grid.

Scenarios of ``hardsight_bench.weights_scenarios``: data sets × kinds of noise × imbalance × seeds; a difficulty of
each, 5 folds × 4; and for each scheme the forecast (from the ledger and the weights), the paired measurement (5 folds ×
4, given labels), and the truth: balanced accuracy on a clean test set of models trained with the weights minus that of
models trained without, from the same seeds. Prints a page in Markdown.

The forecast was developed on digits and satellite with seed 0, and checked on texture and penbased with seed 0; it was
not changed after seeing the seeds here.
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
# A difference of test accuracy is clear from two standard errors over seeds and 0.3 points on.
MODELS, CLEAR_SE, CLEAR_POINTS = 6, 2.0, 0.003


def weights(d: hs.Difficulty) -> dict[str, np.ndarray]:
    """Return the weights of every scheme."""
    assert d.classes is not None
    result = {}
    for name, (scheme, parameters) in SCHEMES.items():
        values = {key: log(len(d.classes)) if value == "log K" else value for key, value in parameters.items()}
        result[name] = hs.weigh(d, scheme, **values)
    return result


def truth(scenario: Scenario, weights_by_name: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the change of clean test accuracy (balanced) with each set of weights, and its standard error."""
    all_weights = [np.ones(len(scenario.y)), *weights_by_name.values()]
    members = [WeightedMember(1000 + seed, each) for seed in range(MODELS) for each in all_weights]
    sizes = np.bincount(scenario.test_y)
    accuracy = [
        float((np.bincount(scenario.test_y, prediction.argmax(1) == scenario.test_y) / sizes).mean())
        if isinstance(prediction, np.ndarray)
        else float("nan")
        for prediction in train_members(EnsembleTask(scenario.x, scenario.y, scenario.test_x, Network()), members)
    ]
    table = np.array(accuracy).reshape(MODELS, len(all_weights))
    changes = table[:, 1:] - table[:, :1]
    return {
        name: (float(change.mean()), float(change.std(ddof=1) / MODELS**0.5))
        for name, change in zip(weights_by_name, changes.T, strict=True)
    }


def rows(cell: Cell, folder: Path | None, most: int) -> Iterator[dict[str, Any]]:
    """Yield one row per scheme."""
    scenario = make_scenario(cell, folder, most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = hs.measure(scenario.x, scenario.y, folds=5, repeats=4, estimate=hs.Estimate(pilot=False), seed=cell.seed)
        weights_by_name = weights(d)
        explanation = hs.explain(
            scenario.x, scenario.y, d, weights_by_name, folds=5, repeats=4, dynamics=False, seed=cell.seed + 100
        )
    changes = truth(scenario, weights_by_name)
    for verdict, overview in zip(
        explanation.verdicts.to_dict("records"), explanation.overview.to_dict("records"), strict=True
    ):
        change, se = changes[verdict["weights"]]
        is_clear = abs(change) > max(CLEAR_SE * se, CLEAR_POINTS)
        yield {
            "set": cell.set,
            "noise": cell.noise,
            "imbalance": cell.imbalance,
            "seed": cell.seed,
            "scheme": verdict["weights"],
            "priority": overview["priority"],
            **{key: verdict[key] for key in ("predicted", "predicted_change", "measured", "measured_change", "low", "high")},
            "test": ("better" if change > 0 else "worse") if is_clear else "unclear",
            "test_change": change,
        }


def agreement(table: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """Return in how many rows two directions are both clear and equal, and in how many both are clear."""
    clear = table[table[one].isin(["better", "worse"]) & table[other].isin(["better", "worse"])]
    return int((clear[one] == clear[other]).sum()), len(clear)


def format_share(same: int, total: int) -> str:
    """Format a share with its counts."""
    return f"{same / total:.1%} ({same} of {total})" if total else "–"


def sign_agreement(table: pd.DataFrame, other: str) -> tuple[int, int]:
    """Return the agreement of the forecast's sign, however small, with the other direction where that is clear."""
    clear = table[table[other].isin(["better", "worse"])]
    return int((np.where(clear["predicted_change"] > 0, "better", "worse") == clear[other]).sum()), len(clear)


def confusion_table(table: pd.DataFrame) -> str:
    """Return the table of predicted against measured directions."""
    lines = ["| forecast | measured better | unclear or the same | measured worse |", "|---|---:|---:|---:|"]
    for prediction in ("better", "little change", "worse"):
        subset = table[table["predicted"] == prediction]
        counts = [int((subset["measured"] == "better").sum()), 0, int((subset["measured"] == "worse").sum())]
        counts[1] = len(subset) - sum(counts)
        lines.append(f"| {prediction} | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines)


def agreement_table(table: pd.DataFrame, *columns: str) -> str:
    """Return the agreement by some columns."""
    lines = [
        f"| {' | '.join(columns)} | forecast = measured | forecast = test | measured = test | mean measured, points |",
        "|---|" + "---|" * (len(columns) - 1) + "---:|---:|---:|---:|",
    ]
    for key, subset in table.groupby(list(columns), sort=False):
        names = " | ".join(map(str, key))
        shares = [
            format_share(*agreement(subset, *pair))
            for pair in (("predicted", "measured"), ("predicted", "test"), ("measured", "test"))
        ]
        lines.append(f"| {names} | {' | '.join(shares)} | {100 * subset['measured_change'].mean():+.1f} |")
    return "\n".join(lines)


def disagreements(table: pd.DataFrame) -> str:
    """Return the cells where forecast and measurement are clear and opposite."""
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
    """Run what is not done yet, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="folder of the data sets; without it, only digits")
    parser.add_argument("--out", type=Path, default=Path("hardsight-explain"), help="folder of finished rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--most", type=int, default=800, help="training samples per scenario")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = []
    for cell in list_cells(SETS if args.folder else SETS[:1], NOISES, IMBALANCES, args.seeds):
        path = args.out / cell.file
        if not path.exists():
            pd.DataFrame(list(rows(cell, args.folder, args.most))).to_parquet(path)
            print(cell.file, file=sys.stderr, flush=True)
        parts.append(pd.read_parquet(path))
    table = pd.concat(parts, ignore_index=True)
    command = ["FOLDER" if each == str(args.folder) else "OUT" if each == str(args.out) else each for each in sys.argv]
    print(f"# Is the forecast of hs.explain right?\n\nMade by `python {' '.join(command)}`.")
    print(f"{(__doc__ or '').partition(chr(10))[2].rstrip()}\n")
    print(
        f"{len(table)} rows. A forecast is clear from half a point on; a measurement where its 95 % interval leaves zero "
        f"out; the test from {CLEAR_SE:g} standard errors over {MODELS} seeds and {100 * CLEAR_POINTS:g} points on.\n"
    )
    names = {"predicted": "forecast", "measured": "paired measurement", "test": "clean test set"}
    print("| directions of balanced accuracy | agree |\n|---|---:|")
    for other in ("measured", "test"):
        share = format_share(*sign_agreement(table, other))
        print(f"| sign of the forecast = {names[other]}, wherever that is clear | {share} |")
    for one, other in (("predicted", "measured"), ("predicted", "test"), ("measured", "test")):
        print(f"| {names[one]} = {names[other]}, where both are clear | {format_share(*agreement(table, one, other))} |")
    print(
        f"\n{confusion_table(table)}\n\n## By scheme\n\n{agreement_table(table, 'scheme')}\n\n"
        f"## By world\n\n{agreement_table(table, 'noise', 'imbalance')}\n"
    )
    print(
        f"{agreement_table(table, 'set')}\n\n## Where forecast and measurement disagree\n\n"
        f"Changes in points.\n\n{disagreements(table)}"
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
