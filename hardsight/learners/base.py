"""The seam between what trains models and what is asked of them."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.data import Samples
from hardsight.resampling.plan import Plan

Tick = Callable[[float], None]


class View(NamedTuple):
    """Predictions of one model for the samples at ``rows``: log-probabilities, or targets in regression.

    ``turn`` is the turn of the plan that it belongs to, a member's ``round``. The rows were held out from the model, or
    are those that it was trained on where ``seen`` is True: such views are given where ``plan.in_sample`` asks for them.
    """

    rows: Int64[Tensor, " row"]
    predictions: Float64[Tensor, " row *class"]
    turn: int
    seen: bool = False


def shared(array: np.ndarray) -> Tensor:
    """An array as a tensor in the same memory, which may be read-only, or a file's: nobody writes to samples."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


@runtime_checkable
class Learner(Protocol):
    """Anything that can train the members of a plan and say what they predict for the samples they have not seen.

    Attributes:
        name: for tables and reports.
        splits_itself: True for learners that hold samples out by their own means (out-of-bag), which then must respect
            ``plan.blocks``, give one view of every sample a turn (``plan.repeat_indices``), and get no rounds.

    A learner that trains by :attr:`Samples.weights` says so by an attribute ``takes_weights = True``; others are never given
    weighted samples.
    """

    name: str
    splits_itself: bool

    def models(self, plan: Plan) -> int:
        """How many models it will train for the turns of a plan."""
        ...

    def describe(self) -> str:
        """The recipe in a line, for the result's settings: the error belongs to it."""
        ...

    def views(self, samples: Samples, plan: Plan, tick: Tick) -> Iterator[View]:
        """Train and predict, in an order that the plan alone decides. ``tick(k)``: k more models' worth is done.

        Raises:
            InputError: these samples cannot be learned by this learner.
            LearnerError: a model failed.
        """
        ...


@runtime_checkable
class Divisible(Learner, Protocol):
    """A learner whose turns can be divided among workers.

    Attributes:
        divisible: True promises that ``views`` trains the members of ``plan.members()`` and no others, and that what
            becomes of one does not depend on which others there are.
    """

    divisible: bool


@runtime_checkable
class InSample(Protocol):
    """A learner that can also say what its members predict for the samples they were trained on.

    Attributes:
        in_sample_is_cheap: whether that costs little beside the training, so that it is done without being asked for.
    """

    in_sample_is_cheap: bool
