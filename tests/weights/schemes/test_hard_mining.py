"""Schemes on loss and probability: reference codes' numbers, gradients by autograd, brute force, and their properties."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.errors import rejects
from support.tensors import assert_close, seeded_generator

import hardsight as hs
from hardsight.weights import SCHEMES, StateShape
from hardsight.weights.schemes import class_balance, dro, focal, hard_mining

DOUBLE = torch.float64
LOSS = torch.tensor([0.05, 0.3, 1, 2.302585, 4], dtype=DOUBLE)
P = torch.exp(-LOSS)
LABELS = torch.arange(5)


def logits_of(p, classes=10):
    """The mass that the label leaves, spread evenly over the others."""
    rest = ((1 - p) / (classes - 1)).unsqueeze(1).expand(len(p), classes).clone()
    return rest.scatter(1, torch.arange(len(p)).unsqueeze(1), p.unsqueeze(1)).log()


# Numbers that the reference codes gave.


def test_focal_family_gives_the_reference_codes_numbers():
    assert_close(focal.focal(P), [0.00237857, 0.0671752, 0.399576, 0.81, 0.963704])
    assert_close((focal.focal(P) * LOSS).mean(), 1.22795)
    assert_close(focal.flsd_53(P), (1 - P) ** torch.tensor([3.0, 3, 3, 5, 5]))
    assert_close([focal.focal_gamma(p0) for p0 in (0.2, 0.25)], [4.85055, 3.07023])
    assert focal.focal_gamma(0.5) == 0
    assert_close(focal.flsd_closed_form(P, p0=0.25), (1 - P) ** 3.07023, rtol=1e-4)
    asl = focal.asl(torch.tensor([[2, -1, 0.5, -3]], dtype=DOUBLE), torch.tensor([[1, 0, 1, 0]]))
    assert_close(asl.sum(), 0.194681)


@pytest.mark.parametrize(
    ("epoch", "loss"), [(0, 2.36042), (50, 1.79134), (99, 1.23364), (100, 1.23364), (150, 1.80272), (199, 2.36042)]
)
def test_cyclical_focal_gives_the_reference_codes_numbers(epoch, loss):
    assert_close((focal.cyclical_focal(P, epoch, 200) * LOSS).mean(), loss)


def test_hard_mining_gives_the_reference_codes_numbers():
    state = {"percentile": torch.tensor(1.0, dtype=DOUBLE)}
    assert_close(hard_mining.hard_mining(state, LOSS, LABELS * 0, decay=1.0), [0, 0, 1, 1, 1])
    assert_close(hard_mining.hard_mining(state, LOSS, LABELS, decay=1.0, background=0), [0, 1, 1, 1, 1])


def test_selective_backprop_gives_the_formulas_numbers():
    assert_close(hard_mining.rank_probabilities(LOSS, LOSS, 1), [0.2, 0.4, 0.6, 0.8, 1.0])
    assert_close(hard_mining.rank_probabilities(LOSS, LOSS, 2), [0.04, 0.16, 0.36, 0.64, 1.0])


def test_active_bias_gives_the_reference_codes_numbers():
    history = torch.tensor([[0.1, 0.1, 0.12], [0.2, 0.6, 0.9], [0.9, 0.95, 0.99]])
    weights = after(history, hard_mining.active_bias, warm_up=0)
    assert_close(weights, [0.669216, 1.57401, 0.756777])


def after(history, scheme, **given):
    """The weights once these epochs are over."""
    state, rows = hard_mining.init_predictions(StateShape(len(history))), torch.arange(len(history))
    for p in history.unbind(1):
        scheme(state, p, rows, **given)
    return scheme(state, history[:, 0], rows, **given)


@pytest.mark.parametrize(
    ("tau", "weights"),
    [
        ("dynamic", [0.121265, 0.484939, 1.21215, 2.18164]),
        (1.0, [0.121212, 0.484848, 1.21212, 2.18182]),
        (1.5, [0.0341909, 0.273527, 1.08121, 2.61107]),
    ],
)
def test_cdb_gives_the_reference_codes_numbers(tau, weights):
    rates = torch.tensor([0.05, 0.2, 0.5, 0.9], dtype=DOUBLE)
    assert_close(class_balance.cdb(rates, torch.tensor([3, 2, 1, 0, 0]), tau=tau), [*weights[::-1], weights[0]])


def test_influence_balanced_gives_the_reference_codes_numbers():
    features = torch.tensor([[1.0, 0], [-2, 0], [1, -2], [4, 0], [0, 5]], dtype=DOUBLE)
    weights = focal.influence_balanced(logits_of(P), LABELS, features, torch.ones(10), 100)
    assert_close(weights, [10148.1, 963.644, 263.593, 138.87, 101.855])
    assert_close((weights * LOSS).mean(), 357.454)
    assert (focal.influence_balanced(logits_of(P), LABELS, features, torch.ones(10), 99) == 1).all()
    sizes = torch.tensor([1.0, 2, 4, 8, 8, 8, 8, 8, 8, 8])
    inverse = 1 / sizes
    assert_close(
        focal.influence_balanced(logits_of(P), LABELS, features, sizes, 100), weights * (inverse / inverse.sum() * 10)[:5]
    )


@pytest.mark.parametrize(
    ("scheme", "weights"),
    [
        (dro.llm_linupper, [0.108823, 0.123508, 0.176045, 0.295812, 0.295812]),
        (dro.llm_quadratic, [0.124857, 0.158271, 0.259257, 0.332758, 0.124857]),
        (dro.llm_extremes, [0.254929, 0.224619, 0.157586, 0.107936, 0.254929]),
    ],
)
def test_language_schemes_give_the_reference_codes_numbers(scheme, weights):
    assert_close(scheme(LOSS), weights)


def test_group_dro_gives_the_reference_codes_numbers():
    state = dro.init_group_dro(StateShape(9, groups=3))
    for _ in range(3):
        dro.group_dro(state, torch.tensor([0.2, 1.5, 0.7]), torch.arange(3))
    assert_close(state["log_q"].exp(), [0.327345, 0.340363, 0.332292])


# Second witnesses.


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
def test_focals_gradient_is_the_closed_forms_multiple_of_cross_entropys(gamma):
    logits = torch.randn(20, 4, dtype=DOUBLE, generator=seeded_generator()).mul(2).requires_grad_()
    labels = torch.arange(20) % 4
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    p = torch.exp(-loss)
    (plain,) = torch.autograd.grad(loss.sum(), logits, retain_graph=True)
    (found,) = torch.autograd.grad((focal.focal(p, gamma=gamma) * loss).sum(), logits)
    factor = (1 - p) ** gamma - gamma * p * (1 - p) ** (gamma - 1) * p.log()
    assert_close(found, (factor.unsqueeze(1) * plain).detach(), rtol=1e-9)


def test_poly_1_is_the_gradient_weight_of_its_loss():
    logits = torch.randn(20, 4, dtype=DOUBLE, generator=seeded_generator()).requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(20) % 4, reduction="none")
    p = torch.exp(-loss)
    (published,) = torch.autograd.grad((loss + 1.7 * (1 - p)).sum(), logits, retain_graph=True)
    (found,) = torch.autograd.grad((focal.poly_1(p, eps=1.7).detach() * loss).sum(), logits)
    assert_close(found, published, rtol=1e-9)


@pytest.mark.slow
@given(st.floats(0.01, 0.49))
def test_the_closed_forms_gamma_makes_the_gradient_as_long_as_cross_entropys(p0):
    p, g = p0, focal.focal_gamma(p0)
    assert g > 0
    np.testing.assert_allclose((1 - p) ** g - g * p * (1 - p) ** (g - 1) * math.log(p), 1, rtol=1e-7)


def test_the_sigmoid_focal_is_the_softmax_one_of_two_classes():
    logits = torch.randn(30, 1, dtype=DOUBLE, generator=seeded_generator())
    labels = (torch.arange(30) % 2).unsqueeze(1)
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    loss = torch.nn.functional.cross_entropy(both, labels.flatten(), reduction="none")
    alpha = torch.where(labels.flatten() == 1, 0.25, 0.75)
    assert_close(focal.focal_sigmoid(logits, labels), alpha * focal.focal(torch.exp(-loss)) * loss, rtol=1e-9)
    assert_close(focal.focal_sigmoid(logits, labels, alpha=None), focal.focal(torch.exp(-loss)) * loss, rtol=1e-9)


def test_asl_without_shift_and_powers_is_binary_cross_entropy_and_its_weights_can_be_held():
    logits = torch.randn(6, 3, dtype=DOUBLE, generator=seeded_generator()).requires_grad_()
    labels = torch.randint(0, 2, (6, 3), generator=seeded_generator(1))
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.double(), reduction="none").sum(1)
    assert_close(focal.asl(logits, labels, gamma_negative=0, gamma_positive=0, clip=0), plain.detach(), rtol=1e-12)
    (through,) = torch.autograd.grad(focal.asl(logits, labels).sum(), logits)
    (fixed,) = torch.autograd.grad(focal.asl(logits, labels, through_weight=False).sum(), logits)
    p = logits.detach().sigmoid()
    shifted = (p - 0.05).clamp(min=0)
    by_hand = torch.where(labels == 1, -((1 - p) ** 2), shifted**4 * p * (1 - p) / (1 - shifted))
    assert_close(fixed, by_hand, rtol=1e-9)
    assert (through - fixed).abs().max() > 1e-3


def test_cyclical_focal_with_factor_one_turns_from_sure_to_hard_samples_once():
    assert_close(focal.cyclical_focal(P, 0, 11, factor=1), (1 + P) ** 3)
    assert_close(focal.cyclical_focal(P, 10, 11, factor=1), (1 - P) ** 2)
    assert_close(focal.cyclical_focal(P, 5, 11, factor=1), ((1 + P) ** 3 + (1 - P) ** 2) / 2)
    assert (focal.cyclical_focal(P, 10.9, 11) >= 0).all()


def ghm_by_brute_force(lengths, bins, momentum, counts):
    weights, filled = np.zeros(len(lengths)), 0
    for b in range(bins):
        inside = (lengths >= b / bins) & ((lengths < (b + 1) / bins) | (b == bins - 1))
        if inside.any():
            counts[b] = momentum * counts[b] + (1 - momentum) * inside.sum()
            weights[inside] = len(lengths) / counts[b]
            filled += 1
    return weights / filled


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_ghm_counts_as_brute_force_does_batch_after_batch(momentum):
    state, counts = focal.init_ghm(StateShape(0), bins=30), np.zeros(30)
    for seed in range(3):
        p = torch.rand(40, dtype=DOUBLE, generator=seeded_generator(seed)) ** 2
        found = focal.ghm_c(state, p, momentum=momentum)
        assert_close(found, ghm_by_brute_force(1 - p.numpy(), 30, momentum, counts), rtol=1e-12)
        if momentum == 0:
            assert_close(found.mean(), 1)
    assert_close(state["counts"], counts)


def test_ghm_takes_samples_at_both_ends():
    state = focal.init_ghm(StateShape(0), bins=4)
    assert_close(focal.ghm_c(state, torch.tensor([0.0, 1.0, 0.25]), bins=4, momentum=0), [0.75, 1.5, 0.75])


def test_ghm_r_is_the_smooth_error_weighed_by_rarity():
    residual = torch.randn(8, 3, dtype=DOUBLE, generator=seeded_generator()).mul(0.05)
    root = np.sqrt(residual.numpy() ** 2 + 0.02**2)
    weights = ghm_by_brute_force(np.abs(residual.numpy() / root).ravel(), 10, 0.7, np.zeros(10))
    expected = ((root - 0.02) * weights.reshape(8, 3)).mean(1)
    assert_close(focal.ghm_r(focal.init_ghm(StateShape(0), bins=10), residual), expected, rtol=1e-10)
    flat = focal.ghm_r(focal.init_ghm(StateShape(0), bins=10), residual.flatten())
    assert_close(flat.mean(), expected.mean(), rtol=1e-10)


def test_low_is_the_minimum_of_its_objective():
    from scipy.optimize import minimize

    logits = torch.randn(7, 3, dtype=DOUBLE, generator=seeded_generator()).mul(3)
    labels = torch.arange(7) % 3
    errors = logits.softmax(1) - torch.nn.functional.one_hot(labels, 3)
    for batch_mean, lam in ((True, 0.1), (False, 0.1), (False, 1e-3)):
        squares = ((errors / (7 if batch_mean else 1)) ** 2).sum(1).numpy()
        solved = minimize(
            lambda w, squares=squares, lam=lam: lam * w @ w - w @ (squares + lam),
            np.ones(7),
            jac=lambda w, squares=squares, lam=lam: 2 * lam * w - squares - lam,
            bounds=[(0, None)] * 7,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 7, "jac": lambda w: np.ones(7)},
            options={"ftol": 1e-15, "maxiter": 500},
        )
        found = focal.low(logits, labels, lam=lam, batch_mean=batch_mean)
        assert_close(found.mean(), 1)
        assert_close(found, solved.x, atol=2e-4, rtol=0)
    assert (focal.low(logits, labels, lam=1e-3, batch_mean=False) == 0).any()
    assert (focal.low(logits, labels) - 1).abs().max() < 0.2


def test_ohem_jtt_and_rho_keep_what_brute_force_keeps():
    loss = torch.tensor([1.0, 3, 3, 2, 3])
    assert_close(hard_mining.ohem(loss, k=2), [0, 1, 1, 0, 0])
    assert_close(hard_mining.ohem(loss, k=9), [1] * 5)
    assert_close(hard_mining.jtt(torch.tensor([0.0, 1, 0]), lam=20), [1, 20, 1])
    held_out = torch.tensor([0.0, 2.9, 0.5, 0, 3])
    assert_close(hard_mining.rho_loss(loss, held_out, keep=0.4), [0, 0, 1, 1, 0])
    assert_close(hard_mining.rho_loss(loss, held_out), [0, 0, 1, 0, 0])


def test_threshold_closeness_is_the_means_variance_of_a_coin():
    history = torch.tensor([[0.5, 0.5], [0.9, 0.7], [0.0, 0.0]])
    raised = np.array([0.25, 0.16, 0]) + 0.41 / 3
    assert_close(after(history, hard_mining.threshold_closeness, warm_up=2), raised / raised.mean())
    unraised = after(history, hard_mining.threshold_closeness, warm_up=2, eps=0.0)
    assert_close(unraised, np.array([0.25, 0.16, 0]) / (0.41 / 3), atol=1e-7)


# States.


def test_selective_backprop_remembers_the_last_losses_and_draws_by_rank():
    state = hard_mining.init_history(StateShape(0), memory=4)
    draw = seeded_generator()
    hard_mining.selective_backprop(state, torch.tensor([1.0, 2, 3]), draw, beta=1.0, memory=4)
    assert int(state["seen"]) == 3
    hard_mining.selective_backprop(state, torch.tensor([4.0, 5]), draw, beta=1.0, memory=4)
    assert_close(state["losses"], [2, 3, 4, 5])
    drawn = torch.stack([hard_mining.selective_backprop(state, LOSS, draw, beta=1.0, memory=5 - 1) for _ in range(4000)])
    # The memory of four holds all but the first of the batch's five losses.
    assert_close(drawn.mean(0), [0, 0.25, 0.5, 0.75, 1], atol=0.03)
    assert hard_mining.selective_backprop(state, LOSS * 0 + 1, draw, beta=1.0, memory=4).all()
    assert hard_mining.selective_backprop(state, LOSS, draw, beta=50.0, memory=4, least=1.0).all()


def test_composers_selection_runs_in_the_middle_of_training_on_every_other_batch():
    state, draw = hard_mining.init_steps(StateShape(0)), seeded_generator()

    def kept(epoch, **given):
        return int(hard_mining.selective_backprop_composer(state, LOSS.repeat(2), epoch, 10, draw, **given).sum())

    assert [kept(0), kept(0), kept(5), kept(5), kept(5), kept(8.9), kept(8.9), kept(9)] == [10, 10, 5, 10, 5, 10, 5, 10]
    assert kept(5, keep=0.3, interrupt=0) == 3
    one = hard_mining.selective_backprop_composer(state, LOSS[:1], 5, 10, draw, interrupt=0)
    assert one.tolist() == [1]


def test_composers_selection_draws_hard_samples_as_exhaustive_enumeration_says():
    state, draw, loss = hard_mining.init_steps(StateShape(0)), seeded_generator(), torch.tensor([3.0, 1, 2])
    chances = np.array([5 / 6, 1 / 6, 3 / 6]) ** (1 / 0.7 - 1)
    chances /= chances.sum()
    expected = np.zeros(3)
    for first, second in itertools.permutations(range(3), 2):
        expected[[first, second]] += chances[first] * chances[second] / (1 - chances[first])
    drawn = [
        hard_mining.selective_backprop_composer(state, loss, 5, 10, draw, keep=0.7, interrupt=0).numpy() for _ in range(4000)
    ]
    np.testing.assert_allclose(np.mean(drawn, 0), expected, atol=0.03)


def test_hard_minings_percentile_runs_from_zero():
    state = hard_mining.init_percentile(StateShape(0))
    hard_mining.hard_mining(state, LOSS, LABELS)
    seventieth = np.percentile(LOSS, 70, method="nearest")
    assert_close(state["percentile"], seventieth / 2)
    weights = hard_mining.hard_mining(state, LOSS, LABELS)
    assert_close(state["percentile"], 0.75 * seventieth)
    assert_close(weights, LOSS.numpy() >= 0.75 * seventieth)


def test_lff_follows_both_losses_sample_by_sample_and_scales_by_class():
    state = class_balance.init_lff(StateShape(4))
    labels, rows = torch.tensor([0, 0, 1]), torch.tensor([3, 1, 0])
    loss, peer = torch.tensor([2.0, 1, 4]), torch.tensor([1.0, 4, 2])
    first = class_balance.lff(state, loss, peer, labels, rows)
    by_hand = np.array([0.25 / 1.25, 1 / 1.5, 1 / 2])
    assert_close(first, by_hand)
    second = class_balance.lff(state, torch.tensor([0.0]), torch.tensor([6.0]), labels[:1], rows[:1])
    debiased, biased = 0.7 * 2, 0.7 * 1 + 0.3 * 6
    assert_close(state["debiased"], [4, 1, 0, debiased])
    assert_close(second, (biased / 4) / (biased / 4 + debiased / debiased))
    nothing = class_balance.lff(
        class_balance.init_lff(StateShape(2)), loss[:2] * 0, peer[:2] * 0, labels[:2], torch.tensor([0, 1])
    )
    assert_close(nothing, [0, 0])


def test_group_dro_adds_up_to_the_groups_probabilities_and_raises_small_groups():
    state = dro.init_group_dro(StateShape(9, groups=3))
    loss, members = torch.tensor([1.0, 3, 5, 2]), torch.tensor([0, 0, 2, 2])
    weights = dro.group_dro(state, loss, members, eta=1.0)
    q = np.exp([2, 0, 3.5]) / np.exp([2, 0, 3.5]).sum()
    assert_close(weights, [q[0] / 2, q[0] / 2, q[2] / 2, q[2] / 2])
    assert_close(weights @ loss, q[0] * 2 + q[2] * 3.5)
    raised = dro.init_group_dro(StateShape(9, groups=3))
    dro.group_dro(raised, loss, members, eta=1.0, adjustment=2.0, group_sizes=[4, 1, 100])
    q = np.exp([2 + 1, 0 + 2, 3.5 + 0.2])
    assert_close(raised["log_q"].exp(), q / q.sum())


def test_doremi_follows_excess_losses_and_averages():
    state = dro.init_doremi(StateShape(0, groups=3))
    members, first = torch.tensor([0, 0, 1]), torch.tensor([1.0, 1, 1])
    weights = dro.doremi(state, torch.tensor([2.0, 0.5, 1.2]), first, members, eps=0.1)
    grown = np.exp([0.5, 0.2, 0])
    mixed = 0.9 * grown / grown.sum() + 0.1 / 3
    assert_close(weights, mixed[[0, 0, 1]])
    dro.doremi(state, torch.tensor([1.0]), first[:1], torch.tensor([2]), eps=0.1)
    # Domains that are not in the batch keep their excess.
    again = mixed * np.exp([0.5, 0.2, 0])
    again = 0.9 * again / again.sum() + 0.1 / 3
    assert_close(dro.doremi_mixture(state), (mixed + again) / 2)


# Properties, and the ends of domains.

PURE = ("focal", "flsd-53", "tilted", "kl-dro", "llm-linupper", "llm-quadratic", "llm-extremes", "chi2-dro", "cvar")
SETTINGS = {"tilted": {"t": 1.3}, "cvar": {"alpha": 0.3}}


@pytest.mark.parametrize("name", [*PURE, "chi2-penalised", "per"])
def test_schemes_of_one_loss_follow_its_order_in_both_precisions(name):
    loss = torch.rand(31, dtype=DOUBLE, generator=seeded_generator()) * 5
    order = torch.randperm(31, generator=seeded_generator(1))
    scheme, given_ = SCHEMES[name], SETTINGS.get(name, {})
    weights = scheme({"loss": loss}, given_)
    assert_close(scheme({"loss": loss[order]}, given_), weights[order], rtol=1e-9)
    single = scheme({"loss": loss.float()}, given_)
    assert single.dtype == torch.float32
    assert_close(single, weights, rtol=2e-4, atol=1e-6)
    if scheme.normalization.startswith("sum 1"):
        assert_close(weights.sum(), 1)
    # FLSD-53 steps down where its gamma rises.
    if scheme.priority == "hard" and name != "flsd-53":
        assert (np.diff(weights[loss.argsort()]) >= -1e-12).all()


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("loss", [[0.0], [700.0], [0.7] * 4, [0.0, 0, 0], [1e-30, 0], [0, 300.0, 300, 1e4]])
def test_no_loss_makes_a_weight_that_is_not_a_number(name, loss):
    for dtype in (torch.float32, DOUBLE):
        at = torch.tensor(loss, dtype=dtype).requires_grad_()
        weights = SCHEMES[name]({"loss": at}, SETTINGS.get(name, {}))
        assert weights.isfinite().all()
        assert (weights >= 0).all()
        if len(set(loss)) == 1:
            assert_close(weights, [weights[0].item()] * len(loss))
        (weights * at).sum().backward()
        assert at.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_focal_has_a_gradient_where_the_label_is_certain(gamma):
    loss = torch.zeros(1, requires_grad=True)
    (focal.focal(torch.exp(-loss), gamma=gamma) * loss).sum().backward()
    assert loss.grad.isfinite().all()


def test_multi_label_losses_stay_finite_far_out():
    logits = torch.tensor([[100.0, -100, 100, -100]], requires_grad=True)
    labels = torch.tensor([[1, 0, 0, 1]])
    for loss in (focal.asl(logits, labels), focal.asl(logits, labels, clip=0), focal.focal_sigmoid(logits, labels)):
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


def test_what_is_out_of_the_domain_is_refused():
    rejects("between 0 and 1", focal.focal, torch.tensor([1.1]))
    rejects("gamma must be 0 or more", focal.focal, P, gamma=-1)
    rejects("eps must be -1 or more", focal.poly_1, P, eps=-2)
    rejects("p0 must be above 0 and 0.5 or less", focal.focal_gamma, 0.6)
    rejects("epoch must be 0 or more and below 10", focal.cyclical_focal, P, 10, 10)
    rejects("epochs must be above 1", focal.cyclical_focal, P, 0, 1)
    rejects("0/1 matrix", focal.asl, torch.zeros(2, 3), torch.full((2, 3), 2))
    rejects("Got shape", focal.asl, torch.zeros(2, 3), torch.zeros(2, 2))
    rejects("finite", focal.focal_sigmoid, torch.tensor([[math.nan]]), torch.zeros(1, 1))
    rejects("k must be 1 or more", hard_mining.ohem, LOSS, k=0)
    rejects("loss must be finite", hard_mining.ohem, torch.tensor([math.nan]), k=1)
    rejects("0/1 errors", hard_mining.jtt, torch.tensor([0.5]), lam=2)
    rejects("above 0 for at least one class", class_balance.cdb, torch.zeros(3), torch.tensor([0]))
    rejects(r"labels must be codes from 0 to 2. labels\[1\] is 3", class_balance.cdb, P[:3], torch.tensor([0, 3]))
    rejects("labels must be codes", focal.low, torch.zeros(1, 2), torch.tensor([-1]))
    rejects("has no sample", focal.influence_balanced, logits_of(P), LABELS, P.unsqueeze(1), torch.zeros(10), 100)
    rejects("groups must be the number of groups", dro.init_group_dro, StateShape(3))
    rejects("pass group_sizes", dro.group_dro, dro.init_group_dro(StateShape(3, groups=1)), LOSS, LABELS * 0, adjustment=1)
    rejects("groups must be codes", dro.group_dro, dro.init_group_dro(StateShape(3, groups=1)), LOSS, LABELS)
    rejects(
        "rows must be codes",
        class_balance.lff,
        class_balance.init_lff(StateShape(1)),
        LOSS[:1],
        LOSS[:1],
        LABELS[:1],
        LABELS[1:2],
    )
    rejects("r must be above 0", dro.llm_linupper, LOSS, r=0)
    rejects("keep must be above 0", hard_mining.rho_loss, LOSS, LOSS, keep=0)
    rejects("residual must be finite", focal.ghm_r, focal.init_ghm(StateShape(0), bins=3), torch.tensor([math.inf]))


def test_past_predictions_are_followed_as_numpy_has_their_moments():
    history = torch.rand(6, 40, generator=seeded_generator())
    state, order = hard_mining.init_predictions(StateShape(6)), torch.tensor([3, 5, 0, 1, 4, 2])
    for p in history.unbind(1):
        hard_mining.active_bias(state, p[order], order)
    assert_close(state["mean"], history.double().mean(1), rtol=1e-5)
    assert_close(state["squares"] / state["count"], np.var(history.double().numpy(), axis=1), rtol=1e-4)


def test_samples_with_little_past_weigh_one():
    history = torch.rand(4, 3, generator=seeded_generator())
    assert (after(history, hard_mining.active_bias) == 1).all()
    assert (after(history[:, :1], hard_mining.active_bias, warm_up=0) == 1).all()
    assert not (after(history, hard_mining.active_bias, warm_up=3) == 1).all()
    assert_close(after(torch.full((2, 4), 0.3), hard_mining.active_bias, warm_up=0, eps=0.0), [1, 1])
    assert_close(after(torch.ones(2, 4), hard_mining.threshold_closeness, warm_up=0), [1, 1])
    state = hard_mining.init_predictions(StateShape(3))
    for p in (0.2, 0.6):
        hard_mining.active_bias(state, torch.tensor([p, 0.5]), torch.tensor([0, 1]))
    mixed = hard_mining.active_bias(state, torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0, 1, 2]), warm_up=2)
    deviation = math.sqrt(0.04 + 0.04**2) + 0.2
    assert_close(mixed, [2 * deviation / (deviation + 0.2), 0.4 / (deviation + 0.2), 1])
    assert (hard_mining.threshold_closeness(hard_mining.init_predictions(StateShape(2)), P[:2], LABELS[:2]) == 1).all()


def test_held_out_losses_are_weighed_by_name():
    from sklearn.datasets import load_wine

    found = hs.measure(*load_wine(return_X_y=True), learner="ridge", folds=3, repeats=2)
    p = np.exp(-found.error)
    np.testing.assert_allclose(hs.weigh(found, "focal"), (1 - p) ** 2 / ((1 - p) ** 2).mean())
    assert hs.weigh(found, "instance-hardness-threshold").max() > 1
    assert hs.weigh(found, "importance-sampling").min() > 0
