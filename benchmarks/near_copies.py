"""Near copies: how many are found, what is joined by mistake, and how many wrong labels are found in spite of them.

    python benchmarks/near_copies.py FOLDER > benchmarks/near_copies.md

FOLDER holds the data (hardsight_bench.datasets, hardsight_bench.real_tables).

Copies: a share of the samples is copied, changed a little; a tenth of the labels is flipped, alike in all copies.
"Recall" is the share of copied samples that are in a set with a copy, "false" the share of the others that are in any set.
Wrong labels found are those with P(wrong) > 1/2, by default, with the sources of all samples passed as groups, and
with duplicates="together", which knows exact copies alone. 5 folds x 3 repeats, no further round.

Images move by up to half a pixel (digits) or a pixel (fashion) in both directions, or lose up to a pixel of each edge and
are scaled back. Jitter is normal, with a twentieth of the standard deviation of all pixels, or a hundredth of that of each
column. Brightness changes by up to 15 %, the offset by up to a tenth of the range, both clipped. Texts lose a word, and one
is replaced.

Without copies: the real tables of `hardsight bench tables` and other data, 2,500 rows at most.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hardsight_bench.datasets import load_dataset
from hardsight_bench.real_tables import TABLES, load_table
from scipy.ndimage import shift, zoom
from sklearn import datasets

import hardsight as hs
from hardsight.copies.sets import find_exact_copies
from hardsight.estimation.blocks import find_blocks

_FLIPPED = 0.1
_SHARES = (0.05, 0.2, 0.5)


class Source(NamedTuple):
    """Data to copy, and the ways to change a copy: functions of some samples and a generator."""

    name: str
    x: np.ndarray
    y: np.ndarray
    changes: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]]


class Copied(NamedTuple):
    """Data with copies."""

    x: np.ndarray
    labels: np.ndarray  # with flips
    source: np.ndarray  # the sample that each is a copy of
    flipped: np.ndarray  # whether the label is wrong


def image_source(name: str, x: np.ndarray, y: np.ndarray, pixels: float) -> Source:
    """Return images and the ways to change them; they move by up to so many pixels."""
    top, sd = float(x.max()), float(x.std())

    def move(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.stack([shift(image, rng.uniform(-pixels, pixels, 2), order=1, mode="nearest") for image in x])

    def crop(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        parts = []
        for image in x:
            high, low, left, right = rng.integers(0, 2, 4)
            part = image[high : len(image) - low, left : len(image) - right]
            parts.append(zoom(part, np.array(image.shape) / part.shape, order=1))
        return np.stack(parts)

    changes: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
        "jitter": lambda x, rng: x + rng.normal(0, 0.05 * sd, x.shape),
        "brightness": lambda x, rng: np.clip(x * rng.uniform(0.85, 1.15, (len(x), 1, 1)), 0, top),
        "offset": lambda x, rng: np.clip(x + rng.uniform(-0.1, 0.1, (len(x), 1, 1)) * top, 0, top),
        "shift": move,
        "crop": crop,
    }
    return Source(name, x, y, changes)


def table_source(name: str, x: np.ndarray, y: np.ndarray) -> Source:
    """Return a table whose copies are jittered."""
    sd = x.std(axis=0)
    return Source(name, x, y, {"jitter": lambda x, rng: x + 0.01 * sd * rng.normal(size=x.shape)})


def reword(texts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace a word of each text by a word of another one, and leave out one of longer texts."""
    vocabulary = np.unique(" ".join(texts).split())
    changed = []
    for text in texts:
        words = text.split()
        words[rng.integers(len(words))] = str(rng.choice(vocabulary))
        if len(words) > 6:
            del words[rng.integers(len(words))]
        changed.append(" ".join(words))
    return np.array(changed, dtype=object)


def copy_samples(data: Source, change: str, share: float, rng: np.random.Generator) -> Copied:
    """Copy a share of the samples, changed, and flip a tenth of the labels alike in all copies."""
    n = len(data.y)
    copied = rng.choice(n, int(share * n), replace=False)
    classes = int(data.y.max()) + 1
    flipped = rng.random(n) < _FLIPPED
    labels = np.where(flipped, (data.y + rng.integers(1, classes, n)) % classes, data.y)
    source = np.concatenate([np.arange(n), copied])
    x = np.concatenate([data.x, data.changes[change](data.x[copied], rng).astype(data.x.dtype)])
    return Copied(x, labels[source], source, flipped[source])


