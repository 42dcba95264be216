"""Learners with a name, for ``learner="…"`` and the command line: one file here makes one or a few of them."""

from collections.abc import Callable
from typing import NamedTuple

from hardsight.data import Samples
from hardsight.learners.base import Learner

MakeLearner = Callable[[Samples], Learner]


class Preset(NamedTuple):
    """A learner with a name and ready-made settings."""

    name: str  # for learner="…"
    description: str  # one line, for lists
    make: MakeLearner  # returns the learner for some samples
    takes_weights: bool  # whether make returns a learner that takes weights if the samples have them


def preset(name: str, description: str, *, takes_weights: bool = False) -> Callable[[MakeLearner], Preset]:
    """Turn a function of samples that returns a learner into a :class:`Preset`; a decorator."""
    return lambda make: Preset(name, description, make, takes_weights)
