"""Which cheap learner ranks samples like the full ensemble?

The full ensemble is the default: 50 small perceptrons, 10 repeats of 5 folds. For every learner: the rank correlation
of its errors with those of the full ensemble, the area under the ROC curve with which its errors find the hardest tenth
by the full ensemble, and total CPU seconds. The first row is another full ensemble with another seed: no learner can do
better. Boosted trees use 2 repeats. The header gives the number of samples x features, classes; "flips": a share of the
labels is moved to another class. Prints a Markdown table; an argument is the folder of the larger sets (see
benchmarks/README.md).
"""

import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hardsight as hs
from hardsight.cli.demo_data import flip_labels

Data = tuple[np.ndarray, np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def with_flipped_labels(data: Data, share: float) -> Data:
    """Return the data with a share of the labels replaced."""
    return data[0], flip_labels(data[1].astype(np.int64), share, 0)[0]


def satellite(folder: Path) -> Data:
    """Read Satellite from Debian's ``r-cran-mlbench``."""
    import rdata

    path = folder / "r-cran-mlbench/usr/lib/R/site-library/mlbench/data/Satellite.rda"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = rdata.read_rda(path)["Satellite"]
    return table.drop(columns=["classes"]).to_numpy(dtype=np.float64), pd.factorize(table["classes"], sort=True)[0]


def movies(folder: Path) -> Data:
    """Read sentence embeddings of film reviews; the label is the majority of raters."""
    table = pd.read_parquet(folder / "human_ratings_movies.parquet")
    share = table[["negative", "neutral", "positive"]].to_numpy()
    return np.stack(table["embedding"]).astype(np.float32), share.argmax(axis=1)


def measure_error(learner: object, repeats: int = 10, splits: str | None = None) -> Score:
    """Return a function that measures the error with hardsight."""

    def error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        options = {"repeats": repeats} if splits is None else {"splits": splits}
        return hs.measure(x, y, learner=learner, **options).error

    return error


def in_sample_loss(model: object) -> Score:
    """Return a function that computes the loss of a model on its training samples."""

    def error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        prob = make_pipeline(StandardScaler(), model).fit(x, y).predict_proba(x)
        return -np.log(prob[np.arange(len(y)), y] + 1e-300)

    return error


SCORES: dict[str, Score] = {
    "network, another seed": lambda x, y: hs.measure(x, y, seed=1).error,
    "network, 2 repeats": lambda x, y: hs.measure(x, y, repeats=2, seed=1).error,
    "network of 16 units": measure_error(hs.Network(hidden=(16,))),
    "logistic": measure_error("logistic"),
    "logistic-loo": measure_error("logistic-loo", splits="loo"),
    "ridge, leave-one-out": measure_error("ridge", splits="loo"),
    "kernel-loo": measure_error("kernel-loo", splits="loo"),
    "knn-loo": measure_error("knn-loo", splits="loo"),
    "forest": measure_error("forest"),
    "lightgbm": measure_error("lightgbm", repeats=2),
    "xgboost": measure_error("xgboost", repeats=2),
    "in-sample loss of one perceptron": in_sample_loss(MLPClassifier(128, max_iter=20, random_state=0)),
    "in-sample loss of one logistic": in_sample_loss(LogisticRegression(max_iter=1000)),
}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data = {
        "digits": load_digits(return_X_y=True),
        "digits, 5 % flips": with_flipped_labels(load_digits(return_X_y=True), 0.05),
        "digits, 10 % flips": with_flipped_labels(load_digits(return_X_y=True), 0.1),
        "breast cancer": load_breast_cancer(return_X_y=True),
        "wine": load_wine(return_X_y=True),
    }
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        data |= {"Satellite": satellite(folder), "film reviews": movies(folder)}
    print("# Which learner ranks like the full ensemble?\n")
    print(f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, one thread.")
    print("Cells: rank correlation / area under the curve / CPU seconds.\n")
    sizes = [f"{name} ({len(y):,} x {x.shape[1]}, {len(np.unique(y))})" for name, (x, y) in data.items()]
    print(f"| learner | {' | '.join(sizes)} |\n|---|{'---|' * len(sizes)}")
    cells: dict[str, list[str]] = {name: [] for name in SCORES}
    for x, y in data.values():
        full = hs.measure(x, y).error
        hardest = full >= np.quantile(full, 0.9)
        for name, score in SCORES.items():
            start = time.process_time()
            try:
                error = score(x, y)
            except hs.InputError:
                cells[name].append("too large")
                continue
            seconds = time.process_time() - start
            cells[name].append(f"{spearmanr(error, full)[0]:.3f} / {roc_auc_score(hardest, error):.3f} / {seconds:.2g}")
            print(name, cells[name][-1], file=sys.stderr, flush=True)
    for name, row in cells.items():
        print(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
