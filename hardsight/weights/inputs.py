"""What a scheme may read: its inputs by name, and the checks of their values."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.probabilities import check_logits


class Input(NamedTuple):
    """An input that a scheme may read.

    Attributes:
        description: what it is.
        shape: the names of its axes; ``()`` for a number, None for anything that is not an array.
        unit: unit or range of its values.
    """

    description: str
    shape: tuple[str, ...] | None
    unit: str = ""

    def __str__(self) -> str:
        text = f"{self.description}, {self.unit}" if self.unit else self.description
        return f"{text}; ({', '.join(self.shape)}{',' * (len(self.shape) == 1)})" if self.shape else text


INPUTS: dict[str, Input] = {
    "loss": Input("loss of each sample under the current model", ("sample",), "nats for cross-entropy"),
    "p": Input("probability of the given label; exp(-loss) if it is not given", ("sample",), "0 to 1"),
    "logits": Input("logits of the current model", ("sample", "class")),
    "labels": Input(
        "class codes of the given labels; a 0/1 matrix (sample, label) for losses of several labels", ("sample",)
    ),
    "classes": Input("number of classes", (), "integer"),
    "sizes": Input("number of samples of each class in the data set", ("class",)),
    "features": Input("penultimate features", ("sample", "feature")),
    "groups": Input("code of each sample's group or domain", ("sample",)),
    "held_out": Input("loss under models that were not trained on the sample (d.error)", ("sample",), "nats"),
    "p_wrong": Input(
        "probability that the label is wrong (d.p_wrong, which needs classes, log-loss and two views or more)",
        ("sample",),
        "0 to 1",
    ),
    "peer": Input("loss under a second model", ("sample",), "nats"),
    "peer_logits": Input("logits of a second model", ("sample", "class")),
    "history": Input("probability of the given label in past epochs", ("sample", "epoch"), "0 to 1"),
    "residual": Input("prediction minus target of a regression, (sample,) or (sample, target)", ("sample", "...")),
    "first": Input("loss or 0/1 error of a first model, as the scheme defines it", ("sample",)),
    "aum": Input("area under the margin: mean over epochs of the label's logit minus the largest other logit", ("sample",)),
    "class_error": Input("error rate of each class on validation data", ("class",), "0 to 1"),
    "neighbours": Input("labels of the nearest neighbours", ("sample", "neighbour")),
    "purity": Input("share of the minority class in the sample's leaf of a cross-fitted tree", ("sample",), "0 to 1"),
    "rows": Input("each sample's row in the tables of the state", ("sample",)),
    "epoch": Input("number of epochs done, from 0; a fraction within an epoch", (), "float"),
    "epochs": Input("total number of epochs", (), "float"),
    "learning_rate": Input("learning rate of the optimizer's step", (), "float"),
    "generator": Input("source of random numbers, a torch.Generator", None),
    "weigher": Input("network that learns the weights, as the scheme defines it, a torch.nn.Module", None),
    "model": Input("model from inputs to logits, a torch.nn.Module", None),
    "inputs": Input("input of the model for the batch", ("sample", "...")),
    "clean_inputs": Input("input of the model for a clean or validation batch", ("clean", "...")),
    "clean_labels": Input("class codes of the clean batch", ("clean",)),
}
"""Everything that a scheme may read, by the name of its function's positional parameter."""
# The rows of a batch are known wherever a state is kept, so no caller passes them.
SAMPLE_INPUTS = frozenset(name for name, row in INPUTS.items() if (row.shape or " ")[0] == "sample") - {"rows"}
"""Inputs with one row per sample."""
_ARRAYS = frozenset(name for name, row in INPUTS.items() if row.shape)
# Inputs whose numbers are never codes or counts: integers would give weights that are cut down to integers.
_FLOATS = frozenset({"loss", "p", "logits", "held_out", "p_wrong", "peer", "peer_logits", "history"})
_HALF_TYPES = (torch.float16, torch.bfloat16)
# Up to this size a Python loop is faster than a torch kernel launch.
_SMALL = 512


