"""The family of four priorities: that they are what they are called, smooth, of one formula, and switch as scheduled."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.schemes.priority import difficulty

W = hs.weights
MODES = {
    "easy-first": W.easy_first,
    "hard-first": W.hard_first,
    "medium-first": W.medium_first,
    "two-ends-first": W.two_ends_first,
}
# Difficulties 0, .01, …, .99.
GRID = -torch.log1p(-torch.arange(0, 100, dtype=torch.float64) / 100)
temperatures = st.floats(0.02, 20)
some_losses = st.lists(st.floats(0, 20), min_size=2, max_size=30).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def turns(weights):
    """Whether weights rise (1) or fall (-1), by position, repetitions left out."""
    signs = weights.diff().sign()
    return [int(sign) for i, sign in enumerate(signs) if i == 0 or sign != signs[i - 1]]


@given(temperatures)
def test_every_mode_has_the_priority_that_it_declares(temperature):
    shapes = {"easy": [-1], "hard": [1], "medium": [1, -1], "two-ends": [-1, 1]}
    for name, mode in MODES.items():
        weights = mode(GRID, temperature=temperature)
        assert turns(weights) == shapes[hs.SCHEMES[name].priority], name
        assert ((weights > 0) & (weights <= 1)).all()
    assert W.medium_first(GRID, temperature=temperature).argmax() == 50
    assert W.two_ends_first(GRID, temperature=temperature).argmin() == 50


@given(temperatures)
def test_all_modes_span_the_same_range(temperature):
    ends = torch.tensor([0.0, np.log(2), 60], dtype=torch.float64)
    for mode in MODES.values():
        weights = mode(ends, temperature=temperature)
        assert weights.max() == pytest.approx(1)
        assert weights.min() == pytest.approx(np.exp(-1 / temperature), rel=1e-9)


@pytest.mark.parametrize("name", MODES)
def test_weights_maximise_preference_less_entropy(name):
    loss, temperature = GRID[::9], 0.3
    d = 1 - torch.exp(-loss)
    kappa = {"easy-first": 1 - d, "hard-first": d, "medium-first": 4 * d * (1 - d), "two-ends-first": (2 * d - 1) ** 2}[name]
    free = torch.zeros(len(loss), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [free], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def objective():
        optimiser.zero_grad()
        w = free.softmax(0) * len(free)
        value = -(w * kappa).mean() + temperature * (w * w.log()).mean()
        value.backward()
        return value

    optimiser.step(objective)
    best = (free.softmax(0) * len(free)).detach()
    weights = MODES[name](loss, temperature=temperature)
    np.testing.assert_allclose(weights / weights.mean(), best, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES.values())
def test_gradients_are_those_of_the_formula(mode):
    loss = torch.tensor([0.1, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mode, (loss,))


@pytest.mark.slow
@given(some_losses)
def test_ranks_are_mid_ranks(loss):
    expected = (rankdata(loss.numpy()) - 0.5) / len(loss)
    np.testing.assert_allclose(difficulty(loss, axis="rank"), expected, rtol=1e-12)
    np.testing.assert_allclose(difficulty(loss), 1 - np.exp(-loss.numpy()), atol=1e-15)
    np.testing.assert_allclose(W.hard_first(loss, axis="rank", temperature=0.5), np.exp((expected - 1) / 0.5), rtol=1e-12)


@given(some_losses, st.integers(0, 5))
def test_order_of_samples_does_not_matter(loss, seed):
    order = torch.randperm(len(loss), generator=torch.Generator().manual_seed(seed))
    for axis in ("probability", "rank"):
        for mode in MODES.values():
            torch.testing.assert_close(mode(loss, axis=axis)[order], mode(loss[order], axis=axis))


def test_switching_begins_and_ends_with_its_modes():
    modes = ("easy-first", "medium-first", "two-ends-first")
    for blend in ("linear", "cosine"):
        result = [W.switching(GRID, epoch, 10, modes=modes, blend=blend, temperature=0.5) for epoch in (0, 5, 10, 12)]
        expected = [MODES[mode](GRID, temperature=0.5) for mode in (*modes, modes[-1])]
        for mine, theirs in zip(result, expected, strict=True):
            torch.testing.assert_close(mine, theirs)


@given(st.floats(0, 10))
def test_switching_blends_preferences_between_two_modes(epoch):
    easy, hard = (torch.log(mode(GRID)) for mode in (W.easy_first, W.hard_first))
    for blend, share in (("linear", epoch / 10), ("cosine", np.sin(np.pi * epoch / 20) ** 2)):
        result = W.switching(GRID, epoch, 10, blend=blend)
        torch.testing.assert_close(result, torch.exp((1 - share) * easy + share * hard))
    assert turns(W.switching(GRID, 4, 10)) == [-1]
    assert turns(W.switching(GRID, 6, 10)) == [1]


def test_a_mode_can_fade_to_uniform():
    spread = [W.switching(GRID, epoch, 10, modes=("hard-first", "uniform")).std() for epoch in range(11)]
    assert all(a > b for a, b in itertools.pairwise(spread))
    assert spread[-1] == 0


def test_bad_parameters_are_named():
    loss = torch.tensor([0.5])
    with pytest.raises(InputError, match=r"temperature must be 0\.02 or more"):
        W.easy_first(loss, temperature=0)
    with pytest.raises(InputError, match="modes must be one of easy-first"):
        W.switching(loss, 0, 1, modes=("easy", "hard-first"))
    with pytest.raises(InputError, match="modes must be two or more"):
        W.switching(loss, 0, 1, modes=("easy-first",))
    with pytest.raises(InputError, match="epochs must be above 0"):
        W.switching(loss, 0, 0)
    with pytest.raises(InputError, match="loss must be"):
        W.hard_first(torch.tensor([np.nan]))
    # The smallest weight that there is stays above zero in float32.
    assert W.easy_first(torch.tensor([100.0]), temperature=0.02) > 0
