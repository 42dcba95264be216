"""The published experiments on images, for any study: scikit-learn's digits, or the user's copy of CIFAR-10."""

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from hardsight.theory import intervals
from hardsight.theory.claim import ClaimDefinition, Figure, Finding, Interval, Series, Trial, define_claim
from hardsight.theory.curves import measure_training_curve
from hardsight.theory.image_study import ImageStudy, measure_images
from hardsight.theory.scenarios import flip_labels, subsample_long_tail, uniform_transition

_MAX_POINTS = 2000


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score))


def _deciding_interval(values: np.ndarray, study: ImageStudy) -> Interval:
    """Return the interval whose ends decide; for a study with one run, the mean itself."""
    interval = intervals.mean_interval(values)
    return Interval(float(values.mean()), float(values.mean())) if study.runs == 1 else interval


def _reported_interval(interval: Interval, study: ImageStudy) -> Interval | None:
    return None if study.runs == 1 else interval


def _join_values(values: tuple[float, ...], form: str) -> str:
    *first, last = (form.format(value) for value in values)
    return f"{', '.join(first)} and {last}" if first else last


def flips_by_error(study: ImageStudy) -> ClaimDefinition:
    """Define the claim on the error of noisy and of clean samples."""

    @define_claim(
        "flips-by-error",
        statement="Flipped labels have the larger error; the variance alone, or mutual information alone, does not find "
        "them.",
        source=f"Proposition 2, after Zhou et al. 2022, as reconstructed; measured here on {study.name}",
        kind="statistical",
        expected=f"mean AUROC of the error above {study.auc:g} at {_join_values(study.rates, '{:.0%}')} of flips, lower end "
        "of the interval included; that of the variance between 0.3 and 0.7",
        limits=f"{study.name}: {study.setting}. The mean log-loss of noisy and of clean labels is reported, too."
        f"{study.note}",
        **study.counts(2, 10),
    )
    def test(trial: Trial) -> Finding:
        """A share of the labels, any other class."""
        x, y = study.images()
        rates, classes = study.rates, int(y.max()) + 1
        aurocs = {name: np.zeros((trial.runs, len(rates))) for name in ("error", "variance", "mutual information")}
        means = np.zeros((trial.runs, len(rates), 2))
        for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
            for k, rate in enumerate(rates):
                noisy_labels = flip_labels(y, uniform_transition(classes, rate), rng)
                d, measures = measure_images(x, noisy_labels, seed, "bald", network=study.network, repeats=study.repeats)
                wrong = noisy_labels != y
                scores = (d.error, d.variance, measures["bald"])
                for name, score in zip(aurocs, scores, strict=True):
                    aurocs[name][run, k] = auc(score, wrong)
                means[run, k] = d.error[wrong].mean(), d.error[~wrong].mean()
        interval = _deciding_interval(aurocs["error"].mean(1), study)
        figure = Figure(
            "share of labels flipped",
            "AUROC for flipped labels",
            tuple(
                Series(name, list(rates), each.mean(0).tolist(), "line" if len(rates) > 1 else "point")
                for name, each in aurocs.items()
            ),
            rule=0.5,
            note="The error finds them; disagreement of models does not.",
        )
        of_variance = aurocs["variance"].mean(0)
        measured = {
            "mean AUROC of the error": float(aurocs["error"].mean()),
            "mean AUROC of the variance": float(of_variance.mean()),
            "mean AUROC of mutual information": float(aurocs["mutual information"].mean()),
            "mean error, flipped (nats)": float(means[..., 0].mean()),
            "mean error, clean (nats)": float(means[..., 1].mean()),
        }
        holds = interval.low > study.auc and of_variance.min() > 0.3 and of_variance.max() < 0.7
        return Finding(bool(holds), measured, figure, _reported_interval(interval, study))

    return test


