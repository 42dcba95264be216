"""The plain training whose dynamics classic measures read: the recipe of H-CAT's tables, in idiomatic PyTorch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hardsight.learners.network.network import build_perceptron
from hardsight.learners.network.stacked import build_net

HIDDEN, RATE, BATCH = 128, 1e-3, 64


class EpochOutput(NamedTuple):
    """Outputs of a network after an epoch.

    Attributes:
        logits: ``(sample, class)``.
        features: inputs of the last layer, ``(sample, hidden)``.
        input_gradients: gradient of the given label's logit, ``(sample, feature)``.
    """

    logits: Tensor
    features: Tensor
    input_gradients: Tensor


class HcatTraining:
    """A perceptron with one hidden layer of 128 units, Adam with a learning rate of 1e-3, batches of 64.

    Args:
        inputs: ``(sample, feature)`` float32.
        labels: class codes, ``(sample,)``.
        stream: source of the initial weights and the order of the batches.
    """

    def __init__(self, inputs: Tensor, labels: Tensor, stream: np.random.SeedSequence) -> None:
        self.inputs, self.labels = inputs, labels
        weights, order = stream.spawn(2)
        classes = int(labels.max()) + 1
        self._net = build_net(lambda: build_perceptron(inputs.shape[1], (HIDDEN,), classes), _draw_integer(weights))
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr=RATE, fused=True)
        self._order = torch.Generator().manual_seed(_draw_integer(order))

    def epochs(self, count: int, rows: Tensor | None = None) -> Iterator[EpochOutput]:
        """Train on the samples at ``rows`` (default: all), epoch by epoch; yield the outputs for all samples."""
        train_rows = torch.arange(len(self.labels)) if rows is None else rows
        for _ in range(count):
            shuffled = train_rows[torch.randperm(len(train_rows), generator=self._order)]
            for batch in torch.split(shuffled, BATCH):
                self._optimizer.zero_grad()
                loss = nn.functional.cross_entropy(self._net(self.inputs[batch]), self.labels[batch])
                torch.autograd.backward(loss)
                self._optimizer.step()
            yield self._evaluate()

    def _evaluate(self) -> EpochOutput:
        first, _, last = self._net.children()
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            features = first(self.inputs).relu()
            gradients = (last.weight[self.labels] * (features > 0)) @ first.weight
            return EpochOutput(last(features), features, gradients)


def _draw_integer(stream: np.random.SeedSequence) -> int:
    return int(stream.generate_state(1)[0])
