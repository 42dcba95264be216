"""Later rounds: better posteriors of the labels, and every error as it was."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

import hardsight as hs
from hardsight.attribution.label_noise import Evidence, LabelModel, LabelPosterior
from hardsight.errors import InputError
from hardsight.estimation import reweighted_rounds as rounds
from hardsight.estimation.outputs import checkpoint_files
from hardsight.reporting.summary import findings

SAME = ("error", "error_se", "bias", "variance", "consensus", "predicted", "n_views")


def flipped(load, rate, classes, most=None, **more):
    x, y = load(return_X_y=True, **more)
    rng = np.random.default_rng(0)
    kept = rng.permutation(len(y))[:most]
    x, y = x[kept], y[kept]
    wrong = rng.random(len(y)) < rate
    return x, np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y), wrong


@pytest.fixture(scope="module")
def digits():
    x, y, wrong = flipped(load_digits, 0.4, 5, 600, n_class=5)
    how = {"folds": 3, "repeats": 3, "estimate": hs.Estimate(pilot=False)}
    return wrong, hs.measure(x, y, refine=False, **how), hs.measure(x, y, **how)


@pytest.mark.slow
def test_the_labels_are_known_better_and_the_errors_are_the_same(digits):
    wrong, once, twice = digits
    assert average_precision_score(wrong, twice.p_wrong) > average_precision_score(wrong, once.p_wrong)
    for name in SAME:
        np.testing.assert_array_equal(getattr(twice, name), getattr(once, name))
    np.testing.assert_allclose(twice.factors.to_numpy().sum(1), twice.error, rtol=0, atol=1e-9)
    assert twice.settings["refined"] == {"rounds": 1, "members": 9, "why": "labels look wrong"}
    assert once.settings["refined"] == {"rounds": 0, "members": 0, "why": "not asked for"}
    assert twice.settings["members"] == once.settings["members"] == 9


def measured(seed=0, **execution):
    x, y, _ = flipped(load_wine, 0.3, 3)
    learner = hs.Network(hidden=(16,), epochs=20)
    groups = {"estimate": hs.Estimate(pilot=False), "execution": hs.Execution(**execution)}
    return hs.measure(x, y, learner=learner, folds=3, repeats=2, refine=2, seed=seed, **groups)


@pytest.mark.slow
def test_the_same_bytes_again_and_from_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "_explains_noise", lambda *_: True)
    whole = measured()
    path = tmp_path / "progress.npz"
    kept = measured(checkpoint=path)
    assert checkpoint_files(path)[1].exists()
    assert checkpoint_files(path)[2].exists()
    resumed = measured(checkpoint=path, resume=True)
    for other in (kept, resumed):
        np.testing.assert_array_equal(other.p_wrong, whole.p_wrong)
        np.testing.assert_array_equal(other.suggested, whole.suggested)
    with pytest.raises(InputError, match="cannot be continued"):
        measured(checkpoint=path, resume=True, seed=1)


@pytest.mark.slow
def test_weights_of_the_user_count_in_every_round():
    x, y, _ = flipped(load_wine, 0.3, 3)
    weights = np.where(y == 0, 3.0, 1.0)
    one = hs.measure(x, y, weights=weights, folds=3, repeats=2, estimate=hs.Estimate(pilot=False))
    assert one.settings["refined"]["rounds"] == 1
    np.testing.assert_allclose(one.factors.to_numpy().sum(1), one.error, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("why", "how"),
    [
        ("fewer than 1%", {}),
        ("does not take weights", {"learner": KNeighborsClassifier()}),
        ("has a budget", {"repeats": None, "folds": None, "budget": "10 models"}),
        ("has no ledger", {"loss": "brier"}),
    ],
)
def test_where_there_is_no_second_round_it_says_why(why, how):
    x, y = load_wine(return_X_y=True)
    d = hs.measure(x, y, estimate=hs.Estimate(pilot=False), **{"folds": 3, "repeats": 2} | how)
    assert why in d.settings["refined"]["why"]
    assert d.settings["refined"]["rounds"] == 0


@pytest.mark.parametrize(
    ("says", "how"),
    [
        ("does not take weights", {"learner": KNeighborsClassifier(), "refine": True}),
        ("leave-one-out", {"learner": "knn-loo", "splits": "loo", "folds": None, "repeats": None, "refine": 1}),
        ("must be 5 or less", {"refine": 6}),
        ("refine must be", {"refine": -1}),
    ],
)
def test_rounds_that_cannot_be_had_are_refused(says, how):
    x, y = load_wine(return_X_y=True)
    with pytest.raises(InputError, match=says):
        hs.measure(x, y, **{"folds": 3, "repeats": 2} | how)


@pytest.mark.slow
def test_the_summary_tells_of_the_second_round():
    x, y, _ = flipped(load_wine, 0.2, 3)
    results = {number: hs.measure(x, y, learner="logistic", repeats=2, refine=number) for number in (0, 1)}
    assert not any("automatic weights" in finding for finding in findings(results[0]))
    assert any("10 more models were trained with automatic weights" in finding for finding in findings(results[1]))


def posterior_of(p_right, labels, consensus):
    """A posterior in which every label is right with its own probability, whatever the evidence says."""
    transition = torch.eye(2, dtype=torch.float64)
    model = LabelModel(transition, torch.full((2,), 0.5, dtype=torch.float64), torch.ones(1), (1.0, 1.0), noise_aware=False)
    evidence = Evidence(consensus, labels, model.prior, None)

    class Fixed(LabelPosterior):
        p_wrong = property(lambda self: 1 - p_right)

    return Fixed(evidence, model)


def test_a_round_counts_if_it_explains_labels_that_confident_predictions_contradict():
    # 100 samples predicted with full confidence, 30 of which are labelled otherwise.
    labels = (torch.arange(100) < 30).long()
    consensus = torch.tensor([0.99, 0.01], dtype=torch.float64).log().expand(100, 2)
    p_right = lambda found: torch.where(torch.arange(100) < found, 0.0, 1.0).double()  # noqa: E731
    posterior = {found: posterior_of(p_right(found), labels, consensus) for found in (0, 2, 24, 30)}
    # The unreliability, (unexplained / wrong - .2) / .2 from a tenth of wrong labels on, is 1, 1, .25 and 0.
    assert not rounds._explains_noise(posterior[0], posterior[2], consensus)
    assert rounds._explains_noise(posterior[0], posterior[24], consensus)
    assert rounds._explains_noise(posterior[0], posterior[30], consensus)
    assert rounds._explains_noise(posterior[30], posterior[30], consensus)
    # Reliable labels, of which far fewer look wrong than before; right ones that are doubted less do not matter.
    assert rounds._explains_noise(posterior[30], posterior[24], consensus)
    assert not rounds._explains_noise(posterior[30], posterior_of(p_right(20), labels, consensus), consensus)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [False, True])
def test_a_round_that_does_not_count_changes_nothing_and_says_so(monkeypatch, counts):
    monkeypatch.setattr(rounds, "_explains_noise", lambda *_: counts)
    x, y, _ = flipped(load_wine, 0.3, 3)
    once, twice = (hs.measure(x, y, learner="logistic", folds=3, repeats=2, refine=each) for each in (False, 2))
    assert twice.run.refined["rounds"] == (2 if counts else 0)
    assert twice.run.refined["members"] == (12 if counts else 6)
    assert np.array_equal(twice.p_wrong, once.p_wrong) == (not counts)
    assert np.array_equal(twice.suggested, once.suggested) or counts
    assert ("does not count" in twice.run.refined["why"]) == (not counts)
    assert any("labels that look wrong no better" in finding for finding in findings(twice)) == (not counts)
