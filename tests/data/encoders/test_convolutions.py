"""Convolutional networks on a CPU: parts of batches and folded normalisations change no number."""

import numpy as np
import pytest
import torch
from support.tiny_encoders import photos, save_open_clip, save_timm, save_transformers_resnet, save_vit

from hardsight import Encoder, Samples
from hardsight.data.encoders import convolutions

Y = np.arange(6) % 2


class Blocks(torch.nn.Module):
    """Convolutions with normalisations, nested, with and without bias."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4)
        self.block = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=4), torch.nn.BatchNorm2d(4), torch.nn.ReLU6())

    def forward(self, images):
        return self.block(self.norm(self.stem(images))).mean((2, 3))


def test_folded_normalisations_change_no_number():
    torch.manual_seed(0)
    network, images = Blocks(), torch.rand(5, 3, 12, 12)
    for _ in range(3):
        network(images + 1)
    network.eval()
    expected = network(images)
    convolutions.fold_batch_norm(network)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("count", "parts"), [(32, [4] * 8), (6, [3, 3]), (7, [1] * 7), (1, [1])])
def test_a_batch_is_encoded_in_small_parts_of_one_size(count, parts):
    sizes = []
    images = torch.rand(count, 3, 5, 5)
    vectors = convolutions.encode_parts(lambda part: sizes.append(len(part)) or part.flatten(1), images)
    assert sizes == parts
    torch.testing.assert_close(vectors, images.flatten(1))


@pytest.mark.parametrize(
    ("library", "save", "expected"),
    [
        ("timm", save_timm, 4),
        ("timm", lambda folder: save_timm(folder, "test_vit"), 8),
        ("open_clip", lambda folder: save_open_clip(folder, layers=[1] * 4), 4),
        ("open_clip", save_open_clip, 8),
        ("transformers", save_transformers_resnet, 4),
        ("transformers", save_vit, 8),
    ],
)
def test_convolutional_models_of_all_libraries_get_small_parts(tmp_path, cache, monkeypatch, library, save, expected):
    sizes, forward = [], torch.nn.Conv2d.forward
    save(tmp_path / "model")
    name = f"{library}:{tmp_path / 'model'}"
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Conv2d, "forward", lambda self, images: sizes.append(len(images)) or forward(self, images))
        vectors = Samples.of(photos(), Y, embedding=Encoder(name, batch_size=8, cache=cache / "parts")).matrix
    assert set(sizes) == {expected}
    monkeypatch.setattr(convolutions, "is_convolutional", lambda _: False)
    whole = Samples.of(photos(), Y, embedding=Encoder(name, batch_size=8, cache=cache / "whole")).matrix
    np.testing.assert_allclose(vectors, whole, rtol=1e-4, atol=1e-5)
