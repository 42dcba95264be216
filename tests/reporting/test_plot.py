"""Figures for notebooks: the numbers that they hold, that they are drawn, and that they go together."""

import io
import subprocess
import sys

import altair as alt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from support.errors import rejects
from support.example_results import by_hand, regression_with_an_outlier

import hardsight as hs
from hardsight.attribution.names import FACTORS
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.reporting.plot.calibration import reliability
from hardsight.reporting.plot.theme import FAINT, GREY, without_config
from hardsight.reporting.report.figures import COLOURS, POINTS
from hardsight.weights.describe import effective_sample_size


def result(n=300, names=("cat", "dog", "owl"), seed=0, ids=None, **more):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(names)
    logits = 1.5 * rng.normal(size=(4, n, len(names))) + 2 * np.eye(len(names))[labels]
    return hs.measure_predictions(logits, np.array(names, dtype=object)[labels], ids=ids, **more)


def losses_only(n=20):
    """Of learners that give losses and no predictions."""
    unknown = np.full(n, np.nan)
    return Difficulty(
        error=np.linspace(0.1, 2, n), error_se=unknown, bias=unknown, variance=unknown, n_views=np.full(n, 3),
        labels=unknown, predicted=unknown, ids=np.arange(n), classes=None, consensus=None, ledger=None, p_wrong=None,
        cause=None,
        run=RunInfo.from_json({"loss": "own", "task": "loss", "learner": "by hand", "members": 3, "notices": []}),
    )  # fmt: skip


def layers(chart):
    """The values of every layer."""
    fields = chart.to_dict()
    return [unit["data"]["values"] for unit in fields.get("layer", [fields])]


def pixels(chart):
    out = io.BytesIO()
    chart.save(out, format="png")
    return np.asarray(Image.open(out).convert("RGB"))


FIGURES = {
    "ledger": lambda d: d.plot.ledger(),
    "ledger by cause": lambda d: d.plot.ledger("cause"),
    "ledger by sample": lambda d: d.plot.ledger("sample"),
    "map": lambda d: d.plot.map(),
    "classes": lambda d: d.plot.classes(),
    "errors": lambda d: d.plot.errors(),
    "calibration": lambda d: d.plot.calibration(),
    "calibration of p_wrong": lambda d: d.plot.calibration(np.arange(len(d)) % 5 == 0),
    "weights": lambda d: d.plot.weights(1 + d.error),
}


# What they hold


@pytest.mark.slow
def test_the_ledger_of_samples_is_theirs_hardest_first():
    d = result()
    bars, totals = layers(d.plot.ledger("sample", most=7))
    hardest = d.hardest(7)
    assert [value["row"] for value in totals] == [str(name) for name in hardest.index]
    np.testing.assert_allclose([value["value"] for value in totals], hardest["error"], atol=1e-9)
    drawn = {(value["row"], value["factor"]): value["value"] for value in bars}
    for name, row in hardest.iterrows():
        for factor in FACTORS:
            assert drawn[str(name), factor] == row[factor]


@pytest.mark.slow
@pytest.mark.parametrize(("by", "column"), [("class", "label"), ("cause", "cause")])
def test_the_ledger_of_groups_is_their_mean(by, column):
    d = result()
    bars, totals = layers(d.plot.ledger(by))
    means = d.table.groupby(column, observed=True)[list(FACTORS)].mean()
    assert {value["row"] for value in totals} == set(means.index)
    for value in bars:
        assert value["value"] == pytest.approx(means.loc[value["row"], value["factor"]])
    if by == "class":
        assert [value["value"] for value in totals] == sorted((value["value"] for value in totals), reverse=True)
    assert len(layers(d.plot.ledger(by, most=1))[1]) == 1


def test_the_map_has_every_sample_of_few():
    d = by_hand()
    (points,) = layers(d.plot.map())
    shown = {(point["id"], point["bias"], point["variance"], point["group"]) for point in points}
    assert shown == set(zip(map(str, d.ids), d.bias, d.variance, d.cause, strict=True))


@pytest.mark.slow
def test_the_map_has_the_hardest_of_many():
    d = result(5000)
    (points,) = layers(d.plot.map())
    assert len(points) == POINTS
    assert {str(name) for name in d.hardest(1000).index} <= {point["id"] for point in points}


@pytest.mark.slow
def test_classes_have_their_mean_and_its_interval():
    d = result()
    line, intervals, dots = layers(d.plot.classes())
    error = d.table.groupby("label")["error"]
    expected = error.mean().sort_values(ascending=False)
    assert [dot["class"] for dot in dots] == [f"{name} (100)" for name in expected.index]
    np.testing.assert_allclose([dot["error"] for dot in dots], expected)
    half = 1.96 * error.sem()[expected.index]
    np.testing.assert_allclose([each["low"] for each in intervals], expected - half)
    np.testing.assert_allclose([each["high"] for each in intervals], expected + half)
    assert line[0]["at"] == d.error.mean()
    assert len(layers(d.plot.classes(most=2))[2]) == 2


