"""Every scheme of the catalogue in a loop: finite numbers and gradients, and resuming bit for bit."""

import copy

import pytest
import torch

import hardsight as hs

SAMPLES, CLASSES, BATCH, GROUPS = 40, 4, 8, 2
# AdaBoost reads all samples at once.
SCHEMES_IN_LOOPS = sorted(name for name, row in hs.SCHEMES.items() if row.kind in ("weights", "loss") and name != "adaboost")


def batch(step):
    generator = torch.Generator().manual_seed(step)
    uniform = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    logits = (2 * uniform(BATCH, CLASSES) - 1).requires_grad_()
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    inputs = {
        "logits": logits,
        "labels": labels,
        "loss": torch.nn.functional.cross_entropy(logits, labels, reduction="none"),
        "features": uniform(BATCH, 5),
        "groups": torch.arange(BATCH) % GROUPS,
        "held_out": uniform(BATCH),
        "peer": uniform(BATCH),
        "peer_logits": uniform(BATCH, CLASSES),
        "history": uniform(BATCH, 3),
        "first": (uniform(BATCH) > 0.5).float(),
        "class_error": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "neighbours": torch.randint(2, (BATCH, 5), generator=generator),
        "residual": logits[:, 0],
        "aum": uniform(BATCH),
        "p_wrong": uniform(BATCH),
        "purity": uniform(BATCH),
    }
    return torch.randperm(SAMPLES, generator=generator)[:BATCH], logits, inputs


def make_weighting(name):
    sizes = [20, 20] if name.startswith("icost") else [10, 12, 3, 15]
    classes = len(sizes)
    parameters = hs.SCHEMES[name].example
    return hs.Weighting(name, SAMPLES, classes=classes, sizes=sizes, groups=GROUPS, epochs=6.0, **parameters)


def run_step(weighting, step):
    weighting.set_epoch(step)
    ids, logits, inputs = batch(step)
    scheme = weighting.scheme
    if scheme.name.startswith("icost"):
        inputs["labels"] = inputs["labels"] % 2
    if scheme.name in ("asl", "focal-sigmoid"):
        inputs["labels"] = torch.nn.functional.one_hot(inputs["labels"], CLASSES)
    if scheme.name == "spl-logarithmic":
        inputs["loss"] = inputs["loss"] / 4
    names = {"loss"} | set(scheme.reads) if scheme.kind == "weights" else set(scheme.reads)
    loss = weighting(ids=ids, **{key: value for key, value in inputs.items() if key in names})
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("name", SCHEMES_IN_LOOPS)
def test_every_scheme_goes_through_a_loop_and_resumes(name):
    straight, resumed = make_weighting(name), make_weighting(name)
    for step in range(6):
        loss, gradient = run_step(straight, step)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert gradient.isfinite().all()
        state = copy.deepcopy(straight.state_dict()) if step == 2 else None
        if state is not None:
            resumed.load_state_dict(state)
        if step > 2:
            assert torch.equal(run_step(resumed, step)[1], gradient)
    assert not any(tensor.requires_grad for tensor in straight.buffers())
