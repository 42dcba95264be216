"""Self-paced learning: easy samples first, the pace set by a threshold on the loss."""

from jaxtyping import Float
from torch import Tensor

from hardsight.weights.core import Scheme, losses, within

_KUMAR = "Kumar et al. 2010, Self-paced learning for latent variable models, NeurIPS"
_JIANG = "Jiang et al. 2014, Easy samples first: self-paced reranking for zero-example multimedia search, ACM MM"
_NATS = "loss, nats"


def spl_hard(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """1 below the threshold, 0 from it on. Grow ``lam`` over training."""
    return (losses(loss) < within("lam", lam, 0)).to(loss.dtype)


def spl_linear(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Falls from 1 at no loss to 0 at the threshold; minimises v l + lam (v²/2 - v) over v in [0, 1]."""
    return (1 - losses(loss) / within("lam", lam, 0, strict=(True, True))).clamp(min=0)


ROWS = (
    Scheme(
        "spl-hard",
        "only samples of small loss",
        "1[l < lam]",
        spl_hard,
        "easy",
        _NATS,
        _KUMAR,
        reduction="weighted mean",
        note="Published with lam grown every epoch.",
    ),
    Scheme(
        "spl-linear",
        "samples of small loss, less and less up to a threshold",
        "max(0, 1 - l/lam)",
        spl_linear,
        "easy",
        _NATS,
        _JIANG,
    ),
)
