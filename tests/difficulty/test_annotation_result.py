"""The tables of a result for several annotators."""

import numpy as np
import pandas as pd
import pytest
from support.crowds import confused_matrices, simulate

import hardsight as hs
from hardsight.attribution.annotators.quality import measure_quality


@pytest.fixture(scope="module")
def crowd():
    rng = np.random.default_rng(0)
    matrices = confused_matrices(rng, 8, 3, 0.85)
    matrices[0] = [[0.1, 0.9, 0], [0.05, 0.9, 0.05], [0, 0.1, 0.9]]
    return simulate(rng, matrices, 300, 3)


@pytest.fixture(scope="module")
def result(crowd):
    names = np.array(["cat", "dog", "fox"])
    frame = pd.DataFrame({"item": crowd.item, "who": [f"w{a}" for a in crowd.annotator], "label": names[crowd.label]})
    return hs.measure_annotations(None, hs.Annotations.of(frame, item="item", annotator="who", label="label"))


def test_the_tables_agree_with_the_posterior(result, crowd):
    posterior = result.posterior.to_numpy()
    np.testing.assert_allclose(posterior.sum(1), 1)
    table = result.annotations
    np.testing.assert_allclose(table["p_wrong"], 1 - posterior[crowd.item, crowd.label], atol=1e-12)
    assert table["label"].tolist() == np.array(["cat", "dog", "fox"])[crowd.label].tolist()
    consensus = result.consensus
    assert consensus["consensus"].tolist() == result.posterior.idxmax(axis=1).tolist()
    np.testing.assert_allclose(consensus["p_wrong"], 1 - posterior.max(1))
    shares = (table["label"] == table["suggested"]).groupby(table["item"]).mean()
    np.testing.assert_allclose(consensus["agreement"], shares)
    assert (consensus["annotations"] == 3).all()


def test_annotators_are_ranked_with_their_usual_mistake(result, crowd):
    table = result.annotators
    assert (np.diff(table["accuracy"]) <= 0).all()
    worst = table.loc["w0"]
    assert worst.name == table.index[-1]
    assert worst["mistake"].startswith("'cat' labelled 'dog': ")
    right = pd.Series(crowd.label == crowd.truth[crowd.item]).groupby(crowd.annotator).mean()
    found = table["accuracy"].reindex([f"w{a}" for a in range(8)]).to_numpy()
    assert (abs(found - right) < 3 * table["accuracy_se"].reindex([f"w{a}" for a in range(8)]).to_numpy()).all()
    assert result.confusion("w0").loc["cat", "dog"] > 0.5
    np.testing.assert_allclose(result.confusion("w0").sum(axis=1), 1)


def test_agreement_counts_pairs_of_labels(result, crowd):
    same, pairs = np.zeros(8), np.zeros(8)
    for item in range(300):
        rows = np.flatnonzero(crowd.item == item)
        for one in rows:
            for other in rows[rows != one]:
                pairs[crowd.annotator[one]] += 1
                same[crowd.annotator[one]] += crowd.label[one] == crowd.label[other]
    np.testing.assert_allclose(measure_quality(result.model).agreement, same / pairs)


def test_the_gain_of_a_question_is_the_expected_fall_of_entropy(result):
    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-300))).sum()

    asked = result.ask_again(6)
    assert len(asked) == 6
    assert (np.diff(asked["gain"]) <= 0).all()
    model = result.model
    for item, row in asked.iterrows():
        annotator = result.data.annotators.tolist().index(row["annotator"])
        assert annotator not in result.data.annotator[result.data.item == item]
        random = model.disputes.random * model.p_disputed[item]
        likelihood = (1 - random) * model.matrix_of(annotator) + random / 3
        before = model.posterior[item]
        expected = entropy(before)
        for label in range(3):
            joint = before * likelihood[:, label]
            expected -= joint.sum() * entropy(joint / joint.sum())
        assert row["gain"] == pytest.approx(expected, abs=1e-9)
    # Nobody else who is asked about the first item tells more.
    item = asked.index[0]
    others = set(range(8)) - set(result.data.annotator[result.data.item == item].tolist())
    assert all(gain_of(result, item, other) <= asked["gain"].iloc[0] + 1e-9 for other in others)


def gain_of(result, item, annotator):
    model = result.model
    random = model.disputes.random * model.p_disputed[item]
    joint = model.posterior[item][:, None] * ((1 - random) * model.matrix_of(annotator) + random / 3)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return (joint * np.log(joint / independent)).sum()


def test_everyone_has_labelled_an_item():
    votes = [["a", "b"], ["a", "a"], ["b", "b"], ["b", "a"]]
    asked = hs.measure_annotations(None, hs.Annotations.of(votes)).ask_again(2)
    assert asked["annotator"].tolist() == [None, None]
    assert (asked["gain"] > 0).all()


def test_weights_of_an_item_are_the_posterior_of_the_labels_it_was_given(result, crowd):
    weights = result.weights()
    assert weights.mean() == pytest.approx(1)
    given = pd.DataFrame({"item": crowd.item, "label": crowd.label, "weight": weights})
    of_label = given.groupby(["item", "label"])["weight"].sum()
    expected = [result.model.posterior[item, label] for item, label in of_label.index]
    np.testing.assert_allclose(of_label / of_label.sum(), np.array(expected) / np.sum(expected))


def test_an_unknown_annotator_is_refused(result):
    with pytest.raises(hs.InputError, match=r"there is no annotator 'W0' \(did you mean 'w0'\?\)"):
        result.confusion("W0")


@pytest.mark.parametrize("n", [0, -1, 1.5, "3"])
def test_the_number_of_questions_is_checked(result, n):
    with pytest.raises(hs.InputError, match="n must be"):
        result.ask_again(n)
