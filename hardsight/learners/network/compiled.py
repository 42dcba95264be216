"""The losses and gradients of a stack by torch.compile: one call of fused loops in place of some dozens of small ones."""

import os
import shutil
import warnings

import torch
from torch import Tensor, nn

from hardsight.errors import HardsightWarning, first_line
from hardsight.learners.network.batches import Batch
from hardsight.learners.network.devices import Place
from hardsight.learners.network.optimizer import Step, batch_losses
from hardsight.learners.network.stacked import Parameters, Stack


def compiler() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs on a CPU."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))


class Compiled:
    """Steps of a module, compiled once for all chunks of the same size.

    Where the module cannot be compiled, a :class:`HardsightWarning` says why, and the same arithmetic goes on without.

    Args:
        net: any member's module, without dropout.
        place: device and precision.
    """

    def __init__(self, net: nn.Module, place: Place) -> None:
        together = Stack(net)

        def total(
            parameters: Parameters, buffers: Parameters, x: Tensor, y: Tensor, weight: Tensor | None
        ) -> tuple[Tensor, Tensor]:
            with place.forward():
                logits = together(parameters, buffers, x)
            losses = batch_losses(logits.float(), y, weight)
            # Summed over members: each member's gradient is then that of its own mean loss.
            return losses.sum(), losses

        self._eager = torch.func.grad(total, has_aux=True)
        self._find = torch.compile(self._eager, dynamic=False)

    def step_of(self, parameters: Parameters, buffers: Parameters) -> Step:
        """What finds the losses ``(member,)`` of a step and leaves the gradients with the parameters."""
        values = {name: parameter.detach() for name, parameter in parameters.items()}

        def step(batch: Batch) -> Tensor:
            gradients, losses = self._found(values, buffers, batch.inputs, batch.targets, batch.weights)
            for name, parameter in parameters.items():
                # The fused optimisers read gradients in the order in which the parameters lie in memory.
                parameter.grad = gradients[name].contiguous()
            found: Tensor = losses
            return found

        return step

    def _found(
        self, values: Parameters, buffers: Parameters, x: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Parameters, Tensor]:
        try:
            found: tuple[Parameters, Tensor] = self._find(values, buffers, x, y, weight)
        except Exception as fault:  # Compilers fail in as many ways as there are modules.
            if self._find is self._eager:
                raise
            said = f"torch.compile failed ({first_line(fault)}): stacked without it"
            warnings.warn(said, HardsightWarning, stacklevel=2)
            self._find = self._eager
            found = self._find(values, buffers, x, y, weight)
        return found
