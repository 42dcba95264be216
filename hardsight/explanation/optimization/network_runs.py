"""Train small networks with several weightings and seeds as one vectorised ensemble, and record their progress.

Members with the same seed start alike and see the same batches, so that they differ only in their weights.
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
from hardsight.learners.network.batches import Batch, Batches, TrainingData
from hardsight.learners.network.mlp import Layer, MlpGradient, find_layers
from hardsight.learners.network.network import Network, build_perceptron
from hardsight.learners.network.optimizer import MemberBatch, Step, train_stacked
from hardsight.learners.network.stacked import Parameters, build_net
from hardsight.resampling.plan import Member

_N_RECORDS = 16
# Larger stacks do not fit the caches of a processor.
_MAX_STACK = 32


class NetworkRuns(NamedTuple):
    """The recorded runs."""

    curves: pd.DataFrame
    start: dict[str, np.ndarray]  # norms of the samples' gradients before training, by weighting, (seed, sample)
    end: dict[str, np.ndarray]  # the same after training


def train_networks(
    inputs: Shaped[np.ndarray, "sample feature"],
    codes: Int64[np.ndarray, " sample"],
    weights: Mapping[str, Float64[np.ndarray, " sample"]],
    *,
    network: Network,
    seeds: int,
    seed: int,
) -> NetworkRuns:
    """Train a perceptron with each weighting from each of several seeds, on all samples.

    Columns of the curves: ``step``, ``epoch``, ``weights``, ``seed``; ``loss``, the unweighted mean training loss, and
    ``weighted_loss``, the objective of this run; ``wrong``, the share of misclassified samples; ``norm`` of all
    parameters; ``margin``, the smallest difference between a sample's own logit and the largest other, divided by the
    product of the layers' norms, and ``margin_tenth``, its 10 % quantile over the samples.

    Args:
        inputs: standardised.
        network: the recipe: its hidden layers, steps and optimizer are used.

    Raises:
        InputError: a network that is not the default perceptron.
        LearnerError: training diverged.
    """
    if network.make_net is not None:
        raise InputError("only the default perceptron can be followed: pass hs.Network(hidden=…), without make_net")
    member_seeds = [int(stream.generate_state(1)[0]) for stream in np.random.SeedSequence(seed).spawn(seeds)]
    runs = [(name, k_seed) for name in weights for k_seed in range(seeds)]
    recorders = []
    for start in range(0, len(runs), _MAX_STACK):
        stack = runs[start : start + _MAX_STACK]
        recorders.append(_train(inputs, codes, weights, stack, [member_seeds[k_seed] for _, k_seed in stack], network))
    norms = {moment: np.concatenate([getattr(each, moment) for each in recorders]) for moment in ("start", "end")}
    by_weighting = {
        moment: {name: all_[k * seeds : (k + 1) * seeds] for k, name in enumerate(weights)} for moment, all_ in norms.items()
    }
    curves = pd.DataFrame([row for each in recorders for row in each.rows])
    return NetworkRuns(
        curves.sort_values(["step"], kind="stable", ignore_index=True), by_weighting["start"], by_weighting["end"]
    )


def _train(
    inputs: np.ndarray,
    codes: np.ndarray,
    weights: Mapping[str, np.ndarray],
    pairs: list[tuple[str, int]],
    member_seeds: list[int],
    network: Network,
) -> "_Recorder":
    n, classes = len(codes), int(codes.max()) + 1
    everything = np.zeros(n, dtype=np.int32)
    # No sample is in fold 1, so every member trains on all samples.
    members = [Member(0, 1, seed, everything) for seed in member_seeds]
    x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(codes)
    weight_rows = torch.tensor(np.stack([weights[name] for name, _ in pairs]))
    data = Batches(members, TrainingData(x, y, weight_rows), regression=False, standardize=False)
    nets = [build_net(lambda: build_perceptron(x.shape[1], network.hidden, classes), seed) for seed in member_seeds]
    stack = find_layers(nets[0])
    assert stack is not None
    steps, batch = network.steps(n), min(network.batch_size, n)
    recorder = _Recorder(stack, x, y, weight_rows, pairs, steps, batch / n)
    chunk = MemberBatch(nets, data, batch, steps, network.optimizer, network.device, lambda _: None)
    for _ in train_stacked(chunk, lambda index, predict: None, recorder.make_step):
        pass
    recorder.record(steps)
    return recorder


class _Recorder:
    """Take the training steps, and record the members before some of them and after the last."""

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
        self._record_steps = {0, *(round(step) for step in np.geomspace(1, steps, _N_RECORDS))} - {steps}
        self._steps_taken = 0
        self._parameters: Parameters = {}
        self.rows: list[dict[str, str | int | float]] = []

    def make_step(self, parameters: Parameters, _: Parameters) -> Step:
        """See :func:`hardsight.learners.network.optimizer.train_stacked`."""
        self._parameters = parameters
        gradient = MlpGradient(parameters, self._stack)

        def step(batch: Batch) -> Tensor:
            if self._steps_taken in self._record_steps:
                self.record(self._steps_taken)
            self._steps_taken += 1
            return gradient(batch)

        return step

    @torch.no_grad()
    def record(self, step: int) -> None:
        """Record the current state of the members."""
        gradients = SampleGradients(self._parameters, self._stack, self._x, self._y)
        if step == 0:
            self.start = gradients.norms.numpy()
        if step == self._steps:
            self.end = gradients.norms.numpy()
        self.rows += self._curve_rows(gradients.logits, step)

    def _curve_rows(self, logits: Tensor, step: int) -> Iterator[dict[str, str | int | float]]:
        label_index = self._y.expand(len(logits), 1, -1)
        label_logits = logits.gather(1, label_index).squeeze(1)
        losses = logits.logsumexp(1) - label_logits
        margins = label_logits - logits.scatter(1, label_index, -math.inf).amax(1)
        squared_norms = [self._squared(layer) for layer in self._stack]
        norms = torch.stack(squared_norms).sum(0).sqrt().tolist()
        scaled = margins / torch.stack(squared_norms).sqrt().prod(0)[:, None]
        for k, (name, seed) in enumerate(self._pairs):
            yield {
                "step": step,
                "epoch": step * self._epoch_of_step,
                "weights": name,
                "seed": seed,
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
