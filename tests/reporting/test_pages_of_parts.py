"""Results whose rows are parts of samples: what pages, terminal and csv call them, and a sample with its parts marked."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import expect
from support.example_parts import SENTENCE, of_labels, of_tokens
from support.random_results import random_result

from hardsight.explanation.groups import list_groups
from hardsight.reporting.answer import answer
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.parts import NAMES_AROUND, PartsView
from hardsight.reporting.report.page import render as render_report
from hardsight.reporting.review.page import render as render_review
from hardsight.reporting.summary import describe_measurement, measurement_facts, summarize_groups


def test_rows_are_called_what_they_are() -> None:
    tokens, labels = of_tokens()[0], of_labels()[0]
    assert nouns_of(tokens) == ("token", "tokens", "sentence", "sentences")
    assert nouns_of(replace(tokens, run=replace(tokens.run, part_name="box"))).rows == "boxes"
    assert nouns_of(random_result(5)) == ("sample", "samples", "sample", "samples")
    affected = round(tokens.by_sample()["p_any_wrong"].sum())
    wrong = round(tokens.p_wrong.sum())
    assert answer(tokens)[0].startswith(
        f"About {wrong} of 96 tokens are probably labelled wrong, in {affected} of 12 sentences ("
    )
    assert re.match(r"About \d+ of 36 labels are probably wrong, in \d+ of 12 samples \(", answer(labels)[0])
    assert describe_measurement(tokens).startswith("96 tokens of 12 sentences, each predicted")
    assert ("Tokens", "96") in measurement_facts(tokens)
    assert ("Sentences", "12") in measurement_facts(tokens)
    assert repr(tokens).count("96 tokens") == 2


def test_tables_by_class_have_a_row_per_label() -> None:
    d, _ = of_labels()
    rows = {row.name: row for row in summarize_groups(d)}
    assert set(rows) == {"cat", "dog", "outdoors"}
    for name, row in rows.items():
        of_label = d.part == name
        assert row.size == 12
        np.testing.assert_allclose(row.error, d.error[of_label].mean())
        np.testing.assert_allclose(row.share_with, (d.labels == 1)[of_label].mean())
    assert set(d.forecast(d.suggestions()).table.index) == set(rows)
    assert {group.name for group in list_groups(d) if group.by == "class"} == set(rows)
    assert ("Different labels", "3") in measurement_facts(d)
    page = re.sub("<[^>]*>", " ", render_report(d))
    assert "By label" in page
    assert re.search(r"dog\s+12\s", page)
    assert "mean error of the label" in str(d.plot.ledger().to_dict())
    # Classes of other parts stay classes.
    assert {row.name for row in summarize_groups(of_tokens()[0])} == {"ant", "bee", "cat"}


def test_a_sample_is_shown_with_the_parts_around_one() -> None:
    d, samples = of_tokens()
    row = 8 + 2
    shown = PartsView(d, samples).around(row)
    assert (shown.name, shown.inline, shown.before, shown.after) == ("s1", True, 0, 0)
    assert [part.text for part in shown.parts] == [f"{word}1" for word in SENTENCE]
    assert [part.current for part in shown.parts].index(True) == 2
    levels = [part.doubt for part in shown.parts]
    assert levels == ["wrong" if p > 0.5 else "doubtful" if p > 0.1 else "" for p in d.p_wrong[8:16]]
    assert [bool(part.suggested) for part in shown.parts] == (d.suggested != d.labels)[8:16].tolist()


def test_parts_of_a_large_sample_are_cut_and_may_be_scattered() -> None:
    d = random_result(100)
    order = np.random.default_rng(0).permutation(100)
    sample, part = np.where(order < 60, "long", "short"), order
    d = replace(d, ids=order.astype(str), sample=sample, part=part, run=replace(d.run, part_name="box"))
    row = int(np.flatnonzero(sample == "long")[30])
    shown = PartsView(d, None).around(row)
    assert not shown.inline
    assert (shown.before, len(shown.parts), shown.after) == (30 - NAMES_AROUND, 2 * NAMES_AROUND + 1, 29 - NAMES_AROUND)
    assert [int(each.text) for each in shown.parts] == part[sample == "long"][30 - NAMES_AROUND : 31 + NAMES_AROUND].tolist()


def test_losses_alone_list_samples_by_error() -> None:
    d, _ = of_labels()
    d = replace(d, run=replace(d.run, task="loss"), classes=None, p_wrong=None, suggested=None, ledger=None, cause=None)
    listed = PartsView(d, None).list_samples(3)
    assert [each.name for each in listed] == d.by_sample().index[:3].astype(str).tolist()
    assert np.isnan(listed[0].n_wrong)
    assert "The 10 samples with the largest error" in render_report(d)


def test_the_report_lists_samples_and_frames_each_card() -> None:
    d, samples = of_tokens()
    page = render_report(d, samples, review="review.html")
    assert "The 10 sentences with the most wrong labels" in page
    most = d.by_sample().sort_values("n_wrong", ascending=False).index[0]
    assert f'<a href="review.html#sample={most}">' in page
    assert page.count(" current") >= 10 + 60
    assert "&lt;b&gt;&amp;" in page
    assert "<b>&" not in page
    # Without the samples there are no words, but still labels.
    assert "The 10 sentences with the most wrong labels" in render_report(d)


def test_the_csv_has_sample_part_and_text(tmp_path) -> None:
    d, samples = of_tokens()
    replace(d, samples=samples).to_csv(tmp_path / "d.csv")
    with (tmp_path / "d.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["id", "sample", "part", "text", "label"]
    for row in rows:
        assert row["id"] == f"{row['sample']}/{row['part']}"
        assert row["text"] == SENTENCE[int(row["part"])] + row["sample"][1:]


def test_a_page_of_whole_samples_names_no_parts() -> None:
    page = render_review(random_result(20))
    assert "sample_of" not in page.partition('id="about">')[2].partition("</script>")[0]
    assert "list only this" in page  # in the script alone
    assert 'id="sample"' not in page


@pytest.mark.slow
def test_review_shows_the_sentence_and_goes_to_its_parts(reader, tmp_path) -> None:
    d, samples = of_tokens()
    path = tmp_path / "review.html"
    d.review(path, samples)
    reader.open(f"{path.as_uri()}#sample=s1")
    # Not s10 or s11, whose names contain it.
    assert reader.shown == len(SENTENCE)
    parts = reader.page.locator(".its-sample .part")
    assert [text.split()[0] for text in parts.all_inner_texts()] == [f"{word}1" for word in SENTENCE]
    parts.nth(4).click()
    assert reader.chosen == "s1/4"
    assert reader.page.locator(".part.current bdi").first.inner_text() == "New1"
    assert reader.text("#chosen").split() == ["New1", "s1/4"]
    reader.page.focus("#list")
    reader.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    assert reader.chosen == "s1/7"
    reader.press("ArrowLeft", "k")
    assert b"s1/6,keep" in reader.exported()


@pytest.mark.slow
def test_review_finds_words_phrases_and_sentences(reader, tmp_path) -> None:
    d, samples = of_tokens()
    path = tmp_path / "review.html"
    d.review(path, samples)
    reader.open(path)
    for text, shown in (("boris", 12), ("boris3 in3", 2), ("york1", 3), ("in5 new5 york5", 3), ("today0 anna1", 0)):
        reader.page.fill("#search", text)
        expect(reader.page.locator("#count")).to_have_text(re.compile(rf"^{shown} of"))
    reader.page.click("#clear")
    reader.page.select_option("#order", "parts")
    most = d.by_sample().sort_values("n_wrong", ascending=False).index[0]
    assert reader.chosen.startswith(f"{most}/")
    reader.page.fill("#sample", "s1")
    assert reader.shown == len(SENTENCE)
    reader.page.fill("#sample", "nothing")
    assert reader.shown == 0
    reader.page.click("#clear")
    assert reader.shown == len(d)
    reader.page.click(".its-sample .quiet")
    assert reader.shown == len(SENTENCE)


@pytest.mark.slow
def test_review_shows_labels_as_chips(reader, tmp_path) -> None:
    d, samples = of_labels()
    path = tmp_path / "review.html"
    d.review(path, samples)
    reader.open(path)
    assert reader.page.locator(".chips .part bdi").count() >= 3
    reader.page.fill("#search", "outdoors")
    expect(reader.page.locator("#count")).to_have_text(re.compile("^12 of"))
