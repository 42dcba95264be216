"""Classes too small to be split: measured in as many folds as without them, and marked, whatever the learner."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from support.errors import rejects

import hardsight as hs
from hardsight.attribution.label_noise import Evidence, LabelPosterior, fit_label_model
from hardsight.attribution.names import CAUSES, TOO_FEW
from hardsight.difficulty.actions import COLLECT_CLASS, RELABEL


def clusters(sizes, seed=0, distance=3.0):
    """Return features and class names, one normal cluster per class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(labels), 4)) + distance * rng.normal(size=(len(sizes), 4))[labels]
    return X, np.array([f"class {code:02d}" for code in labels])


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=6), st.integers(2, 6), st.integers(0, 1000))
@example([600, 1, 1, 2, 4], 5, 0)
def test_any_class_sizes_are_measured_or_refused(sizes, folds, seed):
    X, y = clusters(sizes, seed)
    measure = lambda: hs.measure(X, y, learner="ridge", folds=folds, repeats=2, seed=seed)  # noqa: E731
    if len(y) < folds:
        rejects("folds must be|at least two classes", measure)
        return
    if sum(size > 1 for size in sizes) < 2:
        rejects("have different labels" if len(sizes) == len(y) else "at least two classes must have 2 samples", measure)
        return
    d = measure()
    single = np.isin(d.labels, np.flatnonzero(np.array(sizes) == 1))
    assert d.n_views.min() == d.n_views.max() == 2
    assert np.isfinite(d.error).all()
    assert np.isfinite(d.ledger).all()
    # Classes of a few samples that models cannot tell from others are marked, too.
    assert (d.cause[single] == TOO_FEW).all()
    assert (d.p_wrong[single] == 0).all()
    np.testing.assert_array_equal(d.suggested[single], d.labels[single])
    assert set(d.recommended_action[single]) <= {COLLECT_CLASS}
    assert any("Too few samples to tell" in notice for notice in d.run.notices) == single.any()
    rare = (d.cause == TOO_FEW) & ~single
    assert any("Too few right labels to tell" in notice for notice in d.run.notices) == rare.any()
    assert (np.bincount(d.labels)[d.labels[rare]] < len(y) / len(sizes) / 2).all()


class ContiguousCodes(ClassifierMixin, BaseEstimator):
    """Refuses labels that are not 0 … C-1, as XGBoost does; predicts the shares of the classes."""

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        if self.classes_.tolist() != list(range(len(self.classes_))):
            raise ValueError("gaps")
        self.shares_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


SIZES = [14, 12, 1, 2, 1]
LEARNERS = {
    "network": hs.Network(hidden=(8,), epochs=3),
    "network module": hs.Network(lambda: torch.nn.Sequential(torch.nn.Linear(4, 5)), epochs=3),
    "logistic": "logistic",
    "ridge": "ridge",
    "forest": hs.ForestOOB(RandomForestClassifier(30)),
    "lightgbm": "lightgbm",
    "histogram boosting": HistGradientBoostingClassifier(max_iter=3),
    "naive Bayes": GaussianNB(),
    "no probabilities": LinearSVC(),
    "contiguous codes": ContiguousCodes(),
    "xgboost": "xgboost",
}


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_takes_training_parts_without_a_class(name):
    if name in ("lightgbm", "xgboost"):
        pytest.importorskip(name)
    X, y = clusters(SIZES)
    folds = {} if name == "forest" else {"folds": 5}
    d = hs.measure(X, y, learner=LEARNERS[name], repeats=2, **folds)
    assert np.isfinite(d.error).all()
    single = np.isin(y, ["class 02", "class 04"])
    assert (d.cause[single] == TOO_FEW).all()
    assert (d.cause[np.isin(y, ["class 00", "class 01"])] != TOO_FEW).all()
    # A model that never saw a class gives it a small probability.
    assert (d.error[single] > 0.5).all()


@pytest.mark.parametrize("learner", ["kernel-loo", "knn-loo", "logistic-loo", "ridge", "logistic"])
def test_leave_one_out_holds_the_only_sample_of_a_class_out(learner):
    X, y = clusters(SIZES)
    d = hs.measure(X, y, learner=learner, splits="loo")
    assert np.isfinite(d.error).all()
    assert any("'class 02' (1), 'class 04' (1)" in notice for notice in d.run.notices)


