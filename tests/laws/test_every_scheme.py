"""Laws that every scheme of the library obeys."""

import copy
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights import INPUTS, StateShape
from website.weights_page import call_arguments, constructor_arguments

SAMPLES, CLASSES, GROUPS = 24, 4, 3
NAMES = sorted(hs.SCHEMES)
# Weights learned by a network of their own need a model; tests/weights/schemes has theirs.
CALLED = [name for name in NAMES if hs.SCHEMES[name].kind != "learned" or name in ("data-parameters", "lilaw")]
STATELESS = [name for name in CALLED if hs.SCHEMES[name].init is None]
DRAWING = [name for name in CALLED if "generator" in hs.SCHEMES[name].reads]
WEIGHTS = [name for name in CALLED if hs.SCHEMES[name].kind in ("weights", "sampling")]
WEIGHTS_OF_LOSSES = [
    name
    for name in STATELESS
    if hs.SCHEMES[name].kind == "weights" and name not in DRAWING and {"loss", "p"} & set(hs.SCHEMES[name].reads)
]
LOOPED = [name for name in NAMES if hs.SCHEMES[name].kind in ("weights", "loss")]


def make_inputs(name: str, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Random inputs of a scheme, by name; all samples differ."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    classes = 2 if name.startswith("icost") else CLASSES
    labels = torch.arange(SAMPLES) % classes
    # Right more often than chance, as boosting demands.
    logits = 4 * draw(SAMPLES, classes) - 2 + 1.5 * one_hot(labels, classes)
    inputs: dict[str, Any] = {
        "logits": logits,
        "labels": labels,
        "features": draw(SAMPLES, 5),
        "held_out": draw(SAMPLES),
        "peer": draw(SAMPLES),
        "peer_logits": draw(SAMPLES, classes),
        "first": (draw(SAMPLES) > 0.5).double(),
        "class_error": torch.linspace(0.1, 0.4, classes).double(),
        "residual": draw(SAMPLES) - 0.5,
        "aum": draw(SAMPLES),
        "p_wrong": draw(SAMPLES),
        "purity": draw(SAMPLES),
    }
    inputs["loss"] = cross_entropy(logits, labels, reduction="none")
    if name == "spl-logarithmic":
        inputs["loss"] = inputs["loss"] / 4
    inputs = {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}
    if name in ("asl", "focal-sigmoid"):
        inputs["labels"] = one_hot(labels, classes)
    return inputs | {
        "groups": torch.arange(SAMPLES) % GROUPS,
        "neighbours": torch.randint(2, (SAMPLES, 5), generator=generator),
        "rows": torch.arange(SAMPLES),
        "sizes": torch.bincount(labels, minlength=classes),
        "epoch": 5.0,
        "epochs": 10.0,
        "learning_rate": 0.1,
        "generator": torch.Generator().manual_seed(2),
    }


def make_state(name: str, **parameters: Any) -> Any:
    shape = StateShape(SAMPLES, CLASSES, GROUPS)
    return hs.SCHEMES[name].init_state(shape, {**hs.SCHEMES[name].example, **parameters})


def call(name: str, inputs: dict[str, Any], state: Any = None, **parameters: Any) -> torch.Tensor:
    scheme = hs.SCHEMES[name]
    state = make_state(name) if state is None else state
    return scheme(inputs, {**scheme.example, **parameters}, state).detach()


def permute(inputs: dict[str, Any], order: torch.Tensor) -> dict[str, Any]:
    def is_per_sample(key):
        shape = INPUTS[key].shape
        return bool(shape) and shape[0] == "sample"

    return {key: value[order] if is_per_sample(key) else value for key, value in inputs.items()}


@pytest.mark.parametrize("name", NAMES)
def test_it_declares_itself_and_has_an_example_of_each_parameter_without_a_default(name):
    scheme = hs.SCHEMES[name]
    declared = scheme.to_dict()
    assert declared["name"] == name
    assert all(declared[key] for key in ("description", "formula", "scale", "source", "reads", "normalization"))
    assert set(scheme.inputs) <= set(INPUTS)
    assert set(scheme.example) == {key for key, default in scheme.parameters.items() if default is ...}
    assert set(scheme.exclude_from_benchmark) <= {"held out", "in training"}
    assert getattr(hs.weights, scheme.function.__name__) is scheme.function
    assert scheme.function.__doc__.startswith(scheme.description)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CALLED)
def test_the_result_is_one_finite_number_per_sample_of_the_inputs_type(name, dtype):
    result = call(name, make_inputs(name, dtype))
    assert result.shape == (SAMPLES,)
    assert result.isfinite().all()
    # Weights by the sizes of the classes read nothing of the samples that has a floating-point type.
    if any(key in hs.SCHEMES[name].reads for key in ("loss", "p", "logits", "held_out", "peer")):
        assert result.dtype == dtype


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_not_negative_and_not_all_zero(name):
    weights = call(name, make_inputs(name))
    assert (weights >= 0).all()
    assert weights.sum() > 0


