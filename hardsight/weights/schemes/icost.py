"""iCost: minority samples weigh by the imbalance and by how clearly they belong to their class. Two classes."""

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_probabilities
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.classes import class_sizes

_NEWAZ = "Newaz et al. 2024, iCost: a novel instance complexity based cost-sensitive learning framework; package icost"


def icost_neighbours(
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    neighbours: Int[Tensor, "sample neighbour"],
    *,
    pure: float = 0.3,
    safe: float = 0.5,
    border: float = 0.7,
    outlier: float = 0.1,
) -> Float[Tensor, " sample"]:
    """A minority sample weighs the imbalance times the cost of its kind, a majority one weighs 1.

    ``pure``: no neighbour is of the majority; ``safe``: less than half; ``outlier``: all; ``border``: the others.

    Args:
        labels: class codes, 0 or 1; ``(sample,)``.
        sizes: samples of the two classes; the imbalance is the larger over the smaller.
        neighbours: labels of each sample's nearest neighbours, itself left out; published with 5.
        pure: cost.
        safe: cost.
        border: cost.
        outlier: cost.

    Raises:
        InputError: not two classes, no neighbours, or a cost below zero.
    """
    minority, ratio = _imbalance(labels, sizes)
    if neighbours.shape[1] == 0:
        raise InputError("neighbours must hold one neighbour or more of each sample: published with 5")
    foreign = (neighbours != minority).to(ratio).mean(1)
    cost = torch.full_like(foreign, check_range("border", border, 0))
    cost = torch.where(foreign < 0.5, check_range("safe", safe, 0), cost)
    cost = torch.where(foreign == 0, check_range("pure", pure, 0), cost)
    cost = torch.where(foreign == 1, check_range("outlier", outlier, 0), cost)
    return torch.where(labels == minority, cost * ratio, 1)


def icost_gini(
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    purity: Float[Tensor, " sample"],
    *,
    pure: float = 0.3,
    safe: float = 0.5,
    border: float = 0.7,
    outlier: float = 0.1,
    clear: float = 0.8,
    foreign: float = 0.2,
) -> Float[Tensor, " sample"]:
    """A minority sample weighs the imbalance times a cost by the purity of its leaf, a majority one weighs 1.

    The cost is ``pure`` from purity ``clear`` on, ``outlier`` up to ``foreign``, and between them ``safe`` + (``border`` -
    ``safe``) · 4 purity (1 - purity).

    Args:
        labels: class codes, 0 or 1; ``(sample,)``.
        sizes: samples of the two classes; the imbalance is the larger over the smaller.
        purity: :func:`leaf_purity`; ``(sample,)``.
        pure: cost.
        safe: cost.
        border: cost.
        outlier: cost.
        clear: purity.
        foreign: purity, below ``clear``.

    Raises:
        InputError: not two classes, a purity that is no share, or a parameter out of its domain.
    """
    minority, ratio = _imbalance(labels, sizes)
    check_range("clear", clear, 0, 1)
    check_range("foreign", foreign, 0, clear, strict=(False, True))
    share = check_probabilities(purity)
    ambiguity = 4 * share * (1 - share)
    cost = check_range("safe", safe, 0) + (check_range("border", border, 0) - safe) * ambiguity
    cost = torch.where(share >= clear, check_range("pure", pure, 0), cost)
    cost = torch.where(share <= foreign, check_range("outlier", outlier, 0), cost)
    return torch.where(labels == minority, cost * ratio.to(cost), 1)


def leaf_purity(
    X: np.ndarray, labels: np.ndarray, *, folds: int = 3, depth: int = 3, leaf: int = 5, seed: int = 0
) -> Float[Tensor, " sample"]:
    """Share of the minority among the samples of the leaf into which a tree that has not seen the sample puts it.

    Args:
        X: features, numbers; ``(sample, feature)``.
        labels: of two classes; ``(sample,)``.
        folds: of stratified cross-fitting; less where the minority has less samples.
        depth: of the trees.
        leaf: the least samples of a leaf.
        seed: of folds and trees.

    Raises:
        InputError: not two classes of two samples or more.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) != 2 or counts.min() < 2:
        raise InputError("labels must be of two classes with two samples or more each: give one class against the rest")
    minority = labels == classes[counts.argmin()]
    parts = StratifiedKFold(min(check_int("folds", folds, 2), int(counts.min())), shuffle=True, random_state=seed)
    purity = np.empty(len(labels))
    for fold, (fit, held_out) in enumerate(parts.split(X, minority)):
        tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=seed + 1000 + fold)
        tree.fit(X[fit], minority[fit])
        purity[held_out] = tree.predict_proba(X[held_out])[:, 1]
    return torch.from_numpy(purity)


def _imbalance(labels: Tensor, sizes: Tensor) -> tuple[int, Tensor]:
    n = class_sizes(labels, sizes)
    if len(n) != 2 or bool((n == 0).any()):
        raise InputError(f"sizes must be those of two classes. Got {n.tolist()}: give one class against the rest")
    return int(n.argmin()), n.max() / n.min()


ROWS = (
    Scheme(
        "icost-neighbours",
        "minority samples near the border, less those amid their own class, least those amid the other",
        "imbalance · (.3 pure | .5 safe | .7 border | .1 outlier) by the share of majority neighbours; majority: 1",
        icost_neighbours,
        "medium",
        "share of the neighbours of the other class",
        _NEWAZ,
        note="The priority is that among minority samples. Two classes; several: one against the rest.",
    ),
    Scheme(
        "icost-gini",
        "minority samples of mixed regions, less those of their own, least those of the other class",
        "imbalance · (.3 if q >= .8 | .1 if q <= .2 | .5 + .2 · 4 q (1 - q)), q held-out leaf purity; majority: 1",
        icost_gini,
        "medium",
        "held-out share of the minority in the sample's leaf",
        _NEWAZ,
        note="The priority is that among minority samples. Two classes; several: one against the rest.",
    ),
)
