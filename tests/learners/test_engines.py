"""Which engine trains what, and that they all find the same."""

import importlib.util

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import hardsight as hs
from hardsight import Samples
from hardsight.errors import HardsightWarning, InputError
from hardsight.learners.network import compiled, engines, native
from hardsight.learners.network.engines import EngineRequest, choose_engine
from hardsight.learners.network.optimizer import train_sequential, train_stacked
from hardsight.learners.network.stacked import StackingTrial
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

PIXELS, DIGITS = load_digits(return_X_y=True)
SAMPLES = Samples.of(PIXELS[:150], DIGITS[:150])
PLAN = Plan(KFold(2, 2).split(SAMPLES.labels, block_codes(150), split_seed(0)), block_codes(150), 2, 0)


def smooth():
    return nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 10))


def kinked():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def held_out(make, engine, **more):
    network = hs.Network(make, epochs=3, engine=engine, standardize=True, **more)
    return torch.cat([view.values for view in network.fit_predict(SAMPLES, PLAN, lambda _: None)])


def job(**changed):
    common = {
        "net": kinked(), "trial": StackingTrial(None), "inputs": torch.zeros(3, 64), "device": hs.Network().device,
        "augmented": False, "stacked_steps": 100,
    }  # fmt: skip
    return EngineRequest(**(common | changed))


def trains(engine):
    found = getattr(engine.train, "func", engine.train)
    return {train_sequential: "sequential", train_stacked: "stacked"}.get(found, "native")


@pytest.mark.slow
@pytest.mark.parametrize("make", [kinked, smooth])
def test_compiled_steps_find_the_same(make):
    torch.testing.assert_close(held_out(make, "compiled"), held_out(make, "stacked"), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_steps_weigh_samples_and_fit_targets():
    rng = np.random.default_rng(0)
    weighted = Samples.of(PIXELS[:90], PIXELS[:90].sum(1) + 0.5, weights=rng.exponential(size=90))
    plan = Plan(KFold(2, 2).split(None, block_codes(90), split_seed(0)), block_codes(90), 2, 0)

    def found(engine):
        network = hs.Network(hidden=(8,), epochs=3, engine=engine)
        return torch.cat([view.values for view in network.fit_predict(weighted, plan, lambda _: None)])

    torch.testing.assert_close(found("compiled"), found("stacked"), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_images_find_the_same_natively():
    images = Samples.of((PIXELS[:60].reshape(-1, 8, 8, 1) * np.array([1.0, 0.5, 0.2])).astype(np.uint8), DIGITS[:60])
    assert images.kind == "image"
    plan = Plan(KFold(2, 2).split(images.labels, block_codes(60), split_seed(0)), block_codes(60), 2, 0)

    def colours():
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(3), nn.Conv2d(4, 5, 2), nn.Flatten(), nn.Linear(20, 10)
        )  # fmt: skip

    for standardize in (False, True):
        native_, stacked, alone = (
            torch.cat([
                view.values
                for view in hs.Network(colours, epochs=4, engine=engine, standardize=standardize).fit_predict(
                    images, plan, lambda _: None
                )
            ])
            for engine in ("native", "stacked", "sequential")
        )  # fmt: skip
        torch.testing.assert_close(native_, alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(stacked, alone, rtol=1e-4, atol=1e-4)


def test_the_fastest_that_can_be_had_is_chosen(monkeypatch):
    assert trains(choose_engine("auto", job())) == "native"
    assert trains(choose_engine("auto", job(net=smooth()))) == "stacked"
    assert trains(choose_engine("auto", job(augmented=True))) == "stacked"
    assert trains(choose_engine("auto", job(device=hs.Network(precision="bfloat16").device))) == "stacked"
    alone = choose_engine("auto", job(net=smooth(), trial=StackingTrial("it keeps statistics")))
    assert trains(alone) == "sequential"
    assert alone.obstacle == "it keeps statistics"
    assert not alone.many_members
    assert choose_engine("sequential", job()).obstacle is None
    assert choose_engine("auto", job(net=smooth())).train is train_stacked
    long = job(net=smooth(), stacked_steps=engines._MIN_COMPILED_STEPS)
    assert choose_engine("auto", long).train is not train_stacked
    assert choose_engine("auto", long._replace(trial=StackingTrial(None, masked=True))).train is train_stacked
    monkeypatch.setattr(engines, "has_compiler", lambda: False)
    assert choose_engine("auto", long).train is train_stacked
    monkeypatch.setattr(native, "is_available", lambda: False)
    assert trains(choose_engine("auto", job())) == "stacked"


def test_engines_that_cannot_do_the_job_say_why(monkeypatch):
    with pytest.raises(InputError, match=r"one of auto, native, compiled, stacked, sequential\. Got 'warp'"):
        hs.Network(engine="warp")
    with pytest.raises(InputError, match="engine='native' cannot train this network: it is not a chain of"):
        choose_engine("native", job(net=smooth()))
    with pytest.raises(InputError, match="cannot train this network: batches are augmented"):
        choose_engine("native", job(augmented=True))
    with pytest.raises(InputError, match="it works on the CPU in float32"):
        choose_engine("native", job(device=hs.Network(precision="bfloat16").device))
    with pytest.raises(InputError, match="engine='stacked' cannot train this network: it keeps statistics"):
        choose_engine("stacked", job(trial=StackingTrial("it keeps statistics")))
    with pytest.raises(InputError, match="engine='compiled' cannot train this network: dropout"):
        choose_engine("compiled", job(trial=StackingTrial(None, masked=True)))
    monkeypatch.setattr(engines, "has_compiler", lambda: False)
    with pytest.raises(InputError, match=r"there is no C\+\+ compiler"):
        choose_engine("compiled", job())
    monkeypatch.setattr(native, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"numba is not installed \(pip install 'hardsight\[fast\]'\)"):
        choose_engine("native", job())


def test_numba_is_looked_for(monkeypatch):
    assert native.is_available()
    monkeypatch.setattr(native, "find_spec", lambda name: None if name == "numba" else importlib.util.find_spec(name))
    assert not native.is_available()


def test_a_module_that_does_not_compile_goes_on_without(monkeypatch):
    def broken(function, **_):
        def fail(*_):
            raise RuntimeError("no such operator\nand a long story")

        return fail

    monkeypatch.setattr(compiled.torch, "compile", broken)
    with pytest.warns(
        HardsightWarning, match=r"torch.compile failed \(no such operator\): members are trained stacked without it"
    ):
        found = held_out(smooth, "compiled")
    torch.testing.assert_close(found, held_out(smooth, "stacked"), rtol=1e-5, atol=1e-5)


def test_no_compiler_is_needed_where_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not compiled.has_compiler()
    (tmp_path / "g++").write_text("")
    (tmp_path / "g++").chmod(0o755)
    assert compiled.has_compiler()