@pytest.mark.slow
def test_a_class_of_one_has_no_interval():
    d = result(5, ("a", "b"))
    alone = d.select(np.array([True, False, True, False, True])).plot.classes()
    assert all(each["low"] < each["error"] for each in layers(alone)[1])
    (one,) = layers(d.select([1]).plot.classes())[1]
    assert one["low"] == one["error"] == one["high"]


def test_numbers_are_shown_by_fifths_lowest_first():
    d = regression_with_an_outlier()
    dots = layers(d.plot.classes())[2]
    assert len(dots) == 5
    lows = [float(dot["class"].partition(" to ")[0].replace("−", "-")) for dot in dots]
    assert lows == sorted(lows)
    assert all(dot["class"].endswith("(80)") for dot in dots)


@pytest.mark.slow
def test_calibration_is_that_of_the_consensus():
    d = result(900)
    diagonal, intervals, points = layers(d.plot.calibration())
    right = d.predicted == d.labels
    happened, stated = calibration_curve(right, np.exp(d.consensus).max(1), n_bins=10)
    np.testing.assert_allclose([point["stated"] for point in points], stated)
    np.testing.assert_allclose([point["happened"] for point in points], happened)
    assert sum(point["size"] for point in points) == 900
    assert [(at["stated"], at["happened"]) for at in diagonal] == [(0, 0), (1, 1)]
    for each in intervals:
        truth = binomtest(round(each["happened"] * each["size"]), each["size"]).proportion_ci(method="wilson")
        np.testing.assert_allclose([each["low"], each["high"]], [truth.low, truth.high], atol=1e-4)
    confidence = np.exp(d.consensus).max(1)
    bins = np.minimum((10 * confidence).astype(int), 9)
    gap = sum(abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    assert f"expected calibration error {gap:.3g}" in d.plot.calibration().to_dict()["title"]["text"]


def test_calibration_of_wrong_labels():
    d = by_hand()
    wrong = np.array([True, True, False, False, False, False])
    points = layers(d.plot.calibration(wrong))[2]
    assert [(point["stated"], point["happened"], point["size"]) for point in points] == [
        (0.0, 0.0, 1), (0.1, 0.0, 1), (0.2, 0.0, 1), (0.4, 1.0, 1), (0.6, 0.0, 1), (0.9, 1.0, 1),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_bins_hold_every_sample_once(pairs):
    stated, happened = np.array([p for p, _ in pairs]), np.array([h for _, h in pairs])
    found = reliability(stated, happened)
    assert sum(each.size for each in found) == len(pairs)
    assert sum(each.size * each.happened for each in found) == pytest.approx(happened.sum())
    assert sum(each.size * each.stated for each in found) == pytest.approx(stated.sum())
    assert all(0 <= each.low <= each.happened + 1e-9 and each.happened - 1e-9 <= each.high <= 1 for each in found)


def test_weights_are_counted():
    w = np.r_[np.zeros(30), np.random.default_rng(0).gamma(2, 0.5, 20_000)]
    chart = hs.plot.weights(w)
    bars, mean = layers(chart)
    assert sum(bar["samples"] for bar in bars) == len(w)
    for bar in bars:
        last = bar["high"] == w.max()
        inside = (w >= bar["low"]) & ((w <= bar["high"]) if last else (w < bar["high"]))
        assert bar["samples"] == pytest.approx(inside.sum(), abs=1)
    assert mean == [{"mean": w.mean()}]
    title = chart.to_dict()["title"]["text"]
    assert f"worth {effective_sample_size(w):,.0f} equal ones" in title
    assert "; 30 are 0;" in title


@pytest.mark.slow
def test_weights_stand_against_the_errors_of_their_samples():
    d = by_hand()
    w = np.array([0.0, 0.5, 2, 1, 1.5, 1])
    both = d.plot.weights(w).to_dict()
    shown = {(p["id"], p["error"], p["weight"], p["group"]) for p in both["vconcat"][1]["data"]["values"]}
    assert shown == set(zip(map(str, d.ids), d.error, w, d.cause, strict=True))


def test_equal_weights():
    assert sum(bar["samples"] for bar in layers(hs.plot.weights(np.ones(9)))[0]) == 9
    assert "worth 9 equal ones (100" in hs.plot.weights(np.ones(9)).to_dict()["title"]["text"]


# That they are drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name, tmp_path):
    chart = FIGURES[name](result())
    shown = pixels(chart)
    assert shown.shape[0] > 60
    assert shown.shape[1] > 400
    # More than a white card with grey words: some of it has a colour.
    assert ((shown.max(2).astype(int) - shown.min(2)) > 60).sum() > 100
    chart.save(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text().startswith("<svg")


@pytest.mark.slow
@pytest.mark.parametrize(
    "d", [regression_with_an_outlier(), result(loss="brier"), losses_only()], ids=["y", "brier", "loss"]
)
def test_what_there_is_without_a_ledger(d):
    drawn = [d.plot.errors(), d.plot.weights(np.ones(len(d)))]
    if not d.loss_only:
        drawn += [d.plot.map(), d.plot.classes()]
    assert all(pixels(chart).std() > 1 for chart in drawn)


@pytest.mark.slow
def test_user_strings_stand_in_the_data_only():
    hostile = ("</text><script>alert(1)</script>", "datum.x || alert(1)", "a\0b\n")
    d = result(30, hostile, ids=[f"<img src=x onerror=alert({k})>" for k in range(30)])
    for figure in FIGURES.values():
        out = io.StringIO()
        figure(d).save(out, format="svg")
        assert "<script" not in out.getvalue()
        assert "<img" not in out.getvalue()


@pytest.mark.slow
def test_figures_go_side_by_side_and_take_a_theme():
    d = result()
    for figure in FIGURES.values():
        chart = figure(d)
        assert not {"background", "autosize"} & set(chart.to_dict())
        assert pixels(chart | d.plot.classes()).shape[1] > 900
    dark = pixels(d.plot.map().configure(background="#111111"))
    assert dark[0, 0].tolist() == [17, 17, 17]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Of WCAG 2.1."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [GREY, *COLOURS.values()])
def test_words_and_points_are_legible_on_both_grounds(colour):
    assert contrast(colour, "#ffffff") >= 3
    assert contrast(colour, "#111111") >= 3


def test_rules_are_seen_on_both_grounds():
    assert contrast(FAINT, "#ffffff") >= 2
    assert contrast(FAINT, "#111111") >= 3


@pytest.mark.slow
def test_no_word_is_left_in_the_renderers_black():
    text = str([figure(result()).to_dict() for figure in FIGURES.values()])
    for name in ("labelColor", "titleColor"):
        assert f"'{name}': '{GREY}'" in text
    for figure in FIGURES.values():
        whole = figure(result()).to_dict()
        for part in whole.get("vconcat", [whole]):
            for unit in part.get("layer", [part]):
                assert unit["mark"]["type"] not in ("text", "rule", "tick") or "color" in {
                    **unit["mark"],
                    **unit["encoding"],
                }


def test_the_chart_given_is_left_as_it_is():
    from hardsight.reporting.report import histogram

    report = histogram(by_hand())
    before = report.to_dict()
    without_config(report, "a title")
    assert report.to_dict() == before
    assert "config" in before


# What is refused


def test_refused():
    d, numbers = result(), regression_with_an_outlier()
    rejects("by must be one of class, cause, sample. Got 'classes'", lambda: d.plot.ledger("classes"))
    rejects("most must be 1 or more. Got 0", lambda: d.plot.ledger(most=0))
    rejects("no ledger: measure classes with loss='log'", lambda: numbers.plot.ledger())
    rejects("no class probabilities", lambda: numbers.plot.calibration())
    rejects("no P\\(label wrong\\)", lambda: numbers.plot.calibration(np.zeros(400, dtype=bool)))
    rejects(
        r"shape \(300,\), one value per sample .* Got int64 \(300,\)", lambda: d.plot.calibration(np.zeros(300, dtype=int))
    )
    rejects(r"Got bool \(299,\)", lambda: d.plot.calibration(np.zeros(299, dtype=bool)))
    rejects("losses and no predictions", lambda: losses_only().plot.map())
    rejects("neither classes nor targets", lambda: losses_only().plot.classes())
    rejects("one held-out view", lambda: hs.measure_predictions(np.zeros((1, 4, 2)), [0, 1, 0, 1]).plot.map())
    rejects("Got 299 for 300 samples", lambda: d.plot.weights(np.ones(299)))
    for bad in ([], [[1.0]], [1.0, np.nan], [-1.0, 1], [0.0, 0]):
        rejects("weights must be one finite number per sample", lambda bad=bad: hs.plot.weights(bad))
    none = d.select(np.zeros(300, dtype=bool)).plot
    for work in (none.ledger, none.map, none.classes, none.errors, none.calibration):
        rejects("has no samples", work)


@pytest.mark.slow
def test_charts_are_altairs():
    d = result()
    for name, figure in FIGURES.items():
        assert isinstance(figure(d), alt.TopLevelMixin), name
    assert repr(d.plot).startswith("ledger(), map()")


@pytest.mark.slow
def test_a_saved_result_is_drawn_without_torch(tmp_path):
    result().save(tmp_path / "d.parquet")
    code = f"""
import sys, hardsight as hs
assert "altair" not in sys.modules
d = hs.load({str(tmp_path / "d.parquet")!r})
assert "altair" not in sys.modules
p = d.plot
for chart in (p.ledger(), p.map(), p.classes(), p.calibration(), p.errors(), p.weights(d.error)):
    chart.to_dict()
print(*[name for name in ("torch", "sklearn", "scipy") if name in sys.modules])
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []
