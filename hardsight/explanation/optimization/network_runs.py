"""Small networks in training, several weightings and seeds as one vectorised ensemble, and what is seen on the way.

Members with one seed begin alike and see the same batches, so that they differ by their weights alone.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from hardsight.errors import InputError
from hardsight.explanation.optimization.gradient_shares import SampleGradients
from hardsight.explanation.optimization.linear_models import LOWER_QUANTILE
from hardsight.learners.network.batches import Batch, Batches, Data
from hardsight.learners.network.mlp import Gradient, Layer, layers
from hardsight.learners.network.network import Network, perceptron
from hardsight.learners.network.optimizer import Chunk, Step, train_stacked
from hardsight.learners.network.stacked import Parameters, build
from hardsight.resampling.plan import Member

_MOMENTS = 16
# Larger stacks leave the caches of a processor.
_TOGETHER = 32


class NetworkRuns(NamedTuple):
    """What was seen.

    Attributes:
        curves: a row a moment, weighting and seed.
        start: lengths of the samples' gradients before training, by weighting, ``(seed, sample)``.
        end: after training.
    """

    curves: pd.DataFrame
    start: dict[str, np.ndarray]
    end: dict[str, np.ndarray]


def train_networks(
    inputs: Shaped[np.ndarray, "sample feature"],
    codes: Int64[np.ndarray, " sample"],
    weights: Mapping[str, Float64[np.ndarray, " sample"]],
    *,
    network: Network,
    seeds: int,
    seed: int,
) -> NetworkRuns:
    """Train a perceptron with each weighting from each of some seeds, on all samples.

    The curves' columns: ``step``, ``epoch``, ``weights``, ``seed``; ``loss``, the mean training loss, unweighted, and
    ``weighted_loss``, what this run makes least; ``wrong``, the share of samples on the wrong side; ``norm`` of all
    parameters; ``margin``, the smallest difference between a sample's own logit and the largest other, over the product of
    the layers' norms, and ``margin_tenth``, that which a tenth of the samples fall below.

    Args:
        inputs: standardised.
        codes: class codes 0, 1, …
        weights: by name; 0 or more.
        network: the recipe: its hidden layers, steps and descent count.
        seeds: how many.
        seed: all seeds follow from it.

    Raises:
        InputError: a network that is not the default perceptron.
        LearnerError: training diverged.
    """
    if network.make_net is not None:
        raise InputError("runs are of the default perceptron: pass hs.Network(hidden=…), without make_net")
    own = [int(stream.generate_state(1)[0]) for stream in np.random.SeedSequence(seed).spawn(seeds)]
    wanted = [(name, number) for name in weights for number in range(seeds)]
    watched = []
    for start in range(0, len(wanted), _TOGETHER):
        part = wanted[start : start + _TOGETHER]
        watched.append(_train(inputs, codes, weights, part, [own[number] for _, number in part], network))
    lengths = {moment: np.concatenate([getattr(each, moment) for each in watched]) for moment in ("start", "end")}
    found = {
        moment: {name: all_[k * seeds : (k + 1) * seeds] for k, name in enumerate(weights)}
        for moment, all_ in lengths.items()
    }
    curves = pd.DataFrame([row for each in watched for row in each.rows])
    return NetworkRuns(curves.sort_values(["step"], kind="stable", ignore_index=True), found["start"], found["end"])


def _train(
    inputs: np.ndarray,
    codes: np.ndarray,
    weights: Mapping[str, np.ndarray],
    pairs: list[tuple[str, int]],
    own: list[int],
    network: Network,
) -> "_Watch":
    n, classes = len(codes), int(codes.max()) + 1
    everything = np.zeros(n, dtype=np.int32)
    # No fold has the number 1: every member trains on all samples.
    members = [Member(0, 1, seed, everything) for seed in own]
    x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(codes)
    given = torch.tensor(np.stack([weights[name] for name, _ in pairs]))
    data = Batches(members, Data(x, y, given), regression=False, standardize=False)
    nets = [build(lambda: perceptron(x.shape[1], network.hidden, classes), seed) for seed in own]
    stack = layers(nets[0])
    assert stack is not None
    steps, batch = network.steps(n), min(network.batch_size, n)
    watch = _Watch(stack, x, y, given, pairs, steps, batch / n)
    chunk = Chunk(nets, data, batch, steps, network.descent, network.place, lambda _: None)
    for _ in train_stacked(chunk, lambda index, predict: None, watch.step_of):
        pass
    watch.look(steps)
    return watch


class _Watch:
    """Takes the steps, and looks at the members before some of them and after the last."""

    start: np.ndarray
    end: np.ndarray

    def __init__(
        self,
        stack: list[Layer],
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        pairs: list[tuple[str, int]],
        steps: int,
        epoch_of_step: float,
    ) -> None:
        self._stack, self._x, self._y, self._pairs = stack, x, y, pairs
        self._share = weights / weights.sum(1, keepdim=True)
        self._epoch_of_step, self._steps = epoch_of_step, steps
        self._moments = {0, *(round(step) for step in np.geomspace(1, steps, _MOMENTS))} - {steps}
        self._done = 0
        self._parameters: Parameters = {}
        self.rows: list[dict[str, str | int | float]] = []

    def step_of(self, parameters: Parameters, _: Parameters) -> Step:
        """See :func:`hardsight.learners.network.optimizer.train_stacked`."""
        self._parameters = parameters
        gradient = Gradient(parameters, self._stack)

        def step(batch: Batch) -> Tensor:
            if self._done in self._moments:
                self.look(self._done)
            self._done += 1
            return gradient(batch)

        return step

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Note where the members are."""
        passed = SampleGradients(self._parameters, self._stack, self._x, self._y)
        if step == 0:
            self.start = passed.lengths.numpy()
        if step == self._steps:
            self.end = passed.lengths.numpy()
        self.rows += self._told(passed.logits, step)

    def _told(self, logits: Tensor, step: int) -> Iterator[dict[str, str | int | float]]:
        own = self._y.expand(len(logits), 1, -1)
        mine = logits.gather(1, own).squeeze(1)
        losses = logits.logsumexp(1) - mine
        margins = mine - logits.scatter(1, own, -math.inf).amax(1)
        squared = [self._squared(layer) for layer in self._stack]
        norms = torch.stack(squared).sum(0).sqrt().tolist()
        scaled = margins / torch.stack(squared).sqrt().prod(0)[:, None]
        for k, (name, number) in enumerate(self._pairs):
            yield {
                "step": step,
                "epoch": step * self._epoch_of_step,
                "weights": name,
                "seed": number,
                "loss": float(losses[k].mean()),
                "weighted_loss": float(losses[k] @ self._share[k]),
                "wrong": float((margins[k] <= 0).double().mean()),
                "norm": norms[k],
                "margin": float(scaled[k].min()),
                "margin_tenth": float(scaled[k].quantile(LOWER_QUANTILE)),
            }

    def _squared(self, layer: Layer) -> Float64[Tensor, " member"]:
        parts = [self._parameters[name] for name in layer if name is not None]
        return torch.stack([part.detach().double().flatten(1).square().sum(1) for part in parts]).sum(0)
