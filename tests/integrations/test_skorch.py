"""Weights in skorch's nets, with the real skorch."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import skorch
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import hardsight as hs
from hardsight.errors import InputError

LENGTH = {"max_epochs": 3, "lr": 0.1, "verbose": 0, "batch_size": 64}


class Softmax(nn.Module):
    def __init__(self, width=64, probabilities=False):
        super().__init__()
        self.linear = nn.Linear(width, 10)
        self.probabilities = probabilities

    def forward(self, X):
        scores = self.linear(X)
        return scores.softmax(-1) if self.probabilities else scores


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X[:400] / 16).astype(np.float32), y[:400]


def net(kind=hs.skorch.WeightedNeuralNetClassifier, **changes):
    # The callback that prints holds on to print, which Ray puts another function in place of: it could not be pickled.
    defaults = {"criterion": nn.CrossEntropyLoss, "iterator_train__shuffle": True, "callbacks__print_log": None}
    return kind(Softmax, **{**defaults, **LENGTH, **changes})


def fit(model, X, y, **changes):
    torch.manual_seed(0)
    return model.fit(X, y, **changes)


def weight_of(model):
    return model.module_.linear.weight.detach().numpy()


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_weights_of_one_train_the_net_of_skorch(digits, criterion):
    changes = {"criterion": criterion, "module__probabilities": criterion is nn.NLLLoss}
    plain = fit(net(skorch.NeuralNetClassifier, **changes), *digits)
    for model in (fit(net(**changes), *digits), fit(net(**changes), *digits, sample_weight=np.ones(len(digits[1])))):
        np.testing.assert_allclose(weight_of(model), weight_of(plain), rtol=1e-5, atol=1e-7)
        assert model.history[:, "valid_loss"] == pytest.approx(plain.history[:, "valid_loss"])


def test_weights_reach_their_samples_through_shuffling_and_the_split_for_validation(digits):
    X, y = digits
    weights = np.random.default_rng(0).uniform(0, 3, len(y)).astype(np.float32)
    weights[y == 4] = 0
    model = fit(net(batch_size=-1, max_epochs=1, iterator_train__shuffle=False), X, y, sample_weight=weights)
    torch.manual_seed(0)
    start = Softmax()
    rows = skorch.dataset.ValidSplit(5, stratified=True)(skorch.dataset.Dataset(X, y), y)[0].indices
    losses = nn.functional.cross_entropy(start(torch.from_numpy(X[rows])), torch.from_numpy(y[rows]), reduction="none")
    (losses * torch.from_numpy(weights[rows])).mean().backward()
    by_hand = (start.linear.weight - 0.1 * start.linear.weight.grad).detach().numpy()
    np.testing.assert_allclose(weight_of(model), by_hand, rtol=1e-5, atol=1e-7)
    shuffled = fit(net(max_epochs=20), X, y, sample_weight=weights)
    assert not (shuffled.predict(X) == 4).any()


def test_schemes_weigh_by_the_losses_as_they_are(digits):
    X, y = digits
    model = fit(
        net(batch_size=-1, max_epochs=1, train_split=None, weighting="spl-linear", weighting_parameters={"lam": 2.5}), X, y
    )
    torch.manual_seed(0)
    start = Softmax()
    losses = nn.functional.cross_entropy(start(torch.from_numpy(X)), torch.from_numpy(y), reduction="none")
    ((1 - losses / 2.5).clamp(min=0).detach() * losses).mean().backward()
    by_hand = (start.linear.weight - 0.1 * start.linear.weight.grad).detach().numpy()
    np.testing.assert_allclose(weight_of(model), by_hand, rtol=1e-5, atol=1e-7)


def test_the_scheme_knows_epoch_samples_and_class_sizes(digits):
    X, y = digits
    model = fit(net(weighting="spl-hard", weighting_parameters={"lam": 9.0}), X, y)
    assert model.weighting_.epoch == 2
    assert model.weighting_.epochs == 3
    assert model.weighting_.id_index.count == 400
    assert model.weighting_.sizes.sum() == 320


def test_a_difficulty_weighs_by_position(digits):
    X, y = digits
    d = hs.measure(X, y, learner="ridge", folds=3, repeats=2)
    parameters = {"scheme": "spl-linear", "lam": 2.0}
    by_name = fit(net(train_split=None, weighting=d, weighting_parameters=parameters), X, y)
    by_hand = fit(net(train_split=None), X, y, sample_weight=hs.weigh(d, "spl-linear", lam=2.0))
    np.testing.assert_allclose(weight_of(by_name), weight_of(by_hand), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("index", [np.arange(200)[::-1], [f"row {i}" for i in range(200)]])
def test_a_difficulty_weighs_rows_whatever_its_ids(digits, index):
    X, y = digits[0][:200], digits[1][:200]
    d = hs.measure(pd.DataFrame(X, index=index).add_prefix("x"), y, learner="ridge", folds=3, repeats=2)
    assert d.ids.tolist() == list(index)
    by_name = fit(net(weighting=d, weighting_parameters={"scheme": "spl-linear", "lam": 2.0}), X, y)
    by_hand = fit(net(), X, y, sample_weight=hs.weigh(d, "spl-linear", lam=2.0))
    np.testing.assert_allclose(weight_of(by_name), weight_of(by_hand), rtol=1e-5, atol=1e-7)
    with pytest.raises(InputError, match="there are 200 weights and 100 training rows: pass the weights of these rows as"):
        net(weighting=d).fit(X[:100], y[:100])


def test_it_works_with_the_parts_of_scikit_learn(digits):
    X, y = digits
    model = net(weighting="spl-linear", weighting_parameters={"lam": 9.0}, train_split=None)
    pipe = make_pipeline(StandardScaler().set_output(), model)
    grid = {"weightedneuralnetclassifier__weighting_parameters": [{"lam": 5.0}, {"lam": 50.0}]}
    searched = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert searched.best_score_ > 0.5
    assert clone(model).get_params()["weighting"] == "spl-linear"
    fitted_model = fit(clone(model), X, y)
    restored = pickle.loads(pickle.dumps(fitted_model))
    np.testing.assert_array_equal(restored.predict_proba(X), fitted_model.predict_proba(X))
    weights = np.where(y == 4, 0.0, 1.0)
    last = make_pipeline(StandardScaler(), net(max_epochs=15))
    last.fit(X, y, weightedneuralnetclassifier__sample_weight=weights)
    assert not (last.predict(X) == 4).any()


def test_metadata_routing_cuts_the_weights_with_the_folds(digits):
    X, y = digits
    weights = np.where(y == 4, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = net(max_epochs=15).set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        scores = cross_validate(
            model, X, y, cv=2, params={"sample_weight": weights}, return_estimator=True, error_score="raise"
        )
    assert not any((each.predict(X) == 4).any() for each in scores["estimator"])


def test_hardsight_measures_and_weights_it(digits):
    X, y = digits
    model = hs.sklearn.DifficultyWeightedClassifier(
        net(train_split=None), "spl-linear", scheme_parameters={"lam": 5.0}, folds=2
    )
    assert model.fit(X, y).score(X, y) > 0.5


def test_partial_fit_continues_training(digits):
    X, y = digits
    once = fit(net(max_epochs=4, iterator_train__shuffle=False), X, y, sample_weight=np.linspace(0, 2, len(y)))
    twice = fit(net(max_epochs=2, iterator_train__shuffle=False), X, y, sample_weight=np.linspace(0, 2, len(y)))
    twice.partial_fit(X, y, sample_weight=np.linspace(0, 2, len(y)))
    np.testing.assert_allclose(weight_of(once), weight_of(twice), rtol=1e-6)


def test_weights_of_one_call_are_not_those_of_the_next(digits):
    X, y = digits
    model = fit(net(train_split=None), X, y, sample_weight=np.zeros(len(y)))
    before = weight_of(model).copy()
    model.partial_fit(X[:300], y[:300], sample_weight=np.zeros(300))
    np.testing.assert_array_equal(weight_of(model), before)
    model.partial_fit(X, y)
    assert model.weighting_ is None
    assert not np.array_equal(weight_of(model), before)
    model.partial_fit(X, y, sample_weight=np.ones(len(y)))
    weighting = model.weighting_
    assert len(model.get_split_datasets(X[:300], y[:300])[0]) == 300
    assert model.weighting_ is weighting
    with pytest.raises(InputError, match="400 samples, 300 weights"):
        model.partial_fit(X, y, sample_weight=np.ones(300))


def test_a_scheme_remembers_the_samples_until_there_are_others(digits):
    X, y = digits
    model = fit(net(train_split=None, weighting="active-bias"), X, y)
    remembered = {name: value.clone() for name, value in model.weighting_.scheme_state.tensors.items()}
    model.set_params(max_epochs=0).partial_fit(X, y)
    assert all(torch.equal(model.weighting_.scheme_state.tensors[name], value) for name, value in remembered.items())
    model.partial_fit(X[::-1][:300], y[::-1][:300])
    assert model.weighting_.id_index.count == 300


@pytest.mark.parametrize("absent", [4, 9])
def test_class_sizes_are_those_of_all_classes_of_the_net(digits, absent):
    X, y = digits
    rows = y != absent
    model = fit(net(weighting="logit-adjusted-loss", train_split=None), X[rows], y[rows])
    assert model.weighting_.sizes.tolist() == np.bincount(y[rows], minlength=10).tolist()
    assert model.weighting_.epoch == 2
    model.partial_fit(X[y < 5], y[y < 5])
    assert model.weighting_.sizes.tolist() == [*np.bincount(y[y < 5]), 0, 0, 0, 0, 0]


def test_what_cannot_be_weighted_is_refused_with_the_fix(digits):
    X, y = digits
    with pytest.raises(InputError, match="sample_weight cannot be combined with weighting: leave one of them out"):
        net(weighting="spl-hard").fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(InputError, match="0 or more"):
        net().fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(InputError, match="400 samples, 3 weights"):
        net().fit(X, y, sample_weight=np.ones(3))
    with pytest.raises(InputError, match="has no loss per sample that could be weighted"):
        net(criterion=ByHand).fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(InputError, match="'gce-loss' takes the place of the model's own loss, whose class weights"):
        net(weighting="gce-loss", weighting_parameters={"q": 0.7}, criterion__label_smoothing=0.1).fit(X, y)


class ByHand(nn.Module):
    def forward(self, scores, labels):
        return -scores.log_softmax(1).gather(1, labels[:, None]).mean()


class Joined(nn.Module):
    """A criterion without a choice of the reduction."""

    def forward(self, scores, labels):
        return nn.functional.cross_entropy(scores, labels)


class Focal(nn.Module):
    """A loss that is not linear in torch's, with the usual choice of the reduction."""

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, scores, labels):
        losses = nn.functional.cross_entropy(scores, labels, reduction="none")
        losses = (1 - torch.exp(-losses)).square() * losses
        return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[self.reduction]()


