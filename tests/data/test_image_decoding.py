"""Images of every depth: the greys are kept, on one scale for all, and what is not read is said."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from support.errors import rejects

from hardsight import Samples
from hardsight.data.image_decoding import decode_images, decode_readable_images
from hardsight.errors import InputError, MultipleInputError

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def decoded(*images):
    return decode_images(images, [f"image {at}" for at in range(len(images))])


def png_of_16_bits(channels):
    """A colour PNG of 16 bits per channel, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, depth = channels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[depth], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("top", [3, 100, 255, 256, 500, 1023, 4095, 5000, 40000, 65535])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_greys_of_16_bits_are_kept_whatever_their_range(top, dtype):
    values = np.rint(RAMP * top).astype(dtype)
    pixels, notices = decoded(Image.fromarray(values), Image.fromarray(values // 2))
    levels = min(len(np.unique(values)), 64)
    assert len(np.unique(pixels[0])) == levels
    # The second image is half as bright: there is one scale for the whole set.
    np.testing.assert_allclose(pixels[1], pixels[0] / 2, atol=1)
    assert f"have values of 0 to {top}" in notices[0]
    assert pixels.max() == top or pixels.max() >= 127


def test_values_below_zero_and_floats_are_scaled_by_their_range():
    tomography = np.rint(RAMP * 4000 - 1000).astype(np.int32)
    pixels, notices = decoded(Image.fromarray(tomography))
    np.testing.assert_allclose(pixels[0], RAMP * 255, atol=0.6)
    assert "-1000 to 3000 became 0 to 255" in notices[0]
    for low, high, scale in ((0, 0.5, "0 to 1"), (0, 200, "0 to 255"), (-2, 6, "-2 to 6"), (0, 1000, "0 to 1000")):
        image = Image.fromarray((low + RAMP * (high - low)).astype(np.float32))
        pixels, notices = decoded(image)
        assert f"{scale} became 0 to 255" in notices[0]
        assert len(np.unique(pixels)) == 64
    # Integers and floats have scales of their own.
    pixels, notices = decoded(Image.fromarray(RAMP.astype(np.float32)), Image.fromarray(np.int32(RAMP * 60000)))
    assert [len(np.unique(image)) for image in pixels] == [64, 64]
    assert notices == [
        "1 image of more than 8 bits per pixel has values of 0 to 60000: 0 to 65535 became 0 to 255.",
        "1 image of floating-point numbers has values of 0 to 1: 0 to 1 became 0 to 255.",
    ]
    with pytest.raises(InputError, match=r"image image 0 cannot be read .it has NaN or infinite values"):
        decoded(Image.fromarray(np.array([[np.nan, 1]], np.float32)))


def test_a_few_bright_points_among_dark_pixels_are_reported():
    values = np.rint(RAMP.repeat(4, 0).repeat(4, 1) * 200).astype(np.uint16)
    values[0, 0] = 65535
    _, notices = decoded(Image.fromarray(values))
    assert "99.9 % of their pixels are then darker than 16 of 255" in notices[1]


def test_colour_of_16_bits_is_reported_and_refused_if_nearly_black(tmp_path):
    for channels in (2, 3, 4):
        bright = np.stack([RAMP * 65535] * channels, axis=-1)
        path = tmp_path / f"{channels}.png"
        path.write_bytes(png_of_16_bits(bright))
        pixels, notices = decode_images([path], ["x"])
        assert notices == ["1 colour image has 16 bits per channel: the upper 8 are read."]
        assert pixels.max() == 255
    path.write_bytes(png_of_16_bits(np.stack([RAMP * 500] * 3, axis=-1)))
    rejects(
        "16 bits per channel, of which only the upper 8 are read, and are then nearly black", decode_images, [path], ["x"]
    )
    portable = tmp_path / "x.ppm"
    portable.write_bytes(b"P6 8 8 65535\n" + np.stack([RAMP * 65535] * 3, axis=-1).astype(">u2").tobytes())
    assert "16 bits per channel" in decode_images([portable], ["x"])[1][0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_images_of_8_bits_need_no_notice(mode):
    pixels, notices = decoded(Image.new(mode, (4, 4)), Image.new("RGB", (4, 4)))
    assert pixels.shape == (2, 4, 4, 3)
    assert notices == []


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_pages_that_are_not_read_are_reported(tmp_path, kind):
    first, *others = (Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (10, 90, 200))
    first.save(tmp_path / "several", kind, save_all=True, append_images=others)
    first.save(tmp_path / "two", kind, save_all=True, append_images=others[:1])
    first.save(tmp_path / "one", kind)
    names = ["several", "two", "one"]
    pixels, notices = decode_images([tmp_path / name for name in names], names)
    assert notices == ["2 images have several pages or frames (2 to 3), of which only the first is read: several, two."]
    np.testing.assert_allclose(pixels[0], pixels[2], atol=3)


def test_all_damaged_images_are_named_at_once_and_the_others_do_not_depend_on_them(tmp_path):
    generator = np.random.default_rng(0)
    for name, side in (("whole", 20), ("other", 20), ("large", 90)):
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(tmp_path / f"{name}.jpg")
    cut = tmp_path / "large.jpg"
    cut.write_bytes(cut.read_bytes()[:2000])
    (tmp_path / "no.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    paths = sorted(tmp_path.iterdir())
    names = [path.name for path in paths]
    with pytest.raises(MultipleInputError) as caught:
        decode_images(paths, names)
    for cause in ("image empty.jpg cannot be read (the file is empty", "image large.jpg", "no.jpg cannot be read (not an"):
        assert cause in str(caught.value)
    result = decode_readable_images(paths, names, skip=True)
    assert list(result.unreadable) == [0, 1, 2]
    expected, notices = decode_images(paths[3:], names[3:])
    np.testing.assert_array_equal(result.pixels, expected)
    assert (result.notices, notices) == ([], [])


def test_a_damaged_image_in_memory_is_one_line():
    stream = io.BytesIO()
    Image.effect_noise((60, 60), 99).save(stream, "PNG")
    broken = Image.open(io.BytesIO(stream.getvalue()[:600]))
    rejects("image in row 1 cannot be read", Samples.of, [Image.new("L", (60, 60)), broken], [0, 1])


def test_thumbnails_are_close_to_means_over_all_pixels_and_other_pixels_are_exact(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    for at, scale in enumerate((30, 42)):
        Image.fromarray(small).resize((12 * scale, 9 * scale), Image.Resampling.BICUBIC).save(tmp_path / f"{at}.png")
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    thumbnails = decode_readable_images(paths, ["0", "1"], max_side=96).pixels
    assert thumbnails.shape == (2, 72, 96, 3)
    for path, thumbnail in zip(paths, thumbnails, strict=True):
        expected = np.asarray(Image.open(path).resize((96, 72), Image.Resampling.BILINEAR))
        assert np.abs(thumbnail - expected.astype(float)).mean() < 1
    pixels = decode_readable_images(paths, ["0", "1"]).pixels
    for path, image in zip(paths, pixels, strict=True):
        np.testing.assert_array_equal(image, Image.open(path).resize((432, 324), Image.Resampling.BILINEAR))
