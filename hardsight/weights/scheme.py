"""What a scheme is: a pure function of its inputs, and everything that must be known to use it correctly."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice
from hardsight.weights.inputs import INPUTS, check_losses, min_max, to_class_codes, to_tensor
from hardsight.weights.model_outputs import cross_entropy, label_probability, standardize_outputs

Priority = Literal["easy", "hard", "medium", "two-ends", "varied", "learned", "none"]
"""Which samples weigh most: easy or hard ones, those in between, both ends; changing over training; learned; or none."""
Kind = Literal["weights", "loss", "sampling", "learned"]
"""Weights ``(sample,)``; a loss ``(sample,)`` that no scalar weight reproduces; sampling probabilities ``(sample,)``,
positive but not necessarily normalized; or weights that are learned with the model, by a function of the scheme's own."""
Reduction = Literal["mean", "weighted mean", "sum"]
"""How weighted losses become one number: sum(w l) / n; sum(w l) / sum(w); sum(w l)."""
Per = Literal["sample", "class", "group", "element"]
"""What shares a weight."""
Compares = bool | Callable[[Mapping[str, Any]], bool]
"""Whether the weight of a sample depends on the other samples of its batch; or a function that says so of the inputs and
parameters of a call, by name."""
State = dict[str, Tensor]
"""What a scheme keeps between steps: tensors, changed in place. The first axis of a table is that of its samples."""
Function = TypeVar("Function", bound=Callable[..., Any])

SCHEMES: dict[str, "Scheme"] = {}
"""Every scheme by name: the library's own, by module and in the order of definition, then those of the user."""


