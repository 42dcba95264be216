"""A module whose state can be saved, loaded, pickled and moved, with its random numbers and beside half-precision models."""

from typing import Any

import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.weights.training.id_index import IdIndex
from hardsight.weights.training.state import ExtraState


class PortableModule(nn.Module):
    """What :class:`hardsight.Weighting` does with its state.

    Attributes:
        description: the scheme and its shape, which a loaded state must have, too.
        id_index: the ids of the training samples, which must be those of a loaded state.
        epoch: number of epochs done; None if it was not set.
    """

    description: str
    id_index: IdIndex
    epoch: float | None
    _generator: torch.Generator

    def get_extra_state(self) -> Tensor:
        """Return the state that is not in buffers: the scheme and its shape, the epoch, the state of random numbers.

        It is a tensor of bytes, because safetensors saves nothing else; for a weighting its length is always the same.
        """
        return ExtraState(self.description, self.epoch, self._generator.get_state()).to_bytes()

    def set_extra_state(self, state: Any) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        extra = ExtraState.from_bytes(state)
        self.epoch = extra.epoch
        self._generator.set_state(extra.random)

    def __getstate__(self) -> dict[str, Any]:
        # torch.multiprocessing frees the state of a pickled generator before the other process has read it.
        return {**self.__dict__, "_generator": self._generator.get_state().numpy().tobytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        random = torch.frombuffer(bytearray(state["_generator"]), dtype=torch.uint8)
        super().__setstate__({**state, "_generator": torch.Generator().set_state(random)})  # type: ignore[no-untyped-call]
        # torch.multiprocessing passes tensors in shared memory, where every process would change the tables of all.
        for module in self.modules():
            for name, tensor in module.named_buffers(recurse=False):
                module.register_buffer(name, tensor.clone())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}_extra_state")
        extra = None if saved is None else ExtraState.from_bytes(saved)
        if extra is not None and extra.description != self.description:
            raise InputError(
                f"this state was saved by a weighting of {extra.description}; this one is of {self.description}"
            )
        if extra is not None and not self.id_index.has_ids(state_dict.get(f"{prefix}id_index.ids")):
            raise InputError("this state was saved for other ids: pass the ids of that training set to the weighting")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # A model that goes to half precision would take the weights and tables of this module with it.
        return super()._apply(lambda tensor: _move(tensor, fn), recurse)  # type: ignore[no-untyped-call]


def _move(tensor: Tensor, fn: Any) -> Tensor:
    """Return the tensor on the device to which ``fn`` moves tensors, in its own type if the device has it."""
    if tensor.dtype is torch.float64 and fn(tensor.new_empty(0, dtype=torch.float32)).device.type == "mps":
        tensor = tensor.float()
    return tensor.to(fn(tensor).device)
