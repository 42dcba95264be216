"""What a scheme reads of a loss that was taken apart: logits, labels and the probability of the label."""

import torch
from torch import Tensor
from torch.nn import functional

from hardsight.errors import InputError
from hardsight.weights import Scheme
from hardsight.weights.inputs import to_full_precision
from hardsight.weights.training.own_loss import LossCall
from hardsight.weights.training.tokens import IGNORED

_MULTI_LABEL = (functional.binary_cross_entropy_with_logits,)


def read_scheme_inputs(scheme: Scheme | None, calls: list[LossCall], n_samples: int) -> dict[str, Tensor]:
    """Return the inputs of a scheme besides the loss, by name.

    Args:
        scheme: the scheme; None for fixed weights.
        calls: the loss functions that the model's loss is computed by.
        n_samples: number of samples of the batch.

    Returns:
        Logits ``(sample, class)`` and labels ``(sample,)``, or for sequences ``(sample, token, word)`` and
        ``(sample, token)``; and the probability ``p`` of the label, without class weights and label smoothing, a
        geometric mean over the elements of a sample.

    Raises:
        InputError: the scheme needs one label per sample or token, and the loss is of another kind; or the scheme is a
            loss, and the model's own loss has class weights or label smoothing.
    """
    if scheme is None:
        return {}
    is_loss = scheme.kind == "loss"
    needs_scores = is_loss or not {"logits", "labels"}.isdisjoint(scheme.reads)
    call = calls[0] if len(calls) == 1 else None
    if call is not None and call.has_classes:
        if is_loss and call.is_modified:
            raise InputError(
                f"scheme {scheme.name!r} takes the place of the model's own loss, whose class weights or label smoothing "
                "would be lost: leave these out, or use a scheme that gives weights"
            )
        inputs = _scores(call, n_samples) if needs_scores or _is_one_label(call, n_samples) else {}
        if "p" in scheme.inputs and not is_loss:
            inputs["p"] = _probabilities(call, n_samples)
        return inputs
    if needs_scores:
        if call is not None and is_loss and call.function in _MULTI_LABEL and len(call.elements) == n_samples:
            return {"logits": call.arguments["input"], "labels": call.arguments["target"]}
        names = " and ".join(call.function.__name__ for call in calls)
        raise InputError(
            f"scheme {scheme.name!r} reads the logits and labels of one classification, but the model's own loss is "
            f"{names}: use a scheme that reads only the loss, such as 'superloss'"
        )
    return {}


def _is_one_label(call: LossCall, n_samples: int) -> bool:
    return call.elements.shape == (n_samples,)


def _scores(call: LossCall, n_samples: int) -> dict[str, Tensor]:
    if _is_one_label(call, n_samples):
        labels = call.arguments["target"]
        if call.counted is not None:
            # The loss of a sample whose label does not count is 0, whatever its weight is.
            labels = labels.masked_fill(~call.counted, 0)
        return {"logits": to_full_precision(call.arguments["input"]), "labels": labels}
    scores, labels = call.scores()
    order = torch.argsort(call.samples, stable=True)
    samples = call.samples[order]
    lengths = torch.bincount(samples, minlength=n_samples)
    positions = torch.arange(len(samples), device=samples.device) - (lengths.cumsum(0) - lengths)[samples]
    width = int(lengths.max())
    padded = scores.new_zeros((n_samples, width, scores.shape[1])).index_put((samples, positions), scores[order])
    padded_labels = labels.new_full((n_samples, width), IGNORED).index_put((samples, positions), labels[order])
    return {"logits": padded, "labels": padded_labels}


def _probabilities(call: LossCall, n_samples: int) -> Tensor:
    """Return exp(-mean cross-entropy) of each sample. ``(sample,)``"""
    if call.is_modified:
        plain = call.function is functional.nll_loss
        losses = (functional.nll_loss if plain else functional.cross_entropy)(*call.scores(), reduction="none")
    else:
        losses = call.elements.reshape(-1) if call.counted is None else call.elements.reshape(-1)[call.counted]
    totals = losses.new_zeros(n_samples).index_add(0, call.samples, losses)
    return torch.exp(-totals / torch.bincount(call.samples, minlength=n_samples).clamp(min=1))
