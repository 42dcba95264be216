r"""Class centres: evidence of the true labels from how far each sample is from the centre of every class.

Models need many samples of a class, and neighbours need several nearby; a mean needs few. Let $p_i$ be the probability, so
far, that the label $y_i$ is right. The centre of class $c$ is the weighted mean of the features $x$, drawn a little towards
the mean of all, and distances are those of Mahalanobis,

$$m_c = \frac{\sum_{y_i = c} p_i x_i}{N_c + \kappa}, \qquad N_c = \sum_{y_i = c} p_i, \qquad
d_{ic}^2 = (x_i - m_c)^\top W^{-1} (x_i - m_c) - \frac{N_c\, v}{(N_c + \kappa)^2},$$

where $W$ is the covariance of the residuals $\sqrt{p_i / \bar p}\,(x_i - m_{y_i})$, shrunk as Ledoit and Wolf do. The last
term is what the error of a centre adds to a squared distance, with $v$ the mean squared length of the residuals: without it,
the centres of rare classes look farther away than they are.

No sample is compared with what it is part of: its block (duplicates, groups) is left out of the centres, and its own
residual out of $W$, in closed form (Sherman and Morrison). The evidence is the softmax of $-\beta d_{ic}$, with the $\beta$
of the largest likelihood under the posterior so far. Distances without a square are robust against long tails.

The label model and its alternatives are then fitted again from where they were, with the evidence weight of the centres free
(its prior has the mean zero) and the transition matrix as it was, and all of that once more. Centres of right labels have
not learned the noise, so their scores are log-probabilities.

There are limits (``benchmarks/LOG.md``). Centres of the posterior itself instead of $p_i$ would repeat what models learned
from the sample's own label. With as many features as samples, $p_i$ alone can do so. With two classes, one takes all that
the other loses. With very many, the evidence would be a large dense matrix. So centres serve three to fifty classes and
fewer features than samples.
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
_ROUNDS = 2
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
    label = evidence.label.numpy()
    for _ in range(_ROUNDS):
        blocks = row_blocks(len(label), len(evidence.prior))
        probability = torch.cat([true_label_probabilities(model, evidence, rows) for rows in blocks])
        p_right = probability.gather(1, evidence.label[:, None]).squeeze(1).numpy()
        distance = centre_distances(features, label, p_right, len(evidence.prior))
        evidence = evidence._replace(centres=_evidence_of_distances(torch.from_numpy(distance), probability))
        model = refit_label_model(evidence, model)
    return evidence, model


def _can_serve(features: SampleFeatures, n_classes: int) -> bool:
    n, d = features.matrix.shape
    return MIN_CLASSES <= n_classes <= DEFAULT_CONFIG.max_dense_classes and 0 < d < min(n, _reference_size(n, d))


def _reference_size(n: int, d: int) -> int:
    return min(n, _MAX_REFERENCE, MAX_REFERENCE_VALUES // d)


def centre_distances(features: SampleFeatures, label: np.ndarray, p_right: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the distance of every sample from every class centre, ``(sample, class)``, without its own part in either.

    Features are standardised as for neighbours.

    Args:
        label: given labels, ``(sample,)``.
        p_right: probabilities that they are right, ``(sample,)``.
        n_classes: number of classes.
    """
    n, d = features.matrix.shape
    most = _reference_size(n, d)
    reference = evenly_spaced(n, most)
    values = np.asarray(features.matrix[reference], dtype=np.float64)
    scale = fit_scaler(values)
    x = scale(values).astype(np.float64)
    mean = x.mean(0)
    weights = np.zeros((most, n_classes))
    weights[np.arange(most), label[reference]] = p_right[reference]
    centres = _Centres.fit(x - mean, weights, label[reference], features.blocks[reference])
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
    weights: np.ndarray  # P(right) at the given label, (reference, class)
    sums: np.ndarray  # of the coordinates by the weights, (class, feature)
    mean_square: float  # mean squared length of the residuals
    blocks: np.ndarray  # (reference,)

    @classmethod
    def fit(cls, x: np.ndarray, weights: np.ndarray, label: np.ndarray, blocks: np.ndarray) -> "_Centres":
        """Compute the covariance of standardised, centred features, ``(reference, feature)``."""
        means = weights.T @ x / (weights.sum(0) + _PSEUDO_COUNT)[:, None]
        p_right = weights.sum(1)
        root = np.sqrt(p_right / max(float(p_right.mean()), _SMALLEST))
        residuals = root[:, None] * (x - means[label])
        correlations = Correlations.fit(residuals)
        origin = correlations.decorrelate(np.zeros((1, x.shape[1])))[0].astype(np.float64)
        residuals, coordinates = (correlations.decorrelate(each).astype(np.float64) for each in (residuals, x))
        coordinates -= origin
        sums = np.stack([weight @ coordinates for weight in weights.T])
        mean_square = float(np.square(residuals).sum(1).mean())
        return cls(correlations, origin, residuals, coordinates, weights, sums, mean_square, blocks)

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
        squares = np.empty((len(x), self.weights.shape[1]))
        for c, weight in enumerate(self.weights.T):
            rows = np.flatnonzero(shares_block & (weight > 0))
            of_block = csr_array((weight[rows], (place[rows], rows)), (len(names), len(weight)))
            size = np.maximum(weight.sum() - of_block.sum(1), 0)
            centre = (self.sums[c] - of_block @ self.coordinates) / (size + _PSEUDO_COUNT)[:, None]
            difference = z - centre[block_of]
            squares[:, c] = np.square(difference).sum(1) + factor * np.square((difference * own).sum(1))
            squares[:, c] -= (self.mean_square * size / (size + _PSEUDO_COUNT) ** 2)[block_of]
        distance: np.ndarray = np.sqrt(np.maximum(squares, max(_MIN_RELATIVE_SQUARE * self.mean_square, _SMALLEST)))
        return distance


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
