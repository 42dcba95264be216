"""The loss that a model or a criterion computes itself, taken apart into the parts of its samples.

Models compute their losses in many ways: with class weights, label smoothing, several heads, terms of their own such as
the router loss of a mixture of experts. :class:`LossRecorder` watches the calls of torch's loss functions while a loss
is computed, and :func:`split_by_sample` finds how much each sample contributes to the result. With weights of one the
parts add up to the loss of the model, whatever it is.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hardsight.errors import InputError, first_line
from hardsight.weights.inputs import to_full_precision
from hardsight.weights.training.tokens import IGNORED

_CLASS_LOSSES = (functional.cross_entropy, functional.nll_loss)
_SIGNATURES = {
    function: inspect.signature(function)
    for function in (
        *_CLASS_LOSSES,
        functional.binary_cross_entropy,
        functional.binary_cross_entropy_with_logits,
        functional.cosine_embedding_loss,
        functional.ctc_loss,
        functional.gaussian_nll_loss,
        functional.hinge_embedding_loss,
        functional.huber_loss,
        functional.kl_div,
        functional.l1_loss,
        functional.margin_ranking_loss,
        functional.mse_loss,
        functional.multi_margin_loss,
        functional.multilabel_margin_loss,
        functional.multilabel_soft_margin_loss,
        functional.poisson_nll_loss,
        functional.smooth_l1_loss,
        functional.soft_margin_loss,
        functional.triplet_margin_loss,
    )
}
# Operations that only rearrange the outputs of a model, convert them, or make them log-probabilities.
_REARRANGING = frozenset(
    [
        "Alias",
        "Clone",
        "Expand",
        "Index",
        "Log",
        "LogSoftmax",
        "Permute",
        "ReshapeAlias",
        "Select",
        "Slice",
        "Softmax",
        "Split",
        "SplitWithSizes",
        "Squeeze",
        "T",
        "ToCopy",
        "Transpose",
        "Unbind",
        "UnsafeView",
        "Unsqueeze",
        "View",
    ]
)
_UNKNOWN_SAMPLES = (
    "cannot tell which samples a part of the model's own loss belongs to: it is the {} of {} values, and the batch has "
    "{} ids; use a collator that gives each sample a row, or packed rows with position_ids"
)


@dataclass(frozen=True)
class BatchLayout:
    """Where the samples of a batch are.

    Attributes:
        n_samples: number of samples.
        labels: integer labels of the batch, each ``(row, …)``; ``IGNORED`` belongs to no sample.
        segments: sample of each token in packed rows, ``(row, token)`` int64, -1 for none; None: sample i is row i.
    """

    n_samples: int
    labels: tuple[Tensor, ...] = ()
    segments: Tensor | None = None

    def find_labels(self, values: Tensor, ignore_index: int) -> Tensor | None:
        """Return the samples of a sequence of labels: all that count in the batch, in its order. ``(label,)``

        A causal language model leaves out the first label of each row. Returns None if there are no such labels.
        """
        # One label per sample first: a few labels of tokens could be the same numbers by chance.
        for labels in sorted(self.labels, key=Tensor.dim):
            samples = self.segments
            if samples is None or samples.shape != labels.shape:
                if len(labels) != self.n_samples:
                    continue
                rows = torch.arange(self.n_samples, device=labels.device)
                samples = rows.view(-1, *[1] * (labels.dim() - 1)).expand_as(labels)
            for first in (0, 1) if labels.dim() > 1 else (0,):
                counted, owners = (labels[:, first:], samples[:, first:]) if first else (labels, samples)
                mask = (counted != IGNORED) & (counted != ignore_index)
                if torch.equal(counted[mask].to(values), values):
                    return owners[mask]
        return None


@dataclass(eq=False)
class LossCall:
    """A call of one of torch's loss functions.

    Attributes:
        function: the function.
        arguments: its arguments by name.
        elements: the loss of each element, with its gradient.
        leaf: the same values, from which the loss of the model was computed.
        counted: which elements count, ``(element,)`` bool; None if all do.
        samples: the sample of each element that counts, ``(element,)`` int64.
    """

    function: Callable[..., Tensor]
    arguments: dict[str, Any]
    elements: Tensor
    leaf: Tensor
    counted: Tensor | None
    samples: Tensor

    @cached_property
    def has_classes(self) -> bool:
        """Whether it compares scores with class codes."""
        return self.function in _CLASS_LOSSES and not self.arguments["target"].is_floating_point()

    @cached_property
    def is_modified(self) -> bool:
        """Whether class weights or label smoothing change the cross-entropy."""
        return self.arguments.get("weight") is not None or bool(self.arguments.get("label_smoothing"))

    def sum_by_sample(self, values: Tensor, n_samples: int) -> Tensor:
        """Add up a value of each element. ``(sample,)``"""
        values = values.reshape(-1)
        counted = values if self.counted is None else values[self.counted]
        return counted.new_zeros(n_samples).index_add(0, self.samples, counted)

    def scores(self) -> tuple[Tensor, Tensor]:
        """Return the logits or log-probabilities of the elements that count, ``(element, class)``, and their labels."""
        scores, target = self.arguments["input"], self.arguments["target"].reshape(-1)
        scores = to_full_precision(scores).movedim(1, -1).reshape(-1, scores.shape[1])
        return (scores, target) if self.counted is None else (scores[self.counted], target[self.counted])


class LossRecorder(TorchFunctionMode):
    """A context that records the calls of torch's loss functions.

    Attributes:
        calls: the calls whose elements belong to samples.
        uses_items: whether some operation read ``items``.
    """

    def __init__(self, layout: BatchLayout, items: Any = None) -> None:
        """Create a context.

        Args:
            layout: where the samples of the batch are.
            items: a tensor that the model may divide its loss by, such as the number of items in the effective batch.
        """
        super().__init__()
        self.layout = layout
        self.calls: list[LossCall] = []
        self.items = items
        self.uses_items = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, and record it if it is a loss function.

        Raises:
            InputError: the loss function refuses its arguments, or cannot be assigned to samples.
        """
        kwargs = kwargs or {}
        if not self.uses_items and self.items is not None:
            self.uses_items = any(value is self.items for value in args)
        if func is functional.logsigmoid:
            return self._record_log_sigmoid(*args, **kwargs)
        if func not in _SIGNATURES:
            return func(*args, **kwargs)
        arguments = _SIGNATURES[func].bind(*args, **kwargs)
        arguments.apply_defaults()
        values = arguments.arguments
        is_old_style = values.get("reduce") is not None or values.get("size_average") is not None
        if is_old_style or not torch.is_grad_enabled() or not any(map(_has_gradient, values.values())):
            return func(*args, **kwargs)
        return self._record(func, values)

    def _record(self, function: Any, values: dict[str, Any]) -> Tensor:
        reduction = values["reduction"]
        # Half precision cannot add up many losses.
        tensors = {name: to_full_precision(value) for name, value in values.items() if isinstance(value, Tensor)}
        arguments = values | tensors | {"reduction": "none"}
        try:
            elements = function(**arguments)
        except (RuntimeError, ValueError, IndexError) as error:
            raise InputError(_describe_refusal(function, values, error)) from error
        counted = _find_counted(function, values)
        samples = self._find_samples(function, values, elements, counted)
        if samples is None:
            return function(**values)  # type: ignore[no-any-return]
        leaf = elements.detach().requires_grad_()
        self.calls.append(LossCall(function, values, elements, leaf, counted, samples))
        return _reduce(leaf, reduction, function, values, counted)

    def _record_log_sigmoid(self, x: Tensor) -> Tensor:
        """Record log σ(x) of one number per sample: the loss of preference pairs."""
        elements = functional.logsigmoid(x)
        if x.shape != (self.layout.n_samples,) or not _has_gradient(x) or not torch.is_grad_enabled():
            return elements
        leaf, samples = elements.detach().requires_grad_(), torch.arange(len(x), device=x.device)
        self.calls.append(LossCall(functional.logsigmoid, {"input": x}, elements, leaf, None, samples))
        return leaf

    def _find_samples(
        self, function: Any, values: dict[str, Any], elements: Tensor, counted: Tensor | None
    ) -> Tensor | None:
        """Return the sample of each element that counts, ``(element,)``; None if it is not a loss of samples."""
        n_samples, target = self.layout.n_samples, values.get("target")
        classes = counted is not None and isinstance(target, Tensor)
        if classes:
            # Before the shape is looked at: a batch may have as many tokens that count as samples.
            labels = target.reshape(-1)[counted]  # type: ignore[union-attr]
            samples = self.layout.find_labels(labels, values["ignore_index"])
            if samples is not None:
                return samples
        if elements.shape == (n_samples,):
            rows = torch.arange(n_samples, device=elements.device)
            return rows if counted is None else rows[counted]
        if self.layout.segments is None and _has_rows(values, elements, n_samples):
            rows = torch.arange(n_samples, device=elements.device)
            rows = rows.repeat_interleave(elements.numel() // n_samples)
            return rows if counted is None else rows[counted]
        if classes:
            raise InputError(_UNKNOWN_SAMPLES.format(function.__name__, elements.numel(), n_samples))
        return None


class SampleLosses(NamedTuple):
    """A loss, taken apart.

    Attributes:
        parts: what each sample adds to the loss, with its gradient, ``(sample,)``.
        shares: what it would add if the losses of all its elements were 1, ``(sample,)``.
        rest: terms that belong to no sample, with their gradient; None if there are none.
    """

    parts: Tensor
    shares: Tensor
    rest: Tensor | None


def split_by_sample(loss: Tensor, recorder: LossRecorder) -> SampleLosses:
    """Take a loss apart that was computed under a recorder.

    Raises:
        InputError: the loss was computed without torch's loss functions, it is not a weighted sum of their elements, or
            it reads the outputs of the model in another way, too.
    """
    calls, n_samples = recorder.calls, recorder.layout.n_samples
    leaves: list[Any] = [call.leaf for call in calls]
    edges = [_find_output(value) for call in calls for value in call.arguments.values() if _has_gradient(value)]
    gradients = (
        torch.autograd.grad(loss, leaves + edges, retain_graph=True, create_graph=True, allow_unused=True)
        if leaves and loss.requires_grad
        else ()
    )
    used = [(call, a) for call, a in zip(calls, gradients, strict=False) if a is not None]
    if not used:
        raise InputError(
            "the model's own loss has no loss per sample that could be weighted: compute it by torch's loss functions, "
            "such as torch.nn.functional.cross_entropy, in one process per device (no DataParallel, no fused loss "
            "kernels), or pass compute_loss_func=…"
        )
    if any(gradient is not None for gradient in gradients[len(leaves) :]):
        raise InputError(
            "the model's own loss reads its outputs outside of torch's loss functions as well (as penalties on logits "
            "do), so that there is no loss per sample: leave that term out, or compute it by torch.nn.functional"
        )
    if any(_depends(a, leaves) for _, a in used):
        raise InputError(
            "the model's own loss is not a weighted sum of losses, so that there is no loss per sample: return the sum "
            "or mean of the losses of torch.nn.functional"
        )
    parts = sum(call.sum_by_sample(a * call.elements, n_samples) for call, a in used)
    shares = sum(call.sum_by_sample(a.detach(), n_samples) for call, a in used)
    assert isinstance(parts, Tensor)
    assert isinstance(shares, Tensor)
    rest = None
    if _has_other_leaves(loss, leaves):
        rest = loss - sum((a * call.leaf.detach()).sum() for call, a in used)
    return SampleLosses(parts, shares, rest)


def _has_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _describe_refusal(function: Any, values: dict[str, Any], error: Exception) -> str:
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    shapes = ", ".join(f"{name} {value.dtype} {tuple(value.shape)}" for name, value in tensors.items())
    return (
        f"the labels do not fit the outputs of the model: {function.__name__} refuses them ({first_line(error)}). Got "
        f"{shapes}: check the labels, or the number of labels in the model's config"
    )


def _find_counted(function: Any, values: dict[str, Any]) -> Tensor | None:
    """Return which elements of a loss of class codes count, ``(element,)`` bool; None for other losses."""
    if function not in _CLASS_LOSSES or values["target"].is_floating_point():
        return None
    mask: Tensor = values["target"].reshape(-1) != values["ignore_index"]
    return mask


def _reduce(leaf: Tensor, reduction: str, function: Any, values: dict[str, Any], counted: Tensor | None) -> Tensor:
    """Reduce the elements as the loss function would have done."""
    if reduction == "none":
        return leaf
    if reduction == "sum":
        return leaf.sum()
    if reduction == "batchmean":
        return leaf.sum() / len(leaf)
    weight: Tensor | None = values.get("weight")
    if function is functional.ctc_loss:
        lengths = torch.as_tensor(values["target_lengths"], device=leaf.device)
        return (leaf / lengths.clamp(min=1)).mean()
    if counted is not None:
        # A mean over no labels at all would be NaN.
        if weight is None:
            return leaf.sum() / counted.sum().clamp(min=1)
        total = weight[values["target"].reshape(-1)[counted]].sum()
        return leaf.sum() / total.clamp(min=torch.finfo(total.dtype).tiny)
    if weight is not None and function in (functional.mse_loss, functional.l1_loss, functional.huber_loss):
        return leaf.sum() / weight.sum()
    return leaf.mean()


def _has_rows(values: dict[str, Any], elements: Tensor, n_samples: int) -> bool:
    """Whether the elements are those of one row per sample, in order, perhaps flattened."""
    if any(_is_parameter(value) for value in values.values()):
        return False
    if elements.dim() > 1 and len(elements) == n_samples:
        return True
    for value in values.values():
        base = value._base if isinstance(value, Tensor) else None
        if base is not None and base.dim() > 1 and len(base) == n_samples and not base.numel() % elements.numel():
            return True
    return False


def _is_parameter(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.grad_fn is None


def _find_output(value: Tensor) -> GradientEdge:
    """Follow a value back through operations that only rearrange it: to the output of the model."""
    edge = get_gradient_edge(value)
    while edge.node.name().partition("Backward")[0] in _REARRANGING:
        following = [GradientEdge(node, number) for node, number in edge.node.next_functions if node is not None]
        if len(following) != 1 or following[0].node.name().endswith("AccumulateGrad"):
            break
        edge = following[0]
    return edge


def _depends(value: Tensor, leaves: list[Any]) -> bool:
    if not value.requires_grad:
        return False
    gradients = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    return any(gradient is not None for gradient in gradients)


def _has_other_leaves(loss: Tensor, leaves: list[Any]) -> bool:
    """Whether a gradient flows from the loss into anything but these leaves."""
    known, nodes, seen = {id(leaf) for leaf in leaves}, [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in known:
            return True
        nodes.extend(following for following, _ in node.next_functions)
    return False
