"""Training with weights, followed: against exact solutions, autograd, an integrator of another kind, and sums by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from support.example_data import blobs

import hardsight as hs
from hardsight.errors import InputError
from hardsight.explanation.optimization.dynamics import NOTE, TrainingDynamics, follow_training, kl_from_dual, time_to_margin
from hardsight.explanation.optimization.features import prepare_features
from hardsight.explanation.optimization.gradient_flow import FlowField, integrate
from hardsight.explanation.optimization.gradient_shares import SampleGradients, gradient_shares
from hardsight.explanation.optimization.linear_models import LinearProblem, angle_between, follow_linear_models
from hardsight.explanation.optimization.max_margin import solve_max_margin
from hardsight.explanation.optimization.network_runs import train_networks
from hardsight.explanation.optimization.text import describe_training
from hardsight.learners.network.mlp import find_layers
from hardsight.learners.network.network import build_perceptron
from hardsight.learners.network.stacked import build_net, stack_parameters
from hardsight.measures.gradients import gradient_norms

Set = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def separable() -> Set:
    rng = np.random.default_rng(3)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 2))
    x[:, 0] += 3 * (2 * y - 1)
    return x, y


def followed(x: np.ndarray, y: np.ndarray, weights: dict[str, np.ndarray], **given: float) -> pd.DataFrame:
    decay = given.pop("decay", 0.0)
    problem = LinearProblem.from_codes(x, y, np.stack(list(weights.values())), decay)
    return follow_linear_models(problem, list(weights), solve_max_margin(x, y), **given)


# --- flow ---


@pytest.mark.slow
def test_a_stiff_linear_flow_is_its_exponential() -> None:
    rates = torch.logspace(-4, 4, 30, dtype=torch.float64)
    start = torch.ones(2, 30, dtype=torch.float64) * torch.tensor([[1.0], [5.0]])
    field = FlowField(lambda at: -rates * at, lambda at, by: rates * by)
    times = [1e-3, 1e-1, 1.0, 1e2, 1e3]
    found = list(integrate(field, start, times, budget=10**5))
    for time, at in zip(times, found, strict=True):
        exact = start * torch.exp(-rates * time)
        assert float((at - exact).norm() / exact.norm()) < 5e-3


def test_the_flow_ends_where_the_budget_does() -> None:
    field = FlowField(lambda at: -at, lambda at, by: by)
    assert len(list(integrate(field, torch.ones(1, 1, dtype=torch.float64), [0.1, 1.0, 1e9], budget=100))) == 2


@pytest.mark.parametrize("classes", [2, 3])
def test_gradient_and_hessian_are_those_of_autograd(classes: int) -> None:
    x, y = blobs(20, 4, 1.0, classes=classes)
    weights = np.random.default_rng(1).random((3, 20))
    problem = LinearProblem.from_codes(x, y, weights, 0.3)
    outputs = 1 if classes == 2 else classes
    theta, by = torch.randn(2, 3, outputs, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(at: torch.Tensor) -> torch.Tensor:
        scores = torch.einsum("rof,sf->rso", at, torch.tensor(x))
        if classes == 2:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=2)
        each = torch.stack([torch.nn.functional.cross_entropy(s, torch.tensor(y), reduction="none") for s in scores])
        share = torch.tensor(weights / weights.sum(1, keepdims=True))
        torch.testing.assert_close(each, problem.losses(problem.scores(at)))
        return (share * each).sum() + 0.15 * at.square().sum()

    torch.testing.assert_close(problem.negative_gradient(theta), -torch.func.grad(loss)(theta))
    torch.testing.assert_close(problem.hessian_product(theta, by), torch.func.jvp(torch.func.grad(loss), (theta,), (by,))[1])


def test_two_mirrored_samples_go_the_way_that_can_be_written_down() -> None:
    # The flow of log(1 + exp(-u)) is u' = 1 / (1 + exp(u)), so u + exp(u) = t + 1.
    found = followed(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1, 0]), {"uniform": np.ones(2)})
    exact = [brentq(lambda u, t=t: u + np.exp(u) - t - 1, 0, 50) for t in found["time"]]
    np.testing.assert_allclose(found["norm"], exact, rtol=2e-3)
    np.testing.assert_allclose(found["loss"], np.log1p(np.exp(-np.array(exact))), rtol=2e-2)
    np.testing.assert_allclose(found["margin"], 1)
    np.testing.assert_allclose(found["angle"], 0, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_flow_is_that_of_an_implicit_integrator(classes: int) -> None:
    x, y = blobs(30, 4, 2.5, classes=classes)
    weights = np.random.default_rng(2).exponential(size=30)
    problem = LinearProblem.from_codes(x, y, weights[None])
    shape = (1, 1 if classes == 2 else classes, 4)

    def down(_: float, at: np.ndarray) -> np.ndarray:
        return problem.negative_gradient(torch.tensor(at).view(shape)).numpy().ravel()

    peer = solve_ivp(down, (0, 1e4), np.zeros(shape).ravel(), method="LSODA", t_eval=[1, 100, 1e4], rtol=1e-8, atol=1e-10)
    found = followed(x, y, {"own": weights}, times=[1.0, 100.0, 1e4])
    np.testing.assert_allclose(found["norm"], np.linalg.norm(peer.y, axis=0), rtol=2e-3)
    dual = solve_max_margin(x, y)
    ends = peer.y.T.reshape(3, *shape[1:])
    np.testing.assert_allclose(found["angle"], [dual.angle(e[0] if classes == 2 else e) for e in ends], atol=0.1)


# --- linear runs ---


def test_all_weights_lead_to_the_max_margin_direction_and_their_difference_fades(separable: Set) -> None:
    x, y = separable
    weights = {"uniform": np.ones(60), "second": np.where(y == 1, 4.0, 1.0), "much": np.where(y == 1, 64.0, 1.0)}
    found = followed(x, y, weights, times=[10.0**k for k in range(16)])
    reach = solve_max_margin(x, y).margin
    for _, run in found.groupby("weights"):
        assert run["angle"].iloc[-1] < 2
        assert (np.diff(run["loss"]) < 0).all()
        assert (run["margin"] <= reach * (1 + 1e-6)).all()
        assert run["margin"].iloc[-1] > 0.92 * reach
    # Weights shift margins by their logarithms, beside norms that grow without end: angle times norm stands still.
    shift = {name: (run["angle_uniform"] * run["norm"]).to_numpy()[-4:] for name, run in found.groupby("weights")}
    for name in ("second", "much"):
        assert shift[name].max() / shift[name].min() < 1.01
        fading = found[found["weights"] == name]["angle_uniform"]
        assert fading.iloc[-1] < 0.25 * fading.max()
    np.testing.assert_allclose(shift["much"] / shift["second"], np.log(64) / np.log(4), rtol=0.02)


def test_decay_freezes_the_difference(separable: Set) -> None:
    x, y = separable
    weights = {"uniform": np.ones(60), "second": np.where(y == 1, 4.0, 1.0)}
    times = [1e2, 1e4, 1e5, 1e7]
    frozen = followed(x, y, weights, decay=1e-3, times=times).query("weights == 'second'")["angle_uniform"].to_numpy()
    free = followed(x, y, weights, times=times).query("weights == 'second'")["angle_uniform"].to_numpy()
    assert frozen[-1] > 4
    np.testing.assert_allclose(frozen[1:], frozen[-1], rtol=1e-2)
    assert free[-1] < 0.7 * free[1]


def test_what_is_told_is_what_numpy_makes_of_the_same_weights() -> None:
    x, y = blobs(40, 3, 1.0, classes=3)
    weights = np.random.default_rng(0).random(40) + 0.1
    found = followed(x, y, {"uniform": np.ones(40), "own": weights}, times=[5.0])
    # One sample of a class at a time has the same problem with its weight as the sample repeated.
    theta = next(integrate(_field(x, y, weights), torch.zeros(1, 3, 3, dtype=torch.float64), [5.0], 10**4))[0].numpy()
    scores = x @ theta.T
    log_prob = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    losses = -log_prob[np.arange(40), y]
    margins = np.array([s[c] - max(np.delete(s, c)) for s, c in zip(scores, y, strict=True)]) / np.linalg.norm(theta)
    (row,) = found[found["weights"] == "own"].to_dict("records")
    expected = {
        "loss": losses.mean(),
        "weighted_loss": (weights * losses).sum() / weights.sum(),
        "wrong": (margins <= 0).mean(),
        "norm": np.linalg.norm(theta),
        "margin": margins.min(),
        "margin_tenth": np.quantile(margins, 0.1),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=5e-3, abs=1e-9), name


def _field(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> FlowField:
    problem = LinearProblem.from_codes(x, y, weights[None])
    return FlowField(problem.negative_gradient, problem.hessian_product)


def test_equal_weights_go_the_same_way_whatever_their_scale(separable: Set) -> None:
    x, y = separable
    own = np.random.default_rng(0).random(60)
    found = followed(x, y, {"uniform": np.ones(60), "one": own, "other": 8 * own}, times=[1.0, 1e3])
    one, other = (found[found["weights"] == name].drop(columns="weights").to_numpy() for name in ("one", "other"))
    np.testing.assert_array_equal(one, other)
    assert (found[found["weights"] == "uniform"]["angle_uniform"] == 0).all()


def test_angles_between_weights() -> None:
    assert angle_between(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(45)
    assert angle_between(np.array([[1.0, 0.0]]), np.array([[-2.0, 0.0]])) == pytest.approx(180)
    assert angle_between(np.array([1.0, 0.0]), np.array([1.0, 1e-9])) == pytest.approx(np.degrees(1e-9))


# --- networks ---


@pytest.mark.parametrize("hidden", [(), (7,), (9, 5)])
def test_lengths_of_gradients_are_those_of_autograd(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    nets = [build_perceptron(6, hidden, 4) for _ in range(3)]
    x, y = torch.randn(25, 6), torch.arange(25) % 4
    gradients = SampleGradients(stack_parameters(nets)[0], find_layers(nets[0]) or [], x, y)
    for net, norms, logits in zip(nets, gradients.norms, gradients.logits, strict=True):
        torch.testing.assert_close(norms.float(), gradient_norms(net, x, y))
        torch.testing.assert_close(logits.T.float(), net(x))


def test_a_layer_without_bias_has_no_gradient_of_one() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False))
    x, y = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1])
    gradients = SampleGradients(stack_parameters([net])[0], find_layers(net) or [], x, y)
    torch.testing.assert_close(gradients.norms[0].float(), gradient_norms(net, x, y))


def test_shares_of_the_gradient_by_hand() -> None:
    norms = np.array([[1.0, 1.0, 2.0], [3.0, 1.0, 4.0]])
    masks = [("cause", "noise", np.array([True, False, True])), ("cause", "none", np.array([False, True, False]))]
    found = gradient_shares(norms, np.array([1.0, 2.0, 0.5]), masks)
    # Weighted norms 1, 2, 1 and 3, 2, 2.
    np.testing.assert_allclose(found["share"], [(2 / 4 + 5 / 7) / 2, (2 / 4 + 2 / 7) / 2])
    np.testing.assert_allclose(found["se"], abs(5 / 7 - 2 / 4) / 2)
    np.testing.assert_allclose(found["share_unweighted"], [(3 / 4 + 7 / 8) / 2, (1 / 4 + 1 / 8) / 2])
    np.testing.assert_allclose(found["sample_share"], [2 / 3, 1 / 3])
    assert found["samples"].tolist() == [2, 1]
    assert gradient_shares(norms[:1], np.ones(3), masks)["se"].isna().all()


@pytest.fixture(scope="module")
def few_digits() -> Set:
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X[:300]).clip(-5, 5), y[:300].astype(np.int64)


def test_networks_with_one_seed_differ_by_their_weights_alone(few_digits: Set) -> None:
    x, y = few_digits
    own = np.random.default_rng(0).exponential(size=300)
    weights = {"uniform": np.ones(300), "one": own, "other": own, "same": np.ones(300)}
    found = train_networks(x, y, weights, network=hs.Network(hidden=(16,), epochs=4), seeds=2, seed=0)
    by = {name: part.drop(columns="weights").reset_index(drop=True) for name, part in found.curves.groupby("weights")}
    pd.testing.assert_frame_equal(by["one"], by["other"], check_exact=True)
    pd.testing.assert_frame_equal(by["uniform"], by["same"], check_exact=True)
    start = by["uniform"]["step"] == 0
    unweighted = ["loss", "wrong", "norm", "margin"]
    pd.testing.assert_frame_equal(by["uniform"][start][unweighted], by["one"][start][unweighted], check_exact=True)
    assert (by["uniform"][~start]["loss"] != by["one"][~start]["loss"]).all()
    for name in weights:
        np.testing.assert_array_equal(found.start[name], found.start["uniform"])
    assert not np.allclose(found.end["one"], found.end["uniform"])
    # Two seeds are two networks.
    assert not np.allclose(*found.start["uniform"])


def test_more_runs_than_a_stack_holds_are_kept_apart(few_digits: Set) -> None:
    x, y = few_digits
    rng = np.random.default_rng(0)
    weights = {"uniform": np.ones(300)} | {f"w{k}": rng.exponential(size=300) for k in range(11)}
    recipe = hs.Network(hidden=(4,), epochs=1)
    found = train_networks(x, y, weights, network=recipe, seeds=3, seed=0)
    alone = train_networks(x, y, {"w10": weights["w10"]}, network=recipe, seeds=3, seed=0)
    np.testing.assert_allclose(found.end["w10"], alone.end["w10"], rtol=1e-4)
    assert len(found.curves) == 36 * found.curves["step"].nunique()


def test_margins_of_networks_are_over_the_product_of_their_layers_norms(few_digits: Set) -> None:
    x, y = few_digits
    found = train_networks(x, y, {"uniform": np.ones(300)}, network=hs.Network(hidden=(5, 4), epochs=1), seeds=1, seed=0)
    seed = int(np.random.SeedSequence(0).spawn(1)[0].generate_state(1)[0])
    net = build_net(lambda: build_perceptron(64, (5, 4), 10), seed)
    with torch.no_grad():
        logits = net(torch.tensor(x, dtype=torch.float32)).double().numpy()
    margins = np.array([row[c] - max(np.delete(row, c)) for row, c in zip(logits, y, strict=True)])
    sizes = [p.detach().double().square().sum().item() for p in net.parameters()]
    layer_norms = np.sqrt([sum(sizes[k : k + 2]) for k in (0, 2, 4)])
    start = found.curves.iloc[0]
    assert start["norm"] == pytest.approx(np.sqrt(sum(sizes)), rel=1e-6)
    assert start["margin"] == pytest.approx(margins.min() / layer_norms.prod(), rel=1e-4)
    assert start["margin_tenth"] == pytest.approx(np.quantile(margins, 0.1) / layer_norms.prod(), rel=1e-4)
    assert start["wrong"] == pytest.approx((margins <= 0).mean())


def test_runs_of_a_module_of_ones_own_are_refused(few_digits: Set) -> None:
    x, y = few_digits
    mine = hs.Network(lambda: build_perceptron(64, (), 10))
    with pytest.raises(InputError, match="without make_net"):
        train_networks(x, y, {"uniform": np.ones(300)}, network=mine, seeds=1, seed=0)


# --- features ---


def test_features_are_standardised_and_end_in_a_one() -> None:
    x, y = blobs(50, 4, 0.0)
    x = np.concatenate([7 + 100 * x, np.full((50, 1), 3.0)], axis=1)
    found = prepare_features(x, y)
    np.testing.assert_allclose(found.x[:, :4], StandardScaler().fit_transform(x[:, :4]))
    np.testing.assert_array_equal(found.x[:, 4:], np.tile([0.0, 1.0], (50, 1)))
    assert found.description == "the features, 5 columns, standardised"
    x[3, 0] = np.nan
    assert prepare_features(x, y).x[3, 0] == 0
    x[3, 0] = 1e9
    assert prepare_features(x, y).x[3, 0] == 5


def test_of_very_many_samples_a_part_of_every_class_is_taken() -> None:
    x, _ = blobs(1000, 3, 0.0)
    y = np.repeat(["rare", "b", "a"], [1, 199, 800])
    found = prepare_features(x, y, limit=100, seed=1)
    assert len(found.rows) == 100
    assert (np.diff(found.rows) > 0).all()
    np.testing.assert_allclose(np.bincount(found.codes), [80, 20, 1], atol=1)
    assert (found.codes == 2).sum() == 1
    assert "100 of 1,000 samples" in found.description
    np.testing.assert_array_equal(found.rows, prepare_features(x, y, limit=100, seed=1).rows)
    assert not np.array_equal(found.rows, prepare_features(x, y, limit=100, seed=2).rows)


def test_projections_are_said_and_keep_what_they_say() -> None:
    x, y = blobs(60, 30, 1.0)
    found = prepare_features(x, y, components=5)
    values = np.linalg.svd(StandardScaler().fit_transform(x), compute_uv=False) ** 2
    assert found.x.shape == (60, 6)
    assert f"first 5 principal components, {values[:5].sum() / values.sum():.1%}" in found.description
    np.testing.assert_allclose(np.square(found.x[:, :5]).sum(0), values[:5])
    assert found.standardised.shape == (60, 30)
    wide = prepare_features(np.random.default_rng(0).normal(size=(300, 400)), np.arange(300) % 10)
    assert wide.x.shape == (300, 204)
    assert "first 203 principal components" in wide.description


@pytest.mark.parametrize(
    ("matrix", "labels", "message"),
    [
        (np.ones(4), [0, 1, 0, 1], "must be a matrix"),
        (np.ones((4, 1)), [0, 1], "one label per sample"),
        ([[1.0], [np.inf]], [0, 1], "row 1"),
        (np.ones((4, 1)), [1, 1, 1, 1], "all labels are the same"),
    ],
)
def test_features_that_cannot_be_read_are_refused(matrix: np.ndarray, labels: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare_features(matrix, labels)


# --- all of it ---


def test_kl_is_from_the_dual_to_the_weights() -> None:
    x, y = blobs(30, 3, 4.0)
    dual = solve_max_margin(x, y)
    p = dual.coefficients
    mask = p > 1e-4
    own = np.random.default_rng(0).random(30) + 0.1
    bare = np.where(p == p.max(), 0.0, 1.0)
    only = np.where(mask, p, 0.0)
    assert 0 < (~mask).sum() == (~dual.is_support).sum()
    weights = {"uniform": np.full(30, 7.0), "own": own, "dual": p, "only": only, "bare": bare}
    found = kl_from_dual(dual, weights).set_index("weights")
    entropy = -(p[mask] * np.log(p[mask])).sum()
    assert found.loc["uniform", "kl"] == pytest.approx(np.log(30) - entropy, abs=1e-5)
    assert found.loc["own", "kl"] == pytest.approx((p[mask] * np.log(p[mask] / own[mask] * own.sum())).sum(), abs=1e-5)
    assert found.loc["dual", "kl"] == pytest.approx(0, abs=1e-9)
    assert found.loc["only", "kl"] == pytest.approx(0, abs=1e-6)
    assert found.loc["bare", "kl"] == np.inf
    assert found["uncovered"].to_numpy() == pytest.approx([0, 0, 0, 0, p.max()])


def test_the_time_of_a_margin_is_read_between_the_times_told() -> None:
    run = pd.DataFrame({"time": [1.0, 10.0, 100.0], "margin": [-1.0, 0.0, 2.0]})
    assert time_to_margin(run, 0.5) == pytest.approx(10**1.25)
    assert time_to_margin(run, -2.0) == pytest.approx(1)
    assert np.isnan(time_to_margin(run, 3.0))
    assert np.isnan(time_to_margin(run, np.nan))


@pytest.fixture(scope="module")
def explained() -> tuple[Set, dict[str, np.ndarray], TrainingDynamics]:
    x, y = blobs(80, 5, 3.5, classes=3)
    near = solve_max_margin(x, y).coefficients
    weights = {
        "near": near + near.max() / 10,
        "far": 1 / (near + near.max() / 10),
        "bare": (near < near.max()).astype(float),
    }
    order = np.argsort(np.argsort(-near, kind="stable")) * 2 // 80
    groups = [("half", str(k), order == k) for k in (0, 1)] + [("cause", "nobody", np.zeros(80, bool))]
    recipe = hs.Network(hidden=(8,), epochs=5)
    return ((x, y), weights, follow_training(x, np.array(list("abc"))[y], weights, groups=groups, network=recipe, seeds=2))


def test_an_account_of_training_is_whole(explained: tuple) -> None:
    _, weights, found = explained
    names = ["uniform", *weights]
    assert found.kl["weights"].tolist() == names
    assert set(found.linear["weights"]) == set(found.networks["weights"]) == set(names)
    assert found.features == "the features, 5 columns, standardised"
    assert found.dual.separable
    fields = found.summary.set_index("weights")
    assert fields["margin_share"]["near"] > 0.9 > fields["margin_share"]["uniform"] > fields["margin_share"]["far"]
    assert fields["time"].notna().to_dict() == {"uniform": False, "near": True, "far": False, "bare": False}
    assert fields.loc["near", "kl"] < fields.loc["uniform", "kl"] < fields.loc["far", "kl"]
    assert (fields["margin_share"] <= 1 + 1e-6).all()
    assert fields.loc["uniform", "angle_uniform_most"] == 0
    assert NOTE in found.notes
    assert any(note.startswith("bare: no weight") for note in found.notes)
    at_start = found.gradients.query("when == 'start' and group == '0'").set_index("weights")["share"]
    assert at_start["near"] > at_start["uniform"] > at_start["far"]
    assert set(found.gradients["by"]) == {"half"}
    sums = found.gradients.groupby(["when", "weights"])[["share", "share_unweighted"]].sum()
    np.testing.assert_allclose(sums, 1)
    uniform = found.gradients[found.gradients["weights"] == "uniform"]
    np.testing.assert_allclose(uniform["share"], uniform["share_unweighted"])


def test_an_account_in_words_has_its_numbers(explained: tuple) -> None:
    _, _, found = explained
    fields = found.summary.set_index("weights")
    text = describe_training(found, "near")
    assert text.startswith("A linear model separates the classes (the features, 5 columns, standardised)")
    assert f"KL(p*‖w) is {fields['kl']['near']:.2f}, {fields['kl']['uniform']:.2f} without weights: a bound" in text
    assert f"{fields['angle']['near']:.1f}° from that direction (without weights {fields['angle']['uniform']:.1f}°)" in text
    assert f"training loss of {fields['network_loss']['near']:.3g} over all samples" in text
    assert "smaller bound does not" not in text
    assert "KL(p*‖w) is infinite" in describe_training(found, "bare")
    assert "hardest tenth" not in text
    # The same numbers, were the bounds the other way round.
    turned = found.kl.assign(kl=-found.kl["kl"])
    assert "smaller bound does not come with the larger margin" in describe_training(replace(found, kl=turned), "near")


@pytest.mark.slow
def test_shares_of_the_gradient_are_told_of_the_hardest_tenth_and_of_noise() -> None:
    x, y = blobs(60, 3, 0.5)
    masks = [("decile", "10", np.arange(60) >= 54), ("cause", "noise", np.arange(60) < 30)]
    weights = {"first": np.where(np.arange(60) < 30, 3.0, 1.0)}
    found = follow_training(x, y, weights, groups=masks, network=hs.Network(hidden=(4,), epochs=1), seeds=1)
    text = describe_training(found, "first")
    share = found.gradients.set_index(["when", "weights", "group"])["share"]
    start, end = (share[when, "first", "noise"] for when in ("start", "end"))
    assert text.startswith("No linear model separates the classes")
    assert f"soft margin (C = {found.dual.surrogate:.3g})" in text
    assert (
        f"the share of samples hard by label noise in the gradient is {start:.0%} at the start and {end:.0%} at the end"
        in text
    )
    assert "In networks, the share of the hardest tenth in the gradient is" in text
    assert "largest margin" not in text


def test_an_account_goes_into_json(explained: tuple) -> None:
    fields = json.loads(json.dumps(explained[2].as_dict(), allow_nan=False))
    assert fields["samples"] == 80
    assert fields["dual"]["separable"] is True
    assert {row["weights"]: row["kl"] for row in fields["summary"]}["bare"] is None
    assert len(fields["dual"]["coefficients"]) == len(fields["dual"]["rows"]) == 80


@pytest.mark.slow
def test_samples_that_no_linear_model_separates_are_told_of() -> None:
    x, y = blobs(60, 3, 0.5)
    found = follow_training(x, y, {"own": np.arange(60.0)}, network=hs.Network(hidden=(4,), epochs=1), seeds=1, limit=40)
    assert not found.dual.separable
    assert "soft margin" in found.notes[0]
    assert found.summary[["time", "margin_share"]].isna().all(axis=None)
    assert len(found.rows) == 40
    assert found.gradients.empty


@pytest.mark.slow
def test_a_seed_fixes_all(explained: tuple) -> None:
    x, y = blobs(60, 3, 1.0)
    recipe = hs.Network(hidden=(4,), epochs=1)
    one, two, other = (
        follow_training(x, y, {"a": np.arange(60)}, network=recipe, limit=50, seed=s).as_dict() for s in (1, 1, 2)
    )
    assert one == two
    assert one["networks"] != other["networks"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": {"w": np.ones(3)}}, "weights 'w'"),
        ({"weights": {"w": -np.ones(40)}}, "weights 'w' must be finite and 0 or more"),
        ({"weights": {"w": np.zeros(40)}}, "weights 'w' are all 0"),
        ({"weights": {"w": (np.arange(40) == 0).astype(float)}, "limit": 2, "seed": 1}, "zero on all 2 samples"),
        ({"decay": -1.0}, "decay must be 0 or more"),
        ({"seeds": 0}, "seeds must be 1 or more"),
        ({"limit": 1}, "limit must be 2 or more"),
    ],
)
def test_what_cannot_be_followed_is_refused(given: dict, message: str) -> None:
    x, y = blobs(40, 3, 1.0)
    with pytest.raises(InputError, match=message):
        follow_training(x, y, **({"weights": {}} | given))
