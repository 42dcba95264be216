"""The result: saved and loaded in full, selected by id, shown without letting data run."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.errors import rejects
from support.example_results import by_hand, regression_with_an_outlier
from support.untyped_calls import printed

import hardsight as hs
from hardsight.attribution.names import FACTORS
from hardsight.difficulty import file
from hardsight.difficulty.actions import RECOMMENDATIONS, recommend
from hardsight.difficulty.file import SCHEMA
from hardsight.difficulty.result import Difficulty

COLUMNS = [
    "label",
    "predicted",
    "p_label",
    "error",
    "error_se",
    "bias",
    "variance",
    "hardness",
    "noise",
    "imbalance",
    "margin",
    "uncertainty",
    "p_wrong",
    "suggested",
    "p_suggested",
    "p_strange",
    "cause",
    "todo",
    "views",
]
LEDGER = ("hardness", *FACTORS, "p_wrong", "suggested", "p_suggested", "p_strange", "cause", "todo")  # fmt: skip


def result(n=30, names=("cat", "dog", "owl"), ids=None, seed=0, **more):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(names)
    logits = rng.normal(size=(4, n, len(names))) + 2 * np.eye(len(names))[labels]
    y = np.array(names, dtype=object)[labels]
    return hs.measure_predictions(logits, y, ids=ids, **more)


def assert_equal(a, b):
    for name in (
        "error",
        "error_se",
        "bias",
        "variance",
        "n_views",
        "labels",
        "predicted",
        "ids",
        "consensus",
        "p_wrong",
        "suggested",
        "p_suggested",
        "p_strange",
        "noise_variance",
        "p_outlier",
        "target_error",
        "votes_label",
        "votes_predicted",
        "n_neighbours",
        "neighbours_label",
        "neighbours_suggested",
        "recommended_action",
    ):
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        if left is not None:
            assert left.dtype == right.dtype, name
            np.testing.assert_array_equal(left, right, err_msg=name)
    assert a.classes == b.classes
    assert a.classes is None or [type(c) for c in a.classes] == [type(c) for c in b.classes]
    assert a.settings == b.settings
    assert (a.factors is None) == (b.factors is None)
    if a.factors is not None:
        pd.testing.assert_frame_equal(a.factors, b.factors)
    if a.ledger is not None:
        assert a.cause.dtype.kind == b.cause.dtype.kind
        assert a.cause.tolist() == b.cause.tolist()
    pd.testing.assert_frame_equal(a.table, b.table)


RESULTS = {
    "text": lambda: result(),
    "int": lambda: result(names=(3, 1, 20)),
    "bool": lambda: result(names=(False, True)),
    "float": lambda: result(names=(0.5, 1.5)),
    "mixed": lambda: result(names=("a", 1)),
    "text ids": lambda: result(ids=[f"größe {k}" for k in range(30)]),
    "large ids": lambda: result(ids=np.arange(30) * 10**15 - 7),
    "brier": lambda: result(loss="brier"),
    "zero-one": lambda: result(loss="zero-one"),
    "one view": lambda: hs.measure_predictions(np.zeros((1, 4, 2)), [0, 1, 0, 1]),
    "regression": lambda: hs.measure_predictions(np.random.default_rng(0).normal(size=(3, 9)), np.arange(9) / 7),
    "given classes": lambda: result(classes=list(np.array(["owl", "dog", "cat"]))),
    "given numbers": lambda: result(names=(1, 2, 3), classes=[np.int64(3), np.int64(2), np.int64(1)]),
    "measured": lambda: hs.measure(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2, learner="ridge"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_saving_and_loading_keeps_everything(name, tmp_path):
    d = RESULTS[name]()
    path = tmp_path / "seed=3" / "difficulty.parquet"
    path.parent.mkdir()
    d.save(path)
    assert_equal(Difficulty.load(path), d)
    assert_equal(hs.load(path.parent), d)
    assert_equal(hs.load(str(path)), d)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_file_is_plain_parquet_with_plain_columns(tmp_path):
    d = result()
    d.save(tmp_path / "d.parquet")
    frame = pd.read_parquet(tmp_path / "d.parquet")
    np.testing.assert_array_equal(frame["error"], d.error)
    np.testing.assert_array_equal(frame["noise"], d.factors["noise"])
    np.testing.assert_array_equal(np.stack(frame["consensus"].tolist()), d.consensus)
    about = json.loads(pq.read_schema(tmp_path / "d.parquet").metadata[b"hardsight"])
    assert about["schema"] == SCHEMA
    assert about["classes"] == ["cat", "dog", "owl"]


@pytest.mark.parametrize("name", ["text ids", "regression", "measured"])
def test_many_samples_are_written_some_at_a_time(name, tmp_path, monkeypatch):
    d = RESULTS[name]()
    monkeypatch.setattr(file, "_ROW_GROUP", 7)
    d.save(tmp_path / "d.parquet")
    assert_equal(hs.load(tmp_path / "d.parquet"), d)
    kept = pq.ParquetFile(tmp_path / "d.parquet").metadata
    sizes = [kept.row_group(k).num_rows for k in range(kept.num_row_groups)]
    assert max(sizes) <= 7
    assert sum(sizes) == len(d)


def test_files_that_cannot_be_loaded(tmp_path):
    path = tmp_path / "d.parquet"
    rejects("no file at .*d.parquet: give the difficulty.parquet", lambda: hs.load(path))
    rejects("no file at .*difficulty.parquet: give the difficulty.parquet", lambda: hs.load(tmp_path))
    path.write_bytes(b"PAR1 nothing of the kind")
    rejects("is not a readable parquet file", lambda: hs.load(path))
    path.write_bytes(b"")
    rejects("is not a readable parquet file", lambda: hs.load(path))
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    rejects("was not written by hardsight", lambda: hs.load(path))


def rewritten(path, change):
    """The saved file with other metadata."""
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"hardsight"])
    pq.write_table(table.replace_schema_metadata({"hardsight": change(about)}), path)


def test_files_by_other_versions(tmp_path):
    path = tmp_path / "d.parquet"
    for change, match in [
        (lambda about: json.dumps(about | {"schema": SCHEMA + 1}), rf"newer hardsight \(schema {SCHEMA + 1}\): upgrade"),
        (lambda about: json.dumps({"classes": []}), "was not written by hardsight"),
        (lambda about: "{", "was not written by hardsight"),
        (lambda about: "[]", "was not written by hardsight"),
    ]:
        result().save(path)
        rewritten(path, change)
        rejects(match, lambda: hs.load(path))


def test_truncated_and_damaged_files(tmp_path):
    path = tmp_path / "d.parquet"
    result(200).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    rejects("is not a readable parquet file", lambda: hs.load(path))
    damaged = bytearray(whole)
    damaged[100:400] = bytes(300)
    path.write_bytes(bytes(damaged))
    rejects("is not a readable parquet file", lambda: hs.load(path))
    result().save(path)
    pq.write_table(pq.read_table(path).drop_columns(["error"]), path)
    rejects("was not written by hardsight.*error", lambda: hs.load(path))


def test_saving_where_it_cannot_be(tmp_path):
    rejects("cannot write", lambda: result().save(tmp_path / "missing" / "d.parquet"))


# The table


def test_the_table_has_the_contracts_columns_in_order():
    d = result()
    assert list(d.table) == COLUMNS
    assert d.table.index.name == "id"
    assert list(d.factors) == list(FACTORS)
    assert d.factors.index.equals(d.table.index)
    np.testing.assert_array_equal(d.table["label"], np.array(["cat", "dog", "owl"])[np.arange(30) % 3])
    np.testing.assert_allclose(d.p_label, np.exp(d.consensus)[np.arange(30), np.arange(30) % 3])
    assert list(result(loss="brier").table) == [c for c in COLUMNS if c not in LEDGER]
    numbers = RESULTS["regression"]()
    assert list(numbers.table) == [
        "label", "predicted", "error", "error_se", "bias", "variance", "suggested", "p_suggested", "noise_variance",
        "p_outlier", "residual_quantile", "target_error", "views",
    ]  # fmt: skip
    assert np.isnan(numbers.p_label).all()


# What the ledger says to do


def test_the_suggested_label_is_the_likeliest():
    true = np.arange(300) % 3
    given = np.where(np.arange(300) < 40, (true + 1) % 3, true)
    logits = np.random.default_rng(0).normal(size=(4, 300, 3)) + 6 * np.eye(3)[true]
    d = hs.measure_predictions(logits, np.array(["cat", "dog", "owl"])[given])
    assert (d.table["suggested"] == np.array(["cat", "dog", "owl"])[d.suggested]).all()
    agree = d.suggested == d.labels
    assert (d.suggested == true).mean() > 0.95
    np.testing.assert_allclose(d.p_suggested[agree], 1 - d.p_wrong[agree], atol=1e-9)


def test_what_to_do():
    d = by_hand()
    assert d.recommended_action.tolist() == [
        "relabel", "look at it", "collect more of its class", "look at it", "collect more like it", "nothing",
    ]  # fmt: skip
    assert set(d.recommended_action) <= set(RECOMMENDATIONS)
    assert d.table["todo"].tolist() == d.recommended_action.tolist()
    assert d.select([4, 0]).recommended_action.tolist() == ["collect more like it", "relabel"]


def test_a_class_is_not_called_short_by_a_sample_that_may_not_be_its_own():
    d = by_hand()
    d.p_wrong[2] = d.p_wrong[4] = 0.7
    assert d.recommended_action[[2, 4]].tolist() == ["look at it", "look at it"]


def test_nothing_is_relabelled_as_what_it_is_called_already():
    d = by_hand()
    # More likely wrong than right, and still the likeliest of many.
    d.suggested[0], d.p_wrong[0] = 0, 0.55
    assert d.recommended_action[0] == "look at it"


def test_nothing_doubtful_below_one_half_is_relabelled():
    rng = np.random.default_rng(0)
    d = result(300)
    cause = rng.choice([*FACTORS, "none"], 300)
    p_wrong = rng.random(300)
    actions = recommend(cause, p_wrong, d.labels, rng.integers(0, 3, 300))
    assert (p_wrong[actions == "relabel"] > 0.5).all()
    assert (cause[actions == "relabel"] == "noise").all()
    assert ((actions == "nothing") == (cause == "none")).all()


def test_transition_and_noise_rates():
    d = by_hand()
    assert d.transition.loc["cat", "dog"] == 0.3
    assert (d.transition.index.name, d.transition.columns.name) == ("true", "given")
    rates = d.noise_rates
    assert rates["given"].tolist() == [3, 3]
    assert rates["true_share"].tolist() == [0.6, 0.4]
    np.testing.assert_allclose(rates["wrong"], [1.3 / 3, 0.9 / 3])
    np.testing.assert_allclose(rates["mislabelled"], [0.3, 0.2])
    cats = d.select([0, 1]).noise_rates
    assert cats["given"].tolist() == [2, 0]
    np.testing.assert_allclose(cats["wrong"], [0.65, np.nan])
    for without in (result(loss="brier"), RESULTS["regression"](), RESULTS["one view"]()):
        assert without.transition is without.noise_rates is without.recommended_action is None
        assert without.regression or without.suggested is None


def test_files_written_before_there_were_suggestions(tmp_path):
    path = tmp_path / "d.parquet"
    by_hand().save(path)
    pq.write_table(pq.read_table(path).drop_columns(["suggested", "p_suggested"]), path)
    d = hs.load(path)
    assert d.suggested is d.p_suggested is None
    assert list(d.table)[-4:] == ["p_wrong", "cause", "todo", "views"]
    assert d.recommended_action[0] == "look at it"


def test_the_noise_of_a_regression():
    d = regression_with_an_outlier()
    assert d.noise_sd == pytest.approx(0.2, rel=0.15)
    np.testing.assert_allclose(d.noise_sd**2, d.noise_variance.mean())
    assert d.p_outlier.argmax() == 5
    assert d.select([5]).p_outlier[0] == d.p_outlier[5] > 0.99
    assert result().noise_variance is result().p_outlier is result().noise_sd is None


# The order


def test_hardest_first_with_ties_in_the_order_given():
    log_probs = np.log([[[p, 1 - p] for p in (0.9, 0.5, 0.7, 0.5, 0.5, 0.8)]] * 2)
    d = hs.measure_predictions(log_probs, [0, 0, 0, 0, 0, 1], ids=list("abcdef"))
    assert d.hardest(5).index.tolist() == ["f", "b", "d", "e", "c"]
    assert d.ranking.tolist() == [5, 1, 3, 4, 2, 0]
    assert len(d.hardest(0)) == 0
    assert len(d.hardest(99)) == 6


def test_select_by_mask_and_by_ids():
    d = result(ids=[f"s{k}" for k in range(30)])
    mask = d.error > np.median(d.error)
    part = d.select(mask)
    assert len(part) == mask.sum()
    pd.testing.assert_frame_equal(part.table, d.table[mask])
    pd.testing.assert_frame_equal(part.factors, d.factors[mask])
    named = d.select(["s7", "s2", "s29"])
    pd.testing.assert_frame_equal(named.table, d.table.loc[["s7", "s2", "s29"]])
    np.testing.assert_array_equal(named.consensus, d.consensus[[7, 2, 29]])
    numbered = result(ids=np.arange(100, 130)).select(np.array([129, 100]))
    assert numbered.ids.tolist() == [129, 100]
    np.testing.assert_array_equal(numbered.error, result().error[[29, 0]])
    assert d.select(part.ids).select(part.ids[::-1]).ids.tolist() == part.ids[::-1].tolist()


@pytest.mark.parametrize("ids", [None, np.arange(30)[::-1], [f"s{k}" for k in range(30)]])
def test_a_mask_that_is_a_series_is_taken_by_id(ids):
    d = result(ids=ids)
    hard = d.error > np.median(d.error)
    mask = d.hardest(30)["error"] > np.median(d.error)
    assert d.select(mask).ids.tolist() == d.ids[hard].tolist()
    assert d.select(d.table["error"] > np.median(d.error)).ids.tolist() == d.ids[hard].tolist()
    for odd in (mask.set_axis([f"x{k}" for k in range(30)]), mask.set_axis([d.ids[0]] * 30)):
        rejects("the mask must be indexed by the ids of the 30 samples", lambda odd=odd: d.select(odd))


def test_a_mask_that_is_only_numbered_is_in_the_order_of_the_samples():
    d = result(ids=[f"s{k}" for k in range(30)])
    hard = d.error > np.median(d.error)
    assert d.select(pd.Series(hard)).ids.tolist() == d.ids[hard].tolist()


def test_select_takes_the_samples_along():
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    d = hs.measure(X, np.arange(40) % 2, learner="ridge", folds=2, repeats=2).select([5, 3])
    np.testing.assert_array_equal(d.samples.matrix, X[[5, 3]])


def test_select_refuses():
    d = result()
    rejects(r"mask must have shape \(30,\), one value per sample. Got \(29,\)", lambda: d.select(np.ones(29, dtype=bool)))
    rejects(r"no sample has the id 99: ids look like 0", lambda: d.select([1, 99]))
    rejects(r"no sample has the id 'a': ids look like 0", lambda: d.select(["a"]))
    rejects(r"no sample has the id 5: ids look like 's0'", lambda: result(ids=[f"s{k}" for k in range(30)]).select([5]))


WRONG = """
y = np.arange(30) % 3
d = hs.measure_predictions(np.random.default_rng(0).normal(size=(4, 30, 3)) + np.eye(3)[y], y)
for call in (
    lambda: d.hardest("5"), lambda: d.hardest(5.0), lambda: d.hardest(-1), lambda: d.select("noise"), lambda: d.select(3),
    lambda: d.select([[1, 2]]), lambda: d.save(None), lambda: d.report(None), lambda: d.review(None), lambda: hs.load(None),
    lambda: hs.plot.weights("a"), lambda: d.plot.weights(d),
):
    tried(call)
