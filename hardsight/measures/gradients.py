"""Exact gradients of a module, sample by sample: what the closed forms approximate, and the input of VoG."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy


def gradient_norms(
    module: torch.nn.Module,
    inputs: Shaped[Tensor, " sample *input"],
    labels: Int64[Tensor, " sample"],
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
) -> Float[Tensor, " sample"]:
    """Return the norm of the loss' gradient in all trainable parameters, per sample; GraNd is its mean over initialisations.

    The module is called on one sample at a time (vectorised by :func:`torch.func.vmap`). Put it in evaluation mode: batch
    statistics have no gradient for a single sample.

    Args:
        module: maps inputs to logits ``(sample, class)``.
        inputs: inputs of the module.
        labels: class codes.
        loss: maps ``(logits, labels)`` to a number.

    Paul et al. 2021, *Deep learning on a data diet*.
    """
    trainable = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}

    def sample_loss(parameters: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        return loss(functional_call(module, parameters, (sample[None],)), label[None])

    gradients = vmap(grad(sample_loss), in_dims=(None, 0, 0))(trainable, inputs, labels)
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0).sqrt()


def input_gradients(
    module: torch.nn.Module,
    inputs: Float[Tensor, " sample *input"],
    labels: Int64[Tensor, " sample"],
    of: Literal["logit", "loss"] = "logit",
) -> Float[Tensor, " sample *input"]:
    """Return the gradient of the given label's logit, or of its cross-entropy, in the inputs, of the inputs' shape.

    ``record.add`` takes that of the logit as ``input_gradients`` (for VoG) and that of the loss as ``loss_gradients``.

    The gradients of the parameters are not touched. Put the module in evaluation mode: in training mode, batch statistics
    tie the samples of a batch together.

    Agarwal et al. 2022, *Estimating example difficulty using variance of gradients*.
    """
    with torch.enable_grad():
        x = inputs.detach().requires_grad_()
        logits = module(x)
        values = (logits if of == "logit" else -logits.log_softmax(1)).gather(1, labels[:, None]).sum()
        return torch.autograd.grad(values, x)[0]
