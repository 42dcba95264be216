"""Out-of-bag judging against scikit-learn's own, and with relatives kept out of the judges' bags."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import hardsight as hs
from hardsight import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners import ForestOOB
from hardsight.resampling.plan import Plan, block_codes

X, Y = make_classification(300, 10, n_informative=5, n_classes=3, flip_y=0.2, random_state=0)


def views(learner, samples, units, repeats=1, seed=0):
    return list(learner.fit_predict(samples, Plan([], units, repeats, seed), lambda _: None))


@pytest.mark.slow
def test_against_scikit_learns_out_of_bag():
    forest = RandomForestClassifier(300, min_samples_leaf=5, random_state=1)
    (view,) = views(ForestOOB(forest), Samples.of(X, Y), np.arange(300))
    reference = RandomForestClassifier(300, min_samples_leaf=5, oob_score=True, random_state=2).fit(X, Y)
    ours = -view.values.numpy()[np.arange(300), Y]
    theirs = -np.log(np.maximum(reference.oob_decision_function_[np.arange(300), Y], 1 / 303))
    assert spearmanr(ours, theirs).statistic > 0.95
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.05)
    torch.testing.assert_close(view.values.exp().sum(1), torch.ones(300, dtype=torch.float64))


@pytest.mark.slow
def test_regression_against_scikit_learns_out_of_bag():
    x, y = make_regression(200, 5, noise=20, random_state=0)
    (view,) = views(ForestOOB(RandomForestRegressor(200)), Samples.of(x, y), np.arange(200))
    reference = RandomForestRegressor(200, oob_score=True, random_state=0).fit(x, y)
    ours, theirs = view.values.numpy() - y, reference.oob_prediction_ - y
    assert spearmanr(abs(ours), abs(theirs)).statistic > 0.9
    assert np.mean(ours**2) == pytest.approx(np.mean(theirs**2), rel=0.1)


@pytest.mark.parametrize("forest", [RandomForestClassifier(40), ExtraTreesClassifier(40)])
def test_no_tree_judges_a_relative_of_what_it_saw(forest, monkeypatch):
    groups = np.repeat(np.arange(100), 3)
    samples = Samples.of(np.column_stack([np.arange(300.0), X]), Y)
    bags = []
    tree = type(forest.estimator)
    fit, answer = tree.fit, tree.predict_proba

    def spying_fit(self, x, y, sample_weight=None):
        bags.append(set(groups[np.asarray(x)[:, 0].astype(int)]))
        assert (sample_weight >= 1).all()
        # A hundred draws of groups of three.
        assert sample_weight.sum() == 300
        return fit(self, x, y, sample_weight=sample_weight)

    def spying_answer(self, x):
        judged = set(groups[np.asarray(x)[:, 0].astype(int)])
        assert not judged & bags[-1]
        assert len(judged | bags[-1]) == 100
        return answer(self, x)

    monkeypatch.setattr(tree, "fit", spying_fit)
    monkeypatch.setattr(tree, "predict_proba", spying_answer)
    views(ForestOOB(forest), samples, block_codes(300, groups))
    assert len(bags) == 40
    # Bags hold 1 - 1/e of the units.
    assert np.mean([len(bag) for bag in bags]) == pytest.approx(100 * (1 - np.exp(-1)), rel=0.05)


@pytest.mark.slow
def test_what_only_relatives_know_stays_unknown():
    # Every group has features of its own and a coin's label: with relatives in the bag the labels would be known.
    groups = np.repeat(np.arange(40), 5)
    rng = np.random.default_rng(0)
    features = groups[:, None] + 1e-3 * rng.normal(size=(200, 1))
    y = rng.permutation(np.arange(40) % 2)[groups]
    forest = ForestOOB(RandomForestClassifier(60))
    # The members of a group are near copies of each other, but too many for a default that keeps them together.
    assert hs.measure(features, y, learner=forest, repeats=2).error.mean() < 0.3
    assert hs.measure(features, y, learner=forest, repeats=2, duplicates="near").error.mean() > 0.6
    assert hs.measure(features, y, learner=forest, repeats=2, groups=groups).error.mean() > 0.6


@pytest.mark.slow
def test_duplicates_are_kept_out_of_the_judges_bags():
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.normal(size=(60, 3)), 2, axis=0), np.repeat(np.arange(60) % 2, 2)
    forest = ForestOOB(RandomForestClassifier(60))
    assert hs.measure(x, y, learner=forest, repeats=2, duplicates="apart").error.mean() < 0.5
    assert hs.measure(x, y, learner=forest, repeats=2).error.mean() > 0.6


@pytest.mark.slow
def test_forests_of_a_run_differ_and_seeds_fix_them():
    samples, units, learner = Samples.of(X, Y), np.arange(300), ForestOOB(RandomForestClassifier(30))
    first, second = views(learner, samples, units, repeats=2)
    again, _ = views(learner, samples, units, repeats=2)
    (other,) = views(learner, samples, units, seed=1)
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, second.values)
    assert not torch.equal(first.values, other.values)


def test_settings_of_the_forest_reach_the_trees(monkeypatch):
    seen = []
    fit = DecisionTreeClassifier.fit
    monkeypatch.setattr(
        DecisionTreeClassifier, "fit", lambda self, *a, **k: (seen.append(self.get_params()), fit(self, *a, **k))[1]
    )
    forest = RandomForestClassifier(20, max_depth=3, max_features=2, min_samples_leaf=4, criterion="entropy")
    views(ForestOOB(forest), Samples.of(X, Y), np.arange(300))
    for params in seen:
        assert (params["max_depth"], params["max_features"], params["min_samples_leaf"]) == (3, 2, 4)
        assert params["criterion"] == "entropy"
    assert len({params["random_state"] for params in seen}) == 20
    assert forest.random_state is None


def test_too_few_trees():
    with pytest.raises(LearnerError, match="were in every tree's bag: grow more trees than n_estimators=2"):
        views(ForestOOB(RandomForestClassifier(2)), Samples.of(X, Y), np.arange(300))


def test_only_forests_that_fit_the_labels():
    with pytest.raises(InputError, match=r"must be a RandomForest or ExtraTrees.*Got GradientBoostingClassifier"):
        ForestOOB(GradientBoostingClassifier())
    with pytest.raises(InputError, match="RandomForestRegressor does not fit labels that are classes"):
        hs.measure(X, Y, learner=ForestOOB(RandomForestRegressor(30)))
    with pytest.raises(InputError, match="ExtraTreesClassifier does not fit labels that are numbers"):
        hs.measure(X, X[:, 0], learner=ForestOOB(ExtraTreesClassifier(30)))


@pytest.mark.parametrize(
    "forest", [RandomForestClassifier(class_weight="balanced"), RandomForestClassifier(max_samples=0.5)]
)
def test_settings_that_would_be_ignored_are_refused(forest):
    with pytest.raises(InputError, match=r"ForestOOB cannot honour (class_weight|max_samples)"):
        ForestOOB(forest)


@pytest.mark.slow
def test_a_rare_class_keeps_its_column():
    # Class 0 is so rare that bags lack it: other columns must not move.
    x, y = load_digits(return_X_y=True)
    keep = np.concatenate([np.flatnonzero(y == 0)[:2], np.flatnonzero(y == 1)[:50], np.flatnonzero(y == 2)[:50]])
    d = hs.measure(x[keep], y[keep], learner=ForestOOB(RandomForestClassifier(50)), repeats=2)
    assert (d.predicted[2:] == d.labels[2:]).mean() > 0.95


@pytest.mark.slow
def test_front_door():
    done = []
    learner = ForestOOB(ExtraTreesRegressor(30))
    list(learner.fit_predict(Samples.of(X, X[:, 0] + 0.1), Plan([], np.arange(300), 2, 0), done.append))
    assert sum(done) == 60
    d = hs.measure(X, Y, learner=ForestOOB(RandomForestClassifier(30)), repeats=3)
    assert (d.n_views == 3).all()
    assert d.settings["members"] == 90
    assert d.settings["splits"] == "out of bag × 3 repeats"
    assert isinstance(RandomForestRegressor().estimator, DecisionTreeRegressor)
    assert hs.measure(X, X[:, 0] + 0.1, learner="forest", repeats=2).regression


def test_a_single_view_is_refused():
    with pytest.raises(InputError, match=r"repeats must be 2 or more: one prediction has no error bar. Got 1"):
        hs.measure(X, Y, learner="forest", repeats=1)


def test_classes_smaller_than_any_fold_are_welcome():
    d = hs.measure(X[:63], np.repeat([0, 1], [60, 3]), learner=ForestOOB(RandomForestClassifier(40)), repeats=2)
    assert np.isfinite(d.error).all()
    with pytest.raises(InputError, match="only 0 has"):
        hs.measure(X[:61], np.repeat([0, 1], [60, 1]), learner="forest")


def test_weights_multiply_how_often_a_bag_holds_a_sample(monkeypatch):
    weights = np.random.default_rng(0).choice([0.0, 1.0, 3.0], size=300)
    x = np.column_stack([np.arange(300.0), X])
    seen = []
    fit = DecisionTreeClassifier.fit

    def spying_fit(self, x, y, sample_weight=None):
        seen.append((x[:, 0].astype(int), sample_weight))
        return fit(self, x, y, sample_weight)

    monkeypatch.setattr(DecisionTreeClassifier, "fit", spying_fit)
    views(ForestOOB(RandomForestClassifier(30)), Samples.of(x, Y), np.arange(300))
    views(ForestOOB(RandomForestClassifier(30)), Samples.of(x, Y, weights=weights), np.arange(300))
    for (rows, plain), (same, weighted) in zip(seen[:30], seen[30:], strict=True):
        np.testing.assert_array_equal(rows, same)
        np.testing.assert_allclose(weighted, plain * (weights / weights.mean())[rows])


def test_a_sample_without_weight_teaches_no_tree():
    weights = np.where(np.arange(300) % 3 == 0, 0.0, 1.0)
    spoilt = np.where(weights == 0, (Y + 1) % 3, Y)
    true, false = (
        views(ForestOOB(RandomForestClassifier(60)), Samples.of(X, y, weights=weights), np.arange(300))[0].values
        for y in (Y, spoilt)
    )
    torch.testing.assert_close(true, false)
