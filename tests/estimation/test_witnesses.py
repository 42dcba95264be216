"""Witnesses as arguments: how they are read and matched to samples, and what a run makes of them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

import hardsight as hs
from hardsight.errors import InputError
from hardsight.estimation.witnesses import WitnessedSamples, read_witnesses
from hardsight.weights.schemes import automatic

CLASSES = ("ant", "bee", "cow")
SAMPLES = WitnessedSamples(np.array(["a", "b", "c", "d"]), CLASSES)
P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.3, 0.4, 0.3]])
IDS = ["a", "b", "c", "d"]
N = 240


def read_one(witness, samples=SAMPLES):
    (result,) = read_witnesses(witness, samples)
    return result


@pytest.mark.parametrize(
    "witness",
    [
        P,
        P.tolist(),
        np.log(P),
        torch.from_numpy(P),
        pd.DataFrame(P, columns=CLASSES),
        pd.DataFrame(P, columns=CLASSES, index=IDS)[["cow", "ant", "bee"]].iloc[[2, 0, 3, 1]],
        pd.DataFrame(P, columns=CLASSES).assign(note="x"),
        {"zero-shot": P},
    ],
    ids=["array", "lists", "logarithms", "tensor", "frame", "shuffled frame", "more columns", "dict"],
)
def test_probabilities_are_read_in_every_form(witness):
    result = read_one(witness)
    np.testing.assert_allclose(result.scores.numpy(), np.log(P), atol=1e-12)
    assert result.present.all()


@pytest.mark.parametrize(
    "witness",
    [
        ["ant", None, "cow", " bee "],
        np.array(["ant", "", "cow", "bee"]),
        pd.Series(["bee", "cow", "ant"], index=["d", "c", "a"]),
        pd.DataFrame({"rules": ["ant", np.nan, "cow", "bee"]}, index=IDS),
    ],
    ids=["list", "array", "series of some", "frame of one column"],
)
def test_labels_are_read_in_every_form_and_may_be_missing(witness):
    result = read_one(witness)
    assert result.present.tolist() == [True, False, True, True]
    assert result.scores[result.present].argmax(1).tolist() == [0, 2, 1]


def test_rows_without_numbers_are_no_answer_and_zeros_are_smoothed():
    given = P.copy()
    given[1], given[2] = np.nan, [0, 0, 1]
    result = read_one(given)
    assert result.present.tolist() == [True, False, True, True]
    assert torch.isfinite(result.scores).all()
    assert float(result.scores[2].exp().sum()) == pytest.approx(1)


def test_classes_that_are_numbers_match_their_names_in_files():
    samples = WitnessedSamples(np.arange(3), (1, 2))
    assert read_one(["1", "2.0", " 2"], samples).scores.argmax(1).tolist() == [0, 1, 1]
    assert read_one([1.0, 2.0, np.nan], samples).scores.argmax(1).tolist()[:2] == [0, 1]
    frame = pd.DataFrame({"2": [0.1, 0.9, 0.5], "1": [0.9, 0.1, 0.5]})
    assert read_one(frame, samples).scores.argmax(1).tolist()[:2] == [0, 1]


def test_ids_of_another_type_and_rows_without_a_label():
    numbers = WitnessedSamples(np.array([10, 30]), CLASSES)
    by_text = pd.Series(["ant", "bee", "cow"], index=["30", "20", "10"])
    assert read_one(by_text, numbers).scores.argmax(1).tolist() == [2, 0]
    # Samples 0 and 2 of three are left.
    left = WitnessedSamples(np.array(["x", "y"]), CLASSES, rows=np.array([0, 2]), n_rows=3)
    assert read_one(["ant", "bee", "cow"], left).scores.argmax(1).tolist() == [0, 2]
    of_file = WitnessedSamples(np.array([0, 2]), CLASSES)
    assert read_one(pd.Series(["ant", "bee", "cow"]), of_file).scores.argmax(1).tolist() == [0, 2]


def test_a_default_index_that_the_data_holds_in_another_order_is_refused():
    shuffled = WitnessedSamples(np.array([2, 0, 3, 1]), CLASSES, row_names=pd.Index([2, 0, 3, 1]))
    for witness in (pd.DataFrame(P, columns=CLASSES), pd.Series(["ant", "bee", "cow", "ant"])):
        with pytest.raises(InputError, match=r"same index in another order: pass witness.loc\[X.index\]"):
            read_one(witness, shuffled)
        by_index = read_one(witness.loc[[2, 0, 3, 1]], shuffled)
        np.testing.assert_array_equal(by_index.scores, read_one(witness).scores[[2, 0, 3, 1]])
    assert read_one(P, shuffled).scores.argmax(1).tolist() == [0, 1, 2, 1]
    unlabelled = WitnessedSamples(np.array([2, 0]), CLASSES, np.array([0, 2]), 3, pd.Index([2, 0]))
    with pytest.raises(InputError, match="in another order"):
        read_one(pd.Series(["ant", "bee", "cow"]), unlabelled)


def test_a_frame_of_all_rows_serves_shuffled_rows_of_a_part():
    part = WitnessedSamples(np.array([3, 0]), CLASSES, row_names=pd.Index([3, 0]))
    assert read_one(pd.Series(["ant", "bee", "cow", "bee"]), part).scores.argmax(1).tolist() == [1, 0]


def test_the_same_answers_do_not_count_twice():
    samples = WitnessedSamples(np.arange(40), CLASSES)
    answers = np.random.default_rng(0).choice(CLASSES, 40)
    with pytest.raises(InputError, match="'rules' and 'copy' give the same answers"):
        read_witnesses({"rules": answers, "copy": answers.tolist()}, samples)
    assert len(read_witnesses({"rules": answers, "other": np.roll(answers, 1)}, samples)) == 2


def test_one_probability_per_sample_of_two_classes_is_refused_with_what_to_pass():
    with pytest.raises(InputError, match="probabilities of both classes"):
        read_one([0.1, 0.9, None, 0.5], WitnessedSamples(np.arange(4), (0, 1)))


@pytest.mark.parametrize(
    ("witness", "message"),
    [
        (P[:, :2], "must have 3 columns"),
        (P[:3], "one row for each of the 4 samples. Got 3"),
        (pd.DataFrame(P, columns=["ant", "bee", "dog"]), "none for 'cow'"),
        (100 * P, "percentages"),
        (P * 2, "probabilities that sum to one"),
        (3 * np.log(P), "apply a softmax"),
        (np.where(P == 0.8, np.nan, P), "lacks some of its values"),
        (["ant", "bee", "cow", "dog"], "labels that are no class: 'dog'"),
        (pd.Series(["ant"] * 4, index=list("wxyz")), "none of the ids"),
        (pd.Series(["ant"] * 4, index=list("aabc")), "several rows of one id"),
        ([None] * 4, "nothing of any sample"),
        ("file.csv", "must be probabilities"),
        ([[0.5, 0.5], [1.0]], "rows of different lengths"),
        (np.zeros((4, 3, 2)), "shape (4, 3, 2)"),
        ({}, "empty dict"),
        (pd.DataFrame([["x"] * 3] * 4, columns=CLASSES), "must have numbers"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(witness, message):
    with pytest.raises(InputError) as error:
        read_witnesses(witness, SAMPLES)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_faults_of_all_witnesses_are_reported_at_once():
    with pytest.raises(InputError) as error:
        read_witnesses({"rules": ["dog"] * 4, "model": P[:2]}, SAMPLES)
    assert "witness 'rules'" in str(error.value)
    assert "witness 'model'" in str(error.value)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    few = np.flatnonzero(y < 4)[:N]
    X, y, rng = X[few], y[few], np.random.default_rng(0)
    label = np.where(rng.random(N) < 0.2, (y + rng.integers(1, 4, N)) % 4, y)
    witness = np.where(rng.random(N) < 0.2, rng.integers(0, 4, N), y)
    return X, label, witness, label != y


QUICK = {"learner": "ridge", "folds": 3, "repeats": 2, "refine": False}


@pytest.mark.slow
def test_a_run_reports_and_stores_what_the_witness_is_worth(digits, tmp_path):
    X, label, witness, wrong = digits
    without, d = hs.measure(X, label, **QUICK), hs.measure(X, label, witness={"rules": witness, "copy": label}, **QUICK)
    assert ((d.p_wrong - wrong) ** 2).mean() < ((without.p_wrong - wrong) ** 2).mean()
    np.testing.assert_array_equal(d.error, without.error)
    np.testing.assert_allclose(d.ledger.sum(1), d.error, atol=1e-9)
    notice = next(text for text in d.run.notices if "witness" in text)
    assert "'rules' is right in an estimated 8" in notice
    assert "'copy' is not used" in notice
    d.save(tmp_path / "d.parquet")
    records = hs.Difficulty.load(tmp_path / "d.parquet").run.witnesses
    assert [each["name"] for each in records] == ["rules", "copy"]
    assert records[0]["accuracy"] == pytest.approx(0.8, abs=0.05)
    assert without.run.witnesses is None


@pytest.mark.slow
def test_the_weights_of_a_second_round_use_the_witness(digits, monkeypatch):
    X, label, witness, wrong = digits
    errors, auto = [], automatic.auto

    def record(p_wrong, *args, **options):
        errors.append(float(((p_wrong.numpy() - wrong) ** 2).mean()))
        return auto(p_wrong, *args, **options)

    monkeypatch.setattr(automatic, "auto", record)
    for each in (None, witness):
        hs.measure(X, label, witness=each, **{**QUICK, "refine": 1})
    without, with_witness = errors
    assert with_witness < 0.7 * without


@pytest.mark.slow
def test_a_run_matches_rows_to_samples_by_index_and_by_position(digits):
    X, label, witness, _ = digits
    frame, order = pd.DataFrame(X, index=[f"s{i}" for i in range(N)]), np.random.default_rng(1).permutation(N)
    missing = pd.Series(label.astype(object), index=frame.index)
    missing.iloc[[3, 50]] = None
    by_index = hs.measure(frame, missing, witness=pd.Series(witness, index=frame.index).iloc[order], **QUICK)
    by_position = hs.measure(frame, missing, witness=witness, **QUICK)
    np.testing.assert_array_equal(by_index.p_wrong, by_position.p_wrong)
    assert by_position.run.witnesses[0]["n_answers"] == N - 2


@pytest.mark.slow
def test_predictions_take_a_witness_too(digits):
    X, label, witness, wrong = digits
    views = np.stack([hs.measure(X, label, **QUICK, seed=seed).consensus for seed in (0, 1)])
    without, d = (hs.measure_predictions(views, label, features=X, witness=each) for each in (None, witness))
    assert ((d.p_wrong - wrong) ** 2).mean() < ((without.p_wrong - wrong) ** 2).mean()
    single = hs.measure_predictions(views[:1], label, witness=witness)
    assert any("not used" in text for text in single.run.notices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "brier"}, "loss='brier' does not have"),
        ({"estimate": hs.Estimate(ledger=False)}, "ledger=False leaves out"),
        ({"task": "regression"}, "numbers to predict"),
    ],
)
def test_a_run_without_a_use_for_witnesses_refuses_them(digits, options, message):
    X, label, witness, _ = digits
    with pytest.raises(InputError, match=message):
        hs.measure(X, label.astype(float), witness=witness, **QUICK, **options)


def test_a_witness_by_id_may_lack_samples_even_if_ids_are_the_first_numbers():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.repeat(["a", "b"], 30)
    says = pd.Series(y[:50], index=pd.Index(np.arange(50)))
    d = hs.measure(X, y, ids=np.arange(60), witness=says, learner="ridge", folds=2, repeats=2)
    assert d.run.witnesses[0]["n_answers"] == 50
