r"""Losses of direct preference optimization for preferences some of which are flipped.

With $h = \beta \left(\log \frac{\pi(y_c|x)}{\pi_0(y_c|x)} - \log \frac{\pi(y_r|x)}{\pi_0(y_r|x)}\right)$ the margin of the
chosen answer over the rejected one, DPO minimises $\ell(h) = -\log \sigma(h)$ (Rafailov et al. 2023, eq. 7).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hardsight.errors import InputError


def conservative_dpo_loss(margin: Tensor, p_flipped: Any) -> Tensor:
    r"""Return $(1 - p)\,\ell(h) + p\,\ell(-h)$ for each pair: the expected loss of its true preference.

    With one $p$ for all pairs it is conservative DPO (Mitchell 2023, *A note on DPO with noisy preferences*), the
    ``label_smoothing`` of TRL. With ``d.p_wrong``, every pair has its own.

    Args:
        margin: $h$, ``(pair,)``, of the answer that was given as chosen.
        p_flipped: probability that the preference is flipped, 0 to 1; one, or ``(pair,)``.

    Raises:
        InputError: probabilities outside of 0 to 1, or of another number.

    >>> conservative_dpo_loss(torch.tensor([2.0, 2.0]), [0.0, 0.9]).round(decimals=3)
    tensor([0.1270, 1.9270])
    """
    p = _probabilities(margin, p_flipped, 1.0)
    return (1 - p) * softplus(-margin) + p * softplus(margin)


def robust_dpo_loss(margin: Tensor, flip_rate: Any) -> Tensor:
    r"""Return $\frac{(1 - \varepsilon)\,\ell(h) - \varepsilon\,\ell(-h)}{1 - 2\varepsilon}$ for each pair.

    If preferences are flipped at the rate $\varepsilon$, its expectation over the flips is the loss without flips (Chowdhury
    et al. 2024, *Provably robust DPO: aligning language models with noisy feedback*, arXiv 2403.00409). The rate is that of
    the data, such as the mean of ``d.p_wrong``; for each pair's own probability see :func:`conservative_dpo_loss`. It may
    fall below zero.

    Args:
        margin: $h$, ``(pair,)``, of the answer that was given as chosen.
        flip_rate: $\varepsilon$, 0 or more, below one half; one, or ``(pair,)`` if sources differ.

    Raises:
        InputError: rates outside of 0 to one half, or of another number.

    >>> robust_dpo_loss(torch.tensor([2.0]), 0.1).round(decimals=3)
    tensor([-0.1230])
    """
    rate = _probabilities(margin, flip_rate, 0.5)
    return ((1 - rate) * softplus(-margin) - rate * softplus(margin)) / (1 - 2 * rate)


def _probabilities(margin: Tensor, values: Any, most: float) -> Tensor:
    """Return probabilities like the margin.

    Raises:
        InputError: they are not within 0 and ``most``, or of another shape.
    """
    name, below = ("p_flipped", "at most 1") if most == 1 else ("flip_rate", "below 0.5")
    p = torch.as_tensor(values, dtype=margin.dtype, device=margin.device)
    if p.ndim and p.shape != margin.shape:
        raise InputError(f"{name} must be one number or one per pair: got shape {tuple(p.shape)} for {tuple(margin.shape)}")
    valid = (p >= 0) & ((p <= most) if most == 1 else (p < most))
    if not bool(valid.all()):
        raise InputError(f"{name} must be 0 or more and {below}. Got {float(p.flatten()[~valid.flatten()][0]):g}")
    return p
