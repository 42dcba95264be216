"""Rare classes: what P(wrong) says of their right labels, and whether they change it for the other classes.

    python benchmarks/rare_classes.py FOLDER ROWS.csv > benchmarks/rare_classes.md

FOLDER holds the data (hardsight_bench.datasets, hardsight_bench.real_tables). ROWS.csv keeps finished cells, which are
not run again.

Of each data set, four classes (two, if it has fewer than seven) are cut to 3, 6, 12 and 20 samples (6 and 20), but two
classes are left as they are; classes that have 20 samples or fewer anyway are rare, too. 5, 10 or 20 % of the labels are
flipped to any other class. A class is marked where hardsight calls its samples "too few to tell".
"Right" counts the right labels in rare classes; classes of "10 or more" hold at least 10 right labels.

For the comparison with and without rare classes, flips of common classes stay among the common ones, and the samples that
belong to a rare class or are labelled so are left out in the second run. Both runs are defaults, with the same seed, and
the columns compare the samples that are in both.
"""

import csv
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from hardsight_bench.datasets import load_dataset
from hardsight_bench.real_tables import load_table
from sklearn.metrics import average_precision_score

import hardsight as hs
from hardsight.attribution.names import TOO_FEW

_NOISES = (0.05, 0.1, 0.2)
_ARRAYS = ("digits", "satellite", "vowel", "texture")
_TABLES = ("letter", "soybean", "shuttle", "hpc", "diamonds", "vehicle")
_FEWEST_RIGHT = 10


class World(NamedTuple):
    """Data with rare classes and flipped labels.

    Attributes:
        features: ``(sample, column)``, an array or a table.
        labels: right labels, ``(sample,)``.
        noisy: labels with flips, ``(sample,)``.
        rare: labels of the rare classes.
    """

    features: Any
    labels: np.ndarray
    noisy: np.ndarray
    rare: np.ndarray


def load(name: str, folder: Path) -> tuple[Any, np.ndarray]:
    """Return features and labels of a data set by name, at most 1,500 rows."""
    if name in _TABLES:
        table = load_table(name, folder, 1500, 0)
        return table.features, np.asarray(table.labels).astype(str)
    data = load_dataset(name, folder, most=1500)
    return data.x, np.array([f"class {label}" for label in data.y])


def make_world(features: Any, labels: np.ndarray, noise: float, seed: int) -> World:
    """Cut some classes to few samples and flip labels."""
    rng = np.random.default_rng(seed)
    classes, sizes = np.unique(labels, return_counts=True)
    cuts = [3, 6, 12, 20] if len(classes) >= 7 else [6, 20]
    large = classes[sizes > max(cuts)]
    # Two classes stay common: with one, there is nothing to learn.
    rare = rng.choice(large, min(len(cuts), len(large) - 2), replace=False)
    kept = np.ones(len(labels), dtype=bool)
    for name, size in zip(rare, cuts, strict=False):
        rows = rng.permutation(np.flatnonzero(labels == name))
        kept[rows[size:]] = False
    labels = labels[kept]
    features = features[kept].reset_index(drop=True) if isinstance(features, pd.DataFrame) else features[kept]
    rare = np.union1d(rare, np.setdiff1d(classes, large))
    common = np.setdiff1d(classes, rare)
    noisy = labels.copy()
    for row in np.flatnonzero(rng.random(len(labels)) < noise):
        # A rare class gets its share of wrong labels: those of common classes stay among common ones but for a twentieth.
        others = classes if labels[row] in rare or rng.random() < 0.05 else common
        noisy[row] = rng.choice(others[others != labels[row]])
    return World(features, labels, noisy, rare)


