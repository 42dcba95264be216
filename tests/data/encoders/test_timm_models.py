"""Images by a model of timm."""

import numpy as np
import pytest
import timm
import torch
from support.tiny_encoders import photos, publish, save_timm, use_hub

from hardsight import Encoder, InputError, Samples

pytestmark = pytest.mark.usefixtures("cache")
Y = np.arange(6) % 2


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_vectors_are_those_of_the_model_with_its_preprocessing(tmp_path, name):
    model = save_timm(tmp_path / "model", name)
    samples = Samples.of(photos(), Y, embedding=f"timm:{tmp_path / 'model'}")
    settings = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.no_grad():
        expected = [
            model.forward_head(model.forward_features(transform(each)[None]), pre_logits=True)[0] for each in photos()
        ]
    np.testing.assert_allclose(samples.matrix, torch.stack(expected), atol=1e-5)
    assert f"Each image became {samples.matrix.shape[1]} numbers (timm {tmp_path / 'model'})." in samples.notices


def test_a_model_is_found_by_its_name(tmp_path, monkeypatch):
    use_hub(monkeypatch, tmp_path / "hub")
    save_timm(tmp_path / "model")
    publish(tmp_path / "hub", "timm/test_resnet.r160_in1k", tmp_path / "model")
    expected = Samples.of(photos(), Y, embedding=f"timm:{tmp_path / 'model'}").matrix
    for name in ("test_resnet", "test_resnet.r160_in1k", "timm/test_resnet.r160_in1k"):
        encoder = Encoder(f"timm:{name}", batch_size=4)
        np.testing.assert_allclose(Samples.of(photos(), Y, embedding=encoder).matrix, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet188", r"timm has no model 'resnet188' .did you mean 'resnet18\w*'.."),
        ("resnet18.a7_in1k", r"has no weights for 'resnet18.a7_in1k': pass one of resnet18.a1_in1k, resnet18.a2_in1k"),
        ("seresnet269d", r"no weights for 'seresnet269d'|no model"),
        ("test_resnet", "not on this machine, and the hub cannot be reached: pass the folder"),
        ("someone/model", "not on this machine, and the hub cannot be reached: pass the folder"),
        ("./absent", "no folder at ./absent"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch, name, message):
    use_hub(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=message):
        Samples.of(photos(), Y, embedding=f"timm:{name}")


def test_a_folder_without_weights_is_one_line(tmp_path):
    save_timm(tmp_path / "model")
    for file in tmp_path.glob("model/*"):
        if file.suffix != ".json":
            file.unlink()
    with pytest.raises(InputError, match="cannot load the timm model"):
        Samples.of(photos(), Y, embedding=f"timm:{tmp_path / 'model'}")
