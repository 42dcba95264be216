"""Batches and weightings for every scheme of the catalogue that a training loop can use."""

import torch

import hardsight as hs

SAMPLES, CLASSES, BATCH, GROUPS = 40, 4, 8, 2
# AdaBoost reads all samples at once.
SCHEMES_IN_LOOPS = sorted(name for name, row in hs.SCHEMES.items() if row.kind in ("weights", "loss") and name != "adaboost")


def make_batch(step, dtype=torch.float32):
    """Return ids, logits that require a gradient, and every input by name."""
    generator = torch.Generator().manual_seed(step)
    uniform = lambda *shape: torch.rand(*shape, generator=generator, dtype=dtype)  # noqa: E731
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
        "first": (uniform(BATCH) > 0.5).to(dtype),
        "class_error": torch.tensor([0.1, 0.2, 0.3, 0.4]),
        "neighbours": torch.randint(2, (BATCH, 5), generator=generator),
        "residual": logits[:, 0],
        "aum": uniform(BATCH),
        "p_wrong": uniform(BATCH),
        "purity": uniform(BATCH),
    }
    return torch.randperm(SAMPLES, generator=generator)[:BATCH], logits, inputs


def make_weighting(name, **more):
    """Return a weighting by the scheme, with the parameters of its example."""
    sizes = [20, 20] if name.startswith("icost") else [10, 12, 3, 15]
    arguments = {"classes": len(sizes), "sizes": sizes, "groups": GROUPS, "epochs": 6.0} | more
    return hs.Weighting(name, SAMPLES, **arguments, **hs.SCHEMES[name].example)


def inputs_of(scheme, inputs):
    """Return those of the inputs that the scheme reads, within its domain."""
    changed = dict(inputs)
    if scheme.name.startswith("icost"):
        changed["labels"] = inputs["labels"] % 2
    if scheme.name in ("asl", "focal-sigmoid"):
        changed["labels"] = torch.nn.functional.one_hot(inputs["labels"], CLASSES)
    if scheme.name == "spl-logarithmic":
        changed["loss"] = inputs["loss"] / 4
    names = {"loss"} | set(scheme.reads) if scheme.kind == "weights" else set(scheme.reads)
    return {name: value for name, value in changed.items() if name in names}
