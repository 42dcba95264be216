"""The cost of ``hs.Weighting`` in a training step: the step with it and with a plain mean, in turn in one process.

A small convolutional network is trained on random images, once of the size of digits and once of CIFAR. The third kind
of step computes the same weights by hand, as the scheme's pure function does, without ids and sample data: it shows the
cost of the formula. The kinds of step alternate in changing order, so that anything that slows the machine
affects all of them. CPU time of the process. Prints a Markdown table: the median over rounds of time with / time
without, its standard error by bootstrap, and the CPU time of a plain step.
"""

import platform
import sys
import time
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import hardsight as hs

SAMPLES, CLASSES = 50_000, 10
SHAPES = {"digits: 64 images of 1 × 8 × 8": (64, 1, 8), "CIFAR: 128 images of 3 × 32 × 32": (128, 3, 32)}
SPREAD = np.sort(np.random.default_rng(0).choice(2**62, SAMPLES, replace=False))
# Ids of the samples, None for 0, 1, …; parameters of the scheme.
CASES: dict[str, tuple[Any, dict[str, float]]] = {
    "fixed weights": (None, {}),
    "fixed weights by listed ids": (7 * np.arange(SAMPLES), {}),
    "fixed weights by ids from anywhere in 64 bits": (SPREAD, {}),
    "spl-linear": (None, {"lam": 5.0}),
    "gce": (None, {}),
    "focal": (None, {}),
    "superloss": (None, {}),
}


def network(channels: int) -> nn.Module:
    """Return two convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, CLASSES),
    )


def weightings(name: str) -> tuple[hs.Weighting, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Return the weighting of a case, and a function that computes its weights from losses, logits and positions."""
    ids, parameters = CASES[name]
    if name not in hs.SCHEMES:
        fixed = torch.ones(SAMPLES)
        return hs.Weighting(np.ones(SAMPLES), ids=ids), lambda loss, logits, rows: fixed[rows]
    scheme = hs.SCHEMES[name]
    weighting = hs.Weighting(name, num_samples=SAMPLES, classes=CLASSES, **parameters)

    def by_hand(loss: Tensor, logits: Tensor, rows: Tensor) -> Tensor:
        loss = loss if scheme.through else loss.detach()
        inputs: dict[str, Callable[[], Tensor]] = {
            "loss": lambda: loss,
            "p": lambda: torch.exp(-loss),
            "logits": lambda: logits,
        }
        return scheme.function(*(inputs[key]() for key in scheme.reads), **parameters)

    return weighting, by_hand


def time_steps(name: str, shape: tuple[int, int, int], rounds: int) -> np.ndarray:
    """Return seconds of a step with a plain mean, with weights by hand, and with the weighting. ``(round, kind)``"""
    batch, channels, side = shape
    torch.manual_seed(0)
    model, (weighting, by_hand) = network(channels), weightings(name)
    sample_ids = torch.arange(SAMPLES) if CASES[name][0] is None else torch.from_numpy(CASES[name][0])
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, channels, side, side, generator=generator)
    labels = torch.randint(CLASSES, (batch,), generator=generator)

    def step(kind: int, rows: Tensor, ids: Tensor) -> float:
        start = time.process_time()
        logits = model(images)
        if kind == 0:
            total = cross_entropy(logits, labels)
        else:
            loss = cross_entropy(logits, labels, reduction="none")
            if kind == 1:
                total = (by_hand(loss, logits, rows) * loss).mean()
            else:
                total = weighting(loss, ids, logits=logits, labels=labels)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return time.process_time() - start

    orders = list(permutations(range(3)))
    seconds_by_kind = np.empty((rounds, 3))
    for round_index in range(-5, rounds):
        rows = torch.randperm(SAMPLES, generator=generator)[:batch]
        ids = sample_ids[rows]
        for kind in orders[round_index % len(orders)]:
            seconds = step(kind, rows, ids)
            if round_index >= 0:
                seconds_by_kind[round_index, kind] = seconds
    return seconds_by_kind


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("# What Weighting adds to a training step\n")
    print(f"Made by `python {' '.join(sys.argv)}` with torch {torch.__version__}, {platform.machine()}, one thread.\n")
    print("| batch | weights | step with / without | weights by hand / without | plain step, ms | Weighting adds, µs |")
    print("|---|---|---:|---:|---:|---:|")
    for shape, size in SHAPES.items():
        for name in CASES:
            seconds_by_kind = time_steps(name, size, 600 if size[2] == 8 else 42)
            cells = []
            for kind in (2, 1):
                ratio = seconds_by_kind[:, kind] / seconds_by_kind[:, 0]
                resampled = [np.median(rng.choice(ratio, len(ratio))) for _ in range(200)]
                cells.append(f"{np.median(ratio):.3f} ± {np.std(resampled):.3f}")
            plain, extra = np.median(seconds_by_kind[:, 0]), np.median(seconds_by_kind[:, 2] - seconds_by_kind[:, 0])
            print(f"| {shape} | {name} | {' | '.join(cells)} | {1e3 * plain:.2f} | {1e6 * extra:.0f} |", flush=True)


if __name__ == "__main__":
    main()
