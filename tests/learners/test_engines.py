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
from hardsight.learners.network.engines import Job, choose
from hardsight.learners.network.optimizer import train_alone, train_stacked
from hardsight.learners.network.stacked import Trial
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
        "net": kinked(), "trial": Trial(None), "inputs": torch.zeros(3, 64), "place": hs.Network().place,
        "augmented": False, "lock_steps": 100,
    }  # fmt: skip
    return Job(**(common | changed))


def trains(engine):
    found = getattr(engine.train, "func", engine.train)
    return {train_alone: "alone", train_stacked: "stacked"}.get(found, "native")


@pytest.mark.parametrize("make", [kinked, smooth])
def test_compiled_steps_find_the_same(make):
    torch.testing.assert_close(held_out(make, "compiled"), held_out(make, "stacked"), rtol=1e-4, atol=1e-4)


def test_compiled_steps_weigh_samples_and_fit_targets():
    rng = np.random.default_rng(0)
    weighted = Samples.of(PIXELS[:90], PIXELS[:90].sum(1) + 0.5, weights=rng.exponential(size=90))
    plan = Plan(KFold(2, 2).split(None, block_codes(90), split_seed(0)), block_codes(90), 2, 0)

    def found(engine):
        network = hs.Network(hidden=(8,), epochs=3, engine=engine)
        return torch.cat([view.values for view in network.fit_predict(weighted, plan, lambda _: None)])

    torch.testing.assert_close(found("compiled"), found("stacked"), rtol=1e-4, atol=1e-4)


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
            for engine in ("native", "stacked", "alone")
        )  # fmt: skip
        torch.testing.assert_close(native_, alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(stacked, alone, rtol=1e-4, atol=1e-4)


def test_the_fastest_that_can_be_had_is_chosen(monkeypatch):
    assert trains(choose("auto", job())) == "native"
    assert trains(choose("auto", job(net=smooth()))) == "stacked"
    assert trains(choose("auto", job(augmented=True))) == "stacked"
    assert trains(choose("auto", job(place=hs.Network(precision="bfloat16").place))) == "stacked"
    alone = choose("auto", job(net=smooth(), trial=Trial("it keeps statistics")))
    assert trains(alone) == "alone"
    assert alone.obstacle == "it keeps statistics"
    assert not alone.shared
    assert choose("alone", job()).obstacle is None
    assert choose("auto", job(net=smooth())).train is train_stacked
    long = job(net=smooth(), lock_steps=engines._LONG)
    assert choose("auto", long).train is not train_stacked
    assert choose("auto", long._replace(trial=Trial(None, masked=True))).train is train_stacked
    monkeypatch.setattr(engines, "compiler", lambda: False)
    assert choose("auto", long).train is train_stacked
    monkeypatch.setattr(native, "available", lambda: False)
    assert trains(choose("auto", job())) == "stacked"


def test_engines_that_cannot_do_the_job_say_why(monkeypatch):
    with pytest.raises(InputError, match=r"one of auto, native, compiled, stacked, alone\. Got 'warp'"):
        hs.Network(engine="warp")
    with pytest.raises(InputError, match="engine='native' cannot train this network: it is no chain of"):
        choose("native", job(net=smooth()))
    with pytest.raises(InputError, match="cannot train this network: batches are augmented"):
        choose("native", job(augmented=True))
    with pytest.raises(InputError, match="it works on the CPU in float32"):
        choose("native", job(place=hs.Network(precision="bfloat16").place))
    with pytest.raises(InputError, match="engine='stacked' cannot train this network: it keeps statistics"):
        choose("stacked", job(trial=Trial("it keeps statistics")))
    with pytest.raises(InputError, match="engine='compiled' cannot train this network: dropout"):
        choose("compiled", job(trial=Trial(None, masked=True)))
    monkeypatch.setattr(engines, "compiler", lambda: False)
    with pytest.raises(InputError, match=r"there is no C\+\+ compiler"):
        choose("compiled", job())
    monkeypatch.setattr(native, "available", lambda: False)
    with pytest.raises(InputError, match=r"numba is not installed \(pip install 'hardsight\[fast\]'\)"):
        choose("native", job())


def test_numba_is_looked_for(monkeypatch):
    assert native.available()
    monkeypatch.setattr(native, "find_spec", lambda name: None if name == "numba" else importlib.util.find_spec(name))
    assert not native.available()


def test_a_module_that_does_not_compile_goes_on_without(monkeypatch):
    def broken(function, **_):
        def fail(*_):
            raise RuntimeError("no such operator\nand a long story")

        return fail

    monkeypatch.setattr(compiled.torch, "compile", broken)
    with pytest.warns(HardsightWarning, match=r"torch.compile failed \(no such operator\): stacked without it"):
        found = held_out(smooth, "compiled")
    torch.testing.assert_close(found, held_out(smooth, "stacked"), rtol=1e-5, atol=1e-5)


def test_no_compiler_is_needed_where_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not compiled.compiler()
    (tmp_path / "g++").write_text("")
    (tmp_path / "g++").chmod(0o755)
    assert compiled.compiler()
