"""Numbers that need more than one column, or all samples at once."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.measures.neighbourhood import centroid_distance, knn_disagreement, prototype_distance
from hardsight.measures.reductions import DEVIATION, State

Labels = Int64[Tensor, " sample"]
Numbers = Float64[Tensor, " sample"]


def difference(labels: Labels, first: State, second: State) -> Numbers:
    """Mean of the first column minus mean of the second."""
    return first["mean"] - second["mean"]


def disagreement(labels: Labels, votes: State) -> Numbers:
    """1 - share of the views that predict the class which most of them predict."""
    return 1 - votes["mean"].amax(1)


def mutual_information(labels: Labels, prob: State, entropy: State) -> Numbers:
    """Entropy of the mean prediction minus mean entropy, in nats; rounding below zero is cut."""
    return (_entropy(prob["mean"]) - entropy["mean"]).clamp(min=0)


def normalized_margin(labels: Labels, prob: State) -> Numbers:
    """Largest other mean probability minus the given label's."""
    own = labels[:, None]
    return prob["mean"].scatter(1, own, -torch.inf).amax(1) - prob["mean"].gather(1, own).squeeze(1)


def confidence_weighted_entropy(labels: Labels, prob: State) -> Numbers:
    """Entropy of the mean prediction over log(classes), over the given label's mean probability."""
    own = prob["mean"].gather(1, labels[:, None]).squeeze(1)
    most = torch.tensor(float(prob["mean"].shape[1])).double().log()
    return _entropy(prob["mean"]) / most / own.clamp(min=torch.finfo(torch.float64).tiny)


def gradient_variation(labels: Labels, gradient: State) -> Numbers:
    """Mean over inputs of the standard deviation over views, standardised within the class."""
    return standardised(DEVIATION.read(gradient).mean(1), labels)


def standardised(values: Numbers, labels: Labels) -> Numbers:
    """Minus the class mean, over the class' standard deviation; 0 where a class has no spread.

    >>> standardised(torch.tensor([1.0, 3.0, 7.0]).double(), torch.tensor([0, 0, 1])).tolist()
    [-1.0, 1.0, 0.0]
    """
    classes, group = torch.unique(labels, return_inverse=True)
    gap = values - _class_means(values, group, len(classes))[group]
    spread = _class_means(gap.square(), group, len(classes)).sqrt()[group]
    return torch.where(spread > 0, gap / spread, 0.0)


def neighbours(labels: Labels, features: State) -> Numbers:
    """:func:`knn_disagreement` in the last features given, five neighbours."""
    return knn_disagreement(features["last"], labels)


def to_own_class(labels: Labels, features: State) -> Numbers:
    """:func:`centroid_distance` in the last features given."""
    return centroid_distance(features["last"], labels)


def to_prototype(labels: Labels, features: State) -> Numbers:
    """:func:`prototype_distance` in the last features given, as many clusters as there are labels."""
    return prototype_distance(features["last"], len(torch.unique(labels)))


def _entropy(prob: Float64[Tensor, "sample class"]) -> Numbers:
    return -torch.xlogy(prob, prob).sum(1)


def _class_means(values: Numbers, group: Labels, classes: int) -> Float64[Tensor, " class"]:
    total = torch.zeros(classes, dtype=torch.float64).index_add_(0, group, values)
    return total / group.bincount(minlength=classes)
