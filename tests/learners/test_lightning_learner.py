"""Lightning modules and functions that make modules, as learners."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import hardsight as hs
from hardsight.errors import HardsightWarning, InputError
from hardsight.learners import choose

N = 60
FAST = {"folds": 2, "repeats": 2}
QUICK = {"max_epochs": 3, "accelerator": "cpu"}


def make_data():
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = rng.normal(size=(N, 4))
    X[np.arange(N), y] += 2.5
    return X.astype(np.float32), y


X, Y = make_data()


class Model(pl.LightningModule):
    outputs = 3

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, self.outputs))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, _):
        x, y = batch
        loss = cross_entropy(self(x), y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.03)


class Regressor(Model):
    outputs = 1

    def training_step(self, batch, _):
        x, y = batch
        return mse_loss(self(x)[:, 0], y)


# Lightning's own, where it is called by hand.
@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning", "ignore:.*does not have many workers")
def test_errors_are_those_of_trainers_called_by_hand():
    learner = hs.LightningModel(Model, trainer=QUICK, batch_size=16)
    seeds = []
    original = learner._train

    def recorded(data, ids, weights, seed):
        seeds.append((ids, seed))
        return original(data, ids, weights, seed)

    learner._train = recorded
    d = hs.measure(X, Y, learner=learner, **FAST, refine=False)
    views = np.full((2, N, 3), np.nan)
    for number, (ids, seed) in enumerate(seeds):
        torch.manual_seed(seed)
        module, data = Model(), TensorDataset(torch.tensor(X[ids]), torch.tensor(Y[ids]))
        trainer = pl.Trainer(
            **QUICK, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
        )
        trainer.fit(module, DataLoader(data, 16, sampler=RandomSampler(data)))
        held_out = np.setdiff1d(np.arange(N), ids)
        with torch.no_grad():
            views[number // 2, held_out] = module.eval()(torch.tensor(X[held_out])).numpy()
    assert (hs.measure_predictions(views, Y).error == d.error).all()
    assert not any("Lightning" in text or "workers" in text for text in d.run.notices)


def test_a_function_or_class_that_makes_a_lightning_module():
    samples = hs.Samples.of(X, Y)
    for make in (Model, lambda: Model()):
        assert isinstance(choose(make, samples)[0], hs.LightningModel)


def test_weights_are_how_often_samples_are_drawn():
    rows = []

    class Counting(Model):
        def training_step(self, batch, index):
            rows.append(batch[0][:, 0])
            return super().training_step(batch, index)

    weights = np.where(np.arange(N) % 2, 1.0, 0.0)
    hs.measure(X, Y, learner=hs.LightningModel(Counting, trainer=QUICK), weights=weights, **FAST, refine=False)
    assert set(torch.cat(rows).tolist()) <= set(X[1::2, 0].tolist())


def test_regression():
    target = X @ np.arange(4.0)
    d = hs.measure(X, target, learner=hs.LightningModel(Regressor, trainer={**QUICK, "max_epochs": 40}), **FAST)
    assert d.error.mean() < target.var()


class Softmax(Model):
    def forward(self, x):
        return self.net(x).softmax(1)


def test_probabilities_in_place_of_logits_are_a_notice():
    with pytest.warns(HardsightWarning, match="leave out its final softmax"):
        d = hs.measure(X, Y, learner=hs.LightningModel(Softmax, trainer=QUICK), **FAST, refine=False)
    assert sum("forward look like probabilities" in text for text in d.run.notices) == 1


@pytest.mark.parametrize("wrap", [lambda logits: {"logits": logits}, lambda logits: (logits, logits)])
def test_networks_that_return_more_than_logits_are_refused(wrap):
    class Wrapped(nn.Linear):
        def forward(self, x):
            return wrap(super().forward(x))

    with pytest.raises(InputError, match="must return a tensor"):
        hs.measure(X, Y, learner=lambda: Wrapped(4, 3), **FAST)


def test_notices_have_no_addresses():
    with pytest.warns(HardsightWarning, match="LazyLinear cannot be vectorised"):
        d = hs.measure(X, Y, learner=lambda: nn.LazyLinear(3), **FAST, refine=False)
    assert not any("0x" in text for text in d.run.notices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"make_module": Model()}, "make_module must be a function"),
        ({"make_module": Model, "trainer": pl.Trainer}, "trainer must be a dict"),
        ({"make_module": Model, "batch_size": 0}, "batch_size must be"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        hs.LightningModel(**arguments)


def test_other_modules_and_failing_trainers_are_one_line():
    with pytest.raises(InputError, match="must return a LightningModule"):
        hs.measure(X, Y, learner=hs.LightningModel(lambda: nn.Linear(4, 3)), **FAST)
    with pytest.raises(hs.LearnerError, match="train of Lightning Model failed on member 0 of round 0"):
        hs.measure(X, Y, learner=hs.LightningModel(Model, trainer={"epochs": 3}), **FAST)


def make_net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def test_a_function_that_makes_a_module_is_a_network():
    direct = hs.measure(X, Y, learner=make_net, **FAST, refine=False)
    assert (direct.error == hs.measure(X, Y, learner=hs.Network(make_net), **FAST, refine=False).error).all()


class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()


SHARED = nn.Linear(4, 8)
SAME = make_net()


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (SAME, r"learner=lambda: MyModule\(…\)"),
        (Needy, r"pass lambda: Needy\(…\)"),
        (lambda width: Needy(width), "cannot be called without arguments"),
        (lambda: 3, "must make a torch module. It returned int"),
        (lambda: LogisticRegression(), "pass what it returns"),
        (lambda: 1 / 0, "fails when it is called .ZeroDivisionError"),
        (lambda: SAME, "the same module again"),
        (lambda: nn.Sequential(SHARED, nn.ReLU(), nn.Linear(8, 3)), "share the parameter '0.weight'"),
        (7, r"hs.Loop\(train, predict\). Got int"),
    ],
)
def test_what_makes_no_new_modules_is_refused(learner, message):
    with pytest.raises(InputError, match=message):
        hs.measure(X, Y, learner=learner, **FAST)


def test_frozen_parts_may_be_shared():
    frozen = nn.Linear(4, 8).requires_grad_(False)
    d = hs.measure(X, Y, learner=lambda: nn.Sequential(frozen, nn.ReLU(), nn.Linear(8, 3)), **FAST, refine=False)
    assert np.isfinite(d.error).all()


def test_group_norm_trains_members_at_once(recwarn):
    def norm(layer):
        return lambda: nn.Sequential(nn.Linear(4, 8), layer(), nn.ReLU(), nn.Linear(8, 3))

    with pytest.warns(HardsightWarning, match="nn.GroupNorm in its place"):
        hs.measure(X, Y, learner=norm(lambda: nn.BatchNorm1d(8)), **FAST, refine=False)
    recwarn.clear()
    hs.measure(X, Y, learner=norm(lambda: nn.GroupNorm(2, 8)), **FAST, refine=False)
    assert not [str(w.message) for w in recwarn if issubclass(w.category, HardsightWarning)]


def test_augmentation_by_a_function_of_the_batch_alone():
    class Shift(nn.Module):
        """Draws from all global generators, as transforms do."""

        def forward(self, batch):
            return batch + 0.1 * torch.randn(()) + 0.1 * np.random.normal()

    seen = []

    def recorded(batch, scale=0.1):
        seen.append(len(batch))
        return batch + scale * torch.randn_like(batch)

    plain = hs.measure(X, Y, learner=make_net, **FAST, refine=False)
    for augment in (Shift(), recorded):
        state = torch.get_rng_state()
        one, two = (hs.measure(X, Y, learner=hs.Network(make_net, augment=augment), **FAST, refine=False) for _ in range(2))
        assert (one.error == two.error).all()
        assert (one.error != plain.error).any()
        assert torch.equal(torch.get_rng_state(), state)
    # Batches of training parts alone; samples that are predicted are not augmented.
    assert set(seen) == {30}
    with pytest.raises(InputError, match="augment must be a function"):
        hs.Network(make_net, augment=3)
