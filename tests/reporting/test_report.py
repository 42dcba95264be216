"""The report: what stands on the page, that nothing in the data can run, and that a real browser draws it."""

import json
import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.example_results import by_hand
from support.random_results import HOSTILE, posterior_result, random_result, samples_of
from support.review_browser import find_chromium

from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting import formatting, summary
from hardsight.reporting.report import bias_variance, figures, histogram, ledger, write
from hardsight.reporting.report.examples import example_cards
from hardsight.reporting.report.figures import histogram_bins
from hardsight.reporting.report.ledger_bar import ledger_bars
from hardsight.reporting.report.page import render
from hardsight.reporting.report.thumbnails import LONGEST, make_thumbnails


class Page(HTMLParser):
    """What a browser would read: the elements with their attributes, and the text of each kind of element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br", "wbr"):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def prose(self) -> str:
        return " ".join(
            re.sub(r"\s+", " ", text)
            for tag, texts in self.texts.items()
            if tag not in ("script", "style")
            for text in texts
        )

    @property
    def specs(self) -> dict:
        (text,) = (t for t in self.texts["script"] if t.startswith("{"))
        return json.loads(text)


def values(spec: dict, field: str) -> list[dict]:
    """The data of the layer that holds ``field``."""
    data = [layer.get("data", spec.get("data"))["values"] for layer in spec.get("layer", [spec])]
    (found,) = (rows for rows in data if field in rows[0])
    return found


def page(d: Difficulty, samples: Samples | None = None) -> Page:
    return Page(render(d, samples))


# ---- what stands on the page


def test_headline_notices_and_settings() -> None:
    notices = ["Two rows are <b>equal</b>."]
    d = random_result(source="bees.csv", reason="few rows", notices=notices, folds=[1, 2], reliability=0.81)
    read = page(d)
    assert read.texts["title"] == ["Difficulty of bees.csv"]
    for message in (
        "200 samples, each predicted 5 times by models that never saw it; 25 trained models (Ridge()) in all.",
        f"Mean log-loss: {formatting.format_number(d.error.mean())}.",
        "few rows",
        "Ranking reliability: 0.810. As many fresh models would give a similar order",
        "(rank correlation 0.810; 0.900 with infinitely many).",
        "Two rows are <b>equal</b>.",
        "5 folds × 5 repeats",
        "[1, 2]",
    ):
        assert message in read.prose
    assert read.attributes("html") == [{"lang": "en"}]


def test_it_is_complete_and_asks_for_nothing() -> None:
    d = random_result(factors=True)
    read = page(d, samples_of(d, "image", np.random.default_rng(0).random((200, 8, 8))))
    for tag, attributes in read.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    (style,) = read.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for a in read.attributes("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy
    assert "http" not in policy


def test_every_id_is_unique_and_every_link_and_label_leads_somewhere() -> None:
    d = random_result(factors=True)
    read = page(d)
    ids = [a["id"] for _, a in read.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in read.attributes("a")} <= set(ids)
    assert {a["aria-labelledby"] for _, a in read.elements if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("aria-label") for _, a in read.elements if a.get("role") in ("img", "region"))
    assert len(read.texts["h1"]) == 1
    assert len(read.texts["caption"]) == len(read.attributes("table"))


def test_table_by_class_against_pandas() -> None:
    d = random_result(factors=True)
    rows = {row.name: row for row in summary.summarize_groups(d)}
    for name, part in d.table.groupby("label"):
        row = rows[name]
        assert row.size == len(part)
        expected = (part.error.mean(), part.error.sem(), part.bias.mean(), part.variance.mean(), part.p_wrong.mean())
        assert (row.error, row.error_se, row.bias, row.variance, row.p_wrong) == pytest.approx(expected)
        assert row.accuracy == pytest.approx((part.label == part.predicted).mean())
    errors = [row.error for row in summary.summarize_groups(d)]
    assert errors == sorted(errors, reverse=True)


def test_classes_without_a_sample_are_left_out_and_one_sample_has_no_standard_error() -> None:
    d = random_result(3, classes=("a", "b", "c"))
    d.labels[:] = [0, 0, 2]
    rows = {row.name: row for row in summary.summarize_groups(d)}
    assert sorted(rows) == ["a", "c"]
    assert np.isnan(rows["c"].error_se)
    assert page(d).prose


def test_regression_by_fifths_of_the_target() -> None:
    d = random_result(1000, classes=None)
    rows = summary.summarize_groups(d)
    assert [row.size for row in rows] == [200] * 5
    lowest = d.labels <= np.quantile(d.labels, 0.2)
    assert rows[0].error == pytest.approx(d.error[lowest].mean())
    assert rows[0].offset == pytest.approx((d.predicted - d.labels)[lowest].mean())
    prose = page(d).prose
    assert "By range of the target" in prose
    assert "By class" not in prose


def test_regression_with_one_target_value_only() -> None:
    d = random_result(20, classes=None)
    d.labels[:] = 3.0
    assert [row.size for row in summary.summarize_groups(d)] == [20]
    assert page(d).prose


def test_causes_are_counted_and_their_shares_add_up() -> None:
    d = random_result(factors=True)
    rows = summary.summarize_causes(d)
    assert [row.size for row in rows] == [int((d.cause == row.name).sum()) for row in rows]
    assert sum(row.size for row in rows) == len(d)
    shares = [float(row.total.removesuffix("\u00a0%").replace("−", "-")) for row in rows[:4]]
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_what_to_do_about_a_cause_stands_beside_it() -> None:
    d = by_hand(copies=3)
    read = page(d)
    for message in (
        "relabel 3", "look at 3", "collect more of dog (has 9 samples)", "collect more like these 3", "nothing",
    ):  # fmt: skip
        assert message in read.prose
    assert "is more likely wrong than right and noise explains most" in read.prose


@pytest.mark.slow
def test_what_to_do_about_a_sample() -> None:
    d = by_hand()
    shown = {int(it.id): it.recommendation for it in example_cards(d, None, 6)}
    assert shown[0] == ("relabel as dog", True, "dog", "0.90")
    assert shown[1] == ("look at it", False, "", "")
    assert shown[2].action == "collect more of dog"
    assert shown[3] == ("look at it", False, "cat", "0.60")
    for samples in (None, samples_of(d, "array", np.zeros((6, 2)))):
        read = page(d, samples)
        assert "relabel as dog" in read.prose
        assert "p 0.90" in read.prose
    d = replace(d, suggested=None, p_suggested=None)
    assert example_cards(d, None, 6)[0].recommendation.action == "look at it"
    assert "relabel as" not in page(d).prose
    assert "Likelier label" not in page(d).prose


def test_bars_of_samples_by_hand() -> None:
    one, two = ledger_bars(np.array([[2.0, -1.0, 1.0, 0.0], [0.5, -0.5, 0.0, 0.5]]))
    assert one.zero == two.zero == 25
    assert [part[1:] for part in one.parts] == [(25, 50), (0, 25), (75, 25), (100, 0)]
    assert [part[1:] for part in two.parts] == [(25, 12.5), (12.5, 12.5), (37.5, 0), (37.5, 12.5)]
    assert two.text == "noise 0.50, imbalance −0.50, margin 0, uncertainty 0.50"


def test_noise_rates_and_confusions() -> None:
    d = by_hand()
    assert summary.summarize_noise_rates(d) == [
        ("cat", 3, 0.6, pytest.approx(1.3 / 3), pytest.approx(0.3)),
        ("dog", 3, 0.4, pytest.approx(0.3), pytest.approx(0.2)),
    ]
    assert summary.largest_confusions(d) == [("cat", "dog", 0.3, 1), ("dog", "cat", 0.2, 1)]
    read = page(d.select([0, 1, 5]))
    assert "Which labels are wrong" in read.prose
    # No sample is left that is called a dog.
    assert summary.summarize_noise_rates(d.select([0, 1, 5]))[1][:3] == ("dog", 0, 0.4)
    assert "–" in read.texts["td"]


def test_the_matrix_is_drawn_as_it_is() -> None:
    d = by_hand()
    cells = page(d).specs["transition"]["data"]["values"]
    assert {(cell["true"], cell["given"]): (cell["percent"], cell["kind"]) for cell in cells} == {
        ("cat", "cat"): ("70", "right"),
        ("cat", "dog"): ("30", "wrong"),
        ("dog", "cat"): ("20", "wrong"),
        ("dog", "dog"): ("80", "right"),
    }
    shade = {(cell["true"], cell["given"]): cell["shade"] for cell in cells}
    assert shade["cat", "dog"] == pytest.approx(0.85)
    assert shade["dog", "cat"] == pytest.approx(0.85 * 2 / 3)


def test_many_classes_have_a_table_in_place_of_the_matrix() -> None:
    d = by_hand(classes=("cat", "dog", *(f"class {i}" for i in range(29))))
    read = page(d)
    assert "transition" not in read.specs
    assert "The 2 largest rates" in read.prose
    assert summary.largest_confusions(d) == [("cat", "dog", 0.3, 1), ("dog", "cat", 0.2, 1)]
    assert "transition" in page(by_hand(classes=("cat", "dog", *range(28)))).specs


def test_without_a_ledger_nothing_is_said_of_labels() -> None:
    for d in (random_result(), random_result(classes=None)):
        read = page(d)
        assert "Which labels are wrong" not in read.prose
        assert "What to do" not in read.prose
        assert summary.summarize_noise_rates(d) == summary.largest_confusions(d) == []
        with pytest.raises(InputError, match="no ledger: measure classes with loss='log'"):
            figures.transition(d)


@pytest.mark.slow
def test_a_regression_shows_its_noise() -> None:
    d = random_result(1000, classes=None)
    read = page(d)
    assert "Of the mean squared error, " in read.prose
    assert "targets usually lie 1 about the consensus" in read.prose
    assert "Outliers expected" in read.prose
    rows = summary.summarize_groups(d)
    assert sum(row.outliers for row in rows) == pytest.approx(d.p_outlier.sum())
    lowest = d.labels <= np.quantile(d.labels, 0.2)
    assert rows[0].noise_sd == pytest.approx(np.sqrt(d.noise_variance[lowest].mean()))
    assert ("Noise (s.d.)", "1") in summary.measurement_facts(d)
    d = replace(d, noise_variance=None, p_outlier=None)
    assert "Outliers expected" not in page(d).prose


def test_one_view_says_there_is_no_variance() -> None:
    read = page(random_result(views=1))
    assert "There is no variance to show" in read.prose
    assert "bias-variance" not in read.specs
    assert "nan" not in read.prose.lower()


def test_hardest_come_first_and_without_samples_in_a_table() -> None:
    d = random_result(100, ids=np.array([f"n{i}" for i in range(100)]))
    html = render(d)
    assert re.findall(r'<bdi class="id">(.*?)</bdi>', html) == [d.ids[i] for i in d.ranking[:60]]
    assert "Pass the samples to the report" in html


def test_a_report_of_one_sample_and_one_class() -> None:
    assert "1 sample, each predicted" in page(random_result(1, classes=("only",))).prose
    assert page(random_result(1, classes=None)).prose


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["log", "brier", "zero-one"])
def test_every_loss_is_named(loss: str) -> None:
    d = random_result(loss=loss)
    if loss == "zero-one":
        d.error[:] = np.round(np.clip(d.error, 0, 1) * 5) / 5
    assert formatting.LOSSES[loss] in page(d).prose


@pytest.mark.slow
def test_300_classes() -> None:
    d = random_result(3000, classes=tuple(f"class {i}" for i in range(300)), factors=True)
    read = page(d)
    assert "The 30 classes with the largest error are shown" in read.prose
    assert sum(text.startswith("class ") for text in read.texts["bdi"]) >= 300
    assert len(values(read.specs["ledger"], "factor")) == 30 * 4


def test_nothing_to_report() -> None:
    with pytest.raises(InputError, match="no sample has nothing to report"):
        render(random_result().select(np.zeros(200, dtype=bool)))


# ---- figures


def test_histogram_counts_every_sample_once() -> None:
    for d in (random_result(), random_result(classes=None), random_result(views=1), random_result(1)):
        bars = values(histogram(d).to_dict(), "count")
        assert sum(row["count"] for row in bars) == len(d)


def test_bins_of_two_errors_have_known_edges_and_counts() -> None:
    d = random_result(50)
    d.error[:] = np.repeat([0.0, 1.0], 25)
    bins = histogram_bins(d)
    # The axis reaches five percent beyond chance, log 3, in twenty bins.
    np.testing.assert_allclose(bins.edges, np.linspace(0, 1.05 * np.log(3), 21))
    counts = bins.as_labelled + bins.otherwise
    assert counts.nonzero()[0].tolist() == [0, 17]
    assert counts[[0, 17]].tolist() == [25, 25]
    assert bins.otherwise.sum() == (d.predicted != d.labels).sum()
    assert (bins.split, bins.log_error, bins.log_count) == (True, False, False)


def test_a_towering_bar_has_a_logarithmic_axis_and_is_not_split() -> None:
    d = random_result(2000)
    d.error[:] = np.where(np.arange(2000) < 3, [0.5, 1.0, 1.5] * 666 + [0.5, 1.0], 0.0)
    bins = histogram_bins(d)
    assert (bins.split, bins.log_error, bins.log_count) == (False, False, True)
    assert bins.as_labelled.sum() == 2000
    assert bins.otherwise.sum() == 0


def test_histogram_of_equal_and_of_zero_errors() -> None:
    for value in (0.0, 0.7):
        d = random_result(50)
        d.error[:] = value
        bars = values(histogram(d).to_dict(), "count")
        assert sum(row["count"] for row in bars) == 50


def test_chance_is_the_error_of_knowing_nothing() -> None:
    assert summary.chance_level(random_result()).error == pytest.approx(np.log(3))
    assert summary.chance_level(random_result(loss="brier")).error == pytest.approx(2 / 3)
    d = random_result(classes=None)
    assert summary.chance_level(d).error == pytest.approx(((d.labels - d.labels.mean()) ** 2).mean())


@pytest.mark.slow
def test_scatter_keeps_the_hardest_and_thins_the_rest() -> None:
    d = random_result(10_000)
    at = figures.plotted_samples(d)
    assert len(at) == figures.POINTS == len(set(at.tolist()))
    assert (at[:1000] == d.ranking[:1000]).all()
    assert (figures.plotted_samples(d) == at).all()
    assert "4,000 samples are shown: the 1,000 hardest and a random part of the others." in page(d).prose


def test_figures_say_what_they_lack() -> None:
    with pytest.raises(InputError, match="repeats=2"):
        bias_variance(random_result(views=1))
    with pytest.raises(InputError, match="no ledger: measure classes with loss='log'"):
        ledger(random_result())


def test_ledger_parts_are_the_class_means() -> None:
    d = random_result(factors=True)
    bars = values(ledger(d).to_dict(), "factor")
    for row in bars:
        mine = d.label_names(d.labels) == row["row"]
        assert row["value"] == pytest.approx(d.factors[row["factor"]].to_numpy()[mine].mean())


def test_ledger_by_cause_has_a_row_for_every_cause_that_is_there() -> None:
    d = by_hand().select([0, 1, 3])
    bars_of = values(figures.ledger_by_cause(d).to_dict(), "factor")
    assert {(row["row"], row["factor"]): row["value"] for row in bars_of} == {
        ("noise", "noise"): 2.0, ("noise", "imbalance"): 0, ("noise", "margin"): 0.25, ("noise", "uncertainty"): 0,
        ("margin", "noise"): 0, ("margin", "imbalance"): 0, ("margin", "margin"): 1.0, ("margin", "uncertainty"): 0,
    }  # fmt: skip


def test_classes_that_look_equal_keep_bars_of_their_own() -> None:
    d = random_result(classes=("x" * 40 + "1", "x" * 40 + "2", "x" * 40 + "3"), factors=True)
    bars = values(ledger(d).to_dict(), "factor")
    assert len({row["row"] for row in bars}) == 3


def test_user_strings_stand_in_the_data_only() -> None:
    d = random_result(
        classes=tuple(HOSTILE), factors=True, ids=np.array([f"{h}{i}" for i in range(23) for h in HOSTILE])[:200]
    )
    for spec in page(d).specs.values():
        for layer in spec.get("layer", [spec]):
            layer.pop("data", None)
        spec.pop("data", None)
        rest = json.dumps(spec)
        # The order of the classes is a scale's domain, which is data as well.
        rest = re.sub(r'"domain": \[".*?"\]', "", rest)
        assert "pwned" not in rest
        assert "alert" not in rest


# ---- the samples as what they are


def test_samples_are_found_by_id_in_any_order() -> None:
    d = random_result(50, ids=np.arange(1000, 1050))
    texts = np.array([f"text of {i}" for i in d.ids], dtype=object)
    samples = samples_of(d, "text", texts)
    turned = samples.take(np.random.default_rng(0).permutation(50))
    shown = example_cards(d, turned, 10)
    assert [it.text.start for it in shown] == [f"text of {it.id}" for it in shown]


def test_samples_of_other_ids_are_refused() -> None:
    d = random_result(50)
    samples = samples_of(d, "array", np.zeros((50, 2)))
    with pytest.raises(
        InputError, match=r"lack 10 of the 50 measured ids \(40, 41, 42\).*give the samples that were measured"
    ):
        render(d, samples.take(np.arange(40)))
    other = Samples(features=samples.features, labels=d.labels, classes=d.classes, ids=d.ids.astype(str), kind="array")
    with pytest.raises(InputError, match="their ids look like '0', '1', '2'"):
        render(d, other)


@pytest.mark.parametrize("classes", [("ant", "bee", "cat"), None])
def test_samples_of_other_labels_are_refused(classes) -> None:
    d = random_result(50, classes)
    samples = samples_of(d, "array", np.zeros((50, 2)))
    changed = d.labels.copy()
    changed[7] = changed[7] + 1 if classes is None else (changed[7] + 1) % 3
    with pytest.raises(InputError, match=r"row 7 of the samples, id 7, has the label '.*', but '.*' was measured: pass the"):
        render(d, replace(samples, labels=changed))
    with pytest.raises(InputError, match=r"row \d+ of the samples, id \d+, has the label"):
        render(d, replace(samples.take(np.arange(50)[::-1]), ids=samples.ids))
    # A part of what was measured is shown by all of it, and labels are told apart by name, not by code.
    render(d.select(d.error > np.median(d.error)), samples)
    if classes is not None:
        render(d, replace(samples, classes=("Ant", "ant", "bee", "cat"), labels=samples.labels + 1))
        with pytest.raises(InputError, match="has the label 'Bug'"):
            render(d, replace(samples, classes=("Bug", "bee", "cat")))


def test_text_is_shown_in_part_and_the_rest_folded() -> None:
    d = random_result(3)
    long = "word " * 2000
    (it, *_) = example_cards(d, samples_of(d, "text", np.array([long] * 3, dtype=object)), 3)
    assert len(it.text.start) <= 400
    assert it.text.start + it.text.rest == long[:4000]
    assert it.text.left_out == 6000
    read = page(d, samples_of(d, "text", np.array([long, "short", ""], dtype=object)))
    assert "characters left out of this page" in read.prose
    assert sum("more characters" in text for text in read.texts["summary"]) == 1


def table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "height": rng.normal(size=n), "count": rng.integers(0, 9, n), "colour": rng.choice(["red", "blue"], n),
        "name": [f"name {i}" for i in range(n)], "flag": rng.random(n) < 0.5, "gap": rng.normal(size=n),
    })  # fmt: skip
    frame.loc[0, ["height", "colour"]] = [99.0, "mauve"]
    frame.loc[0, "gap"] = np.nan
    return frame


@pytest.mark.parametrize("text", ["object", "category", "string"])
def test_outlier_values_of_a_row_are_marked(text: str) -> None:
    d = random_result(300)
    d.error[0] = 1e3
    given = table(300).astype({"colour": text, "name": text})
    first = example_cards(d, samples_of(d, "table", given), 5)[0].row
    marks = {value.name: value.unusual for value in first.values}
    assert marks == {
        "height": "unusually high", "count": "", "colour": "rare", "name": "", "flag": "", "gap": "seldom missing",
    }  # fmt: skip
    read = page(d, samples_of(d, "table", table(300)))
    assert any("unusual" in (a.get("class") or "") for a in read.attributes("div"))


def test_a_small_table_marks_nothing() -> None:
    d = random_result(50)
    rows = [it.row for it in example_cards(d, samples_of(d, "table", table(50)), 50)]
    assert not any(value.unusual for row in rows for value in row.values)
    assert "Marked" not in page(d, samples_of(d, "table", table(50))).prose


def test_a_wide_table_shows_its_outlier_values_first() -> None:
    d = random_result(300)
    d.error[7] = 1e3
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 150)))
    wide.iloc[7, 120] = -50.0
    (it, *_) = example_cards(d, samples_of(d, "table", wide), 1)
    assert "120" in [value.name for value in it.row.values if value.unusual]
    assert (len(it.row.values), len(it.row.rest), it.row.left_out) == (16, 84, 50)


def test_columns_of_one_name_and_odd_cells() -> None:
    d = random_result(120)
    odd = pd.DataFrame([[1, [1, 2], None, pd.Timestamp("2020-01-01")]] * 120, columns=["a", "a", "b", "c"])
    odd = odd.astype({"b": object})
    (it, *_) = example_cards(d, samples_of(d, "table", odd), 1)
    assert [value.value for value in it.row.values] == ["1", "[1, 2]", "missing", "2020-01-01"]


def test_array_rows() -> None:
    d = random_result(200)
    features = np.random.default_rng(0).normal(size=(200, 4, 5))
    (it, *_) = example_cards(d, samples_of(d, "array", features), 1)
    assert (len(it.row.values), it.row.left_out) == (12, 8)
    assert "and 8 more values" in page(d, samples_of(d, "array", features)).prose


def pixels(source: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(b64decode(source.removeprefix("data:image/png;base64,")))))


def test_thumbnails_scale_by_the_whole_set() -> None:
    images = np.zeros((3, 2, 2))
    images[0, 0, 0], images[1, 1, 1] = -1.0, 3.0
    first, _ = make_thumbnails(images, [0, 2])
    assert pixels(first.source).tolist() == [[0, 64], [64, 64]]
    assert first.pixelated
    assert (first.width, first.height) == (LONGEST, LONGEST)


@pytest.mark.parametrize(
    ("shape", "mode"), [((4, 4), "L"), ((4, 4, 1), "L"), ((4, 4, 3), "RGB"), ((4, 4, 4), "RGBA"), ((4, 4, 7), "L")]
)
@pytest.mark.parametrize("kind", ["uint8", "bool", "float32", "int16"])
def test_thumbnails_of_every_shape_and_type(shape: tuple, mode: str, kind: str) -> None:
    images = (np.random.default_rng(0).random((2, *shape)) * 200).astype(kind)
    (it,) = make_thumbnails(images, [1])
    picture = Image.open(BytesIO(b64decode(it.source.partition(",")[2])))
    assert (picture.mode, picture.size) == (mode, (4, 4))
    if kind == "uint8":
        assert (np.asarray(picture) == (images[1][:, :, 0] if mode == "L" and len(shape) == 3 else images[1])).all()


def test_thumbnails_of_constant_and_of_unknown_values() -> None:
    for images in (np.full((2, 3, 3), 5.0), np.full((2, 3, 3), np.nan)):
        assert pixels(make_thumbnails(images, [0])[0].source).shape == (3, 3)


def test_large_and_narrow_images_become_small() -> None:
    large, narrow = make_thumbnails(np.zeros((1, 500, 250, 3), np.uint8), [0]) + make_thumbnails(
        np.zeros((1, 900, 1), np.uint8), [0]
    )
    assert pixels(large.source).shape == (112, 56, 3)
    assert not large.pixelated
    assert (narrow.width, narrow.height) == (1, 112)


def test_images_have_alternative_texts() -> None:
    d = random_result(70)
    images = page(d, samples_of(d, "image", np.zeros((70, 8, 8), np.uint8))).attributes("img")
    assert len(images) == 60
    hardest = d.hardest(1).iloc[0]
    assert images[0]["alt"] == f"Sample {d.ids[d.ranking[0]]}, labelled {hardest.label}, predicted {hardest.predicted}"


# ---- the file


@pytest.mark.slow
def test_a_page_of_100_000_samples_stays_small(tmp_path: Path) -> None:
    d = random_result(100_000, factors=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    images = np.lib.stride_tricks.as_strided(noise, (100_000, 128, 128, 3), (0, *noise.strides[1:]))
    write(d, tmp_path / "large.html", samples_of(d, "image", images))
    assert (tmp_path / "large.html").stat().st_size < 5e6


@pytest.mark.slow
def test_the_same_result_gives_the_same_page() -> None:
    assert render(random_result(factors=True)) == render(random_result(factors=True))


def test_an_unwritable_path_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write(random_result(), tmp_path / "none" / "report.html", None)
    assert list(tmp_path.iterdir()) == []


def test_a_result_reports_itself(tmp_path: Path) -> None:
    random_result().report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_importing_the_report_opens_no_torch() -> None:
    code = "import sys, hardsight.reporting.report; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- in a real browser


def drawn(html: str, folder: Path) -> tuple[Page, str]:
    """The page as the browser has it after its scripts ran, and the console's lines."""
    # The browser must be silent with warnings as errors in force, so its output is kept apart and judged here.
    (folder / "page.html").write_text(html, encoding="utf-8")
    done = subprocess.run(
        [
            find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000", "--enable-logging=stderr",
            "--dump-dom", (folder / "page.html").as_uri(),
        ],
        capture_output=True, encoding="utf-8", timeout=600, check=True,
    )  # fmt: skip
    console = "\n".join(text for text in done.stderr.splitlines() if "CONSOLE" in text)
    return Page(re.sub(r"<br>", "", done.stdout)), console


