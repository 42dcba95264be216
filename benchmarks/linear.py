"""Logistic regression: all members at once, and leave-one-out from one fit, compared with refits by scikit-learn.

Heads: 20,000 x 384 synthetic embeddings (mixture of 3 Gaussians per class in 32 dimensions, mapped through 384 ReLU
units with noise, rows of length 1, a twentieth of the labels redrawn), 10 classes, 10 repeats of 5 folds, penalty 1.
Refits: scikit-learn's pipeline of imputer, scaler and LogisticRegression, for 5 of the 50 members, times 10. The
reference is LogisticRegression in float64 at tol 1e-9 for 2 members; its held-out log-probabilities of the labels are
compared.

Leave-one-out: refits by LogisticRegression on features scaled once; the reference is tol 1e-8 for a random 300 samples
and the 20 hardest by the estimate; others are timed on 20. All CPU seconds of one thread, hardsight and refits in
turns.

Ridge leave-one-out: the hat matrix compared with refits by scikit-learn's Ridge, penalty 1, 100 samples for all;
medians of 9.
"""

import platform
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import sklearn
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, make_classification
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hardsight import Samples
from hardsight.cli.demo_data import flip_labels
from hardsight.learners import Logistic
from hardsight.learners.leave_one_out.logistic import predict_logistic
from hardsight.learners.linear.ridge import normal_equations, predict_held_out, standardize
from hardsight.resampling.plan import Plan, Round, split_seed
from hardsight.resampling.splitters import KFold


