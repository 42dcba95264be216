"""Real data sets with known wrong labels, because some were flipped with a given seed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.io.csv_cells import format_csv
from hardsight.validation import check_choice

DATA = ("digits", "wine", "breast-cancer")


class DemoData(NamedTuple):
    """A file to measure, and which of its labels were flipped."""

    path: Path
    flipped: np.ndarray  # ids of the samples whose label was flipped, ascending


def flip_labels(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a share is another class, drawn uniformly from the others, and those positions, ascending.

    Args:
        labels: ``(sample,)`` codes 0 … C-1.
        share: of all samples, without replacement; every flipped label differs from the true one.

    >>> flipped, rows = flip_labels(np.arange(10) % 3, 0.2, seed=0)
    >>> len(rows), bool((flipped[rows] != (np.arange(10) % 3)[rows]).all())
    (2, True)
    """
    rng = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    rows = np.sort(rng.choice(len(labels), round(share * len(labels)), replace=False))
    flipped = labels.copy()
    flipped[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return flipped, rows


def write_demo_data(data: str, share: float, seed: int, out: Path) -> DemoData:
    """Write a real data set that scikit-learn ships, with a share of its labels flipped, into a folder.

    Args:
        data: name of the data set, one of ``DATA``.
        share: of labels to flip, in [0, 1).

    Raises:
        InputError: unknown data, a share outside [0, 1), or a folder that cannot be written.
    """
    from sklearn import datasets

    check_choice("data", data, DATA)
    if not 0 <= share < 1:
        raise InputError(f"the share of labels to flip must be in [0, 1). Got {share}")
    if data == "digits":
        images, true = datasets.load_digits(return_X_y=True)
        labels, rows = flip_labels(true.astype(np.int64), share, seed)
        path = out / "digits.npz"
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, X=(images.reshape(-1, 8, 8) * 15.9375).astype(np.uint8), y=labels)
        return DemoData(path, rows)
    bunch: Any = (datasets.load_wine if data == "wine" else datasets.load_breast_cancer)(as_frame=True)
    labels, rows = flip_labels(bunch.target.to_numpy(dtype=np.int64), share, seed)
    path = out / f"{data}.csv"
    names = bunch.target_names[labels]
    lines = [(*features, name) for features, name in zip(bunch.data.to_numpy().tolist(), names, strict=True)]
    with atomic_write(path) as temporary:
        temporary.write_text(format_csv((*bunch.data, "y"), lines), encoding="utf-8", newline="")
    return DemoData(path, rows)


def score_demo(d: Difficulty, flipped: np.ndarray) -> dict[str, float]:
    """Score how well a result finds the labels that were flipped.

    Returns:
        ``flipped``: how many; ``among_hardest``: share of them among as many hardest samples; ``auroc`` and
        ``average_precision`` of the error; ``recall`` and ``precision`` of P(label wrong) > 1/2.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    wrong = np.isin(d.ids, flipped)
    scores = {
        "flipped": float(wrong.sum()),
        "among_hardest": float(wrong[d.ranking[: int(wrong.sum())]].mean()),
        "auroc": float(roc_auc_score(wrong, d.error)),
        "average_precision": float(average_precision_score(wrong, d.error)),
    }
    if d.p_wrong is not None:
        flagged = d.p_wrong > 0.5
        scores["recall"] = float(flagged[wrong].mean())
        scores["precision"] = float(wrong[flagged].mean()) if flagged.any() else float("nan")
    return scores
