"""Schemes as objectives of LightGBM and XGBoost: in every round, the weights follow the current predictions.

Weights that do not change need none of this: ``model.fit(X, y, sample_weight=hs.weigh(d))``.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy.special import expit, logsumexp, softmax

from hardsight.errors import InputError
from hardsight.integrations._row_weights import make_row_weighting
from hardsight.weights.training import Weighting

# As in XGBoost: a leaf of perfect predictions is divided by its curvature, too.
_MIN_CURVATURE = 1e-16
_NO_WEIGHT = object()


@dataclass
class _TrainingRun:
    """The state of one training run.

    Attributes:
        weighting: its weighting.
        n_samples: number of training samples.
        rounds: number of rounds done.
    """

    weighting: Weighting
    n_samples: int
    rounds: int = 0


class Objective:
    """Gradient and curvature of the weighted cross-entropy, for ``objective=`` of LightGBM and XGBoost.

    In every round the scheme reads the predictions of all training samples as one batch, and its weights multiply the
    gradients and curvatures of the samples; the weights are not differentiated. Rounds count as epochs, for each data
    set by itself if ``cv`` trains on folds in turn. Sample weights of ``fit`` or of the data set multiply the result.

    Scores start at zero, whereas LightGBM's own objectives start at the class shares. In XGBoost pass
    ``base_score=0.5`` to ``XGBClassifier`` and ``base_score=0`` to ``train``: both stand for a score of zero there.

    Args:
        source: name of a scheme in ``hardsight.SCHEMES``, an array of weights ``(sample,)``, or a ``Difficulty``, whose
            weights are those of :func:`hardsight.weigh`. Weights and difficulty are those of the training rows, in
            their order, whatever the difficulty's ids; for parts of the rows, such as folds, pass ``sample_weight``.
        num_class: 2 for one column of log-odds, more for one column per class.
        rounds: number of rounds in all, for schemes that read it.
        factor: factor of the curvature p(1-p), which leaves out how the scores of several classes depend on each other:
            None takes K/(K-1), as LightGBM does; XGBoost takes 2. Always 1 with two classes.
        parameters: the scheme's own parameters, and other arguments of :class:`hardsight.Weighting`.

    Raises:
        InputError: there are fewer than two classes, a scheme or parameter is unknown, or the scheme is a loss.
    """

    # Both libraries and scikit-learn's repr read the name of a function.
    __name__ = "hardsight"

    def __init__(
        self, source: Any, num_class: int = 2, *, rounds: int | None = None, factor: float | None = None, **parameters: Any
    ) -> None:
        if num_class < 2:
            raise InputError(f"num_class must be 2 or more. Got {num_class}")
        self.source, self.num_class, self.rounds, self.parameters = source, num_class, rounds, parameters
        self.factor = 1.0 if num_class == 2 else num_class / (num_class - 1) if factor is None else factor
        self._runs: WeakKeyDictionary[Any, _TrainingRun] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        # A copy starts without training runs.
        return {**vars(self), "_runs": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _runs=WeakKeyDictionary())

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Compute gradient and curvature.

        Args:
            first: labels, as estimators call it; scores, as ``train`` does.
            second: scores, as estimators call it; the data set, as ``train`` does.
            sample_weight: weights that ``fit`` was given, ``(sample,)``, or None.

        Returns:
            Gradient and curvature, in the shape of the scores.

        Raises:
            InputError: the scores do not match the number of classes, labels are not 0, 1, …, or there is not one
                weight per training row.
        """
        # Cross-validation trains on all folds in turn, one round each. Estimators pass no data set, and train one at a
        # time.
        key: Any = self
        labels, given_scores = first, second
        if hasattr(second, "get_label"):
            key = second
            labels, given_scores, sample_weight = second.get_label(), first, second.get_weight()
        given_scores = np.asarray(given_scores, dtype=np.float64)
        scores = _check_scores(given_scores, self.num_class)
        codes = _check_codes(labels, self.num_class)
        run = self._runs.get(key)
        # Equal scores for all samples are the start of a new run with the same objective.
        if run is None or len(codes) != run.n_samples or not np.ptp(scores, axis=0).any():
            run = self._runs[key] = self._start_run(codes)
        weights = self._compute_weights(run, scores, codes)
        if sample_weight is not None and len(sample_weight):
            weights = weights * np.asarray(sample_weight, dtype=np.float64)
        gradient, curvature = _derivatives(scores, codes, self.factor)
        column = weights if scores.ndim == 1 else weights[:, None]
        shape = given_scores.shape
        return (gradient * column).reshape(shape), (np.maximum(curvature, _MIN_CURVATURE) * column).reshape(shape)

    def _start_run(self, codes: np.ndarray) -> _TrainingRun:
        arguments: dict[str, Any] = {}
        if isinstance(self.source, str):
            sizes = torch.from_numpy(np.bincount(codes, minlength=self.num_class))
            arguments = {"num_samples": len(codes), "sizes": sizes, "epochs": self.rounds}
        return _TrainingRun(make_row_weighting(self.source, len(codes), arguments | self.parameters), len(codes))

    def _compute_weights(self, run: _TrainingRun, scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the weights of the next round. ``(sample,)``"""
        run.weighting.set_epoch(run.rounds)
        run.rounds += 1
        columns = scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], axis=1)
        logits, labels = torch.from_numpy(columns), torch.from_numpy(codes)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        weights = run.weighting.weights(losses, torch.arange(len(codes)), logits=logits, labels=labels)
        values: np.ndarray = weights.double().numpy()
        return values


def objective(source: Any, num_class: int = 2, **parameters: Any) -> Objective:
    """Return a scheme as an objective; the arguments are those of :class:`Objective`.

    >>> import lightgbm
    >>> model = lightgbm.LGBMClassifier(objective=objective("spl-linear", 3, lam=2.0))
    """
    return Objective(source, num_class, **parameters)


class LogLoss:
    """The log-loss of raw scores, for ``eval_metric=`` and ``feval=`` of LightGBM, and ``custom_metric=`` of XGBoost.

    Models with a custom objective give raw scores to all metrics, but LightGBM's own metrics take them for probabilities,
    and stop training in another round. Weights of the evaluation data are used; those of the scheme are not, so that the
    metric is on the scale of the libraries' own log-loss.
    """

    # Both libraries name the metric after the function.
    __name__ = "log_loss"

    def __call__(self, first: Any, second: Any, weight: Any = _NO_WEIGHT) -> Any:
        """Compute the log-loss.

        Args:
            first: labels, as estimators call it; scores, as ``train`` does.
            second: scores, as estimators call it; the data set, as ``train`` does.
            weight: weights of the samples, ``(sample,)``, or None, as LightGBM's estimators pass them.

        Returns:
            Name, value, and False because lower is better, as LightGBM takes it; name and value for ``train`` of
            XGBoost; the value for its estimators.

        Raises:
            InputError: labels are not 0, 1, …
        """
        labels, given_scores, given_weight = first, second, weight
        if hasattr(second, "get_label"):
            labels, given_scores, given_weight = second.get_label(), first, second.get_weight()
        scores = np.asarray(given_scores, dtype=np.float64)
        scores = scores.reshape(-1) if scores.ndim == 2 and scores.shape[1] == 1 else scores
        codes = _check_codes(labels, 2 if scores.ndim == 1 else scores.shape[1])
        losses = np.logaddexp(0, np.where(codes == 1, -scores, scores)) if scores.ndim == 1 else _log_losses(scores, codes)
        weighted = given_weight is not None and given_weight is not _NO_WEIGHT and len(given_weight)
        value = float(np.average(losses, weights=given_weight if weighted else None))
        if hasattr(second, "get_label") and not hasattr(second, "get_init_score"):
            return self.__name__, value
        return value if weight is _NO_WEIGHT and not hasattr(second, "get_label") else (self.__name__, value, False)


def metric() -> LogLoss:
    """Return the log-loss of raw scores, by which training with :func:`objective` can be stopped early.

    LightGBM's estimators also compute a metric of their own, which takes raw scores for probabilities and stops in another
    round. ``metric="None"`` turns it off::

        model = lightgbm.LGBMClassifier(objective=objective("spl-linear", lam=2.0), metric="None")
        callbacks = [lightgbm.early_stopping(10)]
        model.fit(X, y, eval_X=X_valid, eval_y=y_valid, eval_metric=metric(), callbacks=callbacks)

    >>> round(metric()(np.array([1, 0]), np.array([0.0, 0.0])), 4)
    0.6931
    """
    return LogLoss()


def probabilities(scores: Any) -> np.ndarray:
    """Convert raw scores, which are all that models with a custom objective give, to probabilities ``(sample, class)``.

    Args:
        scores: log-odds ``(sample,)``, or ``(sample, class)``: ``model.predict(X, raw_score=True)`` of LightGBM,
            ``model.predict(X, output_margin=True)`` of XGBoost.

    >>> probabilities([0.0, 100.0]).round(2).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    raw = np.asarray(scores, dtype=np.float64)
    p: np.ndarray = softmax(raw, axis=1) if raw.ndim == 2 else np.stack([expit(-raw), expit(raw)], axis=1)
    return p


def _log_losses(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each sample from its scores ``(sample, class)``. ``(sample,)``"""
    losses: np.ndarray = logsumexp(scores, axis=1) - scores[np.arange(len(codes)), codes]
    return losses


def _check_scores(scores: np.ndarray, num_class: int) -> np.ndarray:
    """Return log-odds ``(sample,)`` for two classes, scores ``(sample, class)`` for more."""
    expected = 1 if num_class == 2 else num_class
    columns = 1 if scores.ndim == 1 else scores.shape[1]
    if columns != expected:
        raise InputError(
            f"num_class={num_class} needs {expected} score{'s' * (expected > 1)} per sample. Got {columns}: pass the "
            "number of classes to hs.boosting.objective, and with more than two also to the model's parameters, as "
            "num_class"
        )
    return scores.reshape(-1) if num_class == 2 else scores


def _check_codes(labels: Any, num_class: int) -> np.ndarray:
    values = np.asarray(labels)
    codes = values.astype(np.int64)
    if (codes != values).any() or codes.min() < 0 or codes.max() >= num_class:
        raise InputError(
            f"labels must be class codes from 0 to {num_class - 1}. Got values from {values.min():g} to {values.max():g}"
        )
    return codes


def _derivatives(scores: np.ndarray, codes: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and second derivative of the cross-entropy by each score, in the shape of the scores."""
    if scores.ndim == 1:
        p = expit(scores)
        return p - codes, p * (1 - p)
    p = softmax(scores, axis=1)
    gradient = p.copy()
    gradient[np.arange(len(codes)), codes] -= 1
    return gradient, factor * p * (1 - p)
