"""What a scheme is: a pure function of what it reads of the samples, and all that must be known to use it rightly."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError

Priority = Literal["easy", "hard", "medium", "two-ends", "varied", "learned", "none"]
"""Which samples weigh most: easy or hard ones, those between, both ends; changing over training; learned; or all alike."""
Kind = Literal["weights", "loss", "sampling", "learned"]
"""Weights ``(sample,)``; a loss ``(sample,)`` where no scalar weight does the same; chances to be drawn ``(sample,)``, which
are positive and need not add up to one; or weights that are learned with the model, by a function of its own."""
Reduction = Literal["mean", "weighted mean", "sum"]
"""How weighted losses become one number: sum(w l) / n; sum(w l) / sum(w); sum(w l)."""
State = dict[str, Tensor]
"""What a scheme remembers between steps: tensors, changed in place. The first axis of a table is that of its samples."""

INPUTS: dict[str, str] = {
    "loss": "loss of each sample by the model as it is, nats where it is cross-entropy; (sample,)",
    "p": "probability of the given label; exp(-loss) where it is not given; (sample,)",
    "logits": "of the model as it is; (sample, class)",
    "labels": "given labels, class codes; (sample,); a 0/1 matrix (sample, label) for losses of several labels",
    "sizes": "samples of each class in the data set; (class,)",
    "features": "penultimate features; (sample, feature)",
    "groups": "code of each sample's group or domain; (sample,)",
    "held_out": "loss by models that were not trained on the sample, nats: d.error; (sample,)",
    "p_wrong": "probability that the label is wrong: d.p_wrong, of classes by log-loss, two views or more; (sample,)",
    "peer": "loss by a second model, nats; (sample,)",
    "peer_logits": "of a second model; (sample, class)",
    "history": "probability of the given label in past epochs; (sample, epoch)",
    "residual": "prediction less target, of regression; (sample,) or (sample, target)",
    "first": "loss or 0/1 error by a first model, as the scheme says; (sample,)",
    "aum": "area under the margin: mean over epochs of the label's logit minus the largest other; (sample,)",
    "class_error": "error rate of each class on validation data; (class,)",
    "neighbours": "labels of the nearest neighbours; (sample, neighbour)",
    "purity": "share of the minority class in the sample's leaf of a cross-fitted tree; (sample,)",
    "rows": "each sample's row in the tables of the state; (sample,)",
    "epoch": "epochs done, from 0; a fraction within an epoch; float",
    "epochs": "epochs in all; float",
    "learning_rate": "of the optimiser's step; float",
    "generator": "where random numbers come from; torch.Generator",
    "weigher": "what learns the weights, as the scheme says; torch.nn.Module",
    "model": "from inputs to logits; torch.nn.Module",
    "inputs": "of the batch, what the model takes; (sample, ...)",
    "clean_inputs": "of a clean or validation batch; (clean, ...)",
    "clean_labels": "its class codes; (clean,)",
}
"""All that a scheme may read, by the name of its function's positional parameters."""
OF_SAMPLES = frozenset(name for name, what in INPUTS.items() if "(sample" in what) - {"rows"}
"""Inputs with a row for each sample; rows are found where a state is kept."""
_ARRAYS = frozenset(name for name, what in INPUTS.items() if "; (" in what)
# Up to here the interpreter, which is at work anyway, is done before a library has begun.
_FEW = 512


class StateShape(NamedTuple):
    """What a state is made for.

    Attributes:
        samples: rows of its tables.
        classes: how many; 0 where there are none.
        groups: how many; 0 where there are none.
        device: where it lives.
    """

    samples: int
    classes: int = 0
    groups: int = 0
    device: torch.device = torch.device("cpu")


