"""Rank flipped labels: hardsight's held-out error, cleanlab's self-confidence, and a random control.

A share of the labels is moved to another class, drawn uniformly (seeded; every flipped label is wrong). All
measures see the same data. Prints a Markdown table: AUROC and average precision, mean ± standard deviation over seeds.
"""

import platform
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import sklearn
import torch
from cleanlab.rank import get_normalized_margin_for_each_label, get_self_confidence_for_each_label
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hardsight as hs
from hardsight.cli.demo_data import flip_labels

SEEDS = range(3)
SHARES = (0.1, 0.4)
DATA = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine}

Score = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def predict_held_out(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Return probabilities by one pass of 5-fold logistic regression, as in cleanlab's tutorials."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(model, x, y, cv=folds, method="predict_proba")


def measure_column(learner: str, column: str = "error") -> Score:
    """Return a function that computes a column of hardsight's result."""
    return lambda x, y, seed: getattr(hs.measure(x, y, learner=learner, seed=seed), column)


SCORES: dict[str, Score] = {
    "**hardsight, default: error**": measure_column("auto"),
    "hardsight, default: P(label wrong)": measure_column("auto", "p_wrong"),
    "hardsight, logistic: error": measure_column("logistic"),
    "hardsight, forest: error": measure_column("forest"),
    "hardsight, lightgbm: error": measure_column("lightgbm"),
    "hardsight, ridge: error": measure_column("ridge"),
    "cleanlab self-confidence, 5-fold logistic": lambda x, y, s: (
        -get_self_confidence_for_each_label(y, predict_held_out(x, y, s))
    ),
    "cleanlab normalized margin, 5-fold logistic": lambda x, y, s: (
        -get_normalized_margin_for_each_label(y, predict_held_out(x, y, s))
    ),
    "random": lambda x, y, seed: np.random.default_rng(seed).random(len(y)),
}


def row(score: Score, x: np.ndarray, true: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return AUROC and average precision by seed, and seconds per run."""
    auroc, precision, start = [], [], time.perf_counter()
    for seed in SEEDS:
        y, flipped_rows = flip_labels(true, share, seed)
        is_flipped = np.isin(np.arange(len(y)), flipped_rows)
        scores = score(x, y, seed)
        auroc.append(roc_auc_score(is_flipped, scores))
        precision.append(average_precision_score(is_flipped, scores))
    return np.array(auroc), np.array(precision), (time.perf_counter() - start) / len(SEEDS)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print("# Do flipped labels rank first?\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip().splitlines()[0]}\n")
    print(
        f"Seeds {', '.join(map(str, SEEDS))}; Python {platform.python_version()}, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}; one thread a process. hardsight: 5 folds × 10 repeats; cleanlab: one pass of 5 folds.\n"
    )
    for name, load in DATA.items():
        x, true = load(return_X_y=True)
        for share in SHARES:
            print(f"\n## {name}, {share:.0%} flipped\n")
            print("| measure | AUROC | average precision | seconds |\n|---|---|---|---|")
            for label, score in SCORES.items():
                auroc, precision, seconds = row(score, x, true.astype(np.int64), share)
                print(
                    f"| {label} | {auroc.mean():.4f} ± {auroc.std(ddof=1):.4f} | "
                    f"{precision.mean():.4f} ± {precision.std(ddof=1):.4f} | {seconds:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
