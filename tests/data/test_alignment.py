"""Values with an index follow it or are refused: never by position where the orders differ."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from support.errors import rejects

import hardsight as hs
from hardsight import Samples
from hardsight.data.alignment import align_to_ids, check_indexes

N = 8
X = pd.DataFrame({"x": np.arange(N) ** 2.0, "z": np.arange(N)[::-1] * 1.5})
ROLES = {
    "y": pd.Series(list("abababab")),
    "ids": pd.Series([f"s{row}" for row in range(N)]),
    "groups": pd.Series(np.arange(N) // 2),
    "weights": pd.Series(np.arange(N) + 1.0),
    "embedding": pd.DataFrame(np.arange(2.0 * N).reshape(N, 2)),
}
ORDER = np.array([3, 1, 0, 2, 7, 6, 5, 4])


def read(data, **changed):
    values = {"y": ROLES["y"], **changed}
    return Samples.of(data, values.pop("y"), **values)


@pytest.mark.parametrize("kind", [lambda values: values, lambda values: pd.DataFrame(values)], ids=["series", "frame"])
@pytest.mark.parametrize("role", ROLES)
def test_every_role_in_another_order_is_refused_and_both_pieces_of_advice_work(role, kind):
    values = kind(ROLES[role])
    assert read(X, **{role: values.set_axis(range(N))})
    moved = values.iloc[ORDER]
    rejects(
        rf"X and {role} have different indexes: pass {role}.reindex\(X.index\) to match them by index, or "
        rf"{role}.to_numpy\(\) to match them by position",
        read,
        X,
        **{role: moved},
    )
    by_index, by_position, expected = (
        read(X, **{role: value}) for value in (moved.reindex(X.index), moved.to_numpy(), values)
    )
    field = {"y": "labels"}.get(role, role)
    np.testing.assert_array_equal(getattr(by_index, field), getattr(expected, field))
    assert not np.array_equal(getattr(by_position, field), getattr(expected, field))


@pytest.mark.parametrize("role", ["y", "groups", "weights", "ids"])
def test_series_as_features_and_other_kinds_of_indexes(role):
    texts = pd.Series([f"text number {row}" for row in range(N)], index=list("hgfedcba"))
    assert read(texts, **{role: ROLES[role].set_axis(texts.index)})
    assert read(texts, **{role: ROLES[role]})  # a default index says nothing
    rejects("X and .* have different indexes", read, texts, **{role: ROLES[role].set_axis(texts.index).sort_index()})
    levels = pd.MultiIndex.from_product([["u", "v"], range(N // 2)])
    assert read(X.set_axis(levels), **{role: ROLES[role].set_axis(levels)})
    rejects("have different indexes", read, X.set_axis(levels), **{role: ROLES[role].set_axis(levels).iloc[::-1]})
    rejects("have different indexes", read, texts, **{role: ROLES[role].set_axis(levels)})


def test_advice_names_only_what_works():
    other = ROLES["y"].set_axis(list("stuvwxyz"))
    named = X.set_axis(list("abcdefgh"))
    assert "reindex" not in str(rejects("different indexes: pass y.to_numpy", read, named, y=other))
    twice = X.set_axis([5, 5, 6, 7, 8, 9, 10, 11])
    assert "reindex" not in str(rejects("different indexes", read, twice, y=ROLES["y"].set_axis(twice.index[::-1])))
    assert read(twice, y=ROLES["y"].set_axis(twice.index))


def test_all_labels_with_some_of_the_rows_are_refused_with_what_selects_them():
    some = X[X["x"] > 3]
    rejects(r"y has 8 values for the 6 of X: pass y.loc\[X.index\]", read, some)
    assert len(read(some, y=ROLES["y"].loc[some.index])) == 6
    rejects(r"X has 8 values for the 6 of weights: pass X.loc\[weights.index\]", read, X, weights=ROLES["weights"][2:])
    rejects("6 samples, 8 labels", read, some.reset_index(drop=True))


def test_features_without_an_index_leave_contradictions_between_the_others():
    labels, groups = ROLES["y"].iloc[ORDER], ROLES["groups"].iloc[ORDER]
    assert read(X.to_numpy()[ORDER], y=labels, groups=groups)
    rejects("y and groups have different indexes", read, X.to_numpy(), groups=groups)
    assert read(X.to_numpy(), y=labels, groups=groups.to_numpy())


def test_the_parts_of_a_split_belong_together():
    data = load_wine(as_frame=True)
    train, _, y, _ = train_test_split(data.data, data.target, random_state=0)
    assert Samples.of(train, y).ids.tolist() == train.index.tolist()
    assert Samples.of(train, y.reset_index(drop=True)).labels.tolist() == y.tolist()
    rejects("different indexes", Samples.of, train, y.sort_index())


@pytest.fixture(scope="module")
def wine():
    data = load_wine(as_frame=True)
    frame = data.data.set_axis([f"w{row}" for row in range(len(data.data))])
    return hs.measure(frame, data.target.to_numpy(), learner="ridge", folds=3, repeats=2)


def test_values_of_a_result_are_matched_by_id(wine):
    moved = wine.table["error"].sort_values()
    expected = hs.weigh(wine, "co-teaching", rate=0.2, epoch=3, peer=wine.error)
    np.testing.assert_array_equal(hs.weigh(wine, "co-teaching", rate=0.2, epoch=3, peer=moved), expected)
    assert not np.array_equal(hs.weigh(wine, "co-teaching", rate=0.2, epoch=3, peer=moved.to_numpy()), expected)
    rejects("peer must be indexed by the ids", hs.weigh, wine, "co-teaching", peer=moved.add_prefix("x"), rate=0.2, epoch=3)
    charts = [wine.plot.weights(weights).to_json() for weights in (moved + 1, wine.error + 1)]
    assert charts[0] == charts[1]


def test_an_index_of_ids_selects_and_a_default_index_counts_rows():
    ids = np.array(["c", "a", "b"])
    assert align_to_ids("v", pd.Series([1, 2, 3], index=list("abc")), ids).tolist() == [3, 1, 2]
    assert align_to_ids("v", pd.Series([1, 2, 3]), ids).tolist() == [1, 2, 3]
    assert align_to_ids("v", [1, 2, 3], ids) == [1, 2, 3]
    rejects("v must be indexed by the ids of the 3 samples", align_to_ids, "v", pd.Series([1, 2, 3], index=list("aab")), ids)


def test_scikit_learn_estimators_refuse_what_contradicts():
    data = load_wine(as_frame=True)
    moved = data.target.sample(frac=1, random_state=0)
    weights = pd.Series(np.linspace(0.5, 2, len(moved)), index=moved.index)
    model = hs.sklearn.DifficultyWeightedClassifier(folds=2, repeats=1)
    rejects("X and y have different indexes", model.fit, data.data, moved)
    rejects("X and sample_weight have different indexes", model.fit, data.data, data.target, sample_weight=weights)
    rejects("X and groups have different indexes", model.fit, data.data, data.target, groups=weights)


def test_other_functions_of_several_series_refuse_what_contradicts():
    labels, weights = pd.Series([0, 0, 1]), pd.Series([1.0, 2, 3], index=[2, 0, 1])
    rejects("labels and weights have different indexes", hs.correct_priors, [[0.5, 0.5]], labels, weights)
    rejects("weights and ids have different indexes", hs.Weighting, weights, ids=pd.Series([5, 6, 7]))
    scores = np.zeros((2, 3, 2))
    rejects("y and ids have different indexes", hs.measure_predictions, scores, labels, ids=pd.Series([5, 6, 7], [2, 0, 1]))
    rejects(
        "y and features have different indexes",
        hs.measure_predictions,
        scores,
        labels,
        features=pd.DataFrame(np.eye(3), index=[2, 0, 1]),
    )
    record = hs.Record()
    rejects("ids and labels have different indexes", record.add, view=0, ids=pd.Series([5, 6, 7], [2, 0, 1]),
            logits=scores[0], labels=labels)  # fmt: skip
    record.add(view=0, ids=[5, 6, 7], logits=scores[0], labels=labels)
    check_indexes(a=[1, 2], b=pd.Series([1, 2], index=[1, 0]), c=None)
