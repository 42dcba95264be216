"""Ensembles as people write them without hardsight: one network after another, tested on the same held-out samples."""

import warnings
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Member, Plan

MakeNet = Callable[[], nn.Module]


class Task:
    """The work that every method does: inputs, labels, the plan of members, and the training recipe.

    Args:
        x: ``(sample, …)`` float32.
        y: ``(sample,)`` int64 codes.
        plan: the members.
        epochs: passes over a training set.
        batch: samples per step.
        rate: initial learning rate of AdamW; it follows a cosine schedule.
        decay: AdamW's weight decay.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        plan: Plan,
        *,
        epochs: int,
        batch: int = 64,
        rate: float = 3e-3,
        decay: float = 1e-2,
    ) -> None:
        self.x, self.y, self.plan = torch.from_numpy(x), torch.from_numpy(y), plan
        self.epochs, self.batch, self.rate, self.decay = epochs, batch, rate, decay
        self.classes = int(y.max()) + 1

    @property
    def visits(self) -> float:
        """Return the number of samples processed in training, over all members and epochs."""
        return float(sum(len(member.train) for member in self.plan.members()) * self.epochs)

    def errors(self, views: Iterator[tuple[Member, Tensor]]) -> np.ndarray:
        """Return log-loss errors from the held-out log-probabilities of the members."""
        held_out_views = ((torch.from_numpy(m.held_out), out.double(), m.round) for m, out in views)
        errors: np.ndarray = HeldOut.from_views(self.y, self.classes, held_out_views).decompose("log").error.numpy()
        return errors


def train_in_loop(task: Task, make: MakeNet, feed: Literal["DataLoader", "tensors"]) -> np.ndarray:
    """Train one network after another; return the errors of the samples.

    Args:
        task: the work.
        make: creates the network.
        feed: "DataLoader" as in tutorials, or batches cut from tensors, with the fused optimizer and images with
            channels last in memory.
    """
    is_tuned = feed == "tensors"

    def views() -> Iterator[tuple[Member, Tensor]]:
        for member in task.plan.members():
            torch.manual_seed(member.seed)
            net = make()
            if is_tuned and task.x.ndim == 4:
                net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            optimizer = torch.optim.AdamW(net.parameters(), lr=task.rate, weight_decay=task.decay, fused=is_tuned)
            steps = task.epochs * -(-len(member.train) // task.batch)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            for _ in range(task.epochs):
                for x, y in _tensors(task, member) if is_tuned else _loader(task, member):
                    optimizer.zero_grad()
                    torch.autograd.backward(nn.functional.cross_entropy(net(x), y))
                    optimizer.step()
                    schedule.step()
            with torch.no_grad():
                yield member, net(task.x[member.held_out])

    return task.errors(views())


def _loader(task: Task, member: Member) -> Iterator[tuple[Tensor, Tensor]]:
    subset = Subset(TensorDataset(task.x, task.y), member.train.tolist())
    return iter(DataLoader(subset, batch_size=task.batch, shuffle=True))


def _tensors(task: Task, member: Member) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.from_numpy(member.train)[torch.randperm(len(member.train))]
    return ((task.x[rows], task.y[rows]) for rows in torch.split(order, task.batch))


def refit_classifiers(task: Task, make: Callable[[int], ClassifierMixin]) -> np.ndarray:
    """Fit a scikit-learn classifier for one member after another; return the errors of the samples.

    Args:
        task: the work.
        make: creates the classifier from a seed.
    """
    x, y = task.x.flatten(1).numpy(), task.y.numpy()

    def views() -> Iterator[tuple[Member, Tensor]]:
        for member in task.plan.members():
            model = make(member.seed).fit(x[member.train], y[member.train])
            yield member, torch.from_numpy(model.predict_log_proba(x[member.held_out]))

    with warnings.catch_warnings():
        # The number of epochs is fixed; convergence is not required.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return task.errors(views())
