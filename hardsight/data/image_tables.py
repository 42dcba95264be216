"""Tables with a column of images: files beside the table, whatever address a tool gave them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from hardsight.data.encoder import Encoder
from hardsight.data.image_decoding import THUMBNAIL_SIDE, decode_readable_images, refuse_unreadable
from hardsight.data.images import find_encoder
from hardsight.data.labelling.project import image_path
from hardsight.data.read_options import ReadOptions
from hardsight.data.samples import Samples
from hardsight.errors import InputError
from hardsight.io import limits
from hardsight.validation import join_examples

_MAX_NAMED = 3


def read_image_table(place: Path, frame: pd.DataFrame, column: str, options: ReadOptions, notices: list[str]) -> Samples:
    """Make samples of the images that a column names.

    Numbers that describe the images (``embedding``) take the place of their files.

    Args:
        place: the table; the images are in its folder.

    Raises:
        InputError: images that are not there or cannot be read; the message names them.
    """
    features, more, embedding = None, list[str](), options.embedding
    if isinstance(embedding, str | Encoder):
        paths = find_images(place, frame[column].tolist())
        names = [path.relative_to(place.parent).as_posix() for path in paths]
        side = None if isinstance(embedding, str) else THUMBNAIL_SIDE
        decoded = decode_readable_images(paths, names, encoder=find_encoder(embedding), max_side=side)
        decoded = refuse_unreadable(decoded, names)
        features, more = decoded.pixels, decoded.notices
        embedding = embedding if decoded.vectors is None else decoded.vectors
    samples = Samples.of(
        features,
        frame[options.label],
        ids=None if options.id is None else frame[options.id].tolist(),
        groups=None if options.group is None else frame[options.group].tolist(),
        weights=None if options.weights is None else frame[options.weights].tolist(),
        **{**options.sample_options, "embedding": embedding},
    )
    left_out = f"Only the images in {column!r} are used as features."
    others = set(frame.columns) - {column, *options.columns.values()}
    return replace(samples, notices=(*notices, *([left_out] if others else []), *more, *samples.notices))


def find_images(place: Path, addresses: Sequence[str]) -> list[Path]:
    """Return the files of images in the folder of a table: those whose paths share the longest end with their addresses.

    Raises:
        InputError: a file is missing, or one would be the image of several addresses.
    """
    folder = place.parent
    located = [_find_image(folder, address) for address in addresses]
    missing = [address for address, path in zip(addresses, located, strict=True) if path is None]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(addresses):,} images are not in the folder of {place} "
            f"({join_examples(missing, _MAX_NAMED)}): put them there, or pass numbers that describe them "
            "(embedding='vectors.npy', --embedding vectors.npy)"
        )
    paths = [path for path in located if path is not None]
    address_of: dict[Path, str] = {}
    for address, path in zip(addresses, paths, strict=True):
        if address_of.setdefault(path, address) != address:
            raise InputError(
                f"{path} would be the image of {address_of[path]!r} and of {address!r}: keep the folders of the addresses"
            )
    return paths


def _find_image(folder: Path, address: str) -> Path | None:
    parts = [part for part in image_path(address).parts if part not in ("/", "..", ".")]
    for start in range(len(parts)):
        path = folder.joinpath(*parts[start:])
        if path.is_file() and (limits.follow_links() or path.resolve().is_relative_to(folder.resolve())):
            return path
    return None
