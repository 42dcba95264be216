"""Networks, encoders and records on a GPU: the ranking and the numbers of the CPU, in every precision."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import nn

import hardsight as hs
from hardsight.learners.network.seeds import seeded_torch

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")]

X, Y = load_digits(return_X_y=True)
X, Y = X[:400], Y[:400]
IMAGES = (X.reshape(-1, 8, 8) / 16).astype(np.float32)


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Dropout(0.2), nn.ReLU(), nn.Linear(64, 10))


def convolving():
    return nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))


def normalising():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def error(make, data=IMAGES, labels=Y, repeats=4, **recipe):
    # Few steps: over many, rounding alone makes two trainings part.
    learner = hs.Network(make, epochs=4, **recipe)
    return hs.measure(data, labels, learner=learner, folds=4, repeats=repeats, duplicates="apart").error


@pytest.mark.parametrize("make", [None, dropping, convolving, normalising])
@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_the_ranking_is_that_of_the_cpu(make):
    cpu, gpu = error(make), error(make, device="cuda")
    assert spearmanr(cpu, gpu).statistic > 0.999
    assert gpu.mean() == pytest.approx(cpu.mean(), rel=1e-3)


@pytest.mark.parametrize("precision, least", [("tf32", 0.999), ("bfloat16", 0.99)])
@pytest.mark.parametrize("make", [None, dropping, convolving])
def test_lower_precision_ranks_alike(make, precision, least):
    cpu, gpu = error(make), error(make, device="cuda", precision=precision)
    assert spearmanr(cpu, gpu).statistic > least
    assert gpu.mean() == pytest.approx(cpu.mean(), rel=0.02)


def test_regression_weights_augmentation_and_ids():
    weights = np.random.default_rng(0).uniform(0, 2, size=400)
    target = X @ np.random.default_rng(1).normal(size=64)
    blurred = lambda b, g: b + 0.1 * torch.randn(b.shape, generator=g).to(b.device)  # noqa: E731
    found = [
        hs.measure(X, target, learner=hs.Network(epochs=4, augment=blurred, device=d), weights=weights, repeats=2).error
        for d in ("cpu", "cuda")
    ]
    assert spearmanr(*found).statistic > 0.999
    ids = X.astype(np.int64)
    embedding = lambda: nn.Sequential(nn.Embedding(17, 4), nn.Flatten(), nn.Linear(256, 10))  # noqa: E731
    assert spearmanr(error(embedding, ids), error(embedding, ids, device="cuda")).statistic > 0.999


def test_chunks_do_not_matter():
    alone, together = (error(dropping, device="cuda", repeats=2, members_at_once=k) for k in (1, 8))
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_the_state_of_torch_is_left_alone():
    torch.manual_seed(3)
    torch.cuda.manual_seed_all(4)
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    flags = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    error(normalising, device="cuda", precision="tf32", repeats=2)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == flags
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.equal(before[1], torch.cuda.get_rng_state())
    with seeded_torch(1, "forward", torch.device("cuda")):
        torch.rand(3, device="cuda")
    assert torch.equal(before[1], torch.cuda.get_rng_state())


def test_the_gpu_is_free_again_after_a_run():
    error(None, device="cuda", repeats=2)
    before = torch.cuda.memory_allocated()
    error(None, device="cuda", repeats=2)
    assert torch.cuda.memory_allocated() <= before


@pytest.mark.parametrize("dtype, least", [("float32", 0.9999), ("float16", 0.99)])
def test_encoders_find_the_gpu_and_give_the_numbers_of_the_cpu(dtype, least, tmp_path):
    pytest.importorskip("timm")
    from support.tiny_encoders import photos, save_timm

    save_timm(tmp_path / "model")
    model = f"timm:{tmp_path / 'model'}"
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    found = hs.Encoder(model, device="auto", dtype=dtype, cache=tmp_path / "gpu").encode(photos(), "image")[0]
    assert torch.cuda.max_memory_allocated() > before
    expected = hs.Encoder(model, device="cpu", cache=tmp_path / "cpu").encode(photos(), "image")[0]
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert (cosine > least).all()


def test_a_record_takes_tensors_of_the_gpu():
    rng = np.random.default_rng(0)
    batch = {
        "logits": rng.normal(size=(9, 3)),
        "features": rng.normal(size=(9, 2)),
        "loss_gradients": rng.normal(size=(9, 4)),
    }
    tables = []
    for device in ("cpu", "cuda"):
        record = hs.Record()
        tensors = {name: torch.tensor(values, device=device) for name, values in batch.items()}
        record.add(view=0, ids=torch.arange(9, device=device), labels=torch.arange(9, device=device) % 3, **tensors)
        tables.append(record.table)
    np.testing.assert_array_equal(*tables)
