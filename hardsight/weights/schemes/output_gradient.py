"""The gradient of cross-entropy by the logits, which several schemes take a sample's influence from."""

from jaxtyping import Float, Int
from torch import Tensor

from hardsight.weights.inputs import check_codes, check_finite


def output_gradient(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, "sample class"]:
    """Softmax probabilities less the one-hot label, p - y; ``(sample, class)``.

    What the label lacks is summed from the other classes: 1 - p would round to 0 where p is near 1.

    Raises:
        InputError: logits that are not finite, or labels that are no classes.
    """
    at = check_codes("labels", labels, logits.shape[1]).long().unsqueeze(1)
    others = check_finite("logits", logits).softmax(1).scatter(1, at, 0)
    return others.scatter(1, at, -others.sum(1, keepdim=True))
