"""Images of any depth and size, decoded to one array with 8 bits per channel."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL import features as pillow

from hardsight.data.content import digest_file
from hardsight.data.encoder import Encoder
from hardsight.errors import Faults, InputError, first_line
from hardsight.io import limits

# No other formats: some of Pillow's readers start programs (EPS), whatever the file is named.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", *(["AVIF"] if pillow.check("avif") else []))

_PORTABLE = {".ppm", ".pgm", ".pbm", ".pnm"}
_JPEG = {".jpg", ".jpeg", ".jpe", ".jif", ".jfif"}
_AVIF = {".avif"} if "AVIF" in _FORMATS else set()
SUFFIXES = frozenset({".png", ".apng", ".bmp", ".gif", ".webp", ".tif", ".tiff"} | _JPEG | _PORTABLE | _AVIF)

# Images that would take more memory are scaled down.
_MAX_BYTES = 2 << 30
_SIDE, _MIN_SIDE = 224, 32
# Longer side of the pictures on pages, where models read an embedding instead: at most 27 kB per image.
THUMBNAIL_SIDE = 96
# Thumbnails are made of means over blocks of pixels, as many per side as leave this many times their size: in less than half
# of the time, and 45 dB beside those of all pixels.
_THUMBNAIL_GAP = 1.3
_DEEP = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_GREY = {"1", "L", "LA", "La", *_DEEP}
_ORIENTATION, _SIDEWAYS = 0x0112, {5, 6, 7, 8}
# With fewer greys than this, what a picture shows may be lost.
_FEW_GREYS = 16
_MAX_PAGES_NAMED = 3


class DecodedImages(NamedTuple):
    """Images as one array.

    Attributes:
        pixels: of the images that can be read, uint8: ``(sample, height, width)`` if all are grey, else
            ``(sample, height, width, 3)``.
        notices: what a user should know about how they were read.
        unreadable: why images cannot be read, by their position.
        vectors: of the images that can be read, by an encoder, ``(sample, feature)``; None without one.
    """

    pixels: np.ndarray
    notices: list[str]
    unreadable: dict[int, str]
    vectors: np.ndarray | None = None


class _Header(NamedTuple):
    """What is known of an image before its pixels are decoded.

    Attributes:
        size: height and width as a viewer shows it.
        values: the smallest and largest value of an image with more than 8 bits per pixel, else None.
        integers: whether the values are integers.
        reduced: whether Pillow keeps only the upper half of 16 bits per channel.
    """

    size: tuple[int, int]
    grey: bool
    pages: int
    values: tuple[float, float] | None
    integers: bool
    reduced: bool


def decode_images(sources: Sequence[Any], names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Decode images to one size, with 8 bits per channel; return the pixels and notices as in :class:`DecodedImages`.

    Args:
        sources: a path, or an image that Pillow has opened, for each.
        names: what messages call them.

    Raises:
        InputError: images that cannot be read or are too large; the message names them all.
    """
    decoded = refuse_unreadable(decode_readable_images(sources, names), names)
    return decoded.pixels, decoded.notices


def encode_images(
    sources: Sequence[Any], names: Sequence[str], encoder: Encoder
) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    """Return thumbnails, notices and vectors of images; their pixels and None if they are too small for the encoder.

    Args:
        sources: as in :func:`decode_images`.
        names: what messages call them.
        encoder: makes a vector of each image.

    Raises:
        InputError: images that cannot be read, or the encoder fails.
    """
    decoded = refuse_unreadable(decode_readable_images(sources, names, encoder=encoder), names)
    return decoded.pixels, decoded.notices, decoded.vectors


def refuse_unreadable(decoded: DecodedImages, names: Sequence[str]) -> DecodedImages:
    """Return images of which all could be read.

    Raises:
        InputError: some could not; the message names them all.
    """
    faults = Faults()
    faults.messages += [f"image {names[at]} cannot be read ({cause})" for at, cause in decoded.unreadable.items()]
    faults.raise_all()
    return decoded


