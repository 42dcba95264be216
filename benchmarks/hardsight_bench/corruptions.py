"""Make samples hard in known ways: label noise, atypical samples, blends of classes, rare classes.

After the protocol of H-CAT (Seedat et al. 2024, *Dissecting sample hardness*, ICLR), with its conventions stated and
its faults fixed: a changed label is always wrong (H-CAT's uniform flips may draw the true class), only
samples that were changed count as hard, and rare classes, two-class blends and feature noise are added.
``share`` is of all samples, except for :func:`rare`, where it is the remaining share of a class. The share that counts
as hard may be slightly smaller: a sample that comes out unchanged is not hard, and every class keeps the labels of five
samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import zoom as resize

from hardsight_bench.datasets import Dataset

# A third of the classes are made rare.
_RARE_DIVISOR = 3
# Smallest number of samples per label, so that five folds can be formed.
_MIN_PER_LABEL = 5


class CorruptedDataset(NamedTuple):
    """A data set in which some samples were made hard.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: given labels, codes ``(sample,)``; may be wrong.
        true: true labels.
        hard: ``(sample,)`` bool, whether the sample was made hard.
        shape: height and width of images, or None.
    """

    x: np.ndarray
    y: np.ndarray
    true: np.ndarray
    hard: np.ndarray
    shape: tuple[int, int] | None


Maker = Callable[[Dataset, float, np.random.Generator], CorruptedDataset]


class Kind(NamedTuple):
    """A kind of corruption.

    Attributes:
        factor: the term of the ledger that should detect it.
        what: its convention, as a phrase.
        make: applies it.
        images: whether it applies to images; None: to any data.
        most: largest sensible share; beyond it, atypical samples would be typical.
    """

    factor: str
    what: str
    make: Maker
    images: bool | None = None
    most: float = 0.4


def relabel(data: Dataset, rows: np.ndarray, labels: np.ndarray) -> CorruptedDataset:
    """Give the samples at ``rows`` new ``labels``, except as many as leave every label with five samples."""
    y = data.y.copy()
    y[rows] = labels
    for c in np.unique(data.y):
        # Rows were drawn at random, so the first that lost the label are a random subset.
        lost = rows[data.y[rows] == c]
        y[lost[: max(_MIN_PER_LABEL - int((y == c).sum()), 0)]] = c
    return CorruptedDataset(data.x, y, data.y, y != data.y, data.shape)


def _replace_features(data: Dataset, rows: np.ndarray, x: np.ndarray) -> CorruptedDataset:
    features = data.x.copy()
    features[rows] = x
    return CorruptedDataset(features, data.y, data.y, (features != data.x).any(1), data.shape)


def _draw_rows(data: Dataset, share: float, rng: np.random.Generator) -> np.ndarray:
    rows: np.ndarray = rng.choice(len(data.y), round(share * len(data.y)), replace=False)
    return rows


def _count_classes(data: Dataset) -> int:
    return int(data.y.max()) + 1


def uniform(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Change labels to any *other* class, with equal probability."""
    rows, c = _draw_rows(data, share, rng), _count_classes(data)
    return relabel(data, rows, (data.y[rows] + rng.integers(1, c, len(rows))) % c)