def at_the_end(html: str, element: str) -> str:
    before, _, after = html.rpartition("</body>")
    return f"{before}{element}</body>{after}"


def figures_drawn(read: Page) -> int:
    return sum("drawn" in (a.get("class") or "").split() for a in read.attributes("div"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: random_result(3000, classes=tuple(range(300)), factors=True), 4),
        (lambda: random_result(600, classes=tuple(f"a class of number {i}" for i in range(30)), factors=True), 5),
        (lambda: random_result(views=1), 1),
        (lambda: random_result(classes=None, ids=np.array([f"größe {i} 中" for i in range(200)])), 2),
        (lambda: random_result(1, classes=("only",), factors=True), 5),
    ],
    ids=["ledger-300-classes", "matrix-30-classes", "one-view", "regression", "one-sample"],
)
def test_the_browser_draws_every_figure_without_complaint(make: object, count: int, tmp_path: Path) -> None:
    read, console = drawn(render(make()), tmp_path)
    assert console == ""
    assert figures_drawn(read) == count
    assert sum("marks" in (a.get("class") or "").split() for a in read.attributes("svg")) == count


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "table"])
def test_nothing_in_the_data_can_run(kind: str, tmp_path: Path) -> None:
    ids = np.array([f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(200)])
    d = random_result(
        classes=(*HOSTILE, "lone surrogate \ud800"), factors=True, ids=ids, source=HOSTILE[0], reason=HOSTILE[1],
        notices=HOSTILE, learner=HOSTILE[3], label_name=HOSTILE[1], splits=HOSTILE[2],
    )  # fmt: skip
    strings = np.array([f"{HOSTILE[i % len(HOSTILE)]} \ud800" for i in range(200)], dtype=object)
    features = strings if kind == "text" else pd.DataFrame(dict.fromkeys(HOSTILE, strings), dtype=object)
    html = render(d, samples_of(d, kind, features))
    html.encode("utf-8")
    assert "\0" not in html
    as_written = Page(html)
    # The data of the figures and the page's own script, and for numbers the data of the map, in two elements.
    scripts = 2 if kind == "text" else 4
    assert len(as_written.attributes("script")) == scripts
    assert as_written.attributes("img") == []
    assert "{{ 7 * 7 }}" in as_written.prose
    assert "nul␀ bell␇" in as_written.prose
    # Without the page's policy, so that escaping alone has to hold.
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    for text in (html, bare):
        read, console = drawn(text, tmp_path)
        assert console == ""
        assert "pwned" not in read.texts["title"][0].replace(HOSTILE[0], "")
        assert len(read.attributes("script")) == scripts
        assert read.attributes("img") == []
        assert not any(name.startswith("on") for _, a in read.elements for name in a)
        assert figures_drawn(read) == (5 if kind == "text" else 6)


