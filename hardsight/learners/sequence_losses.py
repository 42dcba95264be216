"""Losses of sequences of tokens, from the batches that a ``Trainer`` predicts: one sequence per row, or packed rows."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.weights.training.hf_batch import read_segments
from hardsight.weights.training.tokens import predicts_next_token, sequence_losses


class SequenceLosses:
    """Reduce logits to the sum and number of each sequence's token losses, so that the logits are not kept.

    It is passed as ``preprocess_logits_for_metrics`` to a ``Trainer``, which gives it logits and labels alone. Where a batch
    has fewer rows than samples, its rows are packed, and what else the model gets says where sequences start.

    Args:
        model: whose inputs are read; it keeps a reference to those of its last batch.
    """

    def __init__(self, model: nn.Module) -> None:
        self._shift = predicts_next_token(model)
        self._inputs: Mapping[str, Any] = {}
        self._remaining = self._batch_size = 0
        model.register_forward_pre_hook(self._keep_inputs, with_kwargs=True)

    def start(self, n_samples: int, batch_size: int) -> None:
        """Begin a prediction of samples, in batches."""
        self._remaining, self._batch_size = n_samples, batch_size

    def __call__(self, logits: Any, labels: Any) -> Float64[Tensor, "sample 2"]:
        """Return the sum of the losses of each sample's tokens, in nats, and the number of its tokens that count.

        Raises:
            InputError: there are no labels, or a batch does not hold one sequence per sample.
        """
        if labels is None:
            raise InputError(
                "the collator gives no labels: for a causal language model pass "
                "collator=DataCollatorForLanguageModeling(tokenizer, mlm=False)"
            )
        samples = min(self._batch_size, self._remaining)
        self._remaining -= samples
        segments = None if len(labels) == samples else read_segments(self._inputs)
        sequences = len(labels) if segments is None else int(segments.max()) + 1
        if sequences != samples:
            raise InputError(
                f"the collator makes {sequences} sequences of {samples} samples: use one that gives each sample a row, or "
                "packs them into rows in their order, with position_ids"
            )
        total, count = sequence_losses(first_output(logits), labels, shift=self._shift, segments=segments)
        return torch.stack([total.double(), count.double()], 1)

    def _keep_inputs(self, _: nn.Module, __: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        self._inputs = inputs


def first_output(logits: Any, labels: Any = None) -> Tensor:
    """Return the logits alone, if a model also gives hidden states and the like. ``labels`` are not read."""
    first: Tensor = logits[0] if isinstance(logits, tuple | list) else logits
    return first
