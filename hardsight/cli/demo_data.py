"""The main job on real data whose wrong labels are known, because some were flipped with a stated seed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io import csv_cells as cells
from hardsight.io.atomic import atomic_write

DATA = ("digits", "wine", "breast-cancer")


class Prepared(NamedTuple):
    """A file to measure, and which of its labels were flipped.

    Attributes:
        path: the file.
        flipped: ids of the samples whose label was flipped, ascending.
    """

    path: Path
    flipped: np.ndarray


def flip(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give a share of the samples another class, drawn uniformly from the others.

    Args:
        labels: ``(sample,)`` codes 0 … C-1.
        share: of all samples, without replacement; every flipped label differs from the true one.
        seed: of the draw.

    Returns:
        The labels after flipping, and the positions flipped, ascending.

    >>> after, at = flip(np.arange(10) % 3, 0.2, seed=0)
    >>> len(at), bool((after[at] != (np.arange(10) % 3)[at]).all())
    (2, True)
    """
    rng = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    at = np.sort(rng.choice(len(labels), round(share * len(labels)), replace=False))
    after = labels.copy()
    after[at] = (labels[at] + rng.integers(1, classes, len(at))) % classes
    return after, at


def prepare(data: str, share: float, seed: int, out: Path) -> Prepared:
    """Write a real data set that scikit-learn ships, with a share of its labels flipped, into a folder.

    Raises:
        InputError: unknown data, a share outside [0, 1), or a folder that cannot be written.
    """
    from sklearn import datasets

    if data not in DATA:
        raise InputError(f"no demo data is called {data!r}: choose one of {', '.join(DATA)}")
    if not 0 <= share < 1:
        raise InputError(f"the share of labels to flip must lie in [0, 1). Got {share}")
    if data == "digits":
        images, true = datasets.load_digits(return_X_y=True)
        after, at = flip(true.astype(np.int64), share, seed)
        path = out / "digits.npz"
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, X=(images.reshape(-1, 8, 8) * 15.9375).astype(np.uint8), y=after)
        return Prepared(path, at)
    bunch: Any = (datasets.load_wine if data == "wine" else datasets.load_breast_cancer)(as_frame=True)
    after, at = flip(bunch.target.to_numpy(dtype=np.int64), share, seed)
    path = out / f"{data}.csv"
    with atomic_write(path) as temporary:
        rows = (
            (*features, name)
            for features, name in zip(bunch.data.to_numpy().tolist(), bunch.target_names[after], strict=True)
        )
        temporary.write_text(cells.format_csv((*bunch.data, "y"), rows), encoding="utf-8", newline="")
    return Prepared(path, at)


def judge(d: Difficulty, flipped: np.ndarray) -> dict[str, float]:
    """How well a result finds the labels that were flipped.

    Returns:
        ``flipped``: how many; ``among_hardest``: share of them among as many hardest samples; ``auroc`` and
        ``average_precision`` of the error; ``found`` and ``precise``: recall and precision of P(label wrong) > 1/2.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    bad = np.isin(d.ids, flipped)
    among = bad[d.ranking[: int(bad.sum())]].mean()
    figures = {
        "flipped": float(bad.sum()),
        "among_hardest": float(among),
        "auroc": float(roc_auc_score(bad, d.error)),
        "average_precision": float(average_precision_score(bad, d.error)),
    }
    if d.p_wrong is not None:
        flagged = d.p_wrong > 0.5
        figures["found"] = float(flagged[bad].mean())
        figures["precise"] = float(bad[flagged].mean()) if flagged.any() else float("nan")
    return figures
