"""Samples that could still be learnt: their loss is larger than that of a model which did not train on them."""

from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite, check_losses
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.mining import top


def rho_loss(
    loss: Float[Tensor, " sample"], held_out: Float[Tensor, " sample"], *, keep: float = 0.1
) -> Float[Tensor, " sample"]:
    """The share of the batch whose loss exceeds the held-out loss most; of equal ones the first in the batch.

    Args:
        loss: of the model in training.
        held_out: by models that were not trained on the sample.
        keep: share that is trained on, at least one sample.
    """
    check_range("keep", keep, 0, 1, strict=(True, False))
    reducible = check_losses(loss).detach() - check_finite("held_out", held_out).to(loss.dtype)
    return top(reducible, max(1, round(keep * len(loss))))


ROWS = (
    Scheme(
        "rho-loss",
        "samples not learnt yet that can be learnt: neither learnt nor noisy ones",
        "1[l - l_held_out among the keep n largest]",
        rho_loss,
        "hard",
        "loss in training less held-out loss, nats",
        (
            "Mindermann et al. 2022, Prioritized training on points that are learnable, worth learning, and not yet "
            "learnt, ICML"
        ),
        reduction="weighted mean",
        clean_data="held-out data to train a second model on; here d.error of the same data does it",
        note="Published with 32 of a batch of 320. The held-out loss stays fixed during training.",
    ),
)