class StateShape(NamedTuple):
    """Sizes of a state's tables.

    Attributes:
        samples: number of samples.
        classes: number of classes; 0 if there are none.
        groups: number of groups; 0 if there are none.
        device: where the tables live.
    """

    samples: int
    classes: int = 0
    groups: int = 0
    device: torch.device = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A scheme of ``SCHEMES``. Call it with inputs and parameters by name.

    Attributes:
        name: unique name.
        description: one phrase: which samples it prefers, and why.
        formula: in plain text; l: loss, p: probability of the given label, z: logits, y: label, n: batch size, N: number of
            samples, K: number of classes, t, T: current epoch and total number of epochs, sg(.): stop-gradient.
        function: its positional parameters are its inputs (``INPUTS``; after ``state`` if it keeps one), optional if their
            default is None; its keyword-only parameters are its own, with the published defaults, or without a default if
            none was published.
        priority: which samples weigh most.
        scale: unit and range of the difficulty that it reads.
        source: authors, year, title.
        kind: what the function returns.
        through: whether, as published, the gradient flows through the weights.
        reduction: how weighted losses become one number, as published.
        normalization: the sum or mean of the weights; "none".
        per: what shares a weight: "sample", "class", "group" or "element".
        compares_samples: whether the weight of a sample depends on the other samples of its batch, also by a state that
            the batch updates; or a function that says so of the inputs and parameters of a call. Such weights are right
            only for the whole effective batch. None: not stated.
        clean_data: clean data that it needs, a phrase; "" for none.
        init: makes the state from a :class:`StateShape` and those of the function's own parameters that it names; None for
            a scheme without state.
        note: departures from the source or from its authors' code, and traps.
        example: values for the parameters without a default, for tests and examples.
        exclude_from_benchmark: reasons not to run it in the benchmark's study, by the way it would be used ("held out",
            "in training").

    Raises:
        InputError: an unknown input, priority, kind, reduction or ``per``; or a state without ``init``, or the reverse.
    """

    name: str
    description: str
    formula: str
    function: Callable[..., Any]
    priority: Priority
    scale: str
    source: str
    kind: Kind = "weights"
    through: bool = False
    reduction: Reduction = "mean"
    normalization: str = "none"
    per: Per = "sample"
    compares_samples: Compares | None = None
    clean_data: str = ""
    init: Callable[..., State] | None = None
    note: str = ""
    example: Mapping[str, Any] = field(default_factory=dict)
    exclude_from_benchmark: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, choices in (("priority", Priority), ("kind", Kind), ("reduction", Reduction), ("per", Per)):
            check_choice(f"{name} of scheme {self.name!r}", getattr(self, name), get_args(choices))
        for name in self.inputs:
            if name not in INPUTS:
                near = get_close_matches(name, INPUTS, 1)
                raise InputError(
                    f"the positional parameters of scheme {self.name!r} must be inputs of hs.weights.INPUTS. Got {name!r}: "
                    + (f"do you mean {near[0]!r}?" if near else "make it keyword-only if it is a parameter of its own")
                )
        if ("state" in self._signature) != (self.init is not None):
            raise InputError(
                f"scheme {self.name!r} must have both a first parameter 'state' and init=, which makes the state, or neither"
            )

    def compares(self, known: Mapping[str, Any]) -> bool | None:
        """Return whether the weight of a sample depends on the rest of its batch; None if the scheme does not state it.

        Args:
            known: inputs and parameters of a call, as far as they are known; parameters have their defaults otherwise.
        """
        stated = self.compares_samples
        return stated({**self.parameters, **known}) if callable(stated) else stated

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of all its inputs, keys of ``INPUTS``; those that must be given stand first."""
        positional = [name for name, p in self._signature.items() if p.kind is not p.KEYWORD_ONLY]
        return tuple(name for name in positional if name != "state")

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Names of the inputs that must be given, keys of ``INPUTS``."""
        return tuple(name for name in self.inputs if self._signature[name].default is inspect.Parameter.empty)

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """Names of the inputs that it reads if they are given."""
        return tuple(name for name in self.inputs if name not in self.reads)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Its own parameters and their defaults; ``...`` for one that must be given."""
        own = [p for p in self._signature.values() if p.kind is p.KEYWORD_ONLY]
        return {p.name: ... if p.default is p.empty else p.default for p in own}

    @cached_property
    def reads_several_labels(self) -> bool:
        """Whether its labels are a 0/1 matrix ``(sample, label)`` of labels that do not exclude each other."""
        return self.per == "element" and "labels" in self.reads

    @cached_property
    def _may_be_negative(self) -> bool:
        # The library's own schemes are tested instead, because the check waits for the device in every step.
        return self.kind in ("weights", "sampling") and not self.function.__module__.startswith("hardsight.")

    @cached_property
    def _signature(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    def check_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Check that these are parameters of the scheme, and that none without a default is missing.

        Raises:
            InputError: a parameter is unknown or missing.
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

    def init_state(self, shape: StateShape, parameters: Mapping[str, Any]) -> State | None:
        """Return the state before the first step; None for a scheme without state."""
        if self.init is None:
            return None
        names = inspect.signature(self.init).parameters
        values = {name: default for name, default in self.parameters.items() if default is not ...} | dict(parameters)
        return self.init(shape, **{name: value for name, value in values.items() if name in names})

    def __call__(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], state: State | None = None) -> Any:
        """Return what the function returns: weights, a loss or sampling probabilities.

        Args:
            inputs: by name, at least those that it reads. ``loss`` and ``p`` are computed from ``logits`` and ``labels`` if
                these are given, and ``p`` from ``loss`` otherwise.
            parameters: its own, by name.
            state: from :meth:`init_state`; changed in place.

        Raises:
            InputError: an input is missing; a parameter is missing, unknown or out of range; or the function returned
                weights that are not finite or below 0.
        """
        self.check_parameters(parameters)
        return self.call_unchecked(standardize_outputs(inputs, several_labels=self.reads_several_labels), parameters, state)

    # The method's name in the public contract.
    of = __call__

    def call_unchecked(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], state: State | None) -> Any:
        """Call the scheme with parameters that passed :meth:`check_parameters` once, as a training loop does."""
        args = [self._input(name, inputs) for name in self.reads]
        args += [self._input(name, inputs) if inputs.get(name) is not None else None for name in self.optional]
        result = self.function(*args, **parameters) if self.init is None else self.function(state, *args, **parameters)
        if self._may_be_negative:
            low, high = min_max(result)
            if not (low >= 0 and high < float("inf")):
                index = int((~((result >= 0) & result.isfinite())).nonzero()[0])
                raise InputError(
                    f"the weights of scheme {self.name!r} must be finite and 0 or more. Got {float(result[index]):g} for "
                    f"sample {index} of the batch"
                )
        return result

    def _input(self, name: str, inputs: Mapping[str, Any]) -> Any:
        if inputs.get(name) is not None:
            return self._read_labels(inputs[name]) if name == "labels" else to_tensor(name, inputs[name])
        if name == "p" and inputs.get("logits") is not None and inputs.get("labels") is not None:
            return label_probability(inputs["logits"], inputs["labels"])
        if name == "p":
            return torch.exp(-check_losses(self._input("loss", inputs)))
        if name == "loss" and inputs.get("logits") is not None and inputs.get("labels") is not None:
            return cross_entropy(inputs["logits"], inputs["labels"])
        raise InputError(f"scheme {self.name!r} needs {name}: pass {name}=…, {INPUTS[name]}")

    def _read_labels(self, labels: Any) -> Tensor:
        codes = to_class_codes(to_tensor("labels", labels))
        if codes.dim() > 1 and not self.reads_several_labels:
            raise InputError(
                f"scheme {self.name!r} reads one class per sample, and soft labels have none: pass class codes, such as "
                "labels.argmax(1)"
            )
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the functions, as JSON types."""
        names = ("name", "description", "formula", "priority", "scale", "source", "kind", "through", "reduction")
        values = {name: getattr(self, name) for name in (*names, "normalization", "per", "clean_data", "note")}
        defaults = {name: None if default is ... else default for name, default in self.parameters.items()}
        reads = {"reads": list(self.reads), "optional": list(self.optional)}
        return values | reads | {"parameters": defaults, "state": self.init is not None}


def scheme(
    name: str,
    *,
    formula: str,
    priority: Priority,
    scale: str,
    source: str,
    description: str | None = None,
    kind: Kind = "weights",
    through: bool = False,
    reduction: Reduction = "mean",
    normalization: str = "none",
    per: Per = "sample",
    compares_samples: Compares | None = None,
    clean_data: str = "",
    init: Callable[..., State] | None = None,
    note: str = "",
    example: Mapping[str, Any] | None = None,
    exclude_from_benchmark: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Register the function below as a scheme; see :class:`Scheme`. The function itself stays as it is.

    The description is the first line of the function's docstring if it is not given.

    Raises:
        InputError: as in :class:`Scheme`; or the name belongs to another function, or the function has no docstring.
    """

    def register(function: Function) -> Function:
        line = description or (inspect.getdoc(function) or "").split("\n")[0].rstrip(".")
        if not line:
            raise InputError(f"the function of scheme {name!r} must have a docstring that says which samples it prefers")
        _check_unique(name, function)
        SCHEMES[name] = Scheme(
            name=name,
            description=line,
            formula=formula,
            function=function,
            priority=priority,
            scale=scale,
            source=source,
            kind=kind,
            through=through,
            reduction=reduction,
            normalization=normalization,
            per=per,
            compares_samples=compares_samples,
            clean_data=clean_data,
            init=init,
            note=note,
            example=example or {},
            exclude_from_benchmark=exclude_from_benchmark or {},
        )
        return function

    return register


def _check_unique(name: str, function: Callable[..., Any]) -> None:
    # A notebook cell that runs again registers the same function again.
    if name in SCHEMES and _qualified_name(SCHEMES[name].function) != _qualified_name(function):
        raise InputError(
            f"the name of a scheme must be unique. Got {name!r}, which is {_qualified_name(SCHEMES[name].function)}"
        )


def _qualified_name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