def embeddings(samples: int = 20_000, width: int = 384, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Return synthetic embeddings and labels, of which a linear head predicts about 85 % correctly out of sample."""
    rng = np.random.default_rng(0)
    centres = 0.9 * rng.normal(size=(3 * classes, 32))
    y, component = rng.integers(classes, size=samples), rng.integers(3, size=samples)
    latent = centres[3 * y + component] + rng.normal(size=(samples, 32))
    x = np.maximum(latent @ rng.normal(size=(32, width)) / np.sqrt(32) + 0.3 * rng.normal(size=width), 0)
    x += 0.3 * rng.normal(size=x.shape)
    redrawn = rng.random(samples) < 0.05
    y[redrawn] = rng.integers(classes, size=int(redrawn.sum()))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


def time_call(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Return a result and its CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def print_row(name: str, seconds: float, ours: float, values: np.ndarray, reference: np.ndarray) -> None:
    """Print a row of a table."""
    largest = np.abs(values - reference).max()
    print(
        f"| {name} | {seconds:.2f} | {seconds / ours:.1f} | {spearmanr(values, reference)[0]:.7f} | {largest:.1e} |",
        flush=True,
    )


def compare_heads() -> None:
    """Compare fifty heads."""
    x, y = embeddings()
    blocks = np.arange(len(y))
    plan = Plan(KFold(5, 10).split(y, blocks, split_seed(0)), blocks, 10, 0)
    members = list(plan.members())

    def refit(index: int, dtype: type, tol: float) -> np.ndarray:
        model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=5000, tol=tol))
        train, held_out = members[index].train, members[index].held_out
        model.fit(x[train].astype(dtype), y[train])
        return model.predict_log_proba(x[held_out].astype(dtype))[np.arange(len(held_out)), y[held_out]]

    def at_once() -> np.ndarray:
        out, samples = np.zeros((10, len(y))), Samples.of(x, y)
        # In parts of 25 members, as in a run.
        for part in (range(5), range(5, 10)):
            for predictions in Logistic().fit_predict(samples, plan.select(part), lambda _: None):
                out[predictions.repeat, predictions.rows] = predictions.values.numpy()[
                    np.arange(len(predictions.rows)), y[predictions.rows]
                ]
        return out

    reference = np.concatenate([refit(index, np.float64, 1e-9) for index in range(2)])
    kinds = {(np.float32, 1e-4): "float32, tol 1e-4", (np.float64, 1e-4): "float64, tol 1e-4 (default)"}
    kinds |= {(np.float64, tol): f"float64, tol {tol:g}" for tol in (1e-6, 1e-7)}
    seconds_by_kind: dict[str, list[float]] = {name: [] for name in kinds.values()}
    results: dict[str, list[np.ndarray]] = {name: [] for name in kinds.values()}
    hardsight_seconds = []
    for index in range(5):
        result, seconds = time_call(at_once)
        hardsight_seconds.append(seconds)
        for (dtype, tol), name in kinds.items():
            part, seconds = time_call(lambda i=index, d=dtype, t=tol: refit(i, d, t))
            seconds_by_kind[name].append(50 * seconds)
            results[name].append(part)
    same = np.concatenate([result[members[i].round, members[i].held_out] for i in range(2)])
    print("## 50 heads, 20,000 x 384, 10 classes\n")
    print("| | CPU s | times hardsight | rank correlation with the optimum | largest difference |\n|---|---|---|---|---|")
    print_row(
        "hardsight, all at once", float(np.median(hardsight_seconds)), float(np.median(hardsight_seconds)), same, reference
    )
    for name in seconds_by_kind:
        print_row(
            f"refits, {name}",
            float(np.median(seconds_by_kind[name])),
            float(np.median(hardsight_seconds)),
            np.concatenate(results[name][:2]),
            reference,
        )


def compare_leave_one_out(name: str, x: np.ndarray, y: np.ndarray, penalty: float) -> None:
    """Compare leave-one-out on one set."""
    every = np.arange(len(y))

    def estimate() -> np.ndarray:
        return -predict_logistic(x, y, every, penalty)[every, y]

    def refits(rows: np.ndarray, tol: float) -> np.ndarray:
        model = LogisticRegression(C=1 / penalty, tol=tol, max_iter=20_000)
        return np.array([-model.fit(x[every != i], y[every != i]).predict_log_proba(x[[i]])[0, y[i]] for i in rows.tolist()])

    estimate()
    runs = [time_call(estimate) for _ in range(5)]
    estimates, hardsight_seconds = runs[0][0], float(np.median([seconds for _, seconds in runs]))
    subset = np.random.default_rng(0).choice(len(y), min(300, len(y)), replace=False)
    reference, seconds = time_call(lambda: refits(subset, 1e-8))
    hardest = np.argsort(estimates)[-20:]
    of_hardest = refits(hardest, 1e-8)
    ratios = [seconds / len(subset) * len(y) / hardsight_seconds]
    for tol in (1e-6, 1e-4):
        ratios.insert(0, time_call(lambda t=tol: refits(subset[:20], t))[1] / 20 * len(y) / hardsight_seconds)
    rank, largest = spearmanr(estimates[subset], reference)[0], np.abs(estimates[subset] - reference).max()
    cells_hardest = (
        f"{spearmanr(estimates[hardest], of_hardest)[0]:.5f} | {np.abs(estimates[hardest] - of_hardest).max():.1e}"
    )
    cells = " | ".join(f"{ratio:.0f}" for ratio in ratios)
    print(
        f"| {name}, penalty {penalty:g} | {hardsight_seconds:.2f} | {cells} | {rank:.7f} | {largest:.1e} "
        f"| {cells_hardest} |",
        flush=True,
    )


def compare_ridge_leave_one_out(name: str, x: np.ndarray, y: np.ndarray) -> None:
    """Compare leave-one-out of ridge regression on one set."""
    targets, leave_one_out, every = np.eye(y.max() + 1)[y], Round(np.arange(len(y)), len(y)), np.arange(len(y))
    subset = np.random.default_rng(0).choice(len(y), 100, replace=False)
    runs = [time_call(lambda: predict_held_out(normal_equations(x, targets, 1.0), leave_one_out)) for _ in range(9)]
    refits, seconds = time_call(
        lambda: np.concatenate(
            [Ridge(alpha=1.0).fit(x[every != i], targets[every != i]).predict(x[[i]]) for i in subset.tolist()]
        )
    )
    hardsight_seconds = float(np.median([seconds for _, seconds in runs]))
    largest = np.abs(refits - runs[0][0][subset]).max()
    print(
        f"| {name} | {hardsight_seconds:.4f} | {seconds / len(subset) * len(y) / hardsight_seconds:,.0f} | {largest:.0e} |",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("# Logistic regression\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}.\n")
    with threadpool_limits(1):
        compare_heads()
        print("\n## Leave-one-out\n")
        print(
            "| data | CPU s | refits at tol 1e-4, times that | 1e-6 | 1e-8 | rank correlation, 300 samples "
            "| largest difference | the same for the hardest 20 | |\n|---|---|---|---|---|---|---|---|---|"
        )
        x, true = load_digits(return_X_y=True)
        noisy, _ = flip_labels(true.astype(np.int64), 0.05, 0)
        made, classes = make_classification(5000, 50, n_informative=20, n_classes=10, flip_y=0.05, random_state=0)
        for penalty in (10.0, 1.0):
            compare_leave_one_out("digits", standardize(x), true, penalty)
            compare_leave_one_out("digits, 5 % flips", standardize(x), noisy, penalty)
            compare_leave_one_out("made-up, 5,000 x 50, 10 classes, 5 % noise", standardize(made), classes, penalty)
        print("\n## Leave-one-out of ridge regression\n")
        print("| data | CPU s | refits, times that | largest difference |\n|---|---|---|---|")
        compare_ridge_leave_one_out("digits", standardize(x), true)
        compare_ridge_leave_one_out("made-up, 5,000 x 50, 10 classes", standardize(made), classes)


if __name__ == "__main__":
    main()
