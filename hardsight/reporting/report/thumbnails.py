"""Images as small PNG data URIs."""

import io
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

# Sixty images of pure noise at this size, the worst PNG can meet, still leave the page below 5 MB.
LONGEST = 112
# Up to this side an image is pixel art: enlarged, its pixels should stay squares.
PIXELATED = 64


class Thumbnail(NamedTuple):
    """A picture to put into ``<img>``: where from, its size in pixels, whether to enlarge it as squares."""

    source: str
    width: int
    height: int
    pixelated: bool


class EncodedImage(NamedTuple):
    """An image file in memory; its size in pixels as it is to be shown, and whether to enlarge it as squares."""

    content: bytes
    width: int
    height: int
    pixelated: bool


def make_thumbnails(images: np.ndarray, at: Sequence[int]) -> list[Thumbnail]:
    """The images at some positions as thumbnails.

    Args:
        images: ``(sample, height, width[, channel])`` with 1, 3 or 4 channels; of any other number the first is shown.
            Bytes are shown as they are, all else is scaled by the smallest and largest value of the whole set.
        at: positions.
    """
    span = brightness_range(images)
    return [_thumbnail(encode_image(images[i], span)) for i in at]


def brightness_range(images: np.ndarray) -> tuple[float, float]:
    """The values that are shown as black and as white; see :func:`make_thumbnails`."""
    return (0.0, 255.0) if images.dtype == np.uint8 else _range(images)


def _thumbnail(image: EncodedImage) -> Thumbnail:
    source = f"data:image/png;base64,{b64encode(image.content).decode()}"
    return Thumbnail(source, image.width, image.height, image.pixelated)


def _range(images: np.ndarray) -> tuple[float, float]:
    if images.dtype == bool:
        return 0.0, 1.0
    # Image by image: a mask of the finite values of the whole set would need the set's memory again.
    low, high = np.inf, -np.inf
    for image in images:
        finite = image[np.isfinite(image)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low < high else (low - 1, low) if np.isfinite(low) else (0.0, 1.0)


def encode_image(image: np.ndarray, span: tuple[float, float], longest: int = LONGEST) -> EncodedImage:
    """One image as PNG, made no larger than ``longest`` pixels a side.

    Args:
        image: ``(height, width[, channel])``.
        span: values that are shown as black and as white.
        longest: side in pixels.
    """
    low, high = span
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        image = image[:, :, 0]
    scaled = (np.nan_to_num(image.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (high - low)
    picture = Image.fromarray(np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8))
    small = max(picture.size) <= PIXELATED
    if max(picture.size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return EncodedImage(file.getvalue(), *_shown(*picture.size), small)


def _shown(width: int, height: int) -> tuple[int, int]:
    """Every thumbnail fills the same square as far as its shape allows."""
    scale = LONGEST / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
