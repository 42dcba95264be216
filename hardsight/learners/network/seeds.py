"""The random numbers of a member, each kind from its own seed: weights, order of samples, dropout, augmentation."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Purpose = Literal["weights", "order", "masks", "augment", "forward"]


def derive_seed(seed: int, purpose: Purpose) -> int:
    """Return a separate seed for one purpose of a member."""
    key = get_args(Purpose).index(purpose)
    return int(np.random.SeedSequence(seed, spawn_key=(key,)).generate_state(1)[0])


def make_generator(seed: int, purpose: Purpose) -> torch.Generator:
    """Return a generator on the CPU, whatever the device, so that a seed means the same everywhere."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose))


def shuffled_rows(train: np.ndarray, seed: int) -> Callable[[int], Tensor]:
    """Return an endless stream of a member's training rows: one permutation after another, cut into batches.

    Every batch is full whatever the size of the training part, so that members of unequal folds take the same steps.
    """
    generator = make_generator(seed, "order")
    rows = torch.from_numpy(train)
    remaining = rows[:0]

    def take(count: int) -> Tensor:
        nonlocal remaining
        while len(remaining) < count:
            remaining = torch.cat([remaining, rows[torch.randperm(len(rows), generator=generator)]])
        batch, remaining = remaining[:count], remaining[count:]
        return batch

    return take


@contextmanager
def seeded_torch(seed: int, purpose: Purpose, device: torch.device) -> Iterator[None]:
    """Seed torch's global random numbers with a member's seed, and restore their state afterwards."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        # torch.manual_seed would seed every GPU permanently.
        torch.default_generator.manual_seed(derive_seed(seed, purpose))
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(derive_seed(seed, purpose))
        yield


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore all global random numbers afterwards, of Python, numpy and torch, for libraries that seed them all."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - saved, not drawn from
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=gpus):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def seed_global_numbers(seed: int) -> Iterator[None]:
    """Seed the global random numbers of Python, numpy and torch inside the block, and restore them after it.

    Args:
        seed: below 2**32.
    """
    with preserve_random_state():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - what functions of users draw from
        torch.manual_seed(seed)
        yield
