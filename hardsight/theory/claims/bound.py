"""The weighted margin bound of generalization: that it holds, how little it says, how its first term can be gamed."""

import numpy as np
import torch

from hardsight.theory.claim import Figure, Finding, Series, Trial, bound_claim, exact_claim
from hardsight.theory.claims.ensembles import max_gap, random_log_probs, record_held_out
from hardsight.theory.flows import minimise_loss
from hardsight.weights import describe
from hardsight.weights.schemes import sampling

_THEOREM_2 = "Theorem 2, after Zhou et al. 2022 and Xu et al. 2021, as reconstructed"


def _draw_overlapping_classes(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two isotropic overlapping classes in five dimensions: ``x``, and labels -1 and 1."""
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    x = rng.normal(size=(n, 5))
    x[:, 0] += y
    return x, y


def first_term(violated: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean over samples of p_t/p~_s where the margin is violated; p~_s is proportional to the weights."""
    return float((violated / (weights / weights.mean())).mean())


def _shift_term(weights: np.ndarray) -> float:
    """Return D_chi2(P_t || P~_s) + 1 on the samples: the mean of 1/w for weights of mean one."""
    return float((weights.mean() / weights).mean())


@exact_claim(
    "first-term-is-gamed",
    statement="The first term of the weighted margin bound falls below the true error if samples that violate the "
    "margin get more weight, with the same model: a smaller first term is not an improvement.",
    source=f"derived here; it is about {_THEOREM_2}",
    expected="the term falls with every increase of the weight of violators, in the end below the test error, while "
    "the model and its test error stay the same and chi2 grows",
    limits="Read literally, with samples drawn from P_s and weights in the denominator; see first-term-honest for "
    "the other reading.",
    runs=6,
)
def first_term_is_gamed(trial: Trial) -> Finding:
    """One model per scenario; its violators get weight 1, 2, 5 and 20."""
    factors = [1.0, 2.0, 5.0, 20.0]
    terms, shifts, errors = [], [], []
    for rng in trial.rngs:
        x, y = _draw_overlapping_classes(400, rng)
        theta = minimise_loss(y[:, None] * x, np.full(400, 1 / 400), 1e-3)
        theta /= np.linalg.norm(theta)
        violated = y * (x @ theta) < 0.3
        test_x, test_y = _draw_overlapping_classes(20_000, rng)
        errors.append(float((test_y * (test_x @ theta) <= 0).mean()))
        weights = [np.where(violated, factor, 1.0) for factor in factors]
        terms.append([first_term(violated, w) for w in weights])
        shifts.append([_shift_term(w) for w in weights])
    term_matrix, chi2 = np.array(terms), np.array(shifts)
    figure = Figure(
        "weight of violators",
        "mean over scenarios",
        (
            Series("first term", factors, term_matrix.mean(0).tolist()),
            Series("test error", factors, [float(np.mean(errors))] * 4),
            Series("shift: D(chi2) + 1", factors, chi2.mean(0).tolist()),
        ),
        log="xy",
        note="The term falls below the true error, which does not change.",
    )
    falls = bool((np.diff(term_matrix, axis=1) < 0).all() and (np.diff(chi2, axis=1) > 0).all())
    measured = {
        "first term, weight 20, mean": float(term_matrix[:, -1].mean()),
        "first term, uniform, mean": float(term_matrix[:, 0].mean()),
        "test error, mean": float(np.mean(errors)),
    }
    return Finding(bool(falls and bool((term_matrix[:, -1] < np.array(errors)).all())), measured, figure)


@exact_claim(
    "first-term-honest",
    statement="If the samples were drawn by the weights, the expectation of the first term would not depend on them: it "
    "is the rate of margin violations.",
    source="importance sampling; derived here",
    expected="largest gap 1e-12 or less; weights from the library's correction",
    limits="Its variance does depend on the weights.",
    runs=50,
)
def first_term_honest(trial: Trial) -> Finding:
    """Finite populations with arbitrary probabilities: expectations are sums."""
    gaps, rates, terms = [], [], []
    for rng in trial.rngs:
        n = int(rng.integers(20, 200))
        violated, probabilities = rng.random(n) < rng.uniform(0.05, 0.6), rng.uniform(0.05, 5, n)
        correction = sampling.correction(torch.from_numpy(probabilities)).numpy()
        rates.append(float(violated.mean()))
        terms.append(float((probabilities / probabilities.sum()) @ (correction * violated)))
        gaps.append(abs(terms[-1] - rates[-1]))
    figure = Figure(
        "violation rate",
        "expected first term under drawn weights",
        (Series("population", rates, terms, "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-12), {"largest gap": max_gap(gaps)}, figure)


@bound_claim(
    "margin-bound",
    statement="Test error is at most the reweighted rate of margin violations plus L sqrt(chi2 + 1)/(gamma sqrt n) plus "
    "a confidence term.",
    source=_THEOREM_2,
    expected="the sum is at least the test error on every draw",
    limits="With 1,000 samples or fewer the sum is above one: the bound holds but is vacuous. At best it compares "
    "settings; the effect of weights must be measured. Constants are quoted from memory.",
    runs=2,
    full_runs=40,
)
def margin_bound(trial: Trial) -> Finding:
    """Linear models (depth one), four weightings, 100 to 5,000 samples."""
    slack, sizes = [], [100, 1000, 5000]
    totals: dict[str, list[float]] = {"bound": [], "error": []}
    for rng in trial.rngs:
        for n in sizes:
            x, y = _draw_overlapping_classes(n, rng)
            first_feature_margin = y * x[:, 0]
            test_x, test_y = _draw_overlapping_classes(10_000, rng)
            for w in (
                np.ones(n),
                np.exp(-np.clip(first_feature_margin, -2, 2)),
                np.exp(np.clip(first_feature_margin, -2, 2)),
                rng.uniform(0.2, 5, n),
            ):
                theta = minimise_loss(y[:, None] * x, w / w.sum(), 1e-3)
                theta /= np.linalg.norm(theta)
                error = float((test_y * (test_x @ theta) <= 0).mean())
                radius, gamma = float(np.linalg.norm(x, axis=1).max()), 0.5
                confidence = np.sqrt(np.log(np.log2(4 * radius / gamma)) / n) + np.sqrt(np.log(1 / 0.05) / n)
                complexity = radius * np.sqrt(_shift_term(w)) / (gamma * np.sqrt(n))
                total = first_term(y * (x @ theta) < gamma, w) + complexity + confidence
                slack.append(total - error)
                totals["bound"].append(total)
                totals["error"].append(error)
    by_size = {name: np.array(each).reshape(-1, 3, 4).mean((0, 2)).tolist() for name, each in totals.items()}
    figure = Figure(
        "samples",
        "mean",
        (Series("bound", sizes, by_size["bound"]), Series("test error", sizes, by_size["error"])),
        log="xy",
        rule=1.0,
        note="A bound above one is vacuous.",
    )
    measured = {
        "smallest slack": float(np.min(slack)),
        "share of draws with a bound above 1": float(np.mean(np.array(totals["bound"]) > 1)),
    }
    return Finding(bool(np.min(slack) >= 0), measured, figure)


@exact_claim(
    "violations-are-errors",
    statement="The probability over models that a sample's margin is not positive is its 0-1 error: in expectation over "
    "training, the quantity that the bound's first term weights is the generalization error.",
    source="Proposition 6, after Zhou et al. 2022, as reconstructed",
    expected="largest gap 1e-12 or less at a margin of 0; never below it at a positive margin",
    limits="For models that did not see the sample; for models that did it is the training error.",
    runs=50,
)
def violations_are_errors(trial: Trial) -> Finding:
    """Random ensembles of two to six classes."""
    gaps, above, rates, errors = [], [], [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 12)), int(rng.integers(2, 7))
        views = random_log_probs(rng, members, 20, classes)
        y = torch.from_numpy(rng.integers(0, classes, 20))
        own = views[:, torch.arange(20), y]
        others = views.clone()
        others[:, torch.arange(20), y] = -torch.inf
        margin = own - others.amax(2)
        error = record_held_out(views, y, classes).decompose("zero-one").error
        gaps.append(float(((margin <= 0).double().mean(0) - error).abs().max()))
        above.append(float(((margin < 0.5).double().mean(0) - error).min()))
        rates += (margin <= 0).double().mean(0).tolist()
        errors += error.tolist()
    figure = Figure(
        "probability of a margin of zero or less",
        "0-1 error",
        (Series("sample", rates[:300], errors[:300], "point"),),
        note="All points lie on the diagonal.",
    )
    measured = {"largest gap": max_gap(gaps), "smallest excess at margin 0.5": float(np.min(above))}
    return Finding(bool(max_gap(gaps) <= 1e-12 and np.min(above) >= -1e-12), measured, figure)


@exact_claim(
    "effective-size-is-chi2",
    statement="For weights of mean one, D_chi2 between the weighted and the unweighted samples is mean(w²) - 1 = n/ESS - 1.",
    source="Kish 1965; definition of D_chi2",
    expected="largest relative gap 1e-12 or less; zero and n for uniform weights",
    limits="The other direction, D_chi2(P_t || P~_s), is mean(1/w) - 1, which the bound uses.",
    runs=50,
)
def effective_size_is_chi2(trial: Trial) -> Finding:
    """Random weights, and the library's effective sample size."""
    gaps, shifts, sizes = [], [], []
    for rng in trial.rngs:
        n = int(rng.integers(10, 500))
        w = rng.gamma(rng.uniform(0.2, 5), 1.0, n) + 1e-6
        w /= w.mean()
        share = w / n
        divergence = float((np.square(share * n) / n).sum() - 1)
        gaps.append(abs(n / describe.effective_sample_size(w) - 1 - divergence) / (1 + divergence))
        gaps.append(abs(describe.effective_sample_size(np.ones(n)) - n))
        shifts.append(divergence)
        sizes.append(describe.effective_sample_size(w) / n)
    figure = Figure(
        "D(chi2)", "effective sample size / n", (Series("weights", shifts, sizes, "point"),), log="x", note="1/(1 + D)."
    )
    return Finding(bool(max_gap(gaps) <= 1e-12), {"largest gap": max_gap(gaps)}, figure)
