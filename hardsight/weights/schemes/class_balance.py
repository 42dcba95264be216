"""Class balance: weights and losses by the sizes and the errors of the classes, and minority samples by their place."""

import math
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_codes, check_finite, check_losses, check_probabilities
from hardsight.weights.scheme import State, StateShape, scheme

_CUI = "Cui et al. 2019, Class-balanced loss based on effective number of samples, CVPR"
_CAO = "Cao et al. 2019, Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS"
_SIZES = "number of samples of each class"
_class_scheme = partial(scheme, scale=_SIZES, per="class")


@scheme(
    "uniform",
    formula="1",
    priority="none",
    scale="none; the loss only tells the number of samples",
    source="none",
    compares_samples=False,
    normalization="mean 1",
)
def uniform(loss: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Weigh all samples equally."""
    return torch.ones_like(loss)


@_class_scheme(
    "balanced",
    formula="N / (K n_c)",
    priority="none",
    source="King & Zeng 2001, Logistic regression in rare events data, Political Analysis; scikit-learn's 'balanced'",
    compares_samples=False,
    normalization="mean 1 over the data set",
    note="K is the number of classes that have samples.",
)
def balanced(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes, so that all classes have the same total weight.

    The weight is N / (K n_c), K the number of classes that have samples.

    >>> balanced(torch.tensor([0, 0, 0, 1]), torch.tensor([3, 1]))
    tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """
    return _inverse_power(labels, sizes, 1)


@_class_scheme(
    "balanced-sqrt",
    formula="N n_c^(-1/2) / sum_k n_k^(1/2)",
    priority="none",
    source="Mahajan et al. 2018, Exploring the limits of weakly supervised pretraining, ECCV",
    compares_samples=False,
    normalization="mean 1 over the data set",
    note="Published as sampling by the square root of the frequency.",
)
def balanced_sqrt(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes, half-way to balanced.

    The weight is proportional to n_c^(-1/2): on a log scale half-way from uniform to balanced; mean one over the data set.
    """
    return _inverse_power(labels, sizes, 0.5)


def _inverse_power(labels: Tensor, sizes: Tensor, power: float) -> Tensor:
    n = class_sizes(labels, sizes)
    counts = torch.where(n > 0, n, 1)
    weights = n.sum() / (counts ** (1 - power) * (n > 0)).sum() / counts**power
    return weights[labels.long()]


@_class_scheme(
    "class-balanced",
    formula="(1 - beta) / (1 - beta^n_c) · K / sum",
    priority="none",
    source=_CUI,
    compares_samples=False,
    normalization="mean 1 over classes",
    note="The paper tries beta of .9, .99, .999 and .9999; the default is that of LDAM's code. The mean over the "
    "samples is below one, because large classes weigh less.",
)
def class_balanced(
    labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"], *, beta: float = 0.9999
) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes, less so for classes large enough to be redundant.

    The weight is the inverse of the effective number of samples (1 - beta^n_c) / (1 - beta); mean one over the classes.

    Args:
        beta: 0 is uniform, towards 1 it is the inverse frequency.
    """
    return _inverse_effective_numbers(class_sizes(labels, sizes), beta)[labels.long()]


def _inverse_effective_numbers(n: Tensor, beta: float) -> Tensor:
    log_beta = torch.as_tensor(check_range("beta", beta, 0, 1, strict=(False, True)), dtype=torch.float64).log().to(n)
    # 1 - beta^n loses precision where beta^n is near 1.
    inverse = torch.where(n > 0, -1 / torch.expm1(torch.where(n > 0, n, 1) * log_beta), 0)
    return inverse * (n > 0).sum() / inverse.sum()


@_class_scheme(
    "drw",
    formula="1 while t < start · T, then class-balanced",
    priority="varied",
    source=_CAO,
    compares_samples=False,
    reduction="weighted mean",
    normalization="mean 1 over classes",
    note="Published with the switch at epoch 160 of 200.",
)
def drw(
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    epoch: float,
    epochs: float,
    *,
    start: float = 0.8,
    beta: float = 0.9999,
) -> Float[Tensor, " sample"]:
    """Weigh all samples equally at first, and prefer small classes later.

    Deferred re-weighting: 1 at first, then :func:`class_balanced` once the share ``start`` of the epochs is done.

    Args:
        start: share of the epochs with equal weights.
        beta: as in :func:`class_balanced`.
    """
    weights = class_balanced(labels, sizes, beta=beta)
    return weights if _is_late(epoch, epochs, start) else torch.ones_like(weights)


def _is_late(epoch: float, epochs: float, start: float) -> bool:
    check_range("epochs", epochs, 0, strict=(True, False))
    return check_range("epoch", epoch, 0) >= check_range("start", start, 0, 1) * epochs


@_class_scheme(
    "ldam-loss",
    formula="cross-entropy of scale (z - m_y e_y), m_c = max_margin (n_min / n_c)^(1/4)",
    priority="none",
    source=_CAO,
    compares_samples=False,
    kind="loss",
    through=True,
    note="Made for a cosine classifier; other logits times 30 saturate.",
)
def ldam_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " size"],
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes by a larger margin.

    Returns the cross-entropy of scale (z - m_y e_y), with margins m_c proportional to n_c^(-1/4).

    Args:
        logits: cosines between features and the rows of the last layer, all of length one; ``(sample, class)``.
        max_margin: the largest margin.
        scale: factor of the logits.
    """
    margins = ldam_margins(_check_sizes(logits, labels, sizes), max_margin=max_margin)
    shifted = check_finite("logits", logits) - one_hot(labels, len(margins)) * margins
    return cross_entropy(check_range("scale", scale, 0, strict=(True, False)) * shifted, labels, reduction="none")


def ldam_margins(sizes: Real[Tensor, " class"], *, max_margin: float = 0.5) -> Float[Tensor, " class"]:
    """Return the margins of :func:`ldam_loss`; those of a class without samples are the largest.

    >>> ldam_margins(torch.tensor([500, 5]))
    tensor([0.1581, 0.5000])
    """
    n = _to_float(sizes)
    smallest = n[n > 0].min()
    return check_range("max_margin", max_margin, 0) * (smallest / n.clamp(min=smallest)) ** 0.25


@_class_scheme(
    "ldam-drw",
    formula="ldam-loss · drw / (mean of drw over the batch)",
    priority="varied",
    source=_CAO,
    compares_samples=True,
    kind="loss",
    through=True,
    normalization="mean 1 over the batch",
    note="Weights are divided by their mean over the batch, because as published the weighted losses are divided by sum(w).",
)
def ldam_drw(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " size"],
    epoch: float,
    epochs: float,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    start: float = 0.8,
    beta: float = 0.9999,
) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes by a larger margin, and later by weight too.

    Returns :func:`ldam_loss` times :func:`drw`, whose weights have mean one over the batch here.

    Args:
        logits: cosines between features and the rows of the last layer, all of length one; ``(sample, class)``.
        max_margin: the largest margin.
        scale: factor of the logits.
        start: share of the epochs with equal weights.
        beta: as in :func:`class_balanced`.
    """
    weights = drw(labels, sizes, epoch, epochs, start=start, beta=beta).to(logits)
    return ldam_loss(logits, labels, sizes, max_margin=max_margin, scale=scale) * weights / weights.mean()


@_class_scheme(
    "logit-adjusted-loss",
    formula="cross-entropy of z + tau log(n_c / N)",
    priority="none",
    source="Menon et al. 2021, Long-tail learning via logit adjustment, ICLR",
    compares_samples=False,
    kind="loss",
    through=True,
)
def logit_adjusted_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], sizes: Real[Tensor, " size"], *, tau: float = 1.0
) -> Float[Tensor, " sample"]:
    """Prefer samples of small classes, by a margin that makes the balanced error consistent.

    Returns the cross-entropy of z + tau log(n / N); the logits themselves then learn the posterior of balanced classes.

    Args:
        tau: strength of the adjustment.
    """
    n = _check_sizes(logits, labels, sizes)
    prior = n.clamp(min=torch.finfo(n.dtype).tiny).log() - n.sum().log()
    return cross_entropy(check_finite("logits", logits) + check_range("tau", tau, 0) * prior, labels, reduction="none")