class OneHot(nn.BCEWithLogitsLoss):
    """Binary cross-entropy for class codes."""

    def forward(self, scores, labels):
        return super().forward(scores, nn.functional.one_hot(labels, 10).float())


class Penalized(hs.skorch.WeightedNeuralNetClassifier):
    """A net with a penalty on its weights."""

    penalty = 0.01

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) + self.penalty * self.module_.linear.weight.square().sum()


CLASS_WEIGHTS = torch.linspace(0.5, 5, 10)
CRITERIA = {
    "class weights": {"criterion__weight": CLASS_WEIGHTS},
    "class weights of log-probabilities": {
        "criterion": nn.NLLLoss, "criterion__weight": CLASS_WEIGHTS, "module__probabilities": True,
    },
    "ignored class": {"criterion__ignore_index": 3},
    "ignored and weighted": {"criterion__ignore_index": 3, "criterion__weight": CLASS_WEIGHTS},
    "smoothed": {"criterion__label_smoothing": 0.2},
    "smoothed and weighted": {"criterion__label_smoothing": 0.2, "criterion__weight": CLASS_WEIGHTS},
    "sum": {"criterion__reduction": "sum", "lr": 0.001},
    "weighted sum": {"criterion__reduction": "sum", "criterion__weight": CLASS_WEIGHTS, "lr": 0.001},
    "binary": {"callbacks__valid_acc": None, "criterion": OneHot},
    "binary, weighted": {"callbacks__valid_acc": None, "criterion": OneHot, "criterion__pos_weight": CLASS_WEIGHTS},
    "margin": {"criterion": nn.MultiMarginLoss, "criterion__weight": CLASS_WEIGHTS},
    "no reduction": {"criterion": Joined},
    "focal": {"criterion": Focal},
    "sum of focal": {"criterion": Focal, "criterion__reduction": "sum", "lr": 0.001},
}  # fmt: skip


