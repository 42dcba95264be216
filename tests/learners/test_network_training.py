"""Weights, dropout, augmentation, ids and precision against a plain loop that trains one network after another."""

import gc
import math
import pickle
import warnings
import weakref

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_iris
from torch import nn
from torch.nn import functional

import hardsight as hs
from hardsight import Samples
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners.network import batches, devices, native
from hardsight.learners.network.mlp import find_layers
from hardsight.learners.network.native_program import read_program
from hardsight.learners.network.network import build_perceptron
from hardsight.learners.network.optimizer import MemberBatch, train_stacked
from hardsight.learners.network.seeds import derive_seed, shuffled_rows
from hardsight.learners.network.stacked import build_net, try_stacking
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
PIXELS, DIGITS = load_digits(return_X_y=True)
IMAGES = (PIXELS[:90].reshape(-1, 8, 8) / 16).astype(np.float32)
WEIGHTS = np.random.default_rng(0).choice([0.0, 1.0, 2.0, 0.3], size=150)
RECIPE = {"epochs": 3, "batch_size": 16}
RATE = 3e-3


def plan_of(samples, folds=3, repeats=2):
    units = block_codes(len(samples))
    rounds = KFold(folds, repeats).split(None if samples.regression else samples.labels, units, split_seed(0))
    return Plan(rounds, units, repeats, 0)


def predictions(network, samples, plan):
    return [view.values for view in network.fit_predict(samples, plan, lambda _: None)]


def one_at_a_time(samples, plan, make, x, *, weights=None, augment=None, numbers="masks", standardize=False, sgd=False):
    """Modules, optimisers and torch's own dropout, member by member; ``numbers``: the stream that the forward pass draws."""
    members = list(plan.members())
    sizes = [len(m.train) for m in members]
    batch = min(RECIPE["batch_size"], min(sizes))
    steps = round(RECIPE["epochs"] * sum(sizes) / len(sizes) / batch)
    share = [0.5 * (1 + math.cos(math.pi * k / steps)) for k in range(steps)]
    found = []
    for m in members:
        torch.manual_seed(derive_seed(m.seed, "weights"))
        net = make()
        y = samples.labels
        if samples.regression:
            centre, width = y[m.train].mean(), y[m.train].std()
            y = ((y - centre) / width).astype(np.float32)
        y, given = torch.from_numpy(y), torch.from_numpy(x)
        mean, sd = (given[m.train].mean(0), given[m.train].std(0, correction=0)) if standardize else (0, 1)
        decay = 1.5 / (RATE * sum(share))
        optimizer = (
            torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=decay / 10)
            if sgd
            else torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=decay)
        )
        take = shuffled_rows(m.train, m.seed)
        own = torch.Generator().manual_seed(derive_seed(m.seed, "augment"))
        torch.manual_seed(derive_seed(m.seed, numbers))
        net.train()
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = RATE * share[step]
            rows = take(batch)
            seen = given[rows] if augment is None else augment(given[rows], own)
            out = net((seen - mean) / sd if standardize else seen)
            losses = (
                (out[:, 0] - y[rows]) ** 2
                if samples.regression
                else functional.cross_entropy(out, y[rows], reduction="none")
            )
            counts = 1 if weights is None else torch.tensor(weights[rows] / weights[m.train].mean()).float()
            optimizer.zero_grad()
            (sum(counts * losses) / batch).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            out = net((given[m.held_out] - mean) / sd if standardize else given[m.held_out]).double()
        found.append(out[:, 0] * width + centre if samples.regression else out.log_softmax(1))
    return found


def assert_same(found, expected, tolerance=1e-5):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def by_hand(outputs=3):
    return build_perceptron(4, (12,), outputs)


def by_autograd(outputs=3):
    return nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, outputs))


class Watching(nn.Module):
    """A module that looks at its inputs before it decides what to do with them, to no effect."""

    def __init__(self, outputs=3):
        super().__init__()
        self.layers = by_autograd(outputs)

    def forward(self, x):
        return self.layers(-x if x.sum() > 1e9 else x)


