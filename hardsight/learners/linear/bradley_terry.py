r"""Bradley–Terry models of pairs: the probability that one of two is preferred, from the difference of their features."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.resampling.plan import Plan

# In features of mean square 1. They are tried from the strongest on, so that it is taken of equally good ones.
PENALTIES = (1e4, 2e3, 400.0, 80.0, 16.0, 3.0)
_SEARCH_FOLDS = 3
_SEARCH_SEED = 0
# The most pairs on which penalties are compared.
_SEARCH_PAIRS = 5_000


class BradleyTerry:
    r"""Linear Bradley–Terry model with an L2 penalty (Bradley and Terry 1952, Biometrika 39).

    $P(\text{first preferred}) = \sigma(\theta^\top z)$ with $z$ the difference of the features of the first and the second
    of a pair, divided by the root mean square of the training part: of each feature, as suits tables, or of all together, as
    suits embeddings whose small components are noise. There is no intercept and no centring, so that the probabilities of a
    pair and of the same pair in reverse order sum to one.

    Args:
        penalty: weight of the squared slopes against the summed loss; None: of six, the one with the lowest log-loss of
            held-out pairs, chosen once per run with pairs of a group on one side of every split.
        scale_each: whether each feature is scaled by itself; None: chosen likewise.
    """

    name = "bradley-terry"
    capabilities = Capabilities(takes_weights=True, divisible=True, single_threaded=True)

    def __init__(self, penalty: float | None = None, scale_each: bool | None = None) -> None:
        self.penalty, self.scale_each = penalty, scale_each

    def describe(self) -> str:
        """Return the recipe in one line."""
        chosen = "chosen on held-out pairs"
        penalty = chosen if self.penalty is None else f"{self.penalty:g}"
        scaling = {None: chosen, True: "each", False: "all together"}[self.scale_each]
        return f"Bradley–Terry model, linear in the difference of the features, scaling {scaling}, L2 penalty {penalty}"

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: the samples are not pairs with two labels.
        """
        if samples.classes is None or len(samples.classes) != 2:
            raise InputError(f"{self.name} is for pairs: pass them to hs.measure_preferences")
        difference = _differences(samples)
        key = (self, samples)
        if key not in plan.cache:
            plan.cache[key] = self._choose_setting(samples, difference, plan.blocks)
        setting: _Setting = plan.cache[key]
        for member in plan.members():
            rows = member.train
            slopes = _fit(difference[rows], samples.labels[rows], _weights(samples, rows), setting)
            values = _log_probabilities(difference[member.held_out] @ slopes)
            yield Predictions(torch.from_numpy(member.held_out), torch.from_numpy(values), member.round)
            on_progress(1)

    def _choose_setting(self, samples: Samples, difference: np.ndarray, blocks: np.ndarray) -> "_Setting":
        penalties = PENALTIES if self.penalty is None else (self.penalty,)
        scalings = (False, True) if self.scale_each is None else (self.scale_each,)
        settings = [_Setting(penalty, scaling) for penalty in penalties for scaling in scalings]
        return settings[0] if len(settings) == 1 else _choose(settings, samples, difference, blocks)


class _Setting(NamedTuple):
    penalty: float
    scale_each: bool


def _differences(samples: Samples) -> np.ndarray:
    # A missing value says nothing of a difference.
    return np.nan_to_num(samples.matrix.astype(np.float64))


def _weights(samples: Samples, rows: np.ndarray) -> np.ndarray | None:
    return None if samples.weights is None else samples.weights[rows] / samples.weights[rows].mean()


def _log_probabilities(score: np.ndarray) -> np.ndarray:
    """Return log-probabilities of the labels 0, the first is preferred, and 1, by the score of label 1."""
    both: np.ndarray = np.stack([-np.logaddexp(0, score), -np.logaddexp(0, -score)], axis=1)
    return both


def _fit(difference: np.ndarray, label: np.ndarray, weights: np.ndarray | None, setting: _Setting) -> np.ndarray:
    """Return the slopes that predict label 1."""
    size = np.sqrt(np.mean(difference**2, axis=0))
    size = size if setting.scale_each else np.full_like(size, np.sqrt(np.mean(size**2)))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    if len(np.unique(label)) < 2:
        return np.zeros(difference.shape[1])
    # Newton's method where its matrix is small.
    solver = "newton-cholesky" if difference.shape[1] <= 1_000 else "lbfgs"
    model = LogisticRegression(C=1 / setting.penalty, fit_intercept=False, solver=solver, max_iter=500)
    with warnings.catch_warnings():
        # A small penalty on separable pairs: the slopes are as good as they get.
        warnings.simplefilter("ignore")
        model.fit(difference * scale, label, sample_weight=weights)
    slopes: np.ndarray = model.coef_[0] * scale
    return slopes


def _choose(settings: list[_Setting], samples: Samples, difference: np.ndarray, blocks: np.ndarray) -> _Setting:
    """Return the setting with the lowest log-loss of held-out pairs."""
    rng = np.random.default_rng(_SEARCH_SEED)
    rows = np.sort(rng.permutation(len(samples))[:_SEARCH_PAIRS])
    code = np.unique(blocks[rows], return_inverse=True)[1].reshape(-1)
    fold = rng.permutation(code.max() + 1)[code] % _SEARCH_FOLDS
    losses = np.zeros(len(settings))
    for number in range(_SEARCH_FOLDS):
        train, test = rows[fold != number], rows[fold == number]
        share = 1.0 if samples.weights is None else samples.weights[test]
        for index, setting in enumerate(settings):
            slopes = _fit(difference[train], samples.labels[train], _weights(samples, train), setting)
            predicted = _log_probabilities(difference[test] @ slopes)
            losses[index] -= (share * predicted[np.arange(len(test)), samples.labels[test]]).sum()
    return settings[int(losses.argmin())]
