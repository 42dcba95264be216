"""The work of two processes in ``tests/weights/training/test_distributed.py``, and the batches of both in one process."""

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
CASES = {
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
BATCHES = (([4, 9, 2], [7, 1]), ([5], []), ([], [3, 6, 8]), ([10, 11], [11, 12, 10]), ([20, 21, 22, 23], [24]))
"""Unequal batches, empty batches, a last batch of one sample, the same samples on both ranks."""


def data():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(SAMPLES, 4, generator=generator), torch.randint(CLASSES, (SAMPLES,), generator=generator)


def padded_batches(epoch):
    """Return the positions of each rank in each step, shuffled and padded by DistributedSampler, seven at a time."""
    order = []
    for rank in range(RANKS):
        sampler = DistributedSampler(range(SAMPLES), RANKS, rank, shuffle=True, seed=5)
        sampler.set_epoch(epoch)
        order.append(torch.tensor(list(sampler)).split(7))
    return list(zip(*order, strict=True))


def make_case(case):
    """Return the model and the weighting before the first step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, CLASSES))
    source, arguments = CASES[case]
    return model, hs.Weighting(source, num_samples=SAMPLES, classes=CLASSES, **arguments)


def losses(model, positions):
    X, y = data()
    logits = model(X[positions])
    return {
        "loss": torch.nn.functional.cross_entropy(logits, y[positions], reduction="none"),
        "logits": logits,
        "labels": y[positions],
    }


def train(model, weighting, batches_of):
    """Train, and return the losses of all steps, the parameters and the state."""
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    values = []
    for epoch in range(EPOCHS):
        weighting.set_epoch(epoch)
        for positions in batches_of(epoch):
            loss = weighting(ids=positions, **losses(model, positions))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.detach())
    return collect_results(model, weighting, values)


def collect_results(model, weighting, values):
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    state = weighting.state_dict()
    # One process skips no padding.
    state = {name: value for name, value in state.items() if not name.startswith("seen.")}
    return {"losses": torch.stack(values), "model": inner.state_dict(), "weighting": state}


def accumulate_step(model, weighting, parts, items=None):
    """Do one step on an effective batch of which this rank has the micro-batches ``parts``."""
    all_positions = torch.cat(parts)
    with torch.no_grad():
        values = losses(model, all_positions)
    weights = None if items else weighting.weights(ids=all_positions, **values)
    total, start = torch.zeros(()), 0
    for number, positions in enumerate(parts, 1):
        no_sync = number < len(parts) and isinstance(model, DistributedDataParallel)
        with model.no_sync() if no_sync else nullcontext():
            now = losses(model, positions)
            if weights is None:
                part = weighting(ids=positions, items=items, **now)
            else:
                part = weighting.apply_weights(now["loss"], weights[start : start + len(positions)])
            part.backward()
        total, start = total + part.detach(), start + len(positions)
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    return {"loss": total, "gradients": [p.grad for p in inner.parameters()]}


def collect_errors(rank):
    """Return the errors of a rank if one rank passes a wrong id, or if all samples came before."""
    messages = []
    weighting = hs.Weighting("t-running", num_samples=SAMPLES)
    for positions in ([rank, 5 + 94 * rank], [0, 1]):
        weighting.set_epoch(0)
        try:
            weighting(torch.ones(2), torch.tensor(positions))
        except InputError as error:
            messages.append(str(error))
    weighting(torch.ones(1), torch.tensor([rank + 2]))
    try:
        weighting(torch.ones(1), torch.tensor([rank]))
    except InputError as error:
        messages.append(str(error))
    return messages


def run_rank(rank, folder):
    """Run one of the processes, and save its results in a file."""
    torch.set_num_threads(1)
    example_schemes.register()
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    results = {}
    for case in CASES:
        for kind, batches_of in (
            ("padded", lambda epoch: [step[rank] for step in padded_batches(epoch)]),
            ("by hand", lambda epoch: [torch.tensor(step[rank], dtype=torch.int64) for step in BATCHES]),
        ):
            model, weighting = make_case(case)
            results[case, kind] = train(DistributedDataParallel(model), weighting, batches_of)
    for case, parts in MICRO_BATCHES.items():
        model, weighting = make_case(case)
        items = None if case.startswith(("batch", "stateful", "fixed weighted")) else 12
        results[case, "accumulated"] = accumulate_step(DistributedDataParallel(model), weighting, parts[rank], items)
    results["errors"] = collect_errors(rank)
    results["sampler"] = [list(hs.WeightedSampler(FIXED, num_samples=21, seed=4, replacement=r)) for r in (True, False)]
    torch.save(results, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


_EQUAL_BATCHES = tuple([torch.arange(6 * r, 6 * r + 4), torch.arange(6 * r + 4, 6 * r + 6)] for r in range(2))
_UNEQUAL_BATCHES = ([torch.arange(5), torch.arange(5, 9)], [torch.arange(9, 12)])
MICRO_BATCHES = {
    "stateless": _EQUAL_BATCHES,
    "fixed": _EQUAL_BATCHES,
    "batch-relative": _UNEQUAL_BATCHES,
    "batch-relative weighted mean": _UNEQUAL_BATCHES,
    "stateful": _UNEQUAL_BATCHES,
    "fixed weighted mean": _UNEQUAL_BATCHES,
}
"""Micro-batches of one effective batch of twelve, by rank; not equally many if weights come first."""
