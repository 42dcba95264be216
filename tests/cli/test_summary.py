"""What a run prints: ledgers written down by hand, in terminals wide and narrow."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.cells import cell_len
from rich.console import Console
from support.example_results import LINES, by_hand, regression_with_an_outlier

import hardsight as hs
from hardsight.attribution.names import FACTORS
from hardsight.cli.ledger_bars import ledger_bars
from hardsight.cli.summary import print_summary, summary_json
from hardsight.reporting.summary import count_recommendations, summarize_causes, summarize_groups


def printed(d, width=100, hardest=6):
    file = io.StringIO()
    print_summary(d, hardest=hardest, seconds=1.0, console=Console(file=file, width=width, highlight=False))
    return file.getvalue()


def row(text, start):
    (found,) = (line for line in text.splitlines() if re.match(rf"{re.escape(start)}\s", line))
    return found.split()


# Bars


def test_a_bar_by_hand():
    bars = ledger_bars(np.array([[2.0, -1.0, 1.0, 0.0], [0.5, 0.5, 0.0, 1.0], [0, 0, 0, 0]]), 9)
    assert [bar.plain for bar in bars] == ["II│NNNNMM", "  │NIUU", "  │"]
    assert [bar.plain for bar in ledger_bars(np.array([[1.0, 0, 0, 1.0]]), 6)] == ["NNNUUU"]
    assert ledger_bars(np.empty((0, 4)), 6) == []


@given(arrays(float, (5, 4), elements=st.floats(-9, 9)), st.integers(4, 60))
def test_bars_fit_and_keep_their_lengths(lines, width):
    bars = [bar.plain for bar in ledger_bars(lines, width)]
    assert max(map(len, bars)) <= width + 1
    rising = np.maximum(lines, 0).sum(1)
    above = [len(bar.partition("│")[2] if "│" in bar else bar.strip()) for bar in bars]
    whole = rising.max() + np.maximum(-lines, 0).sum(1).max()
    if whole > 1e-6:
        room = width - 1 if "│" in bars[0] or (lines < 0).any() else width
        np.testing.assert_allclose(above, rising * room / whole, atol=0.51)


# The summary


def test_the_causes_and_what_to_do():
    text = printed(by_hand(copies=2))
    found = row(text, "noise")
    # Of its four samples two are relabelled and two looked at: lines (3 + 1) / 2, 0, 0.5 / 2, 0.
    assert found[:9] == ["noise", "4", "33.3", "%", "2.25", "2.000", "0.000", "0.250", "0.000"]
    assert found[-5:] == ["relabel", "2;", "look", "at", "2"]
    assert row(text, "imbalance")[-5:] == ["collect", "more", "of", "dog", "(has"]
    assert "6 samples)" in text
    assert "collect more like these 2" in re.sub(r"\s+", " ", text)
    assert row(text, "none")[-1] == "nothing"
    whole = row(text, "all")
    assert whole[1] == "12"
    assert [float(value.replace("−", "-")) for value in whole[5:9]] == pytest.approx(LINES.mean(0), abs=6e-4)


def test_the_classes_have_their_lines_and_their_noise_rate():
    text = printed(by_hand())
    assert row(text, "cat")[4:8] == ["1.333", "−0.033", "0.233", "0.000"]
    assert row(text, "cat")[-1] == "43.3%"
    assert row(text, "dog")[4:8] == ["0.000", "0.667", "0.367", "0.500"]


def test_the_hardest_with_what_to_do():
    text = printed(by_hand())
    assert "noise: relabel as dog" in text
    assert "imbalance: collect more of dog" in text
    assert "noise: look at it" in text
    assert row(text, "0")[-6:] == ["noise:", "relabel", "as", "dog", "(p", "0.90)"]
    assert "0.90" in row(text, "0")


@pytest.mark.slow
def test_many_classes_show_the_worst():
    rng = np.random.default_rng(0)
    true = np.arange(400) % 40
    logits = rng.normal(size=(3, 400, 40)) + 4 * np.eye(40)[true]
    d = hs.measure_predictions(logits, np.array([f"class {i}" for i in range(40)])[true], classes=None)
    text = printed(d)
    names = re.findall(r"^(class \d+) ", text, re.MULTILINE)
    assert names == [group.name for group in summarize_groups(d)[:12]]
    assert "… 28 more" in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("name", ["[red]cat[/red] of a very long name that goes on", "一个很长的类别名称很长的类别名称"])
def test_every_line_fits(width, name):
    d = by_hand(classes=(name, "dog"))
    ids = np.array([f"images/train/folder of images/größe_{i:09d}.png" for i in range(6)])
    text = printed(replace(d, ids=ids), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert name[:5] in text
    # Numbers are never broken over lines.
    for value in ("43.3%", "2.50", "1.53"):
        assert value in text


def test_letters_of_the_bars_are_explained_where_there_are_bars():
    for width, has_bars in ((60, True), (80, False), (100, True)):
        text = re.sub(r"\s+", " ", printed(by_hand(), width))
        assert ("N noise, I imbalance, M margin, U" in text) == has_bars == ("NNN" in text)


def test_the_answer_comes_first_and_the_measurement_last():
    lines = printed(
        replace(by_hand(), run=replace(by_hand().run, notices=["One row is empty."], ledger_trust=0.5))
    ).splitlines()
    assert lines[:4] == [
        "About 2 of 6 labels are probably wrong (no label change is recommended).",
        "1 sample belongs to a class that is too small: collect more of dog.",
        "Trust in P(label wrong) is 50%: labels that look wrong may be right. Look at samples before you ",
        "change their labels.",
    ]
    assert lines[4].rstrip() == "! One row is empty."
    titles = [line.strip() for line in lines if line.startswith(("The 6", "Why", "By class", "How it"))]
    assert titles == [
        "The 6 hardest samples", "Why samples are hard, and what to do", "By class of animal, hardest first",
        "How it was measured",
    ]  # fmt: skip


def test_colours_are_for_terminals(monkeypatch):
    def escapes(**settings):
        file = io.StringIO()
        console = Console(file=file, width=80, highlight=False, **settings)
        print_summary(by_hand(), hardest=2, seconds=1.0, console=console)
        return re.findall(r"\x1b\[[\d;]*3\d", file.getvalue())

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert escapes(force_terminal=True, color_system="standard")
    assert not escapes()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not escapes(force_terminal=True, color_system="standard")


def test_a_regression_says_what_it_has_in_place_of_the_ledger():
    d = regression_with_an_outlier()
    text = re.sub(r"\s+", " ", printed(d))
    assert "Of the mean squared error, " in " ".join(text.split())
    assert re.search(r"targets usually lie 0\.2\d* about the consensus", text)
    assert text.startswith("About 1 of 400 targets is further off than noise explains (1 with P(outlier) above 0.5).")
    assert "P outlier" in text
    assert "what to do" not in text
    summary = summary_json(d, hardest=1, seconds=1.0, files={})
    assert summary["noise_sd"] == d.noise_sd
    assert summary["outliers"] == pytest.approx(d.p_outlier.sum())
    assert summary["ledger"] is summary["noise_rates"] is summary["todo"] is None
    assert summary["hardest"][0]["p_outlier"] == d.p_outlier[5]


# What the report shares


def test_causes_have_their_mean_lines():
    rows = {each.name: each for each in summarize_causes(by_hand())}
    assert rows["noise"].terms == pytest.approx((2.0, 0, 0.25, 0))
    assert rows["uncertainty"].terms == pytest.approx((0, 0, 0.1, 1.0))
    assert rows["noise"].recommendations == ["relabel 1", "look at 1"]


def test_classes_to_collect_are_listed_by_how_many_ask_for_them():
    d = by_hand(copies=20, classes=("cat", "dog", "elk", "fox", "gnu", "hen"))
    d.cause[:] = "imbalance"
    d.p_wrong[:] = 0.1
    d.labels[:] = np.repeat(np.arange(6), [2, 50, 30, 1, 7, 30])
    d.cause[-1] = "none"
    (message,) = count_recommendations(d, d.cause == "imbalance")
    assert message == "collect more of dog (has 50 samples), elk (has 30 samples), hen (has 30 samples) and 3 other classes"


def test_no_ledger_no_advice():
    d = hs.measure_predictions(np.zeros((3, 6, 2)), [0, 1] * 3, loss="brier")
    assert count_recommendations(d, np.ones(6, dtype=bool)) == summarize_causes(d) == []
    assert all(np.isnan(each.terms).all() for each in summarize_groups(d))
    assert len(summarize_groups(d)[0].terms) == len(FACTORS)


def test_classes_with_blanks_at_their_ends_are_quoted():
    d = by_hand(classes=("cat", "cat "))
    assert {group.name for group in summarize_groups(d)} == {"cat", "'cat '"}
    text = printed(d)
    assert "noise: relabel as 'cat '" in text
    assert "imbalance: collect more of 'cat '" in text
