"""Images by the image tower of a CLIP model of open_clip."""

from typing import Any

from hardsight.data.encoders.convolutions import choose_parts
from hardsight.data.encoders.library import Library, LoadedModel, ModelOptions, describe_transform, local_folder
from hardsight.errors import InputError
from hardsight.validation import suggest_name


def load(open_clip: Any, name: str, options: ModelOptions) -> LoadedModel:
    """Load a model with its weights.

    Args:
        open_clip: the package.
        name: "NAME" or "NAME/PRETRAINED" as open_clip lists them, "ViT-B-32/laion2b_s34b_b79k", a repository on the hub,
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", or a folder with ``open_clip_config.json`` and weights.
    """
    import torch

    source, pretrained = _source(open_clip, name)
    known = open_clip.get_pretrained_cfg(source, pretrained) if pretrained else {}
    # The weights of some models were trained with another activation than their architecture has by default.
    model, transform = open_clip.create_model_from_pretrained(
        source, pretrained=pretrained, force_quick_gelu=bool(known.get("quick_gelu"))
    )
    encode_batch = choose_parts(model.encode_image, model.visual, options.device)

    def encode(images: list[Any]) -> torch.Tensor:
        return encode_batch(torch.stack(images).to(options.device, options.dtype))

    title = f"{source}/{pretrained}" if pretrained else name
    return LoadedModel(title, model, ("image",), describe_transform(transform), transform, encode)


def _source(open_clip: Any, name: str) -> tuple[str, str | None]:
    """Return the model and the weights as open_clip takes them.

    Raises:
        InputError: open_clip has no such model, or no such weights of it.
    """
    folder = local_folder(name)
    if folder is not None:
        return f"local-dir:{folder}", None
    if ":" in name:
        return name, None
    model, _, pretrained = name.partition("/")
    if model not in open_clip.list_models():
        if pretrained:
            return f"hf-hub:{name}", None
        raise InputError(
            f"open_clip has no model {model!r}{suggest_name(model, open_clip.list_models())}: open_clip.list_pretrained() "
            "lists them"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained:
        return model, pretrained
    if not tags:
        raise InputError(f"open_clip has no weights for {model!r}: pass 'open_clip:{model}/FILE', a file of weights")
    return model, tags[0]


LIBRARY = Library("open_clip", "open_clip", "open-clip", ("image",), load)
