"""One vectorised ensemble whose members have different weights: per sample, or by an objective of their own.

An objective recomputes the loss of every batch, as a scheme with its own state does. Members with the same seed start
alike and see the same batches, so that they differ only in their weights.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import as_tensor
from hardsight.learners.network.batches import Batch, Batches, TrainingData
from hardsight.learners.network.mlp import MlpGradient, find_layers, mean_loss_and_gradient
from hardsight.learners.network.network import Network, build_perceptron
from hardsight.learners.network.optimizer import MemberBatch, Predict, Step, predict_rows, train_stacked
from hardsight.learners.network.stacked import Parameters, build_net
from hardsight.resampling.plan import Member

# Larger stacks do not fit the caches of a processor.
_MAX_STACK = 32


class BatchView(NamedTuple):
    """What a scheme receives of its member's batch.

    Attributes:
        logits: ``(row, class)``.
        labels: given labels, ``(row,)``.
        rows: positions of the samples, ``(row,)``.
        epoch: completed passes, from 0; fractional within a pass.
    """

    logits: Tensor
    labels: Tensor
    rows: Tensor
    epoch: float


Objective = Callable[[BatchView], Tensor]


class WeightedMember(NamedTuple):
    """A member of the ensemble.

    Attributes:
        seed: of all its random numbers.
        weights: of the training samples, ``(sample,)``; None: all equal.
        objective: computes the loss of a batch from its view; None: the weighted mean loss.
    """

    seed: int
    weights: np.ndarray | None = None
    objective: Objective | None = None


class EnsembleTask(NamedTuple):
    """What is learned, and how.

    Attributes:
        x: training features, ``(sample, feature)`` float32.
        y: their labels, every class occurs, ``(sample,)``.
        test_x: test features.
        network: the recipe; its perceptron, steps, optimizer and device are used.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    network: Network


MemberResult = np.ndarray | str
"""Log-probabilities of the test samples, ``(test sample, class)`` float64; or the reason why there are none."""


def count_epochs(task: EnsembleTask) -> float:
    """Return the number of passes that the recipe makes over the training samples."""
    n = len(task.y)
    return task.network.steps(n) * min(task.network.batch_size, n) / n


def train_members(task: EnsembleTask, members: Sequence[WeightedMember]) -> Iterator[MemberResult]:
    """Train all members, and yield their results in order."""
    for start in range(0, len(members), _MAX_STACK):
        yield from _train_stack(task, members[start : start + _MAX_STACK])


def _train_stack(task: EnsembleTask, members: Sequence[WeightedMember]) -> Iterator[MemberResult]:
    n, classes, network = len(task.y), int(task.y.max()) + 1, task.network
    fold = np.repeat(np.array([0, 1], dtype=np.int32), [n, len(task.test_x)])
    plan_members = [Member(0, 1, member.seed, fold) for member in members]
    weight_rows = np.ones((len(members), len(fold)))
    for row, member in zip(weight_rows, members, strict=True):
        if member.weights is not None:
            row[:n] = member.weights
    inputs = as_tensor(np.concatenate([task.x, task.test_x]))
    # The labels of test samples are not used.
    targets = torch.from_numpy(np.concatenate([task.y, np.zeros(len(task.test_x), np.int64)]))
    data = Batches(
        plan_members, TrainingData(inputs, targets, torch.from_numpy(weight_rows)), regression=False, standardize=True
    )
    batch = min(network.batch_size, n)
    nets = [build_net(lambda: build_perceptron(inputs.shape[1], network.hidden, classes), member.seed) for member in members]
    stack = find_layers(nets[0])
    assert stack is not None
    gradients = ObjectiveGradients(members, epoch_of_step=batch / n)

    def step_of(parameters: Parameters, _: Parameters) -> Step:
        return MlpGradient(parameters, stack, gradients)

    def predict_test(index: int, predict: Predict) -> MemberResult:
        if index in gradients.faults:
            return gradients.faults[index]
        found: np.ndarray = predict_rows(predict, index, torch.arange(n, len(fold)), data, network.device).numpy()
        return found if np.isfinite(found).all() else "training diverged"

    steps = network.steps(n)
    chunk = MemberBatch(nets, data, batch, steps, network.optimizer, network.device, lambda _: None)
    yield from train_stacked(chunk, predict_test, step_of)


class ObjectiveGradients:
    """Losses of a step, and their gradient in the scores: of the weighted mean, or of a member's own objective.

    A member whose objective fails stops learning; the others are not affected.

    Args:
        members: of the ensemble.
        epoch_of_step: share of an epoch per step.

    Attributes:
        faults: reasons of failure, by index.
    """

    def __init__(self, members: Sequence[WeightedMember], epoch_of_step: float) -> None:
        self._objectives = {i: member.objective for i, member in enumerate(members) if member.objective is not None}
        self._epoch_of_step = epoch_of_step
        self._steps = 0
        self.faults: dict[int, str] = {}

    def __call__(
        self, scores: Float32[Tensor, "member class row"], batch: Batch
    ) -> tuple[Float32[Tensor, " member"], Float32[Tensor, "member class row"]]:
        """Return losses of the weighted mean, and gradients; see :data:`hardsight.learners.network.mlp.LossGradient`."""
        logits = {index: scores[index].T.clone() for index in self._objectives}
        losses, back = mean_loss_and_gradient(scores, batch)
        epoch = self._epoch_of_step * self._steps
        for index, objective in self._objectives.items():
            seen = BatchView(logits[index], batch.targets[index], batch.rows[index], epoch)
            back[index] = self._gradient(index, objective, seen).T
        self._steps += 1
        self._record_non_finite(back, epoch)
        return losses, back

    def _gradient(self, index: int, objective: Objective, seen: BatchView) -> Float32[Tensor, "row class"]:
        none = torch.zeros_like(seen.logits)
        if index in self.faults:
            return none
        try:
            with torch.enable_grad():
                loss = objective(seen._replace(logits=seen.logits.requires_grad_()))
            # If no sample of the batch has a weight, the loss does not depend on the logits.
            return torch.autograd.grad(loss, seen.logits)[0] if loss.requires_grad else none
        except (InputError, LearnerError) as fault:
            self.faults[index] = str(fault)
            return none

    def _record_non_finite(self, back: Float32[Tensor, "member class row"], epoch: float) -> None:
        # One sum over all members: checking each would take longer than its gradient.
        if math.isfinite(float(back.sum())):
            return
        for index in self._objectives:
            if not back[index].isfinite().all():
                self.faults[index] = f"the gradient is not finite in epoch {epoch:.2f}"
                back[index] = 0