@pytest.mark.parametrize("name", CRITERIA)
def test_weights_of_one_train_with_the_loss_of_the_criterion(digits, name):
    # Batches of 64 of 320 samples, so that each has other totals of class weights.
    plain = fit(net(skorch.NeuralNetClassifier, **CRITERIA[name]), *digits)
    ones = fit(net(**CRITERIA[name]), *digits, sample_weight=np.ones(len(digits[1])))
    np.testing.assert_allclose(weight_of(ones), weight_of(plain), rtol=1e-4, atol=1e-6)
    doubled = fit(net(**CRITERIA[name]), *digits, sample_weight=np.full(len(digits[1]), 2.0))
    assert np.abs(weight_of(doubled) - weight_of(plain)).max() > 1e-3


@pytest.mark.parametrize("name", ["class weights", "ignored and weighted", "smoothed and weighted"])
def test_sample_weights_multiply_with_class_weights(digits, name):
    X, y = digits
    weights = np.random.default_rng(0).uniform(0, 3, len(y)).astype(np.float32)
    model = fit(net(batch_size=-1, max_epochs=1, train_split=None, **CRITERIA[name]), X, y, sample_weight=weights)
    torch.manual_seed(0)
    start, targets = Softmax(), torch.from_numpy(y)
    arguments = {key.removeprefix("criterion__"): value for key, value in CRITERIA[name].items()}
    losses = nn.functional.cross_entropy(start(torch.from_numpy(X)), targets, reduction="none", **arguments)
    total = CLASS_WEIGHTS[targets][targets != arguments.get("ignore_index", -100)].sum()
    ((losses * torch.from_numpy(weights)).sum() / total).backward()
    by_hand = (start.linear.weight - 0.1 * start.linear.weight.grad).detach().numpy()
    np.testing.assert_allclose(weight_of(model), by_hand, rtol=1e-5, atol=1e-6)


