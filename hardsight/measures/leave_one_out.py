r"""What a network would predict if it had not been trained on a sample, from its last layer alone.

Each class' weights $w$ are moved by one Newton step on the loss without sample i:

$$f_i + \frac{v_i (p_i - y_i)}{1 - v_i p_i (1 - p_i)}, \quad v_i = h_i^\top H^{-1} h_i, \quad
H = \sum_j p_j (1 - p_j) h_j h_j^\top + \delta I$$

with the logit f, the probability p, the label's indicator y, and the layer's inputs h with a 1 appended for the bias.
Without the denominator this is the first-order sensitivity of Nickl et al. 2023, *The memory-perturbation equation* (arXiv
2310.19273); with it, the step is exact by the formula of Sherman and Morrison.
"""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

# Added to the curvature, as a share of the mean square of the layer's inputs. Less finds more wrong labels in a network that
# has memorised them, and fewer in one that has not (benchmarks/one_training.md).
_DAMPING = 0.1
# A sample that fixes its own prediction alone has the leverage 1.
_MAX_LEVERAGE = 0.999


def leave_one_out_logits(
    logits: Float[Tensor, "sample class"], labels: Int64[Tensor, " sample"], features: Float[Tensor, "sample feature"]
) -> Float64[Tensor, "sample class"]:
    """Return the logits that the last layer would give each sample if it had not been trained on it, to one Newton step.

    The features stay as they are. Where the network learned them with the sample's label, the sample is not held out: read
    the result as a ranking. Time grows with samples × features² × classes.

    Args:
        logits: of all training samples, by one model.
        labels: class codes.
        features: inputs of the last, linear layer.
    """
    h = torch.cat([features.double(), torch.ones(len(features), 1, dtype=torch.float64)], 1)
    damping = _DAMPING * h.square().mean() * torch.eye(h.shape[1], dtype=torch.float64)
    p = logits.double().softmax(1)
    residual = p.scatter_add(1, labels[:, None], -torch.ones(len(p), 1, dtype=torch.float64))
    without = logits.double().clone()
    for k in range(p.shape[1]):
        curvature = p[:, k] * (1 - p[:, k])
        factor = torch.linalg.cholesky(h.T @ (h * curvature[:, None]) + damping)
        v = torch.linalg.solve_triangular(factor, h.T, upper=False).square().sum(0)
        without[:, k] += v * residual[:, k] / (1 - (v * curvature).clamp(max=_MAX_LEVERAGE))
    return without
