r"""The automatic scheme: the ledger of causes decides the weight of each sample.

A single sign for all hard samples does as much harm as good when their causes differ. So each sample is weighted by
its own causes: down by the probability $1 - r_i$ that its label is wrong, and up as far as its class is short of
*correct* labels,

$$w_i = \frac{a_i}{\big(\sum_{j: y_j = y_i} a_j\big)^b} \big(1 + 4 \bar u\, (1 - m_i)\big), \qquad
a_i = r_i \Big(\frac{\bar p(y_i)}{\max_c \bar p(c)}\Big)^{s/3},$$

scaled to mean one. With the truth known these are the weights of clean, balanced data ($s = 0$). If no label is
doubted and all classes are equally large, all weights are one.

Samples near a boundary, $m_i$ the difference of the two largest probabilities, are emphasized in proportion to the
share of wrong labels, $\bar u = 1 - \bar r$, because noise blurs the boundary first. In clean data such an emphasis
wins as often as it loses (``benchmarks/LOG.md``).

$s$, from 0 to 1, is the unreliability of the ledger. Labels that went wrong where a model would err, too, look like
ambiguity to any model of labels. But on the quarter of the samples of which the models are most confident, class by
class, naturally ambiguous labels agree with the models. So the share of them that disagrees, beyond what P(wrong)
explains, less one standard error of it, $v$, is noise of unknown size: $s = (v - 0.07) / 0.08$. The standard error keeps
small clean data apart from noise. If much noise is found ($\bar u \ge 0.1$), a smaller $v$ suffices if it is large in
comparison: $s = (v / \bar u - 0.2) / 0.2$, whichever is larger. Then each sample counts less if the models doubt its
label, as in self-paced learning, but only by the third root, because they doubt rare classes and boundaries, too. Classes
are balanced by half, because counts of wrong labels do not measure a class: $b = 1 - s/2$. Models that predict the labels no
better than chance are not believed.

With two classes, one takes all wrong labels of the other. Under heavy noise a rare class holds hardly anything else,
and the number of its correct labels is the least certain quantity. So two classes are balanced by less, the more
labels are open, $b = (1 - s/2)\big(1 - \tfrac1n \sum_i 2 r_i (1 - r_i)\big)$, and by $1 - 3s/4$ if $s > 0$ and yet no
label is doubted.

Labels that a reviewer confirmed have $a_i = 1$, whatever the models believe, and do not enter $v$. Neither do those of
classes too small to be split, such as one of a single sample, and the models' belief does not count for them. Their
samples count as those of a class of average size: balanced, one sample would carry as much weight as a whole class. Larger
classes are balanced even where too few labels tell right from wrong (benchmarks/LOG.md).

So that a few samples do not carry the training, the effective sample size, $(\sum w)^2 / \sum w^2$, is never below a
tenth of the samples: $b$ is reduced as far as that takes, and if $b = 0$ is not enough, all weights are raised to a power
below one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from hardsight.attribution.label_noise.confident import beats_chance, ledger_unreliability
from hardsight.attribution.names import TOO_FEW
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import has_several_labels, labels_apart
from hardsight.errors import InputError
from hardsight.weights.describe import effective_sample_size
from hardsight.weights.inputs import check_finite, check_probabilities
from hardsight.weights.scheme import scheme

# Below this mean P(wrong), no weight is put down to wrong labels: weights that differ for no reason help nobody.
MIN_WRONG = 0.002
# Emphasis on a sample at a boundary, times the share of wrong labels.
_EMPHASIS = 4.0
# Standard errors of the unexplained disagreement that are taken off before it counts, and the power of the belief at s = 1.
_DEVIATIONS, _BELIEF_POWER = 1.0, 1 / 3
# Least effective sample size, as a share of the samples.
MIN_EFFECTIVE_SHARE = 0.1
# Steps of the search for an exponent; the last are of the size of rounding errors.
_BISECTIONS = 40


class AutomaticWeights(NamedTuple):
    """The automatic weights, with an explanation."""

    weights: np.ndarray  # mean one, (sample,) float64
    text: str  # what they do and why, one paragraph


@scheme(
    "auto",
    formula="a / (sum of a over the samples of the label)^b · (1 + 4 mean P(wrong) (1 - difference of the two largest p)), "
    "a = (1 - P(wrong)) (p / max p)^(s/3), s: noise that P(wrong) does not explain, 0 to 1; b = 1 - s/2, less with two "
    "classes",
    priority="learned",
    scale="probabilities of the ledger",
    source="hardsight; after Northcutt et al. 2021, Confident learning, JAIR, and class-balanced weights",
    compares_samples=True,
    normalization="mean 1",
    note="Needs d.p_wrong: hs.weigh(d). hs.weights.schemes.automatic.decide(d) also explains the weights.",
)
def auto(
    p_wrong: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"],
    labels: Int64[Tensor, " sample"],
    *,
    certain: Bool[Tensor, " sample"] | None = None,
    in_small_class: Bool[Tensor, " sample"] | None = None,
) -> Float[Tensor, " sample"]:
    """Weigh samples by their own causes: down by P(label wrong), up for classes that are short of correct labels.

    The weights have mean one; all are exactly one if no label is doubted and all classes are equally large.

    Args:
        logits: of held-out models of the data as given; ``(sample, class)``.
        certain: whether the label is known to be right; None: for no sample; ``(sample,)``.
        in_small_class: whether the class is too small to be split; None: for no sample; ``(sample,)``.

    Raises:
        InputError: ``certain`` or ``in_small_class`` has another shape, a probability is outside 0 to 1, or logits are not
            finite.
    """
    p_wrong = check_probabilities(p_wrong)
    certain = _check_mask("certain", certain, p_wrong)
    in_small_class = _check_mask("in_small_class", in_small_class, p_wrong)
    if certain is not None:
        p_wrong = p_wrong.masked_fill(certain, 0)
    if in_small_class is not None:
        certain = in_small_class if certain is None else certain | in_small_class
    unreliability = ledger_unreliability(p_wrong, check_finite("logits", logits), labels, certain, _DEVIATIONS)
    return _weigh(p_wrong, logits, labels, certain, unreliability, in_small_class).weights


class _Weighting(NamedTuple):
    weights: Tensor  # (sample,), mean one
    power: float  # by which classes are balanced
    limited: bool  # whether the effective sample size limits the power, or the weights
    believed: bool  # whether samples count less if the models do not believe their labels


def _check_mask(name: str, mask: Tensor | None, p_wrong: Tensor) -> Tensor | None:
    if mask is None:
        return None
    mask = torch.as_tensor(mask, dtype=torch.bool)
    if mask.shape != p_wrong.shape:
        raise InputError(
            f"{name} must have one value per sample, like p_wrong {tuple(p_wrong.shape)}. Got {tuple(mask.shape)}"
        )
    return mask


def _weigh(
    p_wrong: Tensor,
    logits: Tensor,
    labels: Tensor,
    certain: Tensor | None,
    unreliability: float,
    in_small_class: Tensor | None = None,
) -> _Weighting:
    log_p, correct = check_finite("logits", logits), 1 - p_wrong
    wrong = float(p_wrong.mean())
    if wrong < MIN_WRONG:
        wrong, correct = 0.0, torch.ones_like(correct)
    believed = unreliability > 0 and beats_chance(log_p.detach(), labels)
    if believed:
        log_belief = _BELIEF_POWER * unreliability * (log_p.gather(1, labels[:, None]).squeeze(1) - log_p.max(1).values)
        log_belief = log_belief if certain is None else log_belief.masked_fill(certain, 0)
        # Relative to the label that is believed most, because all may be found impossible; the weights are scaled anyway.
        correct = correct * (log_belief - log_belief.max()).exp()
    mass = torch.zeros(logits.shape[1], dtype=correct.dtype, device=correct.device).index_add(0, labels, correct)
    balanced = torch.bincount(labels if in_small_class is None else labels[~in_small_class], minlength=len(mass)) > 0
    tiny = torch.finfo(correct.dtype).tiny
    share = (mass / mass[balanced].mean().clamp(min=tiny)).masked_fill(~balanced, 1)
    # The mass of a class all of whose labels are wrong is 0.
    share = share.clamp(min=tiny)[labels]
    first, second = log_p.softmax(1).topk(2, 1).values.unbind(1)
    unbalanced = correct * (1 + _EMPHASIS * wrong * (1 - first + second))
    largest_power = balance_power(p_wrong, int(balanced.sum()), unreliability)
    power = _largest_exponent(largest_power, lambda power: unbalanced / share**power)
    weights = unbalanced / share**power
    exponent = _largest_exponent(1.0, lambda exponent: weights**exponent)
    weights = weights**exponent
    limited = power < largest_power or exponent < 1
    return _Weighting(weights / weights.mean().clamp(min=tiny), power * exponent, limited, believed)


def _largest_exponent(most: float, weights_of: Callable[[float], Tensor]) -> float:
    """Return the largest exponent, from 0 to ``most``, whose weights leave enough effective samples; 0 if there is none."""
    if _is_effective(weights_of(most)):
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _is_effective(weights_of(middle)) else (low, middle)
    return low


def _is_effective(weights: Tensor) -> bool:
    # In proportion to the largest, because the squares of minute weights are zero. If all are zero, no exponent helps.
    largest = weights.max()
    return bool(largest == 0) or effective_sample_size((weights / largest).numpy(force=True)) >= MIN_EFFECTIVE_SHARE * len(
        weights
    )


def balance_power(p_wrong: Float[Tensor, " sample"], classes: int, unreliability: float) -> float:
    """Return the power by which classes are balanced, from 0 to 1.

    Args:
        p_wrong: probability that the label is wrong; ``(sample,)``.
        classes: number of classes.
        unreliability: of the ledger, from 0 to 1.
    """
    if classes > 2:
        return 1 - unreliability / 2
    if float(p_wrong.mean()) < MIN_WRONG:
        return 1 - 0.75 * unreliability
    return (1 - unreliability / 2) * (1 - float((2 * p_wrong * (1 - p_wrong)).mean()))


def decide(difficulty: Difficulty) -> AutomaticWeights:
    """Return the automatic weights of a result, and an explanation.

    Raises:
        InputError: there is no ledger (regression, a loss other than log-loss, a single view per sample).
    """
    if has_several_labels(difficulty):
        weights = np.zeros(len(difficulty))
        for rows, alone in labels_apart(difficulty):
            weights[rows] = decide(alone).weights
        return AutomaticWeights(weights, explain_weights(difficulty, weights))
    ledger, in_small_class = _ledger(difficulty), samples_in_small_classes(difficulty)
    unreliability = ledger_unreliability(*ledger, in_small_class, _DEVIATIONS)
    weighting = _weigh(*ledger, in_small_class, unreliability, in_small_class)
    weights = weighting.weights.numpy()
    return AutomaticWeights(weights, _explain(difficulty, weights, unreliability, weighting))


def explain_weights(d: Difficulty, weights: np.ndarray, certain: Bool[Tensor, " sample"] | None = None) -> str:
    """Explain what the automatic weights do and why, in one paragraph.

    Args:
        d: the result.
        weights: as they are used, perhaps clipped, of any mean; ``(sample,)``.
        certain: whether the label is known to be right; None: for no sample; ``(sample,)``.

    Raises:
        InputError: as in :func:`decide`.
    """
    if has_several_labels(d):
        return _explain_several(d, weights, certain)
    ledger, in_small_class = _ledger(d), samples_in_small_classes(d)
    if in_small_class is not None:
        certain = in_small_class if certain is None else certain | in_small_class
    unreliability = ledger_unreliability(*ledger, certain, _DEVIATIONS)
    return _explain(d, weights, unreliability, _weigh(*ledger, certain, unreliability, in_small_class))


def _explain_several(d: Difficulty, weights: np.ndarray, certain: Bool[Tensor, " sample"] | None) -> str:
    """Explain the weights of the labels that are balanced most and least."""
    spreads, texts = [], []
    for rows, alone in labels_apart(d):
        if len(rows):
            own = weights[rows]
            text = explain_weights(alone, own, None if certain is None else certain[torch.from_numpy(rows)])
            name = str((alone.classes or ("",))[-1])
            spreads.append(float(own.max() - own.min()))
            texts.append(f"{name!r}: {text}")
    order = np.argsort(spreads, kind="stable")
    shown = [texts[order[-1]]] if len(order) == 1 else [texts[order[-1]], texts[order[0]]]
    return (
        f"Each of the {len(texts):,} labels is weighed by itself, with mean 1. The one whose weights differ most is "
        + " The one whose weights differ least is ".join(shown)
    )


def samples_in_small_classes(d: Difficulty) -> Tensor | None:
    """Return which samples belong to classes too small to be split, ``(sample,)`` bool; None: there are none.

    Their labels are taken as right, with P(wrong) 0; those of rare classes that are split have a P(wrong) above 0.
    """
    if d.cause is None or d.p_wrong is None:
        return None
    mask = (d.cause == TOO_FEW) & (d.p_wrong == 0)
    return torch.from_numpy(mask) if mask.any() else None


def _ledger(d: Difficulty) -> tuple[Tensor, Tensor, Tensor]:
    if d.p_wrong is None or d.consensus is None:
        raise InputError(
            "the automatic scheme needs the ledger, that is classes, log-loss and two views per sample or more: measure "
            "with these, or name another scheme"
        )
    p_wrong, logits, labels = (torch.tensor(values) for values in (d.p_wrong, d.consensus, d.labels))
    return p_wrong, logits, labels


def _explain(d: Difficulty, weights: np.ndarray, unreliability: float, weighting: _Weighting) -> str:
    assert d.p_wrong is not None
    assert d.consensus is not None
    wrong = d.p_wrong.mean()
    look_right = f"all labels look right (mean P(wrong) {wrong:.2%})"
    if not d.p_wrong.any() and not beats_chance(torch.tensor(d.consensus), torch.tensor(d.labels)):
        look_right = "held-out models predict the labels no better than chance, so nothing shows that a label is wrong"
    if (weights == weights[0]).all() and wrong < MIN_WRONG:
        return f"All {len(d):,} samples weigh the same, because {look_right}, and all classes are equally large."
    sentences = [_explain_labels(d.p_wrong, weights, look_right)]
    if weighting.believed:
        sentences.append(
            "The most confident predictions contradict more labels than that and chance explain, so there is noise of "
            f"another kind (strength {unreliability:.0%}). Samples therefore also count a little less if held-out models do "
            "not believe their labels."
        )
    sentences.append(_explain_classes(d, d.p_wrong, weights, weighting.power))
    limit = f", the least that balancing may leave ({MIN_EFFECTIVE_SHARE:.0%})" if weighting.limited else ""
    sentences.append(f"The weights are worth {effective_sample_size(weights):,.0f} samples of equal weight{limit}.")
    return " ".join(sentences)


def _explain_labels(p_wrong: np.ndarray, weights: np.ndarray, look_right: str) -> str:
    wrong = p_wrong.mean()
    if wrong < MIN_WRONG:
        return f"P(wrong) lowers no weight, because {look_right}."
    doubted = p_wrong > 0.5
    expected = (
        f"About {p_wrong.sum():,.0f} of {len(p_wrong):,} labels ({wrong:.1%}) are wrong. Each sample counts by the "
        "probability that its label is right."
    )
    boundary = (
        f"Samples at a class boundary count up to {1 + _EMPHASIS * wrong:.2g} times as much as others, because noise blurs "
        "the boundary."
    )
    if not doubted.any():
        return f"{expected} No label is more likely wrong than right. {boundary}"
    return (
        f"{expected} Labels that are more likely wrong than right ({int(doubted.sum()):,}) carry "
        f"{weights[doubted].sum() / weights.sum():.1%} of the weight. {boundary}"
    )


def _explain_classes(d: Difficulty, p_wrong: np.ndarray, weights: np.ndarray, power: float) -> str:
    assert d.classes is not None
    mass = np.bincount(d.labels, 1 - p_wrong, len(d.classes))
    in_small_class = samples_in_small_classes(d)
    balanced = d.labels if in_small_class is None else d.labels[~in_small_class.numpy()]
    present = np.flatnonzero(np.bincount(balanced, minlength=len(d.classes)))
    smallest, largest = present[mass[present].argmin()], present[mass[present].argmax()]
    if smallest == largest:
        return f"All labels are {d.classes[largest]!r}, so there are no classes to balance."
    return (
        f"Class {d.classes[smallest]!r} has {mass[smallest]:,.1f} correctly labelled samples and class "
        f"{d.classes[largest]!r} has {mass[largest]:,.1f}. Classes are balanced to the power {power:.2g} (1: fully, "
        f"0: not at all): the largest weight is {weights[d.labels == smallest].max():.3g} in {d.classes[smallest]!r} and "
        f"{weights[d.labels == largest].max():.3g} in {d.classes[largest]!r}."
    )
