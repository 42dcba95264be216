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
from hardsight.io import memmap
from hardsight.learners import Capabilities, InSampleLosses, Predictions
from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_wine(return_X_y=True)
SAMPLES = Samples.of(X, Y)
UNITS = block_codes(len(X))
PLAN = Plan(KFold(5, 2).split(Y, UNITS, split_seed(0)), UNITS, 2, 0, in_sample=True)


def views(learner):
    return list(learner.fit_predict(SAMPLES, PLAN, lambda _: None))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["log", "brier"])
@pytest.mark.parametrize("block", [1, 7 * 3, 2**16])
def test_losses_are_those_of_the_predictions(loss, block, monkeypatch):
    monkeypatch.setattr(memmap, "_BLOCK", block)
    learner = hs.SklearnModel(GaussianNB())
    reduced, kept, whole = InSampleLosses(learner, loss), HeldOut(torch.from_numpy(Y), 3, loss), views(learner)
    once = HeldOut(torch.from_numpy(Y), 3, loss)
    for mine, theirs in zip(views(reduced), whole, strict=True):
        assert (mine.rows.tolist(), mine.repeat, mine.in_sample) == (theirs.rows.tolist(), theirs.repeat, theirs.in_sample)
        if not theirs.in_sample:
            assert torch.equal(mine.values, theirs.values)
            continue
        labels, prob = Y[theirs.rows], theirs.values.exp().numpy()
        assert mine.values.shape == theirs.rows.shape
        if loss == "log":
            assert mine.values.mean().item() == pytest.approx(log_loss(labels, prob), rel=1e-9)
        else:
            np.testing.assert_allclose(mine.values, ((prob - np.eye(3)[labels]) ** 2).sum(1), atol=1e-12)
        kept.add_in_sample(theirs.rows, theirs.values, theirs.repeat)
        once.add_in_sample_losses(mine.rows, mine.values, mine.repeat)
    for name, value in kept.state().items():
        assert torch.equal(value, once.state()[name]), name


def test_all_else_is_the_learners():
    for learner in (hs.SklearnModel(GaussianNB()), hs.Ridge()):
        reduced = InSampleLosses(learner, "log")
        assert (reduced.name, reduced.capabilities) == (learner.name, learner.capabilities)
        assert (reduced.describe(), reduced.n_models(PLAN)) == (learner.describe(), 10)


class Diverged:
    """Predicts no number for one sample in-sample, of a class that is not its own."""

    name, capabilities = "diverged", Capabilities(predicts_in_sample=True, in_sample_is_cheap=True)

    def __init__(self, value):
        self.value = value

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return ""

    def fit_predict(self, samples, plan, tick):
        for member in plan.members():
            for rows, seen in ((member.held_out, False), (member.train, True)):
                predictions = torch.zeros(len(rows), 3, dtype=torch.float64)
                if seen:
                    predictions[50, (Y[rows[50]] + 1) % 3] = self.value
                yield Predictions(torch.from_numpy(rows), predictions, member.round, seen)


@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan")])
def test_predictions_that_are_no_numbers_are_still_named(value):
    at = next(PLAN.members()).train[50]
    with pytest.raises(LearnerError, match=rf"^diverged predicts {value:g} for sample {at}: "):
        hs.measure(X, Y, learner=Diverged(value), repeats=2)