def decode_readable_images(
    sources: Sequence[Any],
    names: Sequence[str],
    *,
    skip: bool = False,
    encoder: Encoder | None = None,
    max_side: int | None = None,
) -> DecodedImages:
    """Decode images to one size, with 8 bits per channel.

    Images of different sizes are resized to the median height and width, and to fewer pixels if memory is short. Images
    with more bits per pixel share one scale, by the range of all of them.

    Args:
        sources: a path, or an image that Pillow has opened, for each.
        names: what messages call them.
        skip: decode the other images if some cannot be read; otherwise ``pixels`` are then of no use.
        encoder: also gets every image, in its own size and in colour, a batch at a time, and the pixels are then
            thumbnails; unless images have no more than ``encoder.min_numbers``.
        max_side: height and width of the pixels at most; None: as they are, or those of thumbnails for an encoder.
    """
    sources = list(sources)
    headers: dict[int, _Header] = {}
    unreadable: dict[int, str] = {}
    for at, source in enumerate(sources):
        try:
            with _open(source) as image:
                headers[at] = _read_header(image)
        except _UnreadableError as error:
            unreadable[at] = str(error)
    if not headers:
        return DecodedImages(np.empty(0, np.uint8), [], unreadable)
    scales, notices = _choose_scales(list(headers.values()))
    grey = all(header.grey for header in headers.values())
    if encoder is not None and _median_size(headers.values()).prod() * (1 if grey else 3) <= encoder.min_numbers:
        encoder = None
    max_side = THUMBNAIL_SIDE if max_side is None and encoder is not None else max_side
    height, width, more = _common_size(list(headers.values()), 1 if grey else 3, max_side)
    gap = None if max_side is None else _THUMBNAIL_GAP
    pixels = np.empty((len(headers), height, width) if grey else (len(headers), height, width, 3), dtype=np.uint8)
    with nullcontext() if encoder is None else encoder.start(len(headers), "image") as encoding:
        for row, at in enumerate(headers):
            try:
                with _open(sources[at]) as image:
                    upright = _turn_upright(image)
                    pixels[row] = _decode(upright, grey, (width, height), scales, gap)
                    if encoding is not None:
                        colours = _to_eight_bits(upright, False, scales)
                        digest = _digest_source(sources[at], headers[at]) if encoding.keeps_vectors else b""
            except _UnreadableError as error:
                unreadable[at] = str(error)
            else:
                # Not in the block above: what the encoder raises says nothing about the file.
                if encoding is not None:
                    encoding.add(row, names[at], colours, digest)
        all_failed = len(unreadable) == len(sources)
        vectors, encoded = (None, []) if encoding is None or all_failed else encoding.finish()
    if skip and len(headers) + len(unreadable) > len(sources):
        # The size and the scale must not depend on files that turned out to be damaged.
        rest = [at for at in range(len(sources)) if at not in unreadable]
        decoded = decode_readable_images([sources[at] for at in rest], [names[at] for at in rest], max_side=max_side)
        notices = [*decoded.notices, *encoded]
        return DecodedImages(decoded.pixels, notices, dict(sorted(unreadable.items())), vectors)
    notices = [*_describe_pages(list(headers.items()), names), *notices, *more, *_describe_greys(pixels, headers), *encoded]
    return DecodedImages(pixels, notices, dict(sorted(unreadable.items())), vectors)


class _UnreadableError(Exception):
    """Why an image cannot be read, in a few words."""


