"""The reference of the training matrix: softmax regression in NumPy, float64, one process, whole batches."""

import numpy as np
import torch

SAMPLES, FEATURES, CLASSES = 24, 4, 3
BATCH, EPOCHS, RATE = 8, 2, 0.5
STEPS_PER_EPOCH = SAMPLES // BATCH
STOP = 4
"""Optimizer steps before the checkpoint from which training resumes: one step into the second epoch."""
TEMPERATURE, MEMORY = 0.5, 0.5

_rng = np.random.default_rng(7)
X = _rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
Y = _rng.integers(CLASSES, size=SAMPLES)
FIXED = np.linspace(0.0, 3.0, SAMPLES)
START = _rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)


def train_reference(weights: str, draws: list[list[int]]) -> np.ndarray:
    """Return the parameters after training, ``(class, feature)``.

    Args:
        weights: kind of weights, see :class:`~training_matrix.cells.Cell`.
        draws: positions of the samples of each epoch, in order.
    """
    parameters, memory = START.astype(np.float64), np.zeros(SAMPLES)
    for epoch in draws:
        for start in range(0, len(epoch), BATCH):
            rows = np.array(epoch[start : start + BATCH])
            logits = X[rows].astype(np.float64) @ parameters.T
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            loss = -np.log(p[np.arange(len(rows)), Y[rows]])
            slope = p - np.eye(CLASSES)[Y[rows]]
            parameters = parameters - RATE * (_coefficients(weights, rows, loss, memory) * slope.T) @ X[rows]
    return parameters


def _coefficients(weights: str, rows: np.ndarray, loss: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """Return what each sample's gradient is multiplied by, ``(sample,)``; updates the memory."""
    if weights == "fixed":
        return FIXED[rows] / len(rows)
    if weights == "per-sample":
        memory[rows] = MEMORY * memory[rows] + (1 - MEMORY) * loss
        return 1 / (1 + memory[rows]) / len(rows)
    if weights == "batch-normalised":
        tilted = np.exp((loss - loss.max()) / TEMPERATURE)
        return tilted / tilted.sum()
    return np.full(len(rows), 1 / len(rows))


def remembered(state, loss, rows, *, memory=MEMORY):
    """Weight a sample by its running mean loss: 1 / (1 + mean)."""
    state["mean"][rows] = memory * state["mean"][rows] + (1 - memory) * loss
    return 1 / (1 + state["mean"][rows])


def init_remembered(shape):
    """Return running means that start at 0."""
    return {"mean": torch.zeros(shape.samples, dtype=torch.float64)}
