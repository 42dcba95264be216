"""Images of digits, with wrong labels or imbalance added: the held-out errors of networks."""

from typing import Any

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.learners import Network
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, statistical_claim
from hardsight.theory.claims import replicated
from hardsight.theory.claims.replicated import auc
from hardsight.theory.evaluation import balanced_accuracy, train_and_predict
from hardsight.theory.image_study import DIGITS, measure_images
from hardsight.theory.scenarios import flip_labels, load_digit_images, subsample_long_tail, uniform_transition
from hardsight.weights import weigh

_DIGITS = "measured here on scikit-learn's digits"

flips_by_error, long_tail_error, margin_and_uncertainty, easy_first_trains_slower = (
    make(DIGITS) for make in replicated.STUDIED.values()
)


def _measure(
    x: np.ndarray, y: np.ndarray, seed: int, *names: str, repeats: int = 3, **recipe: Any
) -> tuple[Difficulty, dict[str, np.ndarray]]:
    """Measure difficulty by small networks, and measures of the same models by name."""
    return measure_images(x, y, seed, *names, network=Network(**{"hidden": (64,), **recipe}), repeats=repeats)


@statistical_claim(
    "training-loss-interpolates",
    statement="As networks memorise wrong labels, their training loss stops revealing them; the held-out error still does.",
    source=f"expected by theory; {_DIGITS}",
    expected="mean AUROC of the training loss falls from the shortest to the longest training, interval below zero; "
    "that of the held-out error stays above 0.95",
    limits="Digits with 20 % of flips, perceptrons of 128 without weight decay, 5 to 120 epochs.",
    runs=2,
    full_runs=8,
)
def training_loss_interpolates(trial: Trial) -> Finding:
    """5, 30 and 120 epochs."""
    x, y = load_digit_images()
    lengths = (5, 30, 120)
    training_auc, held_out_auc = np.zeros((trial.runs, 3)), np.zeros((trial.runs, 3))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        rows = rng.choice(len(y), 600, replace=False)
        labels = flip_labels(y[rows], uniform_transition(10, 0.2), rng)
        wrong = labels != y[rows]
        for k, epochs in enumerate(lengths):
            d, measures = _measure(x[rows], labels, seed, "rho", repeats=2, hidden=(128,), epochs=epochs, weight_decay=0.0)
            # rho is the training loss minus the held-out loss.
            training_auc[run, k], held_out_auc[run, k] = auc(measures["rho"] + d.error, wrong), auc(d.error, wrong)
    change = training_auc[:, -1] - training_auc[:, 0]
    interval = intervals.mean_interval(change)
    figure = Figure(
        "epochs",
        "AUROC for flipped labels",
        (
            Series("training loss", list(lengths), training_auc.mean(0).tolist()),
            Series("held-out error", list(lengths), held_out_auc.mean(0).tolist()),
        ),
        log="x",
        note="The line of the training loss falls.",
    )
    measured = {
        "mean change of the training loss' AUROC": float(change.mean()),
        "AUROC of the training loss, longest": float(training_auc[:, -1].mean()),
        "smallest mean AUROC of the held-out error": float(held_out_auc.mean(0).min()),
    }
    return Finding(bool(interval.high < 0 and held_out_auc.mean(0).min() > 0.95), measured, figure, interval)


@statistical_claim(
    "larger-models-fewer-hard",
    statement="Larger models find fewer samples hard: difficulty is relative to capacity.",
    source=f"Selective DPO (2502.09650) finds it for language models; {_DIGITS}",
    expected="share of samples with an error above log 2 falls from width 2 to width 64, interval below zero",
    limits="Digits without noise, perceptrons of one hidden layer.",
    runs=2,
    full_runs=8,
)
def larger_models_fewer_hard(trial: Trial) -> Finding:
    """Widths 2, 4, 8, 16 and 64."""
    x, y = load_digit_images()
    widths = (2, 4, 8, 16, 64)
    shares = np.zeros((trial.runs, len(widths)))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        rows = rng.choice(len(y), 600, replace=False)
        for k, width in enumerate(widths):
            d, _ = _measure(x[rows], y[rows], seed, repeats=2, hidden=(width,))
            shares[run, k] = float((d.error > np.log(2)).mean())
    change = shares[:, -1] - shares[:, 0]
    interval = intervals.mean_interval(change)
    figure = Figure(
        "hidden units",
        "share of samples with an error above log 2",
        (Series("mean", list(widths), shares.mean(0).tolist()),),
        log="x",
        note="It falls with size.",
    )
    return Finding(bool(interval.high < 0), {"mean change of the share": float(change.mean())}, figure, interval)


