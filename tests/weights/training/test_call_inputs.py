"""What a call may give: forms of logits, labels and sizes, and inputs that are read or refused by name."""

import collections

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

import hardsight as hs
from hardsight.errors import InputError

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(12, 4, generator=GENERATOR)
LABELS = torch.randint(4, (12,), generator=GENERATOR)
P = LOGITS.softmax(1).gather(1, LABELS[:, None])[:, 0]
CHANGED_LOSSES = {
    "class weights": {"weight": torch.tensor([1.0, 5.0, 0.2, 2.0])},
    "label smoothing": {"label_smoothing": 0.1},
}
READ_P = {
    "focal": (lambda p: (1 - p) ** 2, {}),
    "gce": (lambda p: p**0.7, {}),
    "mae": (lambda p: p, {}),
    "poly-1": (lambda p: 1 + 2 * p, {"eps": 2.0}),
}


@pytest.mark.parametrize("changed", CHANGED_LOSSES)
@pytest.mark.parametrize("name", READ_P)
@pytest.mark.parametrize("way", ["fast path", "general", "items", "weights", "half", "function"])
def test_p_is_that_of_logits_and_labels_whatever_the_loss(name, changed, way):
    weight_of, parameters = READ_P[name]
    leaf = LOGITS.clone().requires_grad_()
    loss = cross_entropy(leaf, LABELS, reduction="none", **CHANGED_LOSSES[changed])
    weighting = hs.Weighting(name, 12, **parameters)
    given, expected = {"logits": leaf, "labels": LABELS}, (weight_of(P) * loss.detach()).mean()
    if way == "weights":
        weights = weighting.weights(loss, torch.arange(12), **given)
        torch.testing.assert_close(weights, weight_of(P))
        return
    if way == "function":
        torch.testing.assert_close(hs.SCHEMES[name]({"loss": loss, **given}, parameters), weight_of(P))
        return
    ids = torch.arange(12).tolist() if way == "general" else torch.arange(12)
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    if way == "half":
        loss, tolerance = loss.half(), {"rtol": 2e-3, "atol": 2e-3}
    found = weighting(loss, ids, items=12 if way == "items" else None, **given)
    torch.testing.assert_close(found, expected, **tolerance)
    if way in ("fast path", "general"):
        reference = LOGITS.clone().requires_grad_()
        p = reference.softmax(1).gather(1, LABELS[:, None])[:, 0]
        weights = weight_of(p) if name == "focal" else weight_of(p.detach())
        total = (weights * cross_entropy(reference, LABELS, reduction="none", **CHANGED_LOSSES[changed])).mean()
        torch.testing.assert_close(torch.autograd.grad(found, leaf)[0], torch.autograd.grad(total, reference)[0])


def test_p_that_is_given_counts_and_p_of_the_loss_is_the_last_resort():
    loss = cross_entropy(LOGITS, LABELS, reduction="none", label_smoothing=0.1)
    p = torch.linspace(0, 1, 12)
    torch.testing.assert_close(hs.Weighting("mae").weights(loss, logits=LOGITS, labels=LABELS, p=p), p)
    torch.testing.assert_close(hs.Weighting("mae").weights(loss), (-loss).exp())


def test_p_of_a_sequence_is_that_of_its_logits_and_labels():
    logits = LOGITS.reshape(3, 4, 4)
    labels = LABELS.reshape(3, 4)
    tokens = cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    smoothed = tokens.mean(1) + 1
    weights = hs.Weighting("mae").weights(smoothed, logits=logits, labels=labels)
    torch.testing.assert_close(weights, (-tokens.mean(1)).exp())


@pytest.mark.parametrize("shape", [(12,), (12, 1)])
@pytest.mark.parametrize("name", ["focal", "gce-loss", "superloss", "superloss-loss", "low", "mae-loss"])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool])
def test_one_logit_per_sample_is_two_classes(name, shape, kind):
    logits, labels = LOGITS[:, 0], (LABELS > 1).long()
    both = torch.stack([torch.zeros(12), logits], 1)
    expected = hs.Weighting(name)(logits=both, labels=labels)
    for given in (labels.to(kind), labels.to(kind)[:, None]):
        torch.testing.assert_close(hs.Weighting(name)(logits=logits.reshape(shape), labels=given), expected)


def test_soft_labels_of_one_logit_give_the_binary_cross_entropy():
    soft = torch.linspace(0, 1, 12)
    weighting = hs.Weighting(torch.ones(12))
    expected = binary_cross_entropy_with_logits(LOGITS[:, 0], soft)
    torch.testing.assert_close(weighting(ids=torch.arange(12), logits=LOGITS[:, 0], labels=soft), expected)
    torch.testing.assert_close(weighting.eval()(logits=LOGITS[:, 0], labels=soft), expected)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("name", ["focal", "class-balanced", "gce-loss", "low", "ldam-loss"])
