"""Learning-rate schedules: functions of the share of steps done, from 0 to 1."""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1.

    >>> constant(0.3)
    1.0
    """
    return 1.0


def cosine(progress: float) -> float:
    """Return half a cosine from 1 down to 0 (Loshchilov & Hutter 2017, *SGDR*, without restarts).

    >>> [round(cosine(p), 3) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine}
