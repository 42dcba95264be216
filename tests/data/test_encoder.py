"""Embeddings by a function of the user, and from files."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy.sparse import csr_array

import hardsight as hs
from hardsight import InputError, Samples
from hardsight.cli import main
from hardsight.data.from_hf_rows import rows_to_samples

Y = np.arange(10) % 2
TEXTS = [f"text number {i}" * (1 + i % 3) for i in range(10)]


def lengths(texts):
    return [[len(text), text.count("t")] for text in texts]


class Corners:
    """Mean colour and size of images; counts its calls."""

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        assert all(image.mode == "RGB" for image in images)
        self.batches.append([image.size for image in images])
        return torch.tensor([[*np.asarray(image).mean((0, 1)), *image.size] for image in images])


@pytest.fixture
def photos(tmp_path):
    """Forty photographs of different sizes in two classes, and the vectors that they should get."""
    rng, vectors = np.random.default_rng(0), {}
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 255, (*rng.integers(100, 200, 2), 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:02}.png")
            vectors[f"{name}/{i:02}.png"] = [*pixels.mean((0, 1)), pixels.shape[1], pixels.shape[0]]
    return tmp_path / "photos", vectors


def test_texts_are_passed_as_strings():
    samples = Samples.of(TEXTS, Y, embedding=lengths)
    np.testing.assert_array_equal(samples.matrix, np.array(lengths(TEXTS), dtype=np.float32))
    assert samples.notices == ("Each text became 2 numbers (by lengths).",)
    column = Samples.of(pd.DataFrame({"text": TEXTS, "y": Y}), "y", text="text", embedding=lengths)
    np.testing.assert_array_equal(column.matrix, samples.matrix)


def test_photographs_are_passed_in_their_own_size(photos):
    folder, vectors = photos
    encode = Corners()
    samples = hs.read(folder, embedding=encode)
    np.testing.assert_allclose(samples.matrix, [vectors[name] for name in samples.ids], rtol=1e-5)
    # Every call gets a whole batch, so that a vector does not depend on how many images there are.
    assert {len(batch) for batch in encode.batches} == {32}
    assert max(samples.features.shape[1:3]) == 96
    in_memory = Samples.of([Image.open(folder / name) for name in samples.ids], samples.labels, embedding=Corners())
    np.testing.assert_array_equal(in_memory.matrix, samples.matrix)
    assert hs.measure(samples, folds=2, repeats=2, estimate=hs.Estimate(pilot=False)).error.shape == (40,)


def test_photographs_are_upright_and_in_colour(tmp_path):
    grey, turned = Image.new("L", (100, 60), 128), Image.new("RGB", (100, 60))
    exif = turned.getexif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        grey.save(tmp_path / name / "grey.png")
        turned.save(tmp_path / name / "turned.jpg", exif=exif)
    samples = hs.read(tmp_path, embedding=Corners())
    assert samples.matrix[:, 3:].tolist() == [[100, 60], [60, 100]] * 2


def test_pixels_of_an_array_are_images():
    pixels = np.random.default_rng(0).integers(0, 255, (10, 12, 9, 3), dtype=np.uint8)
    for images in (pixels, pixels[..., 0], pixels[..., :1]):
        assert Samples.of(images, Y, embedding=Corners()).matrix[:, 3:].tolist() == [[9, 12]] * 10


def test_broken_photographs_are_left_out(photos):
    folder, vectors = photos
    broken = (folder / "cat" / "03.png").read_bytes()
    (folder / "cat" / "03.png").write_bytes(broken[:2000])
    (folder / "dog" / "00.png").write_bytes(b"")
    samples = hs.read(folder, embedding=Corners(), skip_broken=True)
    assert len(samples) == 38
    np.testing.assert_allclose(samples.matrix, [vectors[name] for name in samples.ids], rtol=1e-5)
    assert max(samples.features.shape[1:3]) == 96


def test_photographs_that_are_all_broken_are_named(photos):
    folder, _ = photos
    for path in folder.glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cat/00\.png cannot be read"):
        hs.read(folder, embedding=Corners())


def test_what_a_key_names_is_encoded_once(photos, tmp_path):
    folder, _ = photos
    options = {"key": "corners 1", "batch_size": 8}
    first, second, third = Corners(), Corners(), Corners()
    cold = hs.read(folder, embedding=hs.Encoder(first, cache=tmp_path / "cache", **options))
    assert len(first.batches) == 5 + 1  # the first item once more, in a batch of copies
    warm = hs.read(folder, embedding=hs.Encoder(second, cache=tmp_path / "cache", **options))
    assert second.batches == []
    np.testing.assert_array_equal(warm.matrix, cold.matrix)
    hs.read(folder, embedding=hs.Encoder(third, cache=tmp_path / "cache", key="corners 2"))
    assert len(third.batches) == 2 + 1
    # Content counts, not the name of the file.
    (folder / "cat" / "00.png").rename(folder / "cat" / "99.png")
    Image.new("RGB", (50, 50)).save(folder / "cat" / "00.png")
    hs.read(folder, embedding=hs.Encoder(second, cache=tmp_path / "cache", **options))
    assert [batch[0] for batch in second.batches] == [(50, 50)] * 2


def test_photographs_of_many_greys_are_encoded_again_on_another_scale(tmp_path):
    ramp = np.arange(100 * 120, dtype=np.uint16).reshape(100, 120)
    for name, top in (("a", 1), ("b", 1), ("c", 5)):
        (tmp_path / name).mkdir()
        Image.fromarray(ramp * np.uint16(top)).save(tmp_path / name / "grey.png")
    encoder = hs.Encoder(Corners(), key="corners", cache=tmp_path / "cache")
    before = hs.read(tmp_path, embedding=encoder).matrix
    (tmp_path / "c" / "grey.png").unlink()
    (tmp_path / "c").rmdir()
    after = hs.read(tmp_path, embedding=encoder).matrix
    # The brightest image is gone, and the files of the others are the same.
    np.testing.assert_allclose(after[:, 0], 4 * before[:2, 0], rtol=0.02)


def test_a_damaged_cache_is_encoded_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HARDSIGHT_CACHE", str(tmp_path))
    encoder = hs.Encoder(lengths, key="lengths")
    expected = Samples.of(TEXTS, Y, embedding=encoder).matrix
    (file,) = tmp_path.glob("embeddings/*/*.npz")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(Samples.of(TEXTS, Y, embedding=encoder).matrix, expected)


SCRIPT = """
    import os, signal, sys
    import numpy as np
    import hardsight as hs

    calls = 0

    def encode(texts):
        global calls
        calls += 1
        if calls == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        rng = np.random.default_rng(0)
        return np.array([[len(text), text.count("1")] for text in texts]) @ rng.normal(size=(2, 3))

    texts = [f"text {i}" for i in range(2000)]
    samples = hs.Samples.of(texts, np.arange(2000) % 2, embedding=hs.Encoder(encode, key="k", cache=sys.argv[2]))
    np.savez(sys.argv[2] + ".npz", matrix=samples.matrix, calls=calls)