@pytest.mark.parametrize("name", [name for name in CALLED if name not in DRAWING])
def test_weights_follow_their_samples(name):
    inputs, order = make_inputs(name), torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(call(name, permute(inputs, order)), call(name, inputs)[order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CALLED)
def test_equal_inputs_states_and_seeds_give_equal_results_and_states(name):
    # A second round of boosting needs another model.
    calls = 1 if name == "adaboost" else 3
    states = [make_state(name) for _ in range(2)]
    results = [[call(name, make_inputs(name), state) for _ in range(calls)] for state in states]
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))
    if states[0] is not None:
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", CALLED)
def test_inputs_stay_as_they_are(name):
    inputs = make_inputs(name)
    before = {key: copy.deepcopy(value) for key, value in inputs.items() if isinstance(value, torch.Tensor)}
    call(name, inputs)
    assert all(torch.equal(inputs[key], value) for key, value in before.items())


# Without a GPU, one skipped test says so.
@pytest.mark.gpu
@pytest.mark.parametrize("name", CALLED if torch.cuda.is_available() else [])
def test_the_result_is_on_the_inputs_device(name):
    inputs = {key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in make_inputs(name).items()}
    scheme = hs.SCHEMES[name]
    shape = StateShape(SAMPLES, CLASSES, GROUPS, torch.device("cuda"))
    result = scheme(inputs, scheme.example, scheme.init_state(shape, scheme.example))
    assert result.is_cuda
    torch.testing.assert_close(result.detach().cpu(), call(name, make_inputs(name)), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", WEIGHTS_OF_LOSSES)
def test_the_gradient_flows_through_the_weights_only_if_it_is_published_so(name):
    scheme, inputs = hs.SCHEMES[name], make_inputs(name, torch.float32)
    loss = inputs["loss"].requires_grad_()
    weighting = make_weighting(name)
    weighting.set_epoch(5.0)
    weighting(loss, torch.arange(SAMPLES), **{key: inputs[key] for key in call_arguments(scheme)}).backward()
    weights = call(name, {key: inputs[key] for key in (*scheme.reads, "loss") if key in inputs})
    total = {"mean": SAMPLES, "weighted mean": weights.sum(), "sum": 1}[scheme.reduction]
    assert torch.allclose(loss.grad, weights / total, rtol=1e-4, atol=1e-6) != scheme.through


@pytest.mark.parametrize("name", CALLED)
def test_parameters_that_are_not_numbers_are_refused(name):
    scheme = hs.SCHEMES[name]
    values = {key: scheme.example.get(key, default) for key, default in scheme.parameters.items()}
    for key, value in values.items():
        if isinstance(value, float):
            with pytest.raises(InputError, match=key):
                call(name, make_inputs(name), make_state(name), **{key: float("nan")})


@pytest.mark.parametrize("name", NAMES)
def test_unknown_and_missing_parameters_are_refused(name):
    scheme = hs.SCHEMES[name]
    with pytest.raises(InputError, match=f"scheme '{name}' has no parameter 'nothing'"):
        scheme.check_parameters({**scheme.example, "nothing": 1})
    if scheme.example:
        with pytest.raises(InputError, match=f"scheme '{name}' has no published default for"):
            scheme.check_parameters({})


def make_weighting(name: str) -> hs.Weighting:
    scheme, classes = hs.SCHEMES[name], 2 if name.startswith("icost") else CLASSES
    needed = {"sizes": [SAMPLES // classes] * classes, "epochs": 10.0, "classes": classes, "groups": GROUPS}
    arguments = {key: needed[key] for key in constructor_arguments(scheme) if key in needed}
    return hs.Weighting(name, num_samples=SAMPLES, **arguments, **scheme.example)


@pytest.mark.parametrize("name", LOOPED)
def test_a_loop_needs_what_the_page_says(name):
    """Those that need nothing more run in the two lines that docs/weighting.md adds to a loop."""
    scheme, inputs = hs.SCHEMES[name], make_inputs(name, torch.float32)
    weighting = make_weighting(name)
    if "epoch" in scheme.reads:
        weighting.set_epoch(5.0)
    loss = weighting(inputs["loss"], torch.arange(SAMPLES), **{key: inputs[key] for key in call_arguments(scheme)})
    assert loss.shape == ()
    assert loss.isfinite()
    if call_arguments(scheme):
        with pytest.raises(InputError):
            weighting(inputs["loss"], torch.arange(SAMPLES))
