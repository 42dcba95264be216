"""Schemes as objectives of LightGBM and XGBoost: every round, the weights follow the predictions as they are.

Weights that do not change need none of this: ``model.fit(X, y, sample_weight=hs.weigh(d))``.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy.special import expit, softmax

from hardsight.errors import InputError
from hardsight.integrations._row_weights import make_row_weighting
from hardsight.weights.training import Weighting

# As in XGBoost: a leaf of perfect predictions must still be divided by something.
_MIN_CURVATURE = 1e-16


@dataclass
class _TrainingRun:
    """What is known of a training: its weighting, how many samples it has, and how many rounds are done."""

    weighting: Weighting
    samples: int
    rounds: int = 0


class Objective:
    """Gradient and curvature of the weighted cross-entropy, for ``objective=`` of LightGBM and XGBoost.

    In every round the scheme is given the predictions of all training samples as a batch, and its weights multiply the
    gradients and curvatures of the samples; they are not differentiated. Rounds count as epochs, of each data set for itself
    where ``cv`` trains on folds in turns. Weights of samples that ``fit`` or the data set is given are multiplied on top.

    Scores start at zero, where LightGBM's own objectives start at the class shares. In XGBoost pass ``base_score=0.5`` to
    ``XGBClassifier`` and ``base_score=0`` to ``train``, which both stand for a score of zero there.

    Args:
        what: name of a scheme in ``hardsight.SCHEMES``, an array of weights ``(sample,)``, or a ``Difficulty``, whose
            weights are those of :func:`hardsight.weigh`. Weights and a difficulty are those of the rows that are trained on,
            in their order, whatever the difficulty's ids; of parts of them, such as folds, pass ``sample_weight``.
        num_class: 2 for one column of log-odds, more for a column each.
        rounds: in all, for schemes that read how many.
        factor: of the curvature p(1-p), which leaves out how scores of several classes lean on each other: None takes
            K/(K-1), as LightGBM does; XGBoost takes 2. Always 1 with two classes.
        parameters: the scheme's own, and other arguments of :class:`hardsight.Weighting`.

    Raises:
        InputError: fewer than two classes, an unknown scheme or parameter, or a scheme that is a loss.
    """

    # Both libraries and scikit-learn's repr ask functions for a name.
    __name__ = "hardsight"

    def __init__(
        self,
        what: Any,
        num_class: int = 2,
        *,
        rounds: int | None = None,
        factor: float | None = None,
        **parameters: Any,
    ) -> None:
        if num_class < 2:
            raise InputError(f"num_class must be 2 or more. Got {num_class}")
        self.what, self.num_class, self.rounds, self.parameters = what, num_class, rounds, parameters
        self.factor = 1.0 if num_class == 2 else num_class / (num_class - 1) if factor is None else factor
        self._trainings: WeakKeyDictionary[Any, _TrainingRun] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        # What is copied or saved trains nothing yet.
        return {**vars(self), "_trainings": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _trainings=WeakKeyDictionary())

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Either ``(labels, scores[, weights])``, as estimators call it, or ``(scores, data set)``, as ``train`` does.

        Returns:
            Gradient and curvature, in the shape of the scores.

        Raises:
            InputError: scores that do not match the number of classes, labels that are not 0, 1, …, or not a weight for each
                row that is trained on.
        """
        if hasattr(second, "get_label"):
            labels, scores, sample_weight = second.get_label(), first, second.get_weight()
        else:
            labels, scores = first, second
        given = np.asarray(scores, dtype=np.float64)
        raw = _check_scores(given, self.num_class)
        codes = _check_codes(labels, self.num_class)
        # Cross-validation trains on all folds in turns, a round each. Estimators show no data set, and train one at a time.
        whose = second if hasattr(second, "get_label") else self
        training = self._trainings.get(whose)
        # All samples start from one score; so does a training that uses this objective anew.
        if training is None or len(codes) != training.samples or not np.ptp(raw, axis=0).any():
            training = self._trainings[whose] = self._begun(codes)
        weights = self._weighed(training, raw, codes)
        if sample_weight is not None and len(sample_weight):
            weights = weights * np.asarray(sample_weight, dtype=np.float64)
        gradient, curvature = _derivatives(raw, codes, self.factor)
        each = weights if raw.ndim == 1 else weights[:, None]
        return (gradient * each).reshape(given.shape), (np.maximum(curvature, _MIN_CURVATURE) * each).reshape(
            given.shape
        )

    def _begun(self, codes: np.ndarray) -> _TrainingRun:
        told: dict[str, Any] = {}
        if isinstance(self.what, str):
            sizes = torch.from_numpy(np.bincount(codes, minlength=self.num_class))
            told = {"num_samples": len(codes), "sizes": sizes, "epochs": self.rounds}
        return _TrainingRun(make_row_weighting(self.what, len(codes), told | self.parameters), len(codes))

    def _weighed(self, training: _TrainingRun, raw: np.ndarray, codes: np.ndarray) -> np.ndarray:
        training.weighting.set_epoch(training.rounds)
        training.rounds += 1
        scores = raw if raw.ndim == 2 else np.stack([np.zeros_like(raw), raw], axis=1)
        logits, labels = torch.from_numpy(scores), torch.from_numpy(codes)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        told = training.weighting.weights(losses, torch.arange(len(codes)), logits=logits, labels=labels)
        weights: np.ndarray = told.double().numpy()
        return weights


