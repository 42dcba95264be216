"""Fashion-MNIST whole, with a fifth of its labels wrong: what P(label wrong) finds by default, and what it costs.

All 70,000 images, test and training part. 14,000 labels are moved to another class, drawn uniformly. The argument is the
folder of data sets (``benchmarks/README.md``); a second one is a number of images. Prints a Markdown page.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from hardsight_bench.datasets import read_idx

import hardsight as hs

PLACE = "dataset-fashion-mnist/usr/share/datasets/fashion-mnist"
SHARE = 0.2
COLUMNS = ("images", "models", "flagged", "precision", "recall", "wrong labels suggested rightly", "CPU s", "memory, GiB")


def main(folder: str, samples: str = "70000") -> None:
    """Measure and print the page."""
    place = Path(folder) / PLACE
    images, digits = (
        np.concatenate([read_idx(place / f"{part}-{kind}-ubyte.gz") for part in ("t10k", "train")])[: int(samples)]
        for kind in ("images-idx3", "labels-idx1")
    )
    true = digits.astype(np.int64)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(true), int(SHARE * len(true)), replace=False)
    labels = true.copy()
    labels[rows] = (true[rows] + rng.integers(1, 10, len(rows))) % 10
    start = time.process_time()
    d = hs.measure(images, labels)
    seconds = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert d.p_wrong is not None
    assert d.suggested is not None
    flagged, wrong = d.p_wrong > 0.5, labels != true
    shares = (wrong[flagged].mean(), flagged[wrong].mean(), (d.suggested == true)[wrong].mean())
    row = [f"{len(true):,}", d.settings["members"], f"{flagged.sum():,}", *(f"{share:.3f}" for share in shares)]
    print("# Fashion-MNIST with a fifth of its labels wrong\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').splitlines()[0]}\n")
    for cells in (COLUMNS, ["---"] * len(COLUMNS), [*row, f"{seconds:,.0f}", f"{memory:.1f}"]):
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
