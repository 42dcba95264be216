"""Calibration of a run's predictions by one temperature, without models of its own.

The temperature is fitted to the first held-out predictions of the run, and all predictions are divided by it before
anything is derived from them: error, bias, variance, the label model. It is a single number fitted to many samples, so the
label of any one hardly matters, although its own prediction is among those that the temperature is fitted to.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.estimation.paired_losses import is_significant, mean_and_error
from hardsight.learners import Predictions
from hardsight.learners.tempered import fit_temperature, temper

# More predictions hardly change a temperature.
_MAX_PREDICTIONS = 50_000
# Models whose log-loss falls by less than this share stay as they are, unless asked for. On 24 real tables with 8 % of
# labels flipped, and eight learners, wrong labels left fell by 25 (tables chosen on) and 24 a table above it, 3 and 1 below.
MIN_GAIN = 0.1


class Calibration(NamedTuple):
    """A temperature and what it gains on the predictions that it was fitted to. All values are JSON types."""

    temperature: float  # log-probabilities are divided by it; 1 if they stay as they are
    fitted: float  # temperature of the least log-loss
    gain: float  # by how much the fitted temperature lowers the mean log-loss, and
    gain_se: float  # its standard error
    predictions: int  # number of held-out predictions

    @property
    def applied(self) -> bool:
        """Whether predictions are changed."""
        return self.temperature != 1

    def describe(self) -> str:
        """Describe what is done with predictions."""
        return (
            f"log-probabilities are divided by the temperature {self.temperature:.3g}: held-out log-loss lower by "
            f"{self.gain:.3f} ± {self.gain_se:.3f}"
        )


def fit_calibration(
    log_prob: Float64[Tensor, "row class"], label: Int64[Tensor, " row"], blocks: np.ndarray, *, always: bool
) -> Calibration:
    """Fit a temperature to held-out predictions.

    Args:
        blocks: codes of the samples that must stay together, ``(row,)``.
        always: whether to apply it in any case; otherwise only if the models are too sure of their predictions, and it
            lowers the log-loss by ``MIN_GAIN`` of itself and by more than its standard error.
    """
    temperature = fit_temperature(log_prob, label)
    before, after = (_losses(log_prob / each, label) for each in (1.0, temperature))
    gain, error = mean_and_error(before - after, blocks)
    matters = temperature > 1 and gain > MIN_GAIN * float(before.mean())
    applied = always or (matters and is_significant(before - after, blocks))
    return Calibration(temperature if applied else 1.0, temperature, gain, error, len(label))


def _losses(log_prob: Tensor, label: Tensor) -> np.ndarray:
    losses: np.ndarray = -log_prob.log_softmax(1).gather(1, label[:, None]).squeeze(1).numpy()
    return losses


class Calibrator:
    """Calibrates the predictions of a run as they come.

    Args:
        labels: class codes of all samples, ``(sample,)``.
        blocks: codes of the samples that must stay together, ``(sample,)``.
        always: see :func:`fit_calibration`.

    Attributes:
        calibration: what was fitted; None before the first predictions.
    """

    def __init__(self, labels: Tensor, blocks: np.ndarray, *, always: bool) -> None:
        self.labels, self.blocks, self.always = labels, blocks, always
        self.calibration: Calibration | None = None

    def apply(self, predictions: Iterable[Predictions]) -> Iterator[Predictions]:
        """Yield the predictions of a part, calibrated. The first wait until there is one of each sample, or 50,000."""
        waiting, n_rows = list[Predictions](), 0
        for each in predictions:
            waiting.append(each)
            n_rows += 0 if each.in_sample else len(each.rows)
            if self.calibration is not None or n_rows >= min(len(self.labels), _MAX_PREDICTIONS):
                yield from self._temper(waiting)
                waiting = []
        yield from self._temper(waiting)

    def _temper(self, waiting: list[Predictions]) -> Iterator[Predictions]:
        if waiting and self.calibration is None:
            self.calibration = self._fit([each for each in waiting if not each.in_sample])
        for each in waiting:
            yield temper(each, self.calibration.temperature) if self.calibration and self.calibration.applied else each

    def _fit(self, held_out: list[Predictions]) -> Calibration:
        rows = torch.cat([each.rows for each in held_out])
        log_prob = torch.cat([each.values for each in held_out]).double()
        kept = torch.linspace(0, len(rows) - 1, min(len(rows), _MAX_PREDICTIONS)).round().long()
        rows, log_prob = rows[kept], log_prob[kept]
        return fit_calibration(log_prob, self.labels[rows], self.blocks[rows.numpy()], always=self.always)


def read_calibration(saved: Any) -> Calibration | None:
    """Return a calibration from its JSON form.

    Raises:
        ValueError: it is none.
    """
    if saved is None:
        return None
    if (
        not isinstance(saved, dict)
        or saved.keys() != set(Calibration._fields)
        or not all(type(value) in (int, float) for value in saved.values())
    ):
        raise ValueError("calibration")
    return Calibration(**saved)