PATHS = pytest.mark.parametrize("make", [by_hand, by_autograd, Watching])
ONE_AFTER_ANOTHER = pytest.mark.filterwarnings("ignore:members are trained one after another")


def test_the_paths_differ():
    assert find_layers(by_hand()) is not None
    assert find_layers(by_autograd()) is None
    assert try_stacking(by_autograd(), torch.ones(2, 4)).obstacle is None
    assert "Watching cannot be vectorised" in try_stacking(Watching(), torch.ones(2, 4)).obstacle


# Weights


@PATHS
@ONE_AFTER_ANOTHER
def test_weights_are_those_of_a_plain_loop(make):
    samples = Samples.of(X, Y, weights=WEIGHTS)
    plan = plan_of(samples)
    expected = one_at_a_time(samples, plan, make, X, weights=WEIGHTS)
    assert_same(predictions(hs.Network(make, **RECIPE), samples, plan), expected)
    plain = predictions(hs.Network(make, **RECIPE), Samples.of(X, Y), plan)
    assert max((a - b).abs().max().item() for a, b in zip(plain, expected, strict=True)) > 0.01


@pytest.mark.slow
@PATHS
@ONE_AFTER_ANOTHER
def test_weights_have_mean_one_over_each_training_part(make):
    # AdamW hardly tells how large a gradient is; SGD does.
    weights = np.where(np.arange(150) < 30, 20.0, 0.5)
    samples = Samples.of(X, Y, weights=weights)
    plan = plan_of(Samples.of(X, Y), folds=5)
    learner = hs.Network(make, **RECIPE, optimizer="sgd", learning_rate=RATE)
    expected = one_at_a_time(samples, plan, make, X, weights=weights, sgd=True)
    assert_same(predictions(learner, samples, plan), expected)


@PATHS
@ONE_AFTER_ANOTHER
def test_weights_in_regression_are_those_of_a_plain_loop(make):
    samples = Samples.of(X, 40 + 10 * X[:, 0] * X[:, 2].astype(np.float64), weights=WEIGHTS)
    plan = plan_of(samples)
    net = lambda: make(1)  # noqa: E731
    expected = one_at_a_time(samples, plan, net, X, weights=WEIGHTS)
    assert_same(predictions(hs.Network(net, **RECIPE), samples, plan), expected)


@PATHS
@ONE_AFTER_ANOTHER
def test_a_sample_without_weight_teaches_nothing(make):
    plan = plan_of(Samples.of(X, Y))
    spoilt = np.where(WEIGHTS == 0, (Y + 1) % 3, Y)
    learner = hs.Network(make, **RECIPE)
    true, false = (predictions(learner, Samples.of(X, y, weights=WEIGHTS), plan) for y in (Y, spoilt))
    assert all(torch.equal(a, b) for a, b in zip(true, false, strict=True))
    unlike = predictions(learner, Samples.of(X, spoilt), plan)
    assert not torch.equal(unlike[0], predictions(learner, Samples.of(X, Y), plan)[0])


def test_the_scale_of_weights_does_not_matter():
    plan = plan_of(Samples.of(X, Y))
    plain, ones, sevens = (
        predictions(hs.Network(**RECIPE), Samples.of(X, Y, weights=w), plan) for w in (None, np.ones(150), np.full(150, 7))
    )
    assert_same(ones, plain, 1e-6)
    assert all(torch.equal(a, b) for a, b in zip(ones, sevens, strict=True))