def to_full_precision(values: Tensor) -> Tensor:
    """Return half-precision values in float32, and others as they are."""
    return values.float() if values.dtype in _HALF_TYPES else values


def as_plain_array(values: np.ndarray) -> np.ndarray:
    """Return a copy that torch can take: of the machine's byte order, with rows in order, in float64 at most."""
    # Of arrays loaded from a file, which are read-only, torch warns.
    dtype = np.dtype(np.float64) if values.dtype.kind == "f" and values.dtype.itemsize > 8 else values.dtype
    return np.array(values, dtype=dtype.newbyteorder("="), order="C")


def min_max(values: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value; both are NaN if any value is, and 0 if there are none."""
    # One pass and one wait for the device, because this runs in every training step.
    if values.is_cpu and values.dim() == 1 and 0 < values.shape[0] <= _SMALL:
        numbers = values.tolist()
        total = sum(numbers)
        return (min(numbers), max(numbers)) if total == total else (total, total)
    if not values.numel():
        return 0.0, 0.0
    low, high = torch.aminmax(values.detach())
    return float(low), float(high)


def check_losses(loss: Tensor) -> Tensor:
    """Return the losses if they are finite and 0 or more; rounding errors below 0 become 0. ``(sample,)``

    Raises:
        InputError: a loss is not finite or is below zero; names its position.
    """
    low, high = min_max(loss)
    if not (low >= -1e-4 and high < float("inf")):
        requirement = "finite and 0 or more: give cross-entropy, reduction='none'"
        _raise_for_first(loss, ~(loss >= -1e-4) | loss.isinf(), "loss", requirement)
    return loss if low >= 0 else loss.clamp(min=0)


def check_probabilities(p: Tensor) -> Tensor:
    """Return the probabilities if they lie between 0 and 1; rounding errors are clamped. ``(sample,)``

    Raises:
        InputError: a value lies outside; names its position.
    """
    low, high = min_max(p)
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        requirement = "between 0 and 1: give softmax probabilities of the labels"
        _raise_for_first(p, ~((p >= -1e-6) & (p <= 1 + 1e-6)), "p", requirement)
    return p if low >= 0 and high <= 1 else p.clamp(0, 1)


def check_finite(name: str, values: Tensor) -> Tensor:
    """Return the values if all are finite.

    Raises:
        InputError: a value is not finite; names the argument and the position.
    """
    low, high = min_max(values)
    if not (low > -float("inf") and high < float("inf")):
        _raise_for_first(values, ~values.isfinite(), name, "finite numbers")
    return values


def check_codes(name: str, values: Tensor, count: int, noun: str = "codes", because: str = "") -> Tensor:
    """Return the codes if they lie in 0 to ``count - 1``. ``(sample,)``

    Raises:
        InputError: a code lies outside; names its position.
    """
    low, high = min_max(values)
    if not (low >= 0 and high < count):
        _raise_for_first(values, (values < 0) | (values >= count), name, f"{noun} from 0 to {count - 1}{because}")
    return values


def check_class_codes(labels: Tensor, classes: int) -> Tensor:
    """Return the labels as int64 if they are class codes from 0 to ``classes - 1``. ``(sample,)``

    Raises:
        InputError: a label lies outside; names its position.
    """
    return check_codes("labels", labels, classes, "class codes", ", as logits have them").long()


def to_class_codes(labels: Tensor) -> Tensor:
    """Return class codes of any numeric type as int64 ``(sample,)``, and a 0/1 matrix ``(sample, label)`` unchanged.

    Raises:
        InputError: a label is not an integer; names its position.
    """
    if labels.dtype is torch.int64 or labels.dim() > 1:
        return labels
    if labels.is_floating_point():
        _raise_for_first(labels, labels != labels.round(), "labels", "class codes, which are integers")
    return labels.long()


def to_class_sizes(sizes: Any, classes: int | None = None) -> Tensor:
    """Return the number of samples of each class. ``(class,)``

    Args:
        sizes: an array in the order of the class codes; or a mapping from class code to size, such as a dictionary, a
            ``collections.Counter`` or a pandas ``value_counts``, in which classes that are missing have no sample.
        classes: number of classes, if it is known.

    Raises:
        InputError: a size is not a number of 0 or more, a key is not a class code, or there are not ``classes`` sizes.

    >>> to_class_sizes({2: 5, 0: 1})
    tensor([1, 0, 5])
    """
    tensor = _sizes_by_code(sizes, classes) if hasattr(sizes, "keys") else _to_numbers("sizes", sizes)
    if tensor.dim() != 1 or not len(tensor):
        raise InputError(f"sizes must be one number per class, (class,). Got the shape {tuple(tensor.shape)}")
    if classes and len(tensor) != classes:
        raise InputError(f"sizes must have one entry for each of the {classes} classes. Got {len(tensor)}")
    low, high = min_max(tensor)
    if not (low >= 0 and high < float("inf")):
        _raise_for_first(
            tensor, ~((tensor >= 0) & tensor.isfinite()), "sizes", "finite and 0 or more, the samples of each class"
        )
    return tensor


def _sizes_by_code(sizes: Any, classes: int | None) -> Tensor:
    codes = list(sizes.keys())
    wrong = next((code for code in codes if not _is_code(code)), None)
    if wrong is not None:
        raise InputError(
            f"the keys of sizes must be class codes, 0, 1, … Got {wrong!r}: pass sizes in the order of the classes"
        )
    values = np.zeros(max(classes or 0, *(int(code) + 1 for code in codes), 0))
    values[[int(code) for code in codes]] = [sizes[code] for code in codes]
    whole = (values == np.round(values)).all()
    return torch.from_numpy(values.astype(np.int64) if whole else values.astype(np.float32))


def _is_code(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= 0


def to_tensor(name: str, value: Any) -> Any:
    """Return the value of an input as a tensor if the input is an array, and unchanged otherwise.

    Losses, probabilities and logits become floating-point numbers.

    Raises:
        InputError: an array of anything but numbers, or sizes that are not those of classes.
    """
    if name not in _ARRAYS:
        return value
    if not isinstance(value, Tensor):
        value = to_class_sizes(value) if name == "sizes" else _to_numbers(name, value)
    if name not in _FLOATS or value.is_floating_point():
        return value
    if value.is_complex():
        raise InputError(f"{name} must be numbers: {INPUTS[name]}. Got {value.dtype}")
    return value.float()


def _to_numbers(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numbers: {INPUTS[name]}. Got {type(value).__name__} of {array.dtype}")
    return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "b" else as_plain_array(array))


def check_rows(name: str, value: Any, samples: int, owner: str) -> Any:
    """Return the value of an input as :func:`to_tensor` does; an input of samples must have one row per sample.

    Args:
        owner: whose samples these are, for the message.

    Raises:
        InputError: an array of anything but numbers, a wrong number of rows, or probabilities in place of logits.
    """
    tensor = to_tensor(name, value)
    if name in ("logits", "peer_logits"):
        check_logits(name, tensor)
    if name in SAMPLE_INPUTS and tensor.shape[:1] != (samples,):
        rows = len(tensor) if tensor.ndim else "no"
        raise InputError(
            f"{name} must have one row per sample, in the order of the samples. Got {rows} rows; {owner} has {samples}"
        )
    return tensor


def _raise_for_first(values: Tensor, invalid: Tensor, name: str, requirement: str) -> None:
    if bool(invalid.any()):
        index = tuple(invalid.nonzero()[0].tolist())
        value = values[index].item()
        number = f"{value:g}" if isinstance(value, float) else str(value)
        raise InputError(f"{name} must be {requirement}. {name}[{', '.join(map(str, index))}] is {number}")
