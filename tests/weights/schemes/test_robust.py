"""Robust losses and the weights that they imply: golden vectors, autograd, and limits that are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import hardsight.weights as weights
from hardsight.errors import InputError
from hardsight.weights import SCHEMES, StateShape

LOSS = torch.tensor([0.05, 0.3, 1, math.log(10), 4], dtype=torch.float64)
LABELS = torch.arange(5)
P = torch.exp(-LOSS)
LOGITS = ((1 - P) / 9)[:, None].expand(5, 10).scatter(1, LABELS[:, None], P[:, None]).log()

UNEVEN = 2 * torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOLD = torch.randint(4, (30,), generator=torch.Generator().manual_seed(1))


def slope(value, logits):
    """Gradient of the losses' sum by the logits, (sample, class)."""
    return torch.autograd.grad(value.sum(), logits)[0]


def gradients(name, parameters, logits=UNEVEN, labels=TOLD):
    """Gradients of the loss of that name, and of cross-entropy."""
    logits = logits.clone().requires_grad_()
    value = SCHEMES[name]({"logits": logits, "labels": labels}, parameters)
    return slope(value, logits), slope(cross_entropy(logits, labels, reduction="none"), logits)


# Golden vectors of the reference code of active-passive losses: means over the five samples.
GOLDEN = [
    ("gce-loss", {}, 0.704825),
    ("mae-loss", {}, 0.564351),
    ("nce-loss", {}, 0.0635206),
    ("sce-loss", {}, 5.35092),
    ("apl-loss", {}, 5.26139),
    ("apl-loss", {"passive": "mae"}, 0.0635206 + 0.564351),
]


@pytest.mark.parametrize(("name", "parameters", "mean"), GOLDEN)
def test_losses_reproduce_the_reference(name, parameters, mean):
    found = SCHEMES[name]({"logits": LOGITS, "labels": LABELS}, parameters)
    assert float(found.mean()) == pytest.approx(mean, rel=2e-6)


IMPLIED = [
    ("gce", "gce-loss", {"q": 0.7}),
    ("gce", "gce-loss", {"q": 0.05}),
    ("mae", "mae-loss", {}),
    ("sce", "sce-loss", {"alpha": 0.1, "beta": 1.0}),
    ("sce", "sce-loss", {"alpha": 6.0, "beta": 0.1, "floor": 1e-2}),
]


@pytest.mark.parametrize(("name", "loss", "parameters"), IMPLIED)
def test_the_weight_times_the_gradient_of_cross_entropy_is_the_losss_gradient(name, loss, parameters):
    robust, plain = gradients(loss, parameters)
    weight = SCHEMES[name]({"logits": UNEVEN, "labels": TOLD}, parameters)
    torch.testing.assert_close(weight[:, None] * plain, robust)


def test_the_normalised_loss_has_no_weight_on_cross_entropy():
    robust, plain = gradients("nce-loss", {})
    along = (robust * plain).sum(1, keepdim=True) / (plain**2).sum(1, keepdim=True) * plain
    assert ((robust - along).norm(dim=1) / robust.norm(dim=1)).median() > 0.03


@pytest.mark.parametrize("shift", [0.0, 100.0, -100.0])
def test_normalised_loss_stays_in_0_to_1(shift):
    value = weights.nce_loss(30 * UNEVEN + shift, TOLD)
    assert ((value >= 0) & (value <= 1)).all()
    by_hand = torch.log_softmax(30 * UNEVEN, 1)
    torch.testing.assert_close(value, by_hand[range(30), TOLD] / by_hand.sum(1))


def test_derivative_manipulation_sets_the_gradients_size():
    _, plain = gradients("mae-loss", {})
    p = torch.softmax(UNEVEN, 1)[range(30), TOLD]
    for beta, lam in ((2.0, 0.5), (8.0, 1.0), (16.0, 3.0)):
        sizes = (weights.derivative_manipulation(p, beta=beta, lam=lam)[:, None] * plain).abs().sum(1)
        emphasis = torch.exp(beta * p**lam * (1 - p))
        torch.testing.assert_close(sizes, emphasis / emphasis.sum(), rtol=1e-3, atol=1e-9)
        grid = torch.linspace(0, 0.999, 4000, dtype=torch.float64)
        size = weights.derivative_manipulation(grid, beta=beta, lam=lam) * 2 * (1 - grid)
        assert float(grid[size.argmax()]) == pytest.approx(lam / (lam + 1), abs=1e-3)


def test_imae_is_largest_for_undecided_samples():
    grid = torch.linspace(0, 0.999, 4000, dtype=torch.float64)
    size = weights.imae(grid, scale=8.0) * 2 * (1 - grid)
    assert float(grid[size.argmax()]) == pytest.approx(0.5, abs=1e-3)
    # Sizes of two samples compare as exp of the difference of mean absolute error's, p (1 - p).
    assert float(size[2000] / size[0]) == pytest.approx(math.exp(8 * float(grid[2000] * (1 - grid[2000]))), rel=1e-5)


