"""Learned schemes, against unrolled steps, finite differences and losses written out."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights import CMWNet, MetaWeightNet, StateShape, WeightTree
from hardsight.weights.schemes.learned import (
    descend_data_parameters,
    descend_lilaw,
    end_epoch,
    remember_weights,
    tree_features,
)
from hardsight.weights.schemes.meta import gradient_alignment

W = hs.weights


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3))


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3))


class Attention(nn.Module):
    """Reads a mapping, as Hugging Face's models do, and has a tied and a frozen parameter."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.first = nn.Linear(8, 8, bias=False)
        self.last = nn.Linear(8, 8, bias=False)
        self.last.weight = self.first.weight
        self.first.weight.requires_grad_(True)
        self.head = nn.Linear(8, 3)
        self.head.bias.requires_grad_(False)

    def forward(self, images, scale=1.0):
        hidden = self.last(self.first(self.layer(images[:, 0]))).mean(1)
        return type("Output", (), {"logits": self.head(hidden * scale)})()


class ByName(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images, scale):
        return self.inner(images)


def named(inputs):
    return {"images": inputs, "scale": 0.5}


@pytest.fixture(params=["convolutional", "perceptron", "attention"])
def task(request):
    torch.manual_seed(0)
    model = {"convolutional": convolutional, "perceptron": perceptron, "attention": Attention}[request.param]().double()
    as_given = named if request.param == "attention" else lambda inputs: inputs
    x, x_clean = torch.randn(7, 1, 8, 8).double(), torch.randn(5, 1, 8, 8).double()
    y, y_clean = torch.randint(0, 3, (7,)), torch.randint(0, 3, (5,))
    return model, as_given(x), y, as_given(x_clean), y_clean


def logits(model, inputs):
    return model(**inputs).logits if isinstance(inputs, dict) else model(inputs)


