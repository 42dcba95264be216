"""Wrong labels in tables: uniform, dependent on the class, and dependent on the sample.

The number of wrong labels is the rate times the number of samples, rounded, and every wrong label differs from the right
one. Rare classes are not protected: they may lose right labels, or gain more wrong ones than they have right ones.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hardsight import Samples
from hardsight_bench.real_tables import LabelledTable

_N_COMPONENTS = 200
_FOLDS = 5


class Noise(NamedTuple):
    """A kind of label noise.

    Attributes:
        what: description for the page.
        rate: share of wrong labels.
        draw: returns the rows ``(wrong,)`` of a number of wrong labels, and their wrong codes ``(wrong,)``, from the
            features, the codes of the right labels ``(sample,)``, the number of wrong labels, and a generator.
    """

    what: str
    rate: float
    draw: Callable[[pd.DataFrame, np.ndarray, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _draw_uniform(_: pd.DataFrame, codes: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n_classes = int(codes.max()) + 1
    rows = rng.choice(len(codes), size, replace=False)
    return rows, (codes[rows] + rng.integers(1, n_classes, size)) % n_classes


def _draw_by_class(_: pd.DataFrame, codes: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n_classes = int(codes.max()) + 1
    rows = _choose(rng.uniform(0.5, 1.5, n_classes)[codes], size, rng)
    targets = np.zeros((n_classes, n_classes))
    for c in range(n_classes):
        others = rng.permutation(np.delete(np.arange(n_classes), c))
        targets[c, others] = 0.1 / len(others)
        targets[c, others[:1]] += 0.6
        targets[c, others[1:2]] += 0.3
    return rows, _draw_codes(targets[codes[rows]], rng)


def _draw_by_sample(
    features: pd.DataFrame, codes: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    matrix = Samples.of(features, codes.astype(str)).matrix
    n_components = min(_N_COMPONENTS, len(codes) // 2)
    model = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        Nystroem(n_components=n_components, random_state=int(rng.integers(2**31))),
        LogisticRegression(max_iter=1000),
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        # A class with fewer samples than folds is absent from some of them.
        warnings.simplefilter("ignore")
        prob = cross_val_predict(model, matrix, codes, cv=folds, method="predict_proba")
    own = prob[np.arange(len(codes)), codes].copy()
    prob[np.arange(len(codes)), codes] = -1
    runner_up = prob.argmax(1)
    rows = _choose(prob.max(1) / (prob.max(1) + own), size, rng)
    return rows, runner_up[rows]


def _choose(chances: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    rows: np.ndarray = rng.choice(len(chances), size, replace=False, p=chances / chances.sum())
    return rows


def _draw_codes(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one class code per row of probabilities ``(row, class)``."""
    cumulative = (chances / chances.sum(1, keepdims=True)).cumsum(1)
    codes: np.ndarray = np.minimum((rng.random((len(chances), 1)) >= cumulative).sum(1), chances.shape[1] - 1)
    return codes


NOISES: dict[str, Noise] = {
    "uniform": Noise("any other class, all alike", 0.08, _draw_uniform),
    "class": Noise(
        "by class: rates that differ by up to three times; .6 of a class's wrong labels go to one other class, .3 to a "
        "second one, the rest anywhere",
        0.10,
        _draw_by_class,
    ),
    "instance": Noise(
        "by sample: to the class that a kernel model (logistic regression on Nyström features, out of fold) finds likeliest "
        "beside the right one, with a chance in proportion to that class's share of the probability of the two",
        0.10,
        _draw_by_sample,
    ),
}


def add_noise(table: LabelledTable, noise: str, rng: np.random.Generator) -> np.ndarray:
    """Return the labels with some of them wrong, ``(sample,)`` str."""
    classes, codes = np.unique(table.labels, return_inverse=True)
    kind = NOISES[noise]
    rows, wrong = kind.draw(table.features, codes, round(kind.rate * len(codes)), rng)
    noisy = codes.copy()
    noisy[rows] = wrong
    labels: np.ndarray = classes[noisy]
    return labels
