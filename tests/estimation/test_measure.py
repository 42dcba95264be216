"""The front door: the contract's parts, no leak, ids that travel, and every argument that can be wrong."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from support.errors import rejects
from support.untyped_calls import printed

import hardsight as hs
from hardsight import Samples
from hardsight.errors import HardsightWarning, InputError
from hardsight.learners import LEARNERS, Predictions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = np.arange(60) % 3
NAMES = np.array(["cat", "dog", "owl"])[Y]


class Spy:
    """A learner that answers by rule and remembers which ids it was trained on and which it judged."""

    name = "spy"

    def __init__(self, answer=None):
        self.answer = answer or by_id
        self.seen = []
        self.plan = None

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return "a spy"

    def fit_predict(self, samples, plan, tick):
        self.plan = plan
        for member in plan.members():
            self.seen.append((samples.ids[member.train], samples.ids[member.held_out]))
            yield Predictions(torch.from_numpy(member.held_out), self.answer(samples, member), member.round)
            tick(1)


def by_id(samples, member):
    """What is predicted depends on the sample's id and on the repeat, never on the training part."""
    key = np.array([int(str(i).strip("s")) for i in samples.ids[member.held_out]], dtype=np.float64)
    classes = 3 if samples.classes is None else len(samples.classes)
    logits = np.sin(key[:, None] * (1.7 + np.arange(classes)) + 3 * member.round) * 2
    return torch.from_numpy(logits[:, 0] if samples.regression else logits)


def measure(y=NAMES, x=X, **more):
    spy = Spy()
    return hs.measure(x, y, **({"learner": spy, "folds": 3, "repeats": 4} | more)), spy


# The contract


def test_parts_and_table_follow_the_contract():
    d, _ = measure(learner="ridge")
    for name in ("error", "bias", "variance", "error_se", "p_wrong"):
        assert getattr(d, name).shape == (60,)
        assert getattr(d, name).dtype == np.float64
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(d.bias + d.variance, d.error, rtol=1e-12, atol=1e-12)
    parts = "error error_se bias variance hardness noise imbalance margin uncertainty"
    columns = "p_wrong suggested p_suggested p_strange cause todo views"
    assert list(d.table) == ["label", "predicted", "p_label", *parts.split(), *columns.split()]
    assert (d.table["label"] == NAMES).all()
    assert set(d.table["predicted"]) <= set(NAMES)
    assert set(d.table["cause"]) <= {"noise", "imbalance", "margin", "uncertainty", "strange", "none"}
    assert ((d.table["cause"] == "none") == ((d.error <= math.log(2)) & (d.p_wrong <= 0.5))).all()
    assert (d.n_views == 4).all()
    assert d.settings["loss"] == "log"
    assert d.settings["splits"] == "3 folds × 4 repeats"
    assert d.settings["members"] == 12
    assert d.settings["label_name"] == "label"
    assert d.samples is not None
    np.testing.assert_allclose(np.exp(d.consensus).sum(1), 1)


