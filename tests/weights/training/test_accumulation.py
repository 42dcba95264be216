"""Gradient accumulation over every scheme: the parts of micro-batches are one batch, or are refused in one line."""

import pytest
import torch
from support.scheme_batches import BATCH, SCHEMES_IN_LOOPS, inputs_of, make_batch, make_weighting

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights import scheme

PARTS = (slice(0, 1), slice(1, 5), slice(5, BATCH))
GIVEN = {"formula": "1", "priority": "none", "scale": "any", "source": "tests", "description": "none"}


def part_of(inputs, part):
    return {name: value if name == "class_error" else value[part] for name, value in inputs.items()}


def run_whole(weighting, step, dtype=torch.float64):
    weighting.set_epoch(step)
    ids, logits, inputs = make_batch(step, dtype)
    loss = weighting(ids=ids, **inputs_of(weighting.scheme, inputs))
    return loss, torch.autograd.grad(loss, logits)[0]


def run_parts(weighting, step, dtype=torch.float64):
    weighting.set_epoch(step)
    ids, logits, inputs = make_batch(step, dtype)
    given = inputs_of(weighting.scheme, inputs)
    loss = sum(weighting(ids=ids[part], items=BATCH, **part_of(given, part)) for part in PARTS)
    return loss, torch.autograd.grad(loss, logits)[0]


