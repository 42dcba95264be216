"""What a scheme remembers between steps of training."""

from typing import Any

from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.weights import Scheme, StateShape


class SchemeState(nn.Module):
    """The state of a scheme, as buffers."""

    def __init__(self, scheme: Scheme | None, room: StateShape, parameters: dict[str, Any]) -> None:
        """Before the first step.

        Raises:
            InputError: a scheme that gives neither weights nor losses, or one that remembers each of no samples.
        """
        super().__init__()
        if scheme is None:
            return
        if scheme.kind == "sampling":
            raise InputError(f"scheme {scheme.name!r} chooses samples: use hs.WeightedSampler({scheme.name!r}, …)")
        if scheme.kind == "learned":
            raise InputError(
                f"scheme {scheme.name!r} learns its weights with the model: call hs.weights.{scheme.function.__name__}"
            )
        if "rows" in scheme.reads and not room.samples:
            raise InputError(f"scheme {scheme.name!r} remembers each sample: pass num_samples= or ids=")
        for name, tensor in (scheme.begin(room, parameters) or {}).items():
            self.register_buffer(name, tensor)

    @property
    def state(self) -> dict[str, Tensor]:
        """The tensors themselves: what is put here is kept."""
        return self._buffers  # type: ignore[return-value]

    def settle(self) -> None:
        """Cut what is remembered from the graph of the step."""
        for name, tensor in self._buffers.items():
            if tensor is not None and tensor.requires_grad:
                self._buffers[name] = tensor.detach()
