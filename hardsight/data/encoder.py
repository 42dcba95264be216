"""Encoders: texts and images become numbers, batch by batch, with a cache of what was encoded before."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from hardsight.data.content import DIGEST_BYTES, digest_item
from hardsight.data.conversion import to_numpy
from hardsight.data.encoders.named import NamedModel
from hardsight.errors import HardsightError, InputError, first_line
from hardsight.io.atomic import atomic_write
from hardsight.io.npz import open_npz
from hardsight.io.progress import progress_bar
from hardsight.validation import check_int

# Vectors are saved after so many new items.
_SAVED_AT_ONCE = 256
# Numbers of the same item may differ by this share of their size: half precision rounds.
_MAX_DIFFERENCE = 0.05
_CACHE_VARIABLE = "HARDSIGHT_CACHE"


class Encoder:
    """A pretrained model or a function that turns images or texts into numbers, as ``embedding=`` takes it, with options.

    ``embedding="timm:resnet18"`` stands for ``embedding=Encoder("timm:resnet18")``, and ``embedding=function`` for
    ``embedding=Encoder(function)``.

    Args:
        model: a name, "timm:NAME", "open_clip:NAME" or "open_clip:NAME/PRETRAINED" (images), "transformers:NAME" or
            "sentence-transformers:NAME" (images or texts, as the model reads), where NAME is known to the library, or a
            folder with a saved model; the model's own preprocessing is part of it. Or a function. It gets a list of Pillow
            images (RGB, in their own sizes, upright) or of strings, and returns an array or tensor ``(item, feature)``. The
            model's own preprocessing belongs in it. Every call gets ``batch_size`` items; the last one is filled up with
            copies, so that a vector does not depend on how many items there are. The first item is encoded once more, in a
            batch of copies; if its numbers differ, a notice says so.
        batch_size: items per call.
        key: for a function, names the model with its weights and the preprocessing, such as "vit_small_patch16_224 augreg
            224". With a key, vectors are kept in a cache on disk, by key and content: a second run, or one that was killed,
            does not encode them again. Change it with the function. None: nothing is kept. Models by name need none: their
            key is a digest of weights, preprocessing and options.
        cache: the folder of the cache; by default the environment variable ``HARDSIGHT_CACHE``, else ``hardsight`` in the
            user's cache folder. If it cannot be written, a model by name keeps nothing, and a notice says so.
        device: of a model by name: "auto" (CUDA, else MPS, else CPU), or a device of torch.
        dtype: of a model by name: "float32", "float16" or "bfloat16". Numbers come out as float32.
        workers: threads that prepare images for a model by name; by default one for each core, eight at most.
        prompt: stands before every text for a model by name, such as "query: "; by default what the model itself asks for.

    Raises:
        InputError: an argument of a wrong kind, or an option of models by name beside a function.

    Attributes:
        min_numbers: images of no more numbers are not encoded, because their pixels serve as they are.
    """

    min_numbers = 0

    def __init__(
        self,
        model: str | Callable[[list[Any]], Any],
        *,
        batch_size: int = 32,
        key: str | None = None,
        cache: str | Path | None = None,
        device: str = "auto",
        dtype: str = "float32",
        workers: int | None = None,
        prompt: str | None = None,
    ) -> None:
        if key is not None and not isinstance(key, str):
            raise InputError(f"key must be a text that names model and preprocessing. Got {type(key).__name__}")
        self.function: Callable[[list[Any]], Any]
        if isinstance(model, str):
            if key is not None:
                raise InputError(f"key is for functions, and {model!r} has one of its own: leave it out")
            self.function = NamedModel(model, device=device, dtype=dtype, workers=workers, prompt=prompt)
        else:
            _check_function(model, device=device, dtype=dtype, workers=workers, prompt=prompt)
            if cache is not None and key is None:
                raise InputError("cache needs a key, which names model and preprocessing: pass key=…")
            self.function = model
        self.batch_size, self.key, self.cache = check_int("batch_size", batch_size, 1), key, cache
        self._needs_cache = key is not None or cache is not None
        self.name = str(getattr(self.function, "__name__", type(self.function).__name__))

    @property
    def description(self) -> str:
        """What makes the numbers, for notices."""
        return self.function.description if isinstance(self.function, NamedModel) else f"by {self.name}"

    def start(self, n_items: int, noun: str) -> "Encoding":
        """Return an encoding to which items are added one by one.

        Args:
            n_items: number of items at most.
            noun: what an item is called, "image" or "text".

        Raises:
            InputError: the model cannot be loaded, or does not read such items.
        """
        return Encoding(self, n_items, noun, self.open_store(noun))

    def open_store(self, noun: str) -> "VectorStore | None":
        """Load a model by name, and return the vectors on disk; None without a key.

        Args:
            noun: what is encoded, "image", "text" or "token".

        Raises:
            InputError: the model cannot be loaded, or does not read such items.
        """
        if isinstance(self.function, NamedModel):
            self.function.load(noun)
            self.key = self.function.key
        if self.key is None:
            return None
        return VectorStore(Path(self.cache) if self.cache else _default_cache(), self.key, required=self._needs_cache)

    def encode(self, items: Sequence[Any], noun: str) -> tuple[np.ndarray, list[str]]:
        """Encode items in memory; return ``(item, feature)`` float32 and notices.

        Args:
            items: images or strings.
            noun: what an item is called, "image" or "text".

        Raises:
            InputError: the function fails, or does not return finite numbers for every item.
        """
        rows: Sequence[int] = range(len(items))
        if noun == "text" and isinstance(self.function, NamedModel):
            # The texts of a batch are as long as its longest.
            rows = sorted(rows, key=lambda row: -len(items[row]))
        with self.start(len(items), noun) as encoding:
            for row in rows:
                encoding.add(row, f"row {row}", items[row])
            return encoding.finish()


class Encoding:
    """Vectors of items that are added one by one, so that only a batch of them is in memory."""

    def __init__(self, encoder: Encoder, n_items: int, noun: str, store: "VectorStore | None") -> None:
        self._encoder, self._noun, self._store = encoder, noun, store
        self._n_items = n_items
        self._vectors: np.ndarray | None = None
        self._rows: list[int] = []
        self._pending: list[tuple[int, str, bytes, Any]] = []
        self._checked = False
        self._notices: list[str] = []
        self._exit = ExitStack()
        self._on_progress: Callable[[float], None] = lambda _: None

    def __enter__(self) -> "Encoding":
        """Show the progress, if stderr is a terminal."""
        bar = progress_bar(sys.stderr.isatty(), self._n_items, f"encoding {self._noun}s", unit=f"{self._noun}s")
        self._on_progress = self._exit.enter_context(bar)
        return self

    def __exit__(self, *error: object) -> None:
        """End the progress bar, and save what is new in the cache, also after an error."""
        self._exit.close()
        if self._store is not None:
            self._store.save()

    @property
    def keeps_vectors(self) -> bool:
        """Whether vectors are kept in a cache, so that items need a digest."""
        return self._store is not None

    def add(self, row: int, name: str, item: Any, digest: bytes = b"") -> None:
        """Add an item.

        Args:
            row: its row in the result.
            name: what messages call it.
            item: an image or a text.
            digest: of its content, if the caller has one; else it is computed here.
        """
        if self._store is not None:
            digest = digest or digest_item(item)
            known = self._store.get(digest)
            if known is not None:
                self._keep([row], known[None])
                return
        self._pending.append((row, name, digest, item))
        if len(self._pending) == self._encoder.batch_size:
            self._encode_pending()

    def finish(self) -> tuple[np.ndarray, list[str]]:
        """Return the vectors of the items in the order of their rows, and notices."""
        if self._pending:
            self._encode_pending()
        if self._store is not None:
            self._store.save()
            self._notices += self._store.notices
        if self._vectors is None:
            raise InputError(f"there is no {self._noun} to encode")
        complete = len(self._rows) == self._n_items
        vectors = self._vectors if complete else self._vectors[np.sort(self._rows)]
        about = f"Each {self._noun} became {vectors.shape[1]} numbers ({self._encoder.description})."
        return vectors, [about, *self._notices]

    def _encode_pending(self) -> None:
        rows, names, digests, items = zip(*self._pending, strict=True)
        self._pending = []
        vectors = self._call(list(items), names[0])
        if not self._checked:
            self._checked = True
            self._check_alone(items[0], names[0], vectors[0])
        self._keep(list(rows), vectors)
        if self._store is not None:
            self._store.add(digests, vectors)

    def _check_alone(self, item: Any, name: str, vector: np.ndarray) -> None:
        """Compare the vector of an item with those that it gets in a batch of its copies."""
        again = self._call([item] * self._encoder.batch_size, name)
        allowed = _MAX_DIFFERENCE * (np.abs(vector) + np.abs(vector).mean())
        if (np.abs(again - vector) > allowed).any():
            self._notices.append(
                f"embedding {self._encoder.name} returns other numbers for the same {self._noun} in another batch: call "
                "model.eval(), and use no random augmentation and no statistics of the batch."
            )

    def _call(self, items: list[Any], first: str) -> np.ndarray:
        count, size = len(items), self._encoder.batch_size
        where, first = f"embedding {self._encoder.name}", first.removeprefix("in ")
        try:
            returned = self._encoder.function(items + [items[-1]] * (size - count))
            vectors = _to_array(returned)
        except HardsightError:
            raise
        except Exception as error:  # a function of the user may raise anything
            raise InputError(
                f"{where} failed on a batch of {size} {self._noun}s from {first} on ({type(error).__name__}: "
                f"{first_line(error)}): it gets a list of {'Pillow images' if self._noun == 'image' else 'strings'}"
            ) from error
        widths = vectors.shape[1:] if self._vectors is None else self._vectors.shape[1:]
        if vectors.ndim != 2 or not vectors.size or vectors.shape != (size, *widths):
            raise InputError(
                f"{where} must return one vector for each of {size} {self._noun}s, all of one length. It returned shape "
                f"{vectors.shape}"
            )
        if not np.isfinite(vectors).all():
            raise InputError(f"{where} returned a number that is not finite, in the batch from {first} on: fix it")
        return vectors[:count]

    def _keep(self, rows: list[int], vectors: np.ndarray) -> None:
        if self._vectors is None:
            self._vectors = np.empty((self._n_items, vectors.shape[1]), dtype=np.float32)
        if vectors.shape[1] != self._vectors.shape[1]:
            raise InputError(
                f"the cache of embedding {self._encoder.name} holds vectors of another length under the key "
                f"{self._encoder.key!r}: pass another key"
            )
        self._vectors[rows] = vectors
        self._rows += rows
        self._on_progress(len(rows))


class VectorStore:
    """Vectors on disk by the digest of their item, in files that are written whole.

    Args:
        folder: of all keys.
        key: of the encoder; it has a folder of its own.
        required: whether a folder that cannot be written is an error; otherwise nothing is kept.

    Attributes:
        notices: why nothing is kept.
    """

    def __init__(self, folder: Path, key: str, *, required: bool) -> None:
        self._required = required
        self.notices: list[str] = []
        self._folder = folder / "embeddings" / blake2b(key.encode(), digest_size=DIGEST_BYTES).hexdigest()
        self._known: dict[bytes, np.ndarray] = {}
        self._new: list[tuple[bytes, np.ndarray]] = []
        for file in sorted(self._folder.glob("*.npz")):
            self._read(file)

    def get(self, digest: bytes) -> np.ndarray | None:
        """Return the vector of an item; None if it is not on disk."""
        return self._known.get(digest)

    def add(self, digests: Sequence[bytes], vectors: np.ndarray) -> None:
        """Add the vectors of some items, which are written a few hundred at a time."""
        self._new += zip(digests, vectors, strict=True)
        if len(self._new) >= _SAVED_AT_ONCE:
            self.save()

    def save(self) -> None:
        """Write what is new.

        Raises:
            InputError: the folder cannot be written, and is required.
        """
        if not self._new or self.notices:
            return
        digests, vectors = np.frombuffer(b"".join(d for d, _ in self._new), np.uint8), np.stack([v for _, v in self._new])
        name = blake2b(digests.tobytes(), digest_size=DIGEST_BYTES).hexdigest()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, digests=digests, vectors=vectors)
        except OSError as error:
            cause = (
                f"the cache {self._folder} cannot be written ({error.strerror or error}): set {_CACHE_VARIABLE} to another "
                "folder"
            )
            if self._required:
                raise InputError(cause) from None
            self.notices.append(f"Vectors are not kept: {cause}.")
        self._new = []

    def _read(self, file: Path) -> None:
        """Read one file; one that is damaged is encoded again."""
        try:
            with open_npz(file) as archive:
                digests, vectors = archive.read("digests").reshape(-1, DIGEST_BYTES), archive.read("vectors")
        except (InputError, FileNotFoundError):
            return
        if vectors.ndim == 2 and vectors.dtype == np.float32 and len(vectors) == len(digests):
            self._known |= {digest.tobytes(): vector for digest, vector in zip(digests, vectors, strict=True)}


def _check_function(model: Any, **options: Any) -> None:
    """Refuse what is no function, and options that a function does not read."""
    if not callable(model):
        raise InputError(
            "model must be a name, such as 'timm:resnet18', or a function of a list of images or texts. Got "
            f"{type(model).__name__}"
        )
    defaults = {"device": "auto", "dtype": "float32", "workers": None, "prompt": None}
    if changed := [name for name, value in options.items() if value != defaults[name]]:
        raise InputError(f"{', '.join(changed)} cannot be set for a function: set it inside the function, and leave it out")


def _to_array(returned: Any) -> np.ndarray:
    """Return what a function returned, an array, tensor, sparse matrix or iterable of vectors, as float32."""
    if isinstance(returned, Iterable) and not hasattr(returned, "shape") and not isinstance(returned, Mapping):
        returned = [to_numpy(vector) for vector in returned]
    dense = returned.toarray() if hasattr(returned, "toarray") else to_numpy(returned)
    return np.asarray(dense, dtype=np.float32)


def _default_cache() -> Path:
    place = os.environ.get(_CACHE_VARIABLE)
    if place:
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hardsight"