def run_weights_first(weighting, step, dtype=torch.float64):
    weighting.set_epoch(step)
    ids, logits, inputs = make_batch(step, dtype)
    given = inputs_of(weighting.scheme, inputs)
    weights = weighting.weights(ids=ids, **given)
    loss = sum(weighting.apply_weights(given["loss"][part], weights[part]) for part in PARTS)
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("name", SCHEMES_IN_LOOPS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_parts_add_up_to_the_batch_unless_the_scheme_compares_samples(name, reduction):
    whole, parts = (make_weighting(name, reduction=reduction) for _ in range(2))
    if parts.compares_samples():
        before = {key: value.clone() for key, value in parts.scheme_state.state_dict().items()}
        with pytest.raises(InputError, match=rf"scheme '{name}' compares the samples of a batch") as caught:
            run_parts(parts, 3)
        assert "\n" not in str(caught.value)
        assert all(torch.equal(value, before[key]) for key, value in parts.scheme_state.state_dict().items())
        return
    # States are float32.
    tolerance = {"rtol": 1e-9 if parts.scheme.init is None else 1e-5, "atol": 1e-12 if parts.scheme.init is None else 1e-7}
    for step in range(3, 6):
        for one, other in zip(run_parts(parts, step), run_whole(whole, step), strict=True):
            torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("name", [name for name in SCHEMES_IN_LOOPS if hs.SCHEMES[name].kind == "weights"])
@pytest.mark.parametrize("reduction", [None, "mean", "weighted mean", "sum"])
def test_weights_first_are_the_batch_for_every_scheme(name, reduction):
    whole, parts = (make_weighting(name, reduction=reduction, through=False) for _ in range(2))
    for step in range(3, 6):
        for one, other in zip(run_weights_first(parts, step), run_whole(whole, step), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


# Half a batch differs from the batch only for certain inputs.
ONLY_BY_THE_STATE = {"selective-backprop-composer", "infobatch", "mentornet-pd", "lff", "active-bias", "threshold-closeness"}


@pytest.mark.parametrize("name", sorted({n for n in SCHEMES_IN_LOOPS if make_weighting(n).compares_samples()}))
def test_a_scheme_that_compares_samples_gives_other_values_to_a_part(name):
    """No scheme is refused that could be accumulated."""
    differs, more = False, {"warm_up": 2} if "warm_up" in hs.SCHEMES[name].parameters else {}
    for step in range(1, 10):
        whole, part = (make_weighting(name, reduction="none", epochs=10.0, **more) for _ in range(2))
        for weighting in (whole, part):
            for earlier in range(24 if name in ONLY_BY_THE_STATE else 1):
                weighting.set_epoch(step)
                ids, _, inputs = make_batch(earlier)
                weighting(ids=ids, **inputs_of(weighting.scheme, inputs))
        ids, _, inputs = make_batch(step)
        given = inputs_of(whole.scheme, inputs)
        in_batch, alone = whole(ids=ids, **given)[:4], part(ids=ids[:4], **part_of(given, slice(0, 4)))
        differs |= not torch.allclose(in_batch, alone, rtol=1e-4)
        if differs:
            break
    assert differs


@pytest.mark.parametrize("given", [{"classes": 4}, {"tau": 1.0}])
def test_superloss_compares_samples_only_where_tau_is_their_mean_loss(given):
    loss = torch.tensor([0.5, 1.0, 2.5, 3.0])
    whole = hs.Weighting("superloss", **given)(loss)
    torch.testing.assert_close(sum(hs.Weighting("superloss", **given)(part, items=4) for part in loss.split(1)), whole)
    with pytest.raises(InputError, match="'superloss' compares the samples"):
        hs.Weighting("superloss")(loss, items=8)
    logits, labels = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(
        hs.Weighting("superloss")(loss, logits=logits, labels=labels, items=8),
        hs.Weighting("superloss")(loss, logits=logits, labels=labels) / 2,
    )
    assert hs.Weighting("superloss").compares_samples(logits=False)
    assert not hs.Weighting("superloss").compares_samples()


@pytest.mark.parametrize(("axis", "adds_up"), [("probability", True), ("rank", False)])
def test_ranks_compare_samples_and_probabilities_do_not(axis, adds_up):
    weighting = hs.Weighting("easy-first", axis=axis, reduction="mean")
    assert weighting.compares_samples() is not adds_up
    loss = torch.tensor([0.5, 1.0, 2.5, 3.0])
    if adds_up:
        torch.testing.assert_close(weighting(loss[:2], items=4) + weighting(loss[2:], items=4), weighting(loss))
    else:
        with pytest.raises(InputError, match="'easy-first' compares the samples"):
            weighting(loss[:2], items=4)


def own_softmax(loss):
    return loss.softmax(0)


def own_square(p):
    return (1 - p) ** 2


def own_mean_one(loss):
    return loss / loss.mean()


def own_share(loss):
    return (loss <= loss.kthvalue((len(loss) + 1) // 2).values).to(loss.dtype)


def own_loss(logits, labels):
    return 1 - logits.softmax(1).gather(1, labels[:, None])[:, 0]


def own_random(loss, generator):
    return torch.rand(len(loss), generator=generator)


@pytest.fixture
def registered():
    added = []

    def register(function, **more):
        name = f"t-{function.__name__}"
        scheme(name, **GIVEN, **more)(function)
        added.append(name)
        return name

    yield register
    for name in added:
        hs.SCHEMES.pop(name, None)


@pytest.mark.parametrize("function", [own_softmax, own_mean_one, own_share])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_scheme_of_ones_own_that_compares_samples_is_found_out(registered, function, reduction):
    name = registered(function)
    loss = torch.tensor([0.5, 1.0, 2.5, 0.1, 7.0])
    with pytest.raises(InputError, match=f"'{name}' compares the samples of a batch"):
        hs.Weighting(name, reduction=reduction)(loss, items=20)
    assert hs.Weighting(name).compares_samples() is None


def test_one_sample_alone_of_a_softmax_is_found_out(registered):
    with pytest.raises(InputError, match="compares the samples of a batch"):
        hs.Weighting(registered(own_softmax), reduction="sum")(torch.tensor([0.5]), items=20)


def test_a_scheme_of_ones_own_that_weighs_each_sample_by_itself_adds_up(registered):
    loss = torch.tensor([0.5, 1.0, 2.5, 0.1, 7.0])
    weighting = hs.Weighting(registered(own_square))
    parts = sum(weighting(part, items=5) for part in loss.split(2))
    torch.testing.assert_close(parts, weighting(loss))
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    loss_weighting = hs.Weighting(registered(own_loss, kind="loss"))
    parts = sum(loss_weighting(logits=logits[p], labels=labels[p], items=4) for p in (slice(0, 3), slice(3, 4)))
    torch.testing.assert_close(parts, loss_weighting(logits=logits, labels=labels))


def test_a_random_scheme_must_state_whether_it_compares_samples(registered):
    loss = torch.ones(4)
    with pytest.raises(InputError, match="pass compares_samples=False where it is registered"):
        hs.Weighting(registered(own_random))(loss, items=8)
    hs.SCHEMES.pop("t-own_random")
    assert hs.Weighting(registered(own_random, compares_samples=False))(loss, items=8) > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "weighted mean", "sum", "none"])
def test_fixed_weights_in_any_precision_are_the_batch(dtype, reduction):
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(12, generator=generator, dtype=torch.float64)
    exact = torch.rand(12, generator=generator, dtype=torch.float64).to(dtype)
    weighted = weights * exact.double()
    expected = {
        "mean": weighted.mean(),
        "weighted mean": weighted.sum() / weights.sum(),
        "sum": weighted.sum(),
        "none": weighted,
    }[reduction]
    weighting, ids = hs.Weighting(weights.numpy(), reduction=reduction), torch.arange(12)
    tolerance = {"rtol": 1e-12 if dtype == torch.float64 else 1e-6, "atol": 0}
    torch.testing.assert_close(weighting(exact, ids).double(), expected, **tolerance)
    first = weighting.weights(exact, ids)
    parts = [weighting.apply_weights(exact[part], first[part]).double() for part in (slice(0, 5), slice(5, 12))]
    total = torch.cat(parts) if reduction == "none" else sum(parts)
    torch.testing.assert_close(total, expected, **tolerance)


@pytest.mark.parametrize(
    ("reduction", "items", "message"),
    [
        ("none", 8, "reduction='none' reduces nothing: leave items out"),
        ("weighted mean", 8, "needs all weights first"),
        ("mean", 0, r"items must be above 0.*Got 0"),
        ("mean", float("nan"), r"items must be above 0.*Got nan"),
        ("sum", -3, r"items must be above 0.*Got -3"),
        ("mean", "8", r"items must be above 0.*Got '8'"),
        ("mean", torch.tensor([4, 4]), r"items must be one number. Got a tensor of the shape \(2,\)"),
        ("mean", 3, r"items must be the number of samples in the whole effective batch.*Got 3 for a batch of 4"),
    ],
)
def test_items_that_cannot_be_right_are_refused(reduction, items, message):
    with pytest.raises(InputError, match=message):
        hs.Weighting(torch.ones(4), reduction=reduction)(torch.ones(4), torch.arange(4), items=items)


@pytest.mark.parametrize("items", [8, 8.0, torch.tensor(8), torch.tensor([8]), torch.tensor(8.0)])
def test_items_may_be_any_number(items):
    total = hs.Weighting("focal")(torch.full((4,), 2.0), items=items)
    assert total.shape == ()
    torch.testing.assert_close(total, hs.Weighting("focal")(torch.full((4,), 2.0)) / 2)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("kl-dro", {}, "compares the samples of a batch"),
        (torch.ones(4), {"reduction": "weighted mean"}, "needs all weights first"),
        (torch.ones(4), {"reduction": "sum"}, "too small by their number"),
    ],
)
def test_losses_of_micro_batches_that_a_loop_averages_are_refused_if_they_do_not_add_up(source, arguments, message):
    weighting = hs.Weighting(source, **arguments)
    losses, ids = torch.tensor([0.5, 1.0, 2.0, 3.0], requires_grad=True), torch.arange(4)
    assert weighting(losses, ids).isfinite()
    weighting.micro_batches = 2
    with pytest.raises(InputError, match=message):
        weighting(losses, ids)


