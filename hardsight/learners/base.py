"""The learner protocol: how models are trained, and what a learner can do beyond that."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.resampling.plan import Plan

OnProgress = Callable[[float], None]


class Predictions(NamedTuple):
    """Predictions of one model for some samples.

    Attributes:
        rows: positions of the samples.
        values: log-probabilities ``(row, class)``, or predicted targets ``(row,)`` in regression.
        repeat: the repeat of the plan that the model belongs to, a member's ``round``.
        in_sample: False if the samples were held out from the model; True if it was trained on them. In-sample
            predictions are made only if ``plan.in_sample`` asks for them.
    """

    rows: Int64[Tensor, " row"]
    values: Float64[Tensor, " row *class"]
    repeat: int
    in_sample: bool = False


@dataclass(frozen=True)
class Capabilities:
    """What a learner can do beyond predicting held-out samples. The defaults promise nothing.

    Attributes:
        takes_weights: it trains by :attr:`Samples.weights`. Other learners are never given weighted samples.
        splits_itself: it holds samples out by its own means, such as out of bag. It gets a plan without rounds, must keep
            the samples of one of ``plan.blocks`` together, and yields one :class:`Predictions` of all samples per repeat.
        divisible: ``fit_predict`` trains the members of ``plan.members()`` and no others, and the result of one does not
            depend on which others there are. Backends then divide members among workers, otherwise whole repeats.
        expensive: one of its models may take minutes or hours, so the state of a run is saved after every repeat.
        single_threaded: its models are trained one after another, each in one thread, so that several processes train them
            faster than one does.
        predicts_in_sample: it also yields in-sample predictions if ``plan.in_sample`` asks for them.
        in_sample_is_cheap: in-sample predictions cost little beside the training, so that they are made by default.
        leaves_one_out: it computes leave-one-out predictions and no others, so it predicts no sample beyond those it is
            trained on.
        needs_calibration: its probabilities may be far too sure, so that a run of classes fits a temperature to them.
        reads_items: it needs the rows of a Hugging Face dataset as they are, not features and labels.
        reads_ids: it reads the data itself, by the ids of the samples, and needs no features.
        tunable_length: its training length is open and may be chosen: it is a :class:`TunableLength`.
        hidden_widths: widths of the hidden layers of the default perceptron of :class:`Network`; None for other models.
        loss_name: what its loss is called in results of ``task="loss"``; None: the name of the run's loss.
    """

    takes_weights: bool = False
    splits_itself: bool = False
    divisible: bool = False
    expensive: bool = False
    single_threaded: bool = False
    predicts_in_sample: bool = False
    in_sample_is_cheap: bool = False
    leaves_one_out: bool = False
    needs_calibration: bool = False
    reads_items: bool = False
    reads_ids: bool = False
    tunable_length: bool = False
    hidden_widths: tuple[int, ...] | None = None
    loss_name: str | None = None


@runtime_checkable
class Learner(Protocol):
    """Anything that trains the members of a plan and predicts the samples held out from them.

    A learner may have an attribute ``capabilities``, a :class:`Capabilities`. Without one, the defaults hold.

    Attributes:
        name: for tables and reports.
    """

    name: str

    def n_models(self, plan: Plan) -> int:
        """Return how many models ``fit_predict`` trains for the current repeats of a plan."""
        ...

    def describe(self) -> str:
        """Return the recipe in one line, for the result's settings: the error belongs to it."""
        ...

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """Train and predict, in an order that depends on the plan alone.

        Args:
            samples: what to train on and predict.
            plan: train/held-out assignment and seeds.
            on_progress: is called with the number of models finished since the last call; fractions are allowed.

        Raises:
            InputError: this learner cannot learn these samples.
            LearnerError: a model failed.
        """
        ...


@runtime_checkable
class TunableLength(Learner, Protocol):
    """A learner whose training length can be chosen; see :attr:`Capabilities.tunable_length`."""

    def with_length(self, length: float) -> Learner:
        """Return the same learner, trained ``length`` times as long as by default."""
        ...

    def steps(self, train_size: float) -> int:
        """Return how many steps one member takes on a training part of ``train_size`` samples."""
        ...


def capabilities_of(learner: Any) -> Capabilities:
    """Return what a learner declares, or the defaults. Anything that is not a learner has the defaults.

    Raises:
        InputError: the learner's ``capabilities`` are of another type.
    """
    declared = getattr(learner, "capabilities", None)
    if isinstance(declared, Capabilities):
        return declared
    if declared is not None and isinstance(learner, Learner):
        raise InputError(
            f"capabilities of {learner.name} must be hardsight.learners.Capabilities(…). Got {type(declared).__name__}"
        )
    return Capabilities()


def as_tensor(array: np.ndarray) -> Tensor:
    """Return a tensor that shares the array's memory, which may be read-only: samples are never written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
