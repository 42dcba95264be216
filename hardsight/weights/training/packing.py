"""Packed sequences: rows of tokens that hold several sequences, and batches without padding."""

from typing import Any

import torch
from torch import Tensor

from hardsight.errors import InputError


def number_sequences(position_ids: Any = None, *, cu_seqlens: Any = None, attention_mask: Any = None) -> Tensor:
    """Number the sequences of packed rows, in order: row by row, and from left to right.

    Args:
        position_ids: position of each token in its sequence, ``(row, token)``; a sequence starts where a position is not
            the one after the position before it.
        cu_seqlens: instead of positions, where the sequences of a batch without padding start and end, ``(sequence + 1,)``,
            as FlashAttention takes it; the batch is then one row.
        attention_mask: 0 for padding, ``(row, token)``; None if there is none.

    Returns:
        The number of each token's sequence, ``(row, token)`` int64; -1 for padding.

    Raises:
        InputError: there are neither positions nor lengths, or both; or the lengths do not grow from 0.

    >>> number_sequences(torch.tensor([[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]])).tolist()
    [[0, 0, 0, 1, 1], [2, 2, 3, 3, 3]]
    >>> number_sequences(cu_seqlens=torch.tensor([0, 3, 5])).tolist()
    [[0, 0, 0, 1, 1]]
    """
    if (position_ids is None) == (cu_seqlens is None):
        raise InputError("the sequences of packed rows follow from one of two inputs: pass position_ids or cu_seqlens=")
    if cu_seqlens is not None:
        bounds = torch.as_tensor(cu_seqlens).long()
        lengths = bounds.diff()
        if bounds.dim() != 1 or len(bounds) < 2 or bounds[0] != 0 or (lengths < 0).any():
            raise InputError(f"cu_seqlens must grow from 0, (sequence + 1,). Got {bounds.tolist()}")
        return torch.arange(len(lengths), device=bounds.device).repeat_interleave(lengths).unsqueeze(0)
    positions = torch.as_tensor(position_ids).long()
    if positions.dim() != 2:
        raise InputError(f"position_ids must be (row, token). Got the shape {tuple(positions.shape)}")
    starts = torch.ones_like(positions, dtype=torch.bool)
    starts[:, 1:] = positions.diff(dim=1) != 1
    padding = torch.zeros_like(starts) if attention_mask is None else torch.as_tensor(attention_mask) == 0
    starts &= ~padding
    numbers = starts.flatten().cumsum(0).view_as(positions) - 1
    return numbers.masked_fill(padding, -1)