def clean_loss_after_step(model, x, y, x_clean, y_clean, weights, rate, by_sum=False):
    """By hand: a copy of the model takes the step, in place."""
    moved = copy.deepcopy(model)
    loss = cross_entropy(logits(moved, x), y, reduction="none")
    trained = [p for p in moved.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((weights * loss).sum() / (weights.sum() if by_sum else len(y)), trained)
    with torch.no_grad():
        for p, gradient in zip(trained, gradients, strict=True):
            p -= rate * gradient
        return cross_entropy(logits(moved, x_clean), y_clean).item()


def kept(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_untouched(model, before):
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


# --- from gradients of single samples


def test_alignment_is_the_inner_product_of_gradients(task):
    model, x, y, x_clean, y_clean = task
    before = kept(model)
    result = gradient_alignment(*task)
    assert_untouched(model, before)
    trained = [p for p in model.parameters() if p.requires_grad]
    towards = torch.autograd.grad(cross_entropy(logits(model, x_clean), y_clean), trained)
    loss = cross_entropy(logits(model, x), y, reduction="none")
    for i in range(len(y)):
        own = torch.autograd.grad(loss[i], trained, retain_graph=True)
        assert float(result[i]) == pytest.approx(
            sum(float((a * b).sum()) for a, b in zip(own, towards, strict=True)), rel=1e-9, abs=1e-14
        )


def test_l2rw_is_the_gradient_by_the_weights_of_an_unrolled_step(task):
    small, n = 1e-4, len(task[2])
    slopes = []
    for i in range(n):
        ends = [clean_loss_after_step(*task, small * sign * torch.eye(n)[i].double(), 1.0) for sign in (1, -1)]
        slopes.append((ends[0] - ends[1]) / (2 * small))
    positive = np.maximum(-np.array(slopes), 0)
    weights = W.l2rw(*task)
    np.testing.assert_allclose(weights, positive / positive.sum(), rtol=1e-3, atol=1e-5)
    assert 0 < (weights > 0).sum() < n
    assert weights.sum() == pytest.approx(1)
    assert not weights.requires_grad


def test_l2rw_gives_zeros_where_no_sample_helps():
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    x = torch.ones(2, 1)
    assert W.l2rw(model, x, torch.tensor([1, 1]), x, torch.tensor([0, 0])).tolist() == [0, 0]
    with pytest.raises(InputError, match="parameters with requires_grad=True"):
        W.l2rw(nn.Flatten(), x, torch.tensor([0, 0]), x, torch.tensor([0, 0]))


def test_l2rw_finds_flipped_labels():
    rng = np.random.default_rng(0)
    y = torch.tensor(rng.integers(0, 2, 300))
    x = torch.tensor(rng.normal(size=(300, 5)) + 2 * y.numpy()[:, None], dtype=torch.float32)
    given = y.clone()
    given[50:110] = 1 - y[50:110]
    torch.manual_seed(0)
    model = nn.Linear(5, 2)
    optimiser = torch.optim.SGD(model.parameters(), 0.3)
    for _ in range(20):
        loss = cross_entropy(model(x[50:]), given[50:], reduction="none")
        weights = W.l2rw(model, x[50:], given[50:], x[:50], y[:50])
        optimiser.zero_grad()
        (weights * loss).sum().backward()
        optimiser.step()
    assert weights[:60].mean() < 0.1 * weights[60:].mean()


def test_dds_follows_the_policy_gradient(task):
    shown = task[1]["images"] if isinstance(task[1], dict) else task[1]
    torch.manual_seed(1)
    scorer = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).double()
    weigher = ByName(scorer) if isinstance(task[1], dict) else scorer
    weights, objective = W.dds(weigher, *task)
    scores = scorer(shown)[:, 0]
    torch.testing.assert_close(weights, scores.softmax(0).detach())
    (gradient,) = torch.autograd.grad(objective.sum(), scorer[1].weight)
    # sum_i -r_i grad log w_i = -sum_i r_i (x_i - mean of x under w)
    flat, reward = shown.flatten(1), gradient_alignment(*task)
    by_hand = -(reward[:, None] * (flat - (weights[:, None] * flat).sum(0))).sum(0)
    np.testing.assert_allclose(gradient[0], by_hand, rtol=1e-8, atol=1e-12)
    assert not weights.requires_grad


# --- through a virtual step


@pytest.mark.slow
@pytest.mark.parametrize("by_sum", [False, True])
def test_the_meta_gradient_is_that_of_the_clean_loss_by_finite_differences(task, by_sum):
    model, x, y = task[:3]
    torch.manual_seed(2)
    sizes = torch.tensor([100, 90, 5])
    net = (CMWNet(sizes, hidden=4) if by_sum else MetaWeightNet(4)).double()
    step = W.cmw_net if by_sum else W.meta_weight_net
    before = kept(model)
    value = step(net, *task, 0.7)
    value.backward()
    assert_untouched(model, before)
    loss = cross_entropy(logits(copy.deepcopy(model), x), y, reduction="none").detach()
    divisor = net(loss, y).sum().detach() if by_sum else len(y)

    def by_hand():
        # The divisor is not differentiated: it stays what it is.
        weights = net(loss, y).detach() * len(y) / divisor
        return clean_loss_after_step(*task, weights, 0.7)

    assert value.item() == pytest.approx(by_hand(), rel=1e-9)
    small = 1e-5
    for p in net.parameters():
        slopes = torch.zeros_like(p).flatten()
        for k in range(p.numel()):
            ends = []
            for sign in (1, -1):
                p.data.view(-1)[k] += sign * small
                ends.append(by_hand())
                p.data.view(-1)[k] -= sign * small
            slopes[k] = (ends[0] - ends[1]) / (2 * small)
        np.testing.assert_allclose(p.grad.flatten(), slopes, rtol=1e-3, atol=1e-8)


@pytest.mark.slow
def test_meta_weight_net_learns_to_weigh_flipped_labels_less():
    rng = np.random.default_rng(0)
    y = torch.tensor(rng.integers(0, 2, 400))
    x = torch.tensor(rng.normal(size=(400, 5)) + 1.5 * y.numpy()[:, None], dtype=torch.float32)
    given = y.clone()
    given[50:190] = 1 - y[50:190]
    torch.manual_seed(0)
    model, net = nn.Linear(5, 2), MetaWeightNet()
    optimiser, of_net = torch.optim.SGD(model.parameters(), 0.3), torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        of_net.zero_grad()
        W.meta_weight_net(net, model, x[50:], given[50:], x[:50], y[:50], 0.3).backward()
        of_net.step()
        loss = cross_entropy(model(x[50:]), given[50:], reduction="none")
        weights = net(loss.detach()).detach()
        optimiser.zero_grad()
        (weights * loss).mean().backward()
        optimiser.step()
    assert weights[:140].mean() < 0.8 * weights[140:].mean()


def test_classes_of_like_sizes_share_a_head():
    net = CMWNet(torch.tensor([500, 480, 60, 50, 5, 6]))
    families = net.families.tolist()
    assert families[0] == families[1] != families[2] == families[3] != families[4] == families[5]
    assert len(set(families)) == 3
    assert CMWNet(np.array([7, 7, 7])).heads.out_features == 1
    loss = torch.rand(6, generator=torch.Generator().manual_seed(0))
    each = torch.stack([net(loss, torch.full((6,), c)) for c in range(6)])
    torch.testing.assert_close(net(loss, torch.arange(6)), each.diagonal())
    torch.testing.assert_close(each[0], each[1])
    assert (each[0] - each[2]).abs().max() > 1e-3
    assert "families" in net.state_dict()


# --- the tree


def traits_by_hand(z, y, sizes, class_loss, last, before):
    p = np.exp(z) / np.exp(z).sum()
    others = np.delete(p, y)
    entropy = (p * np.log(p)).sum()
    length = np.sqrt(((1 - p) ** 2).sum())
    return [
        -np.log(p[y]),
        class_loss[y],
        length,
        p[y] - others.max(),
        last,
        before,
        last - before,
        entropy,
        sizes[y] / sum(sizes),
    ]


def test_traits_are_those_written_out_and_remember_two_epochs():
    torch.manual_seed(0)
    z, labels, sizes = torch.randn(4, 3).double(), torch.tensor([0, 1, 1, 2]), torch.tensor([6, 3, 1])
    rows = torch.tensor([3, 0, 2, 1])
    state = hs.SCHEMES["weight-tree"].init_state(StateShape(4, 3), {})
    used, lost = torch.rand(2, 4), torch.rand(2, 4)
    for epoch in range(3):
        class_loss = [5, 5, 5] if epoch == 0 else [float(lost[epoch - 1][labels == c].mean()) for c in range(3)]
        last, before = (used[epoch - back] if epoch >= back else torch.ones(4) for back in (1, 2))
        by_hand = [
            traits_by_hand(z[i].numpy(), int(labels[i]), [6, 3, 1], class_loss, float(last[i]), float(before[i]))
            for i in range(4)
        ]
        np.testing.assert_allclose(tree_features(state, z, labels, sizes, rows), by_hand, rtol=1e-6)
        if epoch < 2:
            for part in ([0, 1], [2, 3]):
                remember_weights(state, used[epoch][part], lost[epoch][part], labels[part], rows[part])
            end_epoch(state)


def test_a_tree_is_the_mean_leaf_by_the_shares_of_its_bins():
    tree = WeightTree(cuts=2, temperature=0.5).double().eval()
    tree.active[3] = True
    x = torch.randn(3, 9, generator=torch.Generator().manual_seed(0)).double()
    result = tree(x)
    for i in range(3):
        shares = []
        for k in range(9):
            cuts = sorted(tree.cuts[k][tree.active[k]].tolist())
            value = float(x[i, k]) / np.sqrt(1 + 1e-5)
            scores = [((b + 1) * value - sum(cuts[:b])) / 0.5 for b in range(len(cuts) + 1)]
            shares.append(np.exp(scores) / np.exp(scores).sum())
        leaf = sum(
            np.prod([shares[k][b] for k, b in enumerate(at)]) * float(tree.leaves[at].detach())
            for at in itertools.product(*(range(len(s)) for s in shares))
        )
        assert result[i].item() == pytest.approx(1 / (1 + np.exp(-leaf)), rel=1e-6)


def test_hard_bins_are_those_that_the_cuts_part():
    tree = WeightTree(cuts=2)
    cuts = torch.tensor([0.7, 0.2])
    bins = tree._bins(torch.tensor([0.1, 0.5, 0.9]), cuts)
    np.testing.assert_allclose(bins.detach(), np.eye(3), atol=1e-6)


def test_a_still_trait_gets_a_cut_and_near_cuts_lose_one():
    tree = WeightTree(cuts=3)
    with torch.no_grad():
        tree.cuts.copy_(torch.tensor([0.1, 0.9, 0.95]).expand(9, 3))
    for epoch in range(5):
        with torch.no_grad():
            tree.cuts[0] += 0.05
        assert not tree.active[:, 1].any(), epoch
        tree.regrow()
    assert tree.active[0].tolist() == [True, False, False]
    assert tree.active[1].tolist() == [True, True, False]
    for _ in range(5):
        tree.regrow()
    # The third cut came, and went because it is near the second.
    assert tree.active[1].tolist() == [True, True, False]


def test_the_tree_learns_by_the_clean_loss_after_a_step(task):
    model, x, y = task[:3]
    sizes, rows = torch.tensor([5, 3, 9]), torch.arange(7)
    tree = WeightTree(cuts=1, temperature=0.5).double().eval()
    state = hs.SCHEMES["weight-tree"].init_state(StateShape(7, 3), {})
    result = W.weight_tree(state, tree, *task[:3], sizes, rows, *task[3:], 0.7)
    result.backward()
    seen = tree_features(state, logits(copy.deepcopy(model), x), y, sizes, rows)

    def by_hand():
        return clean_loss_after_step(*task, tree(seen).detach(), 0.7)

    assert result.item() == pytest.approx(by_hand(), rel=1e-9)
    at = tree.leaves.grad.abs().flatten().topk(2).indices
    for k in at.tolist():
        ends = []
        for sign in (1, -1):
            tree.leaves.data.view(-1)[k] += sign * 1e-4
            ends.append(by_hand())
            tree.leaves.data.view(-1)[k] -= sign * 1e-4
        assert tree.leaves.grad.flatten()[k].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-3)


