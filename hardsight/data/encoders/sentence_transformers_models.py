"""Texts, and images for models like CLIP, by a model of sentence-transformers; vectors have length one."""

from typing import Any

from hardsight.data.encoders.library import (
    Library,
    LoadedModel,
    ModelOptions,
    describe_saved,
    describe_transform,
    local_folder,
)


def load(sentence_transformers: Any, name: str, options: ModelOptions) -> LoadedModel:
    """Load a model.

    Args:
        sentence_transformers: the package.
        name: of a model on the hub, or its folder.
    """
    import torch

    name = str(local_folder(name) or name)
    model = sentence_transformers.SentenceTransformer(name, device="cpu")

    def encode(items: list[Any]) -> torch.Tensor:
        vectors: torch.Tensor = model.encode(
            items,
            batch_size=len(items),
            prompt=options.prompt,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        return vectors

    # A CLIP model of older versions says nothing of what it reads.
    reads = [kind for kind in ("image", "text") if kind in getattr(model, "modalities", ("text",))]
    settings = f"{describe_transform(model)} {model.prompts} {model.default_prompt_name}"
    preprocessing = f"{settings} {describe_saved(model.tokenizer)}"
    return LoadedModel(name, model, reads, preprocessing, lambda item: item, encode)


LIBRARY = Library("sentence-transformers", "sentence_transformers", "sentence-embeddings", ("image", "text"), load)
