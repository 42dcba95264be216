"""Making samples hard in known ways: mislabelling, strange samples, blends of classes, rare classes.

After the protocol of H-CAT (Seedat et al. 2024, *Dissecting sample hardness*, ICLR), with its conventions stated and its
faults mended: a label that is changed is always wrong afterwards (H-CAT's uniform flips may draw the true class), only
samples that were changed count as hard, and rare classes, two-class blends and noise on features are added.
``share`` is of all samples, but for :func:`rare`, where it is what is left of a class. The share that counts as hard may
be a little smaller: a sample that comes out as it was is not hard, and every class keeps the labels of five samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import zoom as resized

from hardsight_bench.datasets import Dataset

# A third of the classes are made rare.
_RARE_CLASSES = 3
# Samples that bear each label in the end, so that five folds can be dealt.
_LEAST = 5


class CorruptedDataset(NamedTuple):
    """A data set some of whose samples were made hard.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: labels as given, codes ``(sample,)``; may be wrong.
        true: labels before.
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
    """A way to make samples hard.

    Attributes:
        factor: the line of the ledger that should tell of it.
        what: its convention, a phrase.
        make: does it.
        images: whether it takes images; None: any data.
        most: largest share that makes sense; beyond, what was strange is usual.
    """

    factor: str
    what: str
    make: Maker
    images: bool | None = None
    most: float = 0.4


def relabel(found: Dataset, rows: np.ndarray, labels: np.ndarray) -> CorruptedDataset:
    """A set whose ``rows`` bear ``labels``, but for as many as leave every class five samples that bear its label."""
    y = found.y.copy()
    y[rows] = labels
    for c in np.unique(found.y):
        # Rows were drawn at random, so the first that lost the label are any.
        lost = rows[found.y[rows] == c]
        y[lost[: max(_LEAST - int((y == c).sum()), 0)]] = c
    return CorruptedDataset(found.x, y, found.y, y != found.y, found.shape)


def _strange(found: Dataset, rows: np.ndarray, x: np.ndarray) -> CorruptedDataset:
    features = found.x.copy()
    features[rows] = x
    return CorruptedDataset(features, found.y, found.y, (features != found.x).any(1), found.shape)


def _drawn(found: Dataset, share: float, rng: np.random.Generator) -> np.ndarray:
    rows: np.ndarray = rng.choice(len(found.y), round(share * len(found.y)), replace=False)
    return rows


def _classes(found: Dataset) -> int:
    return int(found.y.max()) + 1