def test_a_certain_sample_gets_a_finite_weight():
    for name in ("imae", "derivative-manipulation"):
        parameters = {"scale": 8.0} if name == "imae" else {"beta": 2.0, "lam": 0.0}
        assert SCHEMES[name]({"p": torch.tensor([0.0, 1.0])}, parameters).isfinite().all()


def test_truncated_gce_looks_again_every_ten_epochs_and_keeps_what_it_found():
    scheme = SCHEMES["truncated-gce"]
    state = scheme.init_state(StateShape(4), {})
    rows = torch.tensor([2, 0, 3])
    first, then = torch.tensor([0.9, 0.4, 0.6]), torch.tensor([0.3, 0.8, 0.6])

    def weighed(p, epoch):
        return scheme({"p": p, "rows": rows, "epoch": epoch}, {}, state) > 0

    assert weighed(first, 39.9).tolist() == [True, True, True]
    assert weighed(first, 40).tolist() == [True, False, True]
    assert weighed(then, 45).tolist() == [True, False, True]
    assert weighed(then, 50.5).tolist() == [False, True, True]
    assert state["kept"].tolist() == [True, True, False, True]
    torch.testing.assert_close(scheme({"p": then, "rows": rows, "epoch": 51}, {}, state), then**0.7 * then.gt(0.3))


def tempered(logits, t2):
    """The tempered softmax by bisection."""
    low, high = np.max(logits), np.max(logits) + 1e10
    for _ in range(200):
        middle = (low + high) / 2
        p = (1 + (1 - t2) * (logits - middle)) ** (1 / (1 - t2))
        low, high = (middle, high) if p.sum() > 1 else (low, middle)
    return p


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (0.2, 4.0), (1.0, 1.5), (0.0, 1.0)])
def test_the_bi_tempered_loss_is_the_bregman_divergence_with_its_published_gradient(t1, t2):
    logits = (5 * UNEVEN).requires_grad_()
    value = weights.bi_tempered_loss(logits, TOLD, t1=t1, t2=t2)
    found = slope(value, logits)
    for row, y in enumerate(TOLD.tolist()):
        z = logits[row].detach().numpy()
        p = tempered(z, t2) if t2 > 1 else np.exp(z) / np.exp(z).sum()
        one = np.eye(4)[y]
        missed = -np.log(p[y]) if t1 == 1 else -(p[y] ** (1 - t1) - 1) / (1 - t1)
        assert float(value[row].detach()) == pytest.approx(missed - (1 - (p ** (2 - t1)).sum()) / (2 - t1), rel=1e-8)
        step = (p - one) * p ** (t2 - t1)
        escort = p**t2 / (p**t2).sum()
        np.testing.assert_allclose(found[row], step - escort * step.sum(), atol=1e-8)


def test_the_bi_tempered_loss_without_tempers_is_cross_entropy():
    plain = cross_entropy(UNEVEN, TOLD, reduction="none")
    torch.testing.assert_close(weights.bi_tempered_loss(UNEVEN, TOLD, t1=1.0, t2=1.0), plain)
    torch.testing.assert_close(weights.bi_tempered_loss(UNEVEN, TOLD, t1=1.0, t2=1 + 1e-9), plain, rtol=1e-6, atol=1e-6)


def test_the_tempered_softmax_adds_up_to_one_for_many_classes():
    flat = torch.zeros(3, 1000, dtype=torch.float64)
    flat[1, 3], flat[2] = 40, torch.linspace(-50, 50, 1000)
    value = weights.bi_tempered_loss(flat, torch.tensor([0, 3, 999]), t1=1.0, t2=4.0)
    assert float(value[0]) == pytest.approx(math.log(1000))
    for row, y in ((1, 3), (2, 999)):
        assert float(value[row]) == pytest.approx(-math.log(tempered(flat[row].numpy(), 4.0)[y]), rel=1e-7)


