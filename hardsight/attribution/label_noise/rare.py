"""Rare classes: labels judged by how their samples rank among those with other labels.

Models see a rare class so seldom that they hardly ever predict it, even where its label is right, so that their
probabilities would call nearly all of its labels wrong. Ranks are more robust. Let $u$ be the share of the samples with
*other* labels whose held-out probability of the class is at least as large. If the label is wrong, its sample is one of
those, and $u$ is uniform on 0 to 1. If it is right, $u$ is small: Beta(a, 10). So $u$ follows a mixture of the two, fitted
to each class (two groups, as in Efron 2008, Microarrays, empirical Bayes and the two-groups model, Statistical Science),
and its posterior is an upper bound of P(wrong): a label of a rare class is wrong only as far as both methods say so.
"""

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

# A class is rare if it has less than this share of the labels of an average class, at most so many labels (among which the
# right ones of a large class may hide), and at most so many right ones.
_MAX_RELATIVE_SIZE = 0.5
_MAX_LABELS = 200
_MAX_RIGHT = 30.0
# Second parameter of the beta distribution of u where labels are right: with 5 or 20, mean P(wrong) of right labels in 240
# rare classes was .08 or .17, and there were 3.3 or 2.8 mistakes per class instead of 3.0 (benchmarks/LOG.md).
_SECOND_SHAPE = 10.0
_FIRST_SHAPES = torch.linspace(0.05, 1, 39, dtype=torch.float64)
_EM_ROUNDS = 60
# Mean P(wrong) of the right labels of a class, as P(wrong) itself expects it, above which they cannot be judged.
_MAX_EXPECTED_P_WRONG = 0.2


def bound_p_wrong(
    consensus: Float64[Tensor, "sample class"],
    label: Int64[Tensor, " sample"],
    excluded: Bool[Tensor, " sample"] | None = None,
) -> Float64[Tensor, " sample"] | None:
    """Return upper bounds of P(wrong), 1 outside rare classes; None if no class is rare.

    Args:
        consensus: held-out log-probabilities.
        label: given labels.
        excluded: samples of classes that are not judged at all; None: there are none.
    """
    sizes = torch.bincount(label, minlength=consensus.shape[1])
    most = min(_MAX_RELATIVE_SIZE * float(sizes[sizes > 0].double().mean()), _MAX_LABELS)
    candidates = (sizes > 0) & (sizes < most)
    if excluded is not None:
        candidates[label[excluded]] = False
    bound = torch.ones(len(label), dtype=torch.float64)
    for c in candidates.nonzero().squeeze(1).tolist():
        inside = label == c
        p_wrong = _fit_ranks(_ranks(consensus[:, c], inside))
        if float((1 - p_wrong).sum()) <= _MAX_RIGHT:
            bound[inside] = p_wrong
    return bound if bool((bound < 1).any()) else None


def cannot_be_judged(
    p_wrong: Float64[Tensor, " sample"], label: Int64[Tensor, " sample"], bound: Float64[Tensor, " sample"]
) -> Bool[Tensor, " sample"]:
    """Return the samples of rare classes whose right labels cannot be told from wrong ones.

    P(right) weighs the labels, because it is not known which are right.

    Args:
        p_wrong: posterior probability that each given label is wrong.
        label: given labels.
        bound: of :func:`bound_p_wrong`.
    """
    right = torch.bincount(label, 1 - p_wrong)
    of_right = torch.bincount(label, (1 - p_wrong) * p_wrong) / right.clamp(min=1e-12)
    rare = torch.bincount(label, (bound < 1).double()) > 0
    # If all labels of a class are wrong, so may be the models.
    unclear = rare & ((of_right > _MAX_EXPECTED_P_WRONG) | (right < 1e-12))
    return unclear[label]


def _ranks(score: Float64[Tensor, " sample"], inside: Bool[Tensor, " sample"]) -> Float64[Tensor, " inside"]:
    """Return the share of scores outside that are at least as large as each one inside, strictly between 0 and 1."""
    others = score[~inside].sort().values
    smaller = torch.searchsorted(others, score[inside].contiguous())
    return (len(others) - smaller.double() + 0.5) / (len(others) + 1)


def _fit_ranks(u: Float64[Tensor, " sample"]) -> Float64[Tensor, " sample"]:
    """Return the posterior of the uniform part of the mixture; a Beta(2, 2) prior keeps both parts."""
    a, b = _FIRST_SHAPES[:, None], torch.tensor(_SECOND_SHAPE, dtype=torch.float64)
    log_beta = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    density = ((a - 1) * u.log() + (b - 1) * (-u).log1p() - log_beta).exp()
    share = torch.full((len(a), 1), 0.5, dtype=torch.float64)
    for _ in range(_EM_ROUNDS):
        right = share * density / (share * density + 1 - share)
        share = (right.sum(1, keepdim=True) + 1) / (len(u) + 2)
    mixture = share * density + 1 - share
    best = int((mixture.log().sum(1) + (share * (1 - share)).log().squeeze(1)).argmax())
    return ((1 - share) / mixture)[best].clamp(max=1 - 1e-12)
