"""Worst-case weights: the reference codes' numbers, and the constrained maximum found by a general solver."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog, minimize
from support.tensors import assert_close

from hardsight.errors import InputError
from hardsight.weights import StateShape
from hardsight.weights.schemes import dro

DOUBLE = torch.float64
LOSS = torch.tensor([0.05, 0.3, 1, 2.302585, 4], dtype=DOUBLE)
SOME_LOSSES = st.lists(st.floats(0, 20, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=1, max_size=12)


# Tolerances are those of the reference's bisection, 1e-4.
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (dro.cvar(LOSS, alpha=0.5), [0, 0, 0.2, 0.4, 0.4]),
        (dro.cvar(LOSS, alpha=0.3), [0, 0, 0, 0.333333, 0.666667]),
        (dro.cvar(LOSS, alpha=0.5, reg=1.0), [0.0417226, 0.0535729, 0.107883, 0.396878, 0.4]),
        (dro.chi2_dro(LOSS, rho=1.0), [0, 0, 0, 0.276351, 0.723649]),
        (dro.chi2_penalised(LOSS, lam=1.0), [0, 0, 0.0465039, 0.307021, 0.646504]),
    ],
)
def test_worst_weights_are_the_reference_codes(found, expected):
    assert_close(found, expected, atol=1e-4)


def test_absgd_gives_the_reference_codes_numbers_and_sums():
    state = dro.init_absgd(StateShape(5))
    first = dro.absgd(state, LOSS)
    assert_close(first.sum(), 1 / 0.9)
    second = dro.absgd(state, LOSS)
    assert_close([first @ LOSS, second @ LOSS], [4.37147, 3.97407])
    assert_close(state["log_mean"].exp(), 612.072)
    whole = dro.absgd(dro.init_absgd(StateShape(5)), LOSS, gamma=1.0)
    assert_close(whole, dro.kl_dro(LOSS))


def test_absgd_does_not_overflow_and_can_prefer_easy_samples():
    for dtype in (torch.float32, DOUBLE):
        state = dro.init_absgd(StateShape(2))
        weights = dro.absgd(state, torch.tensor([1000.0, 1.0], dtype=dtype))
        assert_close(weights, [1 / 0.9, 0])
        assert dro.absgd(state, torch.tensor([1.0, 0.5], dtype=dtype)).isfinite().all()
    easy = dro.absgd(dro.init_absgd(StateShape(5)), LOSS, lam=-1.0)
    assert (np.diff(easy) < 0).all()


def on_the_simplex(objective, gradient, count, bound=None, ball=None):
    """The maximum over weights that add up to one, by sequential quadratic programming."""
    constraints = [{"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)}]
    if ball is not None:
        constraints.append(
            {"type": "ineq", "fun": lambda w: ball - 0.5 * np.mean((count * w - 1) ** 2), "jac": lambda w: -(count * w - 1)}
        )
    solved = minimize(
        lambda w: -objective(w),
        np.full(count, 1 / count),
        jac=lambda w: -gradient(w),
        bounds=[(1e-12, bound or 1)] * count,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    return objective(np.clip(solved.x, 0, None) / np.clip(solved.x, 0, None).sum())


def a_batch(seed, count=9):
    return torch.rand(count, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed)) ** 2 * 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rho", [0.05, 0.4, 1.0, 3.0])
def test_chi2_weights_are_the_worst_in_the_ball(seed, rho):
    loss = a_batch(seed)
    weights = dro.chi2_dro(loss, rho=rho).numpy()
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(0.5 * np.mean((9 * weights - 1) ** 2), rho, rtol=1e-8)
    worst = on_the_simplex(lambda w: w @ loss.numpy(), lambda w: loss.numpy(), 9, ball=rho)
    assert weights @ loss.numpy() >= worst - 1e-5


@given(SOME_LOSSES, st.floats(0.01, 5))
def test_chi2s_threshold_is_that_of_bisection(values, rho):
    loss, count = np.array(values), len(values)
    found = dro.chi2_dro(torch.tensor(loss), rho=rho).numpy()
    largest = loss == loss.max()

    def spread(eta):
        above = np.maximum(loss - eta, 0)
        return count * (above**2).sum() / above.sum() ** 2 - 1 - 2 * rho

    if count <= (1 + 2 * rho) * largest.sum():
        expected = largest / largest.sum()
    else:
        span = loss.max() - loss.min()
        eta = brentq(spread, loss.max() - 1e6 * span, loss.max() - 1e-9 * span, xtol=1e-14)
        expected = np.maximum(loss - eta, 0) / np.maximum(loss - eta, 0).sum()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lam", [0.02, 0.5, 5.0])
def test_chi2_penalised_weights_maximise_their_objective(seed, lam):
    loss = a_batch(seed).numpy()

    def value(w):
        return w @ loss - lam * 0.5 * np.mean((9 * w - 1) ** 2)

    weights = dro.chi2_penalised(torch.tensor(loss), lam=lam).numpy()
    np.testing.assert_allclose(weights.sum(), 1)
    assert value(weights) >= on_the_simplex(value, lambda w: loss - lam * (9 * w - 1), 9) - 1e-7


@given(SOME_LOSSES, st.floats(0.02, 1))
def test_cvar_weights_are_the_linear_programs(values, alpha):
    loss, count = np.array(values), len(values)
    weights = dro.cvar(torch.tensor(loss), alpha=alpha).numpy()
    bound = min(1, 1 / (alpha * count))
    worst = linprog(-loss, A_eq=np.ones((1, count)), b_eq=[1], bounds=[(0, bound)] * count)
    np.testing.assert_allclose(weights.sum(), 1)
    assert (weights <= 1 / (alpha * count) * (1 + 1e-9)).all()
    np.testing.assert_allclose(weights @ loss, -worst.fun, atol=1e-7)


def test_equal_losses_share_alike():
    assert_close(dro.cvar(torch.tensor([1.0, 2, 2, 2, 3]), alpha=0.5), [0, 0.2, 0.2, 0.2, 0.4])
    assert_close(dro.cvar(torch.tensor([2.0, 2, 2]), alpha=0.1), [1 / 3] * 3)
    assert_close(dro.chi2_dro(torch.tensor([1.0, 2, 2, 2], dtype=DOUBLE), rho=5.0), [0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("alpha", "reg"), [(0.3, 0.2), (0.3, 5.0), (0.5, 0.7), (1.0, 0.7), (0.05, 0.3)])
def test_penalised_cvar_weights_maximise_their_objective(seed, alpha, reg):
    loss = a_batch(seed).numpy()

    def value(w):
        return w @ loss - reg * (w * np.log(9 * np.maximum(w, 1e-300))).sum()

    weights = dro.cvar(torch.tensor(loss), alpha=alpha, reg=reg).numpy()
    np.testing.assert_allclose(weights.sum(), 1)
    assert (weights <= 1 / (alpha * 9) * (1 + 1e-9)).all()
    worst = on_the_simplex(
        value, lambda w: loss - reg * (np.log(9 * np.maximum(w, 1e-300)) + 1), 9, bound=min(1, 1 / (alpha * 9))
    )
    assert value(weights) >= worst - 1e-6


def test_kl_weights_maximise_their_objective_and_tilts_are_gradients():
    loss = a_batch(0)
    weights = dro.kl_dro(loss).numpy()

    def value(w):
        return w @ loss.numpy() - 0.5 * (w * np.log(9 * np.maximum(w, 1e-300))).sum()

    rng = np.random.default_rng(0)
    assert all(value(weights) >= value(w) for w in rng.dirichlet(np.ones(9), 200))
    at = loss.clone().requires_grad_()
    for t in (-2.0, 0.7):
        ((t * at).logsumexp(0) / t).backward()
        assert_close(dro.tilted(loss, t=t), at.grad, rtol=1e-9)
        at.grad = None
    assert_close(dro.tilted(loss, t=0), np.full(9, 1 / 9))


@pytest.mark.parametrize(("t", "tau"), [(1.5, -2.0), (-0.5, 3.0), (2.0, 2.0)])
def test_tilted_groups_are_the_gradient_of_the_hierarchical_objective(t, tau):
    loss = a_batch(1).requires_grad_()
    members = torch.tensor([0, 3, 3, 0, 5, 3, 0, 3, 5])
    risks = [torch.exp(tau * loss[members == g]).mean().log() / tau for g in (0, 3, 5)]
    sizes = [(members == g).sum() for g in (0, 3, 5)]
    (sum(n * torch.exp(t * r) for n, r in zip(sizes, risks, strict=True)) / 9).log().div(t).backward()
    assert_close(dro.tilted_groups(loss.detach(), members, t=t, tau=tau), loss.grad, rtol=1e-9)


def test_a_tilt_over_groups_alone_reads_their_mean_losses():
    members = torch.tensor([0, 0, 1])
    weights = dro.tilted_groups(torch.tensor([1.0, 3, 4]), members, t=1.0, tau=0.0)
    over = np.array([2 * math.exp(2), math.exp(4)]) / (2 * math.exp(2) + math.exp(4))
    assert_close(weights, [over[0] / 2, over[0] / 2, over[1]])
    at = torch.tensor([1.0, 3, 4], requires_grad=True)
    dro.tilted_groups(at, members, t=1.0, tau=0.5).max().backward()
    assert at.grad.isfinite().all()


@given(SOME_LOSSES, st.randoms(use_true_random=False))
def test_worst_weights_do_not_depend_on_the_order_or_the_precision(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    loss = torch.tensor(values, dtype=DOUBLE)
    for scheme, given_ in (
        (dro.cvar, {"alpha": 0.37}),
        (dro.cvar, {"alpha": 0.37, "reg": 0.5}),
        (dro.chi2_dro, {"rho": 0.6}),
        (dro.chi2_penalised, {"lam": 0.6}),
        (dro.kl_dro, {}),
    ):
        weights = scheme(loss, **given_)
        assert_close(scheme(loss[order], **given_), weights[order], atol=1e-9)
        single = loss.float()
        assert_close(scheme(single, **given_), scheme(single.double(), **given_), atol=1e-5)
        assert (weights.argsort()[-1] == loss.argsort()[-1]) or weights[loss.argmax()] == weights.max()


def test_chi2_weights_do_not_change_with_the_losses_scale_and_place():
    loss = a_batch(3)
    assert_close(dro.chi2_dro(1e6 * loss + 5, rho=0.4), dro.chi2_dro(loss, rho=0.4), atol=1e-9)
    assert_close(dro.chi2_dro(1e-9 * loss + 1, rho=0.4), dro.chi2_dro(loss, rho=0.4), atol=1e-5)


def test_what_is_out_of_the_domain_is_refused():
    for match, call in (
        ("alpha must be above 0 and 1 or less", lambda: dro.cvar(LOSS, alpha=0)),
        ("alpha must be above 0 and 1 or less", lambda: dro.cvar(LOSS, alpha=1.5)),
        ("reg must be 0 or more", lambda: dro.cvar(LOSS, alpha=0.5, reg=-1)),
        ("rho must be above 0", lambda: dro.chi2_dro(LOSS, rho=0)),
        ("lam must be above 0", lambda: dro.chi2_penalised(LOSS, lam=0)),
        ("lam must be a number other than 0", lambda: dro.kl_dro(LOSS, lam=0)),
        ("lam must be a number other than 0", lambda: dro.absgd(dro.init_absgd(StateShape(1)), LOSS, lam=math.nan)),
        ("gamma must be above 0 and 1 or less", lambda: dro.absgd(dro.init_absgd(StateShape(1)), LOSS, gamma=0)),
        ("t must be", lambda: dro.tilted(LOSS, t=math.nan)),
        ("loss must be finite", lambda: dro.chi2_dro(torch.tensor([1.0, math.inf]))),
        (r"loss\[0\] is -1", lambda: dro.cvar(torch.tensor([-1.0, 2]), alpha=0.5)),
    ):
        with pytest.raises(InputError, match=match):
            call()