def test_one_hot_labels_are_class_codes(name, kind):
    weighting = hs.Weighting(name, sizes=[3, 4, 2, 3])
    found = weighting(logits=LOGITS, labels=one_hot(LABELS, 4).to(kind))
    torch.testing.assert_close(found, weighting(logits=LOGITS, labels=LABELS))
    loss = cross_entropy(LOGITS, LABELS, reduction="none")
    if name == "class-balanced":
        torch.testing.assert_close(weighting(loss, labels=one_hot(LABELS, 4).to(kind)), weighting(loss, labels=LABELS))


def test_soft_labels_give_a_loss_and_no_class():
    soft = torch.softmax(LOGITS.roll(1, 0), 1)
    expected = cross_entropy(LOGITS, soft, reduction="none")
    fixed = hs.Weighting(torch.arange(12.0), reduction="none")
    torch.testing.assert_close(fixed(ids=torch.arange(12), logits=LOGITS, labels=soft), expected * torch.arange(12.0))
    torch.testing.assert_close(hs.Weighting("kl-dro")(logits=LOGITS, labels=soft), hs.Weighting("kl-dro")(expected))
    assert hs.Weighting("mae")(logits=LOGITS, labels=soft, p=P) > 0
    for name, message in (
        ("focal", "soft labels have no class of which p is the probability: pass p="),
        ("gce-loss", "'gce-loss' reads one class per sample, and soft labels have none"),
        ("class-balanced", "'class-balanced' reads one class per sample"),
    ):
        with pytest.raises(InputError, match=message):
            hs.Weighting(name, sizes=[3, 4, 2, 3])(expected, logits=LOGITS, labels=soft)


IMAGE = torch.randn(2, 4, 3, 5, generator=GENERATOR)
PIXELS = torch.randint(4, (2, 3, 5), generator=GENERATOR)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"logits": IMAGE, "labels": PIXELS}, r"Got \(2, 4, 3, 5\): for a weight per pixel pass logits.movedim"),
        ({"logits": IMAGE[:, :, 0], "labels": PIXELS[:, 0]}, r"pass logits.transpose\(1, 2\), or for a weight per token"),
        ({"loss": torch.ones(2, 3, 5)}, r"Got the shape \(2, 3, 5\): pass loss.flatten\(\) for a weight per pixel"),
        ({"logits": LOGITS, "labels": torch.ones(12, 4)}, "must be one-hot rows or class probabilities"),
        (
            {"logits": LOGITS, "labels": one_hot(LABELS, 5)},
            r"of the shape of the logits, \(12, 4\). Got the shape \(12, 5\)",
        ),
        ({"logits": LOGITS, "labels": LABELS - 100}, r"labels must be class codes from 0 to 3"),
        ({"logits": LOGITS[:, 0], "labels": LABELS + 0.5}, "must be 0, 1 or the probability of class 1"),
    ],
)
@pytest.mark.parametrize("name", ["focal", "gce-loss"])
def test_other_shapes_are_refused_with_the_fix(given, message, name):
    if "logits" not in given and name == "gce-loss":
        pytest.skip("reads no loss")
    with pytest.raises(InputError, match=message) as caught:
        hs.Weighting(name)(**given)
    assert "\n" not in str(caught.value)


def test_the_fix_for_pixels_is_the_loss_per_pixel():
    flat, labels = IMAGE.movedim(1, -1).flatten(0, -2), PIXELS.flatten()
    pixels = cross_entropy(IMAGE, PIXELS, reduction="none").flatten()
    torch.testing.assert_close(hs.Weighting("focal")(logits=flat, labels=labels), hs.Weighting("focal")(pixels))


@pytest.mark.parametrize("loss", [torch.ones(4, 1), torch.ones(4)])
def test_a_column_of_losses_is_one_loss_per_sample(loss):
    assert hs.Weighting(torch.arange(4.0))(loss, torch.arange(4)) == 1.5


