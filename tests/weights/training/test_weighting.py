"""Weighting in a loop of one process: values, gradients, ids, reductions, accumulation, precision, resuming."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_wine
from support.untyped_calls import printed
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError
from hardsight.integrations._row_weights import make_row_weighting

pytestmark = pytest.mark.usefixtures("example_schemes")


def losses(n=6, seed=0, dtype=torch.float32):
    return (2 * torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype).requires_grad_()


def gradient(total, at):
    return torch.autograd.grad(total, at)[0]


def test_fixed_weights_by_position_and_by_id():
    weights = np.array([1.0, 2, 0, 4])
    loss = losses(3)
    by_hand = (torch.tensor([4.0, 1, 2]) * loss).sum() / 3
    result = hs.Weighting(weights)(loss, torch.tensor([3, 0, 1]))
    torch.testing.assert_close(result, by_hand)
    torch.testing.assert_close(gradient(result, loss), torch.tensor([4.0, 1, 2]) / 3)
    far = np.array([70, -5, 2**62 + 1, 2**62])
    result = hs.Weighting(torch.tensor(weights), ids=far)(loss, torch.from_numpy(far[[3, 0, 1]]))
    torch.testing.assert_close(result, by_hand)


@pytest.mark.slow
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True), st.randoms())
def test_any_ids_find_their_own_weight(ids, random):
    weights = torch.arange(float(len(ids)))
    weighting = hs.Weighting(weights, ids=torch.tensor(ids), reduction="none")
    order = random.sample(range(len(ids)), len(ids))
    result = weighting(torch.ones(len(ids)), torch.tensor(ids)[order])
    torch.testing.assert_close(result, weights[order])


def test_a_difficulty_brings_its_ids_and_weights():
    X, y = load_wine(return_X_y=True)
    ids = np.random.default_rng(0).permutation(10_000)[: len(y)]
    d = hs.measure(X, y, learner="ridge", folds=3, repeats=2, ids=ids)
    weighting = hs.Weighting(d, scheme="spl-linear", lam=2.0, reduction="none")
    expected = hs.weigh(d, "spl-linear", lam=2.0)
    result = weighting(torch.ones(len(y)), torch.from_numpy(d.ids))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    with pytest.raises(InputError, match="brings its own ids"):
        hs.Weighting(d, ids=ids, scheme="spl-linear", lam=2.0)
    named = hs.measure(X, y, learner="ridge", folds=3, repeats=2, ids=[f"s{i}" for i in range(len(y))])
    with pytest.raises(InputError, match="ids are strings: measure with integers"):
        hs.Weighting(named, scheme="spl-linear", lam=2.0)


def test_a_scheme_weighs_by_its_formula_without_gradient_through_it():
    loss = losses()
    weights = (1 - loss.detach()).clamp(min=0)
    result = hs.Weighting("spl-linear", lam=1.0)(loss)
    torch.testing.assert_close(result, (weights * loss).sum() / 6)
    torch.testing.assert_close(gradient(result, loss), weights / 6)


@pytest.mark.parametrize("given", [{}, {"through": False}, {"through": True}])
def test_gradient_through_the_weights_as_published_unless_said(given):
    loss = losses(dtype=torch.float64)
    fixed, live = (1 - (-loss.detach()).exp()) ** 2, (1 - (-loss).exp()) ** 2
    for name, published in (("t-focal", False), ("t-focal-through", True)):
        w = live if given.get("through", published) else fixed
        result = hs.Weighting(name, **given)(loss)
        expected = torch.autograd.grad((w * loss).mean(), loss, retain_graph=True)[0]
        torch.testing.assert_close(gradient(result, loss), expected)


@pytest.mark.parametrize(
    ("what", "given"),
    [
        (torch.arange(1.0, 10.0), {}),
        ("spl-linear", {"lam": 1.0}),
        ("t-focal", {}),
        ("t-focal-through", {}),
        ("t-running", {}),
        ("t-running", {"through": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("ids", [None, 3 * torch.arange(9)], ids=["counted", "listed"])
def test_the_short_way_of_a_usual_batch_is_the_long_one_bit_for_bit(what, given, ids):
    short, long = (hs.Weighting(what, 9, ids, **given) for _ in range(2))
    at = torch.tensor([4, 0, 8, 3, 7, 1])
    for seed in range(3):
        loss = losses(seed=seed)
        # Ids that come as a list need the general checks.
        one = short(loss, at if ids is None else ids[at])
        other = long(loss, (at if ids is None else ids[at]).tolist())
        assert torch.equal(one, other)
        assert torch.equal(gradient(one, loss), gradient(other, loss))
    assert same(short.state_dict(), long.state_dict())


@pytest.mark.parametrize("reduction", ["mean", "weighted mean", "sum", "none"])
def test_reductions(reduction):
    loss, w = losses(), torch.tensor([1.0, 2, 3, 0, 5, 6])
    result = hs.Weighting(w, reduction=reduction)(loss, torch.arange(6))
    wl = w * loss
    by_hand = {"mean": wl.sum() / 6, "weighted mean": wl.sum() / w.sum(), "sum": wl.sum(), "none": wl}
    torch.testing.assert_close(result, by_hand[reduction])


def test_a_weighted_mean_of_nothing_is_zero_with_gradient_zero():
    loss = losses()
    result = hs.Weighting("spl-hard", lam=0.0)(loss)
    assert result == 0
    assert (gradient(result, loss) == 0).all()


def test_losses_may_be_left_to_logits_and_labels():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0, 1])
    loss = cross_entropy(logits, labels, reduction="none")
    for name, parameters in (("spl-linear", {"lam": 2.0}), ("t-focal", {}), ("t-focal-through", {})):
        weighting = hs.Weighting(name, **parameters)
        torch.testing.assert_close(weighting(logits=logits, labels=labels), weighting(loss))
    with pytest.raises(InputError, match="neither a loss nor logits"):
        hs.Weighting("spl-linear", lam=1.0)(logits=logits)


def test_schemes_that_are_losses():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    labels, sizes = torch.tensor([0, 1, 2, 0, 1]), [50, 5, 10]
    result = hs.Weighting("t-margin", sizes=sizes)(logits=logits, labels=labels)
    torch.testing.assert_close(result, cross_entropy(logits - torch.tensor(sizes).log(), labels))
    weighting = hs.Weighting("t-past", num_samples=9, classes=3)
    weighting(None, torch.tensor([8, 1, 2, 3, 4]), logits=logits, labels=labels).backward()
    assert not weighting.scheme_state.past.requires_grad
    torch.testing.assert_close(weighting.scheme_state.past[8], 0.5 * logits[0].softmax(0).detach())
    with pytest.raises(InputError, match="is a loss and has no weights"):
        weighting.weights(None, torch.arange(5), logits=logits, labels=labels)


def test_state_is_kept_by_id():
    weighting = hs.Weighting("t-running", ids=[30, 10, 20])
    weighting(torch.tensor([1.0, 3.0]), torch.tensor([20, 30]))
    torch.testing.assert_close(weighting.scheme_state.mean, torch.tensor([0, 0.5, 1.5]))
    torch.testing.assert_close(weighting.scheme_state.level, torch.tensor(1.0))
    weighting(torch.tensor([2.0]), torch.tensor([20]))
    torch.testing.assert_close(weighting.scheme_state.mean, torch.tensor([0, 1.25, 1.5]))


def test_evaluation_is_the_plain_mean_and_remembers_nothing():
    weighting = hs.Weighting("t-running", num_samples=9).eval()
    before = copy.deepcopy(weighting.state_dict())
    torch.testing.assert_close(weighting(torch.tensor([1.0, 3.0])), torch.tensor(2.0))
    logits = torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(weighting(logits=logits, labels=torch.tensor([1])), cross_entropy(logits, torch.tensor([1])))
    assert weighting.weights(torch.tensor([1.0, 3.0])).tolist() == [1, 1]
    assert weighting.apply_weights(torch.tensor([3.0]), torch.ones(1)) == 1.5
    assert same(before, weighting.state_dict())


@pytest.mark.parametrize("without_gradient", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(("name", "given"), [("t-running", {}), ("spl-hard", {"lam": 0.1}), (torch.arange(9.0), {})])
def test_a_validation_without_gradient_is_an_evaluation(name, given, without_gradient):
    weighting = hs.Weighting(name, num_samples=9, **given)
    before = copy.deepcopy(weighting.state_dict())
    with without_gradient():
        # A validation set has ids of its own, which say nothing here.
        assert weighting(torch.tensor([1.0, 3.0]), torch.tensor([99, 1])) == 2
    assert same(before, weighting.state_dict())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (None, r"ids are missing: let the data set give the ids, hs.indexed\(dataset\), and pass those of the batch"),
        ([0, 7, 2], "id 7 is unknown: the ids are 0 to 6"),
        ([0, -1, 2], "id -1 is unknown"),
        ([4, 1, 4], "id 4 comes twice in a batch"),
        ([0.0, 1.0, 2.0], "ids must be integers. Got float64"),
        (torch.tensor([0.0, 1.0, 2.0]), "ids must be integers. Got torch.float32"),
        (["a", "b", "c"], "ids must be integers. Got <U1"),
        ([True, False, True], "ids must be integers. Got bool"),
        ([0, 1], "there are 2 ids and 3 samples"),
        ([[0], [1], [2]], "one-dimensional"),
    ],
)
def test_wrong_ids_are_refused_by_name(ids, says):
    with pytest.raises(InputError, match=says):
        hs.Weighting("t-running", num_samples=7)(torch.ones(3), ids)


def test_unknown_ids_of_a_list_are_refused_by_name():
    weighting = hs.Weighting("t-running", ids=[10, 2**60, 30])
    for wrong in (11, 2**60 + 1, -4, 2**62):
        with pytest.raises(
            InputError,
            match=f"id {wrong} is unknown: the ids are the 3 of the weights; for those of a difficulty pass .*ids=d.ids",
        ):
            weighting(torch.ones(2), torch.tensor([10, wrong]))


@pytest.mark.parametrize("known", [None, 1, 5, 10**12], ids=["counted", "all", "near", "far apart"])
@pytest.mark.parametrize("count", [8, 8000])
def test_ids_of_short_and_of_large_batches_are_checked(known, count):
    apart = known or 1
    weights = torch.arange(9000.0)
    weighting = hs.Weighting(weights, ids=known and apart * torch.arange(9000), reduction="none")
    ids = apart * torch.randperm(9000, generator=torch.Generator().manual_seed(0))[:count]
    assert torch.equal(weighting(torch.ones(count), ids), weights[ids // apart])
    wrong = {int(ids[3]): "comes twice"} | dict.fromkeys((9000 * apart, -1, -apart, 2**62), "is unknown")
    for number, says in (wrong | ({1: "is unknown"} if apart > 1 else {})).items():
        ids[5] = number
        with pytest.raises(InputError, match=f"id {number} {says}"):
            weighting(torch.ones(count), ids)


def test_negative_ids_that_are_listed_are_found():
    weighting = hs.Weighting([1.0, 2, 3], ids=[-2, 0, 1], reduction="none")
    assert weighting(torch.ones(2), torch.tensor([1, -2])).tolist() == [3, 1]
    with pytest.raises(InputError, match="id -1 is unknown"):
        weighting(torch.ones(2), torch.tensor([1, -1]))
    assert weighting(torch.ones(0), torch.tensor([], dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("count", [3, 5000])
@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1.0])
def test_a_loss_out_of_its_domain_is_refused_by_its_place(count, at, wrong):
    loss = torch.ones(count)
    loss[at] = wrong
    with pytest.raises(InputError, match=rf"loss\[{at % count}\] is {wrong:g}"):
        hs.Weighting("spl-linear", lam=1.0, on_nonfinite="raise")(loss)
    # One that reads p alone.
    with pytest.raises(InputError, match=rf"loss\[{at % count}\] is {wrong:g}"):
        hs.Weighting("gce", on_nonfinite="raise")(loss)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.float64])
@pytest.mark.parametrize("scheme", ["class-balanced", "focal", "low", "logit-adjusted-loss", "ldam-loss", "gce-loss"])
def test_labels_of_any_type_of_numbers_are_class_codes(scheme, kind):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 1, 1, 2, 3])
    weighting = hs.Weighting(scheme, sizes=[1, 3, 1, 1])
    torch.testing.assert_close(weighting(logits=logits, labels=labels.to(kind)), weighting(logits=logits, labels=labels))
    with pytest.raises(InputError, match=r"labels\[2\] is 0.5"):
        weighting(logits=logits, labels=torch.tensor([0, 1, 0.5, 1, 2, 3]))


def test_labels_of_another_shape_or_class_are_refused():
    logits = torch.zeros(2, 3)
    with pytest.raises(
        InputError, match=r"labels the shape \(sample,\), one class code per sample. Got the shapes \(2, 3\) and \(3,\)"
    ):
        hs.Weighting("focal")(logits=logits, labels=torch.tensor([0, 1, 2]))
    with pytest.raises(InputError, match=r"class codes from 0 to 2, as logits have them. labels\[1\] is 3"):
        hs.Weighting("focal")(logits=logits, labels=torch.tensor([0, 3]))


def of_batches():
    """Names of the schemes that a batch of losses, logits and labels is enough for, and their parameters."""
    for name, scheme in hs.SCHEMES.items():
        if scheme.kind in ("weights", "loss") and set(scheme.reads) <= {"loss", "p", "logits", "labels", "generator"}:
            yield name, {name: 0.5 for name, default in scheme.parameters.items() if default is ...}


@pytest.mark.parametrize(("scheme", "parameters"), list(of_batches()))
def test_a_batch_of_nobody_costs_nothing(scheme, parameters):
    logits = torch.zeros(0, 3, requires_grad=True)
    labels = torch.zeros(0, 3) if "a 0/1 matrix" in hs.SCHEMES[scheme].formula else torch.zeros(0, dtype=torch.int64)
    loss = torch.zeros(0, requires_grad=True)
    weighting = hs.Weighting(scheme, num_samples=4, classes=3, **parameters)
    assert weighting(loss, torch.zeros(0, dtype=torch.int64), logits=logits, labels=labels) == 0


def test_evaluation_of_several_labels_is_their_binary_cross_entropy():
    logits, labels = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -2.0]]), torch.tensor([[1, 0, 1], [0, 1, 0]])
    p = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    by_hand = -np.where(labels.numpy() == 1, np.log(p), np.log(1 - p)).sum(1).mean()
    for scheme in ("asl", "focal-sigmoid"):
        weighting = hs.Weighting(scheme).eval()
        assert weighting(logits=logits, labels=labels).item() == pytest.approx(by_hand)
        assert weighting(logits=logits, labels=labels.float()).item() == pytest.approx(by_hand)


WITHOUT_TYPES = """
assert list(hs.WeightedSampler([1.0, 2.0], seed=np.int64(7))) == list(hs.WeightedSampler([1.0, 2.0], seed=7))
assert hs.Weighting("gce", seed=np.int64(3)).eval()([1.0, 2.0]) == 1.5
for make in (lambda: hs.Weighting("gce", seed=None), lambda: hs.WeightedSampler([1.0], seed=None)):
    tried(make)
