"""A million samples on one machine: how long it takes, and how much memory it needs.

Synthetic table, 1,000,000 × 64 numbers in 20 classes with 5 % of the labels redrawn, 5 folds × 10 repeats of the
default network, with a checkpoint, saved as parquet. Other sizes: ``python benchmarks/million.py [SAMPLES]
[MEMBERS]``. Prints a Markdown table.
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
    samples, members = map(int, [*sys.argv[1:], *["1000000", "50"][len(sys.argv) - 1 :]])
    x, y = data(samples)
    before_run = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        d = hs.measure(x, y, repeats=members // 5, execution=hs.Execution(checkpoint=Path(folder) / "progress.npz"))
        measured = time.perf_counter()
        d.save(Path(folder) / "difficulty.parquet")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("# A million samples\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(f"{torch.get_num_threads()} threads; Python {platform.python_version()}, torch {torch.__version__}.\n")
    print("| samples | models | seconds | saving | peak memory, GiB | of it before the run | reliability |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {samples:,} | {d.settings['members']} | {measured - start:.0f} | {time.perf_counter() - measured:.0f} | "
        f"{peak / 2**20:.1f} | {before_run / 2**20:.1f} | {d.settings['reliability']:.4f} |"
    )


if __name__ == "__main__":
    main()
