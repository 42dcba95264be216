"""What a library of pretrained models is: how a model of it is loaded, and what it reads."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardsight.errors import InputError, first_line

if TYPE_CHECKING:
    import torch

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class ModelOptions(NamedTuple):
    """How a model is run.

    Attributes:
        device: of torch, such as "cuda:1".
        dtype: of weights and inputs.
        prompt: stands before every text; None: what the model itself asks for.
        per_word: whether an item is a list of words, each of which becomes a vector, and not a text that becomes one.
    """

    device: "torch.device"
    dtype: "torch.dtype"
    prompt: str | None
    per_word: bool = False


class LoadedModel(NamedTuple):
    """A model with its preprocessing.

    Attributes:
        name: what was loaded, with what was chosen where the name left it open.
        module: the torch module, on the CPU.
        reads: "image" and "text", or one of them, or "token".
        preprocessing: a text that changes with the preprocessing.
        prepare: converts an image (RGB) or a text to an input of ``encode``; is called in several threads.
        encode: converts inputs to vectors ``(item, feature)``, on any device; of tokens, to those of all words of all items.
        random_weights: names in the module of weights that are not from the file, and that the vectors do not depend on.
    """

    name: str
    module: "torch.nn.Module"
    reads: Sequence[str]
    preprocessing: str
    prepare: Callable[[Any], Any]
    encode: Callable[[list[Any]], "torch.Tensor"]
    random_weights: frozenset[str] = frozenset()


class Library(NamedTuple):
    """A library of pretrained models.

    Attributes:
        name: before the colon in ``embedding=``.
        package: that is imported.
        extra: of hardsight, which installs the package.
        reads: what models of this library can read, "image", "text" or "token".
        load: loads a model, from the imported package, by its name or folder.
    """

    name: str
    package: str
    extra: str
    reads: tuple[str, ...]
    load: Callable[[Any, str, ModelOptions], LoadedModel]

    def import_package(self) -> Any:
        """Import the package.

        Raises:
            InputError: it is missing, or does not fit the other packages.
        """
        try:
            return import_module(self.package)
        except ModuleNotFoundError as error:
            missing = (error.name or self.package).partition(".")[0]
            needed = self.name if missing == self.package else f"{missing}, which {self.name} needs,"
            raise InputError(f"the package {needed} is missing: pip install 'hardsight[{self.extra}]'") from None
        except Exception as error:
            raise InputError(
                f"the package {self.name} cannot be imported ({first_line(error)}): reinstall it with what it depends on; "
                "torchvision must be of the same build as torch"
            ) from error


def local_folder(name: str) -> Path | None:
    """Return the folder that the name of a model stands for; None if it is a name.

    Raises:
        InputError: it is written as a path, and there is no such folder.
    """
    place = Path(name).expanduser()
    if place.is_dir():
        return place
    if name.startswith((".", "~")) or place.is_absolute():
        raise InputError(f"no folder at {name} for the embedding: pass a model's name, or the folder that it was saved in")
    return None


def describe_saved(*parts: Any) -> str:
    """Return a digest of what tokenizers and image processors write with ``save_pretrained``."""
    digest = blake2b(digest_size=16)
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            part.save_pretrained(folder)
            for file in sorted(Path(folder).rglob("*.*")):
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def describe_transform(transform: Any) -> str:
    """Return the representation of a transform, without addresses in memory."""
    return _ADDRESS.sub("", repr(transform))


def hash_weights(weights: Mapping[str, Any], without: frozenset[str]) -> str:
    """Return a digest of the weights of a module.

    Args:
        weights: tensors by name.
        without: names of tensors that do not count.
    """
    import torch

    digest = blake2b(digest_size=16)
    for name, tensor in sorted(weights.items()):
        if name not in without and isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
