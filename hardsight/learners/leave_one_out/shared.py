"""What the leave-one-out learners share: the check of the plan, blocks grouped by size, and batches of rows."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.learners.base import OnProgress, Predictions
from hardsight.resampling.plan import Plan, Round

# Most numbers that one batch may hold.
BATCH = 4_000_000


def predict_repeats(name: str, plan: Plan, on_progress: OnProgress, predict: Callable[[], Tensor]) -> Iterator[Predictions]:
    """Yield predictions of all samples once per repeat; all repeats are equal, since nothing is drawn.

    Args:
        predict: returns the predictions of every sample by the model fitted without its block; is called once.

    Raises:
        InputError: the plan is not leave-one-out.
    """
    values: Tensor | None = None
    for repeat in plan.repeat_indices:
        assignment = plan.rounds[repeat]
        if not _is_leave_one_out(assignment, plan.blocks):
            raise InputError(
                f"{name} predicts every sample, or group, by the model fitted without it: use splits='loo' (--splits loo)"
            )
        values = predict() if values is None else values
        on_progress(assignment.n_models)
        yield Predictions(torch.arange(len(plan.blocks)), values, repeat)


def _is_leave_one_out(assignment: Round, blocks: np.ndarray) -> bool:
    pairs = np.unique(np.stack([assignment.fold, blocks]), axis=1)
    counts = [len(np.unique(codes)) for codes in (assignment.fold, blocks)]
    return bool(assignment.fold.min() >= 0) and counts == [pairs.shape[1]] * 2


def rows_by_block_size(blocks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of all blocks of one size, ``(block, row)``, size by size; rows ascend within a block."""
    order = np.argsort(blocks, kind="stable")
    size = np.bincount(blocks)[blocks[order]]
    for count in np.unique(size):
        yield order[size == count].reshape(-1, count)


def batches(rows: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """Split rows along the first axis into batches of at most ``BATCH`` numbers, if each entry takes ``numbers``."""
    size = max(1, BATCH // max(numbers, 1))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
