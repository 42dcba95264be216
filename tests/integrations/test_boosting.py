"""Weights in boosted trees, with the real LightGBM and XGBoost."""

import pickle
from typing import ClassVar

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError
from hardsight.integrations.boosting import Objective

LIGHTGBM = {"n_estimators": 15, "n_jobs": 1, "verbose": -1, "deterministic": True, "num_leaves": 7}
XGBOOST = {"n_estimators": 15, "n_jobs": 1, "max_depth": 3, "tree_method": "exact"}


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    return X[:300], y[:300]


def unit_weights(y):
    return np.ones(len(y))


def raw_lightgbm(model, X, **options):
    return model.predict(X, raw_score=True, **options)


def raw_xgboost(model, X):
    return model.predict(X, output_margin=True)


@pytest.mark.slow
@pytest.mark.parametrize("num_class", [2, 3, 5])
@given(data=st.data())
def test_gradient_is_that_of_the_weighted_cross_entropy(num_class, data):
    n = 6
    number = st.floats(-8, 8)
    columns = 1 if num_class == 2 else num_class
    scores = np.array(data.draw(st.lists(number, min_size=n * columns, max_size=n * columns))).reshape(n, columns)
    labels = np.array(data.draw(st.lists(st.integers(0, num_class - 1), min_size=n, max_size=n)))
    weights = np.array(data.draw(st.lists(st.floats(0, 4), min_size=n, max_size=n)))
    gradient, curvature = Objective(weights, num_class, factor=1)(labels, scores[:, 0] if columns == 1 else scores)
    z = torch.tensor(scores, requires_grad=True)
    logits = torch.cat([torch.zeros(n, 1), z], 1).double() if columns == 1 else z
    loss = (torch.tensor(weights) * cross_entropy(logits, torch.tensor(labels), reduction="none")).sum()
    first = torch.autograd.grad(loss, z, create_graph=True)[0]
    second = torch.stack([torch.autograd.grad(first[:, k].sum(), z, retain_graph=True)[0][:, k] for k in range(columns)], 1)
    np.testing.assert_allclose(gradient.reshape(n, columns), first.detach().numpy(), atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(curvature.reshape(n, columns), second.numpy(), atol=1e-6, rtol=1e-6)


def test_weights_of_one_are_lightgbms_own_objective(cancer, digits):
    for (X, y), classes in ((cancer, 2), (digits, 4)):
        reference = lightgbm.LGBMClassifier(**LIGHTGBM, boost_from_average=False).fit(X, y)
        model = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective(unit_weights(y), classes)).fit(X, y)
        np.testing.assert_allclose(raw_lightgbm(model, X), raw_lightgbm(reference, X), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            hs.boosting.probabilities(raw_lightgbm(model, X)), reference.predict_proba(X), rtol=1e-5, atol=1e-6
        )
        class_parameters = {} if classes == 2 else {"num_class": classes}
        parameters = {"num_leaves": 7, "num_threads": 1, "verbose": -1, "deterministic": True, **class_parameters}
        booster = lightgbm.train(
            {**parameters, "objective": hs.boosting.objective(unit_weights(y), classes)}, lightgbm.Dataset(X, y), 15
        )
        np.testing.assert_allclose(booster.predict(X), raw_lightgbm(reference, X), rtol=1e-5, atol=1e-5)


