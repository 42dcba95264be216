"""CIFAR-10, read from the user's files, as a study for the claims about images."""

from functools import partial
from pathlib import Path

import numpy as np

from hardsight.errors import InputError
from hardsight.learners import Network
from hardsight.learners.network.stacked import build_net
from hardsight.theory.image_study import FOLDS, ImageStudy
from hardsight.theory.resnets import ResNet, crop_and_flip
from hardsight.validation import check_int

CLASSES = 10
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_FILES = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
_RECORDS = 10_000
# A class of a tenth of the largest size must still occur in every fold.
_MIN_SAMPLES = 100


def read_training_images(folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the 50,000 training images of CIFAR-10's binary version, bytes ``(sample, 32, 32, 3)``, and their codes.

    Each of ``data_batch_1.bin`` to ``data_batch_5.bin`` holds 10,000 records: one byte with the label, 0 to 9, then
    1,024 bytes each of red, green and blue, row by row. The test images are not read: every error is a held-out error
    already.

    Args:
        folder: ``cifar-10-batches-bin``, or the folder that contains it.

    Raises:
        InputError: a file is missing, has another size, or holds a label above 9; the message names the file.
    """
    path = Path(folder)
    subfolder = path / "cifar-10-batches-bin"
    source = subfolder if subfolder.is_dir() else path
    records = np.concatenate([_read_records(source / name) for name in _FILES])
    pixels = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(np.moveaxis(pixels, 1, -1)), records[:, 0].astype(np.int64)


def _read_records(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"file {path} not found: give the folder of CIFAR-10's binary version, with {_FILES[0]} to {_FILES[-1]} "
            "(the Python version holds pickles, which are not read)"
        )
    size, expected_size = path.stat().st_size, _RECORDS * (1 + _PIXELS)
    if size != expected_size:
        raise InputError(
            f"{path} has {size:,} bytes, but {_RECORDS:,} records of {1 + _PIXELS:,} are {expected_size:,}: unpack "
            "CIFAR-10's binary version again"
        )
    records = np.fromfile(path, np.uint8).reshape(_RECORDS, 1 + _PIXELS)
    invalid = np.flatnonzero(records[:, 0] >= CLASSES)
    if len(invalid):
        raise InputError(
            f"{path}: record {invalid[0]} has the label {records[invalid[0], 0]}; labels of CIFAR-10 are 0 to 9"
        )
    return records


def make_study(
    folder: str | Path,
    *,
    depth: int = 32,
    norm: str = "batch",
    width: int = 16,
    epochs: int = 200,
    members: int = 5,
    samples: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    seed: int = 0,
) -> ImageStudy:
    """Return the study of CIFAR-10: 10 % of labels flipped, classes of 10:1, a residual network.

    The network and training of the original experiments are unknown. The defaults are those of later work of
    the same group (ResNet-32, 200 epochs of SGD with momentum, rate 0.1, decay 5e-4, batches of 128), with a cosine
    schedule instead of two steps; see ``docs/theory.md``.

    Args:
        folder: see :func:`read_training_images`.
        depth: layers, 6 n + 2.
        norm: "batch" or "group", see :class:`hardsight.theory.resnets.ResNet`.
        width: channels of the first stage.
        members: held-out models per sample, at least two; five times as many are trained.
        samples: number of images, drawn evenly from the classes; None: all.
        device: see :class:`hardsight.Network`.
        precision: see :class:`hardsight.Network`.
        seed: determines which images are drawn.

    Raises:
        InputError: files that cannot be read, or an argument out of range.
    """
    check_int("members", members, 2)
    x, y = read_training_images(folder)
    if samples is not None:
        check_int("samples", samples, _MIN_SAMPLES)
        x, y = _subsample(x, y, samples, seed)
    make = partial(ResNet, depth, CLASSES, norm=norm, width=width)
    # Checks depth, norm and width before the first claim is tested.
    build_net(make, seed)
    network = Network(
        make,
        epochs=epochs,
        batch_size=128,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        standardize=True,
        augment=crop_and_flip,
        device=device,
        precision=precision,
    )
    width_text = "" if width == 16 else f" of width {width}"
    setting = (
        f"{len(y):,} images, ResNet-{depth}{width_text} with {norm} norm, {epochs} epochs, {FOLDS} folds, {members} models "
        "per sample"
    )
    return ImageStudy(
        "CIFAR-10",
        lambda: (x, y),
        network,
        setting,
        repeats=members,
        views=members,
        rates=(0.1,),
        factors=(10,),
        largest=int(np.bincount(y, minlength=CLASSES).max()),
        auc=0.9,
        margin=0.9,
        variance=0.5,
        runs=1,
    )


def _subsample(x: np.ndarray, y: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if samples > len(y):
        raise InputError(f"samples must be at most {len(y):,}, the number of images. Got {samples:,}")
    order = np.random.default_rng(seed).permutation(len(y))
    # The k-th sample of each class, in random order, comes before the (k + 1)-th of any class.
    rank = np.zeros(len(y), dtype=np.int64)
    for c in np.unique(y):
        of_class = order[y[order] == c]
        rank[of_class] = np.arange(len(of_class))
    rows = np.sort(order[np.argsort(rank[order], kind="stable")][:samples])
    return x[rows], y[rows]
