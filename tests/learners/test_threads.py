"""Threads: one for small networks, as many as before for large ones, and restored afterwards."""

import pytest
import torch
from sklearn.datasets import load_iris

import hardsight as hs
from hardsight.learners.network.mlp import MlpGradient
from hardsight.learners.threads import use_threads


@pytest.mark.parametrize(("hidden", "threads"), [(16, 1), (8192, 2)])
def test_small_stacks_of_perceptrons_train_in_one_thread(monkeypatch, hidden, threads):
    counts = set()
    call = MlpGradient.__call__

    def count(self, *arguments):
        counts.add(torch.get_num_threads())
        return call(self, *arguments)

    monkeypatch.setattr(MlpGradient, "__call__", count)
    X, y = load_iris(return_X_y=True)
    learner = hs.Network(hidden=(hidden,), engine="stacked", epochs=1)
    with use_threads(2):
        hs.measure(X[::3], y[::3], learner=learner, folds=5, repeats=2, refine=False)
        assert torch.get_num_threads() == 2
    assert counts == {threads}
