"""Self-paced learning, MentorNet, SuperLoss, small-loss selection: golden vectors, and minimisers found by search."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import lambertw

import hardsight.weights as weights
from hardsight.errors import InputError
from hardsight.weights import SCHEMES, Mentor, StateShape, train_mentor
from hardsight.weights.schemes.curriculum import lambert_w

LOSS = torch.tensor([0.05, 0.3, 1, math.log(10), 4], dtype=torch.float64)
LABELS = torch.arange(5)
P = torch.exp(-LOSS)
LOGITS = ((1 - P) / 9)[:, None].expand(5, 10).scatter(1, LABELS[:, None], P[:, None]).log()
SPREAD = torch.cat([torch.linspace(0, 5, 41), torch.tensor([1e-9, 30.0, 1000.0])]).double()


def double(values):
    return torch.tensor(values, dtype=torch.float64)


# Each regulariser f(v), as its paper states it: the weight minimises v l + f(v) over v in [0, 1].
REGULARISED = {
    "spl-linear": ({"lam": 1.3}, lambda v, lam: lam * (v**2 / 2 - v)),
    "spl-logarithmic": ({"lam": 0.8}, lambda v, lam: (1 - lam) * v - (1 - lam) ** v / math.log(1 - lam)),
    "spl-mixture": (
        {"lam1": 2.0, "lam2": 0.5},
        lambda v, lam1, lam2: -(z := lam1 * lam2 / (lam1 - lam2)) * np.log(v + z / lam1),
    ),
    "spl-mixture-2": ({"lam": 1.5, "gamma": 0.7}, lambda v, lam, gamma: gamma**2 / (v + gamma / lam)),
    "spl-polynomial": ({"lam": 1.3, "t": 4}, lambda v, lam, t: lam * (v**t / t - v)),
    "spl-logistic": ({"lam": 1.3}, lambda v, lam: (a := 1 + math.exp(-lam) - v) * np.log(a) + v * np.log(v) - lam * v),
}


@pytest.mark.parametrize("name", REGULARISED)
def test_the_weight_minimises_the_regularised_loss(name):
    parameters, regulariser = REGULARISED[name]
    found = SCHEMES[name]({"loss": SPREAD}, parameters)
    for loss, weight in zip(SPREAD.tolist(), found.tolist(), strict=True):
        best = minimize_scalar(
            lambda v, loss=loss: v * loss + regulariser(v, **parameters),
            bounds=(1e-12, 1),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert weight == pytest.approx(best.x, abs=2e-4), loss


def test_hard_thresholds_keep_what_is_below_them():
    assert weights.spl_hard(LOSS, lam=1.0).tolist() == [1, 1, 0, 0, 0]
    assert weights.spl_share(LOSS, rate=0.5).tolist() == [1, 1, 1, 0, 0]
    assert weights.spl_share(torch.zeros(100), rate=0.07).sum() == 7
    assert weights.spl_share(torch.tensor([1.0, 2, 1, 1]), rate=0.5).tolist() == [1, 0, 1, 0]
    assert weights.spl_share(LOSS, rate=0.0).sum() == 0
    assert weights.spl_share(LOSS, rate=1.0).sum() == 5


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 2)), min_size=1, max_size=9), st.floats(0, 2), st.floats(0.01, 2))
def test_diversity_keeps_the_best_of_all_subsets(samples, lam, gamma):
    loss, groups = torch.tensor([s[0] for s in samples]).double(), torch.tensor([s[1] for s in samples])

    def objective(kept):
        v = torch.tensor(kept).double()
        spread = sum(v[groups == g].sum().sqrt() for g in groups.unique())
        return float((v * loss).sum() - lam * v.sum() - gamma * spread)

    best = min(map(objective, itertools.product((0, 1), repeat=len(samples))))
    found = weights.spl_diversity(loss, groups, lam=lam, gamma=gamma)
    assert objective(found.tolist()) == pytest.approx(best, abs=1e-9)


# Golden vectors of MentorNet's reference code, whose running percentile is told it: decay 1 keeps it so.
GOLDEN_MENTOR = {
    ("spcl-linear", 0): [1, 1, 1, 0, 0],
    ("mentornet-pd", 10): [1, 1, 1, 1, 1],
    ("mentornet-pd", 50): [1, 1, 1, 0, 0],
    ("mentornet-pd", 95): [1, 1, 1, 0, 0],
}


@pytest.mark.parametrize(("name", "epoch"), GOLDEN_MENTOR)
def test_mentornets_rules_reproduce_the_reference(name, epoch):
    scheme = SCHEMES[name]
    state = scheme.init_state(StateShape(5), {})
    state["threshold"].fill_(1)
    inputs = {"loss": LOSS, "epoch": epoch, "epochs": 100}
    assert scheme(inputs, {"decay": 1.0}, state).tolist() == GOLDEN_MENTOR[name, epoch]


def test_mentornets_phases_begin_where_they_should():
    loss, scheme = double([0.9, 1.4, 3]), SCHEMES["mentornet-pd"]
    state = {"threshold": double(1.0)}
    phases = {18: [1, 1, 1], 19: [1, 0, 0], 89: [1, 0, 0], 90: [1, 0.6, 0], 100: [1, 0.6, 0]}
    for epoch, expected in phases.items():
        found = scheme({"loss": loss, "epoch": epoch, "epochs": 100}, {"decay": 1.0}, state)
        torch.testing.assert_close(found, double(expected))
    # 9 of 50 epochs are 18 %.
    assert scheme({"loss": loss, "epoch": 9, "epochs": 50}, {"decay": 1.0}, state).tolist() == [1, 1, 1]


def test_the_running_percentile_starts_at_nothing_and_follows_the_batches():
    state = SCHEMES["spcl-linear"].init_state(StateShape(9), {})
    threshold = 0.0
    for batch in torch.rand(4, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64):
        threshold = 0.5 * threshold + 0.5 * np.percentile(batch, 70, method="nearest")
        found = weights.spcl_linear(state, batch, gamma=0.3)
        by_hand = np.clip(1 - (batch.numpy() - threshold) / 0.3, 0, 1)
        np.testing.assert_allclose(found, by_hand, atol=1e-6)


@pytest.mark.slow
def test_a_trained_mentor_tells_right_labels_from_wrong_ones():
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(rng.random(2000) < 0.6)
    loss = torch.from_numpy(np.where(clean, rng.gamma(1, 0.3, 2000), rng.gamma(4, 1, 2000))).float()
    mentor = train_mentor(loss, clean, torch.full((2000,), 50.0), steps=300)
    again = train_mentor(loss, clean, torch.full((2000,), 50.0), steps=300)
    assert all(torch.equal(a, b) for a, b in zip(mentor.parameters(), again.parameters(), strict=True))
    scheme = SCHEMES["mentornet-dd"]
    state = scheme.init_state(StateShape(2000), {})
    state["threshold"].fill_(float(np.percentile(loss, 70)))
    inputs = {"loss": loss, "epoch": 50, "epochs": 100}
    belief = scheme(inputs, {"mentor": mentor, "decay": 1.0}, state)
    assert ((belief > 0.5) == clean).float().mean() > 0.85
    assert belief.min() >= 0
    assert belief.max() <= 1
    with pytest.raises(InputError, match="right and wrong"):
        train_mentor(loss, torch.ones(2000, dtype=torch.bool), torch.zeros(2000))


def test_the_mentor_is_the_published_network():
    shapes = {name: tuple(p.shape) for name, p in Mentor().named_parameters()}
    assert shapes["label.weight"] == (2, 2)
    assert shapes["epoch.weight"] == (100, 5)
    assert shapes["hidden.weight"] == (20, 2 + 5 + 2)
    assert shapes["out.weight"] == (1, 20)
    assert shapes["lstm.weight_ih_l0"] == shapes["lstm.weight_ih_l0_reverse"] == (4, 2)
    mentor = Mentor()
    assert not mentor.epoch.weight.requires_grad
    # By hand: cell = sigmoid(input gate) tanh(candidate), as the step starts from nothing.
    loss, excess = torch.tensor([0.4, 2.0]), torch.tensor([-0.6, 1.0])
    cells = []
    for side in ("", "_reverse"):
        part = {kind: getattr(mentor.lstm, f"{kind}_l0{side}") for kind in ("weight_ih", "bias_ih", "bias_hh")}
        gates = torch.stack([loss, excess], 1) @ part["weight_ih"].T + part["bias_ih"] + part["bias_hh"]
        cells.append(torch.sigmoid(gates[:, 0]) * torch.tanh(gates[:, 2]))
    known = torch.cat([mentor.label.weight[[0, 0]], mentor.epoch.weight[[3, 7]], torch.stack(cells, 1)], 1)
    by_hand = mentor.out(torch.tanh(mentor.hidden(known)))[:, 0]
    torch.testing.assert_close(mentor(loss, excess, torch.tensor([3, 7])), by_hand)


@pytest.mark.parametrize(
    ("lam", "confidence", "value"),
    [(1.0, [math.e, math.e, math.e, 1.0, 0.600637], -2.16563), (0.25, [math.e, math.e, math.e, 1.0, 0.328192], -2.69803)],
)
def test_superloss_reproduces_the_reference(lam, confidence, value):
    torch.testing.assert_close(weights.superloss(LOSS, LOGITS, lam=lam), double(confidence), rtol=2e-6, atol=2e-6)
    torch.testing.assert_close(weights.superloss_loss(LOGITS, LABELS, lam=lam).mean(), double(value), rtol=2e-6, atol=0)


def test_superloss_where_it_is_not_cut_minimises_its_objective():
    losses, tau, lam = np.linspace(1.6, 6, 30), math.log(10), 1.0
    found = weights.superloss(torch.from_numpy(losses), torch.zeros(30, 10), lam=lam)
    for loss, confidence in zip(losses, found.tolist(), strict=True):
        best = minimize_scalar(
            lambda s, loss=loss: (loss - tau) * s + lam * math.log(s) ** 2,
            bounds=(1e-6, math.e),
            method="bounded",
            options={"xatol": 1e-11},
        )
        assert confidence == pytest.approx(best.x, rel=1e-5)


def test_superlosss_value_has_its_weight_as_slope_even_where_it_is_cut():
    logits = (LOGITS + torch.linspace(-1, 1, 10)).requires_grad_()
    weights.superloss_loss(logits, LABELS, lam=0.7).sum().backward()
    plain = logits.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(plain, LABELS, reduction="none")
    (weights.superloss(loss.detach(), LOGITS, lam=0.7) * loss).sum().backward()
    torch.testing.assert_close(logits.grad, plain.grad)


def test_lambert_w_is_scipys_and_defined_at_its_branch_point():
    x = np.r_[-1 / math.e + np.logspace(-12, -0.5, 80), np.linspace(-0.36, 3, 80), np.logspace(0, 12, 60)]
    given_x = torch.from_numpy(x).requires_grad_()
    found = lambert_w(given_x)
    np.testing.assert_allclose(found.detach(), lambertw(x).real, rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(found.sum(), given_x)
    np.testing.assert_allclose(slope, np.exp(-lambertw(x).real) / (1 + lambertw(x).real), rtol=1e-4)
    edge = torch.tensor([-1 / math.e, -0.5, -1e9], dtype=torch.float64, requires_grad=True)
    assert lambert_w(edge).tolist() == [-1, -1, -1]
    assert torch.autograd.grad(lambert_w(edge).sum(), edge)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("dtype", "top"), [(np.float32, 38), (np.float64, 307)])
def test_lambert_w_is_exact_to_the_rounding_of_its_type_on_all_its_domain(dtype, top):
    above = np.r_[0, np.logspace(-3, 0, 200), np.linspace(0.3, 0.5, 201), np.logspace(0, top, 400)]
    x = (above - 1 / math.e).astype(dtype)
    found = lambert_w(torch.from_numpy(x)).numpy()
    assert found.dtype == dtype
    exact = lambertw(x[1:].astype(np.float64)).real
    # What x itself is rounded by weighs more, the nearer to the branch point.
    bound = np.finfo(dtype).eps * (4 * (1 + exact) + 2 / (1 + exact))
    assert (np.abs(found[1:] - exact) <= bound).all()
    assert found[0] == -1


def test_superloss_takes_the_running_mean_as_its_middle():
    state = SCHEMES["superloss-mean"].init_state(StateShape(9), {})
    middle = None
    for batch in (double([0.1, 5]), double([-2, 1]), double([3.0])):
        middle = batch.mean() if middle is None else 0.9 * middle + 0.1 * batch.mean()
        expected = weights.superloss(batch.clamp(min=0), torch.zeros(len(batch), 10), tau=float(middle), lam=2.0)
        found = weights.superloss_mean(state, batch, lam=2.0)
        torch.testing.assert_close(found[batch >= 0], expected[batch >= 0], rtol=1e-5, atol=1e-6)


def reference_schedule(rate, gradual, exponent, epochs):
    schedule = np.full(epochs, rate)
    schedule[:gradual] = np.linspace(0, rate**exponent, gradual)
    return schedule


@pytest.mark.parametrize(("rate", "gradual", "exponent"), [(0.4, 10, 1.0), (0.2, 5, 2.0), (0.45, 1, 1.0)])
def test_co_teaching_keeps_the_peers_smallest_losses_by_the_published_schedule(rate, gradual, exponent):
    peer = torch.rand(40, generator=torch.Generator().manual_seed(0))
    for epoch, dropped in enumerate(reference_schedule(rate, gradual, exponent, 15)):
        found = weights.co_teaching(peer, epoch + 0.3, rate=rate, gradual=gradual, exponent=exponent)
        kept = int((1 - dropped) * 40 + 1e-9)
        assert found.sum() == kept
        assert peer[found == 1].max() <= peer[found == 0].min() if kept < 40 else True


def test_a_last_batch_of_one_is_kept():
    assert weights.co_teaching(torch.tensor([3.0]), 20, rate=0.5).tolist() == [1]


def test_jocor_selects_by_its_joint_loss_and_trains_on_it():
    rng = torch.Generator().manual_seed(3)
    first, second = (3 * torch.randn(20, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(4, (20,), generator=rng)
    joint = torch.zeros(20, dtype=torch.float64)
    for a, b in ((first, second), (second, first)):
        joint += 0.9 * torch.nn.functional.cross_entropy(a, labels, reduction="none")
        joint += 0.1 * torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=a), torch.distributions.Categorical(logits=b)
        )
    kept = weights.jocor(first, second, labels, 30, rate=0.4)
    assert set(kept.nonzero()[:, 0].tolist()) == set(joint.argsort()[:12].tolist())
    trained = weights.jocor_loss(first, second, labels, 30, rate=0.4)
    torch.testing.assert_close(trained.mean(), joint.sort().values[:12].mean())
    assert (trained[kept == 0] == 0).all()


UNIT = {
    "spl-hard": {"lam": 1.0},
    "spl-linear": {"lam": 1.0},
    "spl-logarithmic": {"lam": 0.9},
    "spl-mixture": {"lam1": 2.0, "lam2": 0.5},
    "spl-mixture-2": {"lam": 1.5, "gamma": 1.0},
    "spl-logistic": {"lam": 1.0},
    "spl-polynomial": {"lam": 1.0},
    "spl-share": {"rate": 0.4},
    "spcl-linear": {},
}


@pytest.mark.parametrize("name", UNIT)
@given(loss=st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=20, unique=True), seed=st.integers(0, 9))
def test_weights_fall_with_the_loss_stay_in_0_to_1_and_follow_their_samples(name, loss, seed):
    scheme, loss = SCHEMES[name], torch.tensor(loss, dtype=torch.float64)

    def weighed(values):
        return scheme({"loss": values}, UNIT[name], scheme.init_state(StateShape(9), {}))

    found = weighed(loss)
    assert found.dtype == loss.dtype
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[loss.argsort()].diff() <= 1e-12).all()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(loss)))
    torch.testing.assert_close(weighed(loss[order]), found[order])
    if name != "spl-hard":
        # Near a threshold the shorter numbers may fall on its other side.
        rounded = weighed(loss.float())
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded.double(), found, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", [*REGULARISED, "superloss", "superloss-mean", "spcl-linear"])
def test_gradients_through_the_weights_are_never_nan(name):
    scheme = SCHEMES[name]
    loss = torch.tensor([0, 1e-12, 0.2, 0.5, 0.8, 1, 1.3, 2, 2.25, 2.302585093, 9], requires_grad=True)
    parameters = REGULARISED[name][0] if name in REGULARISED else {}
    found = scheme({"loss": loss, "logits": torch.zeros(11, 10)}, parameters, scheme.init_state(StateShape(9), {}))
    (slope,) = torch.autograd.grad(found.sum(), loss)
    assert slope.isfinite().all()


REFUSED = [
    ("spl-logarithmic", {"lam": 1.0}, "lam must be above 0 and below 1"),
    ("spl-logarithmic", {"lam": 0.0}, "lam must be above 0"),
    ("spl-mixture", {"lam1": 1.0, "lam2": 1.0}, "lam1 must be above 1"),
    ("spl-mixture", {"lam1": 1.0, "lam2": 0.0}, "lam2 must be above 0"),
    ("spl-mixture-2", {"lam": 0.0, "gamma": 1.0}, "lam must be above 0"),
    ("spl-mixture-2", {"lam": 1.0, "gamma": 0.0}, "gamma must be above 0"),
    ("spl-polynomial", {"lam": 1.0, "t": 1}, "t must be 2 or more"),
    ("spl-logistic", {"lam": -1.0}, "lam must be above 0"),
    ("spl-share", {"rate": 1.1}, "rate must be 0 or more and 1 or less"),
    ("spl-diversity", {"lam": 1.0, "gamma": -1.0}, "gamma must be 0 or more"),
    ("superloss", {"lam": 0.0}, "lam must be above 0"),
    ("superloss-mean", {"decay": 1.0}, "decay must be 0 or more and below 1"),
    ("spcl-linear", {"gamma": 0.0}, "gamma must be above 0"),
    ("spcl-linear", {"percentile": 70.0}, "percentile must be 0 or more and 1 or less"),
    ("mentornet-pd", {"decay": 2.0}, "decay"),
    ("mentornet-dd", {}, "pass mentor="),
    ("co-teaching", {}, "pass rate="),
    ("co-teaching", {"rate": 1.0}, "rate must be 0 or more and below 1"),
    ("co-teaching", {"rate": 0.2, "gradual": 0}, "gradual must be 1 or more"),
    ("co-teaching", {"rate": 0.2, "exponent": 0.0}, "exponent must be above 0"),
    ("jocor", {"rate": 0.2, "co_lambda": 2.0}, "co_lambda"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), REFUSED)
def test_parameters_out_of_their_domain_are_refused(name, parameters, message):
    scheme = SCHEMES[name]
    inputs = {"loss": LOSS, "peer": LOSS, "logits": LOGITS, "peer_logits": LOGITS, "labels": LABELS, "groups": LABELS}
    with pytest.raises(InputError, match=message):
        scheme(inputs | {"epoch": 1, "epochs": 9}, parameters, scheme.init_state(StateShape(9), {}))


@pytest.mark.parametrize("name", [*UNIT, "superloss", "superloss-mean", "co-teaching"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_no_numbers_are_refused(name, bad):
    scheme, loss = SCHEMES[name], LOSS.clone()
    loss[2] = bad
    parameters = UNIT.get(name, {"rate": 0.2} if name == "co-teaching" else {})
    with pytest.raises(InputError, match=r"\[2\] is"):
        scheme({"loss": loss, "peer": loss, "logits": LOGITS, "epoch": 1}, parameters, scheme.init_state(StateShape(9), {}))


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(InputError, match=r"labels must be class codes from 0 to 9.*labels\[0\] is 10"):
        weights.superloss_loss(LOGITS, LABELS + 10)
    with pytest.raises(InputError, match=r"labels\[0\] is -100"):
        weights.jocor(LOGITS, LOGITS, LABELS - 100, 1, rate=0.2)
    with pytest.raises(InputError, match="2 classes or more"):
        weights.superloss(LOSS, LOGITS[:, :1])


@pytest.mark.parametrize("name", ["spcl-linear", "mentornet-pd", "superloss-mean"])
def test_a_saved_state_goes_on_as_the_first(name, tmp_path):
    scheme, rng = SCHEMES[name], torch.Generator().manual_seed(2)
    state = scheme.init_state(StateShape(9), {})
    for epoch in range(3):
        scheme({"loss": torch.rand(8, generator=rng), "epoch": epoch, "epochs": 5}, {}, state)
    torch.save(state, tmp_path / "state")
    again = torch.load(tmp_path / "state")
    inputs = {"loss": torch.rand(8, generator=rng), "epoch": 4, "epochs": 5}
    assert torch.equal(scheme(inputs, {}, state), scheme(inputs, {}, again))
    assert all(torch.equal(state[key], again[key]) for key in state)
