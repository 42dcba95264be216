"""How training goes under weights, for any network: loss and share of wrong answers at some moments."""

from collections.abc import Sequence

import numpy as np
import torch

from hardsight.learners.network.batches import Batches, Data
from hardsight.learners.network.network import Network, perceptron
from hardsight.learners.network.optimizer import Chunk, predictions, train_alone
from hardsight.learners.network.stacked import build
from hardsight.resampling.plan import Member


def training_curve(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, network: Network, moments: Sequence[float], seed: int
) -> np.ndarray:
    """How one training on all samples goes: unweighted, and on images as they are.

    Args:
        x: ``(sample, feature)``, or bytes ``(sample, height, width, channel)``.
        y: labels, codes ``(sample,)``.
        weights: of the samples, ``(sample,)``, sum above 0.
        network: the recipe.
        moments: shares of the training that are done, rising, each above 0 and at most 1.
        seed: of initial weights and batches, so that trainings which differ by their weights alone are paired.

    Returns:
        ``(2, moment)``: the mean training loss, nats, and the share of training samples that are predicted wrong.
    """
    n, place = len(y), network.place
    place.check()
    pixels = torch.tensor(np.moveaxis(x, -1, 1) / 255 if x.ndim == 4 else x, dtype=torch.float32).to(place.device)
    # No fold has the number 1: the member trains on all samples.
    member = Member(0, 1, seed, np.zeros(n, dtype=np.int32))
    given = Data(pixels, torch.tensor(y).to(place.device), torch.tensor(weights, dtype=torch.float64).to(place.device))
    data = Batches([member], given, regression=False, standardize=network.standardize, augment=network.augment)
    make = network.make_net or (lambda: perceptron(x.shape[1], network.hidden, int(y.max()) + 1))
    net = build(make, seed)
    steps = network.steps(n)
    at = [max(1, round(share * steps)) for share in moments]
    rows, codes = torch.arange(n), torch.tensor(y)[:, None]
    seen: dict[int, tuple[float, float]] = {}
    done = 0

    def look(_: float) -> None:
        nonlocal done
        done += 1
        if done in at:
            said = predictions(net.eval(), 0, rows, data, place)
            wrong = said.argmax(1, keepdim=True) != codes
            seen[done] = -float(said.gather(1, codes).mean()), float(wrong.double().mean())
            net.train()

    chunk = Chunk([net], data, min(network.batch_size, n), steps, network.descent, place, look)
    for _ in train_alone(chunk, lambda index, predict: None):
        pass
    return np.array([seen[step] for step in at]).T