def _check_sizes(logits: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    if logits.shape[1] != len(sizes):
        raise InputError(
            f"sizes must have one entry for each of the {logits.shape[1]} classes of the logits. Got {len(sizes)}"
        )
    return class_sizes(labels, sizes).to(logits)


def class_sizes(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " class"]:
    """Return the sizes as floats, checked against the labels; ``(class,)``.

    Raises:
        InputError: a label is not a class code or is of a class without samples, or a size is below zero.
    """
    n = check_finite("sizes", _to_float(sizes))
    if bool((n < 0).any()):
        raise InputError("sizes must be 0 or more: pass the number of samples of each class in the data set")
    outside = (labels < 0) | (labels >= len(n))
    if bool(outside.any()):
        wrong = int(labels[outside][0])
        raise InputError(
            f"labels must be class codes from 0 to {len(n) - 1}, because sizes has {len(n)} entries. Got {wrong}"
        )
    size_of_label = n[labels.long()]
    if bool((size_of_label == 0).any()):
        empty = int(labels[size_of_label == 0][0])
        raise InputError(f"sizes is 0 for class {empty}, but labels has a sample of it: pass the sizes of this data set")
    return n


def _to_float(sizes: Tensor) -> Tensor:
    return sizes if sizes.is_floating_point() else sizes.to(torch.get_default_dtype())


def _dynamic_power(rates: Tensor) -> float:
    imbalance = float((1 - rates.min()) / (1 - rates.max() + 0.01))
    return 1 / (1 + math.exp(-imbalance))


@scheme(
    "cdb",
    formula="e_c^tau K / sum(e^tau); dynamic: tau = sigmoid((1 - min e)/(1 - max e + 0.01))",
    priority="hard",
    scale="error rate of the class, 0 to 1",
    source="Sinha, Ohashi & Nakamura 2020, Class-wise difficulty-balanced loss for solving class-imbalance, ACCV",
    compares_samples=False,
    normalization="mean 1 over classes",
    per="class",
    clean_data="balanced validation data, to compute the error rates again in every epoch",
    note="Dynamic tau is 0.5 to 1: it never emphasizes more than in proportion. A class without error has the "
    "weight 0 for tau > 0.",
)
def cdb(
    class_error: Float[Tensor, " class"], labels: Int[Tensor, " sample"], *, tau: float | Literal["dynamic"] = "dynamic"
) -> Float[Tensor, " sample"]:
    """Prefer classes that the model gets wrong on validation data.

    The weight is a power of the error rate of the sample's class.

    Args:
        class_error: error rate of each class on balanced validation data; ``(class,)``.
        tau: the power; "dynamic" sets it from the inequality of the rates.

    Raises:
        InputError: no class has an error, a rate outside 0 to 1, labels that are not class codes, or ``tau`` below 0.
    """
    rates = check_probabilities(class_error)
    if not bool((rates > 0).any()):
        raise InputError(
            "class_error must be above 0 for at least one class, because the weights follow the errors. Got zeros only"
        )
    power = _dynamic_power(rates) if isinstance(tau, str) else check_range("tau", tau, 0)
    classes = rates**power
    return (classes / classes.mean())[check_codes("labels", labels, len(rates))]


def init_lff(shape: StateShape) -> State:
    """Return running losses and labels of samples that have not been seen yet."""
    return {
        "debiased": torch.zeros(shape.samples, device=shape.device),
        "biased": torch.zeros(shape.samples, device=shape.device),
        "labels": torch.full((shape.samples,), -1, dtype=torch.int64, device=shape.device),
    }


@scheme(
    "lff",
    formula="b / (b + d + 1e-8); b, d: running losses of the biased and the debiased network over the largest of the class",
    priority="hard",
    scale="loss of two networks, relative to the class",
    source="Nam et al. 2020, Learning from failure: training debiased classifier from biased classifier, NeurIPS",
    compares_samples=True,
    normalization="between 0 and 1",
    init=init_lff,
    note="Train the second network by the scheme or loss gce with q = 0.7. The largest running loss of a class is "
    "that of the samples seen so far.",
)
def lff(
    state: State,
    loss: Float[Tensor, " sample"],
    peer: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    decay: float = 0.7,
) -> Float[Tensor, " sample"]:
    """Prefer samples that a deliberately biased network gets wrong.

    The weight is the relative difficulty of the sample for the biased network, compared with the debiased one.

    Args:
        state: running losses of both networks, and labels.
        loss: of the debiased network, which the weights are for; ``(sample,)``.
        peer: of the biased network, trained by generalized cross-entropy; ``(sample,)``.
        decay: share of the running losses that stays in a step.
    """
    check_range("decay", decay, 0, 1, strict=(False, True))
    index = check_codes("rows", rows, len(state["labels"])).long()
    seen = state["labels"][index] >= 0
    for name, current in (("debiased", loss), ("biased", peer)):
        previous = state[name][index]
        loss_now = check_losses(current).detach().to(previous)
        state[name][index] = torch.where(seen, decay * previous + (1 - decay) * loss_now, loss_now)
    state["labels"][index] = labels.long()
    debiased, biased = (_scale_by_class(state, name, index) for name in ("debiased", "biased"))
    return (biased / (biased + debiased + 1e-8)).to(loss.dtype)


def _scale_by_class(state: State, name: str, index: Tensor) -> Tensor:
    """Return the running losses divided by the largest of their class; 0 if that is 0."""
    labels, values = state["labels"], state[name]
    seen = labels >= 0
    largest = values.new_zeros(int(labels.max()) + 1)
    largest.scatter_reduce_(0, labels[seen], values[seen], "amax")
    scale = largest[labels[index]]
    return values[index] / torch.where(scale > 0, scale, 1)


def init_adaboost(shape: StateShape) -> State:
    """Return weights of one."""
    return {"weights": torch.ones(shape.samples, dtype=torch.float64, device=shape.device)}


@scheme(
    "adaboost",
    formula="w <- w exp(alpha 1[wrong]), alpha = log((1 - err)/err) + log(K - 1), divided by the mean",
    priority="hard",
    scale="0/1 error of the current model",
    source="Freund & Schapire 1997, JCSS; several classes, SAMME: Hastie et al. 2009, Multi-class AdaBoost, "
    "Statistics and Its Interface",
    compares_samples=True,
    reduction="weighted mean",
    normalization="mean 1 over the data set",
    init=init_adaboost,
    note="One step is one round: a model trained with the weights, then all samples at once. Published weights sum to one.",
    exclude_from_benchmark={"in training": "for ensembles, one step per member"},
)
def adaboost(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    learning_rate: float = 1.0,
) -> Float[Tensor, " sample"]:
    """Prefer samples that earlier models got wrong.

    Returns the weights for the next model, from the predictions of the last one, trained with the present weights,
    for all samples. With err the weighted error rate and alpha = log((1 - err) / err) + log(K - 1), the weights of
    wrongly predicted samples grow by exp(learning_rate · alpha); then all are scaled to mean one. A model without
    errors leaves them unchanged.

    Args:
        state: the present weights.
        logits: of the last model, for all samples; ``(sample, class)``.
        learning_rate: factor of alpha.

    Raises:
        InputError: not all samples at once, logits that are not finite, or a model no better than chance under the
            weights, at which boosting ends.
    """
    weights = state["weights"]
    if len(rows) != len(weights) or len(torch.unique(rows)) != len(weights):
        raise InputError(
            f"rows must be all {len(weights)} samples, once each, because a round of boosting reads all of them. "
            f"Got {len(rows)}"
        )
    classes = logits.shape[1]
    is_wrong = (check_finite("logits", logits).argmax(1) != labels).to(weights)
    error = float((weights[rows] * is_wrong).sum() / weights.sum())
    if error >= 1 - 1 / classes:
        raise InputError(
            f"logits must be better than chance under the weights. Got the error {error:.3f}: end the boosting here"
        )
    if error > 0:
        alpha = check_range("learning_rate", learning_rate, 0) * (math.log((1 - error) / error) + math.log(classes - 1))
        weights[rows] *= torch.exp(alpha * is_wrong)
        weights /= weights.mean()
    return weights[rows].to(logits.dtype)


_NEWAZ = "Newaz et al. 2024, iCost: a novel instance complexity based cost-sensitive learning framework; package icost"
_MINORITY = "The priority is that among minority samples. For two classes; with several, take one against the rest."


@scheme(
    "icost-neighbours",
    formula="imbalance · (.3 pure | .5 safe | .7 border | .1 outlier) by the share of majority neighbours; majority: 1",
    priority="medium",
    scale="share of the neighbours of the other class",
    source=_NEWAZ,
    compares_samples=False,
    note=_MINORITY,
)
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
    """Prefer minority samples near the boundary, then those within their own class, then those within the other class.

    A minority sample has the imbalance times the cost of its kind as weight, a majority sample 1. The kind is ``pure`` if no
    neighbour is of the majority, ``safe`` if less than half are, ``outlier`` if all are, and ``border`` otherwise.

    Args:
        labels: class codes, 0 or 1; ``(sample,)``.
        sizes: number of samples of the two classes; the imbalance is the larger divided by the smaller; ``(class,)``.
        neighbours: labels of each sample's nearest neighbours, itself excluded; published with 5; ``(sample, neighbour)``.
        pure: cost of pure samples.
        safe: cost of safe samples.
        border: cost of border samples.
        outlier: cost of outliers.

    Raises:
        InputError: not two classes, no neighbours, or a cost below zero.
    """
    minority, ratio = _imbalance(labels, sizes)
    if neighbours.shape[1] == 0:
        raise InputError("neighbours must have one column or more: published with 5 neighbours")
    foreign = (neighbours != minority).to(ratio).mean(1)
    cost = torch.full_like(foreign, check_range("border", border, 0))
    cost = torch.where(foreign < 0.5, check_range("safe", safe, 0), cost)
    cost = torch.where(foreign == 0, check_range("pure", pure, 0), cost)
    cost = torch.where(foreign == 1, check_range("outlier", outlier, 0), cost)
    return torch.where(labels == minority, cost * ratio, 1)


@scheme(
    "icost-gini",
    formula="imbalance · (.3 if q >= .8 | .1 if q <= .2 | .5 + .2 · 4 q (1 - q)), q held-out leaf purity; majority: 1",
    priority="medium",
    scale="held-out share of the minority in the sample's leaf",
    source=_NEWAZ,
    compares_samples=False,
    note=_MINORITY,
)
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
    """Prefer minority samples in mixed regions, then those among their own class, then those among the other class.

    A minority sample has the imbalance times a cost by the purity of its leaf as weight, a majority sample 1. The
    cost is ``pure`` from purity ``clear`` on, ``outlier`` up to ``foreign``, and in between ``safe`` + (``border`` -
    ``safe``) · 4 purity (1 - purity).

    Args:
        labels: class codes, 0 or 1; ``(sample,)``.
        sizes: number of samples of the two classes; the imbalance is the larger divided by the smaller; ``(class,)``.
        purity: from :func:`leaf_purity`; ``(sample,)``.
        pure: cost of pure samples.
        safe: cost of safe samples.
        border: cost of border samples.
        outlier: cost of outliers.
        clear: purity from which on samples are pure.
        foreign: purity up to which samples are outliers, below ``clear``.

    Raises:
        InputError: not two classes, a purity outside 0 to 1, or a parameter out of range.
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
    """Return the share of the minority in the leaf of each sample, by a tree not trained on the sample; ``(sample,)``.

    Args:
        X: numeric features; ``(sample, feature)``.
        labels: of two classes; ``(sample,)``.
        folds: number of folds of stratified cross-fitting; fewer if the minority has fewer samples.
        depth: depth of the trees.
        leaf: minimum number of samples of a leaf.
        seed: seed of folds and trees.

    Raises:
        InputError: not two classes of two samples or more.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) != 2 or counts.min() < 2:
        raise InputError("labels must be of two classes with two samples or more each: take one class against the rest")
    minority = labels == classes[counts.argmin()]
    splitter = StratifiedKFold(min(check_int("folds", folds, 2), int(counts.min())), shuffle=True, random_state=seed)
    purity = np.empty(len(labels))
    for fold, (train, held_out) in enumerate(splitter.split(X, minority)):
        tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=seed + 1000 + fold)
        tree.fit(X[train], minority[train])
        purity[held_out] = tree.predict_proba(X[held_out])[:, 1]
    return torch.from_numpy(purity)


def _imbalance(labels: Tensor, sizes: Tensor) -> tuple[int, Tensor]:
    n = class_sizes(labels, sizes)
    if len(n) != 2 or bool((n == 0).any()):
        raise InputError(
            f"sizes must be those of two classes with samples. Got {n.tolist()}: take one class against the rest"
        )
    return int(n.argmin()), n.max() / n.min()
