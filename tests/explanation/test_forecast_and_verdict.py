"""The parts of an explanation, against closed forms, brute force and truths that are known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from support.example_results import by_hand, regression_with_an_outlier

import hardsight as hs
from hardsight.errors import InputError
from hardsight.explanation import effect as effects_of
from hardsight.explanation.forecast import Forecast, forecast, forecast_table, mean_weights, scatter_factors
from hardsight.explanation.groups import assign_deciles, list_groups
from hardsight.explanation.intervals import MeanInterval, clustered_mean
from hardsight.explanation.margin_bound import bound_terms, target_weights
from hardsight.explanation.paired_training import ArmPredictions, PairedPredictions
from hardsight.explanation.verdict import Verdict, make_verdict
from hardsight.explanation.weight_summary import classify_priority, largest_weights, weight_overview, weight_shares
from hardsight.weights.file import read_weights, write_weights


def crossed(n, folds, repeats, rng):
    """Judgements of ``n`` samples in repeats of folds: sample and model, ``(judgement,)``."""
    sample = np.tile(np.arange(n), repeats)
    fold = np.concatenate([rng.permutation(n) % folds for _ in range(repeats)])
    return sample, fold + folds * np.repeat(np.arange(repeats), n)


# --- intervals ---------------------------------------------------------------------------------------------------------


def test_without_shared_models_it_is_the_t_interval_of_the_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    found = clustered_mean(x, np.ones(40), np.arange(40), np.arange(40))
    low, high = stats.t.interval(0.95, 39, x.mean(), x.std(ddof=1) / 40**0.5)
    # Both clusters and each judgement are the same: two sums less one, but for the factor n / (n - 1).
    np.testing.assert_allclose([found.value, found.low, found.high], [x.mean(), low, high], rtol=2e-2)


def test_the_variance_is_the_sum_over_pairs_that_share_a_sample_or_a_model():
    rng = np.random.default_rng(1)
    sample, model = crossed(12, 3, 2, rng)
    x, a = rng.normal(size=24), rng.random(24)
    found = clustered_mean(x, a, sample, model)
    u = a * (x - np.average(x, weights=a)) / a.sum()
    alike, same = sample[:, None] == sample, model[:, None] == model
    by_sample, by_model = (12 / 11 * u @ alike @ u, 6 / 5 * u @ same @ u)
    expected = max(by_sample + by_model - u @ (alike & same) @ u, by_sample, by_model)
    np.testing.assert_allclose(found.se**2, expected)
    np.testing.assert_allclose(found.high - found.value, stats.t.ppf(0.975, 5) * found.se)


def test_strata_count_alike():
    x = np.array([1.0, 1.0, 1.0, 5.0])
    found = clustered_mean(x, np.ones(4), np.arange(4), np.arange(4), np.array([0, 0, 0, 1]))
    assert found.value == 3
    assert clustered_mean(x, np.array([1.0, 1, 1, 0]), np.arange(4), np.arange(4), np.array([0, 0, 0, 1])).value == 1


@pytest.mark.parametrize(("by_sample", "by_model"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_intervals_cover_a_known_null(by_sample, by_model):
    """Differences of mean zero that samples and models share: the interval holds zero as often as it says."""
    rng = np.random.default_rng(2)
    inside = naive = 0
    runs = 400
    for _ in range(runs):
        sample, model = crossed(60, 5, 4, rng)
        x = by_sample * rng.normal(size=60)[sample] + by_model * rng.normal(size=20)[model] + rng.normal(size=240)
        inside += clustered_mean(x, np.ones(240), sample, model).sign == 0
        naive += abs(x.mean()) < 1.96 * x.std() / 240**0.5
    assert 0.93 <= inside / runs <= 1
    assert by_sample + by_model == 0 or naive / runs < 0.85


def test_what_cannot_be_known_is_not_told():
    alone = clustered_mean(np.ones(3), np.ones(3), np.zeros(3, int), np.arange(3))
    assert alone.value == 1
    assert np.isnan([alone.se, alone.low, alone.high]).all()
    assert alone.sign == 0
    assert np.isnan(clustered_mean(np.ones(3), np.zeros(3), np.arange(3), np.arange(3)).value)


# --- what weights are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([1, 1, 1, 1, 1], "none"),
        ([1, 1.01, 1.0, 1.02, 1.03], "none"),
        ([0.01, 0.01, 0.02, 0.05, 4], "hard-first"),
        ([1.2, 1.2, 1.19, 1.2, 0.1], "easy-first"),
        ([0.5, 1, 1.5, 1, 0.5], "medium-first"),
        ([1.5, 1, 0.5, 1, 1.5], "two-ends-first"),
        ([1, 2, 1, 2, 1], "mixed"),
        (np.linspace(0.9, 1.1, 50), "hard-first"),
        (np.linspace(1.1, 0.9, 50), "easy-first"),
    ],
)
def test_the_priority_is_that_of_the_weights(means, expected):
    assert classify_priority(np.array(means, dtype=float)) == expected


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=12))
def test_the_priority_turns_with_the_order_and_not_with_the_scale(means):
    turned = {"easy-first": "hard-first", "hard-first": "easy-first"}
    one = classify_priority(np.array(means))
    assert classify_priority(np.array(means[::-1])) == turned.get(one, one)
    assert classify_priority(4 * np.array(means)) == one


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["easy-first", "hard-first", "medium-first", "two-ends-first", "uniform"])
def test_schemes_have_the_priority_they_are_named_for(scheme):
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.02, 0.98, 300)
    y = np.arange(300) % 2
    p = np.where(y[:, None] == np.arange(2), probability[:, None], 1 - probability[:, None])
    d = hs.measure_predictions(np.log(np.stack([p, p])), y)
    assert weight_overview(d, hs.weigh(d, scheme))["priority"] == {"uniform": "none"}.get(scheme, scheme)


def test_the_overview_and_the_shares():
    d = by_hand()
    weights = np.array([3.0, 0, 1, 1, 1, 0])
    overview = weight_overview(d, weights)
    np.testing.assert_allclose(overview["effective"], 36 / 12)
    np.testing.assert_allclose(overview["chi2"], np.mean(weights**2) - 1)
    np.testing.assert_allclose(overview["noise_share"], (weights * d.p_wrong).sum() / 6)
    np.testing.assert_allclose(overview["spearman"], stats.spearmanr(weights, d.error).statistic)
    assert (overview["zeros"], overview["largest"]) == (2, 3)
    rows = weight_shares(d, weights)
    for by in ("all", "class", "cause", "decile"):
        mine = rows[rows["by"] == by]
        np.testing.assert_allclose(mine["weight_share"].sum(), 1)
        assert mine["samples"].sum() == 6
    cats = rows[(rows["by"] == "class") & (rows["group"] == "cat")].iloc[0]
    np.testing.assert_allclose(cats["mean_weight"], weights[d.labels == 0].mean())
    assert largest_weights(d, weights, 2).index.tolist() == [0, 2]
    assert np.isnan(weight_overview(d, np.ones(6))["spearman"])


def test_deciles_hold_the_easiest_first():
    found = assign_deciles(np.arange(100)[::-1].astype(float))
    assert found[99] == 1
    assert found[0] == 10
    assert (np.bincount(found)[1:] == 10).all()
    assert [group.name for group in list_groups(by_hand()) if group.by == "class"] == ["cat", "dog"]
    assert {group.by for group in list_groups(regression_with_an_outlier())} == {"all", "decile"}


# --- the forecast ------------------------------------------------------------------------------------------------------


def drawn(n=4000, shares=(0.8, 0.2), gap=1.5, flips=0.0, seed=0):
    """Two Gaussians on a line, held-out predictions that are all but Bayes', labels of which some are flipped."""
    rng = np.random.default_rng(seed)
    true = (rng.random(n) < shares[1]).astype(int)
    x = rng.normal(size=n) + gap * true
    y = np.where(rng.random(n) < flips, 1 - true, true)
    odds = gap * x - gap**2 / 2 + np.log(shares[1] / shares[0])
    p = 1 / (1 + np.exp(-odds))
    p = p * (1 - flips) + (1 - p) * flips
    views = np.log(p / (1 - p)) + 0.05 * rng.normal(size=(4, n))
    return x, true, hs.measure_predictions(np.stack([-np.logaddexp(0, views), -np.logaddexp(0, -views)], 2), y)


