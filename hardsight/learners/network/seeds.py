"""What a member draws, from seeds of its own: initial weights, the order of its samples, masks, augmentation."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Purpose = Literal["weights", "order", "masks", "augment", "forward"]


def stream(seed: int, purpose: Purpose) -> int:
    """A seed of its own for each thing that a member draws."""
    key = get_args(Purpose).index(purpose)
    return int(np.random.SeedSequence(seed, spawn_key=(key,)).generate_state(1)[0])


def generator(seed: int, purpose: Purpose) -> torch.Generator:
    """A generator on the CPU, whatever the device trained on, so that a seed means the same everywhere."""
    return torch.Generator().manual_seed(stream(seed, purpose))


def order(train: np.ndarray, seed: int) -> Callable[[int], Tensor]:
    """Endless stream of a member's training rows: one permutation after another, cut wherever a batch is full.

    Every batch is then full whatever the size of the training part, so members of unequal folds take the same steps.
    """
    own = generator(seed, "order")
    rows = torch.from_numpy(train)
    waiting = rows[:0]

    def take(batch: int) -> Tensor:
        nonlocal waiting
        while len(waiting) < batch:
            waiting = torch.cat([waiting, rows[torch.randperm(len(rows), generator=own)]])
        head, waiting = waiting[:batch], waiting[batch:]
        return head

    return take


@contextmanager
def drawing(seed: int, purpose: Purpose, device: torch.device) -> Iterator[None]:
    """Torch's global numbers start from a member's seed within, and are afterwards where they were."""
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        # torch.manual_seed would seed every card for good.
        torch.default_generator.manual_seed(stream(seed, purpose))
        for card in cards:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(stream(seed, purpose))
        yield


@contextmanager
def restored() -> Iterator[None]:
    """All global numbers, of Python, numpy and torch, are afterwards where they were, for libraries that seed them all."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - kept, not drawn from
    cards = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=cards):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
