"""The hand-written gradient against autograd, and which modules it takes."""

import pytest
import torch
from torch import nn

from hardsight.learners.network import optimizer as training
from hardsight.learners.network.batches import Batch
from hardsight.learners.network.mlp import MlpGradient, find_layers

NETS = {
    "linear": lambda outputs: nn.Sequential(nn.Linear(5, outputs)),
    "one hidden": lambda outputs: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, outputs)),
    "three hidden, some without bias": lambda outputs: nn.Sequential(
        nn.Linear(5, 7, bias=False), nn.ReLU(), nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(),
        nn.Linear(3, outputs, bias=False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("outputs", [1, 2, 6])
@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_autograd(kind, outputs, rows, weighted):
    torch.manual_seed(0)
    nets = [NETS[kind](outputs) for _ in range(3)]
    x = torch.randn(3, rows, 5)
    y = torch.randn(3, rows) if outputs == 1 else torch.randint(outputs, (3, rows))
    weights = 3 * torch.rand(3, rows) if weighted else None
    for k, (net, own, target) in enumerate(zip(nets, x, y, strict=True)):
        out = net(own)
        loss = nn.functional.mse_loss if outputs == 1 else nn.functional.cross_entropy
        losses = loss(out[:, 0] if outputs == 1 else out, target, reduction="none")
        loss = (losses if weights is None else weights[k] * losses).mean()
        loss.backward()
        net.loss = loss.detach()
    parameters, _ = torch.func.stack_module_state(nets)
    stack = find_layers(nets[0])
    assert stack is not None
    gradient = MlpGradient(parameters, stack)
    for _ in range(2):  # the buffers are used again
        losses = gradient(Batch(x, y, weights, torch.empty(0)))
        torch.testing.assert_close(losses, torch.stack([net.loss for net in nets]))
        for name, parameter in parameters.items():
            expected = torch.stack([dict(net.named_parameters())[name].grad for net in nets])
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-6)


def frozen():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    net[0].weight.requires_grad_(False)
    return net


def hooked():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    net[1].register_forward_hook(lambda module, given, out: out + 1)
    return net


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "net",
    [
        nn.Linear(2, 2),
        nn.Sequential(),
        nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.Linear(2, 3)),
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 2)),
        nn.Sequential(nn.Flatten(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(), Doubled(3, 2)),
        nn.Sequential(nn.Linear(2, 3, dtype=torch.float64)),
        frozen(),
        hooked(),
    ],
    ids=lambda net: repr(net).replace("\n", "")[:60],
)
def test_other_modules_are_left_to_autograd(net):
    assert find_layers(net) is None


def test_a_shared_layer_is_left_to_autograd():
    layer = nn.Linear(3, 3)
    assert find_layers(nn.Sequential(layer, nn.ReLU(), layer)) is None


@pytest.mark.slow
def test_training_by_hand_and_by_autograd_end_alike(monkeypatch):
    from sklearn.datasets import load_wine

    import hardsight as hs

    X, y = load_wine(return_X_y=True)
    by_hand = hs.measure(X, y, repeats=2, estimate=hs.Estimate(pilot=False)).error
    monkeypatch.setattr(training, "find_layers", lambda net: None)
    by_autograd = hs.measure(X, y, repeats=2, estimate=hs.Estimate(pilot=False)).error
    torch.testing.assert_close(torch.from_numpy(by_hand), torch.from_numpy(by_autograd), rtol=0.02, atol=0.002)