@pytest.mark.slow
def test_weights_of_classes_shift_the_prior_as_bayes_rule_says():
    _, _, d = drawn()
    weights = hs.weigh(d, "balanced")
    found = forecast(d, weights)
    shifted = d.consensus + np.log(mean_weights(d, weights))
    shifted -= np.logaddexp.reduce(shifted, axis=1, keepdims=True)
    by_hand_ = d.consensus - np.log(np.bincount(d.labels) / len(d))
    by_hand_ -= np.logaddexp.reduce(by_hand_, axis=1, keepdims=True)
    np.testing.assert_allclose(shifted, by_hand_, atol=1e-9)
    row = np.arange(len(d))
    before, after = ((each.argmax(1) == d.labels).astype(float) for each in (d.consensus, by_hand_))
    recalls = [np.bincount(d.labels, each) / np.bincount(d.labels) for each in (before, after)]
    np.testing.assert_allclose(found.balanced, (recalls[1] - recalls[0]).mean(), atol=0.03)
    assert found.balanced > 0.05
    assert found.direction == "better"
    np.testing.assert_allclose((d.consensus - shifted)[row, d.labels], found.loss, atol=0.05)


@pytest.mark.slow
def test_weights_of_a_loss_are_found_at_the_labels_that_a_sample_has_not():
    _, _, d = drawn()
    w = hs.weigh(d, "hard-first")
    scale = w[0] / np.exp(-d.p_label[0])
    # A quarter of the class is coarse at its ends.
    ratio = mean_weights(d, w) / (scale * np.exp(-np.exp(d.consensus)))
    assert np.quantile(abs(ratio - 1), 0.95) < 0.25


