"""Ensembles of small networks with one hidden layer, trained on weighted data by full gradient steps."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


class NetworkEnsemble:
    """Independent networks f(x) = a · relu(W x) that share only the step; without biases, hence homogeneous.

    Args:
        x: training samples of each network, ``(net, sample, feature)``.
        y: their labels, -1 or 1; ``(net, sample)``.
        weights: of the samples, scaled to mean one for each network; ``(net, sample)``.
        seeds: of the initial weights, one per network; networks with the same seed start alike.
        decay: factor on half the squared norm of the parameters.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, hidden: int, seeds: list[int], decay: float = 0.0
    ) -> None:
        features = x.shape[2]
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.weights = torch.from_numpy(weights / weights.mean(1, keepdims=True))
        self.decay = decay
        draws = [np.random.default_rng(seed) for seed in seeds]
        first = [rng.normal(size=(features, hidden)) / np.sqrt(features) for rng in draws]
        last = [rng.normal(size=(hidden, 1)) / np.sqrt(hidden) for rng in draws]
        self.first = torch.from_numpy(np.stack(first)).requires_grad_()
        self.last = torch.from_numpy(np.stack(last)).requires_grad_()

    def scores(self, x: Tensor) -> Tensor:
        """Return the scores ``(net, sample)`` of samples ``(net, sample, feature)``."""
        return (torch.relu(x @ self.first) @ self.last).squeeze(2)

    def train(self, steps: int, rate: float, stops: list[int]) -> Iterator[int]:
        """Take steps on the exponential loss; yield at each step in ``stops``.

        Steps follow the gradient of the log of the objective, which does not vanish with it: time is on a logarithmic scale.
        """
        shares = self.weights.log() - np.log(self.weights.shape[1])
        for step in range(1, steps + 1):
            log = torch.logsumexp(shares - self.y * self.scores(self.x), 1)
            if self.decay:
                squares = self.first.square().sum((1, 2)) + self.last.square().sum((1, 2))
                log = torch.logaddexp(log, (self.decay / 2 * squares).log())
            gradients = torch.autograd.grad(log.sum(), [self.first, self.last])
            with torch.no_grad():
                for parameter, gradient in zip((self.first, self.last), gradients, strict=True):
                    parameter -= rate * gradient
            if step in stops:
                yield step

    @torch.no_grad()
    def margins(self) -> np.ndarray:
        """Return the smallest margin of each network over the squared norm of its parameters, ``(net,)``.

        The square is the degree of homogeneity.
        """
        norm2 = self.first.square().sum((1, 2)) + self.last.square().sum((1, 2))
        margins: np.ndarray = ((self.y * self.scores(self.x)).amin(1) / norm2).numpy()
        return margins

    @torch.no_grad()
    def positive_share(self, x: np.ndarray) -> np.ndarray:
        """Return the share of the points that each network assigns to the positive class, ``(net,)``."""
        points = torch.from_numpy(x).expand(len(self.first), -1, -1)
        shares: np.ndarray = (self.scores(points) > 0).double().mean(1).numpy()
        return shares