def long_tail_error(study: ImageStudy) -> ClaimDefinition:
    """Define the claim on the error of each class of a long tail."""

    @define_claim(
        "long-tail-error",
        statement="In a long tail the mean error of a class rises as its size falls, mostly through the bias.",
        source=f"Proposition 3, after Zhou et al. 2022, as reconstructed; measured here on {study.name}",
        kind="statistical",
        expected="mean Spearman of class size and mean error below -0.5, upper end of the interval included; bias above "
        "half of the difference between the three rarest and the three most frequent classes",
        limits=f"{study.name} with {_join_values(study.factors, '{:g}:1')} classes, the order of the classes drawn anew in "
        f"each run; {study.setting}. Some classes are hard at any size.{study.note}",
        **study.counts(6, 15),
    )
    def test(trial: Trial) -> Finding:
        """Each factor in turn."""
        x, y = study.images()
        classes = int(y.max()) + 1
        ranks, by_bias, series = [], [], []
        for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
            factor = study.factors[run % len(study.factors)]
            rows = subsample_long_tail(y, factor, rng, study.largest)
            d, _ = measure_images(x[rows], y[rows], seed, network=study.network, repeats=study.repeats)
            sizes = np.bincount(y[rows], minlength=classes)
            error, bias = (np.array([part[y[rows] == c].mean() for c in range(classes)]) for part in (d.error, d.bias))
            ranks.append(float(spearmanr(sizes, error).statistic))
            order = np.argsort(sizes)
            of_bias, of_error = (part[order[:3]].mean() - part[order[-3:]].mean() for part in (bias, error))
            by_bias.append(float(of_bias / of_error))
            if run < len(study.factors):
                series.append(Series(f"{factor:g}:1", sizes[order].tolist(), error[order].tolist(), "point"))
        interval = _deciding_interval(np.array(ranks), study)
        figure = Figure(
            "samples of the class",
            "mean error of the class (nats)",
            tuple(series),
            log="xy",
            note="Rare classes are harder.",
        )
        measured = {
            "mean Spearman of size and error": float(np.mean(ranks)),
            "mean share of the bias": float(np.mean(by_bias)),
        }
        holds = interval.high < -0.5 and np.mean(by_bias) > 0.5
        return Finding(bool(holds), measured, figure, _reported_interval(interval, study))

    return test


