"""Modules as given: built from a seed, tried on a few inputs, and many of them as one batched pass."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.network.dropout import Masks
from hardsight.learners.network.seeds import drawing

MakeNet = Callable[[], nn.Module]
Parameters = dict[str, Tensor]
_CPU = torch.device("cpu")


def build(make: MakeNet, seed: int) -> nn.Module:
    """A new network, whose initial weights are drawn on the CPU from a member's seed."""
    with drawing(seed, "weights", _CPU):
        net = make()
    if not isinstance(net, nn.Module):
        raise InputError(f"make_net must return a torch.nn.Module. Got {type(net).__name__}")
    return net


def check_output(net: nn.Module, x: Tensor, outputs: int) -> None:
    """Refuse a network that cannot read some inputs, or does not answer with a number for each output.

    Raises:
        LearnerError: it cannot read them.
        InputError: it returns another shape.
    """
    try:
        with torch.inference_mode():
            shape = tuple(copy.deepcopy(net).eval()(x.nan_to_num(0.0)).shape)
    except (RuntimeError, IndexError) as fault:
        form = ", ".join(map(str, x.shape[1:]))
        kind = str(x.dtype).removeprefix("torch.")
        raise LearnerError(f"the network cannot read inputs of shape (row, {form}) in {kind}: {fault}") from fault
    if shape != (len(x), outputs):
        want = f"(row, {outputs}): one logit a class" if outputs > 1 else "(row, 1): the predicted target"
        raise InputError(f"the network must return {want}. For {len(x)} rows it returned {shape}")


class Trial(NamedTuple):
    """What a forward pass on a few inputs showed.

    Attributes:
        obstacle: why members cannot share one batched pass; None where they can.
        kept: bytes a row that the pass keeps for the gradient, parameters apart.
        masked: whether dropout drew masks.
    """

    obstacle: str | None
    kept: int = 0
    masked: bool = False


def tried(net: nn.Module, x: Tensor) -> Trial:
    """Whether members of this module can share one batched pass. ``x``: a few inputs, on the CPU."""
    for name, module in net.named_modules():
        if getattr(module, "track_running_stats", False) and module.running_mean is not None:
            return Trial(f"{type(module).__name__} ({name or 'the module'}) keeps running statistics")
    twins = [copy.deepcopy(net) for _ in range(2)]
    masks = Masks([torch.Generator() for _ in twins])
    fresh = torch.Generator().get_state()
    try:
        parameters, buffers = stacked(twins)
        kept: dict[int, int] = {p.data_ptr(): 0 for p in parameters.values()}

        def keep(saved: Tensor) -> Tensor:
            kept.setdefault(saved.data_ptr(), saved.nbytes)
            return saved

        # Whatever the module draws, it must not draw from the caller's numbers.
        with drawing(0, "forward", _CPU), torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            before = torch.get_rng_state()
            answer = Stack(net)(parameters, buffers, torch.stack([x, x]).nan_to_num(0.0), masks)
            drew = not torch.equal(before, torch.get_rng_state())
        del answer
    except (RuntimeError, ValueError) as fault:
        return Trial(f"{type(net).__name__} cannot be vectorised ({first_line(fault)})")
    if drew:
        return Trial(f"{type(net).__name__} draws random numbers other than those of dropout layers")
    masked = any(not torch.equal(g.get_state(), fresh) for g in masks.generators)
    return Trial(None, sum(kept.values()) // (2 * len(x)), masked)


class Stack:
    """A module as a function of stacked parameters: one batched pass through all members.

    Args:
        net: any member's module; only its structure is kept.
    """

    def __init__(self, net: nn.Module) -> None:
        self.base = copy.deepcopy(net).to("meta").train()
        # Masks are drawn for all members at once; other draws were refused when the module was tried.
        self._together: Callable[..., Any] = torch.vmap(self._one, in_dims=(0, 0, 0, 0, None), randomness="same")

    def _one(self, p: Parameters, b: Parameters, x: Tensor, member: Tensor, masks: Masks | None) -> Tensor:
        if masks is not None:
            masks.member = member
        out: Tensor = torch.func.functional_call(self.base, (p, b), (x,))
        return out

    def __call__(self, parameters: Parameters, buffers: Parameters, x: Tensor, masks: Masks | None = None) -> Tensor:
        """Outputs ``(member, row, …)`` for inputs ``(member, row, …)``; dropout needs ``masks``."""
        members = torch.arange(len(x), device=x.device)
        with nullcontext() if masks is None else masks:
            out: Tensor = self._together(parameters, buffers, x, members, masks)
        return out


def stacked(nets: list[nn.Module]) -> tuple[Parameters, Parameters]:
    """Parameters and buffers of several networks by name, ``(member, …)``."""
    parameters, buffers = torch.func.stack_module_state(nets)
    return parameters, buffers
