"""The Bradley–Terry learner against scikit-learn's logistic regression and its own reversal."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import hardsight as hs
from hardsight.learners.linear.bradley_terry import BradleyTerry
from hardsight.resampling.plan import Plan
from hardsight.resampling.splitters import KFold


def pairs(n: int = 80, seed: int = 0) -> hs.Samples:
    rng = np.random.default_rng(seed)
    difference = rng.normal(size=(n, 4)) * [1, 5, 0.1, 1]
    label = (rng.random(n) < 1 / (1 + np.exp(-difference @ [1.0, 0.1, 5.0, 0.0]))).astype(int)
    return hs.Samples.of(difference, label)


def plan_of(samples: hs.Samples) -> Plan:
    blocks = np.arange(len(samples))
    rounds = KFold(4, 2).split(samples.labels, blocks, np.random.SeedSequence(0))
    return Plan(rounds, blocks, 2, 0)


def predict(learner: BradleyTerry, samples: hs.Samples) -> np.ndarray:
    """Held-out log-probabilities, ``(sample, 2)``."""
    values = np.full((len(samples), 2), np.nan)
    for part in learner.fit_predict(samples, plan_of(samples), lambda _: None):
        values[part.rows.numpy()] = part.values.numpy()
    return values


def test_members_minimise_their_penalised_loss() -> None:
    samples = pairs()
    weights = np.random.default_rng(1).random(80)
    weighted = replace(samples, weights=weights / weights.mean())
    part = next(BradleyTerry(2.0, scale_each=True).fit_predict(weighted, plan_of(samples), lambda _: None))
    train = np.setdiff1d(np.arange(80), part.rows.numpy())
    X, sign, w = samples.matrix[train].astype(float), 2 * samples.labels[train] - 1, weights[train] / weights[train].mean()
    size = np.sqrt((X**2).mean(0))

    def objective(slopes: np.ndarray) -> float:
        return float((w * np.logaddexp(0, -sign * (X / size @ slopes))).sum() + slopes @ slopes)

    slopes = minimize(objective, np.zeros(4), tol=1e-12).x
    score = samples.matrix[part.rows.numpy()] / size @ slopes
    torch.testing.assert_close(part.values[:, 1], torch.from_numpy(-np.logaddexp(0, -score)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("penalty", [3.0, None])
def test_pairs_in_reverse_order_have_the_opposite_predictions(penalty) -> None:
    samples = pairs()
    turned = np.random.default_rng(2).random(80) < 0.5
    sign = np.where(turned, -1.0, 1.0)[:, None]
    # The same labels in the split, which stratifies by them.
    other = hs.Samples.of(samples.matrix * sign, np.where(turned, 1 - samples.labels, samples.labels))
    learner = BradleyTerry(penalty)
    plan = plan_of(samples)
    for mine, theirs in zip(
        learner.fit_predict(samples, plan, lambda _: None), learner.fit_predict(other, plan, lambda _: None), strict=True
    ):
        flip = torch.from_numpy(turned)[mine.rows]
        torch.testing.assert_close(
            torch.where(flip[:, None], mine.values.flip(1), mine.values), theirs.values, atol=1e-6, rtol=0
        )


def test_the_penalty_is_stronger_where_features_say_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = hs.Samples.of(rng.normal(size=(100, 30)), rng.integers(0, 2, 100))
    assert np.abs(predict(BradleyTerry(), noise) + np.log(2)).max() < 0.2


def test_only_two_classes() -> None:
    with pytest.raises(hs.InputError, match=r"pass them to hs\.measure_preferences"):
        hs.measure(np.eye(9), [0, 1, 2] * 3, learner=BradleyTerry(), folds=3, repeats=2)
