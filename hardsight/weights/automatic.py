r"""The automatic scheme: what the ledger found decides for each sample what its weight is.

One sign for all hard samples is wrong by as much as it helps when their cause is another. So, for each sample by its own
causes: down by the probability $1 - r_i$ that its label is wrong, and up as far as its class is short of *right* labels,

$$w_i = \frac{a_i}{\big(\sum_{j: y_j = y_i} a_j\big)^b} \big(1 + 4 \bar u\, (1 - m_i)\big), \qquad
a_i = r_i \Big(\frac{\bar p(y_i)}{\max_c \bar p(c)}\Big)^s,$$

scaled to mean one. With the truth known these are the weights of clean, balanced data ($s = 0$), and where no label is
doubted and all classes are alike they are all one.

Samples near a boundary, $m_i$ the difference of the two largest probabilities, are emphasised by as much as labels are
wrong, $\bar u = 1 - \bar r$: what noise blurs first is the boundary. In clean data such an emphasis wins as often as it
loses (``benchmarks/LOG.md``).

$s$, from 0 to 1, is how little the ledger can be relied on. Labels that went wrong just where a model would err, too, look
like ambiguity to any model of labels. But on the quarter of the samples of which the members are surest, class by class,
labels that are ambiguous by nature agree with the members; so what share of them does not, beyond what P(wrong) explains,
$v$, is noise of unknown size: $s = (v - 0.07) / 0.08$. Where much noise is found ($\bar u \ge 0.1$), less will do, if it is
much beside that: $s = (v / \bar u - 0.2) / 0.2$, whichever is larger. Then every sample counts as far as the members believe
its label, as in self-paced learning, and classes are balanced by half, because counts of wrong labels are no counts of a
class: $b = 1 - s/2$.

Of two classes one takes all wrong labels of the other. Under heavy noise a rare one holds hardly anything else, and how many
of its labels are right is what is known least; so two classes are balanced by less the more labels are open,
$b = (1 - s/2)\big(1 - \tfrac1n \sum_i 2 r_i (1 - r_i)\big)$, and by $1 - 3s/4$ where $s > 0$ and yet no label is doubted.

Labels that somebody looked at and found right have $a_i = 1$, whatever models believe, and are no part of $v$.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from hardsight.attribution.label_noise.confident import ledger_unreliability
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights.describe import effective
from hardsight.weights.inputs import check_finite, check_probabilities
from hardsight.weights.scheme import Scheme

# A mean P(wrong) below which nothing is put down to wrong labels: weights that differ for nothing help nobody.
FEWEST_WRONG = 0.002
# Emphasis on a sample at a boundary, for each wrong label a sample.
_EMPHASIS = 4.0


class Decision(NamedTuple):
    """What the automatic scheme decided.

    Attributes:
        weights: mean one, ``(sample,)`` float64.
        text: what was done and why, a paragraph.
    """

    weights: np.ndarray
    text: str


def auto(
    p_wrong: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"],
    labels: Int64[Tensor, " sample"],
    *,
    certain: Bool[Tensor, " sample"] | None = None,
) -> Float[Tensor, " sample"]:
    """Weights of mean one; all exactly one where no label is doubted and all classes have as many samples.

    Args:
        p_wrong: probability that the label is wrong.
        logits: of held-out models of the data as given.
        labels: class codes.
        certain: whose label is known to be right; None: nobody's.

    Raises:
        InputError: ``certain`` is not one a sample, or something is no probability or not finite.
    """
    p_wrong = check_probabilities(p_wrong)
    if certain is not None:
        certain = torch.as_tensor(certain, dtype=torch.bool)
        if certain.shape != p_wrong.shape:
            raise InputError(
                f"certain has the shape {tuple(certain.shape)}, p_wrong {tuple(p_wrong.shape)}: one a sample"
            )
        p_wrong = p_wrong.masked_fill(certain, 0)
    return _by_trust(
        p_wrong, logits, labels, certain, ledger_unreliability(p_wrong, check_finite("logits", logits), labels, certain)
    )


def _by_trust(p_wrong: Tensor, logits: Tensor, labels: Tensor, certain: Tensor | None, unsure: float) -> Tensor:
    told, right = check_finite("logits", logits), 1 - p_wrong
    wrong = float(p_wrong.mean())
    if wrong < FEWEST_WRONG:
        wrong, right = 0.0, torch.ones_like(right)
    if unsure > 0:
        belief = (unsure * (told.gather(1, labels[:, None]).squeeze(1) - told.max(1).values)).exp()
        right = right * (belief if certain is None else belief.masked_fill(certain, 1))
    mass = torch.zeros(logits.shape[1], dtype=right.dtype, device=right.device).index_add(0, labels, right)
    present = torch.bincount(labels, minlength=len(mass)) > 0
    share = mass / mass[present].mean()
    power = balance(p_wrong, int(present.sum()), unsure)
    # A class all of whose labels are wrong has nothing to share.
    weights = right / share.clamp(min=torch.finfo(right.dtype).tiny)[labels] ** power
    first, second = told.softmax(1).topk(2, 1).values.unbind(1)
    weights = weights * (1 + _EMPHASIS * wrong * (1 - first + second))
    return weights / weights.mean()


def balance(p_wrong: Float[Tensor, " sample"], classes: int, unsure: float) -> float:
    """The power by which classes are balanced, from 0 to 1.

    Args:
        p_wrong: probability that the label is wrong.
        classes: how many there are.
        unsure: how little the ledger can be relied on.
    """
    if classes > 2:
        return 1 - unsure / 2
    if float(p_wrong.mean()) < FEWEST_WRONG:
        return 1 - 0.75 * unsure
    return (1 - unsure / 2) * (1 - float((2 * p_wrong * (1 - p_wrong)).mean()))


def decide(difficulty: Difficulty) -> Decision:
    """The automatic weights of what was measured, and what they do and why in words.

    Raises:
        InputError: there is no ledger (regression, other losses than log-loss, a single view a sample).
    """
    read = _ledger(difficulty)
    unsure = ledger_unreliability(*read)
    weights = _by_trust(*read, None, unsure).numpy()
    return Decision(weights, _told(difficulty, weights, unsure))


def _ledger(d: Difficulty) -> tuple[Tensor, Tensor, Tensor]:
    if d.p_wrong is None or d.consensus is None:
        raise InputError(
            "the automatic scheme reads the ledger, and there is none (it needs classes, log-loss and two views a sample): "
            "measure so, or name another scheme"
        )
    p_wrong, logits, labels = (torch.tensor(each) for each in (d.p_wrong, d.consensus, d.labels))
    return p_wrong, logits, labels


def explained(d: Difficulty, weights: np.ndarray, certain: Bool[Tensor, " sample"] | None = None) -> str:
    """What the automatic weights do and why, a paragraph.

    Args:
        d: what was measured.
        weights: as they are used, perhaps clipped, of any mean; ``(sample,)``.
        certain: whose label is known to be right; None: nobody's.

    Raises:
        InputError: as in :func:`decide`.
    """
    return _told(d, weights, ledger_unreliability(*_ledger(d), certain))


def _told(d: Difficulty, weights: np.ndarray, unsure: float) -> str:
    assert d.p_wrong is not None
    assert d.classes is not None
    n = len(d)
    if (weights == weights[0]).all() and d.p_wrong.mean() < FEWEST_WRONG:
        return (
            f"All {n:,} samples weigh the same: no label is doubted (mean P(wrong) {d.p_wrong.mean():.2%}), and all classes "
            "have as many samples, so there is nothing to gain."
        )
    said = []
    if d.p_wrong.mean() >= FEWEST_WRONG:
        doubted = d.p_wrong > 0.5
        said.append(
            f"About {d.p_wrong.sum():,.0f} of {n:,} labels ({d.p_wrong.mean():.1%}) are wrong, {int(doubted.sum()):,} of "
            f"them more likely so than not: every sample counts by the probability that its label is right, so that those "
            f"{int(doubted.sum()):,} carry {weights[doubted].sum() / weights.sum():.1%} of the weight. Samples at a "
            f"boundary count up to {1 + _EMPHASIS * d.p_wrong.mean():.2g} times as much as others, because noise blurs it."
        )
    else:
        said.append(f"No label is doubted (mean P(wrong) {d.p_wrong.mean():.2%}), so none is weighted down.")
    if unsure:
        said.append(
            f"The surest predictions miss more labels than that explains, so there is noise of another kind (trust in the "
            f"ledger {1 - unsure:.0%}): samples also count as far as held-out models believe their labels."
        )
    mass = np.bincount(d.labels, 1 - d.p_wrong, len(d.classes))
    present = np.flatnonzero(np.bincount(d.labels, minlength=len(d.classes)))
    least, most = present[mass[present].argmin()], present[mass[present].argmax()]
    power = balance(torch.tensor(d.p_wrong), len(present), unsure)
    said.append(
        f"Class {d.classes[least]!r} has {mass[least]:,.1f} rightly labelled samples and class {d.classes[most]!r} has "
        f"{mass[most]:,.1f}; classes are balanced to the power {power:.2g}, so a sample of the first counts up to "
        f"{weights[d.labels == least].max():.3g}, one of the second up to {weights[d.labels == most].max():.3g}."
    )
    said.append(f"The weights are worth {effective(weights):,.0f} samples of equal weight.")
    return " ".join(said)


ROWS = (
    Scheme(
        "auto",
        "samples by their own causes: down by P(label wrong), up for classes that are short of right labels",
        "a / (sum of a over the samples of the label)^b · (1 + 4 mean P(wrong) (1 - difference of the two largest p)), "
        "a = (1 - P(wrong)) (p / max p)^s, s: noise that P(wrong) does not explain, 0 to 1; b = 1 - s/2, less of two "
        "classes",
        auto,
        "learned",
        "probabilities of the ledger",
        "hardsight; after Northcutt et al. 2021, Confident learning, JAIR, and class-balanced weights",
        normalization="mean 1",
        note="Needs d.p_wrong: hs.weigh(d). hs.weights.automatic.decide(d) also says in words what it did.",
    ),
)
