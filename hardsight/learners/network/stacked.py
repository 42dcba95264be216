"""Users' modules: build them from a seed, check them on a few inputs, and run many as one batched pass."""

import copy
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.network.dropout import MemberDropout
from hardsight.learners.network.seeds import seeded_torch

MakeNet = Callable[[], nn.Module]
Parameters = dict[str, Tensor]
_CPU = torch.device("cpu")


def build_net(make: MakeNet, seed: int) -> nn.Module:
    """Return a new network, whose initial weights are drawn on the CPU from a member's seed.

    Raises:
        InputError: ``make`` does not return a module.
    """
    with seeded_torch(seed, "weights", _CPU):
        net = make()
    if not isinstance(net, nn.Module):
        raise InputError(f"make_net must return a torch.nn.Module. Got {type(net).__name__}")
    return net


def check_independent(net: nn.Module, other: nn.Module) -> None:
    """Check that two networks of one function have no weights in common, which one would learn for the other.

    Raises:
        InputError: they are the same, or share a parameter that is trained.
    """
    if net is other:
        raise InputError("make_net returns the same module again: build a new one in it")
    trained = {id(parameter) for parameter in other.parameters() if parameter.requires_grad}
    shared = next((name for name, parameter in net.named_parameters() if id(parameter) in trained), None)
    if shared is not None:
        raise InputError(
            f"the modules that make_net returns share the parameter {shared!r}: build or copy all parts in it "
            "(copy.deepcopy), or freeze what they share (requires_grad_(False))"
        )


def check_output(net: nn.Module, x: Tensor, outputs: int) -> None:
    """Check that a network can read some inputs and returns one number per output.

    Raises:
        LearnerError: it cannot read them.
        InputError: it returns another shape.
    """
    try:
        with torch.inference_mode():
            output = copy.deepcopy(net).eval()(x.nan_to_num(0.0))
    except (RuntimeError, IndexError) as error:
        sizes = ", ".join(map(str, x.shape[1:]))
        dtype = str(x.dtype).removeprefix("torch.")
        raise LearnerError(f"the network cannot read inputs of shape (row, {sizes}) in {dtype}: {error}") from error
    if not isinstance(output, Tensor):
        raise InputError(f"the network must return a tensor. Got {type(output).__name__}: return the logits alone")
    shape = tuple(output.shape)
    if shape != (len(x), outputs):
        expected = f"(row, {outputs}): one logit per class" if outputs > 1 else "(row, 1): the predicted target"
        raise InputError(f"the network must return {expected}. For {len(x)} rows it returned {shape}")


def _without_addresses(text: str) -> str:
    """Return a message without addresses in memory, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


class StackingTrial(NamedTuple):
    """The outcome of a stacked forward pass on a few inputs."""

    obstacle: str | None  # why members cannot share one batched pass; None if they can
    saved_bytes: int = 0  # bytes per row that the pass saves for the gradient, parameters excluded
    masked: bool = False  # whether dropout drew masks


def try_stacking(net: nn.Module, x: Tensor) -> StackingTrial:
    """Find out whether members of this module can share one batched pass.

    Args:
        x: a few inputs, on the CPU.
    """
    for name, module in net.named_modules():
        if getattr(module, "track_running_stats", False) and module.running_mean is not None:
            kind = f"{type(module).__name__} ({name or 'the module'})"
            return StackingTrial(f"{kind} keeps running statistics (with nn.GroupNorm in its place, members train at once)")
    copies = [copy.deepcopy(net) for _ in range(2)]
    dropout = MemberDropout([torch.Generator() for _ in copies])
    unused = torch.Generator().get_state()
    try:
        parameters, buffers = stack_parameters(copies)
        saved: dict[int, int] = {p.data_ptr(): 0 for p in parameters.values()}

        def count_saved(tensor: Tensor) -> Tensor:
            saved.setdefault(tensor.data_ptr(), tensor.nbytes)
            return tensor

        # Whatever the module draws must not come from the caller's random numbers.
        with seeded_torch(0, "forward", _CPU), torch.autograd.graph.saved_tensors_hooks(count_saved, lambda t: t):
            before = torch.get_rng_state()
            output = StackedModule(net)(parameters, buffers, torch.stack([x, x]).nan_to_num(0.0), dropout)
            drew = not torch.equal(before, torch.get_rng_state())
        del output
    except (RuntimeError, ValueError) as error:
        return StackingTrial(f"{type(net).__name__} cannot be vectorised ({_without_addresses(first_line(error))})")
    if drew:
        return StackingTrial(f"{type(net).__name__} draws random numbers other than those of dropout layers")
    masked = any(not torch.equal(g.get_state(), unused) for g in dropout.generators)
    return StackingTrial(None, sum(saved.values()) // (2 * len(x)), masked)


class StackedModule:
    """A module as a function of stacked parameters: one batched pass through all members.

    Args:
        net: any member's module; only its structure is used.
    """

    def __init__(self, net: nn.Module) -> None:
        self.base = copy.deepcopy(net).to("meta").train()
        # Masks are drawn for all members at once; other draws were rejected by try_stacking.
        self._forward: Callable[..., Any] = torch.vmap(self._forward_one, in_dims=(0, 0, 0, 0, None), randomness="same")

    def _forward_one(self, p: Parameters, b: Parameters, x: Tensor, member: Tensor, dropout: MemberDropout | None) -> Tensor:
        if dropout is not None:
            dropout.member = member
        out: Tensor = torch.func.functional_call(self.base, (p, b), (x,))
        return out

    def __call__(
        self, parameters: Parameters, buffers: Parameters, x: Tensor, dropout: MemberDropout | None = None
    ) -> Tensor:
        """Return outputs ``(member, row, …)`` for inputs ``(member, row, …)``; modules with dropout need ``dropout``."""
        members = torch.arange(len(x), device=x.device)
        with nullcontext() if dropout is None else dropout:
            out: Tensor = self._forward(parameters, buffers, x, members, dropout)
        return out


def stack_parameters(nets: list[nn.Module]) -> tuple[Parameters, Parameters]:
    """Return parameters and buffers of several networks by name, ``(member, …)``."""
    parameters, buffers = torch.func.stack_module_state(nets)
    return parameters, buffers
