"""Losses of sequences of tokens."""

from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from hardsight.errors import InputError

IGNORED = -100
"""The label of tokens that do not count, such as padding."""


def sequence_losses(
    logits: Float[Tensor, "row ..."], labels: Shaped[Tensor, "row ..."], *, shift: bool
) -> tuple[Float[Tensor, " row"], Int64[Tensor, " row"]]:
    """The summed cross-entropy of every sequence's tokens, in nats, and how many of them count.

    Args:
        logits: of the model, ``(row, token, word)``.
        labels: ``(row, token)``; those that are ``IGNORED`` do not count.
        shift: whether the logits at a token are for the token after it, as in a causal language model.

    Raises:
        InputError: another shape.
    """
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        raise InputError(
            f"a language model must give logits (row, token, word) for labels (row, token). Got {tuple(logits.shape)} for "
            f"{tuple(labels.shape)}: give each row one label for every token, or task='classification'"
        )
    if shift:
        logits, labels = logits[:, :-1], labels[:, 1:]
    # In half precision the losses of long sequences would not add up.
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels.long(), ignore_index=IGNORED, reduction="none"
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def shifts(model: Any) -> bool:
    """Whether a model's logits at a token are for the next one; encoder-decoders and masked language models answer in place.

    Models that do not say, because they are no Hugging Face models, are taken for causal ones.
    """
    in_place = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    return not in_place and getattr(model, "loss_type", None) != "ForMaskedLM"