@pytest.mark.slow
def test_the_weight_of_a_label_depends_on_the_other_classes():
    # Labels 0 have probability .5 everywhere. Beside class 1 their weight is 1.5, beside class 2 it is .5.
    rng = np.random.default_rng(0)
    beside = rng.integers(1, 3, 300)
    p = np.full((300, 3), 0.05)
    p[:, 0], p[np.arange(300), beside] = 0.5, 0.45
    labels = np.where(rng.random(300) < 0.5, 0, beside)
    views = np.log(p) + 0.05 * rng.normal(size=(4, 300, 3))
    d = hs.measure_predictions(views, labels, outputs="logits")
    means = mean_weights(d, np.where(labels == 0, 2.5 - beside, 1.0))
    np.testing.assert_allclose(means[:, 0], np.where(beside == 1, 1.5, 0.5), atol=0.05)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_mean_weights_against_brute_force(n_classes):
    rng = np.random.default_rng(n_classes)
    labels = rng.integers(n_classes, size=400)
    views = 2 * rng.normal(size=(400, n_classes)) + 0.05 * rng.normal(size=(4, 400, n_classes))
    views[:, 7] = views[:, 8]  # a distance of zero
    d = hs.measure_predictions(views, labels, outputs="logits")
    weights = rng.exponential(size=400)
    # With so few samples, every one of a class is a reference.
    log_prob = np.maximum(d.consensus, np.log(1e-6))
    closeness = (cdist(log_prob, log_prob) + 0.3) ** -3.0
    of_class = labels[:, None] == np.arange(n_classes)
    expected = closeness @ (weights[:, None] * of_class) / (closeness @ of_class)
    np.testing.assert_allclose(mean_weights(d, weights), expected, rtol=1e-5)
    assert (mean_weights(d, np.ones(400)) == 1).all()


@pytest.mark.slow
def test_uniform_weights_change_nothing():
    _, _, d = drawn(500)
    found = forecast(d, np.ones(500))
    np.testing.assert_allclose(found.loss, 0, atol=1e-12)
    assert found.balanced == 0
    assert found.direction == "little change"
    assert set(forecast_table(d, found)["expected"]) == {"little"}


def test_the_scatter_is_that_of_a_weighted_mean():
    """With equal gradients and curvatures the factor is N over the effective size, class by class."""
    p = np.log(np.full((2, 40, 2), 0.5))
    d = hs.measure_predictions(p, np.arange(40) % 2)
    weights = np.random.default_rng(0).exponential(size=40)
    mine = weights[d.labels == 0]
    np.testing.assert_allclose(scatter_factors(d, weights)[0], 20 * (mine**2).sum() / mine.sum() ** 2)


@pytest.mark.slow
def test_wrong_labels_are_told_from_right_ones():
    """Hard-first weights on noisy labels bring the wrong ones in: worse; easy-first and auto keep them out."""
    _, _, d = drawn(3000, (0.5, 0.5), 3.0, 0.3)
    sharp = forecast(d, hs.weigh(d, "hard-first", temperature=0.3))
    assert sharp.direction == "worse"
    assert forecast(d, hs.weigh(d, "focal")).balanced < 0
    gap, right = sharp.chance - sharp.chance_without, 1 - d.p_wrong
    by_class = [np.average(gap[at], weights=right[at]) for at in (d.labels == c for c in (0, 1))]
    np.testing.assert_allclose(sharp.balanced, np.mean(by_class))
    assert abs(np.mean(by_class) - gap.mean()) > 1e-3
    rows = forecast_table(d, forecast(d, hs.weigh(d, "auto")))
    assert rows[rows["by"] == "all"]["expected"].item() == "gains"


