"""Training curves under weights, for any network: loss and share of wrong predictions at chosen moments."""

from collections.abc import Sequence

import numpy as np
import torch

from hardsight.learners.network.batches import Batches, TrainingData
from hardsight.learners.network.network import Network, build_perceptron
from hardsight.learners.network.optimizer import MemberBatch, predict_rows, train_sequential
from hardsight.learners.network.stacked import build_net
from hardsight.resampling.plan import Member


def measure_training_curve(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, network: Network, moments: Sequence[float], seed: int
) -> np.ndarray:
    """Return the mean training loss in nats and the share of samples predicted wrong in one run, ``(2, moment)``.

    Both are unweighted, over all samples, and on images without augmentation.

    Args:
        x: ``(sample, feature)``, or bytes ``(sample, height, width, channel)``.
        y: labels, codes ``(sample,)``.
        weights: of the samples, ``(sample,)``, sum above 0.
        network: the recipe.
        moments: shares of the training at which to measure, ascending, each above 0 and at most 1.
        seed: of initial weights and batches, so that runs that differ only in their weights are paired.
    """
    n, device = len(y), network.device
    device.check_available()
    pixels = torch.tensor(np.moveaxis(x, -1, 1) / 255 if x.ndim == 4 else x, dtype=torch.float32).to(device.torch_device)
    # No sample is in fold 1, so the member trains on all samples.
    member = Member(0, 1, seed, np.zeros(n, dtype=np.int32))
    data_on_device = TrainingData(
        pixels, torch.tensor(y).to(device.torch_device), torch.tensor(weights, dtype=torch.float64).to(device.torch_device)
    )
    data = Batches([member], data_on_device, regression=False, standardize=network.standardize, augment=network.augment)
    make = network.make_net or (lambda: build_perceptron(x.shape[1], network.hidden, int(y.max()) + 1))
    net = build_net(make, seed)
    steps = network.steps(n)
    measured_steps = [max(1, round(share * steps)) for share in moments]
    rows, codes = torch.arange(n), torch.tensor(y)[:, None]
    results: dict[int, tuple[float, float]] = {}
    step_count = 0

    def evaluate(_: float) -> None:
        nonlocal step_count
        step_count += 1
        if step_count in measured_steps:
            log_prob = predict_rows(net.eval(), 0, rows, data, device)
            wrong = log_prob.argmax(1, keepdim=True) != codes
            results[step_count] = -float(log_prob.gather(1, codes).mean()), float(wrong.double().mean())
            net.train()

    chunk = MemberBatch([net], data, min(network.batch_size, n), steps, network.optimizer, device, evaluate)
    for _ in train_sequential(chunk, lambda index, predict: None):
        pass
    return np.array([results[step] for step in measured_steps]).T
