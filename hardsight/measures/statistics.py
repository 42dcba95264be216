"""One view's outputs → numbers a sample. Pure functions of a :class:`View`."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

_OPTIONAL = ("features", "input_gradients", "rate")


class View:
    """What one model state says of a batch of samples.

    Args:
        logits: float64; log-probabilities are logits, too.
        labels: class codes.
        features: what the last, linear layer reads.
        input_gradients: gradient of the given label's logit in the inputs.
        rate: learning rate of the step, one a sample.
    """

    def __init__(
        self,
        logits: Float64[Tensor, "row class"],
        labels: Int64[Tensor, " row"],
        features: Float[Tensor, "row feature"] | None = None,
        input_gradients: Float[Tensor, "row input"] | None = None,
        rate: Float64[Tensor, " row"] | None = None,
    ) -> None:
        self.logits, self.labels = logits, labels
        self.features, self.input_gradients, self.rate = features, input_gradients, rate

    @property
    def given(self) -> frozenset[str]:
        """Which of the optional inputs are there."""
        return frozenset(name for name in _OPTIONAL if getattr(self, name) is not None)

    @classmethod
    def joined(cls, parts: Sequence["View"]) -> "View":
        """Batches of one view, which were given the same inputs, as one."""
        if len(parts) == 1:
            return parts[0]
        names = ("logits", "labels", *parts[0].given)
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @cached_property
    def log_prob(self) -> Float64[Tensor, "row class"]:
        """Logarithm of the predicted probabilities."""
        # Several times as fast as log_softmax where there are few classes.
        below = self.logits - self.logits.amax(1, keepdim=True)
        return below - below.exp().sum(1, keepdim=True).log()

    @cached_property
    def prob(self) -> Float64[Tensor, "row class"]:
        """Predicted probabilities."""
        return self.log_prob.exp()

    @cached_property
    def own(self) -> Float64[Tensor, " row"]:
        """Log-probability of the given label."""
        return self.log_prob.gather(1, self.labels[:, None]).squeeze(1)

    @cached_property
    def predicted(self) -> Int64[Tensor, " row"]:
        """The most probable class, the lowest one on a tie."""
        return self.logits.argmax(1)

    @cached_property
    def residual(self) -> Float64[Tensor, "row class"]:
        """P - e_y, exact where p_y is all but one."""
        return self.prob.scatter(1, self.labels[:, None], self.own.expm1()[:, None])


class Statistic(NamedTuple):
    """A function of a view, named.

    Attributes:
        of: the function; gives ``(row,)``, or ``(row, value)`` where ``vector`` is set.
        needs: inputs of :class:`View` beyond logits and labels.
    """

    name: str
    of: Callable[[View], Tensor]
    needs: tuple[str, ...] = ()
    vector: bool = False


def log_loss(view: View) -> Float64[Tensor, " row"]:
    """-log p_y."""
    return -view.own


def doubt(view: View) -> Float64[Tensor, " row"]:
    """1 - p_y, exact where p_y is all but one."""
    return -view.own.expm1()


def ambiguity(view: View) -> Float64[Tensor, " row"]:
    """p_y (1 - p_y)."""
    return -view.own.exp() * view.own.expm1()


def brier(view: View) -> Float64[Tensor, " row"]:
    """Squared norm of p - e_y."""
    return view.residual.square().sum(1)


def residual_norm(view: View) -> Float64[Tensor, " row"]:
    """Norm of p - e_y."""
    return brier(view).sqrt()


def margin(view: View) -> Float64[Tensor, " row"]:
    """Largest other logit minus the given label's."""
    own = view.labels[:, None]
    return view.logits.scatter(1, own, -torch.inf).amax(1) - view.logits.gather(1, own).squeeze(1)


def entropy(view: View) -> Float64[Tensor, " row"]:
    """Entropy of p, in nats."""
    return -(view.prob * view.log_prob).sum(1)


def least_confidence(view: View) -> Float64[Tensor, " row"]:
    """1 - max p, exact where the largest is all but one."""
    return -view.log_prob.amax(1).expm1()


def right(view: View) -> Float64[Tensor, " row"]:
    """1 where the given label is the predicted class, else 0."""
    return (view.predicted == view.labels).double()


def wrong(view: View) -> Float64[Tensor, " row"]:
    """0 where the given label is the predicted class, else 1."""
    return 1 - right(view)


def last_layer_gradient(view: View) -> Float64[Tensor, " row"]:
    """Norm of the loss' gradient in the weights and biases of a linear last layer: that of (p - e_y) (h, 1)'."""
    assert view.features is not None
    return residual_norm(view) * (view.features.double().square().sum(1) + 1).sqrt()


def traced_gradient(view: View) -> Float64[Tensor, " row"]:
    """Learning rate times the squared norm of the last layer's gradient."""
    assert view.rate is not None
    return view.rate * last_layer_gradient(view).square()


def probability(view: View) -> Float64[Tensor, "row class"]:
    """The predicted probabilities."""
    return view.prob


def vote(view: View) -> Float64[Tensor, "row class"]:
    """1 at the predicted class, else 0."""
    return torch.nn.functional.one_hot(view.predicted, view.logits.shape[1]).double()


def features(view: View) -> Float[Tensor, "row feature"]:
    """The last layer's inputs, as given."""
    assert view.features is not None
    return view.features


def input_gradient(view: View) -> Float64[Tensor, "row input"]:
    """Gradient of the given label's logit in the inputs."""
    assert view.input_gradients is not None
    return view.input_gradients.double()


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
INPUT_GRADIENT = Statistic("input-gradient", input_gradient, ("input_gradients",), vector=True)
