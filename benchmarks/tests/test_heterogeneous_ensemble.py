"""The heterogeneous ensemble against the networks that an explanation follows."""

import numpy as np
import pytest
from hardsight_bench.heterogeneous_ensemble import EnsembleTask, WeightedMember, train_members
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

import hardsight as hs
from hardsight.explanation.optimization.network_runs import train_networks


def test_a_member_ends_where_the_networks_of_an_explanation_end() -> None:
    X, y = load_digits(return_X_y=True)
    x, y = StandardScaler().fit_transform(X[:300]).clip(-5, 5), y[:300].astype(np.int64)
    network, own = hs.Network(hidden=(16,), epochs=6), np.random.default_rng(0).exponential(size=300)
    found = train_networks(x, y, {"own": own}, network=network, seeds=1, seed=5)
    seed = int(np.random.SeedSequence(5).spawn(1)[0].generate_state(1)[0])
    task = EnsembleTask(x.astype(np.float32), y, x.astype(np.float32), network)
    (answer,) = train_members(task, [WeightedMember(seed, own)])
    assert isinstance(answer, np.ndarray)
    losses = -answer[np.arange(300), y]
    end = found.curves[found.curves["step"] == found.curves["step"].max()].iloc[0]
    assert end["loss"] == pytest.approx(losses.mean(), rel=1e-3)
    assert end["weighted_loss"] == pytest.approx((own * losses).sum() / own.sum(), rel=1e-3)
    assert end["wrong"] == pytest.approx((answer.argmax(1) != y).mean())
    assert end["epoch"] == pytest.approx(6, abs=0.2)
