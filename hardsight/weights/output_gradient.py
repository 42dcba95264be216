"""The gradient of cross-entropy by the logits, which several schemes take a sample's influence from."""

from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.core import finite


def codes(name: str, values: Int[Tensor, " sample"], count: int) -> Int[Tensor, " sample"]:
    """The codes, checked: 0 to count - 1.

    Raises:
        InputError: one is not; names its position.
    """
    wrong = (values < 0) | (values >= count)
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise InputError(f"{name} must be codes from 0 to {count - 1}. {name}[{at}] is {int(values[at])}")
    return values


def output_gradient(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, "sample class"]:
    """Softmax probabilities less the one-hot label, p - y; ``(sample, class)``.

    What the label lacks is summed from the other classes: 1 - p would round to 0 where p is near 1.

    Raises:
        InputError: logits that are not finite, or labels that are no classes.
    """
    at = codes("labels", labels, logits.shape[1]).long().unsqueeze(1)
    others = finite("logits", logits).softmax(1).scatter(1, at, 0)
    return others.scatter(1, at, -others.sum(1, keepdim=True))
