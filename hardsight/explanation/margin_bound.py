r"""The terms of the margin bound of weighted training, with and without the weights. They are shown, never a score.

For a test distribution $P_t$, the weighted training distribution $\tilde P_s \propto w P_s$ and networks of depth $q$
whose layers have norm one, with probability $1 - \delta$ (after Xu, Ye & Ruan 2021, and Zhou et al. 2022, whose bound
is known to us from memory and not from its text; constants may differ)

$$\text{error} \le \underbrace{\frac1n \sum_i \frac{p_t(x_i)}{\tilde p_s(x_i)} 1[m_i < \gamma]}_{\text{violations}}
+ \frac{L \sqrt{\chi^2(P_t \| \tilde P_s) + 1}}{\gamma\, q^{(q-1)/2} \sqrt n}
+ \underbrace{\sqrt{\frac{\log \log_2 (4L/\gamma)}{n}} + \sqrt{\frac{\log (1/\delta)}{n}}}_{\varepsilon}.$$

Margins here are held-out ones, in nats: the label's log-probability less the largest other. Those of the bound are of
training samples and networks of norm one, and the norms of a learner are not known; so the terms are to be compared
with each other, with and without weights, and bound nothing.

A smaller first term is not by itself an improvement: it averages over samples that were drawn without the weights and
divides by them, so whatever puts weight on the samples that violate the margin makes it smaller, with the same model
and the same test error. ``violations_corrected`` averages $p_t / p_s$ in place of $p_t / \tilde p_s$; the weights do
not enter it but by the model.
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
    """The terms.

    Attributes:
        violations: the first term, as published.
        violations_corrected: the same with the weights left out of the denominator.
        chi2: of the target distribution from the weighted one; infinite where a sample of weight 0 belongs to the target.
        complexity: L / (gamma q^((q - 1) / 2) sqrt(n)).
        shift: the second term, sqrt(chi2 + 1) times the complexity.
        epsilon: the third.
    """

    violations: float
    violations_corrected: float
    chi2: float
    complexity: float
    shift: float
    epsilon: float


class ComplexityInputs(NamedTuple):
    """What the complexity is made of.

    Attributes:
        radius: the largest norm of the scaled inputs; 1 where unknown.
        depth: layers of weights; 1 where unknown.
    """

    radius: float
    depth: int


def complexity_inputs(samples: Samples, learner: Learner) -> ComplexityInputs:
    """Those of some samples and the learner, as far as they are known."""
    radius = 1.0
    if samples.numeric:
        scaled = np.nan_to_num(StandardScaler().fit_transform(samples.matrix))
        radius = float(np.linalg.norm(scaled, axis=1).max()) or 1.0
    widths = capabilities_of(learner).hidden_widths
    return ComplexityInputs(radius, 1 if widths is None else len(widths) + 1)


def target_weights(d: Difficulty, which: str) -> np.ndarray:
    """How much each sample counts in the target distribution, ``(sample,)`` of mean one.

    Raises:
        InputError: an unknown target, or one that these samples cannot tell.
    """
    check_choice("target", which, TARGETS)
    if which == "training":
        return np.ones(len(d))
    if d.classes is None:
        raise InputError(f"target={which!r} is of classes, and there are none: use target='training'")
    if which == "clean" and d.p_wrong is None:
        raise InputError("target='clean' reads the ledger, and there is none: use target='balanced'")
    right = np.ones(len(d)) if which == "balanced" or d.p_wrong is None else 1 - d.p_wrong
    mass = np.bincount(d.labels, right)
    found = right / np.maximum(mass, np.finfo(float).tiny)[d.labels]
    scaled: np.ndarray = found / found.mean()
    return scaled


def bound_terms(
    wanted: np.ndarray,
    weights: np.ndarray,
    below: np.ndarray,
    *,
    margin: float = MARGIN,
    radius: float = 1.0,
    depth: int = 1,
    delta: float = DELTA,
) -> Bound:
    """The terms for one model, or the mean over models.

    Args:
        wanted: how much each sample counts in the target distribution, of mean one. ``(sample,)``
        weights: of mean one, ``(sample,)``.
        below: share of models whose margin is below ``margin``, ``(sample,)``.
        margin: gamma, more than 0.
        radius: L, the largest norm of the inputs.
        depth: q, layers of weights.
        delta: chance that the bound does not hold.
    """
    n = len(weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(wanted > 0, wanted / weights, 0.0)
        literal = np.where(below > 0, ratio * below, 0.0)
    chi2 = float((wanted * ratio).mean()) - 1
    complexity = radius / (margin * depth ** ((depth - 1) / 2) * np.sqrt(n))
    # Beyond 4 L / gamma = 2 the iterated logarithm is positive; a margin larger than that is violated by all.
    iterated = np.log(max(np.log2(4 * radius / margin), 1.0))
    return Bound(
        float(literal.mean()),
        float((wanted * below).mean()),
        chi2,
        float(complexity),
        float(np.sqrt(chi2 + 1) * complexity),
        float(np.sqrt(iterated / n) + np.sqrt(np.log(1 / delta) / n)),
    )
