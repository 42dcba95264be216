"""Sequences of tokens: their losses, and what a scheme reads of whole sequences.

The loss of a sequence is the mean over its tokens that count, in nats per token, so that a scheme's parameters mean the
same for long and short sequences. The probability p that schemes read is exp(-loss), the geometric mean of the
probabilities of its tokens. Schemes that are losses are computed for each token, and averaged in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights import Scheme
from hardsight.weights.inputs import SAMPLE_INPUTS

IGNORED = -100
"""The label of tokens that do not count, such as padding."""
_SAME_POSITION_LOSSES = ("ForMaskedLM", "ForTokenClassification")
_OTHER_INPUTS = SAMPLE_INPUTS - {"logits", "labels"}
_UNSUPPORTED = (
    "scheme {!r} reads {} of samples with one label each, not of sequences of tokens: use a scheme that reads only the "
    "loss or p, or a loss of logits and labels such as 'gce-loss'"
)


def sequence_losses(
    logits: Float[Tensor, "row ..."],
    labels: Shaped[Tensor, "row ..."],
    *,
    shift: bool,
    segments: Int64[Tensor, "row token"] | None = None,
) -> tuple[Float[Tensor, " sequence"], Int64[Tensor, " sequence"]]:
    """Compute the summed cross-entropy of each sequence, in nats, and the number of its tokens that count.

    Args:
        logits: ``(row, token, word)``.
        labels: ``(row, token)``; tokens with the label ``IGNORED`` do not count.
        shift: whether the logits at a token are for the next token, as in a causal language model.
        segments: number of each token's sequence, from 0; -1 for padding. None: each row is one sequence. If logits are for
            the next token, the first token of a sequence is predicted by none and does not count.

    Raises:
        InputError: the shapes are different.
    """
    if segments is not None:
        labels = labels.masked_fill(segments < 0, IGNORED)
        if shift:
            labels[:, 1:][segments.diff(dim=1) != 0] = IGNORED
            segments = segments[:, 1:]
    logits, labels = align(logits, labels, shift=shift)
    # float32, because half precision cannot add up the losses of long sequences.
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels.long(), ignore_index=IGNORED, reduction="none"
    )
    counted = labels != IGNORED
    if segments is None:
        return losses.sum(1), counted.sum(1)
    sequences = int(segments.max()) + 1
    totals = losses.new_zeros(sequences).index_add(0, segments[counted], losses[counted])
    return totals, torch.bincount(segments[counted], minlength=sequences)


def align(logits: Tensor, labels: Tensor, *, shift: bool) -> tuple[Tensor, Tensor]:
    """Return logits ``(row, token, word)`` with the labels that they predict ``(row, token)``.

    Args and errors are those of :func:`sequence_losses`.
    """
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        raise InputError(
            f"a language model must give logits (row, token, word) for labels (row, token). Got {tuple(logits.shape)} "
            f"for {tuple(labels.shape)}: pass one label for every token of a row, or task='classification'"
        )
    return (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)


def predicts_next_token(model: Any) -> bool:
    """Whether a model's logits at a token are for the next token.

    Encoder-decoders, masked language models and token classifiers predict the token itself, and so do classes that
    derive from them. Models that are not from Hugging Face, and so do not say, are taken to be causal.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return False
    names = (getattr(model, "loss_type", None), *(kind.__name__ for kind in type(model).__mro__))
    return not any(name.endswith(_SAME_POSITION_LOSSES) for name in names if name)


def _require_labels(values: Mapping[str, Any]) -> Tensor:
    if values.get("labels") is None:
        raise InputError(f"logits of tokens need labels (row, token), {IGNORED} for tokens that do not count: pass labels=…")
    logits, labels = values["logits"], values["labels"]
    if logits.shape[:1] + logits.shape[2:] == labels.shape and logits.shape[:2] != labels.shape:
        raise InputError(
            f"logits of tokens must have the shape (row, token, word). Got {tuple(logits.shape)} for labels "
            f"{tuple(labels.shape)}: pass logits.transpose(1, 2), or for a weight per token "
            "logits.transpose(1, 2).flatten(0, 1) and labels.flatten()"
        )
    return torch.as_tensor(labels)


def has_token_logits(values: Mapping[str, Any]) -> bool:
    """Whether the logits are those of tokens, ``(row, token, word)``."""
    logits = values.get("logits")
    return isinstance(logits, Tensor) and logits.ndim == 3


def to_sequence_inputs(values: Mapping[str, Any], schemes: Sequence[Scheme]) -> dict[str, Any]:
    """Replace the logits and labels of tokens by what schemes read of whole sequences: their losses.

    Args:
        values: inputs by name, among them aligned logits ``(row, token, word)`` and labels ``(row, token)``.
        schemes: schemes that give weights; none for fixed weights.

    Raises:
        InputError: a scheme reads what a whole sequence does not have.
    """
    reads = {name for scheme in schemes for name in scheme.inputs}
    for scheme in schemes:
        if "labels" in scheme.reads:
            raise InputError(_UNSUPPORTED.format(scheme.name, "labels"))
    logits, loss, p = values["logits"], values.get("loss"), values.get("p")
    if loss is None or ("p" in reads and p is None and values.get("labels") is not None):
        total, count = sequence_losses(logits, _require_labels(values), shift=False)
        mean = total / count.clamp(min=1)
        # A loss that is given may have class weights or smoothed labels, and then exp(-loss) is not p.
        loss, p = (mean, p) if loss is None else (loss, torch.exp(-mean))
    # A scheme that reads logits but no labels reads the number of classes, here of words.
    words = logits[:, 0] if "logits" in reads else None
    return {**values, "loss": loss, "p": p, "logits": words, "labels": None}


def average_token_loss(values: Mapping[str, Any], scheme: Scheme, loss: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
    """Average a scheme that is a loss over the tokens of each sequence. ``(row,)``

    Args:
        values: inputs by name, among them aligned logits ``(row, token, word)`` and labels ``(row, token)``.
        scheme: the scheme.
        loss: computes it for single tokens, from logits ``(token, word)`` and labels ``(token,)``.

    Raises:
        InputError: the scheme reads more of a sample than logits and labels.
    """
    unsupported = [name for name in scheme.reads if name in _OTHER_INPUTS]
    if unsupported or scheme.init is not None:
        raise InputError(_UNSUPPORTED.format(scheme.name, unsupported[0] if unsupported else "a state"))
    logits, labels = align(values["logits"], _require_labels(values), shift=False)
    mask = labels != IGNORED
    losses = loss({"logits": logits[mask].float(), "labels": labels[mask].long()})
    counts = mask.sum(1)
    rows = torch.arange(len(labels), device=labels.device).repeat_interleave(counts)
    return losses.new_zeros(len(labels)).index_add(0, rows, losses) / counts.clamp(min=1)
