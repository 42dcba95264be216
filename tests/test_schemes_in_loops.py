"""Each scheme that prefers easy samples, carried by ``hs.Weighting``: finite gradients, resumed bit for bit."""

import pytest
import torch

import hardsight as hs
from hardsight.weights import (
    Mentor,
    label_filters,
    mentor,
    mixtures,
    robust,
    robust_losses,
    self_paced,
    small_loss,
    super_loss,
)

FAMILIES = (self_paced, mentor, super_loss, small_loss, robust, robust_losses, mixtures, label_filters)
ROWS = {row.name: row for family in FAMILIES for row in family.ROWS}
PARAMETERS = {
    "spl-hard": {"lam": 1.0},
    "spl-share": {"rate": 0.5},
    "spl-linear": {"lam": 2.0},
    "spl-logarithmic": {"lam": 0.9},
    "spl-mixture": {"lam1": 3.0, "lam2": 1.0},
    "spl-mixture-2": {"lam": 2.0, "gamma": 1.0},
    "spl-logistic": {"lam": 1.0},
    "spl-polynomial": {"lam": 2.0},
    "spl-diversity": {"lam": 1.0, "gamma": 1.0},
    "mentornet-dd": {"mentor": Mentor()},
    "co-teaching": {"rate": 0.3},
    "jocor": {"rate": 0.3},
    "jocor-loss": {"rate": 0.3},
    "imae": {"scale": 8.0},
    "derivative-manipulation": {"beta": 2.0, "lam": 1.0},
    "bi-tempered-loss": {"t1": 0.8, "t2": 1.2},
    "aum-filter": {"threshold": torch.tensor([0.3, 0.4])},
}


def carried(name):
    weighting = hs.Weighting(name, num_samples=30, classes=4, groups=4, epochs=10, **PARAMETERS.get(name, {}))
    weighting.set_epoch(5)
    return weighting


@pytest.mark.parametrize("name", ROWS)
def test_a_loop_carries_the_scheme(name):
    rng = torch.Generator().manual_seed(0)
    labels, ids = torch.randint(4, (8,), generator=rng), torch.tensor([3, 1, 9, 20, 7, 0, 5, 6])
    extra = {
        "peer": torch.rand(8, generator=rng),
        "peer_logits": torch.randn(8, 4, generator=rng),
        "groups": labels,
        "aum": torch.rand(8, generator=rng),
    }
    extra = {key: value for key, value in extra.items() if key in ROWS[name].reads}
    first, then = carried(name), carried(name)

    def stepped(weighting, logits):
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        return weighting(loss, ids, logits=logits, labels=labels, **extra)

    logits = torch.randn(8, 4, generator=rng).requires_grad_()
    # A running percentile that starts at 0 keeps nothing at first.
    stepped(first, logits), stepped(first, logits)
    stepped(first, logits).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0
    then.load_state_dict(first.state_dict())
    first.set_epoch(6)
    then.set_epoch(6)
    again = torch.randn(8, 4, generator=rng)
    assert torch.equal(stepped(first, again), stepped(then, again))