# --- parameters of their own


def test_temperatures_of_two_give_the_golden_probabilities():
    loss = torch.tensor([0.05, 0.3, 1, 2.302585, 4])
    p = torch.exp(-loss)
    z = ((1 - p) / 9)[:, None].expand(-1, 10).clone()
    z[torch.arange(5), torch.arange(5)] = p
    state = hs.SCHEMES["data-parameters"].init_state(StateShape(5, 10), {})
    result = W.data_parameters(state, z.log(), torch.arange(5), torch.arange(5))
    golden = [0.595488, 0.36043, 0.202737, 0.1, 0.0435479]
    np.testing.assert_allclose(torch.exp(-result).detach(), golden, rtol=1e-5)


def test_temperatures_learn_by_momentum_where_they_were_looked_at():
    torch.manual_seed(0)
    state = hs.SCHEMES["data-parameters"].init_state(StateShape(4, 3), {})
    z, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    log = {"samples": np.zeros(4), "classes": np.zeros(3)}
    speed = {"samples": np.zeros(4), "classes": np.zeros(3)}
    for rows in ([0, 1], [2, 1], [3, 0], [2, 3]):
        W.data_parameters(state, z[rows], labels[rows], torch.tensor(rows)).mean().backward()
        slopes = {"samples": np.zeros(4), "classes": np.zeros(3)}
        for i in rows:
            y, own = int(labels[i]), np.exp(log["samples"][i]) + np.exp(log["classes"][int(labels[i])])
            scores = z[i].numpy() / own
            predicted = np.exp(scores) / np.exp(scores).sum()
            # d loss / d sigma = -(softmax - y) z / sigma²
            slope = -((predicted - np.eye(3)[y]) * z[i].numpy()).sum() / own**2 / len(rows)
            slopes["samples"][i] += slope * np.exp(log["samples"][i])
            slopes["classes"][y] += slope * np.exp(log["classes"][y])
        descend_data_parameters(state, rate=2.0)
        for name, gradient in slopes.items():
            moving = gradient != 0
            speed[name][moving] = 0.9 * speed[name][moving] + gradient[moving]
            log[name][moving] = np.clip(log[name] - 2.0 * speed[name], -np.log(20), np.log(20))[moving]
            np.testing.assert_allclose(state[name].detach(), log[name], rtol=1e-4, atol=1e-6)
            assert state[name].grad is None
    for _ in range(200):
        (-W.data_parameters(state, z, labels, torch.arange(4)).sum()).backward()
        descend_data_parameters(state, rate=5.0)
    assert state["samples"].detach().abs().max() == pytest.approx(np.log(20))


