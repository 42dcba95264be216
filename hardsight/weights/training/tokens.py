"""Sequences of tokens: their losses, and what a scheme that weighs whole sequences reads of them.

The loss of a sequence is the mean over its tokens that count, in nats a token, so that a scheme's parameters mean the same
for long and short ones; the probability p that schemes read is exp(-loss), the geometric mean of those of its tokens.
Schemes that are losses are taken of each token, and averaged likewise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights import Scheme
from hardsight.weights.scheme import OF_SAMPLES

IGNORED = -100
"""The label of tokens that do not count, such as padding."""
_SAME_POSITION_LOSSES = ("ForMaskedLM", "ForTokenClassification")
_OTHER_INPUTS = OF_SAMPLES - {"logits", "labels"}
_UNSUPPORTED = (
    "scheme {!r} reads {} of samples with one label each, not of sequences of tokens: take one that reads the loss or p "
    "alone, or a loss of logits and labels such as 'gce-loss'"
)


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
    logits, labels = align(logits, labels, shift=shift)
    # In half precision the losses of long sequences would not add up.
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels.long(), ignore_index=IGNORED, reduction="none"
    )
    return losses.sum(1), (labels != IGNORED).sum(1)


def align(logits: Tensor, labels: Tensor, *, shift: bool) -> tuple[Tensor, Tensor]:
    """Logits ``(row, token, word)`` and the labels that they are for ``(row, token)``; see :func:`sequence_losses`."""
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        raise InputError(
            f"a language model must give logits (row, token, word) for labels (row, token). Got {tuple(logits.shape)} for "
            f"{tuple(labels.shape)}: give each row one label for every token, or task='classification'"
        )
    return (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)


def predicts_next_token(model: Any) -> bool:
    """Whether a model's logits at a token are for the next one.

    Encoder-decoders, masked language models and token classifiers answer in place. Models that do not say, because they are
    no Hugging Face models, are taken for causal ones.
    """
    in_place = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    return not in_place and getattr(model, "loss_type", None) not in _SAME_POSITION_LOSSES


def _require_labels(given: Mapping[str, Any]) -> Tensor:
    if given.get("labels") is None:
        raise InputError(
            f"logits of tokens need labels (row, token), {IGNORED} where a token does not count: pass labels=…"
        )
    found: Tensor = given["labels"]
    return found


def has_token_logits(given: Mapping[str, Any]) -> bool:
    """Whether the logits are those of tokens, ``(row, token, word)``."""
    logits = given.get("logits")
    return isinstance(logits, Tensor) and logits.ndim == 3


def to_sequence_inputs(given: Mapping[str, Any], scheme: Scheme | None) -> dict[str, Any]:
    """What a scheme reads of whole sequences: their loss in place of logits and labels.

    Args:
        given: by name; logits ``(row, token, word)`` and labels ``(row, token)`` that are aligned, and what else there is.
        scheme: gives weights; None: they are fixed.

    Raises:
        InputError: the scheme reads what a sequence as a whole does not have.
    """
    reads = () if scheme is None else scheme.reads
    if scheme is not None and "labels" in reads:
        raise InputError(_UNSUPPORTED.format(scheme.name, "labels"))
    logits, loss = given["logits"], given.get("loss")
    if loss is None:
        total, count = sequence_losses(logits, _require_labels(given), shift=False)
        loss = total / count.clamp(min=1)
    # A scheme that reads logits without labels reads how many classes there are: words, here.
    return {**given, "loss": loss, "logits": logits[:, 0] if "logits" in reads else None, "labels": None}


def average_token_loss(given: Mapping[str, Any], scheme: Scheme, of: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
    """The mean over the tokens of each sequence of a scheme that is a loss, ``(row,)``.

    Args:
        given: by name; logits ``(row, token, word)`` and labels ``(row, token)`` that are aligned.
        scheme: the loss.
        of: that loss of single tokens, from their logits ``(token, word)`` and labels ``(token,)``.

    Raises:
        InputError: the scheme reads more of a sample than logits and labels.
    """
    more = [name for name in scheme.reads if name in _OTHER_INPUTS]
    if more or scheme.start is not None:
        raise InputError(_UNSUPPORTED.format(scheme.name, more[0] if more else "a state"))
    logits, labels = align(given["logits"], _require_labels(given), shift=False)
    counts = labels != IGNORED
    losses = of({"logits": logits[counts].float(), "labels": labels[counts].long()})
    each = counts.sum(1)
    rows = torch.arange(len(labels), device=labels.device).repeat_interleave(each)
    return losses.new_zeros(len(labels)).index_add(0, rows, losses) / each.clamp(min=1)
