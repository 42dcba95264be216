"""The loss of several labels: its gradient by hand, and weights of parts."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from hardsight.learners.network.batches import Batch
from hardsight.learners.network.mlp import mean_loss_and_gradient
from hardsight.learners.network.optimizer import batch_losses


def make_batch(seed=0):
    """Return scores ``(member, row, label)``, labels and weights, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 7, 3, generator=generator)
    label = torch.randint(2, (2, 7, 3), generator=generator).float()
    weight = torch.rand(2, 7, 3, generator=generator) * (torch.rand(2, 7, 3, generator=generator) < 0.7)
    return scores, label, weight


def test_the_loss_is_weighted_cross_entropy_and_its_gradient_that_of_autograd():
    scores, label, weight = make_batch()
    target = torch.cat([weight * label, weight * (1 - label)], dim=2)
    free = scores.clone().requires_grad_()
    expected = binary_cross_entropy_with_logits(free, label, weight, reduction="none").mean((1, 2))
    torch.autograd.backward(expected.sum())
    torch.testing.assert_close(batch_losses(scores, target, None), expected.detach())
    losses, gradient = mean_loss_and_gradient(scores.mT.clone(), Batch(scores, target, None, torch.empty(0)))
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(gradient.mT, free.grad)