def test_accelerate_tells_that_its_batches_are_micro_batches():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from torch.utils.data import DataLoader

    weighting, losses = hs.Weighting("kl-dro"), torch.tensor([0.5, 1.0], requires_grad=True)
    loader = Accelerator(cpu=True, gradient_accumulation_steps=2).prepare(DataLoader(torch.arange(4), 2))
    try:
        for ids in loader:
            with pytest.raises(InputError, match="compares the samples of a batch"):
                weighting(losses, ids)
            assert hs.Weighting("focal")(losses, ids).isfinite()
        # Outside of the loader nothing accumulates.
        assert weighting(losses, torch.arange(2)).isfinite()
    finally:
        AcceleratorState._reset_state()
        GradientState._reset_state()


def test_accelerate_accumulates_over_a_loader_that_it_did_not_prepare():
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    model = torch.nn.Linear(1, 1)
    accelerator, losses = Accelerator(cpu=True, gradient_accumulation_steps=2), torch.tensor([0.5, 1.0], requires_grad=True)
    try:
        assert hs.Weighting("kl-dro")(losses, torch.arange(2)).isfinite()
        with accelerator.accumulate(model), pytest.raises(InputError, match="compares the samples of a batch"):
            hs.Weighting("kl-dro")(losses, torch.arange(2))
        with accelerator.accumulate(model):
            assert hs.Weighting("focal")(losses, torch.arange(2)).isfinite()
    finally:
        AcceleratorState._reset_state()
        GradientState._reset_state()
