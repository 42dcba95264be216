"""Is the reported reliability accurate, and how many models does a ranking need?

For several numbers of repeats of 5 folds: the reliability that a run reports, the rank correlation of its errors with
those of an independent run of the same size, the square root of the reliability, and the rank correlation with a run of
500 models, which approximates infinitely many. Default learner; mean over seeds. 5 % of the labels are flipped. Prints
a Markdown table.
"""

import platform
import sys

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import hardsight as hs
from hardsight.cli.demo_data import flip_labels

SEEDS = range(5)
REPEATS = (2, 4, 10)
DATA = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine}


def main() -> None:
    """Print the table."""
    print("# How reliable is a ranking?\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"Seeds {len(SEEDS)} per row; Python {platform.python_version()}, torch {torch.__version__}.\n")
    print("| data | models | reported | two runs | reported, root | with 500 models |\n|---|---|---|---|---|---|")
    for name, load in DATA.items():
        x, true = load(return_X_y=True)
        y, _ = flip_labels(true.astype(np.int64), 0.05, 0)
        gold = hs.measure(x, y, repeats=100, seed=99).error
        for repeats in REPEATS:
            rows = []
            for seed in SEEDS:
                one = hs.measure(x, y, repeats=repeats, seed=seed)
                other = hs.measure(x, y, repeats=repeats, seed=seed + 50)
                reported = one.settings["reliability"]
                between_runs = spearmanr(one.error, other.error).statistic
                rows.append((reported, between_runs, reported**0.5, spearmanr(one.error, gold).statistic))
            cells = " | ".join(f"{value:.4f}" for value in np.mean(rows, axis=0))
            print(f"| {name} | {5 * repeats} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
