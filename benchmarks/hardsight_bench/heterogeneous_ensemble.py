"""One vectorised ensemble whose members are weighted in ways of their own: by weights of their samples, or by a loss that
a scheme makes anew of every batch, each with its own state.

Members with one seed begin alike and see the same batches, so that they differ by their weights alone.
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
from hardsight.learners.network.batches import Batch, Batches, Data
from hardsight.learners.network.mlp import Gradient, layers, mean_loss
from hardsight.learners.network.network import Network, perceptron
from hardsight.learners.network.optimizer import Chunk, Predict, Step, predictions, train_stacked
from hardsight.learners.network.stacked import Parameters, build
from hardsight.resampling.plan import Member

# Larger stacks leave the caches of a processor.
_TOGETHER = 32


class BatchView(NamedTuple):
    """What a scheme sees of its member's batch.

    Attributes:
        logits: ``(row, class)``.
        labels: as given, ``(row,)``.
        rows: positions of the samples, ``(row,)``.
        epoch: passes done, from 0; a fraction within a pass.
    """

    logits: Tensor
    labels: Tensor
    rows: Tensor
    epoch: float


Objective = Callable[[BatchView], Tensor]


class WeightedMember(NamedTuple):
    """A member.

    Attributes:
        seed: of all that it draws.
        weights: of the training samples, ``(sample,)``; None: all alike.
        objective: makes one number of what is seen of a batch, in place of the weighted mean loss; None: that.
    """

    seed: int
    weights: np.ndarray | None = None
    objective: Objective | None = None


class EnsembleTask(NamedTuple):
    """What is learned, and how.

    Attributes:
        x: training features, ``(sample, feature)`` float32.
        y: their labels, every class among them, ``(sample,)``.
        test_x: features to judge.
        network: the recipe; its perceptron, steps, descent and place count.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    network: Network


MemberResult = np.ndarray | str
"""Log-probabilities of the test samples, ``(test sample, class)`` float64; or why there are none."""


def count_epochs(task: EnsembleTask) -> float:
    """Passes that the recipe makes over the training samples."""
    n = len(task.y)
    return task.network.steps(n) * min(task.network.batch_size, n) / n


def train_members(task: EnsembleTask, pupils: Sequence[WeightedMember]) -> Iterator[MemberResult]:
    """Train all pupils, and ask them, in their order."""
    for start in range(0, len(pupils), _TOGETHER):
        yield from _trained(task, pupils[start : start + _TOGETHER])


def _trained(task: EnsembleTask, pupils: Sequence[WeightedMember]) -> Iterator[MemberResult]:
    n, classes, network = len(task.y), int(task.y.max()) + 1, task.network
    seen = np.repeat(np.array([0, 1], dtype=np.int32), [n, len(task.test_x)])
    members = [Member(0, 1, pupil.seed, seen) for pupil in pupils]
    given = np.ones((len(pupils), len(seen)))
    for row, pupil in zip(given, pupils, strict=True):
        if pupil.weights is not None:
            row[:n] = pupil.weights
    inputs = as_tensor(np.concatenate([task.x, task.test_x]))
    # The labels of test samples are never read.
    targets = torch.from_numpy(np.concatenate([task.y, np.zeros(len(task.test_x), np.int64)]))
    data = Batches(members, Data(inputs, targets, torch.from_numpy(given)), regression=False, standardize=True)
    batch = min(network.batch_size, n)
    nets = [build(lambda: perceptron(inputs.shape[1], network.hidden, classes), pupil.seed) for pupil in pupils]
    stack = layers(nets[0])
    assert stack is not None
    outer = ObjectiveGradients(pupils, epoch_of_step=batch / n)

    def step_of(parameters: Parameters, _: Parameters) -> Step:
        return Gradient(parameters, stack, outer)

    def judge(index: int, predict: Predict) -> MemberResult:
        if index in outer.faults:
            return outer.faults[index]
        found: np.ndarray = predictions(predict, index, torch.arange(n, len(seen)), data, network.place).numpy()
        return found if np.isfinite(found).all() else "training diverged"

    steps = network.steps(n)
    chunk = Chunk(nets, data, batch, steps, network.descent, network.place, lambda _: None)
    yield from train_stacked(chunk, judge, step_of)


class ObjectiveGradients:
    """Losses of a step, and their gradient by the scores: the weighted mean, or what a pupil's objective makes of it.

    A pupil whose objective fails learns nothing more, and the others are left alone.

    Args:
        pupils: the members.
        epoch_of_step: the part of an epoch that a step is.

    Attributes:
        faults: what failed, by index.
    """

    def __init__(self, pupils: Sequence[WeightedMember], epoch_of_step: float) -> None:
        self._objectives = {i: pupil.objective for i, pupil in enumerate(pupils) if pupil.objective is not None}
        self._epoch_of_step = epoch_of_step
        self._steps = 0
        self.faults: dict[int, str] = {}

    def __call__(
        self, scores: Float32[Tensor, "member class row"], batch: Batch
    ) -> tuple[Float32[Tensor, " member"], Float32[Tensor, "member class row"]]:
        """See :data:`hardsight.learners.network.mlp.Outer`; the losses that it tells are those of the weighted mean."""
        logits = {index: scores[index].T.clone() for index in self._objectives}
        losses, back = mean_loss(scores, batch)
        epoch = self._epoch_of_step * self._steps
        for index, objective in self._objectives.items():
            seen = BatchView(logits[index], batch.targets[index], batch.rows[index], epoch)
            back[index] = self._gradient(index, objective, seen).T
        self._steps += 1
        self._refuse(back, epoch)
        return losses, back

    def _gradient(self, index: int, objective: Objective, seen: BatchView) -> Float32[Tensor, "row class"]:
        none = torch.zeros_like(seen.logits)
        if index in self.faults:
            return none
        try:
            with torch.enable_grad():
                loss = objective(seen._replace(logits=seen.logits.requires_grad_()))
            # Where no sample of the batch has a weight, nothing depends on the logits.
            return torch.autograd.grad(loss, seen.logits)[0] if loss.requires_grad else none
        except (InputError, LearnerError) as fault:
            self.faults[index] = str(fault)
            return none

    def _refuse(self, back: Float32[Tensor, "member class row"], epoch: float) -> None:
        # A sum over all members, because a look at each would take longer than its gradient.
        if math.isfinite(float(back.sum())):
            return
        for index in self._objectives:
            if not back[index].isfinite().all():
                self.faults[index] = f"the gradient is no number in epoch {epoch:.2f}"
                back[index] = 0
