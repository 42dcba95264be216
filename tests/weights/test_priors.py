"""The correction of priors, against Bayes' rule in closed form."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.priors import describe_prior_shift


def posterior(x, priors):
    """Of three Gaussians of unit variance at -1, 0 and 2."""
    joint = np.asarray(priors) * norm.pdf(x[:, None], [-1.0, 0.0, 2.0])
    return joint / joint.sum(1, keepdims=True)


def test_the_posterior_of_weighted_classes_becomes_that_of_the_true_priors():
    x, counts = np.linspace(-4, 5, 50), np.array([700, 250, 50])
    labels = np.repeat(np.arange(3), counts)
    weights = hs.SCHEMES["balanced"]({"labels": labels, "sizes": counts}, {}).numpy()
    np.testing.assert_allclose(
        hs.correct_priors(posterior(x, [1 / 3] * 3), labels, weights), posterior(x, counts / 1000), rtol=1e-6
    )
    elsewhere = [0.2, 0.2, 0.6]
    np.testing.assert_allclose(
        hs.correct_priors(posterior(x, counts), labels, priors=elsewhere), posterior(x, elsewhere), rtol=1e-12
    )
    np.testing.assert_allclose(
        hs.correct_priors(posterior(x, counts), labels, np.full(1000, 7.0)), posterior(x, counts), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_outputs_of_a_model_may_carry_a_gradient(dtype):
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=dtype, requires_grad=True)
    labels, weights = torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 1, 1, 3], requires_grad=True)
    probabilities = logits.softmax(1)
    expected = hs.correct_priors(probabilities.tolist(), labels.tolist(), weights.tolist())
    np.testing.assert_array_equal(hs.correct_priors(probabilities, labels, weights), expected)
    with pytest.raises(InputError, match="labels must be class codes"):
        hs.correct_priors(probabilities, labels.float(), weights)


def test_a_balanced_model_is_calibrated_again():
    rng = np.random.default_rng(0)
    y = (rng.random(40_000) < 0.05).astype(int)
    X = rng.normal(2 * y, 1.0)[:, None]
    weights = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    balanced = LogisticRegression(C=np.inf).fit(X, y, sample_weight=weights).predict_proba(X)
    plain = LogisticRegression(C=np.inf).fit(X, y).predict_proba(X)
    corrected = hs.correct_priors(balanced, y, weights)
    assert balanced[:, 1].mean() > 0.15
    assert corrected[:, 1].mean() == pytest.approx(y.mean(), rel=0.02)
    np.testing.assert_allclose(corrected[:, 1], plain[:, 1], atol=0.02)
    order = np.argsort(balanced[:, 1], kind="stable")
    assert (np.diff(corrected[order, 1]) >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5], [0, 1]), r"probabilities must be finite numbers of 0 or more, \(row, class\)"),
        (([[0.5, np.nan]], [0, 1]), "probabilities must be finite"),
        (([[0.0, 0.0]], [0, 1]), "probabilities must not be all 0"),
        (([[0.5, 0.5]], [0, 2]), "labels must be class codes from 0 to 1"),
        (([[0.5, 0.5]], ["a", "b"]), "labels must be class codes"),
        (([[0.5, 0.5]], [0, 1], [1.0]), "one value per sample. Got 1 for 2 labels"),
        (([[0.5, 0.5]], [0, 1], [1.0, 0.0]), "class 1 has a prior but no weight"),
        (([[0.5, 0.5]], [0, 1], [1.0, -1.0]), "weights must be finite numbers of 0 or more"),
    ],
)
def test_what_cannot_be_corrected_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        hs.correct_priors(*arguments)
    with pytest.raises(InputError, match=r"priors must have one value for each of the 2 classes\. Got 3"):
        hs.correct_priors([[0.5, 0.5]], [0, 1], priors=[1, 1, 1])


def test_a_shift_of_priors_is_described_in_one_line():
    labels = np.array([0] * 9 + [1])
    line = describe_prior_shift(labels, np.where(labels == 1, 9.0, 1.0), ["common", "rare"])
    assert line.startswith("With these weights class 'rare' counts for 50.0% in place of 10.0%")
    assert "hs.correct_priors" in line
    assert "\n" not in line
    assert describe_prior_shift(labels, np.ones(10), ["common", "rare"]) == ""