def test_temperatures_of_samples_or_classes_alone():
    z, labels, rows = torch.randn(3, 2), torch.tensor([0, 1, 0]), torch.arange(3)
    begin = hs.SCHEMES["data-parameters"].init_state
    for room in (StateShape(3), StateShape(0, 2)):
        result = W.data_parameters(begin(room, {}), z, labels, rows)
        torch.testing.assert_close(result.detach(), cross_entropy(z, labels, reduction="none"))
    with pytest.raises(InputError, match="temperatures of samples or of classes"):
        W.data_parameters(begin(StateShape(0), {}), z, labels, rows)


def test_lilaw_weighs_by_its_formula_and_descends():
    torch.manual_seed(0)
    state = hs.SCHEMES["lilaw"].init_state(StateShape(0), {})
    z, labels = torch.randn(6, 4).double(), torch.randint(0, 4, (6,))
    s = z.softmax(1).numpy()
    p, top = s[np.arange(6), labels], s.max(1)
    a, b, d = 10.0, 2.0, 6.0

    def weights(a, b, d):
        return 1 / (1 + np.exp(-(a * p - top))) + 1 / (1 + np.exp(b * p - top)) + np.exp(-((d * p - top) ** 2) / 2)

    np.testing.assert_allclose(W.lilaw(state, z, labels), weights(a, b, d), rtol=1e-9)
    small = 1e-5
    loss = [(weights(a + i, b + j, d + k) * -np.log(p)).mean() for i, j, k in small * np.vstack([np.eye(3), -np.eye(3)])]
    slopes = [(loss[k] - loss[k + 3]) / (2 * small) for k in range(3)]
    descend_lilaw(state, z, labels, rate=0.5, decay=0.01)
    moved = [v - 0.5 * (slope + 0.01 * v) for v, slope in zip((a, b, d), slopes, strict=True)]
    np.testing.assert_allclose([float(state[name]) for name in ("alpha", "beta", "delta")], moved, rtol=1e-5)
    assert not any(value.requires_grad for value in state.values())


