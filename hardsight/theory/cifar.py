"""CIFAR-10 from the files that a user has, as a study for the claims about images."""

from functools import partial
from pathlib import Path

import numpy as np

from hardsight.errors import InputError
from hardsight.learners import Network
from hardsight.learners.network.stacked import build
from hardsight.theory.image_study import FOLDS, Study
from hardsight.theory.resnets import ResNet, crop_and_flip
from hardsight.validation import check_int

CLASSES = 10
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_FILES = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
_RECORDS = 10_000
# A class of a tenth of the largest size must still reach every fold.
_LEAST = 100


def read(folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The 50,000 training images of CIFAR-10's binary version, and their labels.

    Each of ``data_batch_1.bin`` to ``data_batch_5.bin`` holds 10,000 records: a byte with the label, 0 to 9, then 1,024
    bytes of red, of green and of blue, row by row. The test images are not read: every error is held out already.

    Args:
        folder: ``cifar-10-batches-bin``, or the folder it lies in.

    Returns:
        Bytes ``(sample, 32, 32, 3)``, and codes ``(sample,)``.

    Raises:
        InputError: a file is missing, has another size, or holds a label above 9; names the file.
    """
    given = Path(folder)
    inner = given / "cifar-10-batches-bin"
    place = inner if inner.is_dir() else given
    records = np.concatenate([_records(place / name) for name in _FILES])
    pixels = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(np.moveaxis(pixels, 1, -1)), records[:, 0].astype(np.int64)


def _records(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"there is no {path}: give the folder of CIFAR-10's binary version, with {_FILES[0]} to {_FILES[-1]} "
            "(the version for Python holds pickles, which are not read)"
        )
    size, wanted = path.stat().st_size, _RECORDS * (1 + _PIXELS)
    if size != wanted:
        raise InputError(
            f"{path} has {size:,} bytes, and {_RECORDS:,} records of {1 + _PIXELS:,} are {wanted:,}: unpack CIFAR-10's "
            "binary version anew"
        )
    found = np.fromfile(path, np.uint8).reshape(_RECORDS, 1 + _PIXELS)
    odd = np.flatnonzero(found[:, 0] >= CLASSES)
    if len(odd):
        raise InputError(f"{path}: record {odd[0]} has the label {found[odd[0], 0]}, and CIFAR-10's are 0 to 9")
    return found


def study(
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
) -> Study:
    """The claims' study of CIFAR-10: 10 % of labels flipped, classes of 10:1, a residual network.

    What the original experiments' network and training were could not be read. The defaults are those of later work of
    the same group (ResNet-32, 200 epochs of SGD with momentum, rate 0.1, decay 5e-4, batches of 128), with a cosine in
    place of two steps; see ``docs/theory.md``.

    Args:
        folder: see :func:`read`.
        depth: layers, 6 n + 2.
        norm: "batch" or "group", see :class:`hardsight.theory.resnets.ResNet`.
        width: channels of the first stage.
        epochs: passes of every training.
        members: held-out models a sample, at least two: five times as many are trained.
        samples: how many images, drawn evenly from the classes; None: all.
        device: see :class:`hardsight.Network`.
        precision: see :class:`hardsight.Network`.
        seed: draws the samples.

    Raises:
        InputError: files that cannot be read, or an argument out of range.
    """
    check_int("members", members, 2)
    x, y = read(folder)
    if samples is not None:
        check_int("samples", samples, _LEAST)
        x, y = _drawn(x, y, samples, seed)
    make = partial(ResNet, depth, CLASSES, norm=norm, width=width)
    # Refuses depth, norm and width before the first claim is under way.
    build(make, seed)
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
    named = "" if width == 16 else f" of width {width}"
    setting = (
        f"{len(y):,} images, ResNet-{depth}{named} with {norm} norm, {epochs} epochs, {FOLDS} folds, {members} models a "
        "sample"
    )
    return Study(
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


def _drawn(x: np.ndarray, y: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if samples > len(y):
        raise InputError(f"samples must be at most {len(y):,}, the images there are. Got {samples:,}")
    order = np.random.default_rng(seed).permutation(len(y))
    # The k-th of each class, in the drawn order, comes before the (k + 1)-th of any.
    number = np.zeros(len(y), dtype=np.int64)
    for c in np.unique(y):
        of_class = order[y[order] == c]
        number[of_class] = np.arange(len(of_class))
    at = np.sort(order[np.argsort(number[order], kind="stable")][:samples])
    return x[at], y[at]
