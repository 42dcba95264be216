"""What ``hs.Weighting`` adds to a training step: the same step with it and with a plain mean, taking turns in one process.

A small convolutional network is trained on random images, once of the size of digits and once of CIFAR; the two kinds of step
take turns and swap places, so that whatever slows the machine slows both. CPU time of the process. Prints a markdown table:
the median over pairs of steps of time with / time without, its standard error by bootstrap, and the CPU time of a plain step.
"""

import platform
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import hardsight as hs

SAMPLES, CLASSES = 50_000, 10
SHAPES = {"digits: 64 images of 1 × 8 × 8": (64, 1, 8), "CIFAR: 128 images of 3 × 32 × 32": (128, 3, 32)}
SCHEMES: dict[str, Callable[[], hs.Weighting]] = {
    "fixed weights": lambda: hs.Weighting(np.ones(SAMPLES)),
    "fixed weights by listed ids": lambda: hs.Weighting(np.ones(SAMPLES), ids=np.arange(SAMPLES) * 7),
    "spl-linear": lambda: hs.Weighting("spl-linear", num_samples=SAMPLES, lam=5.0),
    "superloss": lambda: hs.Weighting("superloss", num_samples=SAMPLES, classes=CLASSES),
    "gce": lambda: hs.Weighting("gce", num_samples=SAMPLES, classes=CLASSES),
}


def network(channels: int) -> nn.Module:
    """Two convolutions and a linear layer."""
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


def ratios(make: Callable[[], hs.Weighting], shape: tuple[int, int, int], pairs: int) -> tuple[np.ndarray, float]:
    """Time with over time without, of each pair of steps, and the median seconds without."""
    batch, channels, side = shape
    torch.manual_seed(0)
    model, weighting = network(channels), make()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, channels, side, side, generator=generator)
    labels = torch.randint(CLASSES, (batch,), generator=generator)

    def step(ids: torch.Tensor, weighted: bool) -> float:
        begun = time.process_time()
        logits = model(images)
        if weighted:
            loss = weighting(cross_entropy(logits, labels, reduction="none"), ids, logits=logits, labels=labels)
        else:
            loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.process_time() - begun

    taken = np.empty((pairs, 2))
    for pair in range(-5, pairs):
        ids = torch.randperm(SAMPLES, generator=generator)[:batch]
        for weighted in (pair % 2, 1 - pair % 2):
            seconds = step(ids, bool(weighted))
            if pair >= 0:
                taken[pair, weighted] = seconds
    return taken[:, 1] / taken[:, 0], float(np.median(taken[:, 0]))


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("# What Weighting adds to a training step\n")
    print(f"Made by `python {' '.join(sys.argv)}` with torch {torch.__version__}, {platform.machine()}, one thread.\n")
    print("| batch | scheme | step with / step without | plain step, ms |\n|---|---|---:|---:|")
    for shape, size in SHAPES.items():
        for name, make in SCHEMES.items():
            if name in hs.SCHEMES or name.startswith("fixed"):
                found, plain = ratios(make, size, 3000 if size[2] == 8 else 200)
                again = [np.median(rng.choice(found, len(found))) for _ in range(200)]
                print(
                    f"| {shape} | {name} | {np.median(found):.3f} ± {np.std(again):.3f} | {1000 * plain:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