def objective(what: Any, num_class: int = 2, **given: Any) -> Objective:
    """A scheme as an objective; see :class:`Objective` for all that it takes.

    >>> import lightgbm
    >>> model = lightgbm.LGBMClassifier(objective=objective("spl-linear", 3, lam=2.0))
    """
    return Objective(what, num_class, **given)


def probabilities(scores: Any) -> np.ndarray:
    """Probabilities ``(sample, class)`` from raw scores, which is all that models with objectives of one's own give.

    Args:
        scores: log-odds ``(sample,)``, or ``(sample, class)``: ``model.predict(X, raw_score=True)`` of LightGBM,
            ``model.predict(X, output_margin=True)`` of XGBoost.

    >>> probabilities([0.0, 100.0]).round(2).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    raw = np.asarray(scores, dtype=np.float64)
    found: np.ndarray = softmax(raw, axis=1) if raw.ndim == 2 else np.stack([expit(-raw), expit(raw)], axis=1)
    return found


def _check_scores(given: np.ndarray, classes: int) -> np.ndarray:
    """``(sample,)`` log-odds for two classes, ``(sample, class)`` for more."""
    wanted = 1 if classes == 2 else classes
    columns = 1 if given.ndim == 1 else given.shape[1]
    if columns != wanted:
        raise InputError(
            f"num_class={classes} needs {wanted} score{'s' * (wanted > 1)} a sample, and there are {columns}: pass the "
            "num_class of the data to hs.boosting.objective, and to the model's parameters where there are more than two"
        )
    return given.reshape(-1) if classes == 2 else given


def _check_codes(labels: Any, classes: int) -> np.ndarray:
    found = np.asarray(labels)
    codes = found.astype(np.int64)
    if (codes != found).any() or codes.min() < 0 or codes.max() >= classes:
        raise InputError(f"labels must be class codes 0 … {classes - 1}. Got {found.min():g} … {found.max():g}")
    return codes


def _derivatives(raw: np.ndarray, codes: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative of the cross-entropy by each score, in the shape of ``raw``."""
    if raw.ndim == 1:
        p = expit(raw)
        return p - codes, p * (1 - p)
    p = softmax(raw, axis=1)
    gradient = p.copy()
    gradient[np.arange(len(codes)), codes] -= 1
    return gradient, factor * p * (1 - p)
