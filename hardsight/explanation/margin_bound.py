r"""Terms of the margin bound of weighted training, with and without the weights; reported, never a score.

For a test distribution $P_t$, the weighted training distribution $\tilde P_s \propto w P_s$ and networks of depth $q$
whose layers have norm one, with probability $1 - \delta$ (after Xu, Ye & Ruan 2021, and Zhou et al. 2022; the latter
bound is quoted from memory, not from the text, so constants may differ)

$$\text{error} \le \underbrace{\frac1n \sum_i \frac{p_t(x_i)}{\tilde p_s(x_i)} 1[m_i < \gamma]}_{\text{violations}}
+ \frac{L \sqrt{\chi^2(P_t \| \tilde P_s) + 1}}{\gamma\, q^{(q-1)/2} \sqrt n}
+ \underbrace{\sqrt{\frac{\log \log_2 (4L/\gamma)}{n}} + \sqrt{\frac{\log (1/\delta)}{n}}}_{\varepsilon}.$$

Margins here are held-out margins in nats: the log-probability of the label minus the largest other. Those of the bound
belong to training samples and networks of norm one, and the norms of a learner are not known. The terms can therefore
be compared with each other, with and without weights, but they bound nothing.

A smaller first term is not by itself an improvement: it averages over samples that were drawn without the weights and
divides by the weights. Any weights that favour samples below the margin make it smaller, with the same model and the
same test error. ``violations_corrected`` averages $p_t / p_s$ in place of $p_t / \tilde p_s$; there the weights enter
only through the model.
"""

from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

from hardsight.data import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.learners import Learner, capabilities_of
from hardsight.validation import check_choice

TARGETS = {
    "training": "the training distribution",
    "balanced": "the training distribution with balanced classes",
    "clean": "right labels alone, with balanced classes",
}
WARNING = (
    "A smaller first term is not by itself an improvement: any weights that favour samples below the margin make it "
    "smaller, with the same model and the same test error."
)
MARGIN, DELTA = 1.0, 0.05


class Bound(NamedTuple):
    """The terms of the bound."""

    violations: float  # the first term, as published
    violations_corrected: float  # the first term without the weights in the denominator
    chi2: float  # of the target distribution from the weighted one; infinite if a sample of weight 0 belongs to the target
    complexity: float  # L / (gamma q^((q - 1) / 2) sqrt(n))
    shift: float  # the second term, sqrt(chi2 + 1) times the complexity
    epsilon: float  # the third term


class ComplexityInputs(NamedTuple):
    """What the complexity term is computed from."""

    radius: float  # the largest norm of the scaled inputs; 1 if unknown
    depth: int  # number of layers with weights; 1 if unknown


def complexity_inputs(samples: Samples, learner: Learner) -> ComplexityInputs:
    """Return the radius of the samples and the depth of the learner, as far as they are known."""
    radius = 1.0
    if samples.numeric:
        scaled = np.nan_to_num(StandardScaler().fit_transform(samples.matrix))
        radius = float(np.linalg.norm(scaled, axis=1).max()) or 1.0
    widths = capabilities_of(learner).hidden_widths
    return ComplexityInputs(radius, 1 if widths is None else len(widths) + 1)


def target_weights(d: Difficulty, target: str) -> np.ndarray:
    """Return how much each sample counts in the target distribution, ``(sample,)`` with mean one.

    Raises:
        InputError: the target is unknown, or these samples do not determine it.
    """
    check_choice("target", target, TARGETS)
    if target == "training":
        return np.ones(len(d))
    if d.classes is None:
        raise InputError(f"target={target!r} needs classes: use target='training'")
    if target == "clean" and d.p_wrong is None:
        raise InputError("target='clean' needs the ledger: use target='balanced'")
    p_right = np.ones(len(d)) if target == "balanced" or d.p_wrong is None else 1 - d.p_wrong
    mass = np.bincount(d.labels, p_right)
    density = p_right / np.maximum(mass, np.finfo(float).tiny)[d.labels]
    scaled: np.ndarray = density / density.mean()
    return scaled


def bound_terms(
    target: np.ndarray,
    weights: np.ndarray,
    below: np.ndarray,
    *,
    margin: float = MARGIN,
    radius: float = 1.0,
    depth: int = 1,
    delta: float = DELTA,
) -> Bound:
    """Compute the terms for one model, or their mean over models.

    Args:
        target: how much each sample counts in the target distribution, with mean one. ``(sample,)``
        weights: with mean one, ``(sample,)``.
        below: share of models whose margin is below ``margin``, ``(sample,)``.
        radius: L, the largest norm of the inputs.
        delta: probability that the bound does not hold.
    """
    n = len(weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(target > 0, target / weights, 0.0)
        violations = np.where(below > 0, ratio * below, 0.0)
    chi2 = float((target * ratio).mean()) - 1
    complexity = radius / (margin * depth ** ((depth - 1) / 2) * np.sqrt(n))
    # The iterated logarithm is positive from 4 L / gamma = 2 on; every sample violates a larger margin.
    iterated = np.log(max(np.log2(4 * radius / margin), 1.0))
    return Bound(
        float(violations.mean()),
        float((target * below).mean()),
        chi2,
        float(complexity),
        float(np.sqrt(chi2 + 1) * complexity),
        float(np.sqrt(iterated / n) + np.sqrt(np.log(1 / delta) / n)),
    )
