"""Every scheme of the catalogue in a loop: finite numbers and gradients, and resuming bit for bit."""

import copy

import pytest
import torch
from support.scheme_batches import SCHEMES_IN_LOOPS, inputs_of, make_batch, make_weighting


def run_step(weighting, step):
    weighting.set_epoch(step)
    ids, logits, inputs = make_batch(step)
    loss = weighting(ids=ids, **inputs_of(weighting.scheme, inputs))
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