def test_schemes_read_the_probability_of_the_label_and_not_that_of_a_weighted_loss(digits):
    X, y = digits
    model = fit(net(batch_size=-1, max_epochs=1, train_split=None, weighting="focal", criterion__weight=CLASS_WEIGHTS), X, y)
    torch.manual_seed(0)
    start, targets = Softmax(), torch.from_numpy(y)
    scores = start(torch.from_numpy(X))
    p = scores.softmax(1).gather(1, targets[:, None])[:, 0]
    losses = nn.functional.cross_entropy(scores, targets, weight=CLASS_WEIGHTS, reduction="none")
    weights = (1 - p) ** hs.SCHEMES["focal"].parameters["gamma"]
    ((weights * losses).sum() / CLASS_WEIGHTS[targets].sum()).backward()
    by_hand = (start.linear.weight - 0.1 * start.linear.weight.grad).detach().numpy()
    np.testing.assert_allclose(weight_of(model), by_hand, rtol=1e-4, atol=1e-6)


def test_a_penalty_on_the_net_is_kept(digits):
    class Below(skorch.NeuralNetClassifier):
        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs) + 0.01 * self.module_.linear.weight.square().sum()

    class Mixed(hs.skorch.WeightedNet, Below):
        pass

    plain = fit(net(Below), *digits)
    for kind in (Mixed, Penalized):
        ones = fit(net(kind), *digits, sample_weight=np.ones(len(digits[1])))
        np.testing.assert_allclose(weight_of(ones), weight_of(plain), rtol=1e-4, atol=1e-6)


class Accumulating(hs.skorch.WeightedNeuralNetClassifier):
    """A net that steps after two batches, as skorch's documentation shows it."""

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) / 2

    def train_step(self, batch, **fit_params):
        step = self.train_step_single(batch, **fit_params)
        if len(self.history[-1, "batches"]) % 2 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


@pytest.mark.parametrize(
    ("weighting", "parameters"), [("spl-hard", {"lam": 4.0}), (np.ones(400), {"reduction": "weighted mean"})]
)
def test_weighted_means_over_micro_batches_are_refused(digits, weighting, parameters):
    with pytest.raises(InputError, match="a weighted mean over micro-batches needs all weights first"):
        fit(net(Accumulating, weighting=weighting, weighting_parameters=parameters), *digits)
    mean = parameters | {"reduction": "mean"}
    fit(net(Accumulating, weighting=weighting, weighting_parameters=mean), *digits)
    fit(net(weighting=weighting, weighting_parameters=parameters), *digits)