def uniform(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Labels that go to any *other* class, all alike."""
    rows, c = _drawn(found, share, rng), _classes(found)
    return relabel(found, rows, (found.y[rows] + rng.integers(1, c, len(rows))) % c)


def asymmetric(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Labels that go to other classes by a Dirichlet(1) row of their class."""
    rows, c = _drawn(found, share, rng), _classes(found)
    chances = rng.dirichlet(np.ones(c - 1), size=c)
    steps = (chances.cumsum(1)[found.y[rows]] < rng.random(len(rows))[:, None]).sum(1).clip(max=c - 2) + 1
    return relabel(found, rows, (found.y[rows] + steps) % c)


def adjacent(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Labels that go to the class before or after, half each; with two classes, to the other."""
    rows, c = _drawn(found, share, rng), _classes(found)
    return relabel(found, rows, (found.y[rows] + rng.choice([-1, 1], len(rows))) % c)


def pair(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Labels that go to the next class, those of the last class to the first."""
    rows = _drawn(found, share, rng)
    return relabel(found, rows, (found.y[rows] + 1) % _classes(found))


def instance(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Labels that go where a sample is mistaken for.

    Samples are drawn by the chance that they are :func:`confusion_probabilities` (and one in a hundred besides), and labels by the
    probabilities of the other classes.
    """
    p = confusion_probabilities(found, rng)
    chance = p.sum(1) + 0.01
    rows = rng.choice(len(p), round(share * len(p)), replace=False, p=chance / chance.sum())
    return relabel(found, rows, draw_classes(p[rows], rng))


def confusion_probabilities(found: Dataset, rng: np.random.Generator, class_weight: str | None = None) -> np.ndarray:
    """Probabilities of the classes that a sample is not of, by logistic regression, held out (5 folds).

    ``(sample, class)``; one in a thousand is added, and the sample's own class has none. ``class_weight`` as scikit-learn
    has it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(5, shuffle=True, random_state=int(rng.integers(2**31)))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight=class_weight))
    p: np.ndarray = cross_val_predict(model, found.x, found.y, cv=folds, method="predict_proba") + 1e-3
    p[np.arange(len(p)), found.y] = 0
    return p


def draw_classes(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A class for each row, drawn by its chances; never one of chance zero."""
    found: np.ndarray = (chances / rng.exponential(size=chances.shape)).argmax(1)
    return found


def near(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Normal noise on every feature: half of its range in images (cut to the range), one standard deviation in others."""
    rows = _drawn(found, share, rng)
    if found.shape is None:
        noise = rng.normal(size=(len(rows), found.x.shape[1])) * found.x.std(0)
        return _strange(found, rows, found.x[rows] + noise)
    low, high = found.x.min(), found.x.max()
    noise = rng.normal(size=(len(rows), found.x.shape[1])) * 0.5 * (high - low)
    return _strange(found, rows, (found.x[rows] + noise).clip(low, high))


def far(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """What no class looks like: images with their pixels in another order, drawn once; features each of another sample."""
    rows = _drawn(found, share, rng)
    if found.shape is not None:
        return _strange(found, rows, found.x[rows][:, rng.permutation(found.x.shape[1])])
    from_whom = rng.integers(len(found.y), size=(len(rows), found.x.shape[1]))
    return _strange(found, rows, found.x[from_whom, np.arange(found.x.shape[1])])


def marginal(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """One feature, drawn for each sample, with a value from its top 1 %."""
    rows = _drawn(found, share, rng)
    column = rng.integers(found.x.shape[1], size=len(rows))
    top = np.sort(found.x, axis=0)[-max(len(found.y) // 100, 1) :]
    x = found.x[rows].copy()
    x[np.arange(len(rows)), column] = top[rng.integers(len(top), size=len(rows)), column]
    return _strange(found, rows, x)


def _images(found: Dataset, rows: np.ndarray) -> np.ndarray:
    assert found.shape is not None
    height, width = found.shape
    images: np.ndarray = found.x[rows].reshape(len(rows), height, width)
    return images


def zoom(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """The middle of an image, 1/1.75 of its width and height, at full size."""
    rows = _drawn(found, share, rng)
    images = _images(found, rows)
    height, width = images.shape[1:]
    h, w = round(height / 1.75), round(width / 1.75)
    top, left = (height - h) // 2, (width - w) // 2
    middle = images[:, top : top + h, left : left + w]
    large = resized(middle, (1, height / h, width / w), order=1, grid_mode=True, mode="nearest")
    return _strange(found, rows, large.reshape(len(rows), -1))


def shift(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """An image moved by 10/28 of its size along one axis, drawn for each; what comes in is the darkest value."""
    rows = _drawn(found, share, rng)
    images = _images(found, rows)
    moved = np.full_like(images, found.x.min())
    for image, whole, axis, back in zip(
        moved, images, rng.integers(2, size=len(rows)), rng.random(len(rows)) < 0.5, strict=True
    ):
        size = image.shape[axis]
        by = round(size * 10 / 28)
        ends = (np.arange(by, size), np.arange(size - by))
        into, out_of = ends[::-1] if back else ends
        if axis:
            image[:, into] = whole[:, out_of]
        else:
            image[into] = whole[out_of]
    return _strange(found, rows, moved.reshape(len(rows), -1))


def crop(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """An image of which only the half of its height and width around the middle is left; the rest is the darkest value."""
    rows = _drawn(found, share, rng)
    images = _images(found, rows)
    left = np.full_like(images, found.x.min())
    height, width = images.shape[1:]
    middle = np.s_[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    left[middle] = images[middle]
    return _strange(found, rows, left.reshape(len(rows), -1))


def rotate(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """A square image turned by a quarter."""
    rows = _drawn(found, share, rng)
    return _strange(found, rows, np.rot90(_images(found, rows), axes=(1, 2)).reshape(len(rows), -1))


def blend(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """A mean of two samples of different classes, .4 to .6 of either; the label stays that of the first."""
    rows = _drawn(found, share, rng)
    other = rng.integers(len(found.y), size=len(rows))
    while (alike := found.y[other] == found.y[rows]).any():
        other[alike] = rng.integers(len(found.y), size=int(alike.sum()))
    part = rng.uniform(0.4, 0.6, size=(len(rows), 1))
    return _strange(found, rows, part * found.x[rows] + (1 - part) * found.x[other])


def feature_noise(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """Three features in ten, drawn for each sample, with the values of other samples."""
    rows = _drawn(found, share, rng)
    from_whom = rng.integers(len(found.y), size=(len(rows), found.x.shape[1]))
    lost = rng.random(from_whom.shape) < 0.3
    return _strange(found, rows, np.where(lost, found.x[from_whom, np.arange(found.x.shape[1])], found.x[rows]))


def rare(found: Dataset, share: float, rng: np.random.Generator) -> CorruptedDataset:
    """A third of the classes (at least one) with only ``share`` of their samples, five at least; these are the hard ones."""
    c = _classes(found)
    few = rng.choice(c, max(c // _RARE_CLASSES, 1), replace=False)
    hard, kept = np.isin(found.y, few), np.ones(len(found.y), dtype=bool)
    for one in few:
        at = rng.permutation(np.flatnonzero(found.y == one))
        kept[at[max(round(share * len(at)), _LEAST) :]] = False
    return CorruptedDataset(found.x[kept], found.y[kept], found.y[kept], hard[kept], found.shape)


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