@pytest.mark.slow
def test_tooltips_show_markup_as_text(tmp_path: Path) -> None:
    d = random_result(1, classes=(HOSTILE[1], "b"), ids=np.array([HOSTILE[0]]))
    d.labels[:] = 0
    # The pointer is moved over the only point, as a reader would; the policy would refuse the test's own script.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render(d))
    move = """<script>setTimeout(() => {
      const point = document.querySelector("#figure-bias-variance .mark-symbol.role-mark path");
      const box = point.getBoundingClientRect();
      const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
      for (const name of ["pointerover", "pointermove", "mouseover", "mousemove"])
        point.dispatchEvent(new (name.startsWith("p") ? PointerEvent : MouseEvent)(name, at));
    }, 3000)</script>"""
    read, console = drawn(at_the_end(html, move), tmp_path)
    assert console == ""
    tooltip = [a for a in read.attributes("div") if a.get("id") == "vg-tooltip-element"]
    assert "visible" in (tooltip[0]["class"] or "")
    assert any(HOSTILE[0] in text for text in read.texts["td"])
    assert read.attributes("img") == []
    assert "pwned" not in read.texts["title"][0]


@pytest.mark.slow
def test_the_policy_holds_what_escaping_promises(tmp_path: Path) -> None:
    """Should a string ever slip through unescaped, the browser still refuses to run it."""
    html = at_the_end(render(random_result()), "<script>document.title = 'pwned'</script>")
    read, console = drawn(html, tmp_path)
    assert "pwned" not in read.texts["title"][0]
    assert "Content Security Policy" in console
    assert figures_drawn(read) == 2