def test_a_forecast_needs_a_ledger():
    with pytest.raises(InputError, match="a forecast needs the ledger"):
        forecast(regression_with_an_outlier(), np.ones(400))


# --- the bound ---------------------------------------------------------------------------------------------------------


def test_the_terms_of_the_bound():
    below = np.array([1.0, 0, 0.5, 0])
    found = bound_terms(np.ones(4), np.ones(4), below, margin=2.0, radius=3.0, depth=2, delta=0.1)
    np.testing.assert_allclose(
        found,
        [
            0.375,
            0.375,
            0,
            3 / (2 * 2**0.5 * 2),
            3 / (2 * 2**0.5 * 2),
            (np.log(np.log2(6)) / 4) ** 0.5 + (np.log(10) / 4) ** 0.5,
        ],
    )
    expected, weights = np.array([2.0, 0, 2, 0]), np.array([1.0, 1, 0.5, 1.5])
    other = bound_terms(expected, weights, below)
    np.testing.assert_allclose(other.chi2, np.mean(expected**2 / weights) - 1)
    np.testing.assert_allclose(other.violations, np.mean(expected / weights * below))
    np.testing.assert_allclose(other.violations_corrected, np.mean(expected * below))
    assert bound_terms(expected, np.array([0.0, 2, 1, 1]), below).chi2 == np.inf


def test_the_first_term_can_be_gamed_and_the_corrected_one_cannot():
    below = np.array([1.0, 0, 0, 0])
    literal = [bound_terms(np.ones(4), np.array([w, 1, 1, 1]) * 4 / (w + 3), below) for w in (1.0, 5.0, 20.0)]
    assert literal[0].violations > literal[1].violations > literal[2].violations
    assert {each.violations_corrected for each in literal} == {0.25}
    assert literal[0].chi2 < literal[1].chi2 < literal[2].chi2


def test_targets():
    d = by_hand()
    assert (target_weights(d, "training") == 1).all()
    balanced, clean = target_weights(d, "balanced"), target_weights(d, "clean")
    for each in (balanced, clean):
        np.testing.assert_allclose(np.bincount(d.labels, each), [3, 3])
    np.testing.assert_allclose(clean[0] / clean[5], 0.1)
    with pytest.raises(InputError, match="target"):
        target_weights(d, "test")
    with pytest.raises(InputError, match="target='balanced' needs classes: use target='training'"):
        target_weights(regression_with_an_outlier(), "balanced")


# --- the effect --------------------------------------------------------------------------------------------------------


def arms_of(d, gap, rng):
    """Judgements in which the weights change the loss of a sample by ``gap``, ``(sample,)``, and noise that all share."""
    sample, model = crossed(len(d), 3, 4, rng)
    loss = d.error[sample] + 0.1 * rng.normal(size=len(sample))
    right = (rng.random(len(sample)) < 0.5).astype(float)
    without = ArmPredictions(loss, right, np.zeros(len(sample)))
    by = ArmPredictions(loss + gap[sample] + 0.01 * rng.normal(size=len(sample)), right, np.zeros(len(sample)))
    return PairedPredictions(sample, model, without, {"mine": by}, []), by


