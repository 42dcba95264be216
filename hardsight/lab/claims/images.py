"""Images of digits, mislabelled or unbalanced on purpose: what measured errors of networks are like."""

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hardsight.difficulty import Difficulty
from hardsight.estimate import measure
from hardsight.lab import intervals
from hardsight.lab.claim import Figure, Finding, Series, Trial, proposition
from hardsight.lab.tested import balanced_accuracy, predictions
from hardsight.lab.worlds import digits, long_tailed, relabelled, uniform_flips
from hardsight.learners import Network
from hardsight.record import Record
from hardsight.weights import weigh

_DIGITS = "measured here on scikit-learn's digits"


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score))


def _measured(
    x: np.ndarray, y: np.ndarray, seed: int, *names: str, repeats: int = 3, **recipe: Any
) -> tuple[Difficulty, dict[str, np.ndarray]]:
    """Difficulty by small networks in five folds, and measures of the same models by name."""
    record = Record(names, members=True) if names else None
    d = measure(
        x, y, learner=Network(**{"hidden": (64,), **recipe}), folds=5, repeats=repeats, adjusted="rho" in names,
        refine=False, record=record, seed=seed,
    )  # fmt: skip
    return d, {} if record is None else {name: record.measure(name).to_numpy() for name in names}


@proposition(
    "flips-by-error",
    statement="Flipped labels have the larger error; the variance alone, or mutual information alone, does not find "
    "them.",
    source=f"Proposition 2, after Zhou et al. 2022, as reconstructed; {_DIGITS}",
    kind="statistical",
    expected="mean AUROC of the error above 0.99 at 10, 20 and 40 % of flips, lower end of the interval included; that "
    "of the variance between 0.3 and 0.7",
    limits="Digits, perceptrons of 64, five folds. The mean log-loss of noisy against clean labels is told beside it.",
    runs=2,
    full_runs=10,
)
def flips(trial: Trial) -> Finding:
    """10, 20 and 40 % of the labels, any other class."""
    x, y = digits()
    rates = (0.1, 0.2, 0.4)
    found = {name: np.zeros((trial.runs, 3)) for name in ("error", "variance", "mutual information")}
    means = np.zeros((trial.runs, 3, 2))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        for k, rate in enumerate(rates):
            given = relabelled(y, uniform_flips(10, rate), rng)
            d, more = _measured(x, given, seed, "bald")
            wrong = given != y
            scores = (d.error, d.variance, more["bald"])
            for name, score in zip(found, scores, strict=True):
                found[name][run, k] = _auc(score, wrong)
            means[run, k] = d.error[wrong].mean(), d.error[~wrong].mean()
    interval = intervals.of_mean(found["error"].mean(1))
    figure = Figure(
        "share of labels flipped",
        "AUROC for flipped labels",
        tuple(Series(name, list(rates), each.mean(0).tolist()) for name, each in found.items()),
        rule=0.5,
        note="The error finds them; disagreement of models does not.",
    )
    of_variance = found["variance"].mean(0)
    measured = {
        "mean AUROC of the error": float(found["error"].mean()),
        "mean AUROC of the variance": float(of_variance.mean()),
        "mean AUROC of mutual information": float(found["mutual information"].mean()),
        "mean error, flipped (nats)": float(means[..., 0].mean()),
        "mean error, clean (nats)": float(means[..., 1].mean()),
    }
    return Finding(
        bool(interval.low > 0.99 and of_variance.min() > 0.3 and of_variance.max() < 0.7), measured, figure, interval
    )


@proposition(
    "long-tail-error",
    statement="In a long tail the mean error of a class rises as its size falls, mostly through the bias.",
    source=f"Proposition 3, after Zhou et al. 2022, as reconstructed; {_DIGITS}",
    kind="statistical",
    expected="mean Spearman of class size and mean error below -0.5, upper end of the interval included; bias above "
    "half of the difference between the three rarest and the three most frequent classes",
    limits="Digits with 10:1 and 50:1 classes, the order of the classes drawn anew in each run; ones and eights are "
    "hard at any size.",
    runs=6,
    full_runs=15,
)
def tail(trial: Trial) -> Finding:
    """10:1 and 50:1 in turn."""
    x, y = digits()
    ranks, by_bias, shown = [], [], []
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        factor = (10, 50)[run % 2]
        at = long_tailed(y, factor, rng)
        d, _ = _measured(x[at], y[at], seed)
        sizes = np.bincount(y[at], minlength=10)
        error, bias = (np.array([part[y[at] == c].mean() for c in range(10)]) for part in (d.error, d.bias))
        ranks.append(float(spearmanr(sizes, error).statistic))
        order = np.argsort(sizes)
        by_bias.append(
            float(
                (bias[order[:3]].mean() - bias[order[-3:]].mean())
                / (error[order[:3]].mean() - error[order[-3:]].mean())
            )
        )
        if run < 2:
            shown.append(Series(f"{factor}:1", sizes[order].tolist(), error[order].tolist(), "point"))
    interval = intervals.of_mean(ranks)
    figure = Figure(
        "samples of the class",
        "mean error of the class (nats)",
        tuple(shown),
        log="xy",
        note="Rare classes are harder.",
    )
    measured = {
        "mean Spearman of size and error": float(np.mean(ranks)),
        "mean share of the bias": float(np.mean(by_bias)),
    }
    return Finding(bool(interval.high < -0.5 and np.mean(by_bias) > 0.5), measured, figure, interval)


