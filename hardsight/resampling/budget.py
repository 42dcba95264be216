"""How many folds and repeats a number of trainings buys, and what more of them would bring."""

import math
import re
from numbers import Real
from typing import NamedTuple

from hardsight.errors import InputError
from hardsight.validation import check_int

# Fewest models from which on about so many folds rank best (benchmarks/few_models.md): more of them leave larger training
# parts, fewer of them more views of each sample.
_FOLDS = {0: 5, 40: 8}
# Folds by which that may be missed so that fewer models are left over.
_NEAR = 1
_REPEATS = 2
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Budget(NamedTuple):
    """What a run may cost.

    Attributes:
        seconds: of this process; infinite without a limit.
        models: to train; None without a limit.
    """

    seconds: float = math.inf
    models: int | None = None


def budget(given: str | float | None) -> Budget:
    """A budget such as "90s", "10min", "2h" or "20 models"; a number means minutes, None no limit.

    Raises:
        InputError: something else.

    >>> budget("10min").seconds, budget(0.5).seconds, budget("2h").seconds, budget(None).seconds
    (600.0, 30.0, 7200.0, inf)
    >>> budget("20 models").models
    20
    """
    if given is None:
        return Budget()
    text = given if isinstance(given, str) else ""
    if (count := re.fullmatch(r"\s*(\d+)\s*(?:models?|trainings?)\s*", text)) is not None:
        return Budget(models=check_int("budget", int(count[1]), 1, " model"))
    if (time := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", text)) is not None:
        seconds = float(time[1]) * _UNITS[time[2]]
    elif isinstance(given, Real):
        seconds = float(given) * 60
    else:
        raise InputError(
            "budget must be a time such as 90s, 10min or 2h, or a number of trainings such as '20 models'. "
            f"Got {given!r}"
        )
    if not seconds > 0:
        raise InputError(f"budget must be more than nothing. Got {given!r}")
    return Budget(seconds)


class Layout(NamedTuple):
    """Folds and repeats, and why so many, in words."""

    folds: int
    repeats: int
    why: str


def layout(models: int, *, folds: int | None = None, repeats: int | None = None, most_folds: int) -> Layout:
    """Folds and repeats for at most a number of models.

    Args:
        models: to train at most.
        folds: as asked for; None: about 5, from 40 models on about 8, so that few models of the budget are left over.
        repeats: as asked for; None: as many as the budget pays for.
        most_folds: samples or groups of the smallest class, which cannot be dealt into more folds.

    Raises:
        InputError: not enough models for two repeats, or for what was asked for.

    >>> layout(20, most_folds=50)
    Layout(folds=5, repeats=4, why='for 20 models')
    >>> layout(14, most_folds=50)[:2], layout(100, most_folds=50)[:2], layout(20, most_folds=3)[:2]
    ((4, 3), (9, 11), (3, 6))
    """
    least = (2 if folds is None else folds) * (_REPEATS if repeats is None else repeats)
    if models < least:
        asked = ", ".join(f"{name}={n}" for name, n in (("folds", folds), ("repeats", repeats)) if n is not None)
        raise InputError(
            f"a budget of {models} models is too small: {asked or '2 folds × 2 repeats'} "
            f"take{'' if folds is not None and repeats is not None else ' at least'} {least}"
        )
    given = folds is not None or repeats is not None
    if folds is None:
        folds = min(models // repeats, most_folds) if repeats is not None else _folds(models, most_folds)
    if repeats is None:
        repeats = models // folds
    return Layout(folds, repeats, f"for {models} models{', as far as asked for' if given else ''}")


def _folds(models: int, most: int) -> int:
    aim = next(folds for least, folds in reversed(_FOLDS.items()) if models >= least)
    most = min(most, models // _REPEATS)
    near = [k for k in range(aim - _NEAR, aim + _NEAR + 1) if k <= most]
    # Of those that leave over least: the nearest, then the fewer folds, which give the more repeats.
    return min(near, key=lambda k: (models % k, abs(k - aim), k), default=most)


def models_for(target: float, reliability: float, models: int) -> int | None:
    r"""How many models a ranking takes to be so reliable, given how reliable it is with some; None if that cannot be told.

    Spearman and Brown's formula the other way round: $k = \frac{t (1-r)}{r (1-t)}$ times as many.

    >>> models_for(0.95, 0.9, 10)
    22
    """
    if not 0 < reliability < 1:
        return None
    return math.ceil(models * target * (1 - reliability) / (reliability * (1 - target)))
