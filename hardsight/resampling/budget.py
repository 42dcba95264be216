"""Folds and repeats for a budget of models, and the gain from more models."""

import math
import re
from numbers import Real
from typing import NamedTuple

from hardsight.errors import InputError
from hardsight.validation import check_int

# Best number of folds for a budget of at least so many models (benchmarks/few_models.md): more folds leave larger
# training parts, fewer folds leave more predictions per sample.
_FOLDS = {0: 5, 40: 8}
# The number of folds may differ by this much from the best one, so that fewer models of the budget are left over.
_FOLD_TOLERANCE = 1
_MIN_REPEATS = 2
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Budget(NamedTuple):
    """The limits of a run.

    Attributes:
        seconds: wall-clock time of this process; infinite without a limit.
        models: models to train; None without a limit.
    """

    seconds: float = math.inf
    models: int | None = None

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.models is not None or self.seconds < math.inf


def parse_budget(budget: str | float | None) -> Budget:
    """Parse a budget such as "90s", "10min", "2h" or "20 models"; a number means minutes, None means no limit.

    Raises:
        InputError: anything else.

    >>> parse_budget("10min").seconds, parse_budget(0.5).seconds, parse_budget("2h").seconds, parse_budget(None).seconds
    (600.0, 30.0, 7200.0, inf)
    >>> parse_budget("20 models").models
    20
    """
    if budget is None:
        return Budget()
    text = budget if isinstance(budget, str) else ""
    if (count := re.fullmatch(r"\s*(\d+)\s*(?:models?|trainings?)\s*", text)) is not None:
        return Budget(models=check_int("budget", int(count[1]), 1, " model"))
    if (time := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)) is not None:
        seconds = float(time[1]) * _SECONDS[time[2]]
    elif isinstance(budget, Real):
        seconds = float(budget) * 60
    else:
        raise InputError(
            f"budget must be a time such as 90s, 10min or 2h, or a number of models such as '20 models'. Got {budget!r}"
        )
    if not seconds > 0:
        raise InputError(f"budget must be more than 0. Got {budget!r}")
    return Budget(seconds)


class Layout(NamedTuple):
    """Folds and repeats, with the reason in words."""

    folds: int
    repeats: int
    reason: str


def choose_layout(models: int, *, folds: int | None = None, repeats: int | None = None, max_folds: int) -> Layout:
    """Choose folds and repeats for a budget of models.

    Args:
        models: upper bound on the number of models.
        folds: folds that the user set; None: about 5, from 40 models on about 8, so that few models are left over.
        repeats: repeats that the user set; None: as many as the budget allows.
        max_folds: number of samples or groups, which cannot be split into more folds.

    Raises:
        InputError: the budget is too small for two repeats, or for the folds and repeats that were set.

    >>> choose_layout(20, max_folds=50)
    Layout(folds=5, repeats=4, reason='for 20 models')
    >>> choose_layout(14, max_folds=50)[:2], choose_layout(100, max_folds=50)[:2], choose_layout(20, max_folds=3)[:2]
    ((4, 3), (9, 11), (3, 6))
    """
    needed = (2 if folds is None else folds) * (_MIN_REPEATS if repeats is None else repeats)
    if models < needed:
        fixed = ", ".join(f"{name}={n}" for name, n in (("folds", folds), ("repeats", repeats)) if n is not None)
        at_least = "" if folds is not None and repeats is not None else " at least"
        raise InputError(
            f"budget must be{at_least} {needed} models for {fixed or '2 folds × 2 repeats'}. Got {models} models"
        )
    partly_set = folds is not None or repeats is not None
    if folds is None:
        folds = min(models // repeats, max_folds) if repeats is not None else _choose_folds(models, max_folds)
    if repeats is None:
        repeats = models // folds
    return Layout(folds, repeats, f"for {models} models{', as far as asked for' if partly_set else ''}")


def _choose_folds(models: int, most: int) -> int:
    best = next(folds for least, folds in reversed(_FOLDS.items()) if models >= least)
    most = min(most, models // _MIN_REPEATS)
    candidates = [k for k in range(best - _FOLD_TOLERANCE, best + _FOLD_TOLERANCE + 1) if k <= most]
    # The fewest models left over; then the nearest to the best; then fewer folds, which allow more repeats.
    return min(candidates, key=lambda k: (models % k, abs(k - best), k), default=most)


def models_needed(target: float, reliability: float, models: int) -> int | None:
    r"""Return how many models a ranking needs to reach a reliability; None if that cannot be computed.

    This is the Spearman–Brown formula solved for the length: $k = \frac{t (1-r)}{r (1-t)}$ times as many models.

    >>> models_needed(0.95, 0.9, 10)
    22
    """
    if not 0 < reliability < 1:
        return None
    return math.ceil(models * target * (1 - reliability) / (reliability * (1 - target)))
