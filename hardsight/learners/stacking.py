"""Modules as given: built from a seed, tried on a few inputs, and many of them as one batched pass."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.dropout import Masks
from hardsight.learners.seeds import drawing

MakeNet = Callable[[], nn.Module]
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
    """

    obstacle: str | None
    kept: int = 0


def tried(net: nn.Module, x: Tensor) -> Trial:
    """Whether members of this module can share one batched pass. ``x``: a few inputs, on the CPU."""
    for name, module in net.named_modules():
        if getattr(module, "track_running_stats", False) and module.running_mean is not None:
            return Trial(f"{type(module).__name__} ({name or 'the module'}) keeps running statistics")
    twins = [copy.deepcopy(net) for _ in range(2)]
    masks = Masks([torch.Generator() for _ in twins])
    try:
        parameters, forward = stacked_forward(twins, masks, _CPU)
        kept: dict[int, int] = {p.data_ptr(): 0 for p in parameters.values()}

        def keep(saved: Tensor) -> Tensor:
            kept.setdefault(saved.data_ptr(), saved.nbytes)
            return saved

        # Whatever the module draws, it must not draw from the caller's numbers.
        with drawing(0, "forward", _CPU), torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            before = torch.get_rng_state()
            answer = forward(torch.stack([x, x]).nan_to_num(0.0))
            drew = not torch.equal(before, torch.get_rng_state())
        del answer
    except (RuntimeError, ValueError) as fault:
        return Trial(f"{type(net).__name__} cannot be vectorised ({first_line(fault)})")
    if drew:
        return Trial(f"{type(net).__name__} draws random numbers other than those of dropout layers")
    return Trial(None, sum(kept.values()) // (2 * len(x)))


def stacked_forward(
    nets: list[nn.Module], masks: Masks, device: torch.device
) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    """Stacked parameters of networks on a device, and the pass of inputs ``(member, row, …)`` through all of them."""
    parameters, buffers = torch.func.stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta").train()
    members = torch.arange(len(nets), device=device)

    def one(p: dict[str, Tensor], b: dict[str, Tensor], member: Tensor, x: Tensor) -> Tensor:
        masks.member = member
        out: Tensor = torch.func.functional_call(base, (p, b), (x,))
        return out

    # Masks are drawn here for all members at once; other draws were refused when the module was tried.
    together: Callable[..., Any] = torch.vmap(one, randomness="same")

    def forward(x: Tensor) -> Tensor:
        with masks:
            out: Tensor = together(parameters, buffers, members, x)
        return out

    return parameters, forward