def test_weights_of_one_are_xgboosts_own_objective(cancer, digits):
    X, y = cancer
    reference = xgboost.XGBClassifier(**XGBOOST, base_score=0.5).fit(X, y)
    model = xgboost.XGBClassifier(**XGBOOST, base_score=0.5, objective=hs.boosting.objective(unit_weights(y))).fit(X, y)
    np.testing.assert_allclose(raw_xgboost(model, X), raw_xgboost(reference, X), rtol=1e-4, atol=1e-4)
    parameters = {"max_depth": 3, "tree_method": "exact", "nthread": 1, "base_score": 0}
    booster = xgboost.train(parameters, xgboost.DMatrix(X, y), 15, obj=hs.boosting.objective(unit_weights(y)))
    np.testing.assert_allclose(booster.predict(xgboost.DMatrix(X)), raw_xgboost(reference, X), rtol=1e-4, atol=1e-4)
    X, y = digits
    reference = xgboost.XGBClassifier(**XGBOOST, base_score=0.5).fit(X, y)
    same = hs.boosting.objective(unit_weights(y), 4, factor=2)
    parameters = {"max_depth": 3, "tree_method": "exact", "num_class": 4, "nthread": 1, "base_score": 0.5}
    booster = xgboost.train(parameters, xgboost.DMatrix(X, y), 15, obj=same)
    np.testing.assert_allclose(
        hs.boosting.probabilities(booster.predict(xgboost.DMatrix(X), output_margin=True)),
        reference.predict_proba(X),
        rtol=1e-4,
        atol=1e-5,
    )


def test_weights_are_copies_of_rows(cancer):
    # One column: where two split the samples alike, rounding decides between them.
    X, y = cancer[0][:200, :1], cancer[1][:200]
    counts = np.random.default_rng(0).integers(1, 5, len(y))
    fitted = xgboost.XGBClassifier(**XGBOOST, base_score=0.5).fit(X, y, sample_weight=counts)
    copied = xgboost.XGBClassifier(**XGBOOST, base_score=0.5).fit(X.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_allclose(fitted.predict_proba(X), copied.predict_proba(X), rtol=1e-4, atol=1e-5)
    # LightGBM counts rows for its bins and for the least size of a leaf, whatever they weigh.
    coarse = X.round()
    options = {**LIGHTGBM, "min_child_samples": 1, "min_data_in_bin": 1}
    fitted = lightgbm.LGBMClassifier(**options).fit(coarse, y, sample_weight=counts)
    copied = lightgbm.LGBMClassifier(**options).fit(coarse.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_allclose(fitted.predict_proba(coarse), copied.predict_proba(coarse), rtol=1e-5)


def test_sample_weights_multiply_the_weights_of_the_scheme(cancer):
    X, y = cancer
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    here = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective(weights)).fit(X, y)
    there = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective(unit_weights(y))).fit(
        X, y, sample_weight=weights
    )
    np.testing.assert_allclose(raw_lightgbm(here, X), raw_lightgbm(there, X), rtol=1e-5, atol=1e-6)
    here = xgboost.XGBClassifier(**XGBOOST, base_score=0.5, objective=hs.boosting.objective(weights)).fit(X, y)
    there = xgboost.XGBClassifier(**XGBOOST, base_score=0.5, objective=hs.boosting.objective(unit_weights(y)))
    there.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(raw_xgboost(here, X), raw_xgboost(there, X), rtol=1e-4, atol=1e-5)
    train = lightgbm.Dataset(X, y, weight=weights)
    booster = lightgbm.train(
        {"num_leaves": 7, "num_threads": 1, "verbose": -1, "objective": hs.boosting.objective(unit_weights(y))}, train, 15
    )
    by_hand = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective(weights)).fit(X, y)
    np.testing.assert_allclose(booster.predict(X), raw_lightgbm(by_hand, X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("index", [np.arange(200)[::-1], [f"row {i}" for i in range(200)]])
def test_a_difficulty_weighs_rows_in_their_order_whatever_its_ids(cancer, index):
    X, y = cancer[0][:200], cancer[1][:200]
    d = hs.measure(pd.DataFrame(X, index=index).add_prefix("x"), y, learner="ridge", folds=2, repeats=2)
    assert d.ids.tolist() == list(index)
    here = Objective(d, scheme="spl-linear", lam=2.0)(y, np.zeros(200))
    by_hand = Objective(hs.weigh(d, "spl-linear", lam=2.0))(y, np.zeros(200))
    np.testing.assert_array_equal(here, by_hand)


def test_weights_of_other_rows_are_refused(cancer):
    X, y = cancer
    model = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective(np.linspace(0, 2, len(y))))
    with pytest.raises(InputError, match="there are 569 weights and 200 training rows: pass the weights of these rows as"):
        model.fit(X[:200], y[:200])


def test_weights_follow_the_predictions_round_by_round(cancer):
    X, y = cancer
    scheme = RecordingObjective("spl-linear", lam=1.0)
    model = lightgbm.LGBMClassifier(**LIGHTGBM, objective=scheme).fit(X, y)
    for done, weights in enumerate(RecordingObjective.weights):
        scores = raw_lightgbm(model, X, num_iteration=done) if done else np.zeros(len(y))
        p = hs.boosting.probabilities(scores)[np.arange(len(y)), y]
        np.testing.assert_allclose(weights, np.maximum(0, 1 + np.log(p)), rtol=1e-6, atol=1e-7)
    assert len(RecordingObjective.weights) == 15


class RecordingObjective(Objective):
    """Records weights and epochs in the class, because LightGBM trains with a copy of the objective."""

    weights: ClassVar[list[np.ndarray]] = []
    epochs: ClassVar[list[float]] = []

    def _compute_weights(self, run, scores, codes):
        self.weights.append(super()._compute_weights(run, scores, codes))
        self.epochs.append(run.weighting.epoch)
        return self.weights[-1]


def test_an_objective_used_again_starts_a_new_run(cancer):
    X, y = cancer
    model = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective("spl-linear", lam=1.0))
    once = raw_lightgbm(model.fit(X, y), X)
    np.testing.assert_array_equal(raw_lightgbm(model.fit(X, y), X), once)
    np.testing.assert_array_equal(raw_lightgbm(clone(model).fit(X, y), X), once)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_robust_scheme_withstands_wrong_labels(library):
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    wrong = rng.random(len(y)) < 0.4
    noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)

    def accuracy(source, **parameters):
        scheme = hs.boosting.objective(source, 10, **parameters)
        if library == "lightgbm":
            model = lightgbm.LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1, deterministic=True, objective=scheme)
            return (raw_lightgbm(model.fit(X, noisy), X_test).argmax(1) == y_test).mean()
        train = xgboost.DMatrix(X, noisy)
        booster = xgboost.train({"num_class": 10, "nthread": 1, "max_depth": 4}, train, 40, obj=scheme)
        return (booster.predict(xgboost.DMatrix(X_test), output_margin=True).argmax(1) == y_test).mean()

    assert accuracy("spl-linear", lam=2.4) > accuracy(unit_weights(y)) + 0.03


