"""Schemes of every kind that a loop must carry, small enough to check by hand."""

import torch

from hardsight.weights import SCHEMES, Scheme


def tilted(loss, *, t):
    """Compares the samples of a batch: softmax(t l)."""
    return torch.softmax(t * loss, 0)


def running(state, loss, rows, *, memory=0.5):
    """Remembers a mean of each sample's losses and a mean of all: weighs by the one over the other."""
    state["mean"][rows] = memory * state["mean"][rows] + (1 - memory) * loss
    state["level"] = memory * state["level"] + (1 - memory) * loss.mean()
    return state["mean"][rows] / (state["level"] + 1)


def begin_running(shape):
    return {"mean": torch.zeros(shape.samples), "level": torch.zeros(())}


def focal(p, *, gamma=2.0):
    return (1 - p) ** gamma


def paced(loss, epoch, epochs, *, low=0.1):
    return (loss < low + epoch / epochs).to(loss.dtype)


def random(loss, generator):
    return torch.rand(len(loss), generator=generator)


def margin_loss(logits, labels, sizes):
    """A loss that leans on class sizes."""
    return torch.nn.functional.cross_entropy(logits - sizes.log(), labels, reduction="none")


def remembered_loss(state, logits, labels, rows, *, pull=0.5):
    """A loss with a table: past predictions of each sample."""
    p = logits.softmax(1)
    state["past"][rows] = 0.5 * state["past"][rows] + 0.5 * p.detach()
    ce = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return ce - pull * (state["past"][rows] * p).sum(1)


def begin_past(shape):
    return {"past": torch.zeros(shape.samples, shape.classes)}


def product_loss(logits, labels):
    """A loss by a matrix product, which mixed precision would make short."""
    return (logits @ logits.T / 3).diagonal() + labels


def chances(loss):
    return loss + 0.1


def scheme(name, function, **more):
    return Scheme(
        name=name, description=name, formula=name, function=function, priority="hard", scale="loss", source="tests", **more
    )


OURS = {
    row.name: row
    for row in (
        scheme("t-tilted", tilted, reduction="sum"),
        scheme("t-tilted-mean", tilted, reduction="weighted mean"),
        scheme("t-tilted-through", tilted, through=True, reduction="sum"),
        scheme("t-running", running, init=begin_running),
        scheme("t-running-mean", running, init=begin_running, reduction="weighted mean"),
        scheme("t-focal", focal),
        scheme("t-focal-through", focal, through=True),
        scheme("t-paced", paced, reduction="weighted mean"),
        scheme("t-random", random),
        scheme("t-margin", margin_loss, kind="loss"),
        scheme("t-past", remembered_loss, kind="loss", init=begin_past),
        scheme("t-product", product_loss, kind="loss"),
        scheme("t-chances", chances, kind="sampling"),
        scheme("t-learned", tilted, kind="learned"),
    )
}


def register():
    """Add the schemes to the catalogue of this process."""
    SCHEMES.update(OURS)


def unregister():
    """Remove them again."""
    for name in OURS:
        SCHEMES.pop(name, None)
