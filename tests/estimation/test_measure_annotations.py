"""hs.measure_annotations: annotators and held-out models together."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from support.crowds import confused_matrices, simulate

import hardsight as hs

QUICK = {"learner": "ridge", "folds": 3, "repeats": 2, "estimate": hs.Estimate(ledger=False, adjusted=False)}


@pytest.fixture(scope="module")
def wine():
    """Features of wines, annotations of all but the last three, and the true classes."""
    X, y = load_wine(return_X_y=True)
    rng = np.random.default_rng(0)
    crowd = simulate(rng, confused_matrices(rng, 8, 3, 0.6), len(y) - 3, 2)
    shift = y[crowd.item] - crowd.truth[crowd.item]
    label = np.array(["x", "y", "z"])[(crowd.label + shift) % 3]
    frame = pd.DataFrame({"bottle": crowd.item + 100, "who": crowd.annotator, "kind": label})
    return X, hs.Annotations.of(frame, item="bottle", annotator="who", label="kind"), np.array(["x", "y", "z"])[y]


def accuracy(result, truth):
    return (result.consensus["consensus"].to_numpy() == truth[: len(result.consensus)]).mean()


def test_models_correct_the_annotators(wine):
    X, annotations, truth = wine
    alone = hs.measure_annotations(None, annotations)
    together = hs.measure_annotations(X, annotations, ids=np.arange(len(X)) + 100, **QUICK)
    assert accuracy(together, truth) > accuracy(alone, truth) + 0.1
    assert alone.d is None
    assert len(together.d) == len(annotations.items)
    assert together.d.classes == ("x", "y", "z")
    # The labels of the difficulty are the consensus, up to what the last models changed.
    consensus = together.consensus.loc[together.d.ids, "consensus"].to_numpy()
    assert (together.d.label_names(together.d.labels) == consensus).mean() > 0.85


@pytest.mark.slow
def test_rows_are_matched_by_id_in_any_order_and_kind(wine):
    X, annotations, _ = wine
    frame = pd.DataFrame(X).add_prefix("f").assign(bottle=np.arange(len(X)) + 100)
    expected = hs.measure_annotations(frame, annotations, ids="bottle", **QUICK, retrain=False).posterior
    for other in (
        frame.assign(bottle=frame["bottle"].astype(str)).rename(columns={"bottle": "id"}),
        frame.rename(columns={"bottle": "id"}),
    ):
        found = hs.measure_annotations(other, annotations, ids="id", **QUICK, retrain=False).posterior
        pd.testing.assert_frame_equal(found, expected)
    by_index = hs.measure_annotations(frame.set_index("bottle"), annotations, **QUICK, retrain=False).posterior
    pd.testing.assert_frame_equal(by_index, expected)
    samples = hs.Samples.of(frame, np.arange(len(X)) % 2, ids="bottle")
    from_samples = hs.measure_annotations(samples, annotations, **QUICK, retrain=False).posterior
    pd.testing.assert_frame_equal(from_samples, expected)
    shuffled = frame.sample(frac=1, random_state=1)
    found = hs.measure_annotations(shuffled, annotations, ids="bottle", **QUICK, retrain=False).posterior
    assert (found.idxmax(axis=1) == expected.idxmax(axis=1)).mean() > 0.85


def test_rows_without_annotations_can_be_predicted(wine):
    X, annotations, _ = wine
    ids = np.arange(len(X)) + 100
    result = hs.measure_annotations(X, annotations, ids=ids, unlabelled="predict", retrain=False, **QUICK)
    assert result.d.unlabelled.index.tolist() == [275, 276, 277]
    assert set(result.d.unlabelled["predicted"]) <= {"x", "y", "z"}


def test_items_without_features_are_judged_by_annotators_alone(wine):
    X, annotations, _ = wine
    result = hs.measure_annotations(X[:100], annotations, ids=np.arange(100) + 100, retrain=False, **QUICK)
    assert len(result.posterior) == len(annotations.items)
    assert result.notices[-1] == "Items without a row in X: 75. Their labels are inferred from the annotators alone."
    assert len(result.d) == 100


@pytest.mark.parametrize("name", [int, str])
def test_row_numbers_are_no_items_if_these_are_numbered_from_one(wine, name):
    X, annotations, _ = wine
    table = pd.DataFrame({"item": annotations.item + 1, "who": annotations.annotator, "kind": annotations.label})
    from_one = hs.Annotations.of(table.astype({"item": name}), item="item", annotator="who", label="kind")
    with pytest.raises(hs.InputError, match=r"rows are items 0 to 174, but 1 of 175 items are others, such as 175: pass"):
        hs.measure_annotations(X[:175], from_one, **QUICK)
    frame = pd.DataFrame(X[:175]).add_prefix("f").assign(item=np.arange(175) + 1)
    with pytest.raises(hs.InputError, match="column 'item' of X holds the items, but X has no index: pass ids='item'"):
        hs.measure_annotations(frame, from_one, **QUICK)


@pytest.mark.slow
def test_models_are_trained_again_only_if_that_is_asked_for_or_changes_much(wine):
    X, annotations, _ = wine
    ids = np.arange(len(X)) + 100
    once = hs.measure_annotations(X, annotations, ids=ids, retrain=False, **QUICK)
    twice = hs.measure_annotations(X, annotations, ids=ids, **QUICK)
    alone = hs.measure_annotations(None, annotations).consensus["consensus"]
    assert (once.d.label_names(once.d.labels) == alone.loc[once.d.ids]).all()
    assert (twice.d.label_names(twice.d.labels) != alone.loc[twice.d.ids]).mean() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1]}, "labels come from the annotations: leave out 'y'"),
        ({"loss": "brier"}, "log-loss: leave out loss='brier'"),
        ({"execution": hs.Execution(checkpoint="x.npz")}, "leave out checkpoint"),
        ({"ids": "name"}, "X has no columns"),
        ({"ids": np.zeros(178, dtype=int)}, "ids must be unique"),
        ({"ids": np.arange(178) + 1000}, "no row of X belongs to an item: the ids are 1000, 1001, 1002, …"),
        ({"ids": np.arange(178) + 100, "repeat": 2}, "measure has no argument 'repeat'"),
    ],
)
def test_arguments_that_cannot_be_used(wine, arguments, message):
    X, annotations, _ = wine
    with pytest.raises(hs.InputError, match=message):
        hs.measure_annotations(X, annotations, **arguments)


def test_what_is_no_annotations_or_trains_nothing(wine):
    X, annotations, _ = wine
    with pytest.raises(hs.InputError, match=r"pass hs\.Annotations\.of"):
        hs.measure_annotations(X, [[1, 2]])
    with pytest.raises(hs.InputError, match="without features nothing is trained: leave out 'folds'"):
        hs.measure_annotations(None, annotations, folds=3)