def measure_world(world: World) -> dict[str, Any]:
    """Return the figures of one cell."""
    d = hs.measure(world.features, pd.Series(world.noisy, name="label"), seed=0)
    right = world.noisy == world.labels
    marked = np.asarray(d.cause) == TOO_FEW
    row: dict[str, Any] = {"learner": d.run.learner}
    for column, (low, high) in {"few": (1, _FEWEST_RIGHT - 1), "many": (_FEWEST_RIGHT, 10**9)}.items():
        names = [name for name in world.rare if low <= (right & (world.labels == name)).sum() <= high]
        of_classes = right & np.isin(world.labels, names)
        row[f"{column}_classes"] = len(names)
        row[f"{column}_classes_marked"] = sum(bool(marked[world.noisy == name].any()) for name in names)
        row[f"{column}_unmarked"] = int((of_classes & ~marked).sum())
        row[f"{column}_p_wrong"] = float(d.p_wrong[of_classes & ~marked].sum())
    common = ~np.isin(world.labels, world.rare) & ~np.isin(world.noisy, world.rare)
    features = world.features
    features = features[common].reset_index(drop=True) if isinstance(features, pd.DataFrame) else features[common]
    without = hs.measure(features, pd.Series(world.noisy[common], name="label"), seed=0)
    wrong = ~right[common]
    row |= {
        "change": float(np.abs(d.p_wrong[common] - without.p_wrong).mean()),
        "mean_with": float(d.p_wrong[common].mean()),
        "mean_without": float(without.p_wrong.mean()),
        "precision_with": float(average_precision_score(wrong, -d.doubt_rank[common])),
        "precision_without": float(average_precision_score(wrong, -without.doubt_rank)),
        "learner_without": without.run.learner,
    }
    return row


def print_page(rows: pd.DataFrame) -> None:
    """Print the page about all finished cells."""
    print(f"# Rare classes\n\n{__doc__}\n## Right labels of rare classes\n")
    print("| right labels in the class | flipped | classes | marked | mean P(wrong) of right labels, not marked |")
    print("|---|---|---|---|---|")
    for column, name in {"few": "1 to 9", "many": "10 or more"}.items():
        for noise, part in [*rows.groupby("noise"), ("all", rows)]:
            share = noise if isinstance(noise, str) else f"{noise:.0%}"
            classes, marked = part[f"{column}_classes"].sum(), part[f"{column}_classes_marked"].sum()
            mean = part[f"{column}_p_wrong"].sum() / max(part[f"{column}_unmarked"].sum(), 1)
            print(f"| {name} | {share} | {classes} | {marked / max(classes, 1):.0%} | {mean:.3f} |")
    print("\n## The other classes, with and without the rare ones\n")
    print("With / without the rare classes, for the samples that are in both:\n")
    print("| data | flipped | learner | mean P(wrong) | mean change | average precision |")
    print("|---|---|---|---|---|---|")
    for _, row in rows.iterrows():
        print(
            f"| {row['data']} | {row['noise']:.0%} | {row['learner']} / {row['learner_without']} "
            f"| {row['mean_with']:.3f} / {row['mean_without']:.3f} | {row['change']:.4f} "
            f"| {row['precision_with']:.3f} / {row['precision_without']:.3f} |"
        )
    print(f"\n{_describe_differences(rows)}")


def _describe_differences(rows: pd.DataFrame) -> str:
    mean = (rows["mean_with"] - rows["mean_without"]).abs()
    precision = (rows["precision_with"] - rows["precision_without"]).abs()
    near, alike = (int((difference <= 0.01).sum()) for difference in (mean, precision))
    return (
        f"The mean P(wrong) of the common classes differs by {mean.median():.4f} in the median, {mean.max():.4f} at most, "
        f"and by .01 or less in {near} of {len(rows)} cells; average precision by {precision.median():.4f}, "
        f"{precision.max():.4f} and in {alike}."
    )


def main() -> None:
    """Run the cells that are missing and print the page."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    finished = set() if not out.exists() else {(row["data"], float(row["noise"])) for row in csv.DictReader(out.open())}
    for name in (*_ARRAYS, *_TABLES):
        features, labels = load(name, folder)
        for index, noise in enumerate(_NOISES):
            if (name, noise) in finished:
                continue
            row = {"data": name, "noise": noise, **measure_world(make_world(features, labels, noise, index))}
            pd.DataFrame([row]).to_csv(out, mode="a", header=not out.exists(), index=False)
    print_page(pd.read_csv(out))


if __name__ == "__main__":
    main()
