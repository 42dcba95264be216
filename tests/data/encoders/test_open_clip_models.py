"""Images by the image tower of a CLIP model."""

import numpy as np
import open_clip
import pytest
import torch
from support.tiny_encoders import photos, publish, save_open_clip, use_hub

from hardsight import InputError, Samples

pytestmark = pytest.mark.usefixtures("cache")
Y = np.arange(6) % 2


def test_vectors_are_those_of_the_image_tower(tmp_path, monkeypatch):
    model = save_open_clip(tmp_path / "model")
    samples = Samples.of(photos(), Y, embedding=f"open_clip:{tmp_path / 'model'}")
    transform = open_clip.image_transform(32, is_train=False, mean=(0.5,) * 3, std=(0.25,) * 3, resize_mode="shortest")
    with torch.no_grad():
        expected = model.encode_image(torch.stack([transform(image) for image in photos()]))
    np.testing.assert_allclose(samples.matrix, expected, atol=1e-5)
    use_hub(monkeypatch, tmp_path / "hub")
    publish(tmp_path / "hub", "someone/clip", tmp_path / "model")
    np.testing.assert_array_equal(Samples.of(photos(), Y, embedding="open_clip:someone/clip").matrix, samples.matrix)


def test_weights_are_those_of_the_name(tmp_path, monkeypatch):
    """Without PRETRAINED they are the first that open_clip lists; with QuickGELU where they were trained with it."""
    asked = []

    def create(name, **options):
        asked.append((name, options))
        model = save_open_clip(tmp_path / str(len(asked)), seed=len(asked))
        return model, open_clip.image_transform(32, is_train=False)

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", create)
    first = open_clip.list_pretrained_tags_by_model("ViT-B-32")[0]
    for name, tag, quick in [
        ("ViT-B-32", first, first == "openai"),
        ("ViT-B-32/openai", "openai", True),
        ("ViT-B-32/laion2b_s34b_b79k", "laion2b_s34b_b79k", False),
        ("ViT-B-32//folder/weights.pt", "/folder/weights.pt", False),
    ]:
        samples = Samples.of(photos(), Y, embedding=f"open_clip:{name}")
        assert asked[-1] == ("ViT-B-32", {"pretrained": tag, "force_quick_gelu": quick})
        assert f"(open_clip ViT-B-32/{tag})" in samples.notices[-1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-322", "open_clip has no model 'ViT-B-322' .did you mean 'ViT-B-32'.."),
        ("ViT-B-32/openai", "not on this machine, and the hub cannot be reached"),
        ("ViT-B-32/laion", "cannot load the open_clip model 'ViT-B-32/laion'"),
        ("someone/clip", "not on this machine, and the hub cannot be reached"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch, name, message):
    use_hub(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=message):
        Samples.of(photos(), Y, embedding=f"open_clip:{name}")