"""


@pytest.mark.slow
def test_numbers_of_other_libraries_do_where_types_are_not_checked():
    assert printed(WITHOUT_TYPES) == ["seed must be an integer. Got None"] * 2


def test_what_weights_come_from_is_said_where_it_cannot_be():
    for what in (None, ["a", "b"], hs.SCHEMES["gce"], np.array([True, False]), torch.tensor([True])):
        with pytest.raises(InputError, match="pass an array"):
            hs.Weighting(what)


def test_the_table_of_ids_is_not_saved():
    weighting = hs.Weighting("t-running", ids=[30, 10, 20])
    assert set(weighting.state_dict()) == {
        "seen.last_step",
        "seen._extra_state",
        "id_index.ids",
        "scheme_state.mean",
        "scheme_state.level",
        "_extra_state",
    }


def test_a_refused_batch_changes_nothing():
    weighting = hs.Weighting("t-running", num_samples=7)
    before = copy.deepcopy(weighting.state_dict())
    with pytest.raises(InputError):
        weighting(torch.ones(2), torch.tensor([3, 3]))
    assert same(before, weighting.state_dict())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hs.Weighting("spl-linaer"), "do you mean 'spl-linear'"),
        (lambda: hs.Weighting("spl-linear"), "pass lam="),
        (lambda: hs.Weighting("spl-linear", lan=1), "do you mean 'lam'"),
        (lambda: hs.Weighting("t-running"), "keeps a state for each sample: pass num_samples= or ids="),
        (lambda: hs.Weighting("t-chances"), r"use hs.WeightedSampler\('t-chances', …\)"),
        (lambda: hs.Weighting("t-learned", t=1.0), "learns its weights with the model: call hs.weights.tilted"),
        (lambda: hs.Weighting("t-running", num_samples=7, repeated="count"), "draw without replacement"),
        (lambda: hs.Weighting("t-running", num_samples=0), "num_samples must be 1 or more"),
        (lambda: hs.Weighting("t-running", num_samples=3, ids=[1, 2]), "num_samples is 3, but there are 2 ids"),
        (lambda: hs.Weighting("t-running", ids=[1, 2, 1]), "two samples have the id 1"),
        (lambda: hs.Weighting("t-running", ids=[]), "ids are empty"),
        (lambda: hs.Weighting([1.0, np.nan]), "Sample 1 has nan"),
        (lambda: hs.Weighting([1.0, -1.0]), "Sample 1 has -1"),
        (lambda: hs.Weighting([[1.0]]), r"Got the shape \(1, 1\)"),
        (lambda: hs.Weighting([1.0, 2.0], ids=[1, 2, 3]), "2 weights and 3 samples"),
        (lambda: hs.Weighting([1.0, 2.0], num_samples=4), "2 weights and 4 samples"),
        (lambda: hs.Weighting([1.0, 2.0], lam=4), "have no parameter 'lam'"),
        (lambda: hs.Weighting([1.0, 2.0], scheme="auto"), "is for a difficulty only"),
        (
            lambda: hs.Weighting([1.0], reduction="average"),
            "reduction must be one of mean, weighted mean, sum, none. Got 'average'",
        ),
        (lambda: hs.Weighting([1.0], repeated="twice"), "repeated must be one of refuse, skip, count. Got 'twice'"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_mend(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_what_a_batch_cannot_bring_is_refused_with_the_mend():
    weighting = hs.Weighting("t-margin", sizes=[3, 4])
    with pytest.raises(InputError, match="reads labels, which is missing: pass labels="):
        weighting(logits=torch.ones(2, 2))
    with pytest.raises(InputError, match="scheme 't-margin' needs sizes: pass sizes="):
        hs.Weighting("t-margin")(logits=torch.ones(2, 2), labels=torch.tensor([0, 1]))
    with pytest.raises(InputError, match="do you mean 'features'"):
        weighting(logits=torch.ones(2, 2), labels=torch.tensor([0, 1]), feature=torch.ones(2))
    with pytest.raises(InputError, match="logits has 3 rows and labels has 2"):
        weighting(logits=torch.ones(3, 2), labels=torch.tensor([0, 1]))
    with pytest.raises(InputError, match="pass the loss of each sample, reduction='none'"):
        hs.Weighting("spl-linear", lam=1.0)(torch.tensor(1.0))
    with pytest.raises(InputError, match=r"reads the epoch: call weighting\.set_epoch"):
        hs.Weighting("t-paced", epochs=5)(torch.ones(2))
    with pytest.raises(InputError, match="items must be above 0"):
        hs.Weighting("t-focal")(torch.ones(2), items=0)


def test_the_epoch_reaches_the_scheme():
    weighting = hs.Weighting("t-paced", epochs=2)
    loss = torch.tensor([0.05, 0.3, 0.9])
    for epoch, kept in ((0, 1), (0.5, 2), (1, 2), (1.9, 3)):
        weighting.set_epoch(epoch)
        torch.testing.assert_close(weighting(loss), loss[:kept].mean())


def test_each_id_once_an_epoch_where_repeated_ones_are_skipped():
    weighting = hs.Weighting(torch.ones(5), repeated="skip")
    with pytest.raises(InputError, match=r"call weighting\.set_epoch"):
        weighting(torch.ones(2), torch.tensor([0, 1]))
    weighting.set_epoch(0)
    assert weighting(torch.tensor([1.0, 2, 4]), torch.tensor([0, 1, 0])) == 1.5
    assert weighting(torch.tensor([8.0, 16]), torch.tensor([1, 2])) == 16
    resumed = hs.Weighting(torch.ones(5), repeated="skip")
    resumed.load_state_dict(weighting.state_dict())
    assert resumed(torch.tensor([8.0, 16]), torch.tensor([2, 3])) == 16
    with pytest.raises(InputError, match="every sample of this batch came before in epoch 0"):
        weighting(torch.ones(2), torch.tensor([0, 1]))
    weighting.set_epoch(1)
    assert weighting(torch.tensor([8.0, 16]), torch.tensor([1, 2])) == 12
    weights = weighting.weights(torch.tensor([8.0, 16]), torch.tensor([1, 4]))
    assert weights.tolist() == [0, 1]


def test_every_draw_counts_where_repeated_ones_do():
    weighting = hs.Weighting(torch.tensor([1.0, 3.0]), repeated="count")
    result = weighting(torch.tensor([1.0, 2, 3]), torch.tensor([0, 1, 1]))
    torch.testing.assert_close(result, torch.tensor((1 + 6 + 9) / 3))


@pytest.mark.parametrize("sizes", [(6,), (1, 5), (4, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("what", ["t-focal", torch.arange(6.0)], ids=["scheme", "fixed"])
def test_micro_batches_are_one_batch_where_items_are_told(what, sizes):
    loss, ids = losses(), torch.arange(6)
    weighting = hs.Weighting(what, num_samples=6)
    whole = weighting(loss, ids)
    parts = sum(weighting(loss[at], ids[at], items=6) for at in torch.arange(6).split(list(sizes)))
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient(parts, loss), gradient(whole, loss))


@pytest.mark.parametrize("sizes", [(6,), (1, 5), (4, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("t-tilted", {"t": 1.5}),
        ("t-tilted-mean", {"t": 1.5}),
        ("t-running", {}),
        ("t-running-mean", {}),
        ("t-focal", {}),
        ("spl-hard", {"lam": 0.9}),
    ],
)
def test_micro_batches_are_one_batch_where_weights_come_first(name, given, sizes):
    loss, ids = losses(), torch.arange(6)
    one, other = (hs.Weighting(name, num_samples=6, **given) for _ in range(2))
    whole = one(loss, ids)
    weights = other.weights(loss, ids)
    assert not weights.requires_grad
    parts = sum(other.apply_weights(loss[at], weights[at]) for at in torch.arange(6).split(list(sizes)))
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient(parts, loss), gradient(whole, loss))
    assert same(one.state_dict(), other.state_dict())


def test_accumulation_that_cannot_be_exact_is_refused():
    loss, ids = losses(), torch.arange(6)
    with pytest.raises(InputError, match="needs all weights first"):
        hs.Weighting("t-tilted-mean", t=1.0)(loss, items=12)
    with pytest.raises(InputError, match="there are no weights to apply"):
        hs.Weighting("t-tilted", t=1.0).apply_weights(loss, loss)
    weighting = hs.Weighting("t-tilted-through", t=1.0)
    weights = weighting.weights(loss, ids)
    with pytest.raises(InputError, match="pass through=False"):
        weighting.apply_weights(loss, weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_numbers_are_weighted_in_float32(dtype):
    short = losses(dtype=dtype)
    result = hs.Weighting("t-focal")(short)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, hs.Weighting("t-focal")(short.detach().float()))
    result.backward()
    assert short.grad.dtype == dtype


def test_under_autocast_as_without():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    labels, ids = torch.tensor([0, 1, 2, 0, 1]), torch.arange(5)
    plain = hs.Weighting("t-past", num_samples=9, classes=3)
    mixed = hs.Weighting("t-past", num_samples=9, classes=3)
    expected = plain(None, ids, logits=logits.bfloat16(), labels=labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = mixed(None, ids, logits=logits.bfloat16(), labels=labels)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)
    assert same(plain.state_dict(), mixed.state_dict())


def test_matrix_products_of_a_scheme_stay_exact_under_autocast():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    weighting, labels = hs.Weighting("t-product"), torch.arange(5)
    expected = weighting(logits=logits, labels=labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(weighting(logits=logits, labels=labels), expected)


def test_what_is_remembered_holds_no_graph():
    weighting = hs.Weighting("t-running", num_samples=4, through=True)
    for _ in range(2):
        weighting(losses(4), torch.arange(4)).backward()
    assert not any(tensor.requires_grad for tensor in weighting.buffers())


def test_half_precision_models_do_not_take_the_tables_with_them():
    holder = torch.nn.ModuleDict({"head": torch.nn.Linear(2, 2), "weighting": hs.Weighting("t-running", num_samples=4)})
    holder.half()
    assert holder["head"].weight.dtype == torch.float16
    assert holder["weighting"].scheme_state.mean.dtype == torch.float32
    assert holder.double()["weighting"](losses(2, dtype=torch.float64), torch.tensor([1, 2])).dtype == torch.float64


def test_models_that_hold_a_weighting_can_be_copied_and_initialised():
    holder = torch.nn.ModuleDict({"weighting": hs.Weighting("t-random", num_samples=4)})
    seen = []
    copy.deepcopy(holder).apply(lambda module: seen.append(type(module).__name__))
    assert "Weighting" in seen


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (lambda: hs.Weighting("t-running", num_samples=4), lambda: hs.Weighting("t-running", num_samples=5), "5 samples"),
        (lambda: hs.Weighting("t-running", num_samples=4), lambda: hs.Weighting("t-focal", num_samples=4), "'t-focal'"),
        (lambda: hs.Weighting("t-running", ids=[1, 2]), lambda: hs.Weighting("t-running", ids=[1, 3]), "other ids"),
        (lambda: hs.Weighting("t-running", ids=[1, 2]), lambda: hs.Weighting("t-running", num_samples=2), "other ids"),
    ],
)
def test_a_state_of_another_weighting_is_refused(one, other, says):
    with pytest.raises(InputError, match=says):
        other().load_state_dict(one().state_dict())


def test_states_survive_files(tmp_path):
    weighting = hs.Weighting("t-random", num_samples=4)
    weighting.set_epoch(2.5)
    weighting(torch.ones(4), torch.arange(4))
    torch.save(weighting.state_dict(), tmp_path / "w.pt")
    fresh = hs.Weighting("t-random", num_samples=4, seed=9)
    fresh.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    assert fresh.epoch == 2.5
    assert fresh(torch.ones(4), torch.arange(4)) == weighting(torch.ones(4), torch.arange(4))


def train(name, given, stop, resume_from=None, epochs=2):
    """Digits, in plain torch; returns all that was there after ``stop`` steps, or goes on from there."""
    X, y = load_digits(return_X_y=True)
    data = hs.indexed(torch.utils.data.TensorDataset(torch.tensor(X / 16).float(), torch.tensor(y)))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    weighting = hs.Weighting(name, num_samples=len(data), classes=10, epochs=epochs, **given)
    sampler = hs.WeightedSampler(torch.ones(len(data)), replacement=False)
    parts = {"model": model, "optimizer": optimizer, "weighting": weighting, "sampler": sampler}
    step, begin = 0, 0
    if resume_from is not None:
        step, begin = resume_from["step"], resume_from["epoch"]
        for part, state in resume_from["states"].items():
            parts[part].load_state_dict(state)
    for epoch in range(begin, epochs):
        weighting.set_epoch(epoch)
        sampler.set_epoch(epoch)
        for x, labels, ids in torch.utils.data.DataLoader(data, 128, sampler=sampler):
            if step == stop:
                break
            logits = model(x)
            loss = cross_entropy(logits, labels, reduction="none")
            optimizer.zero_grad()
            weighting(loss, ids, logits=logits, labels=labels).backward()
            optimizer.step()
            step += 1
            if step == stop:
                states = {part: copy.deepcopy(thing.state_dict()) for part, thing in parts.items()}
                return {"step": step, "epoch": epoch, "states": states}
    return {"step": step, "states": {part: thing.state_dict() for part, thing in parts.items()}}


@pytest.mark.parametrize(("name", "given"), [("t-running", {}), ("t-past", {}), ("t-random", {}), ("t-paced", {"low": 2.0})])
@pytest.mark.parametrize("stop", [7, 15, 20])
def test_training_resumed_in_the_midst_of_an_epoch_is_the_same_bit_for_bit(name, given, stop):
    straight = train(name, given, None)
    resumed = train(name, given, None, resume_from=train(name, given, stop))
    assert straight["step"] == resumed["step"] == 30
    for part in ("model", "weighting"):
        a, b = (run["states"][part] for run in (straight, resumed))
        assert same(a, b) if part == "weighting" else all(torch.equal(a[key], b[key]) for key in a)


def test_weights_whose_index_is_in_another_order_need_to_say_which_order_counts():
    weights, losses = pd.Series([1.0, 2.0, 4.0], index=[2, 0, 1]), torch.tensor([1.0, 10.0, 100.0])
    for refused in (hs.Weighting, hs.WeightedSampler, lambda w: hs.Weighting("focal", 3) * w):
        with pytest.raises(InputError, match=r"index of the weights has 0, 1, … in another order: pass ids=weights\.index"):
            refused(weights)
    by_index = hs.Weighting(weights, ids=weights.index, reduction="sum")
    by_position = hs.Weighting(weights.to_numpy(), reduction="sum")
    assert by_index(losses, range(3)).item() == 142
    assert by_position(losses, range(3)).item() == 421
    for index in ([0, 1, 2], [5, 3, 9], ["a", "b", "c"]):
        assert hs.Weighting(weights.set_axis(index), reduction="sum")(losses, range(3)).item() == 421


def test_integrations_take_weights_of_rows_by_position_whatever_their_index():
    weighting = make_row_weighting(pd.Series([1.0, 2.0, 4.0], index=[2, 0, 1]), 3, {"reduction": "sum"})
    assert weighting(torch.tensor([1.0, 10.0, 100.0]), range(3)).item() == 421
