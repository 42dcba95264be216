"""What ``embedding=`` stands for: a name, numbers in memory or in a file, or a function."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hardsight.data.encoder import Encoder
from hardsight.data.encoders.named import names_model
from hardsight.data.npy_files import read_npy
from hardsight.errors import InputError


def find_embedding(embedding: Any, beside: Path | None = None) -> Any:
    """Return where the ``.npy`` file of an embedding is, or an :class:`Encoder` for a function or the name of a model.

    Anything else is returned unchanged.

    Args:
        embedding: as in :meth:`hardsight.Samples.of`.
        beside: a folder in which a relative path is also looked up.

    Raises:
        InputError: there is no such file, or the name of a model is incomplete.
    """
    if names_model(embedding):
        return Encoder(embedding)
    if is_file_name(embedding):
        places = [Path(embedding), *([] if beside is None else [beside / embedding])]
        place = next((place for place in places if place.is_file()), None)
        if place is None:
            raise InputError(f"no file at {embedding} for the embedding: pass the path of a .npy file, one row per sample")
        return place
    if isinstance(embedding, type) or not callable(embedding) or hasattr(embedding, "__array__"):
        return embedding
    return embedding if isinstance(embedding, Encoder) else Encoder(embedding)


def load_embedding(embedding: Any) -> tuple[Any, list[str]]:
    """Return what :func:`find_embedding` does, with the array of a file in place of its path; and notices.

    Raises:
        InputError: there is no such file, it cannot be read, or the name of a model is incomplete.
    """
    resolved = find_embedding(embedding)
    if not isinstance(resolved, Path):
        return resolved, []
    return read_npy(resolved), [f"The embedding is that of {resolved.name}, whose rows must be in the order of the samples."]


def is_file_name(embedding: Any) -> bool:
    """Return whether an embedding is the path of a ``.npy`` file."""
    if isinstance(embedding, str):
        return embedding.lower().endswith(".npy") and not names_model(embedding)
    return isinstance(embedding, PathLike)


def encode_array(images: np.ndarray, encoder: Encoder) -> tuple[np.ndarray, list[str]]:
    """Encode images that are an array, ``(sample, height, width[, channel])``; return vectors and notices.

    Raises:
        InputError: the numbers are not those of pixels, 0 to 255.
    """
    if images.dtype != np.uint8:
        raise InputError(
            f"embedding {encoder.name} needs images of uint8. Got {images.dtype}: convert them, or pass the numbers that it "
            "makes of them"
        )
    with encoder.start(len(images), "image") as encoding:
        for row, pixels in enumerate(images):
            channels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
            encoding.add(row, f"row {row}", Image.fromarray(channels).convert("RGB"))
        return encoding.finish()
