"""Mixtures on the losses, filters of labels: against scikit-learn, scipy, cleanlab and the reference's numbers."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_predict

import hardsight as hs
import hardsight.weights as weights
from hardsight.errors import InputError
from hardsight.weights import SCHEMES, threshold_samples
from hardsight.weights.schemes.small_loss import _confident_counts, _wrong_probability


def two_parts(seed, wrong=0.3, samples=600):
    """Losses of right and wrong labels, and which are wrong."""
    rng = np.random.default_rng(seed)
    noisy = rng.random(samples) < wrong
    return torch.from_numpy(np.where(noisy, rng.normal(3, 0.6, samples), rng.gamma(1, 0.3, samples)).clip(0)), noisy


@pytest.mark.parametrize("seed", range(4))
def test_the_gaussian_mixture_is_scikit_learns(seed):
    loss, noisy = two_parts(seed)
    x = ((loss - loss.min()) / (loss.max() - loss.min())).numpy()[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(x)
    found = weights.divide_mix_gmm(loss)
    np.testing.assert_allclose(found, model.predict_proba(x)[:, model.means_.argmin()], atol=1e-7)
    assert ((found < 0.5).numpy() == noisy).mean() > 0.95


def test_the_gaussian_mixture_starts_from_the_best_split_of_all():
    from hardsight.weights.schemes.small_loss import _split_in_two

    x = torch.rand(13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def left(cut):
        low, high = x[x <= cut], x[x > cut]
        return float(((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum())

    cut = min((float(v) for v in x if v < x.max()), key=left)
    assert torch.equal(_split_in_two(x)[:, 0], (x <= cut).double())


def test_beta_posteriors_are_the_references():
    """Parameters and posteriors of a mixture fitted by the reference code."""
    a, b = torch.tensor([0.713976, 4.66859]).double(), torch.tensor([2.66987, 2.35173]).double()
    share = torch.tensor([0.682065, 0.317935]).double()
    found = _wrong_probability(torch.tensor([0.1, 0.3, 0.5, 0.8]).double(), a, b, share)
    np.testing.assert_allclose(found, [0.00147802, 0.109972, 0.509033, 0.899015], rtol=2e-5)


def beta_mixture(loss, outliers):
    """The published algorithm with scipy's densities, on all losses; the chance that the label is right."""
    least, most = np.percentile(loss, [100 * outliers, 100 - 100 * outliers])
    scaled = np.clip((loss - least) / (most - least), 1e-4, 1 - 1e-4)
    x = scaled[(loss >= least) & (loss <= most)]
    parts, share = [(1, 2), (2, 1)], np.array([0.5, 0.5])
    for _ in range(10):
        chance = np.array([s * stats.beta.pdf(x, *part) for s, part in zip(share, parts, strict=True)])
        chance = np.maximum(chance, 1e-12)
        chance /= chance.sum(0)
        parts = []
        for r in chance:
            mean = np.average(x, weights=r)
            a = mean * (mean * (1 - mean) / np.average((x - mean) ** 2, weights=r) - 1)
            parts.append((a, a * (1 - mean) / mean))
        share = chance.mean(1)

    def wrong(values):
        joint = [s * stats.beta.pdf(values, *part) for s, part in zip(share, parts, strict=True)]
        return joint[1] / (sum(joint) + 1e-12)

    grid = np.linspace(1e-4, 1 - 1e-4, 100)
    return 1 - wrong(np.minimum(scaled, grid[wrong(grid).argmax()]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_the_beta_mixture_is_scipys(seed, outliers):
    loss, noisy = two_parts(seed)
    found = weights.bmm(loss, outliers=outliers)
    np.testing.assert_allclose(found, beta_mixture(loss.numpy(), outliers), atol=1e-6)
    assert ((found < 0.5).numpy() == noisy).mean() > 0.95


def test_the_largest_losses_are_never_cleared():
    loss, _ = two_parts(7, wrong=0.05)
    found = weights.bmm(loss)
    assert float(found[loss.argmax()]) == pytest.approx(float(found.min()), abs=1e-6)


@pytest.mark.parametrize("name", ["divide-mix-gmm", "bmm"])
def test_mixtures_are_chances_that_follow_their_samples(name):
    loss, _ = two_parts(0)
    found, order = SCHEMES[name]({"loss": loss}, {}), torch.randperm(600, generator=torch.Generator().manual_seed(1))
    assert ((found >= 0) & (found <= 1)).all()
    torch.testing.assert_close(SCHEMES[name]({"loss": loss[order]}, {}), found[order], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(SCHEMES[name]({"loss": 7 * loss + 3}, {}), found, rtol=1e-6, atol=1e-6)
    single = SCHEMES[name]({"loss": loss.float()}, {})
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["divide-mix-gmm", "bmm"])
def test_losses_that_cannot_be_split_leave_all_samples_their_weight(name):
    for loss in (torch.full((9,), 2.3), torch.tensor([1.0])):
        assert SCHEMES[name]({"loss": loss}, {}).tolist() == [1] * len(loss)
    assert SCHEMES[name]({"loss": torch.tensor([0.1, 0.1, 5.0])}, {}).isfinite().all()
    with pytest.raises(InputError, match=r"loss\[1\] is nan"):
        SCHEMES[name]({"loss": torch.tensor([1.0, math.nan])}, {})


def test_margins_up_to_the_percentile_of_the_threshold_samples_are_left_out():
    threshold = torch.linspace(-3, 1, 101, dtype=torch.float64)
    aum = torch.tensor([-4, 0.9, 0.96, 0.97, 5.0], dtype=torch.float64)
    bound = np.percentile(threshold, 99)
    assert weights.aum_filter(aum, threshold=threshold).tolist() == (aum.numpy() > bound).tolist() == [0, 0, 0, 1, 1]
    assert weights.aum_filter(aum, threshold=threshold, percentile=0.0).tolist() == [0, 1, 1, 1, 1]
    with pytest.raises(InputError, match="percentile must be"):
        weights.aum_filter(aum, threshold=threshold, percentile=101.0)
    with pytest.raises(InputError, match="threshold must hold"):
        weights.aum_filter(aum, threshold=threshold[:0])
    with pytest.raises(InputError, match=r"aum\[0\] is nan"):
        weights.aum_filter(aum * math.nan, threshold=threshold)


def test_threshold_samples_are_as_many_as_one_class_would_have():
    labels = torch.arange(1000) % 9
    drawn = threshold_samples(labels, 9, seed=3)
    assert len(drawn) == len(set(drawn.tolist())) == 100
    assert torch.equal(drawn, threshold_samples(labels, 9, seed=3))
    assert not torch.equal(drawn, threshold_samples(labels, 9, seed=4))
    assert torch.bincount(labels[drawn]).min() > 0
    with pytest.raises(InputError, match="10 samples or more"):
        threshold_samples(labels[:9], 9)


def test_the_aum_filter_finds_wrong_labels_of_a_network_in_training():
    """As published: an extra class of threshold samples, margins averaged over the epochs."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    noisy = rng.random(len(y)) < 0.2
    labels = torch.from_numpy(np.where(noisy, (y + rng.integers(1, 10, len(y))) % 10, y))
    drawn = threshold_samples(labels, 10)
    given = labels.scatter(0, drawn, 10)
    x = torch.from_numpy(X / 16).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 11))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    total = torch.zeros(len(y))
    for _ in range(60):
        logits = model(x)
        own = logits.gather(1, given[:, None])[:, 0]
        total += (own - logits.scatter(1, given[:, None], -torch.inf).amax(1)).detach()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, given).backward()
        optimizer.step()
    rest = torch.ones(len(y), dtype=torch.bool).scatter(0, drawn, False)
    kept = weights.aum_filter(total[rest] / 60, threshold=total[drawn] / 60).numpy() == 1
    judged = noisy[rest.numpy()]
    assert kept[~judged].mean() > 0.8
    assert kept[judged].mean() < 0.15


def noisy_digits(seed, classes=10):
    """Log-probabilities of models not trained on the sample, and labels of which three in ten are wrong."""
    X, y = load_digits(n_class=classes, return_X_y=True)
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(y)) < 0.3
    given = np.where(wrong, (y + rng.integers(1, 3, len(y))) % classes, y)
    score = cross_val_predict(RidgeClassifier(), X / 16, given, cv=5, method="decision_function")
    return torch.from_numpy(5 * score).log_softmax(1), torch.from_numpy(given), wrong


def guesses(seed):
    """The same from models that know next to nothing: many samples are asked for whose own class is the likeliest."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, 5, 400))
    # What is surest of some classes is asked for others, although it is surer still of the label.
    scores = torch.from_numpy(rng.normal(size=(400, 5)) + np.linspace(0, 2, 5))
    return (scores + 0.5 * torch.nn.functional.one_hot(labels, 5)).log_softmax(1), labels, None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("source", [noisy_digits, guesses])
def test_noise_matrix_weights_are_cleanlabs(seed, source):
    from cleanlab.count import compute_confident_joint, estimate_latent
    from cleanlab.filter import find_label_issues

    logits, labels, wrong = source(seed)
    found = weights.noise_matrix(logits, labels).numpy()
    p, y = logits.exp().numpy(), labels.numpy()
    joint = compute_confident_joint(y, p)
    mine = _confident_counts(logits.exp(), labels, torch.bincount(labels)).numpy()
    # Rows are rounded to integers; equal remainders may be rounded the other way.
    assert source is guesses or np.abs(mine - joint).max() <= 1
    np.testing.assert_array_equal(mine.sum(1), np.bincount(y))
    issues = find_label_issues(y, p, confident_joint=mine.astype(int), n_jobs=1)
    expected = np.where(issues, 0, 1 / np.maximum(estimate_latent(mine.astype(int), y)[1].diagonal(), 1e-3)[y])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert wrong is None or ((found == 0) == wrong).mean() > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_confident_counts_are_the_papers(seed):
    logits, labels, _ = guesses(seed)
    p, y = logits.exp().numpy(), labels.numpy()
    bar = [p[y == k, k].mean() for k in range(5)]
    joint = np.zeros((5, 5))
    for row, given_class in zip(p, y, strict=True):
        sure = [k for k in range(5) if row[k] >= bar[k]]
        if sure:
            joint[given_class, max(sure, key=lambda k: row[k])] += 1
    joint *= (np.bincount(y) / joint.sum(1))[:, None]
    counts = _confident_counts(logits.exp(), labels, torch.bincount(labels)).numpy()
    assert np.abs(counts - joint).max() < 1
    np.testing.assert_array_equal(counts.sum(1), np.bincount(y))


def test_noise_matrix_leaves_every_class_a_sample_and_does_without_absent_classes():
    logits = torch.full((6, 4), -3.0, dtype=torch.float64)
    logits[:, 0] = torch.linspace(2, 3, 6)
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    found = weights.noise_matrix(logits, labels)
    assert found.isfinite().all()
    assert all((found[labels == k] > 0).any() for k in range(3))
    assert ((found == 0) | ((found >= 1) & (found <= 1000))).all()
    with pytest.raises(InputError, match=r"labels\[5\] is 4"):
        weights.noise_matrix(logits, labels.scatter(0, torch.tensor([5]), 4))


@pytest.fixture(scope="module")
def measured():
    """A difficulty, and where its labels are wrong."""
    X, y = load_digits(n_class=4, return_X_y=True)
    wrong = np.random.default_rng(0).random(len(y)) < 0.2
    return hs.measure(X, np.where(wrong, (y + 1) % 4, y), learner="ridge", folds=3, repeats=2), wrong


READS_A_DIFFICULTY = {
    "spl-share": {"rate": 0.8},
    "spl-logistic": {"lam": 1.0},
    "superloss": {},
    "gce": {},
    "mae": {},
    "sce": {},
    "divide-mix-gmm": {},
    "bmm": {},
    "noise-matrix": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READS_A_DIFFICULTY)
def test_schemes_that_prefer_easy_samples_turn_a_difficulty_into_less_weight_for_wrong_labels(measured, name):
    difficulty, wrong = measured
    found = hs.weigh(difficulty, name, **READS_A_DIFFICULTY[name])
    assert found.mean() == pytest.approx(1)
    assert found[wrong].mean() < 0.9 * found[~wrong].mean()
    if name == "noise-matrix":
        assert ((found == 0) == wrong).mean() > 0.95