@pytest.mark.parametrize("engine", ["native", "stacked"])
def test_members_may_have_weights_of_their_own(engine):
    if engine == "native":
        pytest.importorskip("numba")
    plan = plan_of(Samples.of(X, Y))
    members = list(plan.members())
    own = np.random.default_rng(1).exponential(size=(len(members), 150))
    network = hs.Network(**RECIPE, engine=engine)
    optimizer, device = network.optimizer, network.device

    def ends(weights, members):
        data = batches.TrainingData(torch.from_numpy(X), torch.from_numpy(Y), torch.from_numpy(weights))
        batched = batches.Batches(members, data, regression=False, standardize=True)
        nets = [build_net(lambda: build_perceptron(4, (16,), 3), m.seed) for m in members]
        chunk = MemberBatch(nets, batched, 16, 30, optimizer, device, lambda _: None)
        train = native.NativeEngine(read_program(nets[0], (4,)), data.inputs).train if engine == "native" else train_stacked
        return list(train(chunk, lambda index, predict: predict(batched.select_inputs(index, torch.arange(150))).detach()))

    together = ends(own, members)
    for found, weights, member in zip(together, own, members, strict=True):
        (alone,) = ends(weights, [member])
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-4)
    assert (together[0] - ends(own[1], members)[0]).abs().max() > 1e-3


def test_a_training_part_without_weight_is_refused():
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    member = next(plan.members())
    alone = np.zeros(150)
    alone[member.held_out] = 1
    with pytest.raises(LearnerError, match="training part have weight 0"):
        predictions(hs.Network(epochs=1), Samples.of(X, Y, weights=alone), plan)


# Dropout


class Everywhere(nn.Module):
    """Every kind of dropout, as modules and as functions, in and out of place."""

    def __init__(self):
        super().__init__()
        self.convolution, self.end = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 10)
        self.elements, self.alpha = nn.Dropout(0.3), nn.AlphaDropout(0.2)
        self.channels, self.features = nn.Dropout2d(0.2), nn.FeatureAlphaDropout(0.1)

    def forward(self, x):
        x = self.features(self.channels(self.convolution(x[:, None])))
        x = functional.dropout1d(x.flatten(2), 0.1, self.training)
        x = functional.dropout1d(x.flatten(1), 0.05, self.training)
        x = functional.dropout3d(x.unflatten(1, (4, 1, 6, 6)), 0.1, self.training).flatten(1)
        x = self.alpha(self.elements(functional.selu(x)))
        x = x * 1
        functional.alpha_dropout(x, 0.1, self.training, inplace=True)
        functional.dropout(x, 0.1, self.training, inplace=True)
        return self.end(functional.dropout(x, 0.0, self.training))


KINDS = {
    "every kind": Everywhere,
    "elements": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.4), nn.ReLU(), nn.Linear(16, 10)),
    "of the inputs": lambda: nn.Sequential(nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, 10)),
    "channels": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 6, 3), nn.Dropout2d(0.4), nn.Flatten(), nn.Linear(216, 10)
    ),
    "alpha": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.SELU(), nn.AlphaDropout(0.3), nn.Linear(16, 10)),
    "everything": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(1.0), nn.Linear(16, 10)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_those_that_each_member_would_draw_alone(kind):
    samples = Samples.of(IMAGES, DIGITS[:90])
    plan = plan_of(samples)
    expected = one_at_a_time(samples, plan, KINDS[kind], IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for together in (1, 4, None):
            found = predictions(hs.Network(KINDS[kind], **RECIPE, members_at_once=together), samples, plan)
            assert_same(found, expected)


class Noisy(nn.Module):
    """Draws random numbers of its own beside those of dropout."""

    def __init__(self):
        super().__init__()
        self.layers = by_autograd()

    def forward(self, x):
        return self.layers(x + torch.randn_like(x) if self.training else x)


def test_other_random_numbers_are_drawn_one_member_after_another():
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    with pytest.warns(HardsightWarning, match="one after another: Noisy draws random numbers other than .* dropout"):
        found = predictions(hs.Network(Noisy, **RECIPE, members_at_once=4), samples, plan)
    assert_same(found, one_at_a_time(samples, plan, Noisy, X, numbers="forward"))


@ONE_AFTER_ANOTHER
def test_random_numbers_of_the_caller_are_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    predictions(hs.Network(Noisy, epochs=1), Samples.of(X, Y), plan_of(Samples.of(X, Y)))
    assert torch.equal(torch.get_rng_state(), before)


# Augmentation


def shifted(batch, generator):
    """Images moved by up to a pixel in each direction, every one by itself."""
    padded = functional.pad(batch, (1, 1, 1, 1))
    down, right = torch.randint(3, (2, len(batch)), generator=generator)
    return torch.stack([padded[i, a : a + 8, b : b + 8] for i, (a, b) in enumerate(zip(down, right, strict=True))])


def blurred(batch, generator):
    return batch.add_(0.3 * torch.randn(batch.shape, generator=generator))


def test_augmented_batches_are_those_of_a_plain_loop():
    samples = Samples.of(IMAGES, DIGITS[:90])
    plan = plan_of(samples)
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))  # noqa: E731
    expected = one_at_a_time(samples, plan, make, IMAGES, augment=shifted)
    for together in (1, 4, None):
        found = predictions(hs.Network(make, **RECIPE, augment=shifted, members_at_once=together), samples, plan)
        assert_same(found, expected)
    plain = predictions(hs.Network(make, **RECIPE), samples, plan)
    assert (plain[0] - expected[0]).abs().max() > 0.01


