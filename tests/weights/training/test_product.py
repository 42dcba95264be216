"""Products of weightings: values, gradients, one reduction, one state, and what cannot be multiplied."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 3, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0, 0, 1])
SIZES = [50, 30, 5]
FIXED = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.5])
IDS = torch.tensor([3, 0, 5, 1, 2, 4])


def step(weighting, logits=LOGITS, **more):
    leaf = logits.clone().requires_grad_()
    loss = cross_entropy(leaf, LABELS, reduction="none")
    total = weighting(loss, IDS, logits=leaf, labels=LABELS, **more)
    return total.detach(), torch.autograd.grad(total.sum(), leaf)[0]


def by_hand(weights_of, divide=len):
    leaf = LOGITS.clone().requires_grad_()
    loss = cross_entropy(leaf, LABELS, reduction="none")
    weights = weights_of(loss)
    total = (weights * loss).sum() / divide(weights)
    return total.detach(), torch.autograd.grad(total, leaf)[0]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def class_weights():
    return hs.SCHEMES["class-balanced"]({"labels": LABELS, "sizes": torch.tensor(SIZES, dtype=torch.float64)}, {})


def test_focal_times_class_balance_is_the_class_balanced_focal_loss():
    product = hs.Weighting("focal") * hs.Weighting("class-balanced", sizes=SIZES)
    sizes = torch.tensor(SIZES, dtype=torch.float64)
    leaf_weights = hs.SCHEMES["class-balanced"]({"labels": LABELS, "sizes": sizes}, {})
    expected = by_hand(lambda loss: (1 - (-loss).exp()) ** 2 * leaf_weights)
    for one, other in zip(step(product), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    assert product.reduction == "mean"


@pytest.mark.parametrize(
    "other", [FIXED, FIXED.tolist(), torch.tensor(FIXED), hs.Weighting(FIXED)], ids=lambda w: type(w).__name__
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_scheme_times_fixed_weights_from_either_side(other, turned):
    if turned and isinstance(other, list):
        pytest.skip("a list multiplies itself")
    focal = hs.Weighting("focal")
    product = other * focal if turned else focal * other
    fixed = torch.tensor(FIXED)[IDS]
    assert_same(step(product), by_hand(lambda loss: (1 - (-loss).exp()) ** 2 * fixed))


def test_fixed_weights_times_fixed_weights():
    product = hs.Weighting(FIXED) * (FIXED + 1) * hs.Weighting(FIXED + 2)
    fixed = torch.tensor(FIXED * (FIXED + 1) * (FIXED + 2))[IDS]
    assert_same(step(product), by_hand(lambda loss: fixed))
    assert len(product.factors) == 3


def test_only_one_factor_compares_samples_and_sums_as_published():
    product = hs.Weighting("kl-dro") * FIXED
    assert product.reduction == "sum"
    fixed = torch.tensor(FIXED)[IDS]
    assert_same(step(product), by_hand(lambda loss: (loss / 0.5).softmax(0).detach() * fixed, lambda w: 1))
    with pytest.raises(InputError, match="'kl-dro' compares the samples of a batch"):
        step(product, items=12)
    assert product.compares_samples()


@pytest.mark.parametrize("reduction", ["mean", "weighted mean", "sum"])
def test_a_stated_reduction_holds_for_the_product(reduction):
    fixed = torch.tensor(FIXED)[IDS]
    divide = {"mean": len, "weighted mean": torch.sum, "sum": lambda w: 1}[reduction]
    expected = by_hand(lambda loss: (loss < 1).double() * fixed, divide)
    for product in (
        hs.Weighting("spl-hard", lam=1.0, reduction=reduction) * FIXED,
        hs.Weighting("spl-hard", lam=1.0) * hs.Weighting(FIXED, reduction=reduction),
    ):
        assert_same(step(product), expected)
    assert (hs.Weighting("spl-hard", lam=1.0) * FIXED).reduction == "weighted mean"


def test_a_product_knows_of_the_micro_batches_of_its_factors():
    dro = hs.Weighting("kl-dro", reduction="mean")
    dro.micro_batches = 4
    for product in (dro * FIXED, FIXED * dro):
        with pytest.raises(InputError, match="compares the samples of a batch"):
            step(product)


def test_micro_batches_of_a_product_add_up():
    product = hs.Weighting("focal") * FIXED
    loss = cross_entropy(LOGITS, LABELS, reduction="none")
    parts = [product(loss[p], IDS[p], logits=LOGITS[p], labels=LABELS[p], items=6) for p in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(sum(parts), step(product)[0])
    dro = hs.Weighting("kl-dro") * FIXED
    weights = dro.weights(loss, IDS)
    parts = [dro.apply_weights(loss[p], weights[p]) for p in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(sum(parts), step(dro)[0], rtol=1e-12, atol=0)


def test_a_product_keeps_the_epoch_and_the_state_of_its_factors():
    make = lambda: hs.Weighting("ghm-c") * hs.Weighting("drw", sizes=SIZES, epochs=4, reduction="mean")  # noqa: E731
    product = make()
    product.set_epoch(3)
    step(product)
    resumed = make()
    resumed.load_state_dict(copy.deepcopy(product.state_dict()))
    assert_same(step(resumed, 2 * LOGITS), step(product, 2 * LOGITS))
    assert resumed.factors[1].epoch == 3
    product.epochs = 10.0
    assert product.factors[1].epochs == 10
    with pytest.raises(InputError, match="this state was saved by a weighting of"):
        (hs.Weighting("ghm-c") * hs.Weighting("balanced", sizes=SIZES)).load_state_dict(product.state_dict())
    assert product.eval()(torch.tensor([1.0, 3.0])) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hs.Weighting("gce-loss") * FIXED, "'gce-loss' is a loss and has no weights to multiply"),
        (lambda: FIXED * hs.Weighting("superloss-loss"), "'superloss-loss' is a loss"),
        (lambda: hs.Weighting("kl-dro") * hs.Weighting("chi2-dro"), "'kl-dro' and 'chi2-dro' compare the samples"),
        (lambda: hs.Weighting("low") * FIXED * hs.Weighting("kl-dro", reduction="mean"), "'low' and 'kl-dro' compare"),
        (lambda: hs.Weighting("focal") * "gce", r"Got 'gce': hs.Weighting\('gce', …\)"),
        (lambda: hs.Weighting("focal") * 2.0, "weights must be numbers, one per sample"),
        (lambda: hs.Weighting("focal", num_samples=5) * FIXED, "same ids. Got 5 and 6 samples"),
        (lambda: hs.Weighting("focal", ids=[1, 2, 3, 4, 5, 6]) * FIXED, r"multiply it by hs.Weighting\(weights, ids=…\)"),
        (lambda: hs.Weighting("focal", ids=[1, 2, 3, 4, 5, 6]) * hs.Weighting(FIXED, ids=[1, 2, 3, 4, 5, 7]), "same ids"),
        (lambda: hs.Weighting("focal") * hs.Weighting("spl-hard", lam=1.0), "reductions of the factors differ"),
        (
            lambda: hs.Weighting("focal", reduction="sum") * hs.Weighting(FIXED, reduction="mean"),
            "same reduction. Got 'mean' and 'sum'",
        ),
        (lambda: hs.Weighting("elr", 6, classes=3) * FIXED, "'elr' is a loss"),
        (
            lambda: hs.Weighting("active-bias", 6) * hs.Weighting(FIXED, repeated="count"),
            "'active-bias' keeps a state for each sample",
        ),
    ],
)
def test_what_cannot_be_multiplied_is_refused_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_listed_ids_of_both_factors():
    ids = [10, 20, 30, 40, 50, 60]
    product = hs.Weighting("focal", ids=ids) * hs.Weighting(FIXED, ids=ids)
    loss = cross_entropy(LOGITS, LABELS, reduction="none")
    expected = ((1 - (-loss).exp()) ** 2 * loss * torch.tensor(FIXED)[IDS]).mean()
    torch.testing.assert_close(product(loss, (IDS + 1) * 10), expected)
