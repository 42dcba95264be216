"""Tests and timings on a GPU, in less than ten minutes: `make gpu`.

    python benchmarks/gpu.py            # writes benchmarks/gpu.md

Runs the tests marked ``gpu``, then times networks and encoders on the CPU and on the GPU. Without a GPU it stops with one
line.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

import hardsight as hs

PAGE = Path(__file__).with_suffix(".md")
_TEST_SECONDS, _STUDY_SECONDS = 270, 300
_TESTS = ("tests/project/test_gpu.py", "tests/laws/test_every_scheme.py")


class Timing(NamedTuple):
    """One row of the table."""

    what: str
    device: str
    seconds: float
    agreement: str  # with the CPU


def convolutional() -> nn.Module:
    """Return a small network of images."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10),
    )  # fmt: skip


def draw_images(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images of ten classes, a pattern of each class in noise, and the class codes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    patterns = rng.normal(size=(10, side, side))
    return (patterns[labels] + rng.normal(scale=2, size=(count, side, side))).astype(np.float32), labels


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result, and the seconds until the GPU has finished."""
    start = time.perf_counter()
    result = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def time_networks(devices: list[str], count: int, make: Callable[[], nn.Module] | None, what: str) -> list[Timing]:
    """Time ``hs.measure`` with the same networks on each device, the CPU first."""
    images, labels = draw_images(count, 28)
    rows: list[Timing] = []
    reference = None
    for device in devices:
        learner = hs.Network(make, epochs=5, device=device)
        # The first run loads kernels.
        hs.measure(images[:200], labels[:200], learner=learner, folds=2, repeats=2)
        d, seconds = timed(lambda learner=learner: hs.measure(images, labels, learner=learner, folds=5, repeats=2))
        reference = d.error if reference is None else reference
        rows.append(
            Timing(f"{what}, {count:,} images, 10 members", device, seconds, f"{spearmanr(reference, d.error)[0]:.4f}")
        )
    return rows


def time_encoders(settings: list[tuple[str, str]], count: int, name: str) -> list[Timing]:
    """Time a model of timm with random weights on photographs of 224 × 224, per device and type of numbers."""
    import timm
    from PIL import Image

    rng = np.random.default_rng(0)
    images = [Image.fromarray(each) for each in rng.integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)]
    rows: list[Timing] = []
    reference = None
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        timm.models.save_for_hf(timm.create_model(name), f"{folder}/model")
        for at, (device, dtype) in enumerate(settings):
            encoder = hs.Encoder(f"timm:{folder}/model", device=device, dtype=dtype, cache=f"{folder}/{at}")
            encoder.encode(images[:32], "image")
            encoder = hs.Encoder(f"timm:{folder}/model", device=device, dtype=dtype, cache=f"{folder}/{at} again")
            (vectors, _), seconds = timed(lambda encoder=encoder: encoder.encode(images, "image"))
            reference = vectors if reference is None else reference
            similar = (vectors * reference).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference, axis=1)
            rows.append(Timing(f"timm {name}, {count:,} images", f"{device}, {dtype}", seconds, f"{similar.min():.4f}"))
    return rows


def write_page(rows: list[Timing], tests: str) -> str:
    """Return the page."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    lines = [
        "# On a GPU\n",
        f"`make gpu`, on {device}, torch {torch.__version__}. Tests marked `gpu`: {tests}.\n",
        "Agreement with the CPU: Spearman's correlation of the errors; of encoders the smallest cosine of a vector.\n",
        "| what | device | seconds | agreement |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.device} | {row.seconds:.1f} | {row.agreement} |" for row in rows]
    return "\n".join(lines) + "\n"


def run_tests() -> str:
    """Run the tests for a GPU; return pytest's last line.

    Raises:
        SystemExit: a test fails, or all take too long.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *_TESTS]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_TEST_SECONDS, cwd=PAGE.parents[1])
    except subprocess.TimeoutExpired:
        sys.exit(f"tests on the GPU took longer than {_TEST_SECONDS} seconds")
    if run.returncode:
        sys.exit(f"{run.stdout[-4000:]}\ntests on the GPU failed")
    return run.stdout.strip().splitlines()[-1].strip("= ")


def main() -> None:
    """Run tests and timings, and write the page."""
    if not torch.cuda.is_available():
        sys.exit(f"make gpu needs a GPU that torch can use; torch {torch.__version__} finds none: nothing was run")
    tests = run_tests()
    start = time.perf_counter()
    rows = []
    studies: list[Callable[[], list[Timing]]] = [
        lambda: time_networks(["cpu", "cuda"], 5_000, None, "perceptron"),
        lambda: time_encoders([("cpu", "float32"), ("cuda", "float32"), ("cuda", "float16")], 256, "resnet18"),
        lambda: time_networks(["cpu", "cuda"], 2_000, convolutional, "convolutional network"),
        lambda: time_networks(["cuda"], 50_000, convolutional, "convolutional network"),
    ]
    for study in studies:
        if time.perf_counter() - start < _STUDY_SECONDS / 2:
            rows += study()
            PAGE.write_text(write_page(rows, tests), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
