"""Where P(label wrong) says nothing, every list that it orders is in the order of the errors."""

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.example_parts import of_labels, of_tokens
from support.random_results import random_result

from hardsight.integrations._task_results import TaskResults
from hardsight.reporting.parts import PartsView


def without_doubt(d, p_wrong=0.0):
    return replace(d, p_wrong=np.full(len(d), p_wrong))


@pytest.mark.parametrize("p_wrong", [0.0, 1.0, np.nan])
def test_equal_probabilities_leave_the_order_of_errors(p_wrong):
    d = without_doubt(random_result(50, factors=True), p_wrong)
    np.testing.assert_array_equal(d.ranking_by_doubt, d.ranking)
    assert d.likeliest_wrong(7).index.tolist() == d.hardest(7).index.tolist()


def test_probabilities_come_first_and_errors_break_ties():
    d = random_result(60, factors=True)
    d = replace(d, p_wrong=np.round(d.p_wrong, 1))
    table = d.likeliest_wrong(60)
    expected = d.table.sort_values(["p_wrong", "error"], ascending=False, kind="stable")
    pd.testing.assert_frame_equal(table, expected)
    np.testing.assert_array_equal(d.ids[np.argsort(d.doubt_rank)], table.index)


def test_results_without_a_ledger_are_ordered_by_error_or_outliers():
    d = replace(random_result(40), p_wrong=None)
    np.testing.assert_array_equal(d.ranking_by_doubt, d.ranking)
    regression = random_result(40, None)
    assert regression.ids[regression.ranking_by_doubt[0]] == regression.ids[regression.p_outlier.argmax()]


def test_lists_of_parts_and_spreadsheets_follow(tmp_path):
    d = without_doubt(of_labels()[0])
    worst = d.by_sample()["worst"]
    errors = pd.Series(d.error, index=pd.MultiIndex.from_arrays([d.sample, d.part]))
    assert worst.to_dict() == {name: of_sample.idxmax()[1] for name, of_sample in errors.groupby(level=0)}
    tokens = without_doubt(of_tokens()[0])
    for listed in PartsView(tokens, None).list_samples(5):
        current = [part.current for part in listed.shown.parts].index(True)
        assert current == tokens.error[tokens.sample == listed.name].argmax()
    tokens.to_csv(tmp_path / "d.csv")
    with (tmp_path / "d.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == tokens.hardest(len(tokens)).index.tolist()


def test_tasks_to_look_at_follow():
    d = without_doubt(random_result(30, factors=True))
    np.testing.assert_array_equal(TaskResults.of(d).order, d.ranking)