def test_what_does_not_fit_is_refused_with_the_fix(cancer, digits):
    with pytest.raises(InputError, match="num_class must be 2 or more"):
        hs.boosting.objective("spl-linear", 1, lam=1)
    with pytest.raises(InputError, match=r"num_class=4 needs 4 scores per sample\. Got 1"):
        hs.boosting.objective("spl-linear", 4, lam=1.0)(digits[1], np.zeros(300))
    with pytest.raises(InputError, match=r"class codes from 0 to 1\. Got values from 0 to 3"):
        hs.boosting.objective("spl-linear", lam=1.0)(digits[1], np.zeros(300))
    with pytest.raises(InputError, match="do you mean 'spl-linear'"):
        hs.boosting.objective("spl-linaer", lam=1.0)(cancer[1], np.zeros(569))


def test_rounds_are_counted_from_the_start_of_each_training(digits):
    scheme = hs.boosting.objective("spl-linear", 4, lam=5.0, rounds=9)
    y, scores = digits[1], np.random.default_rng(0).normal(size=(300, 4))
    for predicted, epoch in ((0 * scores, 0), (scores, 1), (scores, 2), (0 * scores, 0), (scores, 1)):
        scheme(y, predicted)
        weighting = scheme._runs[scheme].weighting
        assert (weighting.epoch, weighting.epochs) == (epoch, 9)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_folds_that_train_in_turns_count_rounds_and_remember_each_for_itself(cancer, library, monkeypatch):
    X, y = cancer[0][:240], cancer[1][:240]
    monkeypatch.setattr(RecordingObjective, "epochs", [])
    monkeypatch.setattr(RecordingObjective, "weights", [])
    folds, few = [(np.arange(80, 240), np.arange(80)), (np.arange(160), np.arange(160, 240))], {"max_depth": 2}
    scheme = RecordingObjective("superloss-mean", rounds=4)
    if library == "lightgbm":
        parameters = {**few, "objective": scheme, "verbose": -1, "num_threads": 1, "metric": "binary_logloss"}
        lightgbm.cv(parameters, lightgbm.Dataset(X, y), 4, folds=folds)
    else:
        parameters = {**few, "nthread": 1, "base_score": 0}
        xgboost.cv(parameters, xgboost.DMatrix(X, y), 4, folds=folds, obj=scheme)
    assert RecordingObjective.epochs == [0, 0, 1, 1, 2, 2, 3, 3]
    together, train = RecordingObjective.weights[1::2], folds[1][0]
    RecordingObjective.weights.clear()
    if library == "lightgbm":
        lightgbm.train(parameters, lightgbm.Dataset(X, y).subset(train), 4)
    else:
        xgboost.train(parameters, xgboost.DMatrix(X[train], y[train]), 4, obj=scheme)
    np.testing.assert_allclose(RecordingObjective.weights, together, rtol=1e-5)


