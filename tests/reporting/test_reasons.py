"""One sentence per sample: what it says for each cause, that it never contradicts the result, and hostile names."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.errors import rejects
from support.example_results import by_hand, regression_with_a_wrong_unit, regression_with_an_outlier
from support.random_results import HOSTILE, random_result, samples_of

import hardsight as hs
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty


def one(cause: str, **fields: object) -> Difficulty:
    """One sample among three classes: labelled 3, predicted and suggested 8, by ten models and ten neighbours."""
    d = by_hand(classes=(3, 8, 9)).select(np.arange(6) == 0)
    run = replace(d.run, class_sizes=[12, 500, 488])
    values = {
        "cause": cause, "labels": 0, "predicted": 1, "suggested": 1, "n_views": 10, "votes_label": 1, "votes_predicted": 9,
        "n_neighbours": 10, "neighbours_label": 2, "neighbours_suggested": 8, "p_wrong": 0.84, "p_suggested": 0.8,
        "p_strange": 0.1, "consensus": np.log([0.21, 0.7, 0.09]),
    } | fields  # fmt: skip
    return replace(d, run=run, **{name: None if value is None else np.array([value]) for name, value in values.items()})


def sentence(cause: str, **fields: object) -> str:
    return one(cause, **fields).reasons().iloc[0].replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("cause", "fields", "expected"),
    [
        ("noise", {}, "Labelled 3; 9 of 10 models and 8 of 10 neighbours say 8."),
        ("noise", {"votes_predicted": 10}, "Labelled 3; all 10 models and 8 of 10 neighbours say 8."),
        ("noise", {"neighbours_suggested": 2}, "Labelled 3; 9 of 10 models say 8, but only 2 of 10 neighbours do."),
        ("noise", {"n_neighbours": None}, "Labelled 3; 9 of 10 models say 8."),
        ("noise", {"n_neighbours": 0}, "Labelled 3; 9 of 10 models say 8."),
        ("noise", {"votes_predicted": None, "n_neighbours": None}, "Labelled 3; models say 8."),
        ("noise", {"votes_predicted": 4}, "Labelled 3, probably 8 (p 0.80): 4 of 10 models and 8 of 10 neighbours say 8."),
        (
            "noise",
            {"suggested": 2},
            "Labelled 3, probably 9 (p 0.80), as 8 of 10 neighbours say, though 9 of 10 models say 8.",
        ),
        ("noise", {"suggested": 0}, "Labelled 3, which is doubtful (P(wrong) 0.84), but no other label is more likely."),
        ("imbalance", {}, "Of class 3, which has 12 of 1,000 samples; 9 of 10 models say 8, which has 500."),
        ("imbalance", {"predicted": 0}, "Of class 3, which has 12 of 1,000 samples; models give it 21 %."),
        ("margin", {}, "Between 8 and its label, 3: models split 9 to 1."),
        ("margin", {"votes_predicted": 6}, "Between 8 and its label, 3: 6 and 1 of 10 models."),
        ("margin", {"votes_label": 0}, "Between 8 and its label, 3: models give 70 % and 21 %."),
        (
            "margin",
            {"consensus": np.log([0.01, 0.9, 0.09]), "p_wrong": 0.3},
            "Labelled 3, probably rightly (P(wrong) 0.30), although 9 of 10 models say 8.",
        ),
        ("margin", {"predicted": 0}, "Between its label, 3, and 8: models give 21 % and 70 %."),
        ("uncertainty", {"votes_predicted": 7}, "Models disagree: 7 of 10 say 8, 1 says its label, 3."),
        ("uncertainty", {"votes_label": 0, "votes_predicted": 7}, "Models disagree: 7 of 10 say 8, none says its label, 3."),
        ("uncertainty", {"predicted": 0, "votes_predicted": 7}, "Models disagree: 7 of 10 say 3, which is its label."),
        ("uncertainty", {}, "9 of 10 models say 8, not its label, 3, but with very different probabilities."),
        ("uncertainty", {"votes_predicted": 1}, "Models disagree: 1 of 10 says 8, 1 says its label, 3."),
        (
            "uncertainty",
            {"votes_predicted": 10},
            "All 10 models say 8, not its label, 3, but with very different probabilities.",
        ),
        ("strange", {"p_strange": 0.97}, "Unlike the rest, P(strange) 0.97."),
        ("too few to tell", {}, "In a class of 12 samples: too few to tell."),
        ("none", {"predicted": 0, "suggested": 0}, "9 of 10 models and 8 of 10 neighbours say 3, as labelled."),
        ("none", {"predicted": 0}, "9 of 10 models say 3, as labelled."),
        ("none", {}, "Labelled 3; 9 of 10 models say 8."),
        ("none", {"n_views": 1, "votes_predicted": 1}, "Labelled 3; the model says 8."),
    ],
)
def test_the_sentence_of_each_cause(cause: str, fields: dict, expected: str) -> None:
    assert sentence(cause, **fields) == expected


def test_sizes_that_an_older_file_does_not_have_are_not_guessed() -> None:
    for cause, expected in {
        "too few to tell": "In a class with too few samples to tell.",
        "imbalance": "Of the rare class 3, to which models give 21 %.",
    }.items():
        d = one(cause)
        assert replace(d, run=replace(d.run, class_sizes=None)).reasons().iloc[0].replace("\u00a0", " ") == expected


def test_numbers_say_which_way_they_are_off() -> None:
    d = regression_with_an_outlier()
    reasons = d.reasons()
    assert re.fullmatch(r"Labelled [\d.−]+; models say [\d.−]+ ± 0\.\d+: too high\.", reasons[5])
    mirrored = hs.measure_predictions(-np.tile(d.predicted, (3, 1)), -d.labels).reasons()
    assert mirrored[5].endswith(": too low.")
    assert reasons.str.endswith(": as expected.").mean() > 0.8


def test_losses_alone() -> None:
    d = random_result(200, classes=None, loss="own", task="loss")
    nothing = np.full(200, np.nan)
    d = replace(d, error=np.arange(200.0), bias=nothing, variance=nothing, labels=nothing, predicted=nothing)
    assert d.reasons([150]).iloc[0].replace("\u00a0", " ") == "Loss 150, above that of 75 % of the samples."


def measured(y: np.ndarray, X: object, **options: object) -> Difficulty:
    settings = {"learner": "logistic", "repeats": 2, "refine": False, "progress": False}
    return hs.measure(X, y, **settings | options)


def planted(n: int = 300) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Two classes that 'width' and 'colour' tell apart, ten columns that say nothing, and 30 swapped labels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    table = pd.DataFrame(rng.normal(size=(n, 10)), columns=[f"x{i}" for i in range(10)])
    table["width"] = 10 + 5 * truth + rng.normal(size=n)
    table["colour"] = np.where(rng.random(n) < 0.9, truth, 1 - truth)
    table["colour"] = table["colour"].map({0: "red", 1: "blue"}).astype("category")
    swapped = rng.choice(n, 30, replace=False)
    truth[swapped] = 1 - truth[swapped]
    return table, np.array(["thin", "wide"], dtype=object)[truth], swapped


def test_columns_of_a_table_speak_for_the_suggested_label(tmp_path) -> None:
    table, y, swapped = planted()
    d = measured(y, table)
    found = [i for i in swapped if d.cause[i] == "noise"]
    assert len(found) >= 15
    reasons = d.reasons(found)
    assert list(reasons.index) == found
    assert reasons.str.contains("'width' ").mean() >= 0.9
    assert reasons.str.contains("'x[0-9]'").mean() <= 0.2
    with_width = [i for i, text in zip(found, reasons, strict=True) if "'width' " in text]
    width, given, suggested = map(
        float, re.search(r"'width' ([\d.]+) \(\w+: ([\d.]+), \w+: ([\d.]+)\)", reasons[with_width[0]]).groups()
    )
    assert abs(width - table["width"][with_width[0]]) < 0.01
    assert abs(width - suggested) < abs(width - given)
    assert reasons.str.contains(r"'colour' \w+ \(\w+: \d+ of 20, \w+: \d+ of 20\)").any()
    d.save(tmp_path / "d.parquet")
    loaded = hs.Difficulty.load(tmp_path / "d.parquet")
    assert loaded.reasons(found).tolist() == [text.split("; '")[0].removesuffix(".") + "." for text in reasons]
    pd.testing.assert_series_equal(loaded.reasons(found, samples=d.samples), reasons)
    # Samples may be in another order, and the result a selection, which has no samples to compare with.
    shuffled = Samples.of(table.iloc[::-1], y[::-1], ids=d.ids[::-1])
    pd.testing.assert_series_equal(loaded.reasons(found, samples=shuffled), reasons)
    pd.testing.assert_series_equal(loaded.select(found).reasons(samples=shuffled), loaded.reasons(found))


def test_a_strange_row_names_its_odd_numbers_but_no_rare_group() -> None:
    table, y, _ = planted()
    table["year"] = np.random.default_rng(1).integers(1990, 2020, len(table))
    table["country"] = pd.Categorical(np.where(np.arange(len(table)) == 7, "Andorra", "France"))
    table.loc[7, ["x1", "year"]] = [1e6, 2177]
    table.loc[9, "x0"] = np.nan
    d = measured(y, table, learner="forest")
    assert d.cause[7] == "strange"
    d.cause[9] = "strange"
    assert d.reasons([9]).iloc[0].count(f"; 'x0' missing (as in 1 of {len(table)});") == 1
    (reason,) = d.reasons([7])
    assert re.search(r"nearest sample [\d.]+ × as far as usual", reason)
    assert re.search(r"'x1' 1e6 \(usual: −[\d.]+ to [\d.]+\)", reason)
    assert re.search(r"'year' 2177 \(usual: 1990 to 2019\)", reason)
    assert "Andorra" not in reason


@pytest.mark.parametrize("kind", ["image", "text", "array", "embedding"])
def test_samples_without_named_columns(kind: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = rng.normal(size=(120, 6)) + 4 * y[:, None]
    given = np.where(np.arange(120) < 6, 1 - y, y)
    if kind == "image":
        X = (rng.integers(0, 90, (120, 6, 6)) + 150 * y[:, None, None]).astype(np.uint8)
    if kind == "text":
        words = np.array([["cold", "snow", "ice"], ["hot", "sun", "sand"]])
        X = [" ".join(rng.permutation(words[label])) + f" {i}" for i, label in enumerate(y)]
    names = [f"a{i}" for i in range(120)]
    d = measured(given, names, embedding=X) if kind == "embedding" else measured(given, X)
    reasons = d.reasons()
    wrong = d.cause == "noise"
    assert wrong[:6].sum() >= 2
    assert reasons[wrong].str.startswith("Labelled").all()
    assert reasons[wrong].str.contains(r"feature \[\d\]").all() == (kind == "array")


@pytest.mark.parametrize("seed", range(4))
def test_a_sentence_never_contradicts_the_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = replace(random_result(200, factors=True), n_views=np.full(200, 7))
    label, predicted = rng.integers(0, 8, (2, 200))
    near = rng.integers(0, 11, 200)
    d = replace(d, votes_label=label, votes_predicted=np.minimum(predicted, 7), n_neighbours=np.full(200, 10),
                neighbours_label=10 - near, neighbours_suggested=near)  # fmt: skip
    for i, text in enumerate(d.reasons().tolist()):
        names = d.label_names(np.array([d.labels[i], d.predicted[i], d.suggested[i]]))
        if text.startswith("Labelled"):
            assert text.startswith(f"Labelled {names[0]}")
        if pair := re.search(r"its label, [^:]+: (?:models split )?(\d+) (?:to|and) (\d+)", text):
            assert [int(count) for count in pair.groups()] == [d.votes_predicted[i], d.votes_label[i]]
        for count, total in re.findall(r"(?<!and )\b(\d+) of (\d+) models", text):
            assert (int(count), int(total)) == (d.votes_predicted[i], 7)
        for count in re.findall(r"(\d+) of 10 neighbours", text):
            assert int(count) == near[i]
        if "all 7 models" in text.lower():
            assert d.votes_predicted[i] == 7
        if "as labelled" in text:
            assert names[0] == names[1]
        if "probably" in text and "rightly" not in text:
            assert f"probably {names[2]}" in text


def test_hostile_names_stay_one_line() -> None:
    table, y, swapped = planted()
    names = dict(zip(["width", "colour"], HOSTILE[4:6], strict=True))
    y = np.where(y == "thin", HOSTILE[1], HOSTILE[5] + "\n" * 5 + "x" * 500).astype(object)
    d = measured(y, table.rename(columns=names))
    for text in d.reasons(d.ids[swapped]).tolist():
        assert not re.search(r"[\x00-\x1f\x7f]", text)
        assert len(text) < 900
    none = replace(by_hand(classes=(None, "dog")), run=by_hand().run)
    assert none.reasons([0]).iloc[0] == "Labelled None; models say dog."


def test_what_is_asked_for() -> None:
    d = by_hand()
    assert d.reasons([3, 1]).index.tolist() == [3, 1]
    assert d.reasons(d.p_wrong > 0.5).index.tolist() == [0, 3]
    assert d.reasons([]).tolist() == []
    assert d.reasons().name == "reason"
    rejects("no sample has the id 77", d.reasons, [77])
    rejects("samples must be hs.Samples", d.reasons, None, "x")
    rejects("the samples lack", d.reasons, None, samples_of(by_hand(), "array", np.zeros((6, 1))).take(np.arange(3)))


@pytest.mark.slow
def test_a_thousand_of_100_000() -> None:
    rng = np.random.default_rng(0)
    d = random_result(100_000, factors=True)
    samples = samples_of(d, "table", pd.DataFrame(rng.normal(size=(100_000, 30)), columns=[f"x{i}" for i in range(30)]))
    assert d.reasons(d.ids[d.ranking[:1000]], samples).str.endswith(".").all()


def test_millions_are_written_in_full() -> None:
    rng = np.random.default_rng(0)
    y = np.round(rng.uniform(1_000_000, 1_500_000, 200))
    given = np.where(np.arange(200) == 5, 10 * y, y)
    d = hs.measure_predictions(y + 30_000 * rng.normal(size=(4, 200)), given)
    reason = d.reasons([5]).iloc[0]
    assert reason.startswith(f"Labelled {given[5]:,.0f}; models say {d.predicted[5]:,.0f} ± ")
    assert f"10 × too high, {y[5]:,.0f} fits" in reason


def test_wrong_units_are_named_with_the_value_that_fits() -> None:
    d = regression_with_a_wrong_unit()
    assert d.target_error[5] == "10 × too high"
    assert d.suggested[5] == d.labels[5] / 10
    reason = d.reasons([5]).iloc[0]
    fits = rf"10 × too high, {d.suggested[5]:.0f} fits \(p .+\)\."
    assert re.fullmatch(rf"Labelled [\d,]+; models say [\d.]+ ± [\d.]+: {fits}", reason)
    assert d.residual_quantile.argmax() == 5
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error)
    assert d.factors["noise"].idxmax() == 5


def test_a_strange_row_of_a_regression_names_its_odd_numbers() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    y = table["a"] + 0.1 * rng.normal(size=200)
    table.loc[7, ["b", "c"]] = [40.0, -30.0]
    d = hs.measure(table, y, learner="ridge", repeats=2)
    assert d.p_strange[7] > 0.5
    reason = d.reasons([7]).iloc[0]
    assert re.match(
        r"Labelled .*; unlike the rest, P\(strange\) .*: nearest sample [\d.]+ × as far as usual; 'b' 40 \(", reason
    )
    assert "unlike the rest" not in d.reasons([8]).iloc[0]