def test_codes_are_mapped_back_to_the_classes():
    X, y = clusters(SIZES)
    d = hs.measure(X, y, learner=ContiguousCodes(), folds=5, repeats=2)
    # By Laplace's rule, n p + 1 of n + C, for the folds that lack a class.
    mean = np.exp(d.consensus).mean(0)
    assert (np.argsort(-mean, kind="stable")[:2] == [0, 1]).all()
    assert mean[2] < mean[1]
    assert mean[4] < mean[1]


def test_subsets_hold_the_only_sample_of_a_class_out():
    X, y = clusters(SIZES)
    d = hs.measure(X, y, learner="ridge", splits=hs.Subsets(40, 0.7))
    assert d.n_views[np.isin(y, ["class 02", "class 04"])].min() >= 11


def test_a_class_within_one_group_is_too_small():
    X, y = clusters([20, 20, 6])
    groups = np.arange(46)
    groups[40:] = 40
    d = hs.measure(X, y, learner="ridge", groups=groups, repeats=2)
    np.testing.assert_array_equal(d.cause == TOO_FEW, y == "class 02")
    assert any("'class 02' (6)" in notice for notice in d.run.notices)


def test_equal_rows_are_one_block():
    X, y = clusters([20, 20, 3])
    X[40:] = X[40]
    assert (hs.measure(X, y, learner="ridge", repeats=2).cause == TOO_FEW).sum() == 3
    assert (hs.measure(X, y, learner="ridge", repeats=2, duplicates="apart").cause == TOO_FEW).sum() == 0


def test_other_samples_are_judged_as_without_the_rare_class():
    X, y = clusters([100, 100, 100], distance=1.5)
    X_rare, y_rare = np.vstack([X, X[:1] + 20]), np.append(y, "rare")
    plain = hs.measure(X, y, learner="ridge", repeats=4, refine=False)
    rare = hs.measure(X_rare, y_rare, learner="ridge", repeats=4, refine=False)
    assert abs(rare.error[:-1].mean() - plain.error.mean()) < 0.05
    assert abs(rare.p_wrong[:-1].mean() - plain.p_wrong.mean()) < 0.01
    assert np.corrcoef(rare.p_wrong[:-1], plain.p_wrong)[0, 1] > 0.9


def test_a_sample_of_a_small_class_weighs_like_one_of_an_average_class():
    X, y = clusters([200, 200, 200, 1])
    weights = hs.weigh(hs.measure(X, y, learner="ridge", repeats=2))
    assert weights[-1] < 2
    X, y = clusters([200, 100, *[1] * 30])
    weights = hs.weigh(hs.measure(X, y, learner="ridge", repeats=2))
    assert weights.max() < 3


def test_rare_classes_that_cannot_be_judged_are_balanced():
    X, y = clusters([200, 200, 1])
    d = hs.measure(X, y, learner="ridge", repeats=2)
    # As if the first class had five labels, of which nobody can tell which are right.
    marked = y == "class 00"
    marked[5:] = False
    rows = marked | (y != "class 00")
    d = d.select(rows)
    unjudged = replace(
        d,
        cause=np.where(marked[rows], TOO_FEW, d.cause),
        p_wrong=np.where(marked[rows], 0.5, np.where(d.labels == 2, 0, 0.01)),
    )
    weights = hs.weigh(unjudged)
    assert weights[:5].min() > 3 * weights[5:-1].max()
    assert weights[-1] < 2 * weights[5:-1].max()


def test_many_single_classes_do_not_pass_for_noise():
    X, y = clusters([60, 60, 60, *[1] * 40], distance=4)
    d = hs.measure(X, y, learner="ridge", repeats=2)
    plain = hs.measure(X[:180], y[:180], learner="ridge", repeats=2)
    assert d.p_wrong[:180].mean() < plain.p_wrong.mean() + 0.01
    assert not d.run.refined["rounds"]
    [notice] = [each for each in d.run.notices if "Too few" in each]
    assert "in 40 classes" in notice
    assert "and 35 more" in notice


def test_the_posterior_of_other_samples_does_not_depend_on_unjudged_ones():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (300,), generator=generator)
    consensus = (
        (2 * torch.randn(300, 3, generator=generator, dtype=torch.float64))
        .scatter_add(1, label[:, None], torch.full((300, 1), 3.0, dtype=torch.float64))
        .log_softmax(1)
    )
    prior = torch.full((3,), 1 / 3, dtype=torch.float64)
    unjudged = torch.arange(300) >= 250
    contradicted = consensus.clone()
    contradicted[250:] = contradicted[250:].roll(1, 1) * 9

    def p_wrong(values, n):
        evidence = Evidence(values[:n], label[:n], prior, None, in_small_class=unjudged[:n])
        return LabelPosterior(evidence, fit_label_model(evidence)).p_wrong

    torch.testing.assert_close(p_wrong(contradicted.log_softmax(1), 300)[:250], p_wrong(consensus, 250), rtol=0, atol=1e-12)
    assert (p_wrong(contradicted.log_softmax(1), 300)[250:] == 0).all()


def test_the_search_for_the_length_predicts_no_sample_of_a_small_class():
    X, y = clusters([20, 20, 1, 2])
    d = hs.measure(X, y, learner=hs.Network(hidden=(4,)), folds=2, repeats=2, estimate=hs.Estimate(pilot=True))
    assert d.run.training_length["samples"] == 42


def test_a_result_with_the_mark_is_saved_loaded_and_shown(tmp_path):
    X, y = clusters(SIZES)
    d = hs.measure(X, y, learner="ridge", repeats=2)
    d.save(tmp_path / "difficulty.parquet")
    np.testing.assert_array_equal(hs.Difficulty.load(tmp_path / "difficulty.parquet").cause, d.cause)
    d.report(tmp_path / "report.html")
    d.review(tmp_path / "review.html")
    for name in ("report.html", "review.html"):
        assert TOO_FEW in (tmp_path / name).read_text()
    plain = hs.measure(*clusters([14, 12, 8]), learner="ridge", repeats=2)
    plain.review(tmp_path / "plain.html")
    assert TOO_FEW not in (tmp_path / "plain.html").read_text()
    assert TOO_FEW not in CAUSES


def noisy_clusters(seed):
    """Return clusters of which the last holds 12 samples, with a tenth of the labels flipped, and which are wrong."""
    X, y = clusters([300, 300, 300, 300, 12], seed, distance=2.0)
    rng = np.random.default_rng(seed)
    names, true = np.unique(y, return_inverse=True)
    given = np.where(rng.random(len(y)) < 0.1, (true + rng.integers(1, 5, len(y))) % 5, true)
    return X, names[given], given != true


def test_right_labels_of_a_rare_class_are_not_called_wrong():
    p_right, p_others = [], []
    for seed in range(3):
        X, y, wrong = noisy_clusters(seed)
        d = hs.measure(X, y, learner="logistic", folds=3, repeats=2, refine=False)
        rare = y == "class 04"
        right = rare & ~wrong & (d.cause != TOO_FEW)
        p_right += d.p_wrong[right].tolist()
        p_others += d.p_wrong[rare & wrong].tolist()
    assert len(p_right) >= 10
    assert np.mean(p_right) < 0.15
    assert np.mean(p_others) > 0.7


def test_a_rare_class_without_information_is_marked_and_told():
    X, y, _ = noisy_clusters(0)
    rare = y == "class 04"
    rng = np.random.default_rng(1)
    X[rare] = X[rng.choice(np.flatnonzero(~rare), rare.sum(), replace=False)] + rng.normal(scale=0.5, size=(rare.sum(), 4))
    d = hs.measure(X, y, learner="logistic", folds=3, repeats=2, refine=False)
    np.testing.assert_array_equal(d.cause == TOO_FEW, rare)
    assert RELABEL not in d.recommended_action[rare]
    assert any(f"1 class: 'class 04' ({rare.sum()})" in notice for notice in d.run.notices)
