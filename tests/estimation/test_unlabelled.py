"""Samples without a label: left out as if they were not there, predicted by models of all others, or refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from support.command_line import run
from support.errors import rejects

import hardsight as hs

RNG = np.random.default_rng(0)
N = 90
CODES = RNG.integers(0, 3, N)
X = RNG.normal(size=(N, 3)) + 2.5 * np.eye(3)[CODES]
NAMES = np.array(["ant", "bee", "cow"])[CODES]
MISSING = np.arange(N) % 15 == 4
FAST = {"learner": "ridge", "folds": 3, "repeats": 2}


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def frame():
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "kind": RNG.choice(["x", "y"], N)})


def with_gaps(values, gap):
    column = list(values)
    for row in np.flatnonzero(MISSING):
        column[row] = gap
    return column


def as_frame():
    return frame().assign(y=with_gaps(NAMES, None)), "y"


def as_integers_in_a_frame():
    return frame().assign(y=with_gaps(CODES.astype(float), np.nan)), "y"


def as_nullable_integers():
    return frame().assign(y=pd.array(with_gaps(CODES.tolist(), pd.NA), dtype="Int64")), "y"


def as_categories():
    return frame().assign(y=pd.Categorical(with_gaps(NAMES, None))), "y"


def as_blank_text():
    return frame().assign(y=with_gaps(NAMES, "  ")), "y"


def as_array_and_list():
    return X, with_gaps(NAMES, None)


def as_array_and_float_tensor():
    return torch.tensor(X), torch.tensor(with_gaps(CODES.astype(float), float("nan")))


def as_series():
    return pd.DataFrame(X, index=np.arange(N) + 7), pd.Series(with_gaps(NAMES, None), index=np.arange(N) + 7)


def as_sparse():
    return csr_array(np.round(X, 1)), with_gaps(NAMES, None)


def as_table_of_lists():
    return np.round(X, 3).tolist(), pd.Series(with_gaps(NAMES, None))


def as_texts():
    return [f"{name} and more {row % 7}" for row, name in enumerate(NAMES)], with_gaps(NAMES, None)


def as_hugging_face():
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["ant", "bee", "cow"])
    columns = {"a": X[:, 0], "b": X[:, 1], "y": with_gaps(CODES.tolist(), -1)}
    features = datasets.Features({"a": datasets.Value("float64"), "b": datasets.Value("float64"), "y": names})
    return datasets.Dataset.from_dict(columns, features=features), "y"


KINDS = [
    as_frame,
    as_integers_in_a_frame,
    as_nullable_integers,
    as_categories,
    as_blank_text,
    as_array_and_list,
    as_array_and_float_tensor,
    as_series,
    as_sparse,
    as_table_of_lists,
    as_texts,
    as_hugging_face,
]


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_are_left_out_by_default_and_ids_stay(kind):
    d = hs.measure(*kind(), **FAST)
    assert len(d) == N - MISSING.sum()
    start = 7 if kind is as_series else 0
    np.testing.assert_array_equal(d.ids, np.flatnonzero(~MISSING) + start)
    assert len(d.classes) == 3
    np.testing.assert_array_equal(d.labels, CODES[~MISSING])
    [notice] = [notice for notice in d.run.notices if "no label" in notice]
    assert "6 of 90 samples have no label" in notice
    assert "--unlabelled predict" in notice
    assert d.unlabelled is None


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_are_predicted(kind):
    d = hs.measure(*kind(), **FAST, unlabelled="predict")
    start = 7 if kind is as_series else 0
    np.testing.assert_array_equal(d.unlabelled.index, np.flatnonzero(MISSING) + start)
    assert len(d) == N - MISSING.sum()
    named = dict(enumerate(d.classes))
    truth = [named[code] for code in CODES[MISSING]]
    assert np.mean(d.unlabelled["predicted"].to_numpy() == truth) >= 5 / 6
    assert d.unlabelled["p_predicted"].between(1 / 3, 1).all()


@pytest.mark.slow
def test_leaving_out_is_the_same_as_never_having_had_them():
    data, label = as_frame()
    without = data[~MISSING]
    one, other = hs.measure(data, label, **FAST), hs.measure(without, label, **FAST)
    np.testing.assert_array_equal(one.ids, other.ids)
    for name in ("error", "p_wrong", "consensus"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_predicting_does_not_change_the_measurement_of_numbers():
    y = with_gaps(NAMES, None)
    one, other = hs.measure(X, y, **FAST), hs.measure(X, y, **FAST, unlabelled="predict")
    np.testing.assert_array_equal(one.error, other.error)


LEARNERS = {
    "logistic": "logistic",
    "estimator": LogisticRegression(),
    "forest": hs.ForestOOB(RandomForestClassifier(30)),
    "network": hs.Network(hidden=(16,), epochs=30),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_predicts(name):
    folds = {} if name == "forest" else {"folds": 3}
    d = hs.measure(X, with_gaps(NAMES, None), learner=LEARNERS[name], repeats=2, unlabelled="predict", **folds)
    assert (d.unlabelled["predicted"].to_numpy() == NAMES[MISSING]).mean() >= 5 / 6


def test_predictions_are_those_of_a_model_of_all_labelled_samples():
    d = hs.measure(X, with_gaps(NAMES, None), learner=LogisticRegression(), folds=3, repeats=2, unlabelled="predict")
    model = LogisticRegression().fit(X[~MISSING].astype(np.float32), NAMES[~MISSING])
    probability = model.predict_proba(X[MISSING].astype(np.float32))
    np.testing.assert_array_equal(d.unlabelled["predicted"], model.classes_[probability.argmax(1)])
    np.testing.assert_allclose(d.unlabelled["p_predicted"], probability.max(1), rtol=1e-4)


def test_probabilities_of_ridge_are_scaled_by_labelled_samples():
    d = hs.measure(X, with_gaps(NAMES, None), **FAST, unlabelled="predict")
    held_out = np.exp(d.consensus).max(1)
    assert abs(d.unlabelled["p_predicted"].mean() - held_out.mean()) < 0.15


def test_targets_are_predicted_with_their_spread():
    target = X[:, 0] * 3 + 0.1 * RNG.normal(size=N)
    learner = hs.Network(hidden=(16,), epochs=60)
    d = hs.measure(X, with_gaps(target, np.nan), learner=learner, folds=3, repeats=2, unlabelled="predict")
    assert list(d.unlabelled) == ["predicted", "spread"]
    assert np.corrcoef(d.unlabelled["predicted"], target[MISSING])[0, 1] > 0.9
    assert (d.unlabelled["spread"] > 0).all()


def test_groups_weights_and_ids_of_unlabelled_samples_may_be_missing():
    groups = with_gaps([f"g{row // 2}" for row in range(N)], None)
    weights = with_gaps(np.ones(N), np.nan)
    ids = with_gaps([f"id{row}" for row in range(N)], None)
    for mode in ("drop", "predict"):
        d = hs.measure(X, with_gaps(NAMES, None), ids=ids, groups=groups, weights=weights, **FAST, unlabelled=mode)
        assert d.ids[0] == "id0"
    assert d.unlabelled.index[0] == "row 4"
    named = hs.measure(X, with_gaps(NAMES, None), ids=[f"id{row}" for row in range(N)], **FAST, unlabelled="predict")
    assert named.unlabelled.index[0] == "id4"


def test_categories_that_only_unlabelled_samples_have():
    data, label = as_frame()
    data.loc[MISSING, "kind"] = "z"
    data.loc[np.flatnonzero(MISSING)[0], "a"] = np.nan
    d = hs.measure(data, label, **FAST, unlabelled="predict")
    assert len(d.unlabelled) == MISSING.sum()


def test_refusals():
    y = with_gaps(NAMES, None)
    rejects(r"label 'label' is missing in 6 of 90 samples \(rows 4", hs.measure, X, y, **FAST, unlabelled="refuse")
    rejects("unlabelled must be one of drop, predict, refuse. Got 'guess'", hs.measure, X, y, **FAST, unlabelled="guess")
    lone = [None] * (N - 1) + ["ant"]
    rejects("missing in 89 of 90 samples", hs.measure, X, lone, **FAST)
    rejects("all 2 labels", hs.measure, X, [None] * (N - 2) + ["ant"] * 2, **FAST)
    rejects(
        "needs a learner that predicts other samples.*--unlabelled drop",
        hs.measure, X, y, learner="knn-loo", splits="loo", unlabelled="predict",
    )  # fmt: skip
    rejects("leave out unlabelled", hs.measure, hs.Samples.of(X, y), unlabelled="drop", **FAST)


def test_predictions_survive_saving(tmp_path):
    for y in (with_gaps(NAMES, None), with_gaps(CODES.astype(float), np.nan), with_gaps(X[:, 0] + 0.5, np.nan)):
        d = hs.measure(X, y, **FAST, unlabelled="predict")
        d.save(tmp_path / "d.parquet")
        pd.testing.assert_frame_equal(hs.load(tmp_path / "d.parquet").unlabelled, d.unlabelled, check_index_type=False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda columns: columns.update(id=columns["id"][:-1]),
        lambda columns: columns.update(id=[columns["id"][0]] * len(columns["id"])),
        lambda columns: columns.update(predicted=["wolf"] * len(columns["id"])),
        lambda columns: columns.update(p_predicted=[7.0] * len(columns["id"])),
        lambda columns: columns.pop("predicted"),
        lambda columns: columns.update(p_predicted=None),
    ],
)
def test_damaged_predictions_are_refused(tmp_path, spoil):
    import pyarrow.parquet as pq

    hs.measure(X, with_gaps(NAMES, None), **FAST, unlabelled="predict").save(tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet")
    about = json.loads(table.schema.metadata[b"hardsight"])
    spoil(about["unlabelled"])
    pq.write_table(table.replace_schema_metadata({"hardsight": json.dumps(about)}), tmp_path / "d.parquet")
    rejects("was not written by hardsight", hs.load, tmp_path / "d.parquet")


@pytest.mark.slow
def test_the_command_writes_predictions(tmp_path):
    as_frame()[0].to_csv(tmp_path / "data.csv", index=False)
    options = ("--label", "y", "--learner", "ridge", "--folds", "3", "--repeats", "2", "--out", tmp_path / "out")
    plain = done("measure", tmp_path / "data.csv", *options)
    assert "6 of 90 samples have no label 'y': left out" in " ".join(plain.split())
    assert not (tmp_path / "out" / "unlabelled.csv").exists()
    summary = done("measure", tmp_path / "data.csv", *options, "--unlabelled", "predict")
    assert "unlabelled.csv" in summary
    table = pd.read_csv(tmp_path / "out" / "unlabelled.csv")
    assert list(table) == ["id", "predicted", "p_predicted"]
    np.testing.assert_array_equal(table["id"], np.flatnonzero(MISSING))
    report = (tmp_path / "out" / "report.html").read_text()
    assert "predicted by models that are trained on all others" in report
    answer = json.loads(done("measure", tmp_path / "data.csv", *options, "--unlabelled", "predict", "--json", "--quiet"))
    assert answer["files"]["unlabelled"].endswith("unlabelled.csv")
    done("measure", tmp_path / "data.csv", *options)
    assert not (tmp_path / "out" / "unlabelled.csv").exists()
