"""Texts and images by a model of transformers."""

import numpy as np
import pytest
import torch
from support.tiny_encoders import TEXTS, photos, save_bert, save_classifying_vit, save_vit
from support.tiny_text_models import gpt2, tokenizer
from transformers import AutoImageProcessor, AutoTokenizer, CLIPConfig, CLIPModel, T5Config, T5ForConditionalGeneration

from hardsight import Encoder, InputError, Samples

pytestmark = pytest.mark.usefixtures("cache")
Y = np.arange(6) % 2


def test_a_text_is_the_mean_over_its_tokens(tmp_path):
    model = save_bert(tmp_path)
    vectors = Samples.of(TEXTS[:4], Y[:4], embedding=f"transformers:{tmp_path}").matrix
    words = AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = [model(**words(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in TEXTS[:4]]
    np.testing.assert_allclose(vectors, torch.stack(expected), atol=1e-5)
    prompted = Samples.of(TEXTS[:4], Y[:4], embedding=Encoder(f"transformers:{tmp_path}", prompt="very ")).matrix
    by_hand = Samples.of([f"very {text}" for text in TEXTS[:4]], Y[:4], embedding=f"transformers:{tmp_path}").matrix
    np.testing.assert_allclose(prompted, by_hand, atol=1e-6)


def test_long_texts_are_cut_at_the_tokens_of_the_model(tmp_path):
    save_bert(tmp_path)
    texts = ["good " * 40, "good " * 16, "bad", "good", "fine", "poor"]
    vectors = Samples.of(texts, Y, embedding=f"transformers:{tmp_path}").matrix
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_an_empty_text_has_finite_numbers(tmp_path):
    save_bert(tmp_path)
    encoder = Encoder(f"transformers:{tmp_path}", batch_size=1)
    vectors = Samples.of(TEXTS, Y, embedding=encoder).matrix
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(Samples.of(TEXTS, Y, embedding=f"transformers:{tmp_path}").matrix, vectors, atol=1e-6)


def test_models_that_generate_text_are_encoders_too(tmp_path):
    torch.manual_seed(0)
    size = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 11}
    models = {"t5": T5ForConditionalGeneration(T5Config(**size, decoder_start_token_id=0)), "gpt2": gpt2()}
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        tokenizer().save_pretrained(tmp_path / name)
        encoder = model.eval().get_encoder() if name == "t5" else model.eval().transformer
        vectors = Samples.of(TEXTS[:4], Y[:4], embedding=f"transformers:{tmp_path / name}").matrix
        with torch.no_grad():
            expected = [encoder(**tokenizer()(each, return_tensors="pt")).last_hidden_state[0].mean(0) for each in TEXTS[:4]]
        np.testing.assert_allclose(vectors, torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("save", [save_vit, save_classifying_vit])
def test_an_image_is_the_pooled_output_or_the_class_token(tmp_path, save):
    model = save(tmp_path)
    vectors = Samples.of(photos(), Y, embedding=f"transformers:{tmp_path}").matrix
    inputs = AutoImageProcessor.from_pretrained(tmp_path)(photos(), return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).pooler_output if save is save_vit else model.vit(**inputs).last_hidden_state[:, 0]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_of_clip_the_image_tower_is_taken(tmp_path):
    torch.manual_seed(0)
    part = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 6}
    vision = {**part, "image_size": 32, "patch_size": 16}
    model = CLIPModel(CLIPConfig(text_config=part, vision_config=vision, projection_dim=6)).eval()
    save_vit(tmp_path)
    model.save_pretrained(tmp_path)
    vectors = Samples.of(photos(), Y, embedding=f"transformers:{tmp_path}").matrix
    inputs = AutoImageProcessor.from_pretrained(tmp_path)(photos(), return_tensors="pt")
    with torch.no_grad():
        expected = model.visual_projection(model.vision_model(**inputs).pooler_output)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_what_does_not_fit_is_one_line(tmp_path):
    save_bert(tmp_path / "bert")
    save_vit(tmp_path / "vit")
    with pytest.raises(InputError, match=r"reads texts, and these samples are images: pass another model"):
        Samples.of(photos(), Y, embedding=f"transformers:{tmp_path / 'bert'}")
    with pytest.raises(InputError, match=r"reads images, and these samples are texts: pass another model"):
        Samples.of(TEXTS, Y, embedding=f"transformers:{tmp_path / 'vit'}")
    with pytest.raises(InputError, match="prompt is for texts"):
        Samples.of(photos(), Y, embedding=Encoder(f"transformers:{tmp_path / 'vit'}", prompt="a"))
    with pytest.raises(InputError, match="cannot load the transformers model"):
        Samples.of(TEXTS, Y, embedding=f"transformers:{tmp_path}")


def test_a_file_without_some_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    save_bert(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.0.output.dense.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"has no weights for encoder.layer.0.output.dense.bias: pass a model"):
        Samples.of(TEXTS, Y, embedding=f"transformers:{tmp_path}")