# ---- advised changes and copies


def test_the_forecast_of_all_advised_changes_stands_by_class() -> None:
    d, _ = posterior_result()
    forecast = d.forecast(d.suggestions())
    read = page(d)
    assert f"If every suggestion is accepted without a look: {forecast.describe()}" in read.prose
    for name, row in forecast.table.iterrows():
        cells = [f"{row[column]:.1f}" for column in ("put_right", "spoilt", "still_wrong", "wrong_after")]
        assert " ".join([f"{row['relabelled']:.0f}", *cells]) in read.prose, name
    low = replace(d, run=replace(d.run, ledger_trust=0.2))
    assert "Forecast" not in page(low).prose
    assert "Forecast" not in page(random_result()).prose


def test_sets_of_copies_stand_with_their_labels_contradictions_first() -> None:
    copy_set = np.full(200, -1)
    copy_set[[2, 5, 9]], copy_set[[3, 7]] = 0, 1
    d = random_result(200, factors=True)
    labels = d.labels.copy()
    labels[[2, 5, 9]], labels[[3, 7]] = 1, [0, 2]
    read = page(replace(d, copy_set=copy_set, labels=labels))
    assert "5 samples are copies of each other, in 2 sets; the labels of 1 set differ." in read.prose
    assert read.prose.index("ant, cat 3, 7") < read.prose.index("bee (3) 2, 5, 9")
    assert 'id="copies"' not in render(random_result(200))