def test_an_objective_that_trained_is_copied_and_saved_without_its_runs(cancer):
    X, y = cancer
    scheme = hs.boosting.objective("spl-linear", lam=1.0)
    model = xgboost.XGBClassifier(**XGBOOST, base_score=0.5, objective=scheme).fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(raw_xgboost(restored.fit(X, y), X), raw_xgboost(model, X))


def own_log_loss(library, X, y, more, rounds=40):
    """Return the log-losses of the held-out half by the library's own objective, round by round."""
    train, held_out = (X[::2], y[::2]), (X[1::2], y[1::2], more["weights"][1::2])
    if library == "lightgbm":
        model = lightgbm.LGBMClassifier(**LIGHTGBM | {"n_estimators": rounds}, boost_from_average=False)
        model.fit(*train, eval_set=[held_out[:2]], eval_sample_weight=[held_out[2]])
        return next(iter(model.evals_result_["valid_0"].values()))
    model = xgboost.XGBClassifier(**XGBOOST | {"n_estimators": rounds}, base_score=0.5)
    model.fit(*train, eval_set=[held_out[:2]], sample_weight_eval_set=[held_out[2]], verbose=False)
    return next(iter(model.evals_result()["validation_0"].values()))


def log_loss_by_estimator(library, X, y, more, rounds=40):
    train, held_out = (X[::2], y[::2]), (X[1::2], y[1::2], more["weights"][1::2])
    objective = hs.boosting.objective("uniform", more["classes"], **more["factor"])
    if library == "lightgbm":
        model = lightgbm.LGBMClassifier(**LIGHTGBM | {"n_estimators": rounds}, objective=objective)
        model.fit(*train, eval_set=[held_out[:2]], eval_sample_weight=[held_out[2]], eval_metric=hs.boosting.metric())
        return model.evals_result_["valid_0"]["log_loss"]
    model = xgboost.XGBClassifier(
        **XGBOOST | {"n_estimators": rounds}, base_score=0.5, objective=objective, eval_metric=hs.boosting.metric()
    )
    model.fit(*train, eval_set=[held_out[:2]], verbose=False)
    return model.evals_result()["validation_0"]["log_loss"]