@contextmanager
def _open(source: Any) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong in the block is an :class:`_UnreadableError`."""
    max_pixels = limits.max_pixels()
    try:
        with warnings.catch_warnings(), _pixel_limit(max_pixels):
            # Broken metadata only warns, since the pixels are what counts; a warning of a huge image must stop the reading.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(source, Image.Image):
                yield source
                return
            if not limits.check_regular_file(source):
                raise _UnreadableError("the file is empty")
            with Image.open(Path(source), formats=_FORMATS) as image:
                yield image
    except _UnreadableError:
        raise
    except InputError as error:
        raise _UnreadableError(str(error)) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _UnreadableError(
            f"more than {max_pixels:,} pixels: scale it down or, if you trust it, set {limits.MAX_PIXELS} to a higher value"
        ) from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        cause = "not an image" if type(error).__name__ == "UnidentifiedImageError" else first_line(error)
        raise _UnreadableError(cause) from None


@contextmanager
def _pixel_limit(pixels: int) -> Iterator[None]:
    """Let Pillow itself refuse larger images by their headers, which covers frames inside a file, too."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _read_header(image: Image.Image) -> _Header:
    # A second picture in a JPEG (MPO) is a preview or a depth map of the first.
    pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    reduced = _is_reduced(image)
    sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
    size = image.size if sideways else image.size[::-1]
    values = None
    if image.mode in _DEEP:
        numbers = np.asarray(image)
        if not np.isfinite(numbers).all():
            raise _UnreadableError("it has NaN or infinite values: replace them by numbers")
        values = (float(numbers.min()), float(numbers.max()))
    return _Header(size, image.mode in _GREY, pages, values, image.mode != "F", reduced)


def _is_reduced(image: Image.Image) -> bool:
    """Return whether a colour image has 16 bits per channel, which Pillow reduces to 8 bits when it decodes them."""
    if image.mode in _DEEP:
        return False
    for tile in getattr(image, "tile", ()):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(part, str) and ";16" in part for part in args):
            return True
        if tile[0] == "ppm" and isinstance(args[-1], int) and args[-1] > 255:
            return True
    return False


class _Scale(NamedTuple):
    """The range of values that becomes 0..255.

    Attributes:
        low: the value that becomes 0.
        high: the value that becomes 255.
        bits: if the range is 0 to 2**bits - 1, so that the upper 8 bits are kept; else None.
    """

    low: float
    high: float
    bits: int | None

    def apply(self, numbers: np.ndarray) -> np.ndarray:
        """Return uint8 of the same shape."""
        if self.bits is not None:
            return (numbers.astype(np.int64) >> (self.bits - 8)).astype(np.uint8)
        share = (numbers.astype(np.float64) - self.low) / max(self.high - self.low, np.finfo(np.float64).tiny)
        return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


class _Scales(NamedTuple):
    """The scale of all images of integers, and that of all images of floats."""

    integers: _Scale
    floats: _Scale


def _choose_scales(headers: list[_Header]) -> tuple[_Scales, list[str]]:
    """Choose the ranges that become 0..255, the same for all images of a kind; return notices, too."""
    scales, notices = [], []
    for integers in (True, False):
        ranges = [header.values for header in headers if header.values is not None and header.integers == integers]
        scale, more = _choose_scale(ranges, integers)
        scales.append(scale)
        notices += more
    return _Scales(*scales), notices


def _choose_scale(ranges: list[tuple[float, float]], integers: bool) -> tuple[_Scale, list[str]]:
    if not ranges:
        return _Scale(0, 255, 8), []
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    kind = "of more than 8 bits per pixel" if integers else "of floating-point numbers"
    seen = f"{_count(len(ranges), f'image {kind}', f'images {kind}')} values of {low:g} to {high:g}"
    if integers and low >= 0:
        # A power of two keeps at least half of the greys, and hardly depends on the images of this folder.
        bits = max(int(high).bit_length(), 8)
        if bits == 8:
            return _Scale(0, 255, 8), [f"{seen}, which were read as 0 to 255."]
        return _Scale(0, 2**bits - 1, bits), [f"{seen}: 0 to {2**bits - 1} became 0 to 255."]
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    return _Scale(low, high, None), [f"{seen}: {low:g} to {high:g} became 0 to 255."]


def _median_size(headers: Iterable[_Header]) -> np.ndarray:
    """Return the median height and width, int64."""
    median: np.ndarray = np.median([header.size for header in headers], axis=0).astype(np.int64)
    return median


