"""Digests of content: equal for equal images, whatever their files are called."""

import shutil

import numpy as np
import pytest
from PIL import Image

from hardsight.data.content import digest_file, digest_item


@pytest.fixture
def photograph(tmp_path):
    """The file of a photograph."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(tmp_path / "one.jpg")
    return tmp_path / "one.jpg"


def test_the_name_of_a_file_does_not_count_and_its_bytes_do(photograph, tmp_path):
    shutil.copy(photograph, tmp_path / "copy.png")
    assert digest_file(tmp_path / "copy.png") == digest_file(str(photograph))
    Image.open(photograph).save(tmp_path / "other.jpg", quality=60)
    assert digest_file(tmp_path / "other.jpg") != digest_file(photograph)


def test_another_decoder_makes_other_pixels(photograph, monkeypatch):
    before = digest_file(photograph)
    monkeypatch.setattr("PIL.__version__", "0.1")
    assert digest_file(photograph) != before


def test_images_differ_by_pixels_mode_and_shape():
    images = [Image.new("RGB", (4, 2)), Image.new("RGB", (2, 4)), Image.new("L", (8, 3)), Image.new("RGB", (4, 2), "red")]
    assert len({digest_item(image) for image in images}) == 4
    assert digest_item(images[0].copy()) == digest_item(images[0])
    assert digest_item("one") != digest_item("two")
    assert len(digest_item("\ud800")) == 16
