"""Every scheme of the catalogue in a loop: finite numbers and gradients, and resuming bit for bit."""

import copy

import pytest
import torch

import hardsight as hs

SAMPLES, CLASSES, BATCH, GROUPS = 40, 4, 8, 2
# Parameters without a published default.
PARAMETERS = {
    "tilted": {"t": 1.0},
    "tilted-groups": {"t": 1.0, "tau": 1.0},
    "cvar": {"alpha": 0.3},
    "flsd-closed-form": {"p0": 0.2},
    "poly-1": {"eps": 1.0},
    "mcl": {"share": 0.5, "diversity": 0.1},
    "ohem": {"k": 4},
    "selective-backprop": {"beta": 1.0},
    "jtt": {"lam": 5.0},
    "curriculum": {"start": 0.2},
    "baby-step": {"buckets": 3},
    "imae": {"scale": 8.0},
    "derivative-manipulation": {"beta": 2.0, "lam": 1.0},
    "bi-tempered-loss": {"t1": 0.8, "t2": 1.2},
    "spl-hard": {"lam": 2.0},
    "spl-share": {"rate": 0.5},
    "spl-linear": {"lam": 2.0},
    "spl-logarithmic": {"lam": 0.9},
    "spl-mixture": {"lam1": 2.0, "lam2": 1.0},
    "spl-mixture-2": {"lam": 2.0, "gamma": 1.0},
    "spl-logistic": {"lam": 1.0},
    "spl-polynomial": {"lam": 2.0},
    "spl-diversity": {"lam": 1.0, "gamma": 1.0},
    "co-teaching": {"rate": 0.3},
    "jocor": {"rate": 0.3},
    "jocor-loss": {"rate": 0.3},
    "aum-filter": {"threshold": torch.linspace(0, 0.5, 20)},
    "mentornet-dd": {"mentor": hs.weights.Mentor()},
}
# AdaBoost reads all samples at once.
SCHEMES_IN_LOOPS = sorted(
    name for name, row in hs.SCHEMES.items() if row.kind in ("weights", "loss") and name != "adaboost"
)


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
    parameters = PARAMETERS.get(name, {})
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