def test_labels_that_are_no_classes_are_named():
    for name in ("lilaw", "data-parameters"):
        scheme = hs.SCHEMES[name]
        given = {"logits": torch.zeros(2, 3), "labels": torch.tensor([0, 3]), "rows": torch.arange(2)}
        with pytest.raises(InputError, match="class codes from 0 to 2"):
            scheme(given, {}, scheme.init_state(StateShape(2, 3), {}))


def test_lilaw_keeps_alpha_and_delta_in_their_bounds():
    state = hs.SCHEMES["lilaw"].init(StateShape(0), alpha=1.0, beta=6.0, delta=6.0)
    descend_lilaw(state, torch.eye(3), torch.tensor([1, 2, 0]), rate=1.0, decay=0.5)
    assert float(state["alpha"]) == 1
    assert float(state["delta"]) >= float(state["beta"])


def test_screener_net_is_taught_its_objective():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    x, loss = torch.randn(4, 2), torch.tensor([0.0, 0.5, 1.0, 3.0], requires_grad=True)
    weights, objective = W.screener_net(net, x, loss)
    w = net(x)[:, 0]
    by_hand = [(1 - a) ** 2 * b + a**2 * max(1 - b, 0) for a, b in zip(w.tolist(), loss.tolist(), strict=True)]
    np.testing.assert_allclose(objective.detach(), by_hand, rtol=1e-5)
    torch.testing.assert_close(weights, w.detach())
    objective.mean().backward()
    assert loss.grad is None
    assert net[0].weight.grad is not None
    # The best weight of a sample: l / (l + max(margin - l, 0)), 1 from the margin on.
    free = torch.full((4,), 0.5, requires_grad=True)
    best = torch.optim.SGD([free], 0.1)
    for _ in range(500):
        best.zero_grad()
        W.screener_net(type("Free", (nn.Module,), {"forward": lambda self, x: free})(), x, loss).objective.sum().backward()
        best.step()
    np.testing.assert_allclose(free.detach(), [0, 0.5, 1, 1], atol=1e-3)


def test_learned_schemes_are_not_for_weigh():
    names = {name for name, scheme in hs.SCHEMES.items() if scheme.kind == "learned"}
    assert names >= {"l2rw", "meta-weight-net", "cmw-net", "dds", "screener-net", "data-parameters", "lilaw", "weight-tree"}
    assert all(hs.SCHEMES[name].priority == "learned" for name in names)
