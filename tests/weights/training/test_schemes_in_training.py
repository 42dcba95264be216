"""Every scheme of the table goes through a loop: finite numbers and gradients, and resumed bit for bit."""

import copy

import pytest
import torch

import hardsight as hs

SAMPLES, CLASSES, BATCH, GROUPS = 40, 4, 8, 2
# What was published without a default.
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
# AdaBoost looks at all samples at once.
LOOPED = sorted(name for name, row in hs.SCHEMES.items() if row.kind in ("weights", "loss") and name != "adaboost")


def batch(step):
    generator = torch.Generator().manual_seed(step)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    logits = (2 * draw(BATCH, CLASSES) - 1).requires_grad_()
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    given = {
        "logits": logits,
        "labels": labels,
        "loss": torch.nn.functional.cross_entropy(logits, labels, reduction="none"),
        "features": draw(BATCH, 5),
        "groups": torch.arange(BATCH) % GROUPS,
        "held_out": draw(BATCH),
        "peer": draw(BATCH),
        "peer_logits": draw(BATCH, CLASSES),
        "history": draw(BATCH, 3),
        "first": (draw(BATCH) > 0.5).float(),
        "class_error": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "neighbours": torch.randint(2, (BATCH, 5), generator=generator),
        "residual": logits[:, 0],
        "aum": draw(BATCH),
        "p_wrong": draw(BATCH),
        "purity": draw(BATCH),
    }
    return torch.randperm(SAMPLES, generator=generator)[:BATCH], logits, given


def made(name):
    sizes = [20, 20] if name.startswith("icost") else [10, 12, 3, 15]
    classes = len(sizes)
    parameters = PARAMETERS.get(name, {})
    return hs.Weighting(name, SAMPLES, classes=classes, sizes=sizes, groups=GROUPS, epochs=6.0, **parameters)


def stepped(weighting, step):
    weighting.set_epoch(step)
    at, logits, given = batch(step)
    scheme = weighting.scheme
    if scheme.name.startswith("icost"):
        given["labels"] = given["labels"] % 2
    if scheme.name in ("asl", "focal-sigmoid"):
        given["labels"] = torch.nn.functional.one_hot(given["labels"], CLASSES)
    if scheme.name == "spl-logarithmic":
        given["loss"] = given["loss"] / 4
    told = {"loss"} | set(scheme.reads) if scheme.kind == "weights" else set(scheme.reads)
    loss = weighting(ids=at, **{key: value for key, value in given.items() if key in told})
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("name", LOOPED)
def test_every_scheme_goes_through_a_loop_and_resumes(name):
    straight, resumed = made(name), made(name)
    for step in range(6):
        loss, gradient = stepped(straight, step)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert gradient.isfinite().all()
        again = copy.deepcopy(straight.state_dict()) if step == 2 else None
        if again is not None:
            resumed.load_state_dict(again)
        if step > 2:
            assert torch.equal(stepped(resumed, step)[1], gradient)
    assert not any(tensor.requires_grad for tensor in straight.buffers())