def asymmetric(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Change labels to other classes by a Dirichlet(1) row of their class."""
    rows, c = _draw_rows(data, share, rng), _count_classes(data)
    probabilities = rng.dirichlet(np.ones(c - 1), size=c)
    steps = (probabilities.cumsum(1)[data.y[rows]] < rng.random(len(rows))[:, None]).sum(1).clip(max=c - 2) + 1
    return relabel(data, rows, (data.y[rows] + steps) % c)


def adjacent(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Change labels to the class before or after, half each; with two classes, to the other."""
    rows, c = _draw_rows(data, share, rng), _count_classes(data)
    return relabel(data, rows, (data.y[rows] + rng.choice([-1, 1], len(rows))) % c)


def pair(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Change labels to the next class, those of the last class to the first."""
    rows = _draw_rows(data, share, rng)
    return relabel(data, rows, (data.y[rows] + 1) % _count_classes(data))


def instance(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Change labels to the class that a sample is confused with.

    Samples are drawn by their probability of confusion, see :func:`confusion_probabilities`, plus one in a hundred, and
    labels by the probabilities of the other classes.
    """
    p = confusion_probabilities(data, rng)
    probability = p.sum(1) + 0.01
    rows = rng.choice(len(p), round(share * len(p)), replace=False, p=probability / probability.sum())
    return relabel(data, rows, draw_classes(p[rows], rng))


def confusion_probabilities(data: Dataset, rng: np.random.Generator, class_weight: str | None = None) -> np.ndarray:
    """Return held-out probabilities of the other classes by logistic regression in 5 folds.

    ``(sample, class)``; one in a thousand is added, and the sample's own class has zero. ``class_weight`` as in
    scikit-learn.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(5, shuffle=True, random_state=int(rng.integers(2**31)))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight=class_weight))
    p: np.ndarray = cross_val_predict(model, data.x, data.y, cv=folds, method="predict_proba") + 1e-3
    p[np.arange(len(p)), data.y] = 0
    return p


def draw_classes(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one class per row by its probabilities; never one of probability zero."""
    data: np.ndarray = (probabilities / rng.exponential(size=probabilities.shape)).argmax(1)
    return data


def near(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Add normal noise to every feature: half of its range in images (clipped to it), else one standard deviation."""
    rows = _draw_rows(data, share, rng)
    if data.shape is None:
        noise = rng.normal(size=(len(rows), data.x.shape[1])) * data.x.std(0)
        return _replace_features(data, rows, data.x[rows] + noise)
    low, high = data.x.min(), data.x.max()
    noise = rng.normal(size=(len(rows), data.x.shape[1])) * 0.5 * (high - low)
    return _replace_features(data, rows, (data.x[rows] + noise).clip(low, high))


def far(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Make samples unlike any class: images with permuted pixels, the same for all; features each of another sample."""
    rows = _draw_rows(data, share, rng)
    if data.shape is not None:
        return _replace_features(data, rows, data.x[rows][:, rng.permutation(data.x.shape[1])])
    donors = rng.integers(len(data.y), size=(len(rows), data.x.shape[1]))
    return _replace_features(data, rows, data.x[donors, np.arange(data.x.shape[1])])


def marginal(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Set one feature, drawn for each sample, to a value from its top 1 %."""
    rows = _draw_rows(data, share, rng)
    column = rng.integers(data.x.shape[1], size=len(rows))
    top = np.sort(data.x, axis=0)[-max(len(data.y) // 100, 1) :]
    x = data.x[rows].copy()
    x[np.arange(len(rows)), column] = top[rng.integers(len(top), size=len(rows)), column]
    return _replace_features(data, rows, x)


def _images(data: Dataset, rows: np.ndarray) -> np.ndarray:
    assert data.shape is not None
    height, width = data.shape
    images: np.ndarray = data.x[rows].reshape(len(rows), height, width)
    return images


def zoom(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Enlarge the middle of an image, 1/1.75 of its width and height, to full size."""
    rows = _draw_rows(data, share, rng)
    images = _images(data, rows)
    height, width = images.shape[1:]
    h, w = round(height / 1.75), round(width / 1.75)
    top, left = (height - h) // 2, (width - w) // 2
    middle = images[:, top : top + h, left : left + w]
    large = resize(middle, (1, height / h, width / w), order=1, grid_mode=True, mode="nearest")
    return _replace_features(data, rows, large.reshape(len(rows), -1))


def shift(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Shift an image by 10/28 of its size along a random axis; new pixels have the darkest value."""
    rows = _draw_rows(data, share, rng)
    images = _images(data, rows)
    moved = np.full_like(images, data.x.min())
    for image, source, axis, backward in zip(
        moved, images, rng.integers(2, size=len(rows)), rng.random(len(rows)) < 0.5, strict=True
    ):
        size = image.shape[axis]
        offset = round(size * 10 / 28)
        ranges = (np.arange(offset, size), np.arange(size - offset))
        target, origin = ranges[::-1] if backward else ranges
        if axis:
            image[:, target] = source[:, origin]
        else:
            image[target] = source[origin]
    return _replace_features(data, rows, moved.reshape(len(rows), -1))


def crop(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Keep only the middle of an image, half of its height and width; the rest has the darkest value."""
    rows = _draw_rows(data, share, rng)
    images = _images(data, rows)
    cropped = np.full_like(images, data.x.min())
    height, width = images.shape[1:]
    middle = np.s_[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    cropped[middle] = images[middle]
    return _replace_features(data, rows, cropped.reshape(len(rows), -1))


def rotate(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Rotate a square image by a quarter turn."""
    rows = _draw_rows(data, share, rng)
    return _replace_features(data, rows, np.rot90(_images(data, rows), axes=(1, 2)).reshape(len(rows), -1))


def blend(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Average two samples of different classes, .4 to .6 of each; the label is that of the first."""
    rows = _draw_rows(data, share, rng)
    other = rng.integers(len(data.y), size=len(rows))
    while (alike := data.y[other] == data.y[rows]).any():
        other[alike] = rng.integers(len(data.y), size=int(alike.sum()))
    part = rng.uniform(0.4, 0.6, size=(len(rows), 1))
    return _replace_features(data, rows, part * data.x[rows] + (1 - part) * data.x[other])


def feature_noise(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Replace three features in ten, drawn for each sample, by the values of other samples."""
    rows = _draw_rows(data, share, rng)
    donors = rng.integers(len(data.y), size=(len(rows), data.x.shape[1]))
    replaced = rng.random(donors.shape) < 0.3
    return _replace_features(data, rows, np.where(replaced, data.x[donors, np.arange(data.x.shape[1])], data.x[rows]))


def rare(data: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Keep only ``share`` of the samples, at least five, of a third of the classes; these are the hard ones."""
    c = _count_classes(data)
    rare_classes = rng.choice(c, max(c // _RARE_DIVISOR, 1), replace=False)
    hard, kept = np.isin(data.y, rare_classes), np.ones(len(data.y), dtype=bool)
    for code in rare_classes:
        rows = rng.permutation(np.flatnonzero(data.y == code))
        kept[rows[max(round(share * len(rows)), _MIN_PER_LABEL) :]] = False
    return CorruptedDataset(data.x[kept], data.y[kept], data.y[kept], hard[kept], data.shape)


KINDS: dict[str, Kind] = {
    "uniform": Kind("noise", "labels to any other class", uniform),
    "asymmetric": Kind("noise", "labels to other classes, by a Dirichlet(1) row of each class", asymmetric),
    "adjacent": Kind("noise", "labels to the class before or after", adjacent),
    "instance": Kind("noise", "labels where a linear model mistakes the sample for", instance),
    "near": Kind("uncertainty", "noise on every feature", near),
    "far": Kind("uncertainty", "pixels in another order; features each of another sample", far, most=0.2),
    "marginal": Kind("uncertainty", "a feature with a value of its top 1 %", marginal, images=False),
    "zoom": Kind("uncertainty", "the middle of an image at full size", zoom, images=True, most=0.2),
    "shift": Kind("uncertainty", "an image moved by a third", shift, images=True, most=0.2),
    "crop": Kind("uncertainty", "an image of which the middle is left", crop, images=True, most=0.2),
    "rotate": Kind("uncertainty", "an image turned by a quarter", rotate, images=True, most=0.2),
    "feature-noise": Kind("uncertainty", "three features in ten with values of other samples", feature_noise),
    "blend": Kind("margin", "the mean of two samples of different classes", blend),
    "rare": Kind("imbalance", "a third of the classes, of which this share is left", rare),
}