@proposition(
    "margin-and-uncertainty",
    statement="Over all samples the error goes with the negative mean margin, the variance and mutual information; "
    "among the hardest 5 % it hardly goes with the latter two, and not always in one direction.",
    source=f"the experiments of Zhou et al. 2022, as reconstructed (mixed signs); {_DIGITS}",
    kind="statistical",
    expected="mean Spearman over all above 0.95 with the margin and 0.9 with the variance; among the hardest 5 % below "
    "0.5 with the variance, upper end of the interval included",
    limits="Clean digits. The variance is a small part of the error of most samples and cannot stand for it.",
    runs=4,
    full_runs=12,
)
def uncertainty(trial: Trial) -> Finding:
    """All samples, and the hardest twentieth."""
    x, y = digits()
    whole, top, share, shown = [], [], [], []
    for seed in trial.seeds:
        d, more = _measured(x, y, seed, "aum", "bald", repeats=6)
        hardest = d.order[: len(d) // 20]
        whole.append([float(spearmanr(d.error, other).statistic) for other in (more["aum"], d.variance, more["bald"])])
        top.append(
            [float(spearmanr(d.error[hardest], other[hardest]).statistic) for other in (d.variance, more["bald"])]
        )
        share.append(float(d.variance.sum() / d.error.sum()))
        rest = np.setdiff1d(np.arange(len(d)), hardest)[::4]
        shown = [
            Series(name, d.error[at].tolist(), np.maximum(d.variance[at], 1e-8).tolist(), "point")
            for name, at in (("other samples", rest), ("hardest 5 %", hardest))
        ]
    interval = intervals.of_mean([each[0] for each in top])
    mean = np.mean(whole, 0)
    figure = Figure(
        "error (nats)",
        "variance (nats)",
        tuple(shown),
        log="xy",
        note="The cloud rises, and its right end does not.",
    )
    measured = {
        "mean Spearman with the variance, hardest 5 %": float(np.mean(top, 0)[0]),
        "with mutual information, hardest 5 %": float(np.mean(top, 0)[1]),
        "with -margin, all": mean[0],
        "with the variance, all": mean[1],
        "with mutual information, all": mean[2],
        "share of the variance in the error": float(np.mean(share)),
    }
    high = interval.high if np.isfinite(interval.high) else float(np.mean(top, 0)[0])
    return Finding(bool(mean[0] > 0.95 and mean[1] > 0.9 and high < 0.5), measured, figure, interval)


@proposition(
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
def interpolation(trial: Trial) -> Finding:
    """5, 30 and 120 epochs."""
    x, y = digits()
    lengths = (5, 30, 120)
    seen, held_out = np.zeros((trial.runs, 3)), np.zeros((trial.runs, 3))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        at = rng.choice(len(y), 600, replace=False)
        given = relabelled(y[at], uniform_flips(10, 0.2), rng)
        wrong = given != y[at]
        for k, epochs in enumerate(lengths):
            d, more = _measured(x[at], given, seed, "rho", repeats=2, hidden=(128,), epochs=epochs, weight_decay=0.0)
            # rho is the training loss less the held-out one.
            seen[run, k], held_out[run, k] = _auc(more["rho"] + d.error, wrong), _auc(d.error, wrong)
    change = seen[:, -1] - seen[:, 0]
    interval = intervals.of_mean(change)
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


@proposition(
    "larger-models-fewer-hard",
    statement="Larger models find fewer samples hard: difficulty is relative to capacity.",
    source=f"Selective DPO (2502.09650) finds it for language models; {_DIGITS}",
    kind="statistical",
    expected="share of samples with an error above log 2 falls from width 2 to width 64, interval below zero",
    limits="Digits without noise, perceptrons of one hidden layer.",
    runs=2,
    full_runs=8,
)
def larger(trial: Trial) -> Finding:
    """Widths 2, 4, 8, 16 and 64."""
    x, y = digits()
    widths = (2, 4, 8, 16, 64)
    shares = np.zeros((trial.runs, len(widths)))
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        at = rng.choice(len(y), 600, replace=False)
        for k, width in enumerate(widths):
            d, _ = _measured(x[at], y[at], seed, repeats=2, hidden=(width,))
            shares[run, k] = float((d.error > np.log(2)).mean())
    change = shares[:, -1] - shares[:, 0]
    interval = intervals.of_mean(change)
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
    x, y = digits()
    found: dict[str, list[float]] = {}
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        order = rng.permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        if noisy:
            given = relabelled(y[train], uniform_flips(10, 0.2), rng)
        else:
            train = train[long_tailed(y[train], 50, rng, largest=85)]
            given = y[train]
        d, _ = _measured(x[train], given, seed, repeats=2)
        weightings = {
            "hard-first": np.clip(d.error / d.error.mean(), 0.02, 50),
            "uniform": weigh(d, "uniform"),
            "easy-first": np.clip(np.exp(-d.error / d.error.mean()), 0.02, 50),
        }
        for name, w in weightings.items():
            told = predictions(x[train], given, x[test], seed, w / w.mean(), hidden=(64,), epochs=60, weight_decay=1e-4)
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


@proposition(
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
    interval = intervals.of_mean(gain)
    measured = {"easy-first - uniform, mean": float(gain.mean()), "hard-first - uniform, mean": float(harm.mean())}
    figure = _ranked(found, names, "Easy-first wins, hard-first loses.")
    return Finding(bool(interval.low > 0 and harm.max() < 0), measured, figure, interval)


@proposition(
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
    interval = intervals.of_mean(harm)
    measured = {"uniform - easy-first, mean": float(harm.mean()), "hard-first - uniform, mean": float(gain.mean())}
    figure = _ranked(found, names, "Hard-first wins, easy-first loses.")
    return Finding(bool(interval.low > 0 and gain.mean() > 0), measured, figure, interval)
