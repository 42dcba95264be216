"""Stacked ensembles against the same networks trained one at a time by a plain loop, and the door for own modules."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_iris
from support.errors import raises_in_one_line
from torch import nn

import hardsight as hs
from hardsight import Samples
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners.network.batches import Batches, TrainingData
from hardsight.learners.network.network import build_perceptron, count_steps
from hardsight.learners.network.seeds import derive_seed, shuffled_rows
from hardsight.learners.network.stacked import try_stacking
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_iris(return_X_y=True)
PIXELS, DIGITS = load_digits(return_X_y=True)
IMAGES = (PIXELS.reshape(-1, 8, 8)[:200] * 15).astype(np.uint8)


def plan_of(samples, folds=3, repeats=2, seed=0, groups=None):
    units = block_codes(len(samples), groups)
    rounds = KFold(folds, repeats).split(None if samples.regression else samples.labels, units, split_seed(seed))
    return Plan(rounds, units, repeats, seed)


def views(network, samples, plan):
    return list(network.fit_predict(samples, plan, lambda _: None))


def one_at_a_time(
    samples, plan, *, hidden=(128,), epochs=None, batch_size=64, lr=3e-3, cosine=True, sgd=False, part="held_out"
):
    """The same recipe, member by member: its own standardisation by numpy, module, optimiser and loop."""
    members = list(plan.members())
    sizes = [len(m.train) for m in members]
    batch = min(batch_size, min(sizes))
    mean = sum(sizes) / len(sizes)
    steps = round(epochs * mean / batch) if epochs else math.ceil(max(20 * mean / batch, 400))
    share = [0.5 * (1 + math.cos(math.pi * k / steps)) if cosine else 1.0 for k in range(steps)]
    regression = samples.regression
    found = []
    for m in members:
        x = samples.matrix.astype(np.float64)
        train = x[m.train]
        sd = np.where(train.std(0) > 0, train.std(0), 1)
        x = torch.tensor(((x - train.mean(0)) / sd).clip(-5, 5), dtype=torch.float32)
        y = samples.labels
        if regression:
            centre, width = y[m.train].mean(), y[m.train].std()
            y = ((y - centre) / width).astype(np.float32)
        y = torch.tensor(y)
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(m.seed, "weights"))
            net = build_perceptron(x.shape[1], hidden, 1 if regression else len(samples.classes))
        decay = 1.5 / (lr * sum(share))
        optimizer = (
            torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=decay / 10)
            if sgd
            else torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay)
        )
        take = shuffled_rows(m.train, m.seed)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * share[step]
            rows = take(batch)
            out = net(x[rows])
            loss = nn.functional.mse_loss(out[:, 0], y[rows]) if regression else nn.functional.cross_entropy(out, y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            out = net(x[getattr(m, part)]).double()
        found.append(out[:, 0] * width + centre if regression else out.log_softmax(1))
    return found


def assert_same(found, expected, tolerance):
    assert len(found) == len(expected)
    for view, other in zip(found, expected, strict=True):
        torch.testing.assert_close(view.values, other, rtol=tolerance, atol=tolerance)


TORCH = ("stacked", "sequential")
ALL = ("native", *TORCH)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("unequal", [False, True])
def test_members_equal_networks_trained_one_at_a_time(schedule, unequal, engine):
    samples = Samples.of(X, Y)
    plan = plan_of(samples, groups=np.maximum(np.arange(150) - 20, 0) if unequal else None)
    assert (len({len(m.train) for m in plan.members()}) > 1) == unequal
    recipe = {"epochs": 3, "batch_size": 16, "hidden": (24, 12)}
    found = views(hs.Network(**recipe, schedule=schedule, engine=engine), samples, plan)
    assert_same(found, one_at_a_time(samples, plan, **recipe, cosine=schedule == "cosine"), 1e-5)
    for view, member in zip(found, plan.members(), strict=True):
        np.testing.assert_array_equal(view.rows, member.held_out)


@pytest.mark.parametrize("engine", ALL)
def test_regression_equals_networks_trained_one_at_a_time(engine):
    samples = Samples.of(X, 40 + 10 * X[:, 0] * X[:, 2])
    plan = plan_of(samples)
    recipe = {"epochs": 3, "batch_size": 16}
    found = views(hs.Network(**recipe, engine=engine), samples, plan)
    assert_same(found, one_at_a_time(samples, plan, **recipe), 1e-5)


@pytest.mark.parametrize("regression", [False, True])
def test_in_sample_predictions_are_those_of_networks_trained_one_at_a_time(regression):
    samples = Samples.of(X, 40 + 10 * X[:, 0] * X[:, 2] if regression else Y)
    plan = plan_of(samples)
    recipe = {"epochs": 3, "batch_size": 16}
    both = views(hs.Network(**recipe), samples, replace(plan, in_sample=True))
    seen = [view for view in both if view.in_sample]
    assert_same(seen, one_at_a_time(samples, plan, **recipe, part="train"), 1e-5)
    for view, member in zip(seen, plan.members(), strict=True):
        np.testing.assert_array_equal(view.rows, member.train)
        assert view.repeat == member.round
    without = views(hs.Network(**recipe), samples, plan)
    for view, other in zip([v for v in both if not v.in_sample], without, strict=True):
        assert torch.equal(view.values, other.values)


def test_judging_training_samples_is_cheap_beside_ten_epochs():
    assert hs.Network().capabilities.in_sample_is_cheap
    assert hs.Network(epochs=10).capabilities.in_sample_is_cheap
    assert not hs.Network(epochs=9).capabilities.in_sample_is_cheap


@pytest.mark.parametrize("engine", ALL)
def test_sgd_with_momentum_equals_networks_trained_one_at_a_time(engine):
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    recipe = {"epochs": 3, "batch_size": 16}
    found = views(hs.Network(**recipe, optimizer="sgd", engine=engine), samples, plan)
    assert_same(found, one_at_a_time(samples, plan, **recipe, lr=0.05, sgd=True), 1e-5)


def test_sgd_learns():
    d = hs.measure(PIXELS[:500], DIGITS[:500], learner=hs.Network(optimizer="sgd"), repeats=2)
    assert (d.predicted == d.labels).mean() > 0.9
    with pytest.raises(InputError, match=r"optimizer must be one of adamw, sgd. Got 'adam'"):
        hs.Network(optimizer="adam")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["native", "stacked"])
def test_whole_training_agrees_with_networks_trained_one_at_a_time(engine):
    samples = Samples.of(PIXELS[:500], DIGITS[:500])
    plan = plan_of(samples)
    found = views(hs.Network(engine=engine), samples, plan)
    expected = one_at_a_time(samples, plan)
    label = torch.from_numpy(samples.labels)

    def error(each):
        total = torch.zeros(500, dtype=torch.float64)
        for member, log_prob in zip(plan.members(), each, strict=True):
            rows = torch.from_numpy(member.held_out)
            total[rows] -= log_prob.gather(1, label[rows, None])[:, 0]
        return total

    ours, theirs = error([view.values for view in found]), error(expected)
    assert spearmanr(ours, theirs).statistic > 0.99
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), rel=0.02)


@pytest.mark.parametrize("engine", ["native", "stacked"])
def test_chunks_do_not_matter(engine):
    samples = Samples.of(PIXELS[:120], DIGITS[:120])
    plan = plan_of(samples, folds=4)
    alone, three, all_at_once, automatic = (
        views(hs.Network(epochs=10, members_at_once=k, engine=engine), samples, plan) for k in (1, 3, 8, None)
    )
    for other in (three, all_at_once, automatic):
        assert_same(other, [view.values for view in alone], 1e-5)


@pytest.mark.slow
def test_members_differ_where_their_data_do_not():
    d = hs.measure(X, Y, learner=hs.Network(epochs=5), splits=hs.LeaveOneOut(2))
    assert (d.variance > 0).mean() > 0.95


def test_seeds_fix_the_bytes():
    run = lambda seed: hs.measure(X, Y, learner=hs.Network(epochs=5), folds=3, repeats=2, seed=seed).error.tobytes()  # noqa: E731
    assert run(0) == run(0)
    assert run(0) != run(1)


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Dropout(0.2), nn.ReLU(), nn.Linear(32, 10))


@pytest.mark.slow
@pytest.mark.parametrize("make", [None, dropping])
def test_global_random_numbers_are_left_alone(make):
    torch.manual_seed(5)
    np.random.seed(5)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    hs.measure(IMAGES, DIGITS[:200], learner=hs.Network(make, epochs=2), folds=2, repeats=2)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)


@pytest.mark.slow
def test_global_random_numbers_do_not_matter():
    errors = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        errors.add(hs.measure(IMAGES, DIGITS[:200], learner=hs.Network(dropping, epochs=2), folds=2).error.tobytes())
    assert len(errors) == 1


class Constant(nn.Module):
    """Logits that are one parameter each, behind dropout: what training leaves in them shows which masks were drawn."""

    def __init__(self):
        super().__init__()
        self.logits, self.dropout = nn.Parameter(torch.ones(50)), nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.logits * torch.ones(len(x), 50)).unflatten(1, (2, 25)).sum(2)


@pytest.mark.parametrize("together", [1, 4])
def test_dropout_differs_between_members_and_rests_while_judging(together):
    samples = Samples.of(X[:100], Y[:100])
    plan = plan_of(samples, folds=2)
    found = views(hs.Network(Constant, epochs=2, members_at_once=together), samples, plan)
    for view in found:
        # No mask while judging: every sample gets the same answer.
        assert (view.values == view.values[0]).all()
    assert len({view.values[0, 0].item() for view in found}) == 4


@pytest.mark.slow
def test_convolutions_see_scaled_channels_first():
    def conv():
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(32, 10))

    learner = hs.Network(conv, epochs=60, learning_rate=1e-2)
    d = hs.measure(IMAGES[..., None], DIGITS[:200], learner=learner, folds=3, repeats=2)
    assert (d.predicted == d.labels).mean() > 0.7
    colour = np.stack([IMAGES] * 3, axis=-1)
    colour[..., 1:] = 0
    inputs = hs.Network(conv)._inputs(Samples.of(colour, DIGITS[:200]))
    assert inputs.shape == (200, 3, 8, 8)
    torch.testing.assert_close(inputs[:, 0], torch.from_numpy(IMAGES / 255).float())
    assert not inputs[:, 1:].any()
    assert hs.measure(IMAGES, DIGITS[:200], learner="convnet", folds=2, repeats=2).error.mean() < math.log(10)


def test_sequences_and_grey_images_come_as_they_were_given():
    series = np.random.default_rng(0).normal(size=(40, 6, 3)).astype(np.float32)
    torch.testing.assert_close(hs.Network(nn.Flatten)._inputs(Samples.of(series, [0, 1] * 20)), torch.from_numpy(series))


def test_arrays_keep_their_axes():
    waves = np.random.default_rng(0).normal(size=(60, 2, 5, 7))
    net = lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(45, 2))  # noqa: E731
    d = hs.measure(waves, np.arange(60) % 2, learner=hs.Network(net, epochs=2), folds=2, repeats=2)
    assert np.isfinite(d.error).all()
    scaled = hs.Network(net, epochs=2, standardize=True)
    assert np.isfinite(hs.measure(waves, np.arange(60) % 2, learner=scaled, folds=2, repeats=2).error).all()


def normalised():
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.slow
def test_running_statistics_are_trained_one_after_another():
    with pytest.warns(HardsightWarning, match=r"one after another: BatchNorm1d \(1\) keeps running statistics"):
        d = hs.measure(
            X, Y, learner=hs.Network(normalised, epochs=40, batch_size=16, learning_rate=1e-2), folds=3, repeats=2
        )
    assert (d.predicted == d.labels).mean() > 0.85
    assert "BatchNorm1d" in " ".join(d.settings["notices"])
    # Without running statistics nothing stands in the way.
    plain = lambda: nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.Linear(16, 3))  # noqa: E731
    assert try_stacking(plain(), torch.zeros(2, 4)).obstacle is None


class Moody(nn.Module):
    """A perceptron that looks at its inputs before it decides what to do with them, to no effect."""

    def __init__(self, watch):
        super().__init__()
        self.layers, self.watch = build_perceptron(4, (16,), 3), watch

    def forward(self, x):
        if self.watch and x.sum() > 1e9:
            return self.layers(-x)
        return self.layers(x)


@pytest.mark.slow
def test_control_flow_on_values_is_trained_one_after_another_and_equally():
    with pytest.warns(HardsightWarning, match="one after another: Moody cannot be vectorised"):
        alone = hs.measure(X, Y, learner=hs.Network(lambda: Moody(True), epochs=5), folds=3, repeats=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stacked = hs.measure(X, Y, learner=hs.Network(lambda: Moody(False), epochs=5), folds=3, repeats=2)
    np.testing.assert_allclose(alone.error, stacked.error, rtol=1e-4, atol=1e-5)


def test_frozen_parameters_stay():
    made = []

    def make():
        net = build_perceptron(4, (16,), 3)
        net[0].weight.requires_grad_(False)
        made.append((net, net[0].weight.clone()))
        return net

    hs.measure(X, Y, learner=hs.Network(make, epochs=2), folds=2, repeats=2)
    for net, before in made:
        assert torch.equal(net[0].weight, before)


def test_linear_functions_are_recovered():
    rng = np.random.default_rng(0)
    x = rng.normal([0, 100, -5], [1, 30, 0.1], size=(300, 3))
    y = 1e4 + x @ [3.0, 0.2, 20] + rng.normal(0, 0.01, 300)
    d = hs.measure(x, y, learner=hs.Network(hidden=(), epochs=300, learning_rate=1e-2, weight_decay=0), folds=3, repeats=2)
    assert d.error.mean() < 1e-3 * y.var()
    np.testing.assert_allclose(d.predicted, y, atol=0.1 * y.std())


# What a member sees


def test_inputs_are_standardised_by_the_training_part_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    x[20:] += 2
    x[3, 0] = 100
    x[::5, 1] = np.nan
    x[:, 2] = 7
    fold = np.repeat([0, 1], 20).astype(np.int32)
    plan = Plan([KFold(2, 2).split(None, np.arange(40), split_seed(0))[0]._replace(fold=fold)], np.arange(40), 1, 0)
    members = list(plan.members())
    y = torch.arange(40).double()
    data = Batches(members, TrainingData(torch.from_numpy(x), y), regression=True, standardize=True)
    for k, member in enumerate(members):
        train = x[member.train].astype(np.float64)
        mean, sd = np.nanmean(train, 0), np.nanstd(train, 0)
        expected = np.nan_to_num((x - mean) / np.where(sd > 0, sd, 1)).clip(-5, 5)
        # Of the first member's judged samples, one lies far beyond what it was trained on.
        assert k or expected[3, 0] == 5
        np.testing.assert_allclose(data.select_inputs(k, torch.arange(40)), expected, rtol=1e-5, atol=1e-4)
        assert data.target_mean[k].item() == pytest.approx(member.train.mean())
        assert data.target_scale[k].item() == pytest.approx(member.train.std())
    batch, target, _, drawn = data.next_batch(20)
    for k, member in enumerate(members):
        rows = (target[k].double() * data.target_scale[k] + data.target_mean[k]).round().long()
        assert sorted(rows.tolist()) == member.train.tolist()
        assert rows.tolist() == drawn[k].tolist()
        torch.testing.assert_close(batch[k], data.select_inputs(k, rows))


def test_batches_are_full_and_pass_after_pass():
    take = shuffled_rows(np.array([3, 5, 8, 13, 21]), 0)
    drawn = torch.cat([take(3) for _ in range(10)]).tolist()
    for k in range(6):
        assert sorted(drawn[5 * k : 5 * k + 5]) == [3, 5, 8, 13, 21]
    assert len({tuple(drawn[5 * k : 5 * k + 5]) for k in range(6)}) > 1
    assert take(4).dtype == torch.int64
    assert not torch.equal(shuffled_rows(np.arange(50), 0)(50), shuffled_rows(np.arange(50), 1)(50))


@pytest.mark.parametrize(
    "size, batch, epochs, steps",
    [(800, 64, None, 400), (64_000, 64, None, 20_000), (640_000, 64, None, 40_000), (6_400_000, 64, None, 300_000),
     (100, 10, 3, 30), (3, 10, 1, 1)],
)  # fmt: skip
def test_steps(size, batch, epochs, steps):
    assert count_steps(size, batch, epochs) == steps


def test_missing_values_need_standardising():
    gaps = X.copy()
    gaps[::9, 0] = np.nan
    net = lambda: build_perceptron(4, (), 3)  # noqa: E731
    with pytest.raises(InputError, match=r"missing values.*standardize=True"):
        hs.measure(gaps, Y, learner=hs.Network(net))
    for learner in (hs.Network(net, standardize=True, epochs=2), hs.Network(epochs=2)):
        assert np.isfinite(hs.measure(gaps, Y, learner=learner, folds=2, repeats=2).error).all()


# Refusals


def measuring_raises(kind, match, make, X=X, y=Y, **recipe):
    raises_in_one_line(kind, match, hs.measure, X, y, learner=hs.Network(make, **recipe), folds=2, repeats=2)


def test_modules_that_do_not_fit():
    measuring_raises(
        InputError, r"must return \(row, 3\): one logit per class. For 2 rows it returned \(2, 5\)", lambda: nn.Linear(4, 5)
    )
    measuring_raises(InputError, r"must return \(row, 1\): the predicted target", lambda: nn.Linear(4, 2), y=X[:, 0] + 0.05)
    measuring_raises(InputError, r"returned \(2,\)", lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)))
    measuring_raises(LearnerError, r"cannot read inputs of shape \(row, 4\)", lambda: nn.Linear(7, 3))
    measuring_raises(InputError, "make_net must return a torch.nn.Module. Got int", lambda: 3)
    measuring_raises(InputError, "no parameter to train", lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), Cut()))
    with pytest.raises(InputError, match="must make new networks, not be one"):
        hs.measure(X, Y, learner=nn.Linear(4, 3))


class Cut(nn.Module):
    def forward(self, x):
        return x[:, :3]


@pytest.mark.slow
@pytest.mark.parametrize("make", [None, normalised])
@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_diverging_training_is_an_error(make):
    measuring_raises(
        LearnerError, "training diverged.*lower learning_rate|predicts (nan|inf|-inf)", make, learning_rate=1e30
    )


@pytest.mark.parametrize(
    "match, recipe",
    [
        ("schedule must be one of constant, cosine. Got 'linear'", {"schedule": "linear"}),
        ("epochs must be 1 or more. Got 0", {"epochs": 0}),
        ("batch_size must be 1 or more. Got 0", {"batch_size": 0}),
        ("members_at_once must be 1 or more. Got -1", {"members_at_once": -1}),
        ("learning_rate must be above 0. Got 0", {"learning_rate": 0.0}),
        ("learning_rate must be above 0. Got nan", {"learning_rate": math.nan}),
        ("weight_decay must be 0 or more. Got -1", {"weight_decay": -1.0}),
    ],
)
def test_arguments_out_of_range(match, recipe):
    with pytest.raises(InputError, match=match):
        hs.Network(**recipe)


def test_networks_say_what_they_are():
    assert "perceptron 128" in hs.Network().describe()
    assert "weight decay scaled to the steps" in hs.Network().describe()
    assert "network normalised" in hs.Network(normalised, epochs=7, weight_decay=0.1).describe()
    assert "7 epochs" in hs.Network(normalised, epochs=7).describe()


def test_ticks_add_up_to_the_models():
    samples, done = Samples.of(X, Y), []
    plan = plan_of(samples)
    list(hs.Network(epochs=1, members_at_once=4).fit_predict(samples, plan, done.append))
    assert sum(done) == pytest.approx(plan.n_models)


def test_one_step_of_training_keeps_its_sign():
    # The automatic weight decay must never push a weight through zero, however few the steps.
    samples = Samples.of(X, Y)
    plan = plan_of(samples, folds=2)
    untouched = views(hs.Network(epochs=1, batch_size=512, learning_rate=1e-9, weight_decay=0.0), samples, plan)
    found = views(hs.Network(epochs=1, batch_size=512, learning_rate=1e-9), samples, plan)
    for a, b in zip(found, untouched, strict=True):
        odds = [v.values - v.values.mean(1, keepdim=True) for v in (a, b)]
        assert np.corrcoef(odds[0].flatten(), odds[1].flatten())[0, 1] > 0.9


@pytest.mark.slow
def test_default_ranking_on_flipped_digits(flipped_digits):
    X, y, wrong = flipped_digits(3)
    d = hs.measure(X, y, folds=3, repeats=2)
    order = np.argsort(-d.error)
    assert wrong[order[: wrong.sum()]].mean() > 0.9
