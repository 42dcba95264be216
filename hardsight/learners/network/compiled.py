"""Losses and gradients of stacked members by torch.compile: a few fused loops replace dozens of small calls."""

import os
import shutil
import warnings

import torch
from torch import Tensor, nn

from hardsight.errors import HardsightWarning, first_line
from hardsight.learners.network.batches import Batch
from hardsight.learners.network.devices import Device
from hardsight.learners.network.optimizer import Step, batch_losses
from hardsight.learners.network.stacked import Parameters, StackedModule


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which torch.compile needs on a CPU."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))


class CompiledSteps:
    """Steps of a module, compiled once for all batches of members of the same size.

    If the module cannot be compiled, a :class:`HardsightWarning` says why, and the same arithmetic goes on uncompiled.

    Args:
        net: any member's module, without dropout.
    """

    def __init__(self, net: nn.Module, device: Device) -> None:
        stacked = StackedModule(net)

        def total_loss(
            parameters: Parameters, buffers: Parameters, x: Tensor, y: Tensor, weight: Tensor | None
        ) -> tuple[Tensor, Tensor]:
            with device.autocast():
                logits = stacked(parameters, buffers, x)
            losses = batch_losses(logits.float(), y, weight)
            # Summed over members: each member's gradient is then that of its own mean loss.
            return losses.sum(), losses

        self._eager = torch.func.grad(total_loss, has_aux=True)
        self._function = torch.compile(self._eager, dynamic=False)

    def make_step(self, parameters: Parameters, buffers: Parameters) -> Step:
        """Return the function that computes the losses ``(member,)`` of a step and stores gradients with the parameters."""
        values = {name: parameter.detach() for name, parameter in parameters.items()}

        def step(batch: Batch) -> Tensor:
            gradients, losses = self._compute(values, buffers, batch.inputs, batch.targets, batch.weights)
            for name, parameter in parameters.items():
                # The fused optimizers read gradients in the memory order of the parameters.
                parameter.grad = gradients[name].contiguous()
            return losses

        return step

    def _compute(
        self, values: Parameters, buffers: Parameters, x: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Parameters, Tensor]:
        try:
            result: tuple[Parameters, Tensor] = self._function(values, buffers, x, y, weight)
        except Exception as error:  # Compilers fail in as many ways as there are modules.
            if self._function is self._eager:
                raise
            warnings.warn(
                f"torch.compile failed ({first_line(error)}): members are trained stacked without it",
                HardsightWarning,
                stacklevel=2,
            )
            self._function = self._eager
            result = self._function(values, buffers, x, y, weight)
        return result
