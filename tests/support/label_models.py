"""Random ensembles, and the likelihood of the label model written out, for tests of the ledger and of label noise."""

import numpy as np
import torch


def log_likelihoods(model, log_w, prior):
    """Minus KL(expected evidence of samples certainly of class c || the evidence), class by class."""
    expected_probability = model.transition.numpy() / prior
    expected_probability /= expected_probability.sum(1, keepdims=True)
    log = np.log(np.maximum(expected_probability, 1e-300))
    return np.stack([(expected_probability[c] * (log_w - log[c])).sum(1) for c in range(len(expected_probability))], 1)


def random_ensemble(seed, samples=40, classes=3, views=4, scale=2.0):
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.arange(classes), rng.choice(classes, samples - classes, p=rng.dirichlet(np.ones(classes)))])
    logits = rng.normal(size=(1, samples, classes)) * scale + rng.normal(size=(views, samples, classes))
    logits[:, np.arange(samples), label] += 2
    return torch.tensor(logits).log_softmax(2), torch.tensor(label)
