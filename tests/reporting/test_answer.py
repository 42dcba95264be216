"""The answer that summaries begin with, against results written down by hand."""

from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from support.example_results import by_hand, regression_with_a_wrong_unit, regression_with_an_outlier
from support.random_results import HOSTILE

import hardsight as hs
from hardsight.attribution.names import STRANGE, TOO_FEW
from hardsight.reporting.answer import answer, caution, key_figures
from hardsight.reporting.report.page import render
from hardsight.reporting.summary import findings


def with_trust(d, trust):
    return replace(d, run=replace(d.run, ledger_trust=trust))


def with_causes(d, name, rows):
    cause = d.cause.astype("<U20")
    cause[rows] = name
    return replace(d, cause=cause)


def test_three_numbers_by_hand():
    d = by_hand(copies=10)
    d = with_causes(replace(d, p_strange=np.zeros(60)), STRANGE, [5, 11])
    # P(wrong) sums to 2.2 per six samples; one of six is relabelled and put right with .9; one asks for its class.
    assert answer(d) == [
        "About 22 of 60 labels are probably wrong (9 can be put right with confidence).",
        "10 samples belong to classes that are too small: collect more of dog.",
        "2 samples are unlike anything else.",
    ]
    assert [figure.number for figure in key_figures(d)] == [22, 10, 2]


def test_no_more_labels_can_be_put_right_than_are_wrong():
    """Eleven changes with P(right) .6 put 7 labels right, not 11."""
    n = 11
    d = by_hand(copies=2).select(np.arange(n))
    doubt = np.full(n, 0.6)
    d = replace(d, p_wrong=doubt, p_suggested=doubt, suggested=1 - d.labels, cause=np.full(n, "noise"))
    assert answer(d)[0] == "About 7 of 11 labels are probably wrong (7 can be put right with confidence)."


def test_one_of_each_is_singular():
    d = by_hand()
    d = with_causes(replace(d, p_strange=np.zeros(6), p_wrong=np.array([0.9, 0.1, 0.0, 0, 0, 0])), STRANGE, [5])
    assert answer(d) == [
        "About 1 of 6 labels is probably wrong (1 can be put right with confidence).",
        "1 sample belongs to a class that is too small: collect more of dog.",
        "1 sample is unlike anything else.",
    ]


def test_nothing_wrong_is_said_too():
    d = by_hand()
    d = replace(d, p_wrong=np.full(6, 0.01), cause=np.full(6, "none"), p_strange=np.zeros(6))
    assert answer(d) == ["None of 6 labels is probably wrong."]


def test_many_small_probabilities_are_no_labels_that_are_probably_wrong():
    d = by_hand(copies=10)
    d = replace(d, p_wrong=np.full(60, 0.1), cause=np.full(60, "none"), p_strange=np.zeros(60))
    assert answer(d) == [
        "About 6 of 60 labels are expected to be wrong (it is not clear which, so no label change is recommended)."
    ]
    assert "No label is more likely wrong than right." in findings(d)


def test_low_trust_limits_the_answer():
    first, *_, last = answer(with_trust(by_hand(), 0.9))
    assert "1 can be put right" in first
    assert last == "Trust in P(label wrong) is 90%: labels that look wrong may be right."
    first, *_, last = answer(with_trust(by_hand(), 0.5))
    assert first == "About 2 of 6 labels are probably wrong (no label change is recommended)."
    assert last.endswith("Look at samples before you change their labels.")
    assert caution(by_hand()) == []


def test_classes_too_small_to_judge_count_and_are_named():
    d = by_hand(classes=("=cat\n", "dog"))
    d = with_causes(replace(d, p_wrong=np.zeros(6)), TOO_FEW, [0, 1, 5])
    assert answer(d)[1] == "4 samples belong to classes that are too small: collect more of '=cat ↵ ', dog."


def test_many_small_classes_are_not_all_named():
    d = by_hand(copies=1, classes=("cat", "dog", "elk", "fox", "gnu"))
    d = replace(d, labels=np.array([0, 1, 2, 3, 4, 4]), p_wrong=np.zeros(6), cause=np.full(6, "imbalance"))
    assert answer(d)[1].endswith("collect more of gnu, cat, dog and 2 more.")


def test_without_an_account_the_predictions_are_compared():
    d = hs.measure_predictions(np.zeros((3, 6, 2)), [0, 1] * 3, loss="brier")
    first, last = answer(d)
    assert first == "3 of 6 samples have a label that the models do not predict (50.0\u00a0%)."
    assert "P(label wrong) is unknown. It needs log-loss" in last


def test_regression_and_losses():
    d = regression_with_an_outlier()
    assert answer(d)[0] == "About 1 of 400 targets is further off than noise explains (1 with P(outlier) above 0.5)."
    assert answer(d.select(np.zeros(400, dtype=bool))) == []
    assert answer(replace(by_hand(), run=replace(by_hand().run, task="loss"))) == []


def test_targets_that_distort_the_models_ask_for_a_second_measurement():
    d = regression_with_a_wrong_unit()
    share = d.factors["noise"].mean() / d.error.mean()
    [sentence] = caution(d)
    assert sentence.startswith(f"Targets that are far off cause {share:.0%} of the mean squared error, and the models learn")
    assert "then measure again" in sentence
    assert share > 0.9
    right = np.arange(len(d)) != 5
    assert caution(d.select(right)) == []


@pytest.mark.parametrize("review", [None, "review.html"])
def test_the_report_opens_with_cards_that_lead_on(review):
    d = with_causes(replace(by_hand(copies=4), p_strange=np.zeros(24)), STRANGE, [5])
    page = render(d, review=review)
    assert page.index('class="answer"') < page.index('class="lead"') < page.index('class="findings"')
    targets = (
        [f"{review}#order=p_wrong", "#groups", f"{review}#cause=strange"] if review else ["#hardest", "#groups", "#hardest"]
    )
    for target in targets:
        assert f'<a href="{target}">' in page
    assert "9</b> of 24 labels are probably wrong" in page
    assert "Trust in" not in page
    assert "Trust in P(label wrong) is 50%" in render(with_trust(d, 0.5))


def test_a_notebook_shows_the_answer_and_the_columns_that_matter():
    d = by_hand(classes=(HOSTILE[1], "dog"))
    html = d._repr_html_()
    assert html.startswith("<p><b>About 2 of 6 labels are probably wrong")
    assert HOSTILE[1] not in html
    assert HOSTILE[1] in unescape(html)
    for text in (html, repr(d)):
        assert "p_wrong" in text
        assert "error_se" in text
        assert "variance" not in text
    assert repr(d).startswith("About 2 of 6 labels")