def _compare_weights(trial: Trial, noisy: bool) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return balanced test accuracy by weighting, one entry per run.

    Half of the digits are used for training, with weights by held-out error.
    """
    x, y = load_digit_images()
    accuracies: dict[str, list[float]] = {}
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        order = rng.permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        if noisy:
            labels = flip_labels(y[train], uniform_transition(10, 0.2), rng)
        else:
            train = train[subsample_long_tail(y[train], 50, rng, largest=85)]
            labels = y[train]
        d, _ = _measure(x[train], labels, seed, repeats=2)
        weightings = {
            "hard-first": np.clip(d.error / d.error.mean(), 0.02, 50),
            "uniform": weigh(d, "uniform"),
            "easy-first": np.clip(np.exp(-d.error / d.error.mean()), 0.02, 50),
        }
        for name, w in weightings.items():
            log_prob = train_and_predict(
                x[train], labels, x[test], seed, w / w.mean(), hidden=(64,), epochs=60, weight_decay=1e-4
            )
            accuracies.setdefault(name, []).append(balanced_accuracy(log_prob, y[test]))
    return {name: np.array(each) for name, each in accuracies.items()}, list(accuracies)


def _comparison_figure(accuracies: dict[str, np.ndarray], names: list[str], note: str) -> Figure:
    return Figure(
        "weights",
        "balanced test accuracy",
        (
            Series("mean", names, [float(accuracies[name].mean()) for name in names], "bar"),
            Series(
                "run",
                [name for name in names for _ in accuracies[name]],
                np.concatenate([accuracies[n] for n in names]).tolist(),
                "point",
            ),
        ),
        note=note,
    )


@statistical_claim(
    "noise-wants-easy",
    statement="With a fifth of the labels flipped, easy-first weights do better than uniform ones, and hard-first ones "
    "far worse.",
    source=f"the discussion of Theorem 2 in Zhou et al. 2022, as reconstructed; {_DIGITS}",
    expected="paired difference easy-first - uniform above zero, interval included; hard-first below uniform in every run",
    limits="Digits, half for training, perceptrons of 64 trained for 60 epochs; errors measured within the training part.",
    runs=3,
    full_runs=12,
)
def noise_wants_easy(trial: Trial) -> Finding:
    """20 % of the labels, any other class."""
    accuracies, names = _compare_weights(trial, noisy=True)
    gain, harm = accuracies["easy-first"] - accuracies["uniform"], accuracies["hard-first"] - accuracies["uniform"]
    interval = intervals.mean_interval(gain)
    measured = {"easy-first - uniform, mean": float(gain.mean()), "hard-first - uniform, mean": float(harm.mean())}
    figure = _comparison_figure(accuracies, names, "Easy-first wins, hard-first loses.")
    return Finding(bool(interval.low > 0 and harm.max() < 0), measured, figure, interval)


@statistical_claim(
    "imbalance-wants-hard",
    statement="With 50:1 classes, hard-first weights do at least as well as uniform ones in balanced accuracy, and "
    "easy-first ones far worse.",
    source=f"the discussion of Theorem 2 in Zhou et al. 2022, as reconstructed; {_DIGITS}",
    expected="paired difference uniform - easy-first above zero, interval included; hard-first above uniform in the mean",
    limits="As for noise-wants-easy. The same direction of weights is right for one cause and wrong for the other.",
    runs=3,
    full_runs=12,
)
def imbalance_wants_hard(trial: Trial) -> Finding:
    """A long tail of 50:1."""
    accuracies, names = _compare_weights(trial, noisy=False)
    harm, gain = accuracies["uniform"] - accuracies["easy-first"], accuracies["hard-first"] - accuracies["uniform"]
    interval = intervals.mean_interval(harm)
    measured = {"uniform - easy-first, mean": float(harm.mean()), "hard-first - uniform, mean": float(gain.mean())}
    figure = _comparison_figure(accuracies, names, "Hard-first wins, easy-first loses.")
    return Finding(bool(interval.low > 0 and gain.mean() > 0), measured, figure, interval)