def log_loss_by_train(library, X, y, more, rounds=40):
    objective, results = hs.boosting.objective("uniform", more["classes"], **more["factor"]), {}
    number = {} if more["classes"] == 2 else {"num_class": more["classes"]}
    if library == "lightgbm":
        names = {name: value for name, value in LIGHTGBM.items() if name not in ("n_estimators", "n_jobs")}
        data = lightgbm.Dataset(X[::2], y[::2])
        valid = lightgbm.Dataset(X[1::2], y[1::2], weight=more["weights"][1::2], reference=data)
        lightgbm.train(
            names | number | {"objective": objective, "num_threads": 1},
            data,
            rounds,
            valid_sets=[valid],
            feval=hs.boosting.metric(),
            callbacks=[lightgbm.record_evaluation(results)],
        )
        return results["valid_0"]["log_loss"]
    names = {name: value for name, value in XGBOOST.items() if name not in ("n_estimators", "n_jobs")}
    valid = xgboost.DMatrix(X[1::2], y[1::2], weight=more["weights"][1::2])
    xgboost.train(
        names | number | {"base_score": 0, "nthread": 1, "disable_default_eval_metric": True},
        xgboost.DMatrix(X[::2], y[::2]),
        rounds,
        obj=objective,
        custom_metric=hs.boosting.metric(),
        evals=[(valid, "valid")],
        evals_result=results,
        verbose_eval=False,
    )
    return results["valid"]["log_loss"]


# The successor of this argument came with LightGBM 4.7.
@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_the_metric_is_the_log_loss_of_the_librarys_own_objective(cancer, digits, library, classes):
    X, y = cancer if classes == 2 else digits
    factor = {"factor": 2.0} if library == "xgboost" else {}
    # XGBoost passes no weights to the metrics of its estimators.
    ones = {"classes": classes, "weights": np.ones(len(y)), "factor": factor}
    weighted = ones | {"weights": np.random.default_rng(0).uniform(0.1, 2, len(y))}
    for by, more in ((log_loss_by_estimator, ones if library == "xgboost" else weighted), (log_loss_by_train, weighted)):
        expected = own_log_loss(library, X, y, more)
        assert min(expected) < 0.7 * expected[0]
        np.testing.assert_allclose(by(library, X, y, more), expected, rtol=1e-3)


def test_the_metric_of_extreme_scores_is_finite():
    metric = hs.boosting.metric()
    assert metric(np.array([0, 1]), np.array([800.0, 800.0])) == pytest.approx(400)
    assert metric(np.array([1]), np.array([[900.0, -900.0, 0.0]])) == pytest.approx(1800)
    with pytest.raises(InputError, match="labels must be class codes from 0 to 1"):
        metric(np.array([0, 2]), np.zeros(2))


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_early_stopping_by_the_metric_finds_the_best_round(cancer):
    X, y = cancer
    model = lightgbm.LGBMClassifier(
        **LIGHTGBM | {"n_estimators": 100}, objective=hs.boosting.objective("spl-linear", lam=2.0), metric="None"
    )
    callbacks = [lightgbm.early_stopping(5, verbose=False)]
    model.fit(X[::2], y[::2], eval_set=[(X[1::2], y[1::2])], eval_metric=hs.boosting.metric(), callbacks=callbacks)
    assert list(model.evals_result_["valid_0"]) == ["log_loss"]
    by_round = [
        log_loss(y[1::2], hs.boosting.probabilities(model.predict(X[1::2], raw_score=True, num_iteration=rounds)))
        for rounds in range(1, len(model.evals_result_["valid_0"]["log_loss"]) + 1)
    ]
    assert 15 < model.best_iteration_ == 1 + np.argmin(by_round)


def test_a_scheme_that_reads_the_measurement_says_to_pass_its_weights(cancer):
    model = lightgbm.LGBMClassifier(**LIGHTGBM, objective=hs.boosting.objective("auto"))
    with pytest.raises(
        InputError, match=r"p_wrong, which is missing: .* pass the weights in place of the scheme, hs\.weigh\(d\)"
    ):
        model.fit(*cancer)
