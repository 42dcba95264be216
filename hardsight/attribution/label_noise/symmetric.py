r"""The label model of two classes with symmetric noise: pairs in random order, whose labels are flipped at one rate.

$P(y | x) = (1 - 2\varepsilon)\,\sigma(\beta s) + \varepsilon$, with $s$ the held-out log-odds of the given label, $\beta$
their scale and $\varepsilon$ the flip rate. Soft predictions and flips explain each other, and the likelihood of
$\varepsilon$ is flat where pairs are hard to tell apart. The posterior of the true label is therefore averaged over
$\varepsilon$ and $\beta$, by Bayes' rule, on a grid. $\varepsilon$ is uniform below one half; $\log \beta$ is normal with
standard deviation 2 about 0: models that learned from many flips are far too soft.
"""

import math

import numpy as np
import torch
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG, INF
from hardsight.attribution.label_noise.em import LabelModelFitter
from hardsight.attribution.label_noise.model import Evidence, LabelModel

_FLIP_RATES = np.arange(0, 0.495, 0.015)
_LOG_SCALES = np.linspace(math.log(0.2), math.log(60), 70)
_LOG_SCALE_DEVIATION = 2.0
# Grid points with less posterior mass than this relative to the likeliest are left out.
_MIN_MASS = 1e-3


def fit_symmetric_model(evidence: Evidence) -> LabelModel:
    """Return the posterior over flip rates and scales, as a mixture of label models; of all evidence, the consensus counts.

    Args:
        evidence: of two classes, without neighbours and witnesses.
    """
    rows, log_odds = torch.arange(len(evidence.label)), _log_odds(evidence)
    if len(rows) > DEFAULT_CONFIG.max_rows:
        # At even steps from the likeliest label to the least likely one.
        order = log_odds.argsort(stable=True)
        rows = order[torch.arange(DEFAULT_CONFIG.max_rows) * len(rows) // DEFAULT_CONFIG.max_rows]
    fitter = LabelModelFitter(evidence.label_evidence(rows), evidence.label[rows], evidence.prior)
    if not fitter.is_informative():
        return fitter.noise_free_model()
    log_mass = log_posterior(log_odds[rows].numpy())
    relative = np.exp(log_mass - log_mass.max())
    models = [
        (float(relative[i, j]), _model(float(_FLIP_RATES[i]), float(np.exp(_LOG_SCALES[j]))))
        for i, j in np.argwhere(relative >= _MIN_MASS)
    ]
    models.sort(key=lambda each: -each[0])
    return models[0][1]._replace(alternatives=tuple(models[1:]))


def log_posterior(log_odds: np.ndarray) -> np.ndarray:
    """Return the log posterior density of flip rates and scales, up to a constant, ``(rate, scale)``.

    Args:
        log_odds: held-out log-odds of the given labels, ``(sample,)``.
    """
    probability = 1 / (1 + np.exp(-np.clip(np.exp(_LOG_SCALES)[:, None] * log_odds, -500, 500)))
    likelihood = np.stack([np.log((1 - 2 * rate) * probability + max(rate, 1e-12)).sum(1) for rate in _FLIP_RATES])
    density: np.ndarray = likelihood - 0.5 * (_LOG_SCALES / _LOG_SCALE_DEVIATION) ** 2
    return density


def _log_odds(evidence: Evidence) -> Tensor:
    """Return the log-odds of the given labels under balanced classes, ``(sample,)``."""
    balanced = evidence.consensus - evidence.prior.log()
    of_label = balanced.gather(1, evidence.label[:, None]).squeeze(1)
    return 2 * of_label - balanced.sum(1)


def _model(rate: float, scale: float) -> LabelModel:
    return LabelModel(
        transition=torch.tensor([[1 - rate, rate], [rate, 1 - rate]], dtype=torch.float64),
        prior=torch.tensor([0.5, 0.5], dtype=torch.float64),
        evidence_weights=torch.tensor([scale], dtype=torch.float64),
        pseudo_counts=(INF, INF),
        noise_aware=False,
    )
