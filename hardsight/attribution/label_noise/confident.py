"""Confident predictions per class: ambiguous but correct labels agree with the models on these samples."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG

# Mean P(wrong) from which the disagreement it leaves unexplained is compared with it, and the shares of it that count as
# little and as much.
_MUCH_WRONG = 0.1
_RELATIVE_DISAGREEMENT = 0.2, 0.4
# Quantiles of the confidences of a predicted class between which a plateau is looked for, and fewest predictions of a class.
_PLATEAU_QUANTILES, _MIN_PREDICTED = (0.75, 0.98), 20


def most_confident(logits: Float[Tensor, "sample class"]) -> tuple[Bool[Tensor, " sample"], Int64[Tensor, " sample"]]:
    """Return the mask of the most confident quarter of the samples predicted as each class, and all predicted classes."""
    confidence, predicted = logits.softmax(1).max(1)
    selected = torch.zeros(len(predicted), dtype=torch.bool, device=logits.device)
    for c in range(logits.shape[1]):
        rows = (predicted == c).nonzero().squeeze(1)
        if not len(rows):
            continue
        # Ties are all selected, so that the order of the samples does not matter.
        last = math.ceil(DEFAULT_CONFIG.confident_fraction * len(rows)) - 1
        threshold = confidence[rows].sort(descending=True).values[last]
        selected[rows[confidence[rows] >= threshold]] = True
    return selected, predicted


def plateau_width(logits: Float[Tensor, "sample class"]) -> float:
    """Return the width of the upper quarter of the confidences relative to their height above chance.

    Noisy labels cap the probability of a class: where a sample is certainly of the class, models of the noisy labels all
    give it the same one, below 1. Natural ambiguity varies from sample to sample instead. The width is that between the
    quantiles .75 and .98, the mean over samples of the predicted classes; 1 if no class is predicted often enough.
    """
    confidence, predicted = logits.softmax(1).max(1)
    total = samples = 0.0
    for c in range(logits.shape[1]):
        of_class = confidence[predicted == c].double()
        if len(of_class) < _MIN_PREDICTED:
            continue
        low, high = torch.quantile(of_class, torch.tensor(_PLATEAU_QUANTILES, dtype=torch.float64)).tolist()
        total += len(of_class) * (high - low) / max(high - 1 / logits.shape[1], 1e-12)
        samples += len(of_class)
    return total / samples if samples else 1.0


def beats_chance(logits: Float[Tensor, "sample class"], labels: Int64[Tensor, " sample"]) -> bool:
    """Return whether the predictions give the labels more probability than labels drawn by the class shares would get."""
    if len(labels) < 2:
        return False
    probability = logits.softmax(1)
    shares = torch.bincount(labels, minlength=logits.shape[1]).to(probability.dtype) / len(labels)
    gain = probability.gather(1, labels[:, None]).squeeze(1) - probability @ shares
    return bool(exceeds_chance(gain, DEFAULT_CONFIG.chance_deviations))


def exceeds_chance(gain: Float[Tensor, "*evidence row"], deviations: float) -> Bool[Tensor, "*evidence"]:
    """Return whether the mean gain in probability over labels drawn by chance is so many standard errors above zero."""
    exceeds: Tensor = gain.mean(-1) > deviations * gain.std(-1) / gain.shape[-1] ** 0.5
    return exceeds


def unexplained_disagreement(
    p_wrong: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"],
    labels: Int64[Tensor, " sample"],
    certain: Bool[Tensor, " sample"] | None = None,
    deviations: float = 0.0,
) -> float:
    """Return the share of the most confident predictions that disagree with the label, beyond what P(wrong) explains.

    Args:
        logits: of held-out models of the data as given.
        certain: samples whose label is known to be right, which are left out: models err there, not labels. None: none.
        deviations: standard errors by which the share is reduced, because few predictions disagree by chance, too; 0 if
            there is one prediction.
    """
    confident, predicted = most_confident(logits)
    if certain is not None:
        confident = confident & ~certain
    n = int(confident.sum())
    if n == 0 or (n == 1 and deviations > 0):
        return 0.0
    difference = (labels != predicted)[confident].to(p_wrong.dtype) - p_wrong[confident]
    share = float(difference.mean())
    if deviations > 0:
        share -= deviations * float(difference.std()) / math.sqrt(n)
    return max(0.0, share)


def ledger_unreliability(
    p_wrong: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"],
    labels: Int64[Tensor, " sample"],
    certain: Bool[Tensor, " sample"] | None = None,
    deviations: float = 0.0,
) -> float:
    """Return how unreliable the ledger is, from 0 to 1, judged by :func:`unexplained_disagreement`."""
    unexplained = unexplained_disagreement(p_wrong, logits, labels, certain, deviations)
    wrong = float(p_wrong.mean())
    unreliability = _interpolate(unexplained, *DEFAULT_CONFIG.natural_disagreement)
    if wrong < _MUCH_WRONG:
        return unreliability
    return max(unreliability, _interpolate(unexplained / wrong, *_RELATIVE_DISAGREEMENT))


def _interpolate(value: float, low: float, high: float) -> float:
    """Return the position of a value between two others, clipped to 0 and 1."""
    return min(max((value - low) / (high - low), 0.0), 1.0)