def test_the_effect_is_told_of_labels_as_given_and_of_right_ones():
    d = by_hand(20)
    gap = np.where(d.p_wrong > 0.5, 2.0, -0.5)
    arms, by = arms_of(d, gap, np.random.default_rng(0))
    rows = effects_of.effect_table(d, arms, by).set_index(["by", "group", "measure"]).sort_index()
    right = 1 - d.p_wrong
    for key, expected in (
        (("all", "all", "loss"), gap.mean()),
        (("all", "all", "clean loss"), np.average(gap, weights=right)),
        (("class", "cat", "clean loss"), np.average(gap[d.labels == 0], weights=right[d.labels == 0])),
        (("cause", "noise", "loss"), gap[d.cause == "noise"].mean()),
    ):
        row = rows.loc[key]
        np.testing.assert_allclose(row["difference"], expected, atol=0.01)
        assert row["low"] <= row["difference"] <= row["high"]
        np.testing.assert_allclose(row["with"] - row["without"], row["difference"])
    assert rows.loc[("all", "all", "loss"), "outcome"] == "pays"
    assert rows.loc[("cause", "none", "clean loss"), "outcome"] == "gains"
    assert set(rows.loc[("all", "all")].loc[["accuracy", "clean balanced accuracy"], "outcome"]) == {"same"}
    one = effects_of.sample_effects(d, arms, by)
    np.testing.assert_allclose(one["difference"], gap, atol=0.05)
    mine = (by.loss - arms.without.loss)[arms.sample == 3]
    np.testing.assert_allclose(one["se"].iloc[3], mine.std(ddof=1) / 2)


def test_balanced_accuracy_is_the_mean_of_the_classes():
    d = by_hand(10)
    rng = np.random.default_rng(0)
    arms, _ = arms_of(d, np.zeros(60), rng)
    by = arms.without._replace(right=(rng.random(240) < 0.8).astype(float))
    rows = effects_of.effect_table(d, arms, by)
    row = rows[rows["measure"] == "clean balanced accuracy"].iloc[0]
    right = (1 - d.p_wrong)[arms.sample]
    recalls = [np.average(by.right[at], weights=right[at]) for at in (d.labels[arms.sample] == c for c in (0, 1))]
    np.testing.assert_allclose(row["with"], np.mean(recalls))


# --- the verdict -------------------------------------------------------------------------------------------------------


def effects(low, high, outcome):
    middle = (low + high) / 2
    return pd.DataFrame([{
        "by": "all", "group": "all", "measure": "clean balanced accuracy", "samples": 9, "without": 0.5,
        "with": 0.5 + middle, "difference": middle, "se": 0.01, "low": low, "high": high, "outcome": outcome,
    }])  # fmt: skip


def forecast_of(balanced):
    return Forecast(np.zeros(1), np.zeros(1), np.zeros(1), balanced)


@pytest.mark.parametrize(
    ("balanced", "low", "high", "outcome", "agrees"),
    [
        (0.1, 0.01, 0.03, "gains", True),
        (0.1, -0.03, -0.01, "pays", False),
        (-0.1, -0.03, -0.01, "pays", True),
        (0.1, -0.03, 0.05, "unclear", None),
        (0.0, 0.001, 0.003, "gains", True),
        (0.0, 0.02, 0.04, "gains", False),
        (0.0, 0.0, 0.0, "same", True),
        (0.1, 0.0, 0.0, "same", False),
    ],
)
def test_agreement_of_forecast_and_measurement(balanced, low, high, outcome, agrees):
    found = make_verdict(forecast_of(balanced), effects(low, high, outcome))
    assert isinstance(found, Verdict)
    assert found.agrees is agrees
    assert found.measured == {"gains": "better", "pays": "worse"}.get(outcome, outcome)
    assert (found.low, found.high) == (low, high)
    assert make_verdict(None, effects(low, high, outcome)).agrees is None
    assert make_verdict(forecast_of(balanced), None).measured is None


def test_signs():
    assert [MeanInterval(0, 1, *ends).sign for ends in ((-1, 1), (0.1, 1), (-1, -0.1))] == [0, 1, -1]


# --- weights in files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("ids", [np.array([3, 1, 2]), np.array(["b", "a", "ç"])])
def test_weights_come_back_by_id(tmp_path, suffix, ids):
    path = tmp_path / f"w{suffix}"
    write_weights(ids, np.array([0.5, 1.0, 1.5]), path)
    assert read_weights(path, ids[::-1]).tolist() == [1.5, 1.0, 0.5]
    assert read_weights(path, ids[:1]).tolist() == [0.5]
    with pytest.raises(InputError, match="no weight for 1 samples, the first is '9'"):
        read_weights(path, np.array(["9"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "must have one column .id."),
        ("id,weight\n1,2\n1,3\n", "'1' twice"),
        ("id,weight\n1,x\n", "numbers"),
        ("", "is empty"),
    ],
)
def test_files_that_hold_no_weights_are_refused(tmp_path, text, says):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_weights(path, np.array([1]))
    with pytest.raises(InputError, match="no file at"):
        read_weights(tmp_path / "none.csv", np.array([1]))
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet"):
        read_weights(tmp_path / "w.txt", np.array([1]))
