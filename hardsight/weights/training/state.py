"""What a weighting remembers between training steps."""

import struct
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hardsight.errors import HardsightWarning, InputError
from hardsight.weights import Scheme, StateShape
from hardsight.weights.training.batch import Batch
from hardsight.weights.training.distributed import world_size

# A format number, the epoch, and the number of bytes of the random state and of the description.
_HEADER = struct.Struct("<Bdqq")
_FORMAT = 1
_NO_EPOCH = -(2**63)


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
    """The step in which each sample came last, to recognise samples that come again in an epoch.

    Samplers that divide an epoch among ranks fill up its last step with samples of its first one: those are padding. A loop
    that was stopped may go on where it was or begin the epoch again, and only the samples tell which.

    Attributes:
        last_step: number of the step in which each sample came last, ``(sample,)`` int32; -1: never. None without samples.
        step: number of the next step.
        epoch: the epoch of the last step; None before the first one.
        epoch_start: number of the first step of that epoch.
        resumed_at: number of the first step after the loop may have begun the epoch again.
        padded: whether samples of an earlier step of that epoch were left out as padding.
    """

    last_step: Tensor | None

    def __init__(self, n_samples: int) -> None:
        """Create the table; with 0 samples there is none."""
        super().__init__()
        self.register_buffer("last_step", torch.full((n_samples,), -1, dtype=torch.int32) if n_samples else None)
        self.step, self.epoch_start, self.resumed_at = 0, 0, 0
        self.epoch: int | None = None
        self.padded = False

    def allow_restart(self) -> None:
        """Note that the epoch may begin again with the next step; whether it does, its samples will tell."""
        self.resumed_at = self.step

    def restart(self) -> None:
        """Begin an epoch with the next step."""
        self.epoch = None

    def skip(self, batch: Batch, epoch: float | None, *, padding_only: bool) -> None:
        """Remove the samples from the batch that do not count again, and record the rest.

        Raises:
            InputError: the epoch is unknown, or every sample of the batch came before in this pass through the epoch.
        """
        assert batch.rows is not None
        if epoch is None:
            raise InputError("repeated='skip' needs the epoch: call weighting.set_epoch(epoch)")
        counted = self.find_counted(batch.rows, epoch, padding_only=padding_only)
        if not bool(counted.all()):
            batch.select(counted)

    def preview(self, steps: Sequence[Tensor], epoch: float, *, padding_only: bool) -> list[Tensor]:
        """Return what :meth:`find_counted` will return for the next steps, and record nothing.

        Args:
            steps: rows of the samples of each step, ``(sample,)``.
            epoch: the epoch.
            padding_only: see :meth:`find_counted`.
        """
        assert self.last_step is not None
        rows = torch.cat([*steps])
        table, numbers = self.last_step[rows], (self.step, self.epoch, self.epoch_start, self.resumed_at, self.padded)
        try:
            return [self.find_counted(step, epoch, padding_only=padding_only) for step in steps]
        finally:
            self.last_step[rows] = table
            self.step, self.epoch, self.epoch_start, self.resumed_at, self.padded = numbers

    def find_counted(self, rows: Tensor, epoch: float, *, padding_only: bool) -> Tensor:
        """Return which samples of a step count, and record these. ``(sample,)`` bool

        Args:
            rows: rows of distinct samples, ``(sample,)``.
            epoch: the epoch.
            padding_only: whether samples that come again count unless they are padding; else they never do.

        Raises:
            InputError: every sample of the step came before in this pass through the epoch.
        """
        assert self.last_step is not None
        if int(epoch) != self.epoch:
            self.epoch, self.epoch_start, self.resumed_at, self.padded = int(epoch), self.step, self.step, False
        last = self.last_step[rows]
        repeated = last >= self.epoch_start
        if bool(repeated.any()):
            repeated = self._find_skipped(rows, last, repeated, padding_only)
        elif self.padded:
            self._warn_of_padding()
        self.last_step[rows[~repeated]] = self.step
        self.step += 1
        return ~repeated

    def _find_skipped(self, rows: Tensor, last: Tensor, repeated: Tensor, padding_only: bool) -> Tensor:
        """Return which samples do not count again. ``(sample,)`` bool"""
        if bool((last[repeated] < self.resumed_at).any()) and self._begins_again(rows, last, repeated, padding_only):
            if self.padded:
                self._warn_of_padding()
            self.epoch_start = self.resumed_at
            repeated = last >= self.epoch_start
        if len(repeated) and bool(repeated.all()):
            raise InputError(
                f"every sample of this batch came before in epoch {self.epoch}: call weighting.set_epoch(epoch) in each "
                "epoch, with restart=True if it begins again; give each rank its own samples (DistributedSampler); or pass "
                "repeated='count'"
            )
        if not padding_only:
            return repeated
        if self.padded:
            self._warn_of_padding()
        elif bool(repeated.any()) and self._is_padding(rows, last, repeated, world_size()):
            self.padded = True
            return repeated
        return torch.zeros_like(repeated)

    def _begins_again(self, rows: Tensor, last: Tensor, repeated: Tensor, padding_only: bool) -> bool:
        """Whether samples of before ``resumed_at`` come again because the epoch does."""
        if padding_only:
            return self.padded or not self._is_padding(rows, last, repeated, 1)
        return bool(repeated.all()) and bool((last < self.resumed_at).all())

    def _is_padding(self, rows: Tensor, last: Tensor, repeated: Tensor, n_uncertain: int) -> bool:
        """Whether the repeated samples of a step are padding: all from the first step, in a step that ends the epoch.

        If the samples of the epoch are unknown, fewer than ``n_uncertain`` repeated samples are taken for padding.
        """
        if bool(repeated.all()) or not bool((last[repeated] == self.epoch_start).all()):
            return False
        ends_epoch = self._ends_epoch(rows)
        return int(repeated.sum()) < n_uncertain if ends_epoch is None else ends_epoch

    def _ends_epoch(self, rows: Tensor) -> bool | None:
        """Whether all samples of earlier epochs have come in this one; None in a first epoch on some of the samples."""
        assert self.last_step is not None
        earlier = (self.last_step >= 0) & (self.last_step < self.epoch_start)
        if bool(earlier.any()):
            earlier[rows] = False
            return not bool(earlier.any())
        never = self.last_step < 0
        never[rows] = False
        return None if bool(never.any()) else True

    def _warn_of_padding(self) -> None:
        self.padded = False
        warnings.warn(
            f"samples were left out of an earlier step as the padding that ends an epoch, but epoch {self.epoch} goes on: "
            "call weighting.set_epoch(epoch) in each epoch, or pass repeated='count' if samples are drawn with replacement",
            HardsightWarning,
            stacklevel=2,
        )

    def get_extra_state(self) -> Tensor:
        """Return the numbers that are not in buffers."""
        epoch = _NO_EPOCH if self.epoch is None else self.epoch
        return torch.tensor([self.step, epoch, self.epoch_start, self.padded])

    def set_extra_state(self, state: Any) -> None:
        """Restore what :meth:`get_extra_state` returned. The loop may go on, or begin its epoch again."""
        self.step, epoch, self.epoch_start, padded = state.tolist()
        self.epoch, self.padded = None if epoch == _NO_EPOCH else epoch, bool(padded)
        self.allow_restart()