@dataclass(frozen=True)
class Scheme:
    """A row of ``SCHEMES``.

    Attributes:
        name: what it is called.
        what: a phrase that says which samples it prefers, and why.
        formula: in plain text; l: loss, p: probability of the given label, z: logits, y: label, n: batch size, N: samples,
            K: classes, t, T: epoch and epochs in all, sg(.): no gradient flows.
        function: positional parameters are what it reads (``INPUTS``, after ``state`` where it keeps one); keyword-only ones
            are its own parameters, with the published defaults, and without any where none was published.
        priority: which samples weigh most.
        scale: of the difficulty that it reads.
        source: authors, year, title.
        kind: what the function gives.
        through: whether, as published, the gradient flows through the weights.
        reduction: how weighted losses become one number, as published.
        normalised: what the weights add up to, or have as mean; "none".
        per: whose the weight is: "sample", "class", "group" or "element".
        clean: clean data that it needs, a phrase; "" where it needs none.
        start: makes the state, from a :class:`StateShape` and the function's own parameters that it names; None: no state.
        note: where it departs from its source or its source's code, and traps.
    """

    name: str
    what: str
    formula: str
    function: Callable[..., Any]
    priority: Priority
    scale: str
    source: str
    kind: Kind = "weights"
    through: bool = False
    reduction: Reduction = "mean"
    normalised: str = "none"
    per: Literal["sample", "class", "group", "element"] = "sample"
    clean: str = ""
    start: Callable[..., State] | None = None
    note: str = ""

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Names of what must be given, keys of ``INPUTS``."""
        positional = [name for name, p in self._signature.items() if p.kind is not p.KEYWORD_ONLY]
        return tuple(name for name in positional if name != "state")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Its own parameters and their defaults; ``...`` where one must be given."""
        own = [p for p in self._signature.values() if p.kind is p.KEYWORD_ONLY]
        return {p.name: ... if p.default is p.empty else p.default for p in own}

    @cached_property
    def _signature(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Check that these are all the parameters that it must be given, and no others.

        Raises:
            InputError: names the one that is unknown or missing.
        """
        for name in parameters:
            if name not in self.parameters:
                near = get_close_matches(name, self.parameters, 1)
                known = ", ".join(self.parameters) or "none"
                raise InputError(
                    f"scheme {self.name!r} has no parameter {name!r}: "
                    + (f"do you mean {near[0]!r}?" if near else f"it has {known}")
                )
        missing = [name for name, default in self.parameters.items() if default is ... and name not in parameters]
        if missing:
            raise InputError(
                f"scheme {self.name!r} has no published default for {missing[0]}: pass {missing[0]}=…; {self.formula}"
            )

    def begin(self, room: StateShape, parameters: Mapping[str, Any]) -> State | None:
        """Its state before the first step; None where it keeps none."""
        if self.start is None:
            return None
        named = inspect.signature(self.start).parameters
        told = {name: default for name, default in self.parameters.items() if default is not ...} | dict(parameters)
        return self.start(room, **{name: value for name, value in told.items() if name in named})

    def of(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], state: State | None = None) -> Any:
        """What the function says.

        Args:
            inputs: by name, at least what it reads; ``p`` is found from ``loss``, and ``loss`` from ``logits`` and
                ``labels``, where only these are given.
            parameters: its own.
            state: what :meth:`begin` made; changed in place.

        Raises:
            InputError: something that it reads is missing, a parameter is missing or unknown, or out of its domain.
        """
        self.check(parameters)
        return self.of_checked(inputs, parameters, state)

    def of_checked(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], state: State | None) -> Any:
        """As :meth:`of`, with parameters that passed :meth:`check` once: what a loop calls in every step."""
        told = [self._input(name, inputs) for name in self.reads]
        if self.start is None:
            return self.function(*told, **parameters)
        return self.function(state, *told, **parameters)

    def _input(self, name: str, inputs: Mapping[str, Any]) -> Any:
        if inputs.get(name) is not None:
            return label_codes(inputs[name]) if name == "labels" else inputs[name]
        if name == "p":
            return torch.exp(-losses(self._input("loss", inputs)))
        if name == "loss" and inputs.get("logits") is not None and inputs.get("labels") is not None:
            return cross_entropy(inputs["logits"], inputs["labels"])
        raise InputError(f"scheme {self.name!r} reads {name}, which is not there: pass {name}=…, {INPUTS[name]}")

    def described(self) -> dict[str, Any]:
        """Everything but the functions, as JSON types."""
        fields = (
            "name",
            "what",
            "formula",
            "priority",
            "scale",
            "source",
            "kind",
            "through",
            "reduction",
            "normalised",
        )
        told = {field: getattr(self, field) for field in (*fields, "per", "clean", "note")}
        shown = {name: None if default is ... else default for name, default in self.parameters.items()}
        return told | {"reads": list(self.reads), "parameters": shown, "state": self.start is not None}


def min_max(values: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value; both are NaN if any value is, and 0 if there are none."""
    # One pass, and one wait for the device, in each step of training; NaN is both ends of what holds one.
    if values.is_cpu and values.dim() == 1 and 0 < values.shape[0] <= _FEW:
        numbers = values.tolist()
        total = sum(numbers)
        return (min(numbers), max(numbers)) if total == total else (total, total)
    if not values.numel():
        return 0.0, 0.0
    low, high = torch.aminmax(values.detach())
    return float(low), float(high)


def losses(loss: Tensor) -> Tensor:
    """The losses, checked: numbers, 0 or more, but for rounding. ``(sample,)``

    Raises:
        InputError: a loss that is not finite or below zero; names its position.
    """
    low, high = min_max(loss)
    if not (low >= -1e-4 and high < float("inf")):
        must = "finite and 0 or more: give cross-entropy, reduction='none'"
        _refuse(loss, ~(loss >= -1e-4) | loss.isinf(), "loss", must)
    return loss if low >= 0 else loss.clamp(min=0)


def probabilities(p: Tensor) -> Tensor:
    """The probabilities, checked: between 0 and 1, but for rounding. ``(sample,)``

    Raises:
        InputError: one that is not; names its position.
    """
    low, high = min_max(p)
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        must = "between 0 and 1: give softmax probabilities of the labels"
        _refuse(p, ~((p >= -1e-6) & (p <= 1 + 1e-6)), "p", must)
    return p if low >= 0 and high <= 1 else p.clamp(0, 1)


def finite(name: str, values: Tensor) -> Tensor:
    """The values, checked: finite numbers.

    Raises:
        InputError: names the argument and the position.
    """
    low, high = min_max(values)
    if not (low > -float("inf") and high < float("inf")):
        _refuse(values, ~values.isfinite(), name, "finite numbers")
    return values


def codes(name: str, values: Tensor, count: int, what: str = "codes", why: str = "") -> Tensor:
    """The codes, checked: 0 to ``count - 1``. ``(sample,)``

    Raises:
        InputError: one that is not; names its position.
    """
    low, high = min_max(values)
    if not (low >= 0 and high < count):
        _refuse(values, (values < 0) | (values >= count), name, f"{what} from 0 to {count - 1}{why}")
    return values


def class_codes(labels: Tensor, classes: int) -> Tensor:
    """The labels, checked: class codes from 0 to ``classes - 1``. ``(sample,)``

    Raises:
        InputError: one that is not; names its position.
    """
    return codes("labels", labels, classes, "class codes", ", as logits have them").long()


def label_codes(labels: Tensor) -> Tensor:
    """Class codes of any type of numbers as int64, ``(sample,)``; a 0/1 matrix ``(sample, label)`` as it is.

    Raises:
        InputError: one that is no whole number; names its position.
    """
    if labels.dtype is torch.int64 or labels.dim() > 1:
        return labels
    if labels.is_floating_point():
        _refuse(labels, labels != labels.round(), "labels", "class codes, whole numbers")
    return labels.long()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each sample, from its logits ``(sample, class)`` and class code. ``(sample,)``

    Labels may also be probabilities of the classes, of the shape of the logits.

    Raises:
        InputError: labels of another shape, or that are no class codes.
    """
    if labels.shape == logits.shape and labels.is_floating_point():
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise InputError(
            f"logits must be (sample, class) and labels (sample,), a class code each. Got the shapes {tuple(logits.shape)} "
            f"and {tuple(labels.shape)}"
        )
    codes = class_codes(label_codes(labels), logits.shape[1])
    return torch.nn.functional.cross_entropy(logits, codes, reduction="none")


def array(name: str, value: Any) -> Any:
    """What was given for an input, as a tensor where it is an array of any kind.

    Raises:
        InputError: it is none of numbers.
    """
    if isinstance(value, Tensor) or name not in _ARRAYS:
        return value
    found = np.asarray(value)
    if found.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numbers: {INPUTS[name]}. Got {type(value).__name__} of {found.dtype}")
    # A copy: what was loaded from a file is read-only, and torch warns of such arrays.
    return torch.tensor(found.astype(np.float32) if found.dtype.kind == "b" else found)


def rows_of_all(name: str, value: Any, samples: int, whose: str) -> Any:
    """What was given for an input, as :func:`array` has it, with a row for every sample where it is one of samples.

    Args:
        name: of the input.
        value: as given.
        samples: how many there are.
        whose: samples these are, in words.

    Raises:
        InputError: it is none of numbers, or has not a row a sample.
    """
    found = array(name, value)
    if name in OF_SAMPLES and found.shape[:1] != (samples,):
        rows = len(found) if found.ndim else "no"
        raise InputError(f"{name} has {rows} rows, {whose} {samples}: one a sample, in the order of the samples")
    return found


def _refuse(values: Tensor, wrong: Tensor, name: str, must: str) -> None:
    if bool(wrong.any()):
        at = tuple(wrong.nonzero()[0].tolist())
        shown = ", ".join(map(str, at))
        value = values[at].item()
        written = f"{value:g}" if isinstance(value, float) else str(value)
        raise InputError(f"{name} must be {must}. {name}[{shown}] is {written}")
