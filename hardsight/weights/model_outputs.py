"""Logits and labels in the forms in which training code has them, brought to one: ``(sample, class)`` and class codes.

One logit per sample stands for two classes, ``[0, logit]``: its softmax is the sigmoid. One-hot rows are class codes.
Soft labels give a loss, but no class.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.inputs import check_class_codes, to_class_codes, to_tensor

_ONE_HOT_TOLERANCE = 1e-4


def standardize_outputs(values: Mapping[str, Any], *, several_labels: bool = False) -> dict[str, Any]:
    """Return the inputs with logits ``(sample, class)`` and labels ``(sample,)``, or soft labels ``(sample, class)``.

    Args:
        values: inputs by name.
        several_labels: whether labels are a 0/1 matrix ``(sample, label)`` of labels that do not exclude each other.

    Raises:
        InputError: logits or labels have another shape, or labels are neither class codes nor probabilities.
    """
    logits, labels = (None if values.get(name) is None else to_tensor(name, values[name]) for name in ("logits", "labels"))
    tensors = {name: tensor for name, tensor in (("logits", logits), ("labels", labels)) if tensor is not None}
    changed = {**values, **tensors}
    if several_labels:
        changed |= {"logits": _as_columns(logits), "labels": _as_columns(labels)}
    elif (logits is not None and logits.dim() != 2) or (labels is not None and labels.dim() != 1) or _is_binary(logits):
        _check_layout(logits, labels)
        changed |= _to_classes(logits, labels)
    if values.get("peer_logits") is not None and _is_binary(peer := to_tensor("peer_logits", values["peer_logits"])):
        changed["peer_logits"] = _two_columns(peer)
    return changed


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, from its logits ``(sample, class)`` and class code. ``(sample,)``

    Labels may also be class probabilities of the same shape as the logits.

    Raises:
        InputError: the labels have another shape or are not class codes.
    """
    if labels.shape == logits.shape and labels.is_floating_point():
        return torch.nn.functional.cross_entropy(logits, labels.to(logits.dtype), reduction="none")
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise InputError(
            "logits must have the shape (sample, class) and labels the shape (sample,), one class code per sample. "
            f"Got the shapes {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    codes = check_class_codes(to_class_codes(labels), logits.shape[1])
    return torch.nn.functional.cross_entropy(logits, codes, reduction="none")


def label_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of each label by the softmax of the logits, with its gradient. ``(sample,)``

    Raises:
        InputError: the labels are soft, have another shape or are not class codes.
    """
    if labels.dim() == 2:
        raise InputError(
            "soft labels have no class of which p is the probability: pass p=…, or class codes such as labels.argmax(1)"
        )
    return torch.exp(-cross_entropy(logits, labels))


def _is_binary(logits: Tensor | None) -> bool:
    return logits is not None and (logits.dim() == 1 or (logits.dim() == 2 and logits.shape[1] == 1))


def _as_columns(values: Tensor | None) -> Tensor | None:
    return values[:, None] if values is not None and values.dim() == 1 else values


def _two_columns(logits: Tensor) -> Tensor:
    flat = logits.reshape(-1)
    return torch.stack([torch.zeros_like(flat), flat], 1)


def _check_layout(logits: Tensor | None, labels: Tensor | None) -> None:
    if logits is not None and logits.dim() > 2:
        raise InputError(
            f"logits must have the shape (sample, class). Got {tuple(logits.shape)}: for a weight per pixel pass "
            "logits.movedim(1, -1).flatten(0, -2) and labels.flatten()"
        )
    if labels is not None and labels.dim() > 2:
        raise InputError(
            f"labels must have the shape (sample,). Got {tuple(labels.shape)}: for a weight per pixel pass labels.flatten()"
        )


def _to_classes(logits: Tensor | None, labels: Tensor | None) -> dict[str, Tensor | None]:
    if _is_binary(logits):
        assert logits is not None
        return {"logits": _two_columns(logits), "labels": None if labels is None else _from_binary(labels)}
    return {"logits": logits, "labels": None if labels is None else _from_matrix(labels, logits)}


def _from_binary(labels: Tensor) -> Tensor:
    """Return the class codes of labels between 0 and 1, or both probabilities where they are soft."""
    if labels.dim() == 2 and labels.shape[1] > 1:
        return _from_matrix(labels, None)
    flat = labels.reshape(-1)
    if not flat.is_floating_point() or bool((flat == flat.round()).all()):
        return flat.long()
    if not bool(((flat >= 0) & (flat <= 1)).all()):
        raise InputError("labels of one logit per sample must be 0, 1 or the probability of class 1")
    return torch.stack([1 - flat, flat], 1)


def _from_matrix(labels: Tensor, logits: Tensor | None) -> Tensor:
    """Return class codes if the rows are one-hot; labels that are class probabilities stay."""
    if labels.dim() == 1:
        return labels
    if labels.shape[1] == 1:
        return labels[:, 0]
    if logits is not None and logits.shape != labels.shape:
        raise InputError(
            "labels must be class codes (sample,), or one-hot rows or probabilities of the shape of the logits, "
            f"{tuple(logits.shape)}. Got the shape {tuple(labels.shape)}"
        )
    values = labels.detach().double()
    if bool(((values == 0) | (values == 1)).all()) and bool((values.sum(1) == 1).all()):
        return values.argmax(1)
    totals = values.sum(1)
    if labels.is_floating_point() and bool((values >= 0).all() & ((totals - 1).abs() < _ONE_HOT_TOLERANCE).all()):
        return labels
    raise InputError(
        "labels of the shape (sample, class) must be one-hot rows or class probabilities, each row of sum 1: for several "
        "labels per sample use a loss such as 'focal-sigmoid' or 'asl'"
    )
