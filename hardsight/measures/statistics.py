"""Statistics: numbers per sample from one view's outputs. Pure functions of a :class:`View`."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

OPTIONAL_INPUTS = ("features", "input_gradients", "rate", "loss_gradients")


class View:
    """Outputs of one model state for a batch of samples.

    Args:
        logits: float64; log-probabilities are logits, too.
        labels: class codes.
        features: inputs of the last, linear layer.
        input_gradients: gradient of the given label's logit in the inputs.
        rate: learning rate of the step, one per sample.
        loss_gradients: norm of the loss' gradient in the inputs.
    """

    def __init__(
        self,
        logits: Float64[Tensor, "row class"],
        labels: Int64[Tensor, " row"],
        features: Float[Tensor, "row feature"] | None = None,
        input_gradients: Float[Tensor, "row input"] | None = None,
        rate: Float64[Tensor, " row"] | None = None,
        loss_gradients: Float64[Tensor, " row"] | None = None,
    ) -> None:
        self.logits, self.labels = logits, labels
        self.features, self.input_gradients, self.rate = features, input_gradients, rate
        self.loss_gradients = loss_gradients

    @property
    def optional_inputs(self) -> frozenset[str]:
        """Names of the optional inputs that are there."""
        return frozenset(name for name in OPTIONAL_INPUTS if getattr(self, name) is not None)

    @classmethod
    def concatenate(cls, parts: Sequence["View"]) -> "View":
        """Concatenate batches of one view, which must have the same optional inputs."""
        if len(parts) == 1:
            return parts[0]
        names = ("logits", "labels", *parts[0].optional_inputs)
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @cached_property
    def log_prob(self) -> Float64[Tensor, "row class"]:
        """Logarithm of the predicted probabilities."""
        # Several times as fast as log_softmax if there are few classes.
        below = self.logits - self.logits.amax(1, keepdim=True)
        return below - below.exp().sum(1, keepdim=True).log()

    @cached_property
    def prob(self) -> Float64[Tensor, "row class"]:
        """Predicted probabilities."""
        return self.log_prob.exp()

    @cached_property
    def label_log_prob(self) -> Float64[Tensor, " row"]:
        """Log-probability of the given label."""
        return self.log_prob.gather(1, self.labels[:, None]).squeeze(1)

    @cached_property
    def predicted(self) -> Int64[Tensor, " row"]:
        """The most probable class, the lowest one on a tie."""
        return self.logits.argmax(1)

    @cached_property
    def residual(self) -> Float64[Tensor, "row class"]:
        """P - e_y, exact even if p_y is nearly one."""
        return self.prob.scatter(1, self.labels[:, None], self.label_log_prob.expm1()[:, None])


class Statistic(NamedTuple):
    """A function of a view, with its name.

    Attributes:
        name: name of the statistic.
        compute: the function; returns ``(row,)``, or ``(row, value)`` if ``vector`` is set.
        needs: inputs of :class:`View` beyond logits and labels.
        vector: whether it has several values per sample.
    """

    name: str
    compute: Callable[[View], Tensor]
    needs: tuple[str, ...] = ()
    vector: bool = False


def log_loss(view: View) -> Float64[Tensor, " row"]:
    """Return -log p_y."""
    return -view.label_log_prob


def doubt(view: View) -> Float64[Tensor, " row"]:
    """Return 1 - p_y, exact even if p_y is nearly one."""
    return -view.label_log_prob.expm1()


def ambiguity(view: View) -> Float64[Tensor, " row"]:
    """Return p_y (1 - p_y)."""
    return -view.label_log_prob.exp() * view.label_log_prob.expm1()


def brier(view: View) -> Float64[Tensor, " row"]:
    """Return the squared norm of p - e_y."""
    return view.residual.square().sum(1)


def residual_norm(view: View) -> Float64[Tensor, " row"]:
    """Return the norm of p - e_y."""
    return brier(view).sqrt()


def margin(view: View) -> Float64[Tensor, " row"]:
    """Return the largest other logit minus the given label's."""
    codes = view.labels[:, None]
    return view.logits.scatter(1, codes, -torch.inf).amax(1) - view.logits.gather(1, codes).squeeze(1)


def entropy(view: View) -> Float64[Tensor, " row"]:
    """Return the entropy of p, in nats."""
    return -(view.prob * view.log_prob).sum(1)


def least_confidence(view: View) -> Float64[Tensor, " row"]:
    """Return 1 - max p, exact even if the largest is nearly one."""
    return -view.log_prob.amax(1).expm1()


def right(view: View) -> Float64[Tensor, " row"]:
    """Return 1 if the given label is the predicted class, else 0."""
    return (view.predicted == view.labels).double()


def wrong(view: View) -> Float64[Tensor, " row"]:
    """Return 0 if the given label is the predicted class, else 1."""
    return 1 - right(view)


def last_layer_gradient(view: View) -> Float64[Tensor, " row"]:
    """Return the norm of the loss' gradient in weights and biases of a linear last layer: that of (p - e_y) (h, 1)'."""
    assert view.features is not None
    return residual_norm(view) * (view.features.double().square().sum(1) + 1).sqrt()


def traced_gradient(view: View) -> Float64[Tensor, " row"]:
    """Return the learning rate times the squared norm of the last layer's gradient."""
    assert view.rate is not None
    return view.rate * last_layer_gradient(view).square()


def probability(view: View) -> Float64[Tensor, "row class"]:
    """Return the predicted probabilities."""
    return view.prob


def vote(view: View) -> Float64[Tensor, "row class"]:
    """Return 1 at the predicted class, else 0."""
    return torch.nn.functional.one_hot(view.predicted, view.logits.shape[1]).double()


def features(view: View) -> Float[Tensor, "row feature"]:
    """Return the last layer's inputs, as given."""
    assert view.features is not None
    return view.features


def input_gradient(view: View) -> Float64[Tensor, "row input"]:
    """Return the gradient of the given label's logit in the inputs."""
    assert view.input_gradients is not None
    return view.input_gradients.double()


def loss_gradient(view: View) -> Float64[Tensor, " row"]:
    """Return the norm of the loss' gradient in the inputs."""
    assert view.loss_gradients is not None
    return view.loss_gradients


def logits(view: View) -> Float64[Tensor, "row class"]:
    """Return the logits."""
    return view.logits


LOG_LOSS = Statistic("log-loss", log_loss)
DOUBT = Statistic("doubt", doubt)
AMBIGUITY = Statistic("ambiguity", ambiguity)
BRIER = Statistic("brier", brier)
RESIDUAL_NORM = Statistic("residual-norm", residual_norm)
MARGIN = Statistic("margin", margin)
ENTROPY = Statistic("entropy", entropy)
LEAST_CONFIDENCE = Statistic("least-confidence", least_confidence)
RIGHT = Statistic("right", right)
WRONG = Statistic("wrong", wrong)
LAST_LAYER_GRADIENT = Statistic("last-layer-gradient", last_layer_gradient, ("features",))
TRACED_GRADIENT = Statistic("traced-gradient", traced_gradient, ("features", "rate"))
PROBABILITY = Statistic("probability", probability, vector=True)
VOTE = Statistic("vote", vote, vector=True)
FEATURES = Statistic("features", features, ("features",), vector=True)
LOGITS_OF_FEATURES = Statistic("logits", logits, ("features",), vector=True)
"""The logits of views with features."""
INPUT_GRADIENT = Statistic("input-gradient", input_gradient, ("input_gradients",), vector=True)
LOSS_GRADIENT = Statistic("loss-gradient", loss_gradient, ("loss_gradients",))
