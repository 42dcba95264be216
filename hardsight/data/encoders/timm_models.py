"""Images by a model of timm, without its classifier."""

from typing import Any

from hardsight.data.encoders.convolutions import choose_parts
from hardsight.data.encoders.library import Library, LoadedModel, ModelOptions, describe_transform, local_folder
from hardsight.errors import InputError
from hardsight.validation import suggest_name


def load(timm: Any, name: str, options: ModelOptions) -> LoadedModel:
    """Load a model with its weights.

    Args:
        timm: the package.
        name: of a model in timm, "resnet18.a1_in1k", of a repository on the hub, "timm/resnet18.a1_in1k", or a folder with
            ``config.json`` and weights, as ``timm.models.save_for_hf`` writes it.
    """
    import torch

    model = timm.create_model(_source(timm, name), pretrained=True, num_classes=0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    encode_batch = choose_parts(model, model, options.device)

    def encode(images: list[Any]) -> torch.Tensor:
        return encode_batch(torch.stack(images).to(options.device, options.dtype)).flatten(1)

    return LoadedModel(name, model, ("image",), describe_transform(transform), transform, encode)


def _source(timm: Any, name: str) -> str:
    """Return the name as timm takes it.

    Raises:
        InputError: timm has no such model.
    """
    folder = local_folder(name)
    if folder is not None:
        return f"local-dir:{folder}"
    if ":" in name:
        return name
    if "/" in name:
        return f"hf-hub:{name}"
    if not timm.is_model(name.partition(".")[0]):
        # All names are too many to compare.
        similar = [known for known in timm.list_models() if known[:3] == name[:3]]
        raise InputError(
            f"timm has no model {name!r}{suggest_name(name, similar)}: timm.list_models(pretrained=True) lists those with "
            "weights"
        )
    if not timm.models.is_model_pretrained(name):
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        others = f"pass one of {', '.join(tags)}" if tags else "pass another model, or a folder with weights"
        raise InputError(f"timm has no weights for {name!r}: {others}")
    return name


LIBRARY = Library("timm", "timm", "timm", ("image",), load)
