"""Images of digits, mislabelled or unbalanced on purpose: what measured errors of networks are like."""

from typing import Any

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.learners import Network
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, define_claim
from hardsight.theory.claims import replicated
from hardsight.theory.claims.replicated import auc
from hardsight.theory.evaluation import balanced_accuracy, train_and_predict
from hardsight.theory.image_study import DIGITS, measure_images
from hardsight.theory.scenarios import flip_labels, load_digit_images, subsample_long_tail, uniform_transition
from hardsight.weights import weigh

_DIGITS = "measured here on scikit-learn's digits"

flips, tail, uncertainty, convergence = (make(DIGITS) for make in replicated.STUDIED.values())


def _measured(
    x: np.ndarray, y: np.ndarray, seed: int, *names: str, repeats: int = 3, **recipe: Any
) -> tuple[Difficulty, dict[str, np.ndarray]]:
    """Difficulty by small networks, and measures of the same models by name."""
    return measure_images(x, y, seed, *names, network=Network(**{"hidden": (64,), **recipe}), repeats=repeats)


@define_claim(
    "training-loss-interpolates",
    statement="As networks learn wrong labels by heart, their training loss ceases to show them; the held-out error "
    "goes on.",
    source=f"expected by theory; {_DIGITS}",
    kind="statistical",
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
    seen, held_out = np.zeros((trial.runs, 3)), np.zeros((trial.runs, 3))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        at = rng.choice(len(y), 600, replace=False)
        given = flip_labels(y[at], uniform_transition(10, 0.2), rng)
        wrong = given != y[at]
        for k, epochs in enumerate(lengths):
            d, more = _measured(x[at], given, seed, "rho", repeats=2, hidden=(128,), epochs=epochs, weight_decay=0.0)
            # rho is the training loss less the held-out one.
            seen[run, k], held_out[run, k] = auc(more["rho"] + d.error, wrong), auc(d.error, wrong)
    change = seen[:, -1] - seen[:, 0]
    interval = intervals.mean_interval(change)
    figure = Figure(
        "epochs",
        "AUROC for flipped labels",
        (
            Series("training loss", list(lengths), seen.mean(0).tolist()),
            Series("held-out error", list(lengths), held_out.mean(0).tolist()),
        ),
        log="x",
        note="One line falls.",
    )
    measured = {
        "mean change of the training loss' AUROC": float(change.mean()),
        "AUROC of the training loss, longest": float(seen[:, -1].mean()),
        "smallest mean AUROC of the held-out error": float(held_out.mean(0).min()),
    }
    return Finding(bool(interval.high < 0 and held_out.mean(0).min() > 0.95), measured, figure, interval)


@define_claim(
    "larger-models-fewer-hard",
    statement="Larger models find fewer samples hard: difficulty is relative to capacity.",
    source=f"Selective DPO (2502.09650) finds it for language models; {_DIGITS}",
    kind="statistical",
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
        at = rng.choice(len(y), 600, replace=False)
        for k, width in enumerate(widths):
            d, _ = _measured(x[at], y[at], seed, repeats=2, hidden=(width,))
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


def _compared(trial: Trial, noisy: bool) -> tuple[dict[str, np.ndarray], list[str]]:
    """Balanced test accuracy by weighting, one entry a run: half of digits for training, weights by held-out error."""
    x, y = load_digit_images()
    found: dict[str, list[float]] = {}
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        order = rng.permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        if noisy:
            given = flip_labels(y[train], uniform_transition(10, 0.2), rng)
        else:
            train = train[subsample_long_tail(y[train], 50, rng, largest=85)]
            given = y[train]
        d, _ = _measured(x[train], given, seed, repeats=2)
        weightings = {
            "hard-first": np.clip(d.error / d.error.mean(), 0.02, 50),
            "uniform": weigh(d, "uniform"),
            "easy-first": np.clip(np.exp(-d.error / d.error.mean()), 0.02, 50),
        }
        for name, w in weightings.items():
            told = train_and_predict(
                x[train], given, x[test], seed, w / w.mean(), hidden=(64,), epochs=60, weight_decay=1e-4
            )
            found.setdefault(name, []).append(balanced_accuracy(told, y[test]))
    return {name: np.array(each) for name, each in found.items()}, list(found)


def _ranked(found: dict[str, np.ndarray], names: list[str], note: str) -> Figure:
    return Figure(
        "weights",
        "balanced test accuracy",
        (
            Series("mean", names, [float(found[name].mean()) for name in names], "bar"),
            Series(
                "run",
                [name for name in names for _ in found[name]],
                np.concatenate([found[n] for n in names]).tolist(),
                "point",
            ),
        ),
        note=note,
    )


@define_claim(
    "noise-wants-easy",
    statement="With a fifth of the labels flipped, easy-first weights do better than uniform ones, and hard-first ones "
    "far worse.",
    source=f"the discussion of Theorem 2 in Zhou et al. 2022, as reconstructed; {_DIGITS}",
    kind="statistical",
    expected="paired difference easy-first - uniform above zero, interval included; hard-first below uniform in every "
    "run",
    limits="Digits, half for training, perceptrons of 64 trained for 60 epochs; errors measured within the training "
    "part.",
    runs=3,
    full_runs=12,
)
def noise_wants_easy(trial: Trial) -> Finding:
    """20 % of the labels, any other class."""
    found, names = _compared(trial, noisy=True)
    gain, harm = found["easy-first"] - found["uniform"], found["hard-first"] - found["uniform"]
    interval = intervals.mean_interval(gain)
    measured = {"easy-first - uniform, mean": float(gain.mean()), "hard-first - uniform, mean": float(harm.mean())}
    figure = _ranked(found, names, "Easy-first wins, hard-first loses.")
    return Finding(bool(interval.low > 0 and harm.max() < 0), measured, figure, interval)


@define_claim(
    "imbalance-wants-hard",
    statement="With 50:1 classes, hard-first weights do at least as well as uniform ones in balanced accuracy, and "
    "easy-first ones far worse.",
    source=f"the discussion of Theorem 2 in Zhou et al. 2022, as reconstructed; {_DIGITS}",
    kind="statistical",
    expected="paired difference uniform - easy-first above zero, interval included; hard-first above uniform in the "
    "mean",
    limits="As for noise-wants-easy. The same sign of weights is right for one cause and wrong for the other.",
    runs=3,
    full_runs=12,
)
def imbalance_wants_hard(trial: Trial) -> Finding:
    """A long tail of 50:1."""
    found, names = _compared(trial, noisy=False)
    harm, gain = found["uniform"] - found["easy-first"], found["hard-first"] - found["uniform"]
    interval = intervals.mean_interval(harm)
    measured = {"uniform - easy-first, mean": float(harm.mean()), "hard-first - uniform, mean": float(gain.mean())}
    figure = _ranked(found, names, "Hard-first wins, easy-first loses.")
    return Finding(bool(interval.low > 0 and gain.mean() > 0), measured, figure, interval)
