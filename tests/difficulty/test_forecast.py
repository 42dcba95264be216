"""Forecasts of decisions: against the sum over all possible true labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.example_results import regression_with_a_wrong_unit
from support.random_results import posterior_result, random_result

import hardsight as hs
from hardsight.attribution.names import TOO_FEW


def take(d, rows, labels=None):
    labels = d.suggested[rows] if labels is None else labels
    return pd.DataFrame({"id": d.ids[rows], "action": "relabel", "label": np.array(d.classes)[labels]})


def test_the_sum_over_all_true_labels():
    d, posterior = posterior_result()
    rows = np.flatnonzero(d.suggested != d.labels)
    forecast = d.forecast(take(d, rows))
    expected = np.zeros((3, 5))
    for i in range(len(d)):
        new = d.suggested[i] if i in rows else d.labels[i]
        for true, p in enumerate(posterior[i]):
            before, after = d.labels[i] == true, new == true
            changed = d.labels[i] != new
            outcome = [not before, after and not before, before and not after, changed and not (before or after), not after]
            expected[d.labels[i]] += p * np.array(outcome)
    columns = ["wrong", "put_right", "spoilt", "still_wrong", "wrong_after"]
    np.testing.assert_allclose(forecast.table[columns].to_numpy(), expected, atol=1e-12)
    assert forecast.table["relabelled"].sum() == len(rows)
    assert forecast.table.index.tolist() == list(d.classes)
    sums = expected.sum(0)
    assert forecast.describe() == (
        f"Of {len(rows)} labels changed, expect {sums[1]:.0f} put right, {sums[2]:.0f} spoilt (right before the change) and "
        f"{sums[3]:.0f} still wrong. Wrong labels in all: about {sums[0]:.0f} before, {sums[4]:.0f} after."
    )


def test_dropped_samples_and_labels_of_unknown_probability():
    d, _ = posterior_result()
    third = next(i for i in range(len(d)) if d.suggested[i] != d.labels[i])
    other = ({0, 1, 2} - {d.suggested[third], d.labels[third]}).pop()
    drop = np.array([i for i in range(20) if i != third])
    frame = pd.concat(
        [
            take(d, [third], [other]),
            pd.DataFrame({"id": drop, "action": "drop"}),
            pd.DataFrame({"id": [25], "action": "keep"}),
        ]
    )
    total = d.forecast(frame.fillna("")).total
    assert total["unknown"] == total["relabelled"] == 1
    assert total["dropped"] == len(drop)
    assert total["dropped_right"] == pytest.approx((1 - d.p_wrong[drop]).sum())
    assert total["wrong_after"] == pytest.approx(d.p_wrong.sum() - d.p_wrong[[*drop, third]].sum())
    text = d.forecast(frame.fillna("")).describe()
    assert "1 get a label of unknown probability" in text
    assert " after, without those of unknown probability." in text


def test_a_label_that_stays_changes_nothing():
    d, _ = posterior_result()
    forecast = d.forecast(take(d, [0, 1], d.labels[[0, 1]]))
    assert forecast.describe() == ""
    assert forecast.total["wrong_after"] == pytest.approx(d.p_wrong.sum())


def test_losses_and_low_trust_are_named():
    d, _ = posterior_result()
    d = replace(d, run=replace(d.run, ledger_trust=0.25), cause=np.where(np.arange(len(d)) % 2, d.cause, TOO_FEW))
    rows = np.flatnonzero((d.suggested != d.labels) & (d.p_suggested < 0.6))
    bad = d.p_suggested.copy()
    bad[rows] = 1 - d.p_wrong[rows] - 0.1
    text = replace(d, p_suggested=bad).forecast(take(d, rows)).describe()
    assert "This spoils more labels than it puts right." in text
    assert f"{(rows % 2 == 0).sum()} are in classes too small to tell" in text
    assert "Trust in the ledger is 25%" in text


def test_without_probabilities_there_is_no_forecast():
    with pytest.raises(hs.InputError, match=r"needs P\(label wrong\)"):
        random_result(20).forecast(pd.DataFrame({"id": [1], "action": ["drop"], "label": [""]}))


def test_suggestions_are_what_is_advised():
    d, _ = posterior_result()
    frame = d.suggestions()
    rows = np.flatnonzero(d.recommended_action == "relabel")
    assert 0 < len(rows) < len(d)
    assert frame.index.tolist() == d.ids[rows].tolist()
    np.testing.assert_array_equal(frame["p_suggested"], d.p_suggested[rows])
    assert (frame["p_suggested"] > 1 - frame["p_wrong"]).all()
    curated = d.apply(frame)
    np.testing.assert_array_equal(curated.labels[rows], np.array(d.classes)[d.suggested[rows]])
    assert d.forecast(frame).total["relabelled"] == len(rows)
    with pytest.raises(hs.InputError, match="suggests no labels"):
        random_result(20).suggestions()
    assert not len(replace(d, run=replace(d.run, ledger_trust=0.5)).suggestions())
    assert len(replace(d, run=replace(d.run, ledger_trust=0.9)).suggestions()) == len(rows)


def test_suggestions_of_a_regression_are_targets_that_a_wrong_unit_explains():
    d = regression_with_a_wrong_unit()
    frame = d.suggestions()
    assert frame.index.tolist() == [5]
    assert frame.loc[5, "label"] == d.suggested[5] == d.labels[5] / 10
    assert frame.loc[5, "p_outlier"] == d.p_outlier[5]
    curated = d.apply(frame)
    np.testing.assert_array_equal(curated.labels, np.where(np.arange(200) == 5, d.labels / 10, d.labels))
