"""What a weighting remembers between training steps."""

import struct
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.weights import Scheme, StateShape
from hardsight.weights.training.batch import Batch

# A format number, the epoch, and the number of bytes of the random state and of the description.
_HEADER = struct.Struct("<Bdqq")
_FORMAT = 1


class ExtraState(NamedTuple):
    """What a weighting remembers outside of its buffers.

    Attributes:
        description: the scheme and the sizes of its state, in words.
        epoch: epochs done; None if it was never set.
        random: state of the random numbers, ``(byte,)`` uint8.
    """

    description: str
    epoch: float | None
    random: Tensor

    def to_bytes(self) -> Tensor:
        """Pack everything into one tensor. ``(byte,)`` uint8"""
        text, random = self.description.encode(), self.random.numpy().tobytes()
        epoch = float("nan") if self.epoch is None else self.epoch
        packed = _HEADER.pack(_FORMAT, epoch, len(random), len(text)) + random + text
        return torch.frombuffer(bytearray(packed), dtype=torch.uint8)

    @classmethod
    def from_bytes(cls, packed: Any) -> "ExtraState":
        """Unpack what :meth:`to_bytes` returned.

        Raises:
            InputError: it is something else.
        """
        raw = packed.cpu().numpy().tobytes() if isinstance(packed, Tensor) and packed.dtype is torch.uint8 else b""
        header = _HEADER.unpack_from(raw) if len(raw) > _HEADER.size else (0, 0.0, 0, 0)
        number, epoch, n_random, n_text = header
        if number != _FORMAT or len(raw) != _HEADER.size + n_random + n_text:
            raise InputError("this is not the state of a weighting: load what weighting.state_dict() returned")
        random, text = raw[_HEADER.size : -n_text], raw[-n_text:]
        return cls(
            text.decode(errors="replace"),
            None if epoch != epoch else epoch,
            torch.frombuffer(bytearray(random), dtype=torch.uint8),
        )


class SchemeState(nn.Module):
    """The state of a scheme, stored in buffers."""

    def __init__(self, scheme: Scheme | None, shape: StateShape, parameters: dict[str, Any]) -> None:
        """Create the state before the first step; fixed weights (``scheme`` None) have none.

        Raises:
            InputError: the scheme gives neither weights nor losses, or keeps a state per sample and the number of
                samples is unknown.
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
        if "rows" in scheme.reads and not shape.samples:
            raise InputError(f"scheme {scheme.name!r} keeps a state for each sample: pass num_samples= or ids=")
        for name, tensor in (scheme.init_state(shape, parameters) or {}).items():
            self.register_buffer(name, tensor)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name; assigning to this dictionary changes the state."""
        return self._buffers  # type: ignore[return-value]

    def detach_state(self) -> None:
        """Detach the state from the graph of the last step."""
        for name, tensor in self._buffers.items():
            if tensor is not None and tensor.requires_grad:
                self._buffers[name] = tensor.detach()


class SeenSamples(nn.Module):
    """The epoch in which each sample came last, to skip samples that come again in the same epoch."""

    last_epoch: Tensor | None

    def __init__(self, n_samples: int) -> None:
        """Create the table; with 0 samples there is none."""
        super().__init__()
        table = torch.full((n_samples,), -1, dtype=torch.int32) if n_samples else None
        self.register_buffer("last_epoch", table)

    def find_new(self, rows: Tensor, epoch: float) -> Tensor:
        """Return which samples have not come in this epoch before. ``(sample,)`` bool"""
        assert self.last_epoch is not None
        return self.last_epoch[rows] != int(epoch)

    def skip(self, batch: Batch, epoch: float | None) -> None:
        """Remove the samples that came in an earlier step of this epoch, and record the rest.

        Raises:
            InputError: the epoch is unknown, or every sample of the batch came before.
        """
        assert self.last_epoch is not None
        assert batch.rows is not None
        if epoch is None:
            raise InputError("repeated='skip' needs the epoch: call weighting.set_epoch(epoch)")
        new = self.find_new(batch.rows, epoch)
        if batch.count and not bool(new.any()):
            raise InputError(
                f"every sample of this batch came before in epoch {int(epoch)}: call weighting.set_epoch(epoch) in "
                "each epoch, give each rank its own samples (DistributedSampler), or pass repeated='count'"
            )
        batch.select(new)
        self.last_epoch[batch.rows] = int(epoch)