@PATHS
@ONE_AFTER_ANOTHER
def test_rows_are_augmented_before_they_are_standardised(make):
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    expected = one_at_a_time(samples, plan, make, X, augment=blurred, standardize=True)
    found = predictions(hs.Network(make, **RECIPE, augment=blurred, standardize=True), samples, plan)
    assert_same(found, expected, 1e-4)


@pytest.mark.slow
def test_the_default_perceptron_takes_augmentation():
    shapes = set()

    def spying(batch, generator):
        shapes.add((tuple(batch.shape[1:]), generator.device.type))
        return batch

    d = hs.measure(IMAGES, DIGITS[:90], learner=hs.Network(epochs=2, augment=spying), folds=2, repeats=2)
    plain = hs.measure(IMAGES, DIGITS[:90], learner=hs.Network(epochs=2, engine="stacked"), folds=2, repeats=2)
    np.testing.assert_array_equal(d.error, plain.error)
    assert shapes == {((64,), "cpu")}
    assert "augmented by spying" in d.settings["recipe"]


@pytest.mark.parametrize(
    "match, augment",
    [
        (r"shape, type and device: \(16, 4\), torch.float32, cpu. It returned \(16, 3\)", lambda b, g: b[:, :3]),
        (r"It returned \(16, 4\), torch.float64", lambda b, g: b.double()),
        ("augment must return the batch as a tensor. Got ndarray", lambda b, g: b.numpy()),
    ],
)
def test_augmentation_that_does_not_fit_is_refused(match, augment):
    with pytest.raises(InputError, match=match):
        hs.measure(X, Y, learner=hs.Network(batch_size=16, augment=augment), folds=2, repeats=2)


@pytest.mark.slow
def test_a_resumed_run_augments_and_drops_as_one_that_was_not_stopped(tmp_path):
    left = 0
    run = {"folds": 6, "repeats": 12}
    make = KINDS["elements"]

    class StopError(RuntimeError):
        pass

    def failing(batch, generator):
        nonlocal left
        left -= 1
        if left == 0:
            raise StopError
        return blurred(batch, generator)

    failing.__name__ = "blurred"
    learner = lambda augment: hs.Network(make, epochs=1, augment=augment)  # noqa: E731
    whole = hs.measure(IMAGES, DIGITS[:90], learner=learner(blurred), **run)
    # One step a member, and 24 members a part.
    left, kept = 60, tmp_path / "progress.npz"
    with pytest.raises(StopError):
        hs.measure(IMAGES, DIGITS[:90], learner=learner(failing), execution=hs.Execution(checkpoint=kept), **run)
    assert kept.exists()
    resumed = hs.measure(
        IMAGES, DIGITS[:90], learner=learner(blurred), execution=hs.Execution(checkpoint=kept, resume=True), **run
    )
    assert resumed.error.tobytes() == whole.error.tobytes()


# Ids


def sentences(n=90, length=6, vocabulary=20):
    """Rows of ids, of the class that their first two ids decide."""
    ids = np.random.default_rng(0).integers(vocabulary, size=(n, length))
    return ids, (ids[:, 0] + ids[:, 1] >= vocabulary).astype(np.int64)


