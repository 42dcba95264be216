"""In-sample views with the loss of every row only: the same numbers, fewer of them."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB

import hardsight as hs
from hardsight import Samples
from hardsight.errors import LearnerError
from hardsight.io import memmap as storage
from hardsight.learners import InSampleLosses, View
from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_wine(return_X_y=True)
SAMPLES = Samples.of(X, Y)
UNITS = block_codes(len(X))
PLAN = Plan(KFold(5, 2).split(Y, UNITS, split_seed(0)), UNITS, 2, 0, in_sample=True)


def views(learner):
    return list(learner.views(SAMPLES, PLAN, lambda _: None))


@pytest.mark.parametrize("loss", ["log", "brier"])
@pytest.mark.parametrize("block", [1, 7 * 3, 2**16])
def test_losses_are_those_of_the_predictions(loss, block, monkeypatch):
    monkeypatch.setattr(storage, "_BLOCK", block)
    learner = hs.Estimator(GaussianNB())
    reduced, kept, whole = InSampleLosses(learner, loss), HeldOut(torch.from_numpy(Y), 3, loss), views(learner)
    once = HeldOut(torch.from_numpy(Y), 3, loss)
    for mine, theirs in zip(views(reduced), whole, strict=True):
        assert (mine.rows.tolist(), mine.turn, mine.seen) == (theirs.rows.tolist(), theirs.turn, theirs.seen)
        if not theirs.seen:
            assert torch.equal(mine.predictions, theirs.predictions)
            continue
        labels, prob = Y[theirs.rows], theirs.predictions.exp().numpy()
        assert mine.predictions.shape == theirs.rows.shape
        if loss == "log":
            assert mine.predictions.mean().item() == pytest.approx(log_loss(labels, prob), rel=1e-9)
        else:
            np.testing.assert_allclose(mine.predictions, ((prob - np.eye(3)[labels]) ** 2).sum(1), atol=1e-12)
        kept.add_seen(theirs.rows, theirs.predictions, theirs.turn)
        once.add_seen_losses(mine.rows, mine.predictions, mine.turn)
    for name, value in kept.state().items():
        assert torch.equal(value, once.state()[name]), name


def test_all_else_is_the_learners():
    for learner in (hs.Estimator(GaussianNB()), hs.Ridge()):
        reduced = InSampleLosses(learner, "log")
        assert (reduced.name, reduced.splits_itself) == (learner.name, False)
        assert reduced.divisible == (learner.name == "GaussianNB")
        assert (reduced.describe(), reduced.models(PLAN)) == (learner.describe(), 10)


class Diverged:
    """Predicts no number for one sample in-sample, of a class that is not its own."""

    name, splits_itself, in_sample_is_cheap = "diverged", False, True

    def __init__(self, value):
        self.value = value

    def models(self, plan):
        return plan.n_models

    def describe(self):
        return ""

    def views(self, samples, plan, tick):
        for member in plan.members():
            for rows, seen in ((member.held_out, False), (member.train, True)):
                predictions = torch.zeros(len(rows), 3, dtype=torch.float64)
                if seen:
                    predictions[50, (Y[rows[50]] + 1) % 3] = self.value
                yield View(torch.from_numpy(rows), predictions, member.round, seen)


@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan")])
def test_predictions_that_are_no_numbers_are_still_named(value):
    at = next(PLAN.members()).train[50]
    with pytest.raises(LearnerError, match=rf"^diverged predicts {value:g} for sample {at}: "):
        hs.measure(X, Y, learner=Diverged(value), repeats=2)
