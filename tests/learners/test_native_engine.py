"""Networks as machine code, against torch's own layers, autograd and optimisers, one network at a time."""

import copy
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hardsight.learners.network import native
from hardsight.learners.network.native_program import LayerKind, OpField, read_program


def perceptron(inputs, *widths, bias=True):
    layers = []
    for before, after in pairwise((inputs, *widths)):
        layers += [nn.Linear(before, after, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def images(channels, height, width):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 4, 5, padding=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * ((height - 3) // 2) * ((width - 3) // 2), 7),
        nn.ReLU(),
        nn.Linear(7, 10),
    )


def grey(outputs=10):
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)),
        nn.Sequential(nn.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(16, 6, 3, padding=1),
        nn.Identity(),
        nn.AdaptiveMaxPool2d((4, 3)),
        nn.Flatten(),
        nn.Linear(72, outputs),
    )


NETS = {
    "perceptron": (lambda: perceptron(12, 16, 10), (12,)),
    "deep, no bias": (lambda: perceptron(5, 9, 7, 10, bias=False), (5,)),
    "linear": (lambda: perceptron(4, 10), (4,)),
    "relu first": (lambda: nn.Sequential(nn.ReLU(), nn.Linear(6, 10)), (6,)),
    "colour images": (lambda: images(3, 15, 13), (3, 15, 13)),
    "grey images": (grey, (15, 11)),
    "flat from the start": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 10)), (3, 4)),
}
# AdamW divides by the size of the gradient: with its usual epsilon it would make steps of a rounding error.
ADAM, SGD = (0.02, 0.9, 0.999, 1e-5), (0.02, 0.9, 0.0, 0.0)