def embedding(vocabulary=20):
    return nn.Sequential(nn.Embedding(vocabulary, 5), nn.Flatten(), nn.Linear(30, 2))


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.uint8])
def test_ids_reach_an_embedding_as_they_are(kind):
    ids, y = sentences()
    samples = Samples.of(ids.astype(kind), y)
    plan = plan_of(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predictions(hs.Network(embedding, **RECIPE), samples, plan)
    assert_same(found, one_at_a_time(samples, plan, embedding, ids))
    tensor = Samples.of(torch.from_numpy(ids), y)
    assert_same(predictions(hs.Network(embedding, **RECIPE), tensor, plan), found)


@pytest.mark.slow
def test_integers_stay_numbers_for_modules_that_read_them():
    ids, y = sentences()
    seen = set()

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.end = nn.Embedding(20, 5), nn.Linear(30, 2)

        def forward(self, x):
            seen.add(x.dtype)
            return self.end(self.embedding(x.long()).flatten(1))

    d = hs.measure(ids, y, learner=hs.Network(Spy, epochs=1), folds=2, repeats=2)
    assert seen == {torch.float32}
    linear = lambda: nn.Linear(6, 2)  # noqa: E731
    for learner in (hs.Network(linear, epochs=1), hs.Network(linear, epochs=1, standardize=True), hs.Network(epochs=1)):
        assert np.isfinite(hs.measure(ids, y, learner=learner, folds=2, repeats=2).error).all()
    assert np.isfinite(d.error).all()


def test_ids_that_an_embedding_lacks_are_refused():
    ids, y = sentences()
    for odd in (20, -1):
        ids[50, 3] = odd
        with pytest.raises(LearnerError, match=r"cannot read inputs of shape \(row, 6\) in int64: index out of range"):
            hs.measure(ids, y, learner=hs.Network(embedding), folds=2, repeats=2)
    with pytest.raises(LearnerError, match=r"cannot read inputs of shape \(row, 6\) in float32"):
        hs.measure(ids.astype(np.float64), y, learner=hs.Network(embedding), folds=2, repeats=2)


# Device and precision


def dropping():
    return nn.Sequential(nn.Linear(4, 12), nn.Dropout(0.1), nn.ReLU(), nn.Linear(12, 3))


@pytest.mark.slow
@pytest.mark.parametrize("make", [by_hand, by_autograd, dropping])
def test_bfloat16_comes_close_and_is_used(make):
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    recipe = {"epochs": 20, "batch_size": 16, "learning_rate": 1e-2}
    full, half = (
        predictions(hs.Network(make, **recipe, precision=precision), samples, plan) for precision in ("float32", "bfloat16")
    )
    errors = []
    for each in (full, half):
        total = torch.zeros(150, dtype=torch.float64)
        for member, log_prob in zip(plan.members(), each, strict=True):
            rows = torch.from_numpy(member.held_out)
            total[rows] -= log_prob.gather(1, torch.from_numpy(samples.labels)[rows, None])[:, 0] / 2
        errors.append(total)
    assert errors[1].mean().item() == pytest.approx(errors[0].mean().item(), rel=0.05)
    assert spearmanr(*errors).statistic > 0.99
    assert not torch.equal(*errors)


def test_members_in_bfloat16_do_not_depend_on_the_chunk():
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    alone, together = (
        predictions(hs.Network(by_autograd, **RECIPE, precision="bfloat16", members_at_once=k), samples, plan)
        for k in (1, 6)
    )
    assert_same(alone, together, 0.02)


def test_places_that_are_not_there():
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device='cuda' needs a GPU that torch can use, and it finds no"):
            hs.measure(X, Y, learner=hs.Network(device="cuda"))
    with pytest.raises(InputError, match="device='cuda:99' needs a GPU"):
        hs.measure(X, Y, learner=hs.Network(device="cuda:99"))
    for odd in ("gpu", "meta"):
        with pytest.raises(InputError, match="device must be cpu, cuda or cuda:N"):
            hs.Network(device=odd)
    with pytest.raises(InputError, match=r"precision must be one of float32, tf32, bfloat16. Got 'half'"):
        hs.Network(precision="half")
    with pytest.raises(InputError, match=r"precision='tf32' needs a GPU"):
        hs.Network(precision="tf32")
    assert hs.Network(device="cuda", precision="tf32").describe().endswith(", on cuda, in tf32")


def test_chunks_fit_into_the_free_memory(monkeypatch):
    device = devices.Device()
    monkeypatch.setattr(devices, "free_memory", lambda: 4 * 1000)
    assert [device.members_at_once(each) for each in (1, 10, 100, 300, 2000)] == [64, 64, 8, 2, 1]
    monkeypatch.setattr(devices, "free_memory", lambda: 0)
    assert device.members_at_once(5) == 1


def test_what_a_pass_keeps_grows_with_what_it_computes():
    small, large = (
        try_stacking(
            nn.Sequential(nn.Conv2d(1, c, 3), nn.ReLU(), nn.Flatten(), nn.Linear(c * 36, 2)), torch.ones(2, 1, 8, 8)
        )
        for c in (4, 40)
    )
    # At least the outputs of the convolution, 4 bytes each.
    assert small.saved_bytes >= 4 * 4 * 36
    assert large.saved_bytes > 5 * small.saved_bytes


# Once a run


@pytest.mark.slow
def test_a_run_is_prepared_once():
    made = []

    def make():
        made.append(1)
        return by_autograd()

    learner = hs.Network(make, epochs=1)
    first = hs.measure(X, Y, learner=learner, folds=3, repeats=20, duplicates="apart", refine=False)
    # One for each of 60 models, one that is described, and one that must not share parameters with it.
    assert len(made) == 62
    again = hs.measure(X[:, ::-1].copy(), Y, learner=learner, folds=3, repeats=2, duplicates="apart")
    fresh = hs.measure(X[:, ::-1].copy(), Y, learner=hs.Network(make, epochs=1), folds=3, repeats=2, duplicates="apart")
    np.testing.assert_array_equal(again.error, fresh.error)
    assert not np.array_equal(first.error, again.error)


def test_what_is_kept_for_a_run_does_not_travel():
    samples = Samples.of(X, Y)
    plan = plan_of(samples)
    predictions(hs.Network(epochs=1), samples, plan)
    assert plan.cache
    copy = pickle.loads(pickle.dumps(plan))
    assert not copy.cache
    assert copy.select(range(1)).cache is copy.cache


def test_what_is_kept_for_a_run_ends_with_it(monkeypatch):
    references = []
    prepared = hs.Network._prepare

    def spying(self, *arguments):
        ready = prepared(self, *arguments)
        references.append(weakref.ref(ready.data.inputs))
        return ready

    monkeypatch.setattr(hs.Network, "_prepare", spying)
    gc.disable()
    try:
        d = hs.measure(X, Y, learner=hs.Network(epochs=1), folds=3, repeats=2)
        assert references[0]() is None
    finally:
        gc.enable()
    assert d.samples is not None


def test_scales_are_taken_block_by_block(monkeypatch):
    monkeypatch.setattr(batches, "_BLOCK_ROWS", 7)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 5 + 100
    x[3:9, 1] = torch.nan
    x[:, 2] = 4.0
    rows = torch.arange(2, 40)
    mean, scale = batches._mean_and_scale(x, rows)
    own = x[rows].double().numpy()
    np.testing.assert_allclose(mean, np.nanmean(own, axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale[:2], np.nanstd(own, axis=0)[:2], rtol=1e-9)
    assert scale[2] == 1


@pytest.mark.slow
def test_read_only_arrays_are_read_without_a_word(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES.reshape(len(IMAGES), -1).astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    common = {"folds": 2, "repeats": 2}
    learner = hs.Network(epochs=2)
    mine = hs.measure(mapped, DIGITS[:90], learner=learner, **common)
    theirs = hs.measure(np.array(mapped), DIGITS[:90], learner=learner, **common)
    assert mine.error.tobytes() == theirs.error.tobytes()
