"""What a scheme is, and what is refused when one is registered or called."""

import pytest
import torch
from support.untyped_calls import printed

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights import scheme

GIVEN = {"formula": "1", "priority": "none", "scale": "any", "source": "tests"}


def test_a_registered_function_stays_a_function_and_is_found_by_its_name():
    @scheme("t-new", example={"power": 2.0}, **GIVEN)
    def power(p, *, power):
        """Prefer likely labels.

        More.
        """
        return p**power

    assert power(torch.tensor([0.5]), power=2).tolist() == [0.25]
    assert hs.SCHEMES["t-new"].description == "Prefer likely labels"
    assert hs.Weighting("t-new", power=1.0)(torch.tensor([0.0])) == 0
    assert list(hs.SCHEMES)[-1] == "t-new"


def test_the_librarys_schemes_stand_by_module_and_definition():
    modules = [row.function.__module__ for row in hs.SCHEMES.values()]
    assert modules == sorted(modules)
    assert next(iter(hs.SCHEMES)) == "auto"


@pytest.mark.parametrize(
    ("function", "changed", "message"),
    [
        (lambda losses: losses, {}, r"must be inputs of hs.weights.INPUTS. Got 'losses': do you mean 'loss'\?"),
        (lambda loss, zzz: loss, {}, "Got 'zzz': make it keyword-only"),
        (lambda state, loss: loss, {}, "must have both a first parameter 'state' and init="),
        (lambda loss: loss, {"init": dict}, "must have both a first parameter 'state' and init="),
        (lambda loss: loss, {"description": ""}, "must have a docstring"),
    ],
)
def test_a_wrong_scheme_is_refused_when_it_is_registered(function, changed, message):
    with pytest.raises(InputError, match=message) as caught:
        scheme("t-wrong", **GIVEN | {"description": "none"} | changed)(function)
    assert "\n" not in str(caught.value)
    assert "t-wrong" not in hs.SCHEMES


WRONG_CHOICES = """
given = {"description": "none", "formula": "1", "priority": "none", "scale": "any", "source": "tests"}
for wrong in ({"priority": "soft"}, {"kind": "weight"}, {"reduction": "average"}, {"per": "batch"}):
    tried(hs.weights.scheme("t-wrong", **given | wrong), lambda loss: loss)
assert "t-wrong" not in hs.SCHEMES
"""


@pytest.mark.slow
def test_wrong_choices_are_refused_when_a_scheme_is_registered():
    assert printed(WRONG_CHOICES) == [
        "priority of scheme 't-wrong' must be one of easy, hard, medium, two-ends, varied, learned, none. Got 'soft'",
        "kind of scheme 't-wrong' must be one of weights, loss, sampling, learned. Got 'weight'",
        "reduction of scheme 't-wrong' must be one of mean, weighted mean, sum. Got 'average'",
        "per of scheme 't-wrong' must be one of sample, class, group, element. Got 'batch'",
    ]


def test_a_name_belongs_to_one_function():
    with pytest.raises(InputError, match=r"the name of a scheme must be unique\. Got 'gce', which is hardsight"):
        scheme("gce", description="none", **GIVEN)(lambda loss: loss)


@pytest.mark.parametrize(("bad", "shown"), [(-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_negative_and_infinite_weights_are_refused_when_it_is_called(bad, shown):
    @scheme("t-bad", **GIVEN)
    def bad_weights(loss):
        """Prefer nothing."""
        return torch.where(loss > 1, bad, 1.0)

    message = f"the weights of scheme 't-bad' must be finite and 0 or more. Got {shown} for sample 1 of the batch"
    with pytest.raises(InputError, match=message):
        hs.SCHEMES["t-bad"]({"loss": torch.tensor([0.5, 2.0])}, {})
    with pytest.raises(InputError, match=message):
        hs.Weighting("t-bad")(torch.tensor([0.5, 2.0]))


def test_optional_inputs_are_read_if_they_are_given():
    @scheme("t-optional", **GIVEN)
    def by_classes(loss, logits=None, classes=None):
        """Prefer nothing."""
        return torch.full_like(loss, 1.0 if logits is None else logits.shape[1]) * (classes or 1)

    loss, logits = torch.ones(2), torch.zeros(2, 3)
    assert hs.SCHEMES["t-optional"].reads == ("loss",)
    assert hs.SCHEMES["t-optional"].optional == ("logits", "classes")
    assert hs.Weighting("t-optional")(loss) == 1
    assert hs.Weighting("t-optional", classes=5)(loss) == 5
    assert hs.Weighting("t-optional")(loss, logits=logits) == 3


def test_superloss_knows_the_classes_from_logits_or_the_weighting_and_else_takes_the_mean_loss():
    loss = torch.tensor([0.5, 1.0, 3.0])
    by_log_k = hs.weights.superloss(loss, tau=torch.log(torch.tensor(4.0)).item())
    by_mean = hs.weights.superloss(loss, tau=1.5)
    torch.testing.assert_close(hs.weights.superloss(loss, torch.zeros(3, 4)), by_log_k)
    torch.testing.assert_close(hs.Weighting("superloss", classes=4).weights(loss), by_log_k)
    torch.testing.assert_close(hs.Weighting("superloss").weights(loss, logits=torch.zeros(3, 4)), by_log_k)
    torch.testing.assert_close(hs.Weighting("superloss").weights(loss), by_mean)
    torch.testing.assert_close(hs.Weighting("superloss", tau=1.5, classes=4).weights(loss), by_mean)
