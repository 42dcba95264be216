r"""Class centres: evidence of the true labels from how far each sample is from the centre of every class.

Models need many samples of a class, and neighbours need several nearby; a mean needs few. The centre of class $c$ is the
mean of the features $x$ of the $n_c$ samples that are labelled so, drawn a little towards the mean of all, and distances are
those of Mahalanobis,

$$m_c = \frac{\sum_{y_i = c} x_i}{n_c + \kappa}, \qquad
d_{ic}^2 = (x_i - m_c)^\top W^{-1} (x_i - m_c) - \frac{n_c\, v}{(n_c + \kappa)^2},$$

where $W$ is the covariance of the residuals $x_i - m_{y_i}$, shrunk as Ledoit and Wolf do. The last term is what the error
of a centre adds to a squared distance, with $v$ the mean squared length of the residuals: without it, the centres of rare
classes look farther away than they are.

No sample is compared with what it is part of: its block (duplicates, groups) is left out of the centres, and its own
residual out of $W$, in closed form (Sherman and Morrison). The evidence is the softmax of $-\beta d_{ic}$, with the $\beta$
of the largest likelihood under the posterior so far. Distances without a square are robust against long tails.

The label model and its alternatives are then fitted again from where they were, with the evidence weight of the centres free
(its prior has the mean zero) and the transition matrix as it was. Wrong labels draw all centres towards each other, but
leave each the nearest to its own class, so the scores of centres are log-probabilities.

Centres count all labels alike, even those that are probably wrong. Weighted by P(label right) they would be better centres,
but would repeat what models learned from the sample's own label, and on texts that did harm (``benchmarks/LOG.md``). Centres
serve three to fifty classes and fewer features than samples: with two classes, one takes all that the other loses, and with
very many, the evidence would be a large dense matrix.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG
from hardsight.attribution.label_noise.model import Evidence, LabelModel, row_blocks, true_label_probabilities
from hardsight.attribution.label_noise.selection import refit_label_model
from hardsight.attribution.neighbours import fit_scaler
from hardsight.attribution.oddity import BLOCK_VALUES, MAX_LEVERAGE, MAX_REFERENCE_VALUES, Correlations
from hardsight.resampling.spacing import evenly_spaced

MIN_CLASSES = 3
# Samples of the mean of all features that each centre is drawn towards, kappa.
_PSEUDO_COUNT = 1.0
# Centres are means of at most so many samples, fewer if there are many features.
_MAX_REFERENCE = 20_000
# Bounds of the logarithm of the scale of distances, beta.
_LOG_SCALES = (-8.0, 4.0)
# Squared distances are at least this share of the mean one.
_MIN_RELATIVE_SQUARE = 1e-6
_SMALLEST = 1e-12


class SampleFeatures(NamedTuple):
    """Features of the samples, by which their distances from class centres are measured.

    Attributes:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        blocks: block codes, ``(sample,)``; the samples of a block (duplicates, groups) belong together.
    """

    matrix: np.ndarray
    blocks: np.ndarray


def add_class_centres(evidence: Evidence, model: LabelModel, features: SampleFeatures | None) -> tuple[Evidence, LabelModel]:
    """Return the evidence with that of class centres, and the model fitted to it; both as they are if centres cannot serve.

    Args:
        evidence: evidence without class centres.
        model: the model fitted to it.
        features: of the samples; None: there are none.
    """
    if features is None or not model.informative or not _can_serve(features, len(evidence.prior)):
        return evidence, model
    distance = centre_distances(features, evidence.label.numpy(), len(evidence.prior))
    blocks = row_blocks(len(distance), len(evidence.prior))
    probability = torch.cat([true_label_probabilities(model, evidence, rows) for rows in blocks])
    evidence = evidence._replace(centres=_evidence_of_distances(torch.from_numpy(distance), probability))
    return evidence, refit_label_model(evidence, model)


def _can_serve(features: SampleFeatures, n_classes: int) -> bool:
    n, d = features.matrix.shape
    return MIN_CLASSES <= n_classes <= DEFAULT_CONFIG.max_dense_classes and 0 < d < min(n, _reference_size(n, d))


def _reference_size(n: int, d: int) -> int:
    return min(n, _MAX_REFERENCE, MAX_REFERENCE_VALUES // d)


def centre_distances(features: SampleFeatures, label: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the distance of every sample from every class centre, ``(sample, class)``, without its own part in either.

    Features are standardised as for neighbours.

    Args:
        label: given labels, ``(sample,)``.
        n_classes: number of classes.
    """
    n, d = features.matrix.shape
    most = _reference_size(n, d)
    reference = evenly_spaced(n, most)
    values = np.asarray(features.matrix[reference], dtype=np.float64)
    scale = fit_scaler(values)
    x = scale(values).astype(np.float64)
    mean = x.mean(0)
    centres = _Centres.fit(x - mean, label[reference], features.blocks[reference], n_classes)
    row_of = np.full(n, -1)
    row_of[reference] = np.arange(most)
    distance = np.empty((n, n_classes))
    size = max(BLOCK_VALUES // d, 1)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        z = scale(np.asarray(features.matrix[rows], dtype=np.float64)) - mean
        distance[rows] = centres.distances(z, features.blocks[rows], row_of[rows])
    return distance


class _Centres(NamedTuple):
    """Class centres in coordinates in which the residuals are decorrelated, and the reference that they are made of."""

    correlations: Correlations  # of the residuals
    origin: np.ndarray  # what it makes of zero, (feature,)
    residuals: np.ndarray  # decorrelated, (reference, feature)
    coordinates: np.ndarray  # decorrelated features without the origin, (reference, feature)
    label: np.ndarray  # (reference,)
    sums: np.ndarray  # of the coordinates, (class, feature)
    mean_square: float  # mean squared length of the residuals
    blocks: np.ndarray  # (reference,)

    @classmethod
    def fit(cls, x: np.ndarray, label: np.ndarray, blocks: np.ndarray, n_classes: int) -> "_Centres":
        """Compute the covariance of standardised, centred features, ``(reference, feature)``."""
        sizes = np.bincount(label, minlength=n_classes)
        residuals = x - (_class_sums(x, label, n_classes) / (sizes + _PSEUDO_COUNT)[:, None])[label]
        correlations = Correlations.fit(residuals)
        origin = correlations.decorrelate(np.zeros((1, x.shape[1])))[0].astype(np.float64)
        residuals, coordinates = (correlations.decorrelate(each).astype(np.float64) for each in (residuals, x))
        coordinates -= origin
        sums = _class_sums(coordinates, label, n_classes)
        mean_square = float(np.square(residuals).sum(1).mean())
        return cls(correlations, origin, residuals, coordinates, label, sums, mean_square, blocks)

    def distances(self, x: np.ndarray, blocks: np.ndarray, row_of: np.ndarray) -> np.ndarray:
        """Return the distances of some samples from the centres without their blocks, ``(row, class)``.

        Args:
            x: standardised, centred features, ``(row, feature)``.
            row_of: place of each sample in the reference, ``(row,)``; -1 if it is not there.
        """
        z = self.correlations.decorrelate(x).astype(np.float64) - self.origin
        names, block_of = np.unique(blocks, return_inverse=True)
        place = np.minimum(np.searchsorted(names, self.blocks), len(names) - 1)
        shares_block = names[place] == self.blocks
        own = np.where((row_of >= 0)[:, None], self.residuals[row_of], 0)
        share = self.correlations.share
        factor = share / (1 - np.clip(share * np.square(own).sum(1), 0, MAX_LEVERAGE))
        squares = np.empty((len(x), len(self.sums)))
        for c, total in enumerate(self.sums):
            of_class = self.label == c
            rows = np.flatnonzero(shares_block & of_class)
            of_block = csr_array((np.ones(len(rows)), (place[rows], rows)), (len(names), len(of_class)))
            size = of_class.sum() - of_block.sum(1)
            centre = (total - of_block @ self.coordinates) / (size + _PSEUDO_COUNT)[:, None]
            difference = z - centre[block_of]
            squares[:, c] = np.square(difference).sum(1) + factor * np.square((difference * own).sum(1))
            squares[:, c] -= (self.mean_square * size / (size + _PSEUDO_COUNT) ** 2)[block_of]
        distance: np.ndarray = np.sqrt(np.maximum(squares, max(_MIN_RELATIVE_SQUARE * self.mean_square, _SMALLEST)))
        return distance


def _class_sums(values: np.ndarray, label: np.ndarray, n_classes: int) -> np.ndarray:
    return np.stack([values[label == c].sum(0) for c in range(n_classes)])


def _evidence_of_distances(
    distance: Float64[Tensor, "sample class"], probability: Float64[Tensor, "sample class"]
) -> Float64[Tensor, "sample class"]:
    """Return log-probabilities of the classes at the scale that is likeliest under the posterior so far.

    Classes count by their posterior as if all were equally large, since evidence is of balanced classes.
    """
    weight = probability / probability.mean(0).clamp(min=1e-3)

    def loss(log_scale: float) -> float:
        return -float((weight * (-math.exp(log_scale) * distance).log_softmax(1)).sum() / weight.sum())

    scale = math.exp(minimize_scalar(loss, bounds=_LOG_SCALES, method="bounded").x)
    evidence: Tensor = (-scale * distance).log_softmax(1)
    return evidence
