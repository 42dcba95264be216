"""Device and precision of training, and how many members its memory holds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from hardsight.errors import InputError
from hardsight.io.system import free_memory
from hardsight.validation import check_choice

PRECISIONS = ("float32", "tf32", "bfloat16")

# Larger stacks gain nothing on a CPU, and no longer fit its caches.
_MAX_MEMBERS_CPU, _MAX_BYTES_CPU = 64, 2**29
_MAX_MEMBERS_GPU = 1024


@dataclass(frozen=True)
class Device:
    """A device and a precision.

    Args:
        name: "cpu", "cuda" or "cuda:N".
        precision: of the matrix products and convolutions of training; parameters and losses are always float32.

    Raises:
        InputError: another device or precision, or a precision that the device lacks.
    """

    name: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        try:
            known = torch.device(self.name).type in ("cpu", "cuda")
        except RuntimeError:
            known = False
        if not known:
            raise InputError(f"device must be cpu, cuda or cuda:N. Got {self.name!r}")
        check_choice("precision", self.precision, PRECISIONS)
        if self.precision == "tf32" and self.torch_device.type == "cpu":
            raise InputError("precision='tf32' needs a GPU: use device='cuda', or float32 or bfloat16")

    @property
    def torch_device(self) -> torch.device:
        """The device as torch names it."""
        return torch.device(self.name)

    def describe(self) -> str:
        """Describe device and precision; empty for the CPU in float32."""
        device = "" if self.torch_device.type == "cpu" else f", on {self.name}"
        return device + ("" if self.precision == "float32" else f", in {self.precision}")

    def check_available(self) -> None:
        """Check that torch can use the device.

        Raises:
            InputError: no GPU, or none of this number.
        """
        if self.torch_device.type == "cuda" and (self.torch_device.index or 0) >= torch.cuda.device_count():
            count = torch.cuda.device_count() or "no"
            raise InputError(
                f"device={self.name!r} needs a GPU that torch can use, and it finds {count}: use device='cpu', or install "
                "a build of torch for the GPU and its driver"
            )

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass in training: mixed precision for bfloat16."""
        if self.precision == "bfloat16":
            return torch.autocast(self.torch_device.type, torch.bfloat16)
        return nullcontext()

    @contextmanager
    def matmul_precision(self, *, exact: bool = False) -> Iterator[None]:
        """Switch TF32 on or off for matrix products and convolutions on a GPU, and restore it afterwards.

        Args:
            exact: float32 whatever the precision.
        """
        if self.torch_device.type == "cpu":
            yield
            return
        allowed = self.precision == "tf32" and not exact
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        torch.backends.cudnn.allow_tf32 = allowed
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]

    def members_at_once(self, member_bytes: int) -> int:
        """Return how many members to train at once if each needs ``member_bytes`` of memory."""
        if self.torch_device.type == "cpu":
            memory, most = min(free_memory() // 4, _MAX_BYTES_CPU), _MAX_MEMBERS_CPU
        else:
            memory, most = torch.cuda.mem_get_info(self.torch_device)[0] // 2, _MAX_MEMBERS_GPU
        count = max(1, min(most, memory // member_bytes))
        # Powers of two, so that small differences in free memory change no stack and no rounding.
        return 1 << (count.bit_length() - 1)
