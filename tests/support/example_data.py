"""Small data sets whose structure is known."""

import numpy as np


def blobs(n: int, d: int, apart: float, seed: int = 0, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian classes of equal spread; the mean of class c is ``apart`` from 0 along axis c."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(n, d)) + apart * np.eye(classes, d)[y], y