def recall_and_false(copy_set: np.ndarray | None, source: np.ndarray) -> tuple[float, float]:
    """Return the share of copied samples in a set with a copy, and of the others in any set."""
    if copy_set is None:
        return 0.0, 0.0
    frame = pd.DataFrame({"set": copy_set, "source": source})
    beside = frame.groupby(["set", "source"])["set"].transform("size").to_numpy() > 1
    copied = np.bincount(source)[source] > 1
    return float((beside & (copy_set >= 0))[copied].mean()), float((copy_set[~copied] >= 0).mean())


def count_detected(copied: Copied, **options: Any) -> tuple[int, hs.Difficulty]:
    """Return how many flips have P(wrong) > 1/2, and the result."""
    x = copied.x.tolist() if copied.x.dtype == object else copied.x
    d = hs.measure(x, copied.labels, folds=5, repeats=3, refine=False, **options)
    return int(((d.p_wrong > 0.5) & copied.flipped).sum()), d


def copy_rows(data: Source, shares: tuple[float, ...]) -> Iterator[str]:
    """Yield a row of the table per change and share."""
    for change in data.changes:
        for share in shares:
            copied = copy_samples(data, change, share, np.random.default_rng(0))
            default, d = count_detected(copied)
            grouped, _ = count_detected(copied, groups=copied.source)
            together, _ = count_detected(copied, duplicates="together")
            recall, false = recall_and_false(d.copy_set, copied.source)
            flips = int(copied.flipped.sum())
            yield (
                f"| {data.name} | {change} | {share:.0%} | {recall:.3f} | {false:.3f} | {flips} | {default} | "
                f"{grouped} | {together} | {default / max(grouped, 1):.2f} |"
            )


def sources(folder: Path) -> Iterator[Source]:
    """Yield the data to copy."""
    digits = datasets.load_digits()
    yield image_source("digits", digits.images, digits.target, 0.5)
    fashion = load_dataset("fashion", folder, most=1500)
    assert fashion.shape is not None
    yield image_source("fashion", fashion.x.reshape(-1, *fashion.shape), fashion.y, 1.0)
    cancer = datasets.load_breast_cancer()
    yield table_source("breast cancer", cancer.data, cancer.target)
    ratings = pd.read_parquet(folder / "human_ratings_products.parquet")
    votes = ratings[["negative", "positive"]].to_numpy()
    chosen = np.flatnonzero((votes.max(axis=1) > 0.8) & (ratings["text"].str.split().str.len() > 4))
    yield Source("texts", ratings["text"].to_numpy(dtype=object)[chosen], votes[chosen].argmax(axis=1), {"reworded": reword})


def plain_data(folder: Path) -> Iterator[tuple[str, hs.Samples]]:
    """Yield data without copies."""
    rng = np.random.default_rng(0)
    for name in ("digits", "wine", "breast_cancer", "iris", "diabetes"):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, hs.Samples.of(x, y)
    made = {
        "blobs, 20,000 in a plane": datasets.make_blobs(20_000, centers=5, random_state=0),
        "classification": datasets.make_classification(2_500, 20, random_state=0),
        "moons": datasets.make_moons(2_000, noise=0.1, random_state=0),
        "swiss roll": (datasets.make_swiss_roll(2_000, random_state=0)[0], rng.integers(0, 2, 2_000)),
        "random walk": (np.cumsum(rng.normal(size=(2_500, 6)), axis=0), rng.integers(0, 2, 2_500)),
        "on a grid": (np.round(3 * rng.normal(size=(2_500, 4))), rng.integers(0, 2, 2_500)),
    }
    for name, (x, y) in made.items():
        yield name, hs.Samples.of(x, y)
    for name in TABLES:
        table = load_table(name, folder, 2_500, 0)
        yield name, hs.Samples.of(table.features, table.labels)


def plain_row(name: str, samples: hs.Samples) -> str:
    """Return the row of the table for data without copies."""
    blocks, exact = find_blocks(samples, "auto"), find_exact_copies(samples).exact
    near = 0.0 if blocks.copy_set is None else ((blocks.copy_set >= 0) & ~exact).mean()
    return f"| {name} | {len(samples):,} | {exact.mean():.1%} | {blocks.duplicates} | {near:.2%} |"


def main() -> None:
    """Print the page."""
    folder = Path(sys.argv[1])
    print(f"# Near copies\n\n{__doc__}\n## Copies\n")
    print("| data | change | copied | recall | false | flips | default | groups | together | default / groups |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for data in sources(folder):
        for row in copy_rows(data, _SHARES):
            print(row, flush=True)
    print("\n## Without copies\n\n| data | samples | equal to another | duplicates | near copies |\n|---|---|---|---|---|")
    for name, samples in plain_data(folder):
        print(plain_row(name, samples), flush=True)


if __name__ == "__main__":
    main()
