"""Images as small PNG data URIs."""

import io
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

# Sixty images of pure noise at this size, the worst case for PNG, still leave the page below 5 MB.
LONGEST = 112
# Up to this side an image is pixel art: its pixels stay squares when it is enlarged.
PIXELATED = 64


class Thumbnail(NamedTuple):
    """The contents of an ``<img>``: its source, its size in pixels, and whether to enlarge it as squares."""

    source: str
    width: int
    height: int
    pixelated: bool


class EncodedImage(NamedTuple):
    """An image file in memory, its size in pixels as shown, and whether to enlarge it as squares."""

    content: bytes
    width: int
    height: int
    pixelated: bool


def make_thumbnails(images: np.ndarray, index: Sequence[int]) -> list[Thumbnail]:
    """Return some of the images as thumbnails.

    Args:
        images: ``(sample, height, width[, channel])`` with 1, 3 or 4 channels; of any other number the first is shown.
            Bytes are shown as they are, everything else is scaled by the smallest and largest value of the whole set.
    """
    span = brightness_range(images)
    return [_to_thumbnail(encode_image(images[i], span)) for i in index]


def brightness_range(images: np.ndarray) -> tuple[float, float]:
    """Return the values that are shown as black and as white; see :func:`make_thumbnails`."""
    if images.dtype == np.uint8:
        return 0.0, 255.0
    if images.dtype == bool:
        return 0.0, 1.0
    # Image by image: a mask of the finite values of the whole set would need as much memory as the set.
    low, high = np.inf, -np.inf
    for image in images:
        finite = image[np.isfinite(image)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low < high else (low - 1, low) if np.isfinite(low) else (0.0, 1.0)


def encode_image(image: np.ndarray, span: tuple[float, float], longest: int = LONGEST) -> EncodedImage:
    """Encode one image as PNG, at most ``longest`` pixels on a side.

    Args:
        image: ``(height, width[, channel])``.
        span: values that are shown as black and as white.
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
    return EncodedImage(file.getvalue(), *_display_size(*picture.size), small)


def _to_thumbnail(image: EncodedImage) -> Thumbnail:
    source = f"data:image/png;base64,{b64encode(image.content).decode()}"
    return Thumbnail(source, image.width, image.height, image.pixelated)


def _display_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which a thumbnail fills the common square as far as its shape allows."""
    scale = LONGEST / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
