"""Laws that hold for every learner: the named ones, those of the public classes, and a minimal learner of a user."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import hardsight as hs
from hardsight import Samples
from hardsight.learners import LEARNERS, Capabilities, Predictions, TunableLength, capabilities_of, choose
from hardsight.learners.registry import weighted_learners
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut

X, Y = load_wine(return_X_y=True)
# Three classes of 20 samples; groups of two.
ROWS = np.concatenate([np.flatnonzero(label == Y)[:20] for label in range(3)])
X, Y = X[ROWS][:, :4], Y[ROWS]
GROUPS = np.arange(60) // 2
IMAGES = (255 * (X - X.min(0)) / np.ptp(X, axis=0)).astype(np.uint8).reshape(-1, 2, 2).repeat(4, 1).repeat(4, 2)


class ClassShares:
    """The smallest learner that a user can write: it declares nothing."""

    name = "class shares"

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return "shares of the classes in the training part"

    def fit_predict(self, samples, plan, on_progress):
        for member in plan.members():
            counts = np.bincount(samples.labels[member.train], minlength=len(samples.classes)) + 1.0
            values = torch.from_numpy(np.log(counts / counts.sum())).expand(len(member.held_out), -1)
            yield Predictions(torch.from_numpy(member.held_out), values, member.round)
            on_progress(1)


MADE = {
    "a user's": ClassShares,
    "SklearnModel": lambda: hs.SklearnModel(GaussianNB()),
    "SklearnModel without weights": lambda: hs.SklearnModel(Unweighted()),
    "ForestOOB": lambda: hs.ForestOOB(RandomForestClassifier(30)),
    "Network": lambda: hs.Network(epochs=2),
}
EVERY = [*LEARNERS, *MADE]
# One scale of all scores, or one Newton step from the whole fit, depends on every label.
READS_ALL_LABELS = ("ridge", "kernel-loo", "logistic-loo")


class Unweighted(GaussianNB):
    def fit(self, X, y):
        return super().fit(X, y)


def make(name, weights=None):
    """The learner of a name, and samples that it can learn."""
    samples = Samples.of(IMAGES if name == "convnet" else X, Y, groups=GROUPS, weights=weights)
    return (choose(name, samples)[0] if name in LEARNERS else MADE[name]()), samples


def plan_of(learner, *, seed=0, repeats=2, in_sample=False):
    blocks = block_codes(60, GROUPS)
    if capabilities_of(learner).splits_itself:
        return Plan([], blocks, repeats, seed, in_sample=in_sample)
    splitter = LeaveOneOut(repeats) if "leave-one-out" in learner.name else KFold(3, repeats)
    return Plan(splitter.split(Y, blocks, split_seed(seed)), blocks, repeats, seed, in_sample=in_sample)


def run(name, *, weights=None, **how):
    learner, samples = make(name, weights)
    return list(learner.fit_predict(samples, plan_of(learner, **how), lambda _: None))


def assert_same(one, other, tolerance=0.0):
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.rows.tolist(), mine.repeat) == (theirs.rows.tolist(), theirs.repeat)
        torch.testing.assert_close(mine.values, theirs.values, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_all_samples_are_predicted_once_per_repeat_with_probabilities_that_sum_to_one(name):
    found = run(name)
    for repeat in range(2):
        rows = torch.cat([each.rows for each in found if each.repeat == repeat])
        assert sorted(rows.tolist()) == list(range(60))
    assert not any(each.in_sample for each in found)
    for each in found:
        assert each.values.dtype == torch.float64
        torch.testing.assert_close(each.values.exp().sum(1), torch.ones(len(each.rows), dtype=torch.float64))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EVERY if name not in READS_ALL_LABELS])
def test_members_are_held_out_from_what_they_predict(name):
    """Replaced labels of one group leave the held-out predictions of that group alone, whoever predicts it."""
    learner, samples = make(name)
    labels = samples.labels.copy()
    labels[:2] = (labels[:2] + 1) % 3
    plan = plan_of(learner)
    pairs = [list(learner.fit_predict(each, plan, lambda _: None)) for each in (samples, replace(samples, labels=labels))]
    for mine, theirs in zip(*pairs, strict=True):
        own = (mine.rows < 2).nonzero().squeeze(1)
        torch.testing.assert_close(mine.values[own], theirs.values[own], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_seeds_fix_everything_whatever_was_drawn_before(name):
    first = run(name, seed=3)
    np.random.random(5), torch.rand(5)
    assert_same(first, run(name, seed=3))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_progress_adds_up_to_the_number_of_models(name):
    learner, samples = make(name)
    plan, done = plan_of(learner), []
    list(learner.fit_predict(samples, plan, done.append))
    assert sum(done) == pytest.approx(learner.n_models(plan))
    assert learner.n_models(plan.select(range(1))) * 2 == learner.n_models(plan)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_repeats_may_be_trained_one_by_one(name):
    learner, samples = make(name)
    plan = plan_of(learner)
    apart = [p for k in range(2) for p in learner.fit_predict(samples, plan.select(range(k, k + 1)), lambda _: None)]
    assert_same(run(name), apart, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_divisible_learners_train_the_members_they_are_asked_for(name):
    learner, samples = make(name)
    if not capabilities_of(learner).divisible:
        return
    plan = plan_of(learner)
    some = list(learner.fit_predict(samples, plan.select(range(2), range(1, 3)), lambda _: None))
    assert_same(run(name)[1:3], some, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_in_sample_predictions_are_made_by_those_that_declare_them(name):
    learner, _ = make(name)
    found = run(name, in_sample=True)
    assert any(each.in_sample for each in found) == capabilities_of(learner).predicts_in_sample
    assert capabilities_of(learner).predicts_in_sample or not capabilities_of(learner).in_sample_is_cheap
    assert_same(run(name), [each for each in found if not each.in_sample])
    if capabilities_of(learner).predicts_in_sample:
        # Each member of three folds trains on two thirds.
        assert sum(len(each.rows) for each in found if each.in_sample) == 2 * 2 * 60


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_weights_of_one_are_no_weights_and_others_count(name):
    learner, _ = make(name, np.ones(60))
    if not capabilities_of(learner).takes_weights:
        with pytest.raises(hs.InputError, match="does not take weights of training samples"):
            hs.measure(*((IMAGES if name == "convnet" else X), Y), learner=learner, weights=np.ones(60), refine=False,
                       **({"splits": "loo"} if "leave-one-out" in learner.name else {}))  # fmt: skip
        return
    ones = run(name, weights=np.ones(60))
    # Unweighted, logistic is another implementation of the same model.
    if name != "logistic":
        assert_same(run(name), ones, 1e-5)
    uneven = run(name, weights=np.where(Y == 0, 0.05, 1.0))
    gaps = [(mine.values.exp() - theirs.values.exp()).abs().max() for mine, theirs in zip(ones, uneven, strict=True)]
    assert max(gaps) > 1e-3


@pytest.mark.parametrize("name", LEARNERS)
def test_names_declare_truly_whether_they_take_weights(name):
    learner, _ = make(name, np.ones(60))
    assert LEARNERS[name].takes_weights == capabilities_of(learner).takes_weights
    assert (name in weighted_learners()) == LEARNERS[name].takes_weights
    assert LEARNERS[name].name == name


@pytest.mark.parametrize("name", EVERY)
def test_the_recipe_is_one_line(name):
    learner, _ = make(name)
    assert learner.describe()
    assert learner.name
    assert len(learner.describe().splitlines()) == len(learner.name.splitlines()) == 1


@pytest.mark.parametrize("name", EVERY)
def test_tunable_lengths_can_be_chosen_once(name):
    learner, _ = make(name)
    if not capabilities_of(learner).tunable_length:
        return
    assert isinstance(learner, TunableLength)
    longer = learner.with_length(3.0)
    assert longer.steps(1_000) == 3 * learner.steps(1_000)
    assert not capabilities_of(longer).tunable_length


def test_a_learner_that_declares_nothing_has_the_defaults():
    assert capabilities_of(ClassShares()) == Capabilities()
    assert capabilities_of(LogisticRegression()) == Capabilities()
    d = hs.measure(X, Y, learner=ClassShares(), folds=3, repeats=2)
    assert d.error.mean() == pytest.approx(np.log(3), abs=0.05)


def test_capabilities_of_another_type_are_an_error():
    wrong = ClassShares()
    wrong.capabilities = {"takes_weights": True}
    with pytest.raises(hs.InputError, match=r"capabilities of class shares must be .*Capabilities\(…\). Got dict"):
        hs.measure(X, Y, learner=wrong)


def test_the_default_comes_first():
    assert next(iter(LEARNERS)) == "network"
    assert "a user's" not in LEARNERS
