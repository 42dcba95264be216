"""Estimation of the error, its parts and classic scores from a limited number of held-out views."""

from itertools import product

import numpy as np
import torch
from scipy.stats import spearmanr

from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.measures.record import Record
from hardsight.resampling.splitters import LeaveOneOut, Subsets
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, exact_claim, statistical_claim
from hardsight.theory.claims.ensembles import max_gap, random_log_probs, record_held_out
from hardsight.theory.scenarios import GaussianMixture, load_digit_images


def _draw_three_classes(n: int, rng: np.random.Generator) -> tuple[GaussianMixture, np.ndarray, np.ndarray]:
    mixture = GaussianMixture(1.5 * np.eye(3, 4) + 0.2 * rng.normal(size=(3, 4)), np.full(3, 1 / 3))
    x, y = mixture.draw(n, rng)
    return mixture, x, y


@exact_claim(
    "c-score-is-error",
    statement="One minus the C-score of a sample is its held-out 0-1 error; its memorization is the held-out error "
    "minus that of models trained on it.",
    source="Jiang et al. 2021; Feldman & Zhang 2020; the identity is by definition",
    expected="largest gap 1e-12 or less, between hs.Record, hs.measure and both sides counted from the views",
    limits="For one size of the training sets; the C-score of the paper is a mean over sizes.",
    runs=3,
)
def c_score_is_error(trial: Trial) -> Finding:
    """Logistic regressions on random subsets."""
    gaps, scores, errors = [], [], []
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        _, x, y = _draw_three_classes(60, rng)
        record = Record(["c-score"], members=True)
        d = measure(
            x, y, learner="logistic", loss="zero-one", splits=Subsets(members=20, ratio=0.6), estimate=Estimate(pilot=False),
            refine=False, record=record, seed=seed,
        )  # fmt: skip
        score = record.measure("c-score").to_numpy()
        gaps.append(max_gap(np.abs(score - d.error).tolist()))
        scores += score.tolist()
        errors += d.error.tolist()
    memorization_gap = _memorization_gap(trial)
    figure = Figure(
        "held-out 0-1 error by hs.measure",
        "1 - C-score by hs.Record",
        (Series("sample", errors, scores, "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(
        bool(max_gap([*gaps, memorization_gap]) <= 1e-12), {"largest gap": max_gap([*gaps, memorization_gap])}, figure
    )


def _memorization_gap(trial: Trial) -> float:
    """Return the largest gap of the record's memorization to held-out minus in-sample error, on random views."""
    gaps = []
    for rng in trial.rngs:
        views, y = random_log_probs(rng, 12, 30, 4), torch.from_numpy(rng.integers(0, 4, 30))
        is_held_out = torch.from_numpy(rng.random((12, 30)) < 0.5)
        is_held_out[:2], is_held_out[2:4] = True, False
        record = Record(["memorization"], members=True)
        for member, view in enumerate(views):
            for mask in (True, False):
                rows = torch.nonzero(is_held_out[member] == mask).squeeze(1)
                if len(rows):
                    record.add(view=member, ids=rows.numpy(), logits=view[rows], labels=y[rows], held_out=mask)
        wrong = (views.argmax(2) != y).double()
        expected = (wrong * is_held_out).sum(0) / is_held_out.sum(0) - (wrong * ~is_held_out).sum(0) / (~is_held_out).sum(0)
        gaps.append(float(np.abs(record.measure("memorization").to_numpy() - expected.numpy()).max()))
    return max_gap(gaps)


@exact_claim(
    "few-views",
    statement="The error is unbiased for every number of views; the plain variance over M views is too small by the factor "
    "(M - 1)/M, exactly so for the Brier score, to first order for log-loss, and the factor M/(M - 1) corrects this.",
    source="derived here; Yang et al. 2020 use the factor",
    expected="expectations over all M-tuples of 6 predictions: error and corrected Brier variance within 1e-12 of the "
    "whole population's; corrected log-loss variance nearer than the plain one at every M",
    limits="Views drawn independently. The members of one repeat share data and are not independent.",
    runs=3,
)
def few_views(trial: Trial) -> Finding:
    """All tuples of two, three and four predictions, each through the library's record."""
    exact, nearer, shown = [], [], {}
    for rng in trial.rngs:
        population = random_log_probs(rng, 6, 1, 3)[:, 0]
        y = torch.tensor([0])
        parts_of_population = {loss: record_held_out(population[:, None], y, 3).decompose(loss) for loss in ("log", "brier")}
        limit = {loss: float(parts.variance) * 5 / 6 for loss, parts in parts_of_population.items()}
        curve, plain = [], []
        for m in (2, 3, 4):
            tuples = torch.tensor(list(product(range(6), repeat=m)))
            views, labels = population[tuples].transpose(0, 1), y.expand(len(tuples))
            record = record_held_out(views.contiguous(), labels.contiguous(), 3)
            for loss in ("log", "brier"):
                parts = record.decompose(loss)
                exact.append(abs(float(parts.error.mean() - parts_of_population[loss].error)))
                mean = float(parts.variance.mean())
                if loss == "brier":
                    exact.append(abs(mean - limit[loss]))
                else:
                    curve.append(mean)
                    plain.append(mean * (m - 1) / m)
                    nearer.append(abs(curve[-1] - limit[loss]) < abs(plain[-1] - limit[loss]))
        shown = {"corrected": curve, "plain": plain, "limit": [limit["log"]] * 3}
    figure = Figure(
        "views M",
        "expected variance (nats)",
        tuple(Series(name, [2, 3, 4], values) for name, values in shown.items()),
        note="The plain variance rises to its limit; the corrected one is near it at once.",
    )
    measured = {
        "largest gap of what is exact": max_gap(exact),
        "cases where the correction is nearer": float(np.mean(nearer)),
    }
    return Finding(bool(max_gap(exact) <= 1e-12 and all(nearer)), measured, figure)


@exact_claim(
    "held-out-knows-no-target",
    statement="Held-out predictions of a sample do not depend on its own target: changing the target changes the sample's "
    "leave-one-out error, but not its leave-one-out prediction. An in-sample prediction follows the target.",
    source="definition of the generalization error of a sample",
    expected="largest change of a leave-one-out prediction 1e-10 or less, of an in-sample one more than 0.01",
    limits="Regression. For classes, the ridge learner's probabilities share one scale that is chosen by all "
    "held-out losses, including the sample's own.",
    runs=2,
)
def held_out_knows_no_target(trial: Trial) -> Finding:
    """Ridge in closed form; ten targets of each scenario are raised, one at a time."""
    changes, in_sample_changes, before_after = [], [], []
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        x = rng.normal(size=(40, 4))
        y = x @ rng.normal(size=4) + rng.normal(size=40)
        before = measure(x, y, learner="ridge", splits=LeaveOneOut(), seed=seed)
        for i in range(10):
            changed = y.copy()
            changed[i] += 3
            after = measure(x, changed, learner="ridge", splits=LeaveOneOut(), seed=seed)
            changes.append(abs(float(after.predicted[i] - before.predicted[i])))
            in_sample_changes.append(abs(float(_in_sample_predictions(x, changed)[i] - _in_sample_predictions(x, y)[i])))
            before_after.append((float(before.error[i]), float(after.error[i])))
    figure = Figure(
        "squared error with its own target",
        "squared error with the changed target",
        (Series("sample", [a for a, _ in before_after], [b for _, b in before_after], "point"),),
        note="The error follows the target; the prediction does not.",
    )
    measured = {
        "largest change of a leave-one-out prediction": max_gap(changes),
        "smallest change of an in-sample one": min(in_sample_changes),
    }
    return Finding(bool(max_gap(changes) <= 1e-10 and min(in_sample_changes) > 0.01), measured, figure)


def _in_sample_predictions(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import Ridge

    predictions: np.ndarray = Ridge(alpha=1.0).fit(x, y).predict(x)
    return predictions


@statistical_claim(
    "error-finds-true-difficulty",
    statement="The measured error ranks samples like their true difficulty, the log-loss of the Bayes posterior.",
    source="definition of the error; a world with known posterior",
    expected="mean Spearman correlation above 0.95, lower end of the interval included",
    limits="Gaussian classes; logistic regression, which can represent the truth; 500 samples.",
    runs=4,
    full_runs=30,
)
def error_finds_true_difficulty(trial: Trial) -> Finding:
    """Five folds, ten repeats."""
    ranks: list[float] = []
    points: tuple[list[float], list[float]] = ([], [])
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        mixture, x, y = _draw_three_classes(500, rng)
        d = measure(
            x,
            y,
            learner="logistic",
            folds=5,
            repeats=5,
            estimate=Estimate(adjusted=False, pilot=False),
            refine=False,
            seed=seed,
        )
        true = -mixture.log_posterior(x)[np.arange(len(y)), y]
        ranks.append(float(spearmanr(d.error, true).statistic))
        points = (true[:300].tolist(), d.error[:300].tolist())
    interval = intervals.mean_interval(ranks)
    figure = Figure(
        "log-loss of the Bayes posterior (nats)",
        "measured error (nats)",
        (Series("sample", *points, "point"),),
        note="Close to the diagonal.",
    )
    return Finding(bool(interval.low > 0.95), {"mean Spearman": float(np.mean(ranks))}, figure, interval)


@statistical_claim(
    "more-folds-less-error",
    statement="With more folds, hence more training data, the error falls, while the ranking stays nearly the same.",
    source="expected by theory; measured here",
    expected="mean error at 2 folds minus at 10 above zero, interval included; Spearman of the two rankings above 0.8",
    limits="Digits, 600 of the samples, logistic regression.",
    runs=3,
    full_runs=20,
)
def more_folds_less_error(trial: Trial) -> Finding:
    """2, 5 and 10 folds."""
    x, y = load_digit_images()
    saved, ranks, means = [], [], []
    for rng, seed in zip(trial.rngs, trial.seeds, strict=True):
        rows = rng.choice(len(y), 600, replace=False)
        errors = [
            measure(
                x[rows],
                y[rows],
                learner="logistic",
                folds=folds,
                repeats=repeats,
                estimate=Estimate(adjusted=False),
                refine=False,
                seed=seed,
            ).error
            for folds, repeats in ((2, 10), (5, 6), (10, 4))
        ]
        means.append([float(each.mean()) for each in errors])
        saved.append(means[-1][0] - means[-1][2])
        ranks.append(float(spearmanr(errors[0], errors[2]).statistic))
    interval = intervals.mean_interval(saved)
    figure = Figure(
        "folds",
        "mean error (nats)",
        tuple(Series(f"draw {k + 1}", [2, 5, 10], each) for k, each in enumerate(means[:4])),
        note="All lines fall.",
    )
    measured = {
        "mean error at 2 folds - at 10 (nats)": float(np.mean(saved)),
        "mean Spearman of the rankings": float(np.mean(ranks)),
    }
    return Finding(bool(interval.low > 0 and np.mean(ranks) > 0.8), measured, figure, interval)
