"""Annotations by simulated annotators."""

from typing import NamedTuple

import numpy as np


class Crowd(NamedTuple):
    """Codes of annotations, the true labels of the items, and the confusion matrices of the annotators."""

    item: np.ndarray
    annotator: np.ndarray
    label: np.ndarray
    truth: np.ndarray
    matrices: np.ndarray


def simulate(rng: np.random.Generator, matrices: np.ndarray, n_items: int, per_item: int) -> Crowd:
    """Each item is labelled by some annotators; ``matrices`` are ``(annotator, true class, label)``."""
    n_annotators, n_classes = matrices.shape[:2]
    truth = rng.integers(0, n_classes, n_items)
    annotator = np.stack([rng.permutation(n_annotators)[:per_item] for _ in range(n_items)]).reshape(-1)
    item = np.repeat(np.arange(n_items), per_item)
    cumulative = matrices.cumsum(2)[annotator, truth[item]]
    label = (rng.random((len(item), 1)) > cumulative).sum(1)
    return Crowd(item, annotator, label, truth, matrices)


def confused_matrices(rng: np.random.Generator, n_annotators: int, n_classes: int, accuracy: float) -> np.ndarray:
    """Annotators whose mistakes go to a class of their own for every true class."""
    matrices = np.full((n_annotators, n_classes, n_classes), (1 - accuracy) / 2 / (n_classes - 1))
    for matrix in matrices:
        for true in range(n_classes):
            matrix[true, true] = accuracy
            matrix[true, (true + rng.integers(1, n_classes)) % n_classes] += (1 - accuracy) / 2
    return matrices


def dawid_skene(crowd: Crowd, rounds: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The posterior and the confusion matrices by EM, without any pooling (Dawid & Skene 1979)."""
    n_annotators, n_classes = crowd.matrices.shape[:2]
    posterior = np.zeros((len(crowd.truth), n_classes))
    np.add.at(posterior, (crowd.item, crowd.label), 1.0)
    posterior /= posterior.sum(1, keepdims=True)
    for _ in range(rounds):
        matrices = np.full((n_annotators, n_classes, n_classes), 1e-9)
        for true in range(n_classes):
            np.add.at(matrices[:, true], (crowd.annotator, crowd.label), posterior[crowd.item, true])
        matrices /= matrices.sum(2, keepdims=True)
        score = np.tile(np.log(posterior.mean(0)), (len(posterior), 1))
        np.add.at(score, crowd.item, np.log(matrices[crowd.annotator, :, crowd.label]))
        posterior = np.exp(score - score.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
    return posterior, matrices