@pytest.mark.parametrize(
    "sizes",
    [
        collections.Counter([2] * 5 + [0] * 90 + [1] * 10),
        {1: 10, 0: 90, 2: 5},
        {np.int64(2): np.int64(5), np.int64(0): 90, np.int64(1): 10},
        pd.Series([2] * 5 + [0] * 90 + [1] * 10).value_counts(),
        [90, 10, 5],
        np.array([90, 10, 5], dtype=np.int32),
        torch.tensor([90.0, 10, 5]),
    ],
    ids=lambda sizes: type(sizes).__name__,
)
def test_sizes_of_any_kind_are_sizes_by_class(sizes):
    labels, loss = torch.tensor([0, 1, 2, 1]), torch.ones(4)
    expected = hs.Weighting("balanced", sizes=torch.tensor([90, 10, 5]), reduction="none")(loss, labels=labels)
    torch.testing.assert_close(hs.Weighting("balanced", sizes=sizes, reduction="none")(loss, labels=labels), expected)
    torch.testing.assert_close(hs.Weighting("balanced", reduction="none")(loss, labels=labels, sizes=sizes), expected)
    torch.testing.assert_close(hs.SCHEMES["balanced"]({"labels": labels, "sizes": sizes}, {}), expected)


def test_a_class_without_a_count_has_no_sample():
    weighting = hs.Weighting("balanced", sizes={0: 3, 3: 1}, classes=5)
    assert weighting.sizes is not None
    assert weighting.sizes.tolist() == [3, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"cat": 3, "dog": 2}, "the keys of sizes must be class codes, 0, 1, … Got 'cat'"),
        (pd.Series(["a", "b", "a"]).value_counts(), "must be class codes, 0, 1, … Got 'a'"),
        ({-1: 3, 0: 2}, "must be class codes, 0, 1, … Got -1"),
        ([3, -2], r"sizes\[1\] is -2"),
        ([3, float("nan")], r"sizes\[1\] is nan"),
        ([[3, 2]], r"one number per class, \(class,\). Got the shape \(1, 2\)"),
        ({}, r"one number per class"),
        (["a", "b"], "sizes must be numbers"),
    ],
)
def test_sizes_that_are_none_are_refused(sizes, message):
    with pytest.raises(InputError, match=message):
        hs.Weighting("balanced", sizes=sizes)


def test_sizes_must_be_those_of_all_classes():
    with pytest.raises(InputError, match=r"one entry for each of the 3 classes\. Got 2"):
        hs.Weighting("balanced", sizes=[3, 4], classes=3)


def test_what_is_known_of_the_training_may_be_given_in_the_call():
    losses, labels, sizes = torch.rand(8, generator=GENERATOR), torch.arange(8) % 2, [90, 10]
    set_once = hs.Weighting("drw", sizes=sizes, epochs=10)
    set_once.set_epoch(9)
    in_call = hs.Weighting("drw")
    expected = set_once(losses, labels=labels)
    torch.testing.assert_close(in_call(losses, labels=labels, sizes=sizes, epoch=9.0, epochs=10.0), expected)
    late = hs.Weighting("drw", sizes=[50, 50], epochs=100)
    late.set_epoch(0)
    torch.testing.assert_close(late(losses, labels=labels, sizes=sizes, epoch=9.0, epochs=10), expected)
    assert late.epoch == 0
    assert (expected - losses.mean()).abs() > 1e-4
    by_classes = hs.Weighting("superloss", classes=7)(losses)
    torch.testing.assert_close(hs.Weighting("superloss")(losses, classes=7), by_classes)
    torch.testing.assert_close(hs.Weighting("superloss", classes=3)(losses, classes=7), by_classes)
    torch.testing.assert_close(
        hs.Weighting("drw").weights(losses, labels=labels, sizes=sizes, epoch=9.0, epochs=10.0),
        set_once.weights(losses, labels=labels),
    )


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("focal", {"sizes": [1, 2]}, "scheme 'focal' does not read sizes: leave it out"),
        ("focal", {"gamma": 3.0}, r"gamma is a parameter of scheme 'focal': pass it once, hs.Weighting\('focal', gamma=…\)"),
        ("focal", {"reduction": "sum"}, r"takes no reduction=: pass it once, hs.Weighting\(…, reduction=…\)"),
        ("focal", {"weight": torch.ones(2)}, "class weights belong to the loss"),
        ("focal", {"label_smoothing": 0.1}, "smoothing belongs to the loss"),
        ("focal", {"ignore_index": 255}, r"leave ignored samples out: keep = labels != ignore_index"),
        ("focal", {"label": LABELS}, "no scheme reads 'label': do you mean 'labels'"),
        ("drw", {"sizes": [1, 2], "epoch": 1.0, "epochs": 2.0, "groups": LABELS}, "'drw' does not read groups"),
        ("infobatch", {"generator": torch.Generator()}, r"random numbers come from seed="),
        ("elr", {"rows": LABELS}, r"rows are found by the ids: pass ids="),
        (None, {"epoch": 3}, "fixed weights do not read epoch: leave it out"),
        (None, {"lam": 3}, "no scheme reads 'lam'"),
    ],
)
def test_inputs_that_nobody_reads_are_refused_by_name(name, given, message):
    weighting = hs.Weighting(torch.ones(12)) if name is None else hs.Weighting(name, 12, classes=4)
    with pytest.raises(InputError, match=message) as caught:
        weighting(torch.ones(12), torch.arange(12), labels=LABELS % 2, **given)
    assert "\n" not in str(caught.value)


