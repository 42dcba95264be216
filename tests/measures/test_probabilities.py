"""Probabilities in place of logits: refused or told wherever logits are read."""

import numpy as np
import pytest
import torch
from support.errors import raises_in_one_line, rejects
from torch import nn

import hardsight as hs
from hardsight.errors import HardsightWarning, LearnerError
from hardsight.learners.base import Predictions
from hardsight.measures.probabilities import are_log_probabilities, are_probabilities, look_like_probabilities

LOGITS = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(64) % 3
MESSAGE = "logits look like probabilities .*: give what comes before the softmax"


def test_rows_are_told_apart():
    shares = LOGITS.softmax(1)
    assert are_probabilities(shares).all()
    assert not are_probabilities(shares.log()).any()
    assert not are_log_probabilities(shares).any()
    assert are_log_probabilities(shares.log()).all()
    assert are_log_probabilities(torch.tensor([[0.0, -torch.inf]])).all()
    assert not are_probabilities(torch.tensor([[torch.nan, 0.5]])).any()
    assert look_like_probabilities(shares)
    for logits in (LOGITS, shares.log(), shares[:1], torch.eye(3), torch.zeros(5, 3), shares * 2, torch.zeros(0, 3)):
        assert not look_like_probabilities(logits)


@pytest.mark.parametrize("scheme", ["focal", "gce", "gce-loss", "superloss"])
def test_training_refuses_probabilities_in_the_first_batch(scheme):
    loss = nn.functional.cross_entropy(LOGITS, LABELS, reduction="none").requires_grad_()
    weighting = hs.Weighting(scheme, 64)
    rejects(MESSAGE, weighting, loss, torch.arange(64), logits=LOGITS.softmax(1), labels=LABELS)
    first = weighting(loss, torch.arange(64), logits=LOGITS, labels=LABELS)
    # Later batches are not tested, as that would wait for the device.
    assert weighting(loss, torch.arange(64), logits=LOGITS.softmax(1), labels=LABELS).isfinite()
    assert first.isfinite()
    assert hs.Weighting(scheme, 64)(loss, torch.arange(64), logits=LOGITS.softmax(1) - 1, labels=LABELS).isfinite()


def test_products_of_weightings_refuse_them_too():
    product = hs.Weighting("focal", 64) * hs.Weighting(torch.ones(64))
    loss = nn.functional.cross_entropy(LOGITS, LABELS, reduction="none").requires_grad_()
    rejects(MESSAGE, product, loss, torch.arange(64), logits=LOGITS.softmax(1), labels=LABELS)
    assert product(loss, torch.arange(64), logits=LOGITS, labels=LABELS).isfinite()


def test_one_sample_at_a_time_is_tested_when_there_are_two():
    weighting = hs.Weighting("gce-loss", 64)
    assert weighting(None, [0], logits=LOGITS[:1].softmax(1), labels=LABELS[:1]).isfinite()
    rejects(MESSAGE, weighting, None, [0, 1], logits=LOGITS[:2].softmax(1), labels=LABELS[:2])


def test_weights_of_a_result_and_samplers_refuse_them():
    d = hs.measure(LOGITS.numpy(), LABELS.numpy(), learner="ridge", folds=2, repeats=2)
    rejects(MESSAGE, hs.weigh, d, "importance-sampling", logits=LOGITS.softmax(1))
    assert hs.weigh(d, "importance-sampling", logits=LOGITS.softmax(1).log()).mean() == pytest.approx(1)


def test_networks_that_end_in_a_softmax_are_told():
    def measure(*last):
        learner = hs.Network(lambda: nn.Sequential(nn.Linear(3, 3), *last), epochs=1)
        return hs.measure(LOGITS.numpy(), LABELS.numpy(), learner=learner, folds=2, repeats=2)

    with pytest.warns(HardsightWarning, match="outputs of the network look like probabilities"):
        d = measure(nn.Softmax(dim=1))
    assert "leave out its final softmax" in " ".join(d.settings["notices"])
    for last in ((), (nn.LogSoftmax(dim=1),)):
        assert "look like probabilities" not in " ".join(measure(*last).settings["notices"])


class Constant:
    """A learner that predicts the shares of the classes."""

    name = "constant"

    def __init__(self, values):
        self.values = values

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return self.name

    def fit_predict(self, samples, plan, on_progress):
        for member in plan.members():
            yield Predictions(torch.from_numpy(member.held_out), self.values.expand(len(member.held_out), 3), member.round)


def test_learners_that_predict_probabilities_are_refused():
    shares = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    X, y = np.arange(64.0)[:, None], LABELS.numpy()
    raises_in_one_line(
        LearnerError, "constant predicts probabilities .* return their logarithm", hs.measure, X, y, learner=Constant(shares)
    )
    assert hs.measure(X, y, learner=Constant(shares.log()), folds=2, repeats=2)
