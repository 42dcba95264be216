"""Where networks are trained and in which arithmetic, and how many at once its memory holds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from hardsight.errors import InputError
from hardsight.io.system import free_memory

PRECISIONS = ("float32", "tf32", "bfloat16")

# Larger stacks gain nothing on a CPU, and leave its caches.
_MOST_ON_CPU, _BYTES_ON_CPU = 64, 2**29
_MOST_ON_CARD = 1024


@dataclass(frozen=True)
class Place:
    """A device and a precision.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        precision: of the matrix products and convolutions of training; parameters and losses are float32 always.

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
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be one of {', '.join(PRECISIONS)}. Got {self.precision!r}")
        if self.precision == "tf32" and self.device.type == "cpu":
            raise InputError("precision='tf32' is of GPUs: use device='cuda', or float32 or bfloat16")

    @property
    def device(self) -> torch.device:
        """For torch."""
        return torch.device(self.name)

    def describe(self) -> str:
        """In words; nothing where it is the CPU in float32."""
        where = "" if self.device.type == "cpu" else f", on {self.name}"
        return where + ("" if self.precision == "float32" else f", in {self.precision}")

    def check(self) -> None:
        """Refuse a GPU that is not there.

        Raises:
            InputError: no GPU, or none of this number.
        """
        if self.device.type == "cuda" and (self.device.index or 0) >= torch.cuda.device_count():
            found = torch.cuda.device_count() or "no"
            raise InputError(
                f"device={self.name!r} needs a GPU that torch can use, and it finds {found}: use device='cpu', or install "
                "a build of torch for the GPU and its driver"
            )

    def forward(self) -> AbstractContextManager[object]:
        """What a forward pass of training runs in: mixed precision where bfloat16 is asked for."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()

    @contextmanager
    def products(self, *, exact: bool = False) -> Iterator[None]:
        """TF32 on or off for matrix products and convolutions on a GPU, and afterwards as it was.

        Args:
            exact: float32 whatever the precision.
        """
        if self.device.type == "cpu":
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

    def members(self, member_bytes: int) -> int:
        """How many members to train at once where each takes some memory."""
        on_cpu = self.device.type == "cpu"
        room = min(free_memory() // 4, _BYTES_ON_CPU) if on_cpu else torch.cuda.mem_get_info(self.device)[0] // 2
        fit = max(1, min(_MOST_ON_CPU if on_cpu else _MOST_ON_CARD, room // member_bytes))
        # Members in powers of two, so that a little memory more or less changes no stack and no rounding.
        return 1 << (fit.bit_length() - 1)
