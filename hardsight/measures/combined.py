"""Numbers of measures that need more than one column, or all samples at once."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.measures.leave_one_out import leave_one_out_logits
from hardsight.measures.neighbourhood import centroid_distance, knn_disagreement, prototype_distance
from hardsight.measures.reductions import DEVIATION
from hardsight.measures.running import State

Labels = Int64[Tensor, " sample"]
Numbers = Float64[Tensor, " sample"]


def difference(labels: Labels, first: State, second: State) -> Numbers:
    """Return the mean of the first column minus the mean of the second."""
    return first["mean"] - second["mean"]


def disagreement(labels: Labels, votes: State) -> Numbers:
    """Return 1 - the share of views that predict the class which most of them predict."""
    return 1 - votes["mean"].amax(1)


def mutual_information(labels: Labels, prob: State, entropy: State) -> Numbers:
    """Return the entropy of the mean prediction minus the mean entropy, in nats; rounding below zero is cut."""
    return (_entropy(prob["mean"]) - entropy["mean"]).clamp(min=0)


def normalized_margin(labels: Labels, prob: State) -> Numbers:
    """Return the largest mean probability of another class minus that of the given label."""
    codes = labels[:, None]
    return prob["mean"].scatter(1, codes, -torch.inf).amax(1) - prob["mean"].gather(1, codes).squeeze(1)


def confidence_weighted_entropy(labels: Labels, prob: State) -> Numbers:
    """Return the entropy of the mean prediction over log(classes), over the given label's mean probability."""
    of_label = prob["mean"].gather(1, labels[:, None]).squeeze(1)
    max_entropy = torch.tensor(float(prob["mean"].shape[1])).double().log()
    return _entropy(prob["mean"]) / max_entropy / of_label.clamp(min=torch.finfo(torch.float64).tiny)


def gradient_variation(labels: Labels, gradient: State) -> Numbers:
    """Return the mean over inputs of the standard deviation over views, standardised within the class."""
    return standardise(DEVIATION.read(gradient).mean(1), labels)


def standardise(values: Numbers, labels: Labels) -> Numbers:
    """Subtract the class mean and divide by the class' standard deviation; 0 in a class without spread.

    >>> standardise(torch.tensor([1.0, 3.0, 7.0]).double(), torch.tensor([0, 0, 1])).tolist()
    [-1.0, 1.0, 0.0]
    """
    classes, group = torch.unique(labels, return_inverse=True)
    gap = values - _class_means(values, group, len(classes))[group]
    spread = _class_means(gap.square(), group, len(classes)).sqrt()[group]
    return torch.where(spread > 0, gap / spread, 0.0)


def neighbour_disagreement(labels: Labels, features: State) -> Numbers:
    """Apply :func:`knn_disagreement` to the last recorded features, with five neighbours."""
    return knn_disagreement(features["last"], labels)


def distance_to_class(labels: Labels, features: State) -> Numbers:
    """Apply :func:`centroid_distance` to the last recorded features."""
    return centroid_distance(features["last"], labels)


def distance_to_prototype(labels: Labels, features: State) -> Numbers:
    """Apply :func:`prototype_distance` to the last recorded features, with as many clusters as labels."""
    return prototype_distance(features["last"], len(torch.unique(labels)))


def leave_one_out_loss(labels: Labels, logits: State, features: State) -> Numbers:
    """Return -log p_y by the logits of :func:`leave_one_out_logits`, from the last recorded logits and features."""
    without = leave_one_out_logits(logits["last"], labels, features["last"])
    return -without.log_softmax(1).gather(1, labels[:, None]).squeeze(1)


def _entropy(prob: Float64[Tensor, "sample class"]) -> Numbers:
    return -torch.xlogy(prob, prob).sum(1)


def _class_means(values: Numbers, group: Labels, classes: int) -> Float64[Tensor, " class"]:
    total = torch.zeros(classes, dtype=torch.float64).index_add_(0, group, values)
    return total / group.bincount(minlength=classes)