def test_against_predictions_folded_by_hand():
    d, spy = measure()
    every = np.stack([
        by_id(d.samples, type("All", (), {"held_out": np.arange(60), "round": r})) for r in range(4)
    ])  # fmt: skip
    log_probs = every - np.log(np.exp(every).sum(2, keepdims=True))
    own = log_probs[:, np.arange(60), Y]
    np.testing.assert_allclose(d.error, -own.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(d.error_se, own.std(0, ddof=1) / 2, rtol=0, atol=1e-12)
    variance = -np.log(np.exp(log_probs.mean(0)).sum(1)) * 4 / 3
    np.testing.assert_allclose(d.variance, variance, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(d.predicted, log_probs.mean(0).argmax(1))
    as_given = hs.measure_predictions(every, NAMES, features=d.samples.matrix, folds=3)
    pd.testing.assert_frame_equal(as_given.table, d.table)
    assert len(spy.seen) == 12


@pytest.mark.slow
def test_predictions_go_without_features():
    few = [[[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], [[0.7, 0.3], [0.5, 0.5], [0.3, 0.7]]]
    log_probs, labels = np.tile(np.log(few), (1, 10, 1)), [0, 1, 1] * 10
    with_features = hs.measure_predictions(log_probs, labels, features=np.arange(30.0)[:, None])
    without = hs.measure_predictions(log_probs, labels)
    np.testing.assert_array_equal(with_features.error, without.error)
    assert not np.array_equal(with_features.p_wrong, without.p_wrong)
    with pytest.raises(hs.InputError, match=r"features must have shape \(30, feature\)"):
        hs.measure_predictions(log_probs, labels, features=np.zeros((2, 2)))


@pytest.mark.parametrize("loss", ["brier", "zero-one"])
def test_other_losses_have_no_ledger(loss):
    d, _ = measure(loss=loss)
    assert d.factors is None
    assert d.p_wrong is None
    assert d.cause is None
    assert d.settings["loss"] == loss
    np.testing.assert_allclose(d.bias + d.variance, d.error, rtol=1e-12, atol=1e-12)


def test_main_predictions_of_zero_one_loss_are_by_vote():
    p = np.log([[[0.6, 0.4]] * 2, [[0.6, 0.4]] * 2, [[0.01, 0.99]] * 2])
    assert hs.measure_predictions(p, ["a", "b"], loss="zero-one").predicted.tolist() == [0, 0]
    assert hs.measure_predictions(p, ["a", "b"]).predicted.tolist() == [1, 1]


def test_regression():
    y = X[:, 0] + 0.1
    d, spy = measure(y)
    every = np.stack([by_id(d.samples, type("All", (), {"held_out": np.arange(60), "round": r})) for r in range(4)])
    np.testing.assert_allclose(d.error, ((every - y) ** 2).mean(0), rtol=1e-12)
    np.testing.assert_allclose(d.variance, every.var(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(d.predicted, every.mean(0), rtol=1e-12)
    np.testing.assert_array_equal(d.table["label"], y)
    assert d.settings["loss"] == "squared"
    assert list(d.factors) == ["noise", "spread", "variance"]
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, rtol=1e-12)
    assert d.classes is None
    assert len(spy.plan.rounds) == 4


# No leak


def test_nothing_is_judged_by_what_saw_it_or_its_relatives():
    groups = np.random.default_rng(1).integers(25, size=60)
    x = X.copy()
    x[30] = x[10]
    ids = np.array([f"s{k}" for k in range(60)])
    _, spy = measure(x=x, groups=groups, ids=ids)
    relatives = {i: set(ids[(groups == g)]) for i, g in zip(ids, groups, strict=True)}
    for pair in (("s10", "s30"), ("s30", "s10")):
        relatives[pair[0]] = relatives["s10"] | relatives["s30"]
    judged = []
    for train, held_out in spy.seen:
        for i in held_out:
            assert not relatives[i] & set(train)
        judged += held_out.tolist()
    assert all(judged.count(i) == 4 for i in ids)


@pytest.mark.parametrize("splits", [hs.Subsets(40, 0.6), "loo", hs.LeaveOneOut(2), "subsets"])
def test_other_splits_respect_groups_too(splits):
    groups = np.arange(60) // 2
    _, spy = measure(groups=groups, splits=splits, folds=None, repeats=None)
    for train, held_out in spy.seen:
        assert not set(groups[train]) & set(groups[held_out])


def test_a_whole_table_of_groups_works():
    _, spy = measure(groups=np.arange(60) // 6, folds=2, repeats=2, y=np.arange(60) % 2)
    assert len(spy.seen) == 4


def test_duplicates_are_noticed_and_kept_together():
    x = X.copy()
    x[[20, 40]] = x[0]
    d, spy = measure(x=x)
    assert any(n.startswith("3 of 60 samples (5.0%) have exactly the same features") for n in d.settings["notices"])
    for train, _ in spy.seen:
        assert len({0, 20, 40} & set(train.tolist())) in (0, 3)
    assert d.copy_set.tolist() == [0 if row in (0, 20, 40) else -1 for row in range(60)]
    d, spy = measure(x=x, duplicates="apart")
    assert not any("have exactly the same features" in notice for notice in d.settings["notices"])
    assert any(len({0, 20, 40} & set(train.tolist())) in (1, 2) for train, _ in spy.seen)
    d, _ = measure(x=np.repeat(X[:30], 2, axis=0), y=np.repeat(NAMES[:30], 2))
    assert "duplicates='apart'" in " ".join(d.settings["notices"])
    assert d.settings["duplicates"] == "together"


def test_near_copies_are_kept_together_by_default():
    x = np.random.default_rng(0).normal(size=(60, 6))
    x[[20, 40]] = x[0] + 1e-4
    x[50] = x[10] - 1e-4
    y = NAMES.copy()
    y[[0, 20, 10, 50]], y[40] = "cat", "dog"
    d, spy = measure(x=x, y=y)
    assert d.copy_set.tolist() == [{0: 0, 20: 0, 40: 0, 10: 1, 50: 1}.get(row, -1) for row in range(60)]
    for train, _ in spy.seen:
        assert len({0, 20, 40} & set(train.tolist())) in (0, 3)
    notice = next(n for n in d.settings["notices"] if "near copies" in n)
    assert notice.startswith("5 of 60 samples (8.3%) are near copies of another sample (2 of them exact copies), in 2 sets;")
    assert "labels differ in 1 of them, such as 0 ('cat') = 40 ('dog') = 20 ('cat')." in notice
    assert "duplicates='together' (--duplicates together)" in notice
    assert d.settings["duplicates"] == "near"
    assert d.copies()["contradictory"].tolist() == [True, False]
    d, _ = measure(x=x, y=y, duplicates="together")
    assert d.copy_set.tolist() == [0 if row in (20, 40) else -1 for row in range(60)]
    assert d.settings["duplicates"] == "together"


def test_equal_rows_of_few_categories_are_different_samples():
    x = np.random.default_rng(0).integers(0, 3, (60, 2))
    d, _ = measure(x=x)
    assert d.settings["duplicates"] == "apart"
    assert d.copy_set is None
    notice = next(n for n in d.settings["notices"] if "count as different samples" in n)
    assert "duplicates='together' (--duplicates together)" in notice
    d, _ = measure(x=x, duplicates="together")
    assert (d.copy_set >= 0).all()


# Ids


@pytest.mark.slow
@settings(max_examples=10)
@given(st.permutations(range(60)), st.sampled_from(["log", "brier", "zero-one", "squared"]))
def test_the_order_of_samples_does_not_matter(order, loss):
    y = X[:, 0] + 0.1 if loss == "squared" else NAMES
    ids = np.array([f"s{7 * k}" for k in range(60)])
    first, _ = measure(y, ids=ids, loss=loss)
    other, _ = measure(y[order], X[order], ids=ids[order], loss=loss)
    assert other.ids.tolist() == ids[order].tolist()
    columns = [c for c in first.table if c != "cause"]
    pd.testing.assert_frame_equal(other.table.loc[ids, columns], first.table[columns], rtol=1e-3, atol=1e-4)
    exact = ["error", "error_se", "bias", "variance"]
    pd.testing.assert_frame_equal(other.table.loc[ids, exact], first.table[exact], rtol=1e-12, atol=1e-12)


def test_ids_of_a_frame_are_its_index():
    frame = pd.DataFrame(X, index=[f"s{k}" for k in range(60)]).assign(kind=NAMES)
    d, spy = measure("kind", frame)
    assert d.table.index.tolist() == frame.index.tolist()
    assert d.settings["label_name"] == "kind"
    assert spy.seen[0][0].dtype.kind == "U"


def test_samples_may_be_given_whole():
    samples = Samples.of(X, NAMES, ids=[f"s{k}" for k in range(60)])
    d, _ = measure(None, samples)
    assert d.ids[3] == "s3"
    measuring_raises("leave out y, groups", samples, NAMES, groups=Y)


def test_seeds():
    first, again, other = (measure(learner="ridge", seed=s)[0] for s in (4, 4, 5))
    assert first.error.tobytes() == again.error.tobytes()
    assert first.error.tobytes() != other.error.tobytes()
    assert first.settings == again.settings
    members = measure(seed=4)[1].plan
    assert [m.seed for m in members.members()] == [m.seed for m in measure(seed=4)[1].plan.members()]
    assert [m.seed for m in members.members()] != [m.seed for m in measure(seed=5)[1].plan.members()]


# Around the run


def test_progress_counts_to_the_end(capsys):
    d, _ = measure(progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(r"training models.*12/12", shown.err.replace("\n", " "))
    quiet, _ = measure()
    assert capsys.readouterr().err == ""
    assert d.error.tobytes() == quiet.error.tobytes()


@pytest.mark.slow
def test_warnings_of_members_are_handed_on_once_and_kept():
    weak = LogisticRegression(max_iter=1, tol=1e-12)
    with pytest.warns(match="failed to converge") as caught:
        d, _ = measure(learner=weak)
    assert len(caught) == 1
    assert sum("failed to converge" in n for n in d.settings["notices"]) == 1
    assert not issubclass(caught[0].category, HardsightWarning)


def test_predictions_that_are_no_numbers_are_an_error():
    def odd(samples, member):
        found = by_id(samples, member)
        found[member.held_out == 13] = math.nan
        return found

    with pytest.raises(hs.LearnerError, match="spy predicts nan for sample 13"):
        measure(learner=Spy(odd))


def test_a_single_judgement_says_what_it_cannot_know():
    d, _ = measure(splits="loo", folds=None, repeats=None)
    assert np.isfinite(d.error).all()
    for part in (d.error_se, d.bias, d.variance):
        assert np.isnan(part).all()
    assert d.factors is None
    assert d.settings["splits"] == "leave one out"
    d, _ = measure(splits="loo", folds=None, repeats=3)
    assert (d.n_views == 3).all()
    assert d.factors is not None


# Refusals


def measuring_raises(match, x=X, y=NAMES, **more):
    rejects(match, hs.measure, x, y, **({"learner": Spy()} | more))


@pytest.mark.parametrize(
    "match, more",
    [
        ("folds must be 2 or more.*Got 1", {"folds": 1}),
        ("folds must be 2 or more.*Got 0", {"folds": 0}),
        ("repeats must be 2 or more.*Got 1", {"repeats": 1}),
        ("repeats must be 2 or more.*Got 0", {"repeats": 0}),
        ("folds must be 60 or less, the number of samples .*. Got 61", {"folds": 61}),
        ("folds must be 60 or less, the number of samples .*. Got 61", {"folds": 61, "y": X[:, 0] + 0.1}),
        ("folds must be 4 or less, the number of samples", {"groups": Y * 0 + np.arange(60) % 4, "y": X[:, 0] + 0.1}),
        ("'forrest' .did you mean 'forest'.*: choose one of auto, " + ", ".join(LEARNERS), {"learner": "forrest"}),
        ("learner must be a name.*Got int", {"learner": 3}),
        ("learner must be a name.*Got Tensor", {"learner": torch.zeros(3)}),
        ("the learner convnet reads images.*kind 'array'", {"learner": "convnet"}),
        ("loss must be one of log, brier, zero-one, squared. Got 'hinge'", {"loss": "hinge"}),
        ("loss must be log or brier or zero-one.*classes. Got 'squared'", {"loss": "squared"}),
        ("loss must be squared.*numbers. Got 'log'", {"loss": "log", "y": X[:, 0] + 0.1}),
        ("splits must be 'kfold', 'subsets', 'loo'.*Got 'thirds'", {"splits": "thirds"}),
        ("splits must be.*Got 5", {"splits": 5}),
        ("already fixes the splits: leave out folds and repeats", {"splits": hs.KFold(3, 3), "folds": 3}),
        ("already fixes the splits", {"splits": hs.Subsets(9), "repeats": 3}),
        ("folds has no meaning for splits='loo'", {"splits": "loo", "folds": 3}),
        ("folds and repeats have no meaning for splits='subsets'", {"splits": "subsets", "repeats": 3}),
        ("out of bag holds samples out by itself", {"learner": "forest", "folds": 3}),
        ("out of bag holds samples out by itself: leave out splits", {"learner": "forest", "splits": "loo"}),
        ("duplicates must be one of auto, near, together, apart. Got 'drop'", {"duplicates": "drop"}),
        ("seed must be 0 or more. Got -1", {"seed": -1}),
        ("only 'cat' has: add samples, or merge", {"y": ["rare", *["cat"] * 59]}),
        ("or groups that must stay together.* only 'cat' has", {"groups": np.where(Y == 0, np.arange(60), 99)}),
        ("all samples are in one group", {"groups": np.zeros(60)}),
        ("have fewer than 2 held-out predictions: train more models", {"splits": hs.Subsets(2, 0.9)}),
        ("task must be", {"task": "ranking"}),
        ("all 60 labels .* are 'a'", {"y": ["a"] * 60}),
        ("60 samples, 59", {"y": NAMES[:59]}),
        ("ids must be unique", {"ids": np.zeros(60, dtype=int)}),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(match, more):
    measuring_raises(match, **more)


def test_everything_a_copy_of_everything():
    measuring_raises("2 samples .or groups that must stay together.* duplicates='apart'", np.ones((60, 2)))


def test_a_group_that_takes_all_of_a_class_with_it():
    # Two groups hold class 1 between them, and with two folds both may fall into one: never judged by those unaware.
    y = np.array([0] * 40 + [1] * 20)
    groups = np.concatenate([np.arange(40), [50] * 10, [51] * 10])
    d = hs.measure(X, y, learner=Spy(), groups=groups, folds=2, repeats=5)
    assert (d.n_views == 5).all()


# Predictions as given


def test_predictions_by_hand():
    p = np.array([[[0.5, 0.5], [0.2, 0.8]], [[0.8, 0.2], [0.2, 0.8]]])
    d = hs.measure_predictions(np.log(p), ["a", "b"])
    error = [-math.log(math.sqrt(0.4)), -math.log(0.8)]
    # Consensus of the first: roots of .4 and .1, so 2/3 and 1/3; twice the plug-in divergence at two views.
    variance = [2 * (math.log(2 / 3) + error[0]), 0]
    np.testing.assert_allclose(d.error, error, rtol=1e-12)
    np.testing.assert_allclose(d.variance, variance, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(d.bias, np.subtract(error, variance), rtol=1e-12)
    np.testing.assert_allclose(d.p_label, [2 / 3, 0.8], rtol=1e-12)
    np.testing.assert_allclose(d.error_se, [math.log(0.8 / 0.5) / 2, 0], rtol=1e-12, atol=1e-12)
    brier = hs.measure_predictions(np.log(p), ["a", "b"], loss="brier")
    np.testing.assert_allclose(brier.error, [(2 * 0.25 + 2 * 0.04) / 2, 2 * 0.04], rtol=1e-12)
    np.testing.assert_allclose(brier.variance, [2 * 2 * 0.15**2, 0], rtol=1e-12, atol=1e-15)
    hard = hs.measure_predictions(np.log(p), ["b", "a"], loss="zero-one")
    np.testing.assert_array_equal(hard.error, [1, 1])
    assert d.settings["members"] == 2


def test_masked_predictions_are_never_read():
    rng = np.random.default_rng(0)
    logits, mask = rng.normal(size=(6, 20, 3)), rng.random((6, 20)) < 0.6
    mask[:2] = True
    y = np.arange(20) % 3
    d = hs.measure_predictions(np.where(mask[..., None], logits, np.nan), y, held_out=mask)
    log_probs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    for i in range(20):
        seen = -log_probs[mask[:, i], i, y[i]]
        assert d.error[i] == pytest.approx(seen.mean(), abs=1e-12)
        assert d.error_se[i] == pytest.approx(seen.std(ddof=1) / math.sqrt(len(seen)), abs=1e-12)
    np.testing.assert_array_equal(d.n_views, mask.sum(0))
    as_numbers = hs.measure_predictions(torch.tensor(logits, requires_grad=True), y, held_out=mask.astype(int).tolist())
    pd.testing.assert_frame_equal(as_numbers.table, d.table)


def test_a_view_that_judges_nothing_changes_nothing():
    logits = np.random.default_rng(0).normal(size=(3, 6, 2))
    mask = np.array([[True] * 6, [False] * 6, [True] * 6])
    d, e = hs.measure_predictions(logits, Y[:6] % 2, held_out=mask), hs.measure_predictions(logits[[0, 2]], Y[:6] % 2)
    np.testing.assert_allclose(d.error, e.error, rtol=1e-15)
    assert d.settings["members"] == 3


def test_classes_name_the_columns():
    log_probs = np.log([[[0.7, 0.2, 0.1]] * 2] * 2)
    d = hs.measure_predictions(log_probs, ["b", "a"], classes=["b", "c", "a"])
    np.testing.assert_allclose(d.error, -np.log([0.7, 0.1]), rtol=1e-12)
    assert d.classes == ("b", "c", "a")
    assert d.table["label"].tolist() == ["b", "a"]
    assert d.table["predicted"].tolist() == ["b", "b"]
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, rtol=1e-9)
    assert np.isfinite(d.p_wrong).all()


def test_predictions_of_targets():
    d = hs.measure_predictions([[1.0, 2.0], [3.0, 2.0]], [5.0, 2.5], ids=["p", "q"])
    assert d.error.tolist() == [10, 0.25]
    assert d.variance.tolist() == [2, 0]
    assert d.bias.tolist() == [8, 0.25]
    assert d.predicted.tolist() == [2, 2]
    assert d.ids.tolist() == ["p", "q"]


GOOD = np.zeros((2, 4, 2))


@pytest.mark.parametrize(
    "match, log_probs, y, more",
    [
        (r"shape \(view, sample, class\).*Got \(4,\): put the axis of views first", np.zeros(4), [0, 1, 0, 1], {}),
        (r"predictions must have shape.*Got \(1, 2, 2, 2\)", np.zeros((1, 2, 2, 2)), [0, 1], {}),
        ("predictions have 3 classes, and y has 2: name the classes of the columns", np.zeros((2, 4, 3)), [0, 1, 0, 1], {}),
        ("4 samples, 3 labels", GOOD, [0, 1, 0], {}),
        (r"held_out must have shape \(2, 4\), \(view, sample\). Got \(4, 2\)", GOOD, [0, 1, 0, 1],
         {"held_out": np.ones((4, 2))}),
        ("1 samples have no held-out view, the first is 2: leave", GOOD, [0, 1, 0, 1],
         {"held_out": [[1, 1, 0, 1], [1, 0, 0, 1]]}),
        (r"finite. Got \[-inf, 0\] in view 1, sample 's2'", np.where(np.arange(16).reshape(2, 4, 2) == 12, -np.inf, 0),
         [0, 1, 0, 1], {"ids": ["s0", "s1", "s2", "s3"]}),
        ("finite in float32. Got another number in view 0, sample 0", np.full((2, 4), np.nan), [0.5, 1, 2, 3], {}),
        ("classes must name every label once.*y holds", GOOD, ["a", "b", "a", "b"], {"classes": ["a", "c"]}),
        ("classes must name every label once", GOOD, ["a", "b", "a", "b"], {"classes": ["a", "b", "b"]}),
        ("loss must be log or brier or zero-one", GOOD, [0, 1, 0, 1], {"loss": "mse"}),
        ("ids must be unique", GOOD, [0, 1, 0, 1], {"ids": [1, 1, 2, 3]}),
    ],
)  # fmt: skip
def test_predictions_that_cannot_be(match, log_probs, y, more):
    with pytest.raises(InputError, match=match) as caught:
        hs.measure_predictions(log_probs, y, **more)
    assert "\n" not in str(caught.value)


WRONG_KINDS = """
X, y, p = np.eye(6), list("ababab"), np.zeros((2, 6, 2))
for more in (
    {"reliability": "0.9"}, {"refine": "no"}, {"progress": "yes"},
    {"budget": [5]},
):
    tried(hs.measure, X, y, learner="ridge", **more)
tried(hs.Estimate, adjusted="yes")
tried(hs.Estimate, pilot=2)
tried(hs.Execution, checkpoint="p.npz", resume="no")
for log_probs in ("a", None, [[[0, 0]], [[0], [0]]]):
    tried(hs.measure_predictions, log_probs, y)
for more in ({"features": "x"}, {"held_out": [[1], [1, 0]]}, {"classes": 5}, {"classes": "ab"}):
    tried(hs.measure_predictions, p, y, **more)
d = hs.measure(X, y, learner="ridge", folds=2, refine=np.False_, estimate=hs.Estimate(adjusted=np.False_), progress=0)
print(d.settings["refined"]["why"], "&", d.settings["adjusted"]["why"])
"""  # fmt: skip


@pytest.mark.slow
def test_arguments_of_a_wrong_kind_are_refused_in_a_line_each():
    assert [re.sub(r"Got (setting|could).*", "Got …", line) for line in printed(WRONG_KINDS)] == [
        "reliability must be a number between 0 and 1, such as 0.95. Got '0.9'",
        "refine must be True, False or a number of rounds. Got 'no'",
        "progress must be True or False. Got 'yes'",
        "budget must be a time such as 90s, 10min or 2h, or a number of models such as '20 models'. Got [5]",
        "adjusted must be True or False. Got 'yes'",
        "pilot must be True or False. Got 2",
        "resume must be True or False. Got 'no'",
        "predictions must be numbers of shape (view, sample, class), or (view, sample) in regression. Got the type <U1",
        "predictions must have shape (view, sample, class), or (view, sample) in regression. Got ()",
        "predictions must be numbers of shape (view, sample, class), or (view, sample) in regression. Got …",
        "features must be numbers of shape (sample, feature). Got the type <U1",
        "held_out must be numbers of shape (view, sample). Got …",
        "classes must be a list of labels, one per column of predictions. Got 5",
        "classes must be a list of labels, one per column of predictions. Got 'ab'",
        "not asked for & not asked for",
    ]


# What it is for


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flipped_labels_are_hard(flipped_digits, seed):
    features, labels, wrong = flipped_digits(seed)
    d = hs.measure(features, labels, seed=seed)
    assert roc_auc_score(wrong, d.error) >= 0.997
    assert average_precision_score(wrong, d.error) >= 0.98
    assert roc_auc_score(wrong, d.p_wrong) >= 0.997
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, rtol=1e-9, atol=1e-9)
    assert (d.table["cause"][wrong] == "noise").mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_by_name(learner):
    x, y = load_iris(return_X_y=True)
    if learner == "convnet":
        x = np.repeat(np.repeat((x.reshape(-1, 2, 2) * 25).astype(np.uint8), 4, axis=1), 4, axis=2)
    shape = {"repeats": 3} if learner == "forest" else {"folds": 2, "repeats": 2}
    one_out = learner.endswith("-loo")
    d = hs.measure(x, y, learner=learner, **({"splits": "loo"} if one_out else shape))
    assert (d.predicted == d.labels).mean() > 0.8
    # Trees are calibrated where that lowers the loss.
    assert d.settings["reason"].partition(";")[0] == "as asked for"
    if one_out:
        assert d.factors is None
        assert np.isnan(d.variance).all()
        return
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, rtol=1e-9, atol=1e-9)


def test_the_learner_chosen_is_named_with_its_reason():
    d = hs.measure(X, NAMES, folds=2, repeats=2)
    assert d.settings["learner"] == "network"
    assert "4 numbers" in d.settings["reason"]
    assert "adamw" in d.settings["recipe"]
