"""Contextual vectors of words by a pretrained model, with the cache of :class:`hardsight.Encoder`."""

import sys
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from hardsight.data.content import DIGEST_BYTES
from hardsight.data.encoder import Encoder
from hardsight.data.encoders.named import NamedModel
from hardsight.errors import InputError
from hardsight.io.progress import progress_bar


def encode_words(embedding: str | Encoder, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, list[str]]:
    """Return a vector per word, ``(word, feature)`` float32 in the order of the sentences, and notices.

    Args:
        embedding: the name of a model, or an encoder of one.
        sentences: lists of words.

    Raises:
        InputError: a function, or a model that cannot be loaded, does not read words, or returns infinite numbers.
    """
    encoder = Encoder(embedding) if isinstance(embedding, str) else embedding
    model = encoder.function
    if not isinstance(model, NamedModel):
        raise InputError("a function cannot be the embedding of tokens: pass the numbers that it returns, one row per token")
    store = encoder.open_store("token")
    vectors: list[np.ndarray | None] = [None] * len(sentences)
    digests = [_digests(sentence) for sentence in sentences]
    if store is not None:
        for row, own in enumerate(digests):
            from_disk = [each for each in map(store.get, own) if each is not None]
            vectors[row] = np.stack(from_disk) if len(from_disk) == len(own) else None
    # The sentences of a batch are as long as its longest.
    new = sorted((row for row, each in enumerate(vectors) if each is None), key=lambda row: -len(sentences[row]))
    bar = progress_bar(sys.stderr.isatty(), len(new), "encoding sentences", unit="sentences")
    with bar as on_progress:
        for start in range(0, len(new), encoder.batch_size):
            rows = new[start : start + encoder.batch_size]
            batch = model([sentences[row] for row in rows]).numpy()
            if not np.isfinite(batch).all():
                raise InputError(f"embedding {encoder.name} returned a number that is not finite: pass another model")
            ends = np.cumsum([len(sentences[row]) for row in rows])
            for row, values in zip(rows, np.split(batch, ends[:-1]), strict=True):
                vectors[row] = values
                if store is not None:
                    store.add(digests[row], values)
            on_progress(len(rows))
    if store is not None:
        store.save()
    numbers = np.concatenate([each for each in vectors if each is not None]).astype(np.float32, copy=False)
    notices = [f"Each token became {numbers.shape[1]} numbers ({encoder.description})."]
    if empty := int((numbers == 0).all(1).sum()):
        subject = "1 word has" if empty == 1 else f"{empty:,} words have"
        notices.append(f"{subject} no pieces in the vocabulary of the model, and became zeros.")
    if store is not None:
        notices += store.notices
    return numbers, notices


def _digests(sentence: Sequence[str]) -> list[bytes]:
    """Return a digest per word of a sentence, which depends on all words and on its place."""
    whole = blake2b(repr(list(sentence)).encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
    return [blake2b(whole + place.to_bytes(8), digest_size=DIGEST_BYTES).digest() for place in range(len(sentence))]
