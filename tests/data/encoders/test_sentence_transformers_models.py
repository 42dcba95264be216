"""Texts and images by a model of sentence-transformers."""

import sys

import numpy as np
import pandas as pd
import pytest
from support.tiny_encoders import TEXTS, photos, save_sentences, use_hub
from support.tiny_text_models import WORDS

from hardsight import Encoder, InputError, Samples

pytestmark = pytest.mark.usefixtures("cache")
Y = np.arange(6) % 2


def test_vectors_are_those_of_the_model_of_length_one(tmp_path):
    model = save_sentences(tmp_path / "model")
    name = f"sentence-transformers:{tmp_path / 'model'}"
    samples = Samples.of(TEXTS, Y, embedding=name)
    np.testing.assert_allclose(samples.matrix[:4], model.encode(TEXTS[:4], normalize_embeddings=True), atol=1e-5)
    prompted = Samples.of(TEXTS, Y, embedding=Encoder(name, prompt="very ")).matrix
    np.testing.assert_allclose(prompted[0], model.encode(f"very {TEXTS[0]}", normalize_embeddings=True), atol=1e-5)
    with pytest.raises(InputError, match="reads texts, and these samples are images"):
        Samples.of(photos(), Y, embedding=name)


def test_texts_beside_other_columns_are_encoded(tmp_path):
    save_sentences(tmp_path / "model")
    words = np.random.default_rng(0).choice(WORDS[2:], (40, 8))
    table = pd.DataFrame({"review": [" ".join(row) for row in words], "stars": np.arange(40) / 4, "y": ["p", "q"] * 20})
    name = f"sentence-transformers:{tmp_path / 'model'}"
    samples = Samples.of(table, "y", embedding=name)
    assert samples.kind == "table"
    np.testing.assert_allclose(
        samples.matrix[:, :8], Samples.of(table["review"], table["y"], embedding=name).matrix, atol=1e-6
    )


def test_what_is_missing_is_one_line(tmp_path, monkeypatch):
    use_hub(monkeypatch, tmp_path)
    with pytest.raises(InputError, match="cannot load the sentence-transformers model 'mini': it is not on this machine"):
        Samples.of(TEXTS, Y, embedding="sentence-transformers:mini")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"package sentence-transformers is missing: pip install 'hardsight\[sentence-embe"):
        Samples.of(TEXTS, Y, embedding="sentence-transformers:mini")