"""


@pytest.mark.slow
def test_killed_in_the_middle_goes_on_where_it_was(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(kill_at, cache):
        command = [sys.executable, script, str(kill_at), tmp_path / cache]
        return subprocess.run(command, check=False, env=environment, capture_output=True).returncode

    assert run(-1, "whole") == 0
    assert run(40, "killed") == -signal.SIGKILL
    assert run(-1, "killed") == 0
    whole, resumed = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "killed"))
    assert whole["calls"] == 63 + 1
    assert resumed["calls"] <= 63 + 1 - 32
    np.testing.assert_array_equal(resumed["matrix"], whole["matrix"])


def test_vectors_in_a_file(photos, tmp_path, monkeypatch):
    folder, vectors = photos
    matrix = np.array([vectors[name] for name in sorted(vectors)], dtype=np.float32)
    np.save(folder.parent / "vectors.npy", matrix)
    for embedding in ("vectors.npy", folder.parent / "vectors.npy"):
        samples = hs.read(folder, embedding=embedding)
        np.testing.assert_array_equal(samples.matrix, matrix)
        assert any("rows must be in the order of the samples" in text for text in samples.notices)
    monkeypatch.chdir(folder.parent)
    np.testing.assert_array_equal(
        Samples.of([f"t{i}" for i in range(40)], np.arange(40) % 2, embedding="vectors.npy").matrix, matrix
    )
    arguments = [
        "measure",
        str(folder),
        "--features",
        "vectors.npy",
        "--out",
        str(tmp_path / "out"),
        "--learner",
        "ridge",
        "--json",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)


def test_rows_of_a_dataset_for_a_trainer():
    dataset = datasets.Dataset.from_dict({"text": TEXTS, "label": Y.tolist(), "input_ids": [[1]] * 10})
    samples = rows_to_samples(dataset, embedding=lengths)
    np.testing.assert_array_equal(samples.matrix, np.array(lengths(TEXTS), dtype=np.float32))


@pytest.mark.parametrize(
    "convert",
    [
        lambda vectors: torch.tensor(vectors).half(),
        lambda vectors: [torch.tensor(vector, requires_grad=True) for vector in vectors],
        lambda vectors: (np.array(vector) for vector in vectors),
        csr_array,
        pd.DataFrame,
    ],
)
def test_vectors_may_come_in_any_container(convert):
    samples = Samples.of(TEXTS, Y, embedding=lambda texts: convert(np.array(lengths(texts), dtype=float)))
    np.testing.assert_array_equal(samples.matrix, np.array(lengths(TEXTS), dtype=np.float32))


def test_numbers_that_depend_on_the_batch_are_a_notice():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5))

    @torch.no_grad()
    def encode(texts):
        return layers(torch.tensor(lengths(texts)).float())

    for part in layers[1:]:
        layers.eval()
        assert len(Samples.of(TEXTS, Y, embedding=encode).notices) == 1
        part.train()
        assert "model.eval()" in Samples.of(TEXTS, Y, embedding=encode).notices[-1]


def test_an_item_in_memory_is_named_by_its_row():
    photos = [Image.new("RGB", (100 + i, 100)) for i in range(10)]
    with pytest.raises(InputError, match="images from row 0 on"):
        Samples.of(photos, Y, embedding=lambda images: 1 / 0)


def test_samples_without_a_label_are_encoded_only_if_they_are_predicted():
    labels = [None, *Y[1:].tolist()]
    assert Samples.of(TEXTS, labels, embedding=lengths).matrix.shape == (9, 2)
    assert Samples.of(TEXTS, labels, embedding=lengths, unlabelled="predict").unlabelled.matrix.shape == (1, 2)


@pytest.mark.parametrize(
    ("X", "embedding", "message"),
    [
        (np.eye(10), lengths, "reads texts or images, and these samples are neither"),
        (None, lengths, "reads texts or images, and these samples are neither"),
        (np.zeros((10, 8, 8)), Corners(), "needs images of uint8. Got float64"),
        (TEXTS, lambda texts: [1, 2], "must return one vector for each of 32 texts"),
        (TEXTS, lambda texts: np.zeros((len(texts), 0)), "must return one vector for each"),
        (TEXTS, lambda texts: 1 / 0, "failed on a batch of 32 texts from row 0 on .ZeroDivisionError"),
        (TEXTS, lambda texts: np.full((len(texts), 2), np.inf), "not finite"),
        (TEXTS, "absent.npy", "no file at absent.npy"),
        (TEXTS, print, "failed on a batch|must return one vector"),
    ],
)
def test_what_cannot_be_used_is_one_line(X, embedding, message):
    with pytest.raises(InputError, match=message):
        Samples.of(X, Y, embedding=embedding)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model must be a name, such as .*, or a function"),
        ({"model": lengths, "batch_size": 0}, "batch_size must be"),
        ({"model": lengths, "key": 3}, "key must be a text"),
        ({"model": lengths, "cache": "folder"}, "cache needs a key"),
    ],
)
def test_options_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        hs.Encoder(**arguments)
