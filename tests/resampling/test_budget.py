"""Budgets, and the folds and repeats they allow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

import hardsight as hs
from hardsight.errors import InputError
from hardsight.measures.reliability import spearman_brown
from hardsight.resampling.budget import Budget, choose_layout, models_needed, parse_budget

X, Y = load_wine(return_X_y=True)


@pytest.mark.parametrize(
    "given, found",
    [
        (None, Budget()),
        ("90s", Budget(90.0)),
        (" 1.5 h ", Budget(5400.0)),
        (" 3 min", Budget(180.0)),
        (2, Budget(120.0)),
        ("20 models", Budget(models=20)),
        ("1 model", Budget(models=1)),
        ("15trainings", Budget(models=15)),
    ],
)
def test_budgets(given, found):
    assert parse_budget(given) == found


@pytest.mark.parametrize(
    "given", ["soon", "5", "2.5 models", "-3 models", "models", "20 models, 10min", "0 models", "0s", -1]
)
def test_no_budgets(given):
    with pytest.raises(InputError, match="budget must be"):
        parse_budget(given)


@given(st.integers(4, 2000), st.integers(2, 300))
def test_a_layout_uses_the_budget_in_two_repeats_or_more(models, most):
    folds, repeats, _ = choose_layout(models, max_folds=most)
    assert 2 <= folds <= most
    assert repeats >= 2
    assert models - folds < folds * repeats <= models


@given(st.integers(10, 2000))
def test_about_five_folds_below_forty_models_and_about_eight_from_there(models):
    folds = choose_layout(models, max_folds=1000).folds
    assert abs(folds - (5 if models < 40 else 8)) <= 1


@pytest.mark.parametrize("models, found", [(10, (5, 2)), (15, (5, 3)), (20, (5, 4)), (40, (8, 5)), (4, (2, 2)), (7, (3, 2))])
def test_layouts_that_were_measured(models, found):
    assert choose_layout(models, max_folds=50)[:2] == found


@given(st.integers(4, 500), st.integers(2, 40), st.integers(2, 40))
def test_what_is_asked_for_stands(models, folds, repeats):
    if folds * repeats <= models:
        assert choose_layout(models, folds=folds, repeats=repeats, max_folds=9)[:2] == (folds, repeats)
        assert choose_layout(models, folds=folds, max_folds=9)[:2] == (folds, models // folds)
        assert choose_layout(models, repeats=repeats, max_folds=9)[:2] == (min(9, models // repeats), repeats)
    else:
        with pytest.raises(InputError, match=f"{folds * repeats} models for folds={folds}, repeats={repeats}. Got {models}"):
            choose_layout(models, folds=folds, repeats=repeats, max_folds=9)


@pytest.mark.parametrize(
    "models, asked, message",
    [
        (3, {}, "budget must be at least 4 models for 2 folds × 2 repeats. Got 3 models"),
        (9, {"folds": 5}, "at least 10 models for folds=5. Got 9"),
        (9, {"repeats": 5}, "at least 10 models for repeats=5. Got 9"),
    ],
)
def test_too_small_a_budget_says_the_least(models, asked, message):
    with pytest.raises(InputError, match=message):
        choose_layout(models, **asked, max_folds=50)


@given(st.floats(0.05, 0.99), st.floats(0.05, 0.99), st.integers(2, 100))
def test_models_for_a_reliability_are_the_fewest_that_reach_it(target, now, models):
    expected = models_needed(target, now, models)

    def reached(count):
        times = count / models
        return times * now / (1 + (times - 1) * now)

    assert reached(expected) >= target - 1e-9
    assert expected == 1 or reached(expected - 1) < target + 1e-9
    assert reached(2 * models) == pytest.approx(spearman_brown(now))


def test_nothing_is_predicted_from_no_reliability():
    assert models_needed(0.95, 0.0, 10) is None
    assert models_needed(0.95, float("nan"), 10) is None


# --- in a run ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_trains_what_the_plan_says():
    d = hs.measure(X, Y, learner="ridge", budget="17 models")
    assert d.settings["splits"] == "4 folds × 4 repeats (for 17 models)"
    assert (d.settings["members"], int(d.n_views.min())) == (16, 4)
    np.testing.assert_array_equal(d.error, hs.measure(X, Y, learner="ridge", folds=4, repeats=4).error)
    given = hs.measure(X, Y, learner="ridge", budget="17 models", folds=8)
    assert given.settings["splits"] == "8 folds × 2 repeats (for 17 models, as far as asked for)"


@pytest.mark.slow
def test_a_rare_class_does_not_reduce_the_folds():
    y = np.repeat(["many", "few"], [175, 3])
    d = hs.measure(X, y, learner="ridge", budget="20 models")
    assert d.settings["splits"].startswith("5 folds × 4 repeats")
    groups = np.arange(178) // 60
    assert hs.measure(X, X[:, 0] * 1.5, groups=groups, learner="ridge", budget="20 models").settings["members"] == 18


def test_forests_are_planned_in_trees():
    forest = hs.ForestOOB(RandomForestClassifier(20))
    d = hs.measure(X, Y, learner=forest, budget="70 models")
    assert (d.settings["splits"], d.settings["members"]) == ("out of bag × 3 repeats (for 70 models)", 60)
    with pytest.raises(InputError, match=r"budget must be 40 models or more for 2 repeats of .* out of bag. Got 30 models"):
        hs.measure(X, Y, learner=forest, budget="30 models")


def test_a_reliable_ranking_ends_it_early():
    d = hs.measure(X, Y, learner="ridge", budget="300 models", reliability=0.8)
    assert d.settings["members"] < 300
    assert "reliability 0.8 reached" in d.settings["splits"]


def test_other_splits_say_their_number_themselves():
    for splits in ("loo", "subsets", hs.KFold(3, 3)):
        with pytest.raises(InputError, match="a budget of models needs repeated folds"):
            hs.measure(X, Y, learner="ridge", budget="20 models", splits=splits)
