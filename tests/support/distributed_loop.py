"""What two processes do in ``tests/weights/training/test_distributed.py``, and the batches that one process does instead."""

from contextlib import nullcontext

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

import hardsight as hs
from hardsight.errors import InputError
from support import example_schemes

SAMPLES, CLASSES, EPOCHS, RANKS = 51, 3, 2, 2
FIXED = torch.linspace(0, 3, SAMPLES)
WHATS = {
    "fixed": (FIXED, {}),
    "fixed weighted mean": (FIXED, {"reduction": "weighted mean"}),
    "stateless": ("t-focal", {}),
    "through": ("t-focal-through", {}),
    "batch-relative": ("t-tilted", {"t": 1.5}),
    "batch-relative weighted mean": ("t-tilted-mean", {"t": 1.5}),
    "batch-relative through": ("t-tilted-through", {"t": 1.5}),
    "stateful": ("t-running", {}),
    "stateful weighted mean": ("t-running-mean", {}),
    "stateful loss": ("t-past", {}),
    "drawing": ("t-random", {}),
}
BY_HAND = (
    ([4, 9, 2], [7, 1]),
    ([5], []),
    ([], [3, 6, 8]),
    ([10, 11], [11, 12, 10]),
    ([20, 21, 22, 23], [24]),
)
"""Unequal batches, empty ones, a last one of a single sample, the same samples on both ranks."""


def data():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(SAMPLES, 4, generator=generator), torch.randint(CLASSES, (SAMPLES,), generator=generator)


def padded_batches(epoch):
    """Of each step, the positions of each rank: as DistributedSampler shuffles and pads them, seven at a time."""
    order = []
    for rank in range(RANKS):
        sampler = DistributedSampler(range(SAMPLES), RANKS, rank, shuffle=True, seed=5)
        sampler.set_epoch(epoch)
        order.append(torch.tensor(list(sampler)).split(7))
    return list(zip(*order, strict=True))


def begin(what):
    """The model and the weighting before the first step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, CLASSES))
    source, given = WHATS[what]
    return model, hs.Weighting(source, num_samples=SAMPLES, classes=CLASSES, **given)


def losses(model, at):
    X, y = data()
    logits = model(X[at])
    return {
        "loss": torch.nn.functional.cross_entropy(logits, y[at], reduction="none"),
        "logits": logits,
        "labels": y[at],
    }


def trained(model, weighting, batches_of):
    """Train, and give the losses of all steps, the parameters and what is remembered."""
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    told = []
    for epoch in range(EPOCHS):
        weighting.set_epoch(epoch)
        for at in batches_of(epoch):
            loss = weighting(ids=at, **losses(model, at))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            told.append(loss.detach())
    return outcome(model, weighting, told)


def outcome(model, weighting, told):
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    memory = weighting.state_dict()
    # One process has no padding to look for.
    memory.pop("seen.last_epoch")
    return {"losses": torch.stack(told), "model": inner.state_dict(), "weighting": memory}


def accumulated(model, weighting, shares, items=None):
    """One step on an effective batch of which this rank has the micro-batches ``shares``."""
    whole = torch.cat(shares)
    with torch.no_grad():
        told = losses(model, whole)
    weights = None if items else weighting.weights(ids=whole, **told)
    total, done = torch.zeros(()), 0
    for number, at in enumerate(shares, 1):
        waits = number < len(shares) and isinstance(model, DistributedDataParallel)
        with model.no_sync() if waits else nullcontext():
            now = losses(model, at)
            if weights is None:
                part = weighting(ids=at, items=items, **now)
            else:
                part = weighting.apply_weights(now["loss"], weights[done : done + len(at)])
            part.backward()
        total, done = total + part.detach(), done + len(at)
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    return {"loss": total, "gradients": [p.grad for p in inner.parameters()]}


def refusals(rank):
    """What each rank says where one gives a wrong id, or where all samples came before."""
    said = []
    weighting = hs.Weighting("t-running", num_samples=SAMPLES)
    for at in ([rank, 5 + 94 * rank], [0, 1]):
        weighting.set_epoch(0)
        try:
            weighting(torch.ones(2), torch.tensor(at))
        except InputError as error:
            said.append(str(error))
    weighting(torch.ones(1), torch.tensor([rank + 2]))
    try:
        weighting(torch.ones(1), torch.tensor([rank]))
    except InputError as error:
        said.append(str(error))
    return said


def run(rank, folder):
    """One of the processes; what it found goes into a file."""
    torch.set_num_threads(1)
    example_schemes.offered()
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    found = {}
    for what in WHATS:
        for kind, batches_of in (
            ("padded", lambda epoch: [step[rank] for step in padded_batches(epoch)]),
            ("by hand", lambda epoch: [torch.tensor(step[rank], dtype=torch.int64) for step in BY_HAND]),
        ):
            model, weighting = begin(what)
            found[what, kind] = trained(DistributedDataParallel(model), weighting, batches_of)
    for what, shares in MICRO.items():
        model, weighting = begin(what)
        items = None if what.startswith(("batch", "stateful", "fixed weighted")) else 12
        found[what, "accumulated"] = accumulated(DistributedDataParallel(model), weighting, shares[rank], items)
    found["refusals"] = refusals(rank)
    found["sampler"] = [list(hs.WeightedSampler(FIXED, draws=21, seed=4, replacement=r)) for r in (True, False)]
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


_ALIKE = tuple([torch.arange(6 * r, 6 * r + 4), torch.arange(6 * r + 4, 6 * r + 6)] for r in range(2))
_UNLIKE = ([torch.arange(5), torch.arange(5, 9)], [torch.arange(9, 12)])
MICRO = {
    "stateless": _ALIKE,
    "fixed": _ALIKE,
    "batch-relative": _UNLIKE,
    "batch-relative weighted mean": _UNLIKE,
    "stateful": _UNLIKE,
    "fixed weighted mean": _UNLIKE,
}
"""Micro-batches of one effective batch of twelve, by rank; where weights come first, not equally many."""
