"""Products of weightings: ``hs.Weighting("focal") * class_weights``.

The weight of a sample is the product of what each factor gives it. Every factor reads the same, unweighted loss, keeps its
own state and parameters, and decides itself whether the gradient flows through it. The product has one reduction: the one
that a factor was asked for (``reduction=``), else that of its schemes; fixed weights have none of their own. At most one
factor may compare the samples of a batch, because two that do, such as two softmaxes, would each be made for a batch that
the other changes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.weights import Scheme, StateShape
from hardsight.weights.training.batch import Batch
from hardsight.weights.training.id_index import IdIndex
from hardsight.weights.training.input_plan import InputPlan
from hardsight.weights.training.portable import PortableModule
from hardsight.weights.training.reduction import LoopReduction
from hardsight.weights.training.state import SchemeState, SeenSamples
from hardsight.weights.training.weighting import Weighting, check_repeats


def multiply(first: Weighting, other: Any) -> Weighting:
    """Return the weighting by the products of weights.

    Args:
        first: a weighting.
        other: another one; or fixed weights of all its samples, in the order of ids 0, 1, …

    Raises:
        InputError: a factor is a loss, two factors compare the samples of a batch, or their ids or reductions differ.
    """
    if isinstance(other, str):
        raise InputError(f"a factor must be a weighting or an array of weights. Got {other!r}: hs.Weighting({other!r}, …)")
    if not isinstance(other, Weighting):
        if first.id_index.ids is not None and not hasattr(other, "ids"):
            raise InputError("this weighting has listed ids: multiply it by hs.Weighting(weights, ids=…)")
        other = Weighting(other)
    return WeightingProduct([*_factors(first), *_factors(other)])


class WeightingProduct(Weighting):
    """Several weightings as one, made by ``*``."""

    def __init__(self, factors: Sequence[Weighting]) -> None:
        """Create the product of weightings, which it shares."""
        # The constructor of a weighting makes one of a single source.
        PortableModule.__init__(self)
        _check_factors(factors)
        self.factors = nn.ModuleList(factors)
        self.id_index = _common_ids(factors)
        self.register_buffer("fixed_weights", None)
        self.register_buffer("sizes", None)
        self.scheme_state, self.seen = SchemeState(None, StateShape(0), {}), SeenSamples(self.id_index.count)
        self._scheme_name, self.scheme_parameters = None, {}
        self.plan = InputPlan.union([factor.plan for factor in factors])
        self.classes = next((factor.classes for factor in factors if factor.classes), None)
        self.stated_reduction = _agree("reduction", [factor.stated_reduction for factor in factors])
        self.reduction = self.stated_reduction or _published_reduction(factors)
        self.repeated = _agree("repeated", [factor.repeated for factor in factors])
        self.on_nonfinite = "raise" if any(factor.on_nonfinite == "raise" for factor in factors) else "skip"
        self.through = any(factor.through for factor in factors)
        self.micro_batches = max(factor.micro_batches for factor in factors)
        self.epoch = next((factor.epoch for factor in factors if factor.epoch is not None), None)
        self.description = " × ".join(factor.description for factor in factors)
        self._generator, self._totals = torch.Generator(), None

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The schemes whose weights are multiplied; none for fixed weights."""
        return tuple(scheme for factor in _factors(self) for scheme in factor.schemes)

    @property
    def epochs(self) -> float | None:
        """The number of epochs in all, which all factors share once it is set."""
        return next((factor.epochs for factor in _factors(self) if factor.epochs is not None), None)

    @epochs.setter
    def epochs(self, epochs: float | None) -> None:
        for factor in _factors(self):
            factor.epochs = epochs

    def set_epoch(self, epoch: float, *, restart: bool = False) -> None:
        """Set the number of epochs done, of all factors; see :meth:`hardsight.Weighting.set_epoch`."""
        super().set_epoch(epoch, restart=restart)
        for factor in _factors(self):
            factor.set_epoch(epoch, restart=restart)

    def compares_samples(self, *, logits: bool = True) -> bool | None:
        """Return whether the weight of a sample depends on the rest of its batch; None if a scheme does not state it."""
        stated = [factor.compares_samples(logits=logits) for factor in _factors(self)]
        return True if True in stated else None if None in stated else False

    def _weigh(self, batch: Batch, differentiable: bool, partial: bool = False) -> Tensor:
        first, *others = _factors(self)
        weights = first._weigh(batch, differentiable and first.through, partial)
        for factor in others:
            weights = weights * factor._weigh(batch, differentiable and factor.through, partial)
        return weights


def _factors(weighting: Weighting) -> list[Weighting]:
    return list(weighting.factors) if isinstance(weighting, WeightingProduct) else [weighting]  # type: ignore[arg-type]


def _check_factors(factors: Sequence[Weighting]) -> None:
    for factor in factors:
        if factor.plan.is_loss:
            raise InputError(f"scheme {factor.schemes[0].name!r} is a loss and has no weights to multiply")
    comparing = [factor.schemes[0].name for factor in factors if factor.compares_samples()]
    if len(comparing) > 1:
        raise InputError(
            f"{' and '.join(map(repr, comparing))} compare the samples of a batch, and neither knows the weights of the "
            "other: multiply only one such scheme, by weights of single samples"
        )
    if any(factor.repeated == "count" for factor in factors):
        check_repeats("count", [scheme for factor in factors for scheme in factor.schemes])


def _common_ids(factors: Sequence[Weighting]) -> IdIndex:
    indices = [factor.id_index for factor in factors if factor.id_index.count]
    for index in indices[1:]:
        if index.count != indices[0].count or not index.has_ids(indices[0].ids):
            raise InputError(
                f"all factors must have the same ids. Got {indices[0].count} and {index.count} samples: pass the same "
                "num_samples= or ids= to each"
            )
    return indices[0] if indices else IdIndex()


def _agree(name: str, stated: Sequence[Any]) -> Any:
    different = sorted({value for value in stated if value is not None})
    if len(different) > 1:
        raise InputError(f"all factors must have the same {name}. Got {' and '.join(map(repr, different))}")
    return different[0] if different else None


def _published_reduction(factors: Sequence[Weighting]) -> LoopReduction:
    different = sorted({factor.reduction for factor in factors if factor.schemes})
    if len(different) > 1:
        raise InputError(
            f"the published reductions of the factors differ, {' and '.join(map(repr, different))}: pass reduction= to one"
        )
    return different[0] if different else "mean"
