"""In-sample predictions reduced to the losses that a run keeps of them."""

from collections.abc import Iterator

import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.data import Samples
from hardsight.io.memmap import row_blocks
from hardsight.learners.base import Learner, OnProgress, Predictions, as_tensor
from hardsight.learners.wrapper import LearnerWrapper
from hardsight.measures.losses import Loss, loss_of
from hardsight.resampling.plan import Plan


class InSampleLosses(LearnerWrapper):
    """A learner of classes whose in-sample predictions are replaced by the loss of every row, ``(row,)``.

    In-sample predictions are the larger part of all predictions. A worker that sends only their losses sends less, and
    the more classes there are, the less memory everybody needs.

    Args:
        learner: trains and predicts.
        loss: of the in-sample predictions.
    """

    def __init__(self, learner: Learner, loss: Loss) -> None:
        super().__init__(learner)
        self.loss = loss

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`; in-sample predictions that are not finite are left as they are."""
        labels, classes = as_tensor(samples.labels), len(samples.classes or ())
        for predictions in self.learner.fit_predict(samples, plan, on_progress):
            losses = self._losses(predictions, labels, classes) if predictions.in_sample else None
            yield predictions if losses is None else predictions._replace(values=losses)

    def _losses(self, predictions: Predictions, labels: Tensor, classes: int) -> Float64[Tensor, " row"] | None:
        losses = torch.empty(len(predictions.rows), dtype=torch.float64)
        for block in row_blocks(len(losses), classes):
            values = predictions.values[block]
            if not values.isfinite().all():
                return None
            losses[block] = loss_of(self.loss, values, labels[predictions.rows[block]], classes)
        return losses
