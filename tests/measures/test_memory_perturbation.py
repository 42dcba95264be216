"""Logits without a sample: against refits of a last layer on fixed features."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from hardsight.measures import leave_one_out_logits


def fit(features, labels, weights, damping):
    """Weights and biases of independent logistic regressions, one per class, ``(feature + 1, class)``, by Newton steps."""
    h = np.hstack([features, np.ones((len(features), 1))])
    y, w = np.eye(labels.max() + 1)[labels], np.zeros((h.shape[1], labels.max() + 1))
    for _ in range(30):
        p = 1 / (1 + np.exp(-h @ w))
        for k in range(y.shape[1]):
            curvature = (h.T * (weights * p[:, k] * (1 - p[:, k]))) @ h + damping * np.eye(h.shape[1])
            w[:, k] -= np.linalg.solve(curvature, h.T @ (weights * (p - y)[:, k]) + damping * w[:, k])
    return h @ w


def test_two_classes_against_refits_without_the_sample():
    """With logits (0, f), the softmax is a logistic regression, whose refits are known."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    labels = (features[:, 0] + rng.normal(size=60) > 0).astype(int)
    damping = 0.1 * np.square(np.hstack([features, np.ones((60, 1))])).mean()
    every = np.ones(60)
    f = fit(features, labels, every, damping)[:, 1]
    refits = [fit(features, labels, np.where(np.arange(60) == i, 0.0, 1.0), damping)[i, 1] for i in range(60)]
    logits = torch.tensor(np.stack([np.zeros(60), f], 1))
    estimates = leave_one_out_logits(logits, torch.tensor(labels), torch.tensor(features)).numpy()[:, 1]
    assert np.abs(estimates - refits).mean() < 0.05 * np.abs(f - refits).mean()


def test_what_one_sample_alone_decides_is_finite_and_doubted():
    """A sample with a feature of its own, which has memorised its label by it."""
    features = torch.cat([torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(50, 1)], 1)
    features[0] = torch.tensor([0.0, 0.0, 30.0])
    labels = (features[:, 0] > 0).long()
    logits = 3 * torch.stack([-features[:, 0], features[:, 0]], 1)
    logits[0] = torch.tensor([1.0, -1.0])
    without = leave_one_out_logits(logits, labels, features)
    assert torch.isfinite(without).all()
    change = cross_entropy(without, labels, reduction="none") - cross_entropy(logits.double(), labels, reduction="none")
    assert change.argmax() == 0
    assert (change > -1e-9).all()
