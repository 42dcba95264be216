"""In-sample views with nothing more in them than a run keeps."""

from collections.abc import Iterator

import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.data import Samples
from hardsight.io.memmap import blocks
from hardsight.learners.base import Learner, Tick, View, shared
from hardsight.measures.held_out import Loss, loss_of
from hardsight.resampling.plan import Plan


class InSampleLosses:
    """A learner of classes whose in-sample views hold the loss of every row, ``(row,)``, in place of its predictions.

    They are the larger part of all views. A worker that sends only their losses sends, and everybody holds, the less of
    them the more classes there are.

    Args:
        learner: who trains.
        loss: of the in-sample views.
    """

    def __init__(self, learner: Learner, loss: Loss) -> None:
        self.learner, self.loss = learner, loss
        self.name, self.splits_itself = learner.name, learner.splits_itself
        self.divisible: bool = getattr(learner, "divisible", False)

    def models(self, plan: Plan) -> int:
        """See :meth:`Learner.models`."""
        return self.learner.models(plan)

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return self.learner.describe()

    def views(self, samples: Samples, plan: Plan, tick: Tick) -> Iterator[View]:
        """See :meth:`Learner.views`; a view with predictions that are no numbers is left as it is."""
        labels, classes = shared(samples.labels), len(samples.classes or ())
        for view in self.learner.views(samples, plan, tick):
            losses = self._losses(view, labels, classes) if view.seen else None
            yield view if losses is None else view._replace(predictions=losses)

    def _losses(self, view: View, labels: Tensor, classes: int) -> Float64[Tensor, " row"] | None:
        losses = torch.empty(len(view.rows), dtype=torch.float64)
        for at in blocks(len(losses), classes):
            predictions = view.predictions[at]
            if not predictions.isfinite().all():
                return None
            losses[at] = loss_of(self.loss, predictions, labels[view.rows[at]], classes)
        return losses