"""


@pytest.mark.slow
def test_arguments_of_the_wrong_kind_are_named_in_one_line():
    assert printed(WRONG) == [
        "n must be an integer. Got '5'",
        "n must be an integer. Got 5.0",
        "n must be 0 or more. Got -1",
        "samples must be selected by a mask or a sequence of ids. Got str: pass [id] for one",
        "samples must be selected by a mask or a sequence of ids. Got int: pass [id] for one",
        "samples must be selected by a mask or a sequence of ids. Got list: pass [id] for one",
        *["path must be a str or a path. Got NoneType: name a file"] * 4,
        "weights must be numbers, one per sample, such as hs.weigh returns. Got str",
        "weights must be numbers, one per sample, such as hs.weigh returns. Got Difficulty",
    ]


@pytest.mark.slow
def test_a_result_is_saved_under_a_name_that_says_what_it_is(tmp_path):
    for name in ("d.csv", "d", "d.parquet.gz"):
        rejects(rf"{name} is named otherwise: end the name in .parquet", lambda name=name: result().save(tmp_path / name))
    assert not list(tmp_path.iterdir())
    result().save(tmp_path / "d.PARQUET")
    assert len(hs.load(tmp_path / "d.PARQUET")) == 30


def test_nothing_selected_is_an_empty_result(tmp_path):
    none = result().select(np.zeros(30, dtype=bool))
    assert len(none) == 0
    assert list(none.table) == COLUMNS
    assert "no sample" in repr(none)
    assert "no sample" in none._repr_html_()
    none.save(tmp_path / "d.parquet")
    assert len(hs.load(tmp_path / "d.parquet")) == 0


# How it shows itself


def test_repr_says_how_many_and_how_hard():
    d = result()
    text = repr(d)
    assert "30 samples, 4 models (predictions as given), 4 held-out views each" in text
    assert f"mean log-loss {d.error.mean():.4g}" in text
    assert len(text.partition("Difficulty: ")[2].splitlines()) == 2 + 1 + 5
    assert "mean squared error" in repr(RESULTS["regression"]())


def test_html_runs_nothing():
    hostile = "<script>alert(1)</script>"
    d = result(names=(hostile, "b & c"), ids=[f"<img src=x onerror=alert({k})>" for k in range(30)])
    d = replace(d, run=replace(d.run, learner=hostile))
    shown = d._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "b &amp; c" in shown
    assert shown.count("<tr") == 2 + 10


@pytest.mark.slow
def test_report_opens_from_the_result(tmp_path):
    result().report(tmp_path / "r.html")
    assert "<html" in (tmp_path / "r.html").read_text()


def test_arrow_reads_ids_as_they_were(tmp_path):
    result(ids=[f"s{k}" for k in range(30)]).save(tmp_path / "d.parquet")
    assert pa.types.is_string(pq.read_schema(tmp_path / "d.parquet").field("id").type)
