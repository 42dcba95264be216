"""Losses and logits at the edge of numbers: absent samples, overflows, infinite slopes."""

import copy

import pytest
import torch
from support.scheme_batches import BATCH, SCHEMES_IN_LOOPS, inputs_of, make_batch, make_weighting
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError

NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
WEIGHT_SCHEMES = [name for name in SCHEMES_IN_LOOPS if hs.SCHEMES[name].kind == "weights"]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("reduction", ["mean", "weighted mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["fast path", "listed ids", "items", "weights first", "raise"])
def test_a_sample_of_weight_0_is_absent_whatever_its_loss(value, reduction, dtype, way):
    if way == "items" and reduction in ("none", "weighted mean"):
        pytest.skip("refused")
    weights = torch.tensor([1.0, 2.0, 0.0, 3.0])
    x = torch.ones(4, dtype=dtype, requires_grad=True)
    losses = torch.where(torch.tensor([True, True, False, True]), 2 * x, value)
    weighting = hs.Weighting(weights, reduction=reduction, on_nonfinite="raise" if way == "raise" else "skip")
    ids = torch.arange(4)
    if way == "weights first":
        found = weighting.apply_weights(losses, weighting.weights(losses.detach(), ids))
    elif way == "items":
        found = weighting(losses, ids, items=4)
    else:
        found = weighting(losses, ids.tolist() if way == "listed ids" else ids)
    found.sum().backward()
    divisor = {"mean": 4, "weighted mean": 6, "sum": 1, "none": 1}[reduction]
    expected = 2 * weights / divisor
    torch.testing.assert_close(found.float(), expected if reduction == "none" else expected.sum())
    torch.testing.assert_close(x.grad.float(), expected, rtol=1e-3, atol=1e-3)
    assert x.grad[2] == 0


def test_a_dynamic_weight_of_0_removes_an_infinite_loss():
    loss = torch.tensor([0.5, float("inf"), 1.5], requires_grad=True)
    labels, sizes = torch.tensor([0, 1, 0]), [2, 1]
    weighting = hs.Weighting("cdb", sizes=sizes, tau=1.0)
    total = weighting(loss, labels=labels, class_error=torch.tensor([0.5, 0.0]))
    total.backward()
    torch.testing.assert_close(total, torch.tensor(2 * 2.0 / 3))
    assert loss.grad.tolist() == pytest.approx([2 / 3, 0, 2 / 3])


@pytest.mark.parametrize("value", NOT_FINITE)
# The aum-filter gives the sample the weight 0.
@pytest.mark.parametrize("name", [name for name in SCHEMES_IN_LOOPS if name != "aum-filter"])
def test_an_overflow_neither_ends_the_training_nor_is_remembered(name, value):
    weighting = make_weighting(name)
    weighting.set_epoch(2)
    ids, _, inputs = make_batch(0)
    weighting(ids=ids, **inputs_of(weighting.scheme, inputs))
    before = copy.deepcopy(weighting.scheme_state.state_dict())
    ids, logits, inputs = make_batch(1)
    x = torch.zeros((), requires_grad=True)
    overflow = torch.zeros(BATCH)
    overflow[3] = value
    inputs["logits"] = logits.detach() + x + overflow[:, None]
    inputs["loss"] = inputs["loss"].detach() + x + overflow
    inputs["residual"] = inputs["residual"].detach() + x + overflow
    given = inputs_of(weighting.scheme, inputs)
    total = weighting(ids=ids, **given)
    total.backward()
    assert not total.isfinite()
    reads_losses = {"loss", "p", "logits", "residual"} & set(weighting.scheme.reads)
    # Others have finite weights, as the plain mean has; there the gradient of the infinite loss itself is not finite.
    assert not x.grad.isfinite() or not reads_losses or name in ("influence-balanced", "uniform")
    for key, tensor in weighting.scheme_state.state_dict().items():
        assert tensor.isfinite().all()
        assert not reads_losses or torch.equal(tensor, before[key])
    with pytest.raises(InputError, match=r"must be|are not") as caught:
        make_strict(name)(ids=ids, **given)
    assert "\n" not in str(caught.value)


def make_strict(name):
    weighting = make_weighting(name, on_nonfinite="raise")
    weighting.set_epoch(2)
    return weighting


def test_a_gradient_scaler_skips_the_step_and_training_goes_on():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer, scaler = torch.optim.SGD(model.parameters(), 0.1), torch.amp.GradScaler("cpu", init_scale=4.0)
    weighting = hs.Weighting("superloss", num_samples=8)
    scales, weights = [], []
    for step in range(3):
        x = torch.randn(4, 3)
        x[0, 0] = float("inf") if step == 1 else 1.0
        logits, labels = model(x), torch.tensor([0, 1, 1, 0])
        loss = weighting(cross_entropy(logits, labels, reduction="none"), torch.arange(4), logits=logits, labels=labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
        weights.append(model.weight.detach().clone())
    assert scales == [4.0, 2.0, 2.0]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert weights[2].isfinite().all()


def test_a_negative_loss_is_refused_even_where_overflows_are_skipped():
    with pytest.raises(InputError, match=r"loss\[1\] is -1"):
        hs.Weighting("spl-linear", lam=1.0)(torch.tensor([1.0, -1.0]))
    with pytest.raises(InputError, match=r"on_nonfinite must be one of skip, raise\. Got 'ignore'"):
        hs.Weighting("focal", on_nonfinite="ignore")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WEIGHT_SCHEMES)
def test_gradients_through_the_weights_are_finite_at_both_ends(name, dtype):
    weighting = make_weighting(name, through=True)
    for step in range(3):
        weighting.set_epoch(step)
        ids, logits, inputs = make_batch(step, dtype)
        inputs["logits"] = logits * torch.tensor([0, 1e-3, 1, 50, 200, 2e3, 1e5, 1], dtype=dtype)[:, None]
        inputs["loss"] = cross_entropy(inputs["logits"], inputs["labels"], reduction="none")
        given = inputs_of(weighting.scheme, inputs)
        if name == "spl-logarithmic":
            given["loss"] = given["loss"].clamp(max=0.99)
        total = weighting(ids=ids, **given)
        assert total.isfinite()
        if total.requires_grad:
            assert torch.autograd.grad(total, logits)[0].isfinite().all()


@pytest.mark.parametrize("name", [name for name in WEIGHT_SCHEMES if {"loss", "p"} & set(hs.SCHEMES[name].reads)])
@pytest.mark.parametrize(
    "losses", [[0.0] * 8, [1.0] * 8, [0.0] * 7 + [1e4], [1e4] * 8, [1e-30] * 8, [0.0, 0.0, 1e30, 1e30] * 2], ids=str
)
def test_weights_of_equal_and_of_extreme_losses_are_finite(name, losses):
    weighting = make_weighting(name)
    for step in range(2):
        weighting.set_epoch(step)
        ids, _, inputs = make_batch(step)
        given = inputs_of(weighting.scheme, inputs | {"loss": torch.tensor(losses)})
        weights = weighting.weights(ids=ids, **given)
        assert weights.isfinite().all()
        assert (weights >= 0).all()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", WEIGHT_SCHEMES)
def test_batches_of_a_few_samples_have_finite_weights(name, count):
    weighting = make_weighting(name)
    for step in range(3):
        weighting.set_epoch(step)
        ids, _, inputs = make_batch(step)
        given = {
            key: value if key == "class_error" else value[:count]
            for key, value in inputs_of(weighting.scheme, inputs).items()
        }
        weights = weighting.weights(ids=ids[:count], **given)
        assert weights.isfinite().all()
        assert (weights >= 0).all()


def test_labels_that_are_all_found_impossible_keep_the_ratio_of_their_weights():
    logits = torch.tensor([[1e5, 0.0], [0.0, 1e5], [0.0, 1e5 + 1]])
    labels, p_wrong = torch.tensor([1, 0, 0]), torch.full((3,), 0.5)
    weights = hs.SCHEMES["auto"]({"logits": logits, "labels": labels, "p_wrong": p_wrong}, {})
    assert weights.isfinite().all()
    assert weights.mean().item() == pytest.approx(1)
    certain = hs.SCHEMES["auto"]({"logits": logits, "labels": labels, "p_wrong": torch.ones(3)}, {})
    assert certain.tolist() == [0, 0, 0]


def test_the_librarys_schemes_give_no_negative_weights_at_random_inputs():
    """They are not checked in every step."""
    for name in WEIGHT_SCHEMES:
        weighting = make_weighting(name)
        for step in range(20):
            weighting.set_epoch(step % 6)
            ids, _, inputs = make_batch(step)
            given = inputs_of(weighting.scheme, inputs)
            if name != "spl-logarithmic":
                given["loss"] = given["loss"] * 10.0 ** (step - 10)
            weights = weighting.weights(ids=ids, **given)
            assert weights.isfinite().all(), name
            assert (weights >= 0).all(), name