def _common_size(headers: list[_Header], channels: int, max_side: int | None = None) -> tuple[int, int, list[str]]:
    """Return the height and width for all images, and notices."""
    height, width = _median_size(headers).tolist()
    sizes = [header.size for header in headers]
    if max_side is not None and max(height, width) > max_side:
        height, width = (max(1, side * max_side // max(height, width)) for side in (height, width))
        if height * width * channels * len(sizes) <= _MAX_BYTES:
            return height, width, [f"Pages show thumbnails of {height} x {width} pixels."]
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


def _turn_upright(image: Image.Image) -> Image.Image:
    """Return an image as a viewer turns it; itself, not a copy, if it need not be turned."""
    return ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image


def _digest_source(source: Any, header: _Header) -> bytes:
    """Return a digest of a file; no bytes if there is no file, or if its pixels depend on others, too."""
    # Images with more bits per pixel share the scale of their folder.
    return b"" if isinstance(source, Image.Image) or header.values is not None else digest_file(source)


def _decode(image: Image.Image, grey: bool, size: tuple[int, int], scales: _Scales, gap: float | None) -> np.ndarray:
    """Return the first page of an upright image, uint8.

    Args:
        gap: ``reducing_gap`` of :meth:`PIL.Image.Image.resize`.
    """
    plain = image.mode == ("L" if grey else "RGB") and "transparency" not in image.info
    converted = image if plain else _to_eight_bits(image, grey, scales)
    if converted.size != size:
        converted = converted.resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)
    return np.asarray(converted)


def _to_eight_bits(image: Image.Image, grey: bool, scales: _Scales) -> Image.Image:
    """Return a copy of an image in grey or in colour, with 8 bits per channel."""
    if image.mode in _DEEP:
        scale = scales.floats if image.mode == "F" else scales.integers
        image = Image.fromarray(scale.apply(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "La", "RGBa", "PA"):
        # As a viewer shows it: the colour under transparent pixels is arbitrary, often all black.
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if grey else "RGB")


def _describe_pages(headers: list[tuple[int, _Header]], names: Sequence[str]) -> list[str]:
    several = [(names[at], header.pages) for at, header in headers if header.pages > 1]
    if not several:
        return []
    counts = [pages for _, pages in several]
    span = f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    named = ", ".join(name for name, _ in several[:_MAX_PAGES_NAMED]) + (", …" if len(several) > _MAX_PAGES_NAMED else "")
    subject = _count(len(several), "image", "images")
    return [f"{subject} several pages or frames ({span}), of which only the first is read: {named}."]


def _count(number: int, one: str, several: str) -> str:
    """Return the start of a sentence about some images."""
    return f"1 {one} has" if number == 1 else f"{number} {several} have"


def _describe_greys(pixels: np.ndarray, headers: dict[int, _Header]) -> list[str]:
    """Say where images lost much of what they show, because 8 bits were kept of more.

    Raises:
        InputError: colour images of 16 bits per channel that are nearly black in 8 bits.
    """
    rows = list(headers.values())
    notices = []
    reduced = pixels[[header.reduced for header in rows]]
    if reduced.size:
        subject = _count(len(reduced), "colour image", "colour images")
        if reduced.max() < _FEW_GREYS:
            raise InputError(
                f"{subject} 16 bits per channel, of which only the upper 8 are read, and are then "
                f"nearly black (0 to {reduced.max()} of 255): save them with 8 bits per channel, scaled to their range"
            )
        notices.append(f"{subject} 16 bits per channel: the upper 8 are read.")
    deep = pixels[[header.values is not None for header in rows]]
    if deep.size and (levels := np.bincount(deep.ravel(), minlength=256)).max(initial=0):
        dark = levels[:_FEW_GREYS].sum() / levels.sum()
        if dark > 0.99 and levels[_FEW_GREYS:].any():
            notices.append(
                f"{100 * dark:.1f} % of their pixels are then darker than {_FEW_GREYS} of 255, because few are much "
                "brighter: clip the brightest values if the others matter."
            )
    return notices
