"""Weights that are learned without a clean batch's gradient: temperatures, three numbers, or a network of the inputs.

Data parameters in a loop, ``rows`` being the positions of the samples of a batch::

    state = SCHEMES["data-parameters"].begin(StateShape(samples, classes), {})
    data_parameters(state, model(x), y, rows).mean().backward(); optimizer.step(); descend_data_parameters(state)

LiLAW, after a step of the model by ``(lilaw(state, logits, y) * loss).mean()``, with a batch of validation data::

    descend_lilaw(state, model(x_val), y_val)

ScreenerNet::

    weights, objective = screener_net(net, x, loss)
    optimizer_of_net.zero_grad(); objective.mean().backward(); optimizer_of_net.step()
    (weights * loss).mean().backward()
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_class_codes, check_finite
from hardsight.weights.scheme import Scheme, State, StateShape
from hardsight.weights.schemes.calls import Scored, called

_LARGEST = math.log(20)


def start_data_parameters(room: StateShape, *, sample: float = 1.0, of_class: float = 1.0) -> State:
    """Logarithms of the temperatures, to be learned, and of their momentum.

    Args:
        room: for how many samples and classes.
        sample: the first temperature of a sample.
        of_class: the first one of a class.
    """
    begun = {"samples": (room.samples, sample), "classes": (room.classes, of_class)}
    state: State = {}
    for name, (length, value) in begun.items():
        log = math.log(check_range(f"first temperature of {name}", value, 0, strict=(True, False)))
        state[name] = torch.full((length,), log, device=room.device, requires_grad=True)
        state[f"{name} momentum"] = torch.zeros(length, device=room.device)
    return state


def data_parameters(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"] | None = None,
) -> Float[Tensor, " sample"]:
    """Cross-entropy of the logits divided by a temperature that is learned: that of the sample plus that of its class.

    Without classes in the state it is that of the sample, without samples that of the class. The gradient by the logits
    is (softmax(z / sigma) - y) / sigma: hard samples are made to count less by a rising temperature.
    """
    parts = []
    if len(state["samples"]):
        if rows is None:
            raise InputError("a temperature per sample needs the samples' rows in the state: pass rows=…")
        parts.append(state["samples"][rows].exp())
    if len(state["classes"]):
        parts.append(state["classes"][check_class_codes(labels, len(state["classes"]))].exp())
    if not parts:
        raise InputError("state has neither samples nor classes: begin it with StateShape(samples=…, classes=…)")
    sigma = torch.stack(parts).sum(0).to(logits.dtype)
    return cross_entropy(check_finite("logits", logits) / sigma[:, None], labels, reduction="none")


def descend_data_parameters(state: State, *, rate: float = 0.1, momentum: float = 0.9) -> None:
    """One step of gradient descent by the gradients at hand, which are then gone; temperatures stay in [1/20, 20].

    Only what has a gradient moves, its momentum too: a sample that was not in the batch stays where it is.
    """
    check_range("rate", rate, 0, strict=(True, False))
    check_range("momentum", momentum, 0, 1, strict=(False, True))
    for name in ("samples", "classes"):
        values, speed = state[name], state[f"{name} momentum"]
        if values.grad is None:
            continue
        moving = values.grad != 0
        speed[moving] = momentum * speed[moving] + values.grad[moving]
        with torch.no_grad():
            values[moving] = (values - rate * speed)[moving].clamp(-_LARGEST, _LARGEST)
        values.grad = None


def start_lilaw(room: StateShape, *, alpha: float = 10.0, beta: float = 2.0, delta: float = 6.0) -> State:
    """The three numbers that are learned."""
    begun = {"alpha": alpha, "beta": beta, "delta": delta}
    return {name: torch.tensor(value, device=room.device) for name, value in begun.items()}


def lilaw(
    state: State, logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, " sample"]:
    """sigmoid(alpha p - top) + sigmoid(top - beta p) + exp(-(delta p - top)² / 2), top the largest probability."""
    predicted = check_finite("logits", logits).softmax(1)
    p = predicted.gather(1, check_class_codes(labels, logits.shape[1])[:, None])[:, 0]
    top = predicted.amax(1)
    alpha, beta, delta = (state[name].to(logits.dtype) for name in ("alpha", "beta", "delta"))
    return (alpha * p - top).sigmoid() + (top - beta * p).sigmoid() + torch.exp(-((delta * p - top) ** 2) / 2)


def descend_lilaw(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    rate: float = 5e-3,
    decay: float = 1e-4,
) -> None:
    """One step of the three numbers down the weighted loss of a validation batch; alpha >= 1, delta >= beta.

    Published with ``rate`` and ``decay`` as here, after two epochs in which all weights are one.
    """
    check_range("rate", rate, 0, strict=(True, False))
    check_range("decay", decay, 0)
    names = ("alpha", "beta", "delta")
    learned = {name: state[name].detach().requires_grad_() for name in names}
    with torch.enable_grad():
        fixed = logits.detach()
        loss = (lilaw(learned, fixed, labels) * cross_entropy(fixed, labels, reduction="none")).mean()
        gradients = torch.autograd.grad(loss, [learned[name] for name in names])
    for name, gradient in zip(names, gradients, strict=True):
        state[name].sub_(rate * (gradient + decay * state[name]))
    state["alpha"].clamp_(min=1)
    state["delta"].clamp_(min=float(state["beta"]))


def screener_net(weigher: nn.Module, inputs: Any, loss: Float[Tensor, " sample"], *, margin: float = 1.0) -> Scored:
    """Weights of a network that looks at the inputs, and is taught to weigh high what has a high loss.

    Args:
        weigher: from inputs to weights from 0 to 1, ``(sample,)`` or ``(sample, 1)``.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        loss: of the model; ``(sample,)``.
        margin: of the loss, above which the objective asks for a weight of one.

    Returns:
        The weights, and the objective (1 - w)² l + w² max(margin - l, 0).
    """
    weights = called(weigher, {}, inputs).reshape(len(loss))
    fixed = loss.detach()
    objective = (1 - weights) ** 2 * fixed + weights**2 * (check_range("margin", margin, 0) - fixed).clamp(min=0)
    return Scored(weights.detach(), objective)


ROWS = (
    Scheme(
        "data-parameters",
        "samples and classes whose learned temperature stays low",
        "cross-entropy of z / (sigma_i + sigma_y), log sigma by gradient descent",
        data_parameters,
        "learned",
        "none: logits",
        "Saxena, Tuzel & DeCoste 2019, Data parameters: a new family of parameters for learning a differentiable "
        "curriculum, NeurIPS",
        kind="learned",
        through=True,
        init=start_data_parameters,
        note="The function gives losses. Both temperatures start at 1, so that their sum starts at 2, as in the authors' "
        "code. descend_data_parameters is its step: rate .1, momentum .9, log sigma within ±log 20.",
    ),
    Scheme(
        "lilaw",
        "easy, medium or hard samples, as three learned numbers say",
        "sigmoid(a p - q) + sigmoid(q - b p) + exp(-(d p - q)²/2), q = max_c p_c; a, b, d by a step on validation data",
        lilaw,
        "learned",
        "p and the largest probability",
        "Moturu et al. 2025, LiLAW: lightweight learnable adaptive weighting, arXiv 2509.20786",
        kind="learned",
        through=True,
        clean_data="a validation batch at every step; its labels may be noisy",
        init=start_lilaw,
        note="descend_lilaw is the step of a, b, d. The gradient flows through the weights in the authors' code.",
    ),
    Scheme(
        "screener-net",
        "inputs like those of high loss",
        "w = s(x), s by the mean of (1 - w)² l + w² max(margin - l, 0)",
        screener_net,
        "learned",
        "inputs; loss, nats",
        "Kim & Choi 2018, ScreenerNet: learning self-paced curriculum for deep neural networks, arXiv 1801.00904",
        kind="learned",
    ),
)