def test_elr_remembers_each_samples_predictions():
    scheme, rng = SCHEMES["elr"], torch.Generator().manual_seed(5)
    state = scheme.init_state(StateShape(6, 3), {})
    table = torch.zeros(6, 3, dtype=torch.float64)
    for _ in range(3):
        rows, labels = torch.randperm(6, generator=rng)[:4], torch.randint(3, (4,), generator=rng)
        logits = (8 * torch.randn(4, 3, generator=rng, dtype=torch.float64)).requires_grad_()
        found = scheme({"logits": logits, "labels": labels, "rows": rows}, {"beta": 0.9, "lam": 2.0}, state)
        p = logits.softmax(1).clamp(1e-4, 1 - 1e-4)
        table[rows] = 0.9 * table[rows] + 0.1 * (p / p.sum(1, keepdim=True)).detach()
        by_hand = cross_entropy(logits, labels, reduction="none") + 2 * torch.log(1 - (table[rows] * p).sum(1))
        torch.testing.assert_close(found, by_hand, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(slope(found, logits), slope(by_hand, logits), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state["target"].double(), table, rtol=1e-5, atol=1e-6)
    assert not state["target"].requires_grad


@pytest.mark.parametrize("name", ["elr", "truncated-gce"])
def test_a_saved_state_goes_on_as_the_first(name, tmp_path):
    scheme = SCHEMES[name]
    state, inputs = scheme.init_state(StateShape(40, 4), {}), {"logits": UNEVEN, "labels": TOLD, "epoch": 50}
    scheme(inputs | {"rows": torch.arange(30)}, {}, state)
    torch.save(state, tmp_path / "state")
    again = torch.load(tmp_path / "state")
    inputs |= {"rows": torch.arange(10, 40), "epoch": 51}
    assert torch.equal(scheme(inputs, {}, state), scheme(inputs, {}, again))
    assert all(torch.equal(state[key], again[key]) for key in state)


LOSSES = {
    "gce-loss": {},
    "mae-loss": {},
    "sce-loss": {},
    "nce-loss": {},
    "apl-loss": {},
    "bi-tempered-loss": {"t1": 0.8, "t2": 1.3},
    "superloss-loss": {},
}
RISING = {"gce": {}, "mae": {}, "sce": {}}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_agree_in_both_precisions_and_stay_finite(name):
    def compute(logits, labels):
        return SCHEMES[name]({"logits": logits, "labels": labels}, LOSSES[name])

    torch.testing.assert_close(compute(UNEVEN.float(), TOLD).double(), compute(UNEVEN, TOLD), rtol=1e-4, atol=1e-5)
    far = (1e4 * UNEVEN).requires_grad_()
    assert compute(far, TOLD).isfinite().all()
    assert slope(compute(far, TOLD), far).isfinite().all()


@pytest.mark.parametrize("name", RISING)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20, unique=True))
def test_weights_rise_with_the_probability_of_the_label(name, p):
    p = torch.tensor(p, dtype=torch.float64)
    found = SCHEMES[name]({"p": p}, {})
    assert (found[p.argsort()].diff() >= 0).all()
    assert (found >= 0).all()
    torch.testing.assert_close(SCHEMES[name]({"p": p.float()}, {}).double(), found, rtol=1e-5, atol=1e-6)


REFUSED = [
    ("gce", {"q": 0.0}, "q must be above 0"),
    ("gce-loss", {"q": 1.5}, "q must be above 0 and 1 or less"),
    ("sce", {"floor": 0.0}, "floor must be above 0 and below 1"),
    ("sce-loss", {"alpha": -1.0}, "alpha must be 0 or more"),
    ("imae", {}, "pass scale="),
    ("derivative-manipulation", {"beta": 1.0, "lam": -1.0}, "lam must be 0 or more"),
    ("truncated-gce", {"k": 2.0}, "k must be"),
    ("truncated-gce", {"every": 0}, "every must be 1 or more"),
    ("bi-tempered-loss", {"t1": 1.2, "t2": 1.5}, "t1 must be 0 or more and 1 or less"),
    ("bi-tempered-loss", {"t1": 0.5, "t2": 0.9}, "t2 must be 1 or more"),
    ("bi-tempered-loss", {"t1": 0.5}, "pass t2="),
    ("elr", {"beta": 1.1}, "beta must be"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), REFUSED)
def test_parameters_out_of_their_domain_are_refused(name, parameters, message):
    scheme = SCHEMES[name]
    with pytest.raises(InputError, match=message):
        scheme(
            {"logits": LOGITS, "labels": LABELS, "rows": LABELS, "epoch": 40},
            parameters,
            scheme.init_state(StateShape(9, 10), {}),
        )


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_no_logit_or_label_is_refused(name):
    broken = LOGITS.clone()
    broken[1, 2] = math.nan
    inputs = {"logits": broken, "labels": LABELS}
    with pytest.raises(InputError, match=r"logits\[1, 2\] is nan"):
        SCHEMES[name](inputs, LOSSES[name])
    with pytest.raises(InputError, match=r"labels\[3\] is -100"):
        SCHEMES[name]({"logits": LOGITS, "labels": LABELS.scatter(0, torch.tensor([3]), -100)}, LOSSES[name])
    one_logit = LOGITS[:, 0]
    both = torch.stack([torch.zeros_like(one_logit), one_logit], 1)
    for logits in (one_logit, one_logit[:, None]):
        torch.testing.assert_close(
            SCHEMES[name]({"logits": logits, "labels": LABELS % 2}, LOSSES[name]),
            SCHEMES[name]({"logits": both, "labels": LABELS % 2}, LOSSES[name]),
        )


def test_elr_must_know_the_classes():
    with pytest.raises(InputError, match="classes="):
        SCHEMES["elr"].init_state(StateShape(5), {})
