"""The batches of a Hugging Face ``Trainer``: which sample each row, or each token of a packed row, belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hardsight.errors import InputError
from hardsight.weights.training.own_loss import BatchLayout
from hardsight.weights.training.packing import number_sequences
from hardsight.weights.training.tokens import IGNORED

SHIFTED = "shift_labels"
"""The key of labels that stand at the token that predicts them."""


def read_layout(inputs: Mapping[str, Any], n_samples: int, label_names: Sequence[str]) -> BatchLayout:
    """Find the samples of a batch.

    Args:
        inputs: what the model takes, by name.
        n_samples: number of ids of the batch.
        label_names: names of the inputs that are labels.

    Raises:
        InputError: the batch has packed rows, and not one id per sequence.
    """
    candidates = (inputs.get(name) for name in dict.fromkeys((SHIFTED, *label_names)))
    labels = tuple(
        value for value in candidates if isinstance(value, Tensor) and value.dim() and not value.is_floating_point()
    )
    rows = _count_rows(inputs, labels)
    if rows in (None, n_samples):
        return BatchLayout(n_samples, labels)
    segments = read_segments(inputs)
    if segments is None:
        return BatchLayout(n_samples, labels)
    n_sequences = int(segments.max()) + 1
    if n_sequences != n_samples:
        raise InputError(
            f"the batch has {n_samples} ids and {n_sequences} sequences in {rows} packed rows: give each row of the data "
            "set a list 'hs_id' with one id per sequence, or one id per row"
        )
    return BatchLayout(n_samples, labels, segments)


def count_labels(layout: BatchLayout, *, shift: bool) -> Tensor:
    """Count the labels of each sample that count; 1 for samples whose labels are numbers. ``(sample,)`` int64

    Args:
        layout: the samples of the batch.
        shift: whether the model predicts the next token, and so has no use for the first label of a row.
    """
    samples = layout.segments
    if not layout.labels or (samples is None and len(layout.labels[0]) != layout.n_samples):
        return torch.ones(layout.n_samples, dtype=torch.int64)
    mask = layout.labels[0] != IGNORED
    if shift and mask.dim() == 2:
        mask[:, 0] = False
    if samples is None:
        return mask.flatten(1).sum(1) if mask.dim() > 1 else mask.long()
    return torch.bincount(samples[mask], minlength=layout.n_samples)


class LabelSmoother:
    """The label smoothing of the ``Trainer``, ``label_smoothing_factor``, by the cross-entropy of torch."""

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon

    def __call__(self, outputs: Any, labels: Tensor, shift_labels: bool = False, num_items_in_batch: Any = None) -> Tensor:
        """Return the smoothed cross-entropy; the arguments are those of the class of transformers."""
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        total = functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            labels.reshape(-1),
            ignore_index=IGNORED,
            reduction="mean" if num_items_in_batch is None else "sum",
            label_smoothing=self.epsilon,
        )
        return total if num_items_in_batch is None else total / num_items_in_batch


def _count_rows(inputs: Mapping[str, Any], labels: Sequence[Tensor]) -> int | None:
    """Return the number of rows of a batch; None if no tensor says it."""
    tensors = (*labels, *(inputs[name] for name in ("input_ids", "inputs_embeds") if inputs.get(name) is not None))
    return len(tensors[0]) if tensors else None


def read_segments(inputs: Mapping[str, Any]) -> Tensor | None:
    """Return the sequence of each token, if the batch says where sequences start. ``(row, token)``"""
    if inputs.get("cu_seq_lens_q") is not None:
        return number_sequences(cu_seqlens=inputs["cu_seq_lens_q"])
    positions, mask = inputs.get("position_ids"), inputs.get("attention_mask")
    if positions is not None and positions.dim() == 2:
        return number_sequences(positions, attention_mask=mask if mask is not None and mask.dim() == 2 else None)
    numbers = inputs.get("seq_idx")
    return number_sequences(cu_seqlens=_find_bounds(numbers)) if numbers is not None and len(numbers) == 1 else None


def _find_bounds(numbers: Tensor) -> Tensor:
    """Return where the sequences of one row start and end. ``(sequence + 1,)``"""
    lengths = torch.unique_consecutive(numbers[0], return_counts=True)[1]
    return functional.pad(lengths.cumsum(0), (1, 0))
