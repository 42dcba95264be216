"""Encoders by name: ``"timm:resnet18"`` and the like."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from hardsight.data import encoders
from hardsight.data.encoders.library import Library, LoadedModel, ModelOptions, hash_weights
from hardsight.data.item_reading import fixed_random_state
from hardsight.errors import HardsightError, InputError, first_line
from hardsight.validation import check_choice, check_int, suggest_name

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")
# What the hub's client raises without a network, under what the libraries make of it.
_NO_NETWORK = {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectTimeout", "gaierror"}
_NO_MODEL = {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}
_MAX_WORKERS = 8


def _find_libraries() -> Iterator[Library]:
    for info in iter_modules(encoders.__path__):
        if info.name.endswith("_models"):
            library: Library = import_module(f"{encoders.__name__}.{info.name}").LIBRARY
            yield library


LIBRARIES: dict[str, Library] = {library.name: library for library in _find_libraries()}


def names_model(embedding: Any) -> bool:
    """Return whether an embedding is the name of a library with a colon after it.

    >>> names_model("timm:resnet18"), names_model("pixels:32")
    (True, False)
    """
    return isinstance(embedding, str) and ":" in embedding and embedding.partition(":")[0] in LIBRARIES


def models_of(noun: str) -> list[str]:
    """Return the libraries with models that read images or texts, as ``embedding=`` takes them.

    >>> models_of("text")
    ['sentence-transformers:NAME', 'transformers:NAME']
    """
    return [f"{library.name}:NAME" for library in LIBRARIES.values() if noun in library.reads]


class NamedModel:
    """A pretrained model by name, which is loaded when the first item is encoded.

    Args:
        name: "LIBRARY:NAME", where NAME is one that the library knows, or a folder.
        device: "auto" (CUDA, else MPS, else CPU), or a device of torch.
        dtype: one of ``DTYPES``.
        workers: threads that prepare images; None: one for each core, eight at most.
        prompt: stands before every text.

    Raises:
        InputError: an unknown library, device or dtype.
    """

    def __init__(self, name: str, *, device: str, dtype: str, workers: int | None, prompt: str | None) -> None:
        library, _, model = name.partition(":")
        if library not in LIBRARIES or not model:
            known = ", ".join(f"{each}:NAME" for each in LIBRARIES)
            raise InputError(f"the name of a model must be one of {known}. Got {name!r}{suggest_name(library, LIBRARIES)}")
        if prompt is not None and not isinstance(prompt, str):
            raise InputError(f"prompt must be a text. Got {type(prompt).__name__}")
        self.__name__ = name
        self.library, self._model_name = LIBRARIES[library], model
        self._device = device
        self._dtype = check_choice("dtype", dtype, DTYPES)
        self._workers = _usable_cores() if workers is None else check_int("workers", workers, 1)
        self._prompt = prompt
        self._loaded: LoadedModel | None = None
        self.key = ""

    @property
    def description(self) -> str:
        """What makes the numbers, for notices; with what was chosen once it is loaded."""
        return f"{self.library.name} {self._model_name if self._loaded is None else self._loaded.name}"

    def load(self, noun: str) -> None:
        """Load the model, unless that is done, and set the key, which depends on its weights and its preprocessing.

        Args:
            noun: what it is to encode, "image", "text" or "token".

        Raises:
            InputError: its package is missing, it cannot be loaded, or it does not read such items.
        """
        self._check_reads(noun, self.library.reads)
        if noun != "text" and self._prompt is not None:
            raise InputError(f"prompt is for texts, and embedding {self.__name__} gets {noun}s: leave it out")
        if self._loaded is None or (noun == "token") != ("token" in self._loaded.reads):
            self._loaded = self._load(per_word=noun == "token")
        self._check_reads(noun, self._loaded.reads)

    def _check_reads(self, noun: str, reads: Any) -> None:
        if noun not in reads:
            can = " and ".join(f"{each}s" for each in reads) or "neither images nor texts"
            raise InputError(f"embedding {self.__name__} reads {can}, and these samples are {noun}s: pass another model")

    def _load(self, *, per_word: bool) -> LoadedModel:
        import torch

        package = self.library.import_package()
        options = ModelOptions(find_device(self._device), getattr(torch, self._dtype), self._prompt, per_word)
        try:
            # Weights that are not in the file are random numbers.
            with fixed_random_state():
                loaded = self.library.load(package, self._model_name, options)
        except HardsightError:
            raise
        except Exception as error:  # the libraries raise many things for a name or a file that is wrong
            raise InputError(self._explain(error)) from error
        weights = hash_weights(loaded.module.state_dict(), loaded.random_weights)
        self.key = "\n".join((self.library.name, weights, loaded.preprocessing, self._dtype, self._prompt or ""))
        loaded.module.to(options.device, options.dtype).requires_grad_(False).eval()
        return loaded

    def _explain(self, error: BaseException) -> str:
        names = {type(each).__name__ for each in _chain(error)}
        subject = f"cannot load the {self.library.name} model {self._model_name!r}"
        if names & _NO_NETWORK:
            return (
                f"{subject}: it is not on this machine, and the hub cannot be reached: pass the folder of a saved model, "
                f"embedding='{self.library.name}:FOLDER', or download it first"
            )
        if names & _NO_MODEL:
            return f"{subject}: the hub has no such model, or it needs a login: pass its full name, or a folder"
        return f"{subject} ({first_line(error)}): pass its name or folder"

    def __call__(self, items: list[Any]) -> Any:
        """Return the vectors of images or texts, ``(item, feature)``, on the CPU; of lists of words, those of all words."""
        import torch

        if self._loaded is None:
            raise RuntimeError("call load first")
        with ThreadPoolExecutor(self._workers) as pool:
            prepared = list(pool.map(self._loaded.prepare, items))
        with torch.inference_mode():
            return self._loaded.encode(prepared).float().cpu()


def find_device(name: str) -> "torch.device":
    """Return a device of torch; for "auto" the first of CUDA, MPS and CPU that is there.

    Raises:
        InputError: there is no such device.
    """
    import torch

    if name == "auto":
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return torch.device(next((kind for kind, available in kinds.items() if available), "cpu"))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device must be 'auto' or one that torch finds here. Got {name!r} ({first_line(error)})") from None
    return device


def _usable_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_WORKERS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
