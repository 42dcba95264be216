"""Predictions of classes: probabilities, log-probabilities and logits give the same result, and doubt is an error."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from support.errors import rejects

import hardsight as hs

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(3, 40, 4))
Y = np.arange(40) % 4
SHARES = softmax(LOGITS, axis=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("outputs", ["auto", "named"])
def test_three_kinds_of_outputs_give_one_result(outputs, dtype):
    expected = hs.measure_predictions(LOGITS, Y).error
    for name, values in (("probabilities", SHARES), ("log-probabilities", log_softmax(LOGITS, axis=2)), ("logits", LOGITS)):
        d = hs.measure_predictions(values.astype(dtype), Y, outputs="auto" if outputs == "auto" else name)
        np.testing.assert_allclose(d.error, expected, rtol={np.float16: 0.02, np.float32: 1e-5, np.float64: 1e-12}[dtype])
        announced = any("read as probabilities" in notice for notice in d.settings["notices"])
        assert announced == (outputs == "auto" and name == "probabilities")


@pytest.mark.parametrize("decimals", [2, 3])
def test_rounded_probabilities_and_tensors_are_probabilities(decimals):
    rounded = np.clip(SHARES.round(decimals), 10.0**-decimals, 1)
    d = hs.measure_predictions(torch.tensor(rounded), Y)
    expected = rounded / rounded.sum(2, keepdims=True)
    np.testing.assert_allclose(d.error, -np.log(expected[:, np.arange(40), Y]).mean(0), rtol=1e-9)


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(5, random_state=0), KNeighborsClassifier(3)], ids=["forest", "knn"]
)
def test_zeros_are_smoothed_by_the_rule_of_succession(model):
    X, y = load_wine(return_X_y=True)
    shares = np.stack([
        cross_val_predict(model, X, y, cv=StratifiedKFold(3, shuffle=True, random_state=k), method="predict_proba")
        for k in range(2)
    ])  # fmt: skip
    assert (shares == 0).any()
    d = hs.measure_predictions(shares, y)
    has_zero = (shares == 0).any(2, keepdims=True)
    smoothed = np.where(has_zero, (178 * shares + 1) / (178 + 3), shares)
    np.testing.assert_allclose(d.error, -np.log(smoothed[:, np.arange(178), y]).mean(0), rtol=1e-9)
    assert f"{(shares == 0).sum()} predicted probabilities are zero" in " ".join(d.settings["notices"])
    with np.errstate(divide="ignore"):
        logs = hs.measure_predictions(np.log(shares), y)
    np.testing.assert_array_equal(logs.error, d.error)


def test_predictions_that_are_not_held_out_are_never_read():
    mask = RNG.random((3, 40)) < 0.7
    mask[0] = True
    hidden = np.where(mask[..., None], SHARES, np.nan)
    d = hs.measure_predictions(hidden, Y, held_out=mask)
    own = -np.log(SHARES[:, np.arange(40), Y])
    np.testing.assert_allclose(d.error, [own[mask[:, i], i].mean() for i in range(40)], rtol=1e-9)
    shifted = np.where(mask[..., None], SHARES, 5.0)
    np.testing.assert_array_equal(hs.measure_predictions(shifted, Y, held_out=mask).error, d.error)


def test_the_user_has_the_last_word():
    as_logits = hs.measure_predictions(SHARES, Y, outputs="logits")
    np.testing.assert_allclose(as_logits.error, -log_softmax(SHARES, 2)[:, np.arange(40), Y].mean(0), rtol=1e-9)
    rejects("probabilities must be within 0 and 1", hs.measure_predictions, LOGITS, Y, outputs="probabilities")
    rejects("log-probabilities must be 0 or less", hs.measure_predictions, LOGITS, Y, outputs="log-probabilities")
    rejects("outputs must be one of auto, probabilities", hs.measure_predictions, LOGITS, Y, outputs="odds")


SCORES = 1 / (1 + np.exp(-LOGITS))
HALF = np.where(np.arange(40)[:, None] % 3 == 0, LOGITS, SHARES)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (SCORES, r"within 0 and 1, but do not sum to one. Got \[.*\] in view 0, sample 0: divide .*by their sum"),
        (-np.log(SHARES), "are negative logarithms of probabilities: pass -predictions; if they are logits, pass outputs="),
        (100 * SHARES, "sum to 100 in every row: divide percentages by 100"),
        (HALF, r"look like probabilities, but not all. Got .* in view 0, sample 0: give probabilities in every row"),
        (np.stack([LOGITS[0], SHARES[0]]), r"look like probabilities, but not all. Got \[.*in view 0, sample 0"),
        (np.where(np.arange(4) == 2, np.nan, SHARES), "must be finite. Got another number in view 0, sample 0"),
        (SHARES[0], r"Got \(40, 4\): put the axis of views first \(predictions\[None\] for classes"),
        (SHARES[..., :1], r"one column per class. Got shape \(3, 40, 1\): with the probability p"),
    ],
)
def test_doubtful_predictions_are_refused_with_the_way_out(predictions, message):
    rejects(message, hs.measure_predictions, predictions, Y)


def test_a_predicted_target_beyond_float32_is_refused():
    predictions = np.where(np.arange(40) == 5, 1e155, np.linspace(1, 2, 40)) * np.ones((3, 1))
    rejects(
        "finite in float32. Got another number in view 0, sample 5", hs.measure_predictions, predictions, np.arange(40) / 7
    )


def test_the_advice_on_doubtful_predictions_works():
    assert hs.measure_predictions(SCORES / SCORES.sum(-1, keepdims=True), Y)
    assert hs.measure_predictions(SCORES, Y, outputs="logits")
    assert hs.measure_predictions(SHARES[0][None], Y)


def test_one_score_for_two_classes_is_no_number_to_predict():
    X, y = load_wine(return_X_y=True)
    X, y = X[y < 2], y[y < 2]
    model, cv = LogisticRegression(max_iter=5000), StratifiedKFold(3)
    shares = cross_val_predict(model, X, y, cv=cv, method="predict_proba")
    p, named = shares[:, 1], np.array(["red", "white"])[y]
    rejects(r"Got \(130,\): put the axis of views first \(predictions\[None\]\)", hs.measure_predictions, p, y)
    for labels in (y, named):
        rejects(r"y holds 2 classes, .*np.stack\(\[1 - p, p\], axis=-1\)", hs.measure_predictions, p[None], labels)
    stacked = hs.measure_predictions(np.stack([1 - p, p], axis=-1)[None], named)
    np.testing.assert_allclose(stacked.error, hs.measure_predictions(shares[None], named).error, rtol=1e-12)
    predicted = cross_val_predict(model, X, y, cv=cv)
    rejects("y holds 2 classes", hs.measure_predictions, predicted[None], y)
    codes = cross_val_predict(KNeighborsClassifier(), X, X[:, 0].astype(int), cv=2)
    rejects(
        "y holds 4 classes.*or loss='squared' if y are numbers", hs.measure_predictions, codes[None], X[:, 0].astype(int)
    )
    assert hs.measure_predictions(p[None], y, loss="squared").regression


def test_numbers_to_predict_stay_numbers():
    ratings, predicted = np.arange(30) % 5 + 1, RNG.normal(3, 1, (2, 30))
    assert hs.measure_predictions(predicted, ratings).regression
    rejects("put the axis of views first", hs.measure_predictions, predicted.T, ratings)


def test_arrays_that_cannot_be_written_to_are_read_without_a_warning(recwarn):
    shares = SHARES.copy()
    shares.flags.writeable = False
    assert hs.measure_predictions(shares, Y)
    assert not [warning for warning in recwarn if "not writable" in str(warning.message)]


NAMES = np.array(["ant", "bee", "cow", "dog"])


def test_frames_are_views_whose_columns_name_the_classes():
    expected = hs.measure_predictions(SHARES, NAMES[Y])
    order = [2, 0, 3, 1]
    frames = [pd.DataFrame(view, columns=NAMES) for view in SHARES]
    moved = [frames[0], frames[1][NAMES[order]], frames[2][NAMES[order[::-1]]]]
    for views in (frames, tuple(frames), moved):
        d = hs.measure_predictions(views, NAMES[Y])
        np.testing.assert_allclose(d.error, expected.error, rtol=1e-12)
        assert d.classes == expected.classes
    shuffled = hs.measure_predictions([frame[NAMES[order]] for frame in frames], NAMES[Y])
    np.testing.assert_allclose(shuffled.error, expected.error, rtol=1e-12)
    assert shuffled.classes == tuple(NAMES[order])
    numbered = hs.measure_predictions([pd.DataFrame(view) for view in SHARES], NAMES[Y])
    np.testing.assert_array_equal(numbered.error, expected.error)


def test_frames_in_another_order_than_the_labels_are_refused():
    frames = [pd.DataFrame(view, columns=NAMES) for view in SHARES]
    labels = pd.Series(NAMES[Y])
    rejects(
        r"y and predictions\[1\] have different indexes: pass predictions\[1\].reindex\(y.index\)",
        hs.measure_predictions,
        [frames[0], frames[1].iloc[::-1], frames[2]],
        labels,
    )
    assert hs.measure_predictions([frames[0], frames[1].iloc[::-1].reindex(labels.index), frames[2]], labels)
    rejects("frames of one length with the same columns", hs.measure_predictions, [frames[0], frames[1][NAMES[:3]]], labels)


def test_what_numbers_are_is_asked_of_classes_alone():
    rejects(
        "is for predictions of classes", hs.measure_predictions, RNG.normal(size=(2, 9)), np.arange(9) / 2, outputs="logits"
    )