def test_logits_and_labels_that_nobody_reads_do_no_harm():
    loss, ids = torch.rand(12, generator=GENERATOR), torch.arange(12)
    for weighting in (hs.Weighting(torch.rand(12, generator=GENERATOR)), hs.Weighting("spl-linear", lam=1.0)):
        plain = weighting(loss, ids)
        torch.testing.assert_close(weighting(loss, ids, logits=IMAGE, labels=PIXELS), plain)
        torch.testing.assert_close(weighting(loss, ids.tolist(), logits=LOGITS, labels=LABELS.float() + 0.5), plain)


ARRAYS = {
    "other byte order": lambda values: values.astype(values.dtype.newbyteorder(">")),
    "negative stride": lambda values: values[::-1].copy()[::-1],
    "longdouble": lambda values: values.astype(np.longdouble),
    "read-only": lambda values: np.lib.stride_tricks.as_strided(values, writeable=False),
    "list": lambda values: values.tolist(),
    "frame": lambda values: pd.DataFrame(values) if values.ndim > 1 else pd.Series(values),
}


@pytest.mark.parametrize("form", ARRAYS)
def test_arrays_of_any_layout_give_what_tensors_give(form):
    def convert(tensor):
        return ARRAYS[form](tensor.numpy())

    loss, sizes, weights = cross_entropy(LOGITS, LABELS, reduction="none"), torch.tensor([3, 3, 2, 4]), torch.rand(12)
    pairs = [
        (hs.Weighting("class-balanced", sizes=each), {"loss": turn(loss), "labels": turn(LABELS)})
        for each, turn in ((sizes, torch.as_tensor), (convert(sizes), convert))
    ]
    pairs += [
        (hs.Weighting("gce-loss"), {"logits": turn(LOGITS), "labels": turn(LABELS)}) for turn in (torch.as_tensor, convert)
    ]
    pairs += [(hs.Weighting("focal"), {"loss": turn(loss), "p": turn(P)}) for turn in (torch.as_tensor, convert)]
    pairs += [(hs.Weighting(turn(weights)), {"loss": loss, "ids": range(12)}) for turn in (torch.as_tensor, convert)]
    for (first, inputs), (second, arrays) in zip(pairs[::2], pairs[1::2], strict=True):
        torch.testing.assert_close(second(**arrays), first(**inputs), check_dtype=False, rtol=1e-6, atol=0)
    sampler = hs.WeightedSampler(convert(weights))
    np.testing.assert_allclose(sampler.chances, weights.double() / weights.double().sum(), rtol=1e-6)
    sampler.update(convert(weights))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
@pytest.mark.parametrize("source", ["fixed", "uniform", "focal", "superloss", "ohem", "mae"])
def test_losses_that_are_integers_are_weighted_by_fractions(source, dtype):
    loss, ids = torch.tensor([1, 0, 1, 1]).to(dtype), torch.arange(4)
    weights = torch.tensor([0.1, 0.7, 0.4, 0.3])
    parameters = {"superloss": {"tau": 0.7}, "ohem": {"k": 2}}.get(source, {})
    for reduction in ("mean", "weighted mean", "sum", "none"):
        weighting = hs.Weighting(weights if source == "fixed" else source, reduction=reduction, **parameters)
        torch.testing.assert_close(weighting(loss, ids), weighting(loss.float(), ids))
        torch.testing.assert_close(weighting(loss.tolist(), ids), weighting(loss.float(), ids))


def test_numbers_of_another_shape_or_kind_are_refused_by_name():
    loss, ids = torch.ones(12), torch.arange(12)
    with pytest.raises(InputError, match=r"p must have one row per sample. Got the shape \(12, 4\): pass one number per"):
        hs.Weighting("focal")(loss, p=LOGITS.softmax(1))
    torch.testing.assert_close(hs.Weighting("focal")(loss, p=P[:, None]), hs.Weighting("focal")(loss, p=P))
    with pytest.raises(InputError, match=r"loss must be numbers: .* Got torch.complex64"):
        hs.Weighting(torch.ones(12))(loss + 0j, ids)