def stream(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda count: rows[torch.randint(len(rows), (count,), generator=generator)]


def numbers(x):
    return np.ascontiguousarray((x.movedim(1, -1) if x.ndim == 4 else x).reshape(len(x), -1).numpy())


def member_job(net, x, y, order, *, weights=None, mean=None, inverse=None, clip=np.inf):
    flat = numbers(x)
    mean = np.zeros(flat.shape[1], np.float32) if mean is None else mean
    inverse = np.ones(flat.shape[1], np.float32) if inverse is None else inverse
    return native.MemberJob(net, flat, y.numpy(), weights, mean, inverse, clip, order)


def plain_loop(net, x, y, order, rates, descent, batch, weights=None):
    """The same by torch; returns the loss on the last batch."""
    decay, momentum, second, epsilon = descent
    optimizer = (
        torch.optim.AdamW(net.parameters(), lr=1.0, betas=(momentum, second), eps=epsilon, weight_decay=decay)
        if second
        else torch.optim.SGD(net.parameters(), lr=1.0, momentum=momentum, weight_decay=decay)
    )
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        rows = order(batch)
        out = net(x[rows])
        each = (
            nn.functional.cross_entropy(out, y[rows], reduction="none")
            if y.dtype == torch.int64
            else (out.squeeze(1) - y[rows]).square()
        )
        loss = (each * (1 if weights is None else torch.from_numpy(weights)[rows])).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def data(shape, *, regression=False, count=90):
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(count, *shape, generator=generator)
    y = torch.randn(count, generator=generator) if regression else torch.randint(10, (count,), generator=generator)
    return x, y


def gap(one, other):
    return max((p - q).abs().max().item() for p, q in zip(one.parameters(), other.parameters(), strict=True))


def fresh(make, seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def keep_loss(index, member_job, loss):
    return loss


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("descent", [ADAM, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("name", NETS)
def test_same_parameters_as_torch(name, descent, weighted):
    make, shape = NETS[name]
    x, y = data(shape)
    weights = np.random.default_rng(1).exponential(size=len(x)).astype(np.float32) if weighted else None
    rates = np.linspace(3e-3, 0, 20, endpoint=False)
    start = fresh(make)
    theirs, ours = copy.deepcopy(start), copy.deepcopy(start)
    rows = torch.arange(80)
    loss = plain_loop(theirs, x, y, stream(rows, 5), rates, descent, 16, weights)
    recipe = native.OptimizerArrays(rates, descent, 16)
    (found,) = native.train(
        read_program(ours, shape), [member_job(ours, x, y, stream(rows, 5), weights=weights)], recipe, keep_loss
    )
    assert found == pytest.approx(loss, abs=1e-5)
    assert gap(theirs, ours) < 1e-5
    # Far enough from the start for the comparison to mean something.
    assert gap(start, ours) > 1e-2 * (descent == ADAM) + 1e-3


def test_same_parameters_in_regression():
    x, y = data((6,), regression=True)
    rates = np.full(30, 2e-3)
    theirs = fresh(lambda: perceptron(6, 8, 1))
    ours = copy.deepcopy(theirs)
    rows = torch.arange(len(x))
    loss = plain_loop(theirs, x, y, stream(rows, 2), rates, ADAM, 8)
    (found,) = native.train(
        read_program(ours, (6,)),
        [member_job(ours, x, y, stream(rows, 2))],
        native.OptimizerArrays(rates, ADAM, 8),
        keep_loss,
    )
    assert found == pytest.approx(loss, abs=1e-5)
    assert gap(theirs, ours) < 1e-5


def test_inputs_are_scaled_cut_and_filled():
    x, y = data((5,))
    mean, inverse = np.float32([0.5, -1, 0, 2, 0]), np.float32([1, 2, 0.5, 3, 1])
    seen = ((x - torch.from_numpy(mean)) * torch.from_numpy(inverse)).clamp(-1.5, 1.5)
    gaps = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.2
    theirs = fresh(lambda: perceptron(5, 8, 10))
    ours = copy.deepcopy(theirs)
    rates, rows = np.full(15, 3e-3), torch.arange(len(x))
    plain_loop(theirs, seen.masked_fill(gaps, 0.0), y, stream(rows, 2), rates, ADAM, 8)
    reads = member_job(ours, x.masked_fill(gaps, torch.nan), y, stream(rows, 2), mean=mean, inverse=inverse, clip=1.5)
    list(native.train(read_program(ours, (5,)), [reads], native.OptimizerArrays(rates, ADAM, 8), keep_loss))
    assert gap(theirs, ours) < 1e-5


def test_first_of_equal_maxima_takes_the_gradient():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 10))
    theirs, ours = copy.deepcopy(net), copy.deepcopy(net)
    x, y = torch.ones(20, 1, 4, 4), torch.arange(20) % 10
    rates, rows = np.full(5, 0.1), torch.arange(20)
    plain_loop(theirs, x, y, stream(rows, 0), rates, SGD, 4)
    list(
        native.train(
            read_program(ours, (1, 4, 4)),
            [member_job(ours, x, y, stream(rows, 0))],
            native.OptimizerArrays(rates, SGD, 4),
            keep_loss,
        )
    )
    assert gap(theirs, ours) < 1e-6


def test_large_scores_do_not_overflow():
    x, y = data((3,))
    theirs = perceptron(3, 10)
    nn.init.constant_(theirs[0].weight, 60.0)
    with torch.no_grad():
        theirs[0].weight[0] *= -1
    ours = copy.deepcopy(theirs)
    rates, rows = np.full(3, 0.1), torch.arange(len(x))
    loss = plain_loop(theirs, x, y, stream(rows, 0), rates, SGD, 16)
    (found,) = native.train(
        read_program(ours, (3,)),
        [member_job(ours, x, y, stream(rows, 0))],
        native.OptimizerArrays(rates, SGD, 16),
        keep_loss,
    )
    assert found == pytest.approx(loss, rel=1e-5)
    assert gap(theirs, ours) < 1e-4


def test_many_steps_are_taken_in_several_calls():
    """The optimiser's memory and the count of steps go over from call to call."""
    x, y = data((4,))
    theirs = fresh(lambda: perceptron(4, 10))
    ours = copy.deepcopy(theirs)
    rates, rows = np.full(3, 1e-2), torch.arange(len(x))
    batch = native._ROWS_PER_CALL // 2 + 1
    plain_loop(theirs, x, y, stream(rows, 0), rates, ADAM, batch)
    list(
        native.train(
            read_program(ours, (4,)),
            [member_job(ours, x, y, stream(rows, 0))],
            native.OptimizerArrays(rates, ADAM, batch),
            keep_loss,
        )
    )
    assert gap(theirs, ours) < 1e-5


def test_threads_change_nothing():
    x, y = data((12,))
    rates = np.full(50, 3e-3)
    before = torch.get_num_threads()
    ends = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            nets = [fresh(lambda: perceptron(12, 16, 10), seed) for seed in range(7)]
            jobs = [member_job(net, x, y, stream(torch.arange(90), seed)) for seed, net in enumerate(nets)]
            recipe = native.OptimizerArrays(rates, ADAM, 16)
            ordered = list(native.train(read_program(nets[0], (12,)), jobs, recipe, lambda index, _, loss: (index, loss)))
            assert [index for index, _ in ordered] == list(range(7))
            assert torch.get_num_threads() == threads
            losses = [loss for _, loss in ordered]
            ends.append((losses, [p.detach().clone() for net in nets for p in net.parameters()]))
    finally:
        torch.set_num_threads(before)
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(p, q) for p, q in zip(ends[0][1], ends[1][1], strict=True))
    assert len(set(ends[0][0])) == 7


def test_divergence_stays_visible():
    x, y = data((12,))
    net = perceptron(12, 16, 10)
    (loss,) = native.train(
        read_program(net, (12,)),
        [member_job(net, x, y, stream(torch.arange(90), 0))],
        native.OptimizerArrays(np.full(60, 1e30), SGD, 16),
        keep_loss,
    )
    assert not np.isfinite(loss)


def test_an_interrupt_is_heard():
    x, y = data((12,))
    nets = [perceptron(12, 64, 10) for _ in range(3)]
    long = native.OptimizerArrays(np.full(400_000, 1e-3), ADAM, 32)
    short = native.MemberJob(nets[0], numbers(x), y.numpy(), None, *(np.zeros(12, np.float32),) * 2, 1.0, lambda n: 1 / 0)
    jobs = [short, *(member_job(net, x, y, stream(torch.arange(90), 0)) for net in nets[1:])]
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        list(native.train(read_program(nets[0], (12,)), jobs, long, keep_loss))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), (4,)),
        (nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)), (4,)),
        (nn.Sequential(nn.Linear(4, 3)).double(), (4,)),
        (nn.Sequential(nn.Linear(4, 4), *[nn.Linear(4, 4)] * 2), (4,)),
        (nn.Sequential(nn.Linear(4, 3)), (2, 4)),
        (nn.Sequential(nn.ReLU()), (4,)),
        (nn.Sequential(nn.Linear(4, 3).requires_grad_(False)), (4,)),
        (nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Flatten(), nn.Linear(18, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, (3, 1)), nn.Flatten(), nn.Linear(96, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.Flatten(), nn.Linear(32, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Flatten(), nn.Linear(72, 3)), (2, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding_mode="reflect", padding=1), nn.Flatten(), nn.Linear(128, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 4, padding="same"), nn.Flatten(), nn.Linear(128, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 8, 8)),
        (nn.Sequential(nn.MaxPool2d(2, padding=1), nn.Flatten(), nn.Linear(25, 3)), (1, 8, 8)),
        (nn.Sequential(nn.MaxPool2d(3, ceil_mode=True), nn.Flatten(), nn.Linear(9, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Flatten(2), nn.Linear(64, 3)), (1, 8, 8)),
        (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.Linear(4, 3)), (4,)),
    ],
)  # fmt: skip
def test_other_modules_are_no_programs(net, shape):
    assert read_program(net, shape) is None


def test_hooks_and_subclasses_are_no_programs():
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    hooked = perceptron(4, 3)
    hooked[0].register_forward_hook(lambda module, args, out: out * 2)
    assert read_program(hooked, (4,)) is None
    assert read_program(nn.Sequential(Own(4, 3)), (4,)) is None


def test_parameters_go_in_and_come_out():
    one, other = fresh(lambda: images(3, 15, 13), 1), fresh(lambda: images(3, 15, 13), 2)
    found = read_program(one, (3, 15, 13))
    assert found.size == sum(p.numel() for p in one.parameters())
    found.unpack(found.pack(one), other)
    assert gap(one, other) == 0


def test_what_a_program_says():
    table = read_program(grey(), (15, 11)).operations
    kinds = [LayerKind(kind) for kind in table[:, OpField.KIND]]
    assert kinds == [
        LayerKind.CONVOLUTION, LayerKind.RELU, LayerKind.POOL, LayerKind.CONVOLUTION, LayerKind.POOL,
        LayerKind.CHANNELS_FIRST, LayerKind.LINEAR,
    ]  # fmt: skip
    assert table[:, OpField.OUTPUTS].tolist() == [16 * 165, 16 * 165, 16 * 35, 6 * 35, 72, 72, 10]