def margin_and_uncertainty(study: ImageStudy) -> ClaimDefinition:
    """Define the claim on the error against the mean margin and the epistemic uncertainty."""

    @define_claim(
        "margin-and-uncertainty",
        statement="Over all samples the error correlates with the negative mean margin, the variance and mutual "
        "information; among the hardest 5 % it hardly correlates with the latter two, and not always in one direction.",
        source=f"the experiments of Zhou et al. 2022, as reconstructed (mixed signs); measured here on {study.name}",
        kind="statistical",
        expected=f"mean Spearman over all above {study.margin:g} with the margin and {study.variance:g} with the variance; "
        "among the hardest 5 % below 0.5 with the variance, upper end of the interval included",
        limits=f"{study.name} with the labels as they are: {study.setting}. The variance is a small part of the error of "
        f"most samples and cannot stand for it.{study.note}",
        **study.counts(4, 12),
    )
    def test(trial: Trial) -> Finding:
        """All samples, and the hardest twentieth."""
        x, y = study.images()
        ranks_all, ranks_hardest, share, series = [], [], [], []
        for seed in trial.seeds:
            d, measures = measure_images(x, y, seed, "aum", "bald", network=study.network, repeats=study.views)
            hardest = d.ranking[: len(d) // 20]
            ranks_all.append([_spearman(d.error, other) for other in (measures["aum"], d.variance, measures["bald"])])
            ranks_hardest.append([_spearman(d.error[hardest], other[hardest]) for other in (d.variance, measures["bald"])])
            share.append(float(d.variance.sum() / d.error.sum()))
            rest = np.setdiff1d(np.arange(len(d)), hardest)[::4]
            series = [
                Series(name, d.error[rows].tolist(), np.maximum(d.variance[rows], 1e-8).tolist(), "point")
                for name, rows in (("other samples", _thin(rest)), ("hardest 5 %", _thin(hardest)))
            ]
        interval = _deciding_interval(np.array(ranks_hardest)[:, 0], study)
        mean = np.mean(ranks_all, 0)
        figure = Figure(
            "error (nats)", "variance (nats)", tuple(series), log="xy", note="The cloud rises, but its right end does not."
        )
        measured = {
            "mean Spearman with the variance, hardest 5 %": float(np.mean(ranks_hardest, 0)[0]),
            "with mutual information, hardest 5 %": float(np.mean(ranks_hardest, 0)[1]),
            "with -margin, all": mean[0],
            "with the variance, all": mean[1],
            "with mutual information, all": mean[2],
            "share of the variance in the error": float(np.mean(share)),
        }
        holds = mean[0] > study.margin and mean[1] > study.variance and interval.high < 0.5
        return Finding(bool(holds), measured, figure, _reported_interval(interval, study))

    return test


def _spearman(error: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(error, other).statistic)


def _thin(rows: np.ndarray) -> np.ndarray:
    return rows[:: -(-len(rows) // _MAX_POINTS)]


def easy_first_trains_slower(study: ImageStudy) -> ClaimDefinition:
    """Define the claim on training under uniform, hard-first and easy-first weights."""

    @define_claim(
        "easy-first-trains-slower",
        statement="A network gets its training samples right later with easy-first weights than with uniform ones.",
        source=f"the convergence experiments of Zhou et al. 2022, as reconstructed; measured here on {study.name}",
        kind="statistical",
        expected="mean difference of the share of training samples predicted wrong, easy-first - uniform, over moments "
        "from a fortieth of the training on, above zero, interval included",
        limits=f"{study.name} with the labels as they are: {study.setting}. Weights are the error, its root and "
        "exp(-error/mean), clipped to 0.02 … 50 times the mean; errors of the same samples. Paired: the same initial "
        "weights and batches. The two hard-first weightings are told, not asserted, and so is the mean loss, which uniform "
        f"weights make least by what they are.{study.note}",
        **study.counts(2, 10),
    )
    def test(trial: Trial) -> Finding:
        """All samples; errors by the same kind of network."""
        x, y = study.images()
        moments = np.geomspace(1 / 40, 1, 12).tolist()
        names = ("uniform", "error", "root of the error", "easy-first")
        curves = np.zeros((trial.runs, len(names), 2, len(moments)))
        for run, seed in enumerate(trial.seeds):
            d, _ = measure_images(x, y, seed, network=study.network, repeats=study.repeats)
            relative = d.error / d.error.mean()
            for k, w in enumerate((np.ones(len(y)), relative, relative**0.5, np.exp(-relative))):
                weights = np.clip(w / w.mean(), 0.02, 50)
                curves[run, k] = measure_training_curve(x, y, weights, network=study.network, moments=moments, seed=seed)
        losses, wrong = curves.mean(3).transpose(2, 0, 1)
        excess = wrong - wrong[:, :1]
        interval = _deciding_interval(excess[:, 3], study)
        figure = Figure(
            "share of the training",
            "share of training samples predicted wrong",
            tuple(Series(name, moments, curves[:, k, 1].mean(0).tolist()) for k, name in enumerate(names)),
            log="x",
            note="The easy-first line lies above the uniform one.",
        )
        measured = {
            "share wrong, easy-first - uniform": float(excess[:, 3].mean()),
            "share wrong, error - uniform": float(excess[:, 1].mean()),
            "share wrong, root of the error - uniform": float(excess[:, 2].mean()),
            "share wrong, uniform": float(wrong[:, 0].mean()),
            **{f"mean loss, {name}": float(losses[:, k].mean()) for k, name in enumerate(names)},
        }
        return Finding(bool(interval.low > 0), measured, figure, _reported_interval(interval, study))

    return test


STUDIED: dict[str, Callable[[ImageStudy], ClaimDefinition]] = {
    "flips-by-error": flips_by_error,
    "long-tail-error": long_tail_error,
    "margin-and-uncertainty": margin_and_uncertainty,
    "easy-first-trains-slower": easy_first_trains_slower,
}
"""Functions that define the claims of a study, by name."""
