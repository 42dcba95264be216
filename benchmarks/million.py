"""A million samples on one machine: how long it takes, and how much memory it needs.

Synthetic table, 1,000,000 × 64 numbers in 20 classes with 5 % of the labels redrawn, 5 folds × 10 repeats of the
default network, with a checkpoint, saved as parquet. Other sizes: ``python benchmarks/million.py [SAMPLES]
[MEMBERS] [CLASSES] [NUMBERS]``. The numbers are read from a ``.npy`` file, as embeddings are. Prints a Markdown table.
"""

import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import hardsight as hs


def data(samples: int, features: int = 64, classes: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping normal clusters, one per class; 5 % of the labels are random."""
    rng = np.random.default_rng(0)
    y = rng.integers(classes, size=samples)
    x = rng.standard_normal((samples, features), dtype=np.float32)
    x += (0.6 * rng.standard_normal((classes, features)).astype(np.float32))[y]
    noisy = rng.random(samples) < 0.05
    y[noisy] = rng.integers(classes, size=int(noisy.sum()))
    return x, y


def main() -> None:
    """Print the table."""
    samples, members, classes, numbers = map(int, [*sys.argv[1:], *["1000000", "50", "20", "64"][len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder:
        x, y = data(samples, numbers, classes)
        np.save(Path(folder) / "x.npy", x)
        x = np.load(Path(folder) / "x.npy", mmap_mode="r")
        before_run = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        d = hs.measure(x, y, repeats=members // 5, execution=hs.Execution(checkpoint=Path(folder) / "progress.npz"))
        measured, cpu = time.perf_counter(), time.process_time() - cpu
        d.save(Path(folder) / "difficulty.parquet")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("# A million samples\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"{torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}.\n")
    memory = (peak / 2**20, before_run / 2**20)
    row = {
        "samples": f"{samples:,}",
        "classes": classes,
        "numbers": numbers,
        "models": d.settings["members"],
        "seconds": f"{measured - start:.0f}",
        "CPU s": f"{cpu:.0f}",
        "saving": f"{time.perf_counter() - measured:.0f}",
        "peak memory, GiB": f"{memory[0]:.1f}",
        "of it before the run": f"{memory[1]:.1f}",
        "reliability": f"{d.settings['reliability']:.4f}",
    }
    for cells in (row, ["---"] * len(row), row.values()):
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
