"""Texts as numbers: tf-idf with a truncated SVD, or by an encoder."""

import re
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.conversion import object_array
from hardsight.data.encoder import Encoder
from hardsight.data.encoders.named import models_of
from hardsight.errors import InputError
from hardsight.validation import describe_rows

EMBEDDINGS = ("tfidf", *models_of("text"))

_DIMENSIONS = 128
_MAX_VOCABULARY = 50_000
# With more texts than this, a word must occur in two of them.
_FEW_TEXTS = 50
# Chinese, Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# What the counted parts of a text are called, and how they are made.
_TOKENS: tuple[tuple[str, dict[str, Any]], ...] = (
    # One digit or letter can be a word: "5 stars".
    ("words and word pairs", {"ngram_range": (1, 2), "token_pattern": r"\b\w+\b"}),
    ("one to three letters", {"analyzer": "char", "ngram_range": (1, 3)}),
)


def check_texts(values: np.ndarray, name: str, ids: np.ndarray | None = None) -> tuple[np.ndarray, list[str]]:
    """Return texts as an object array of str, ``(sample,)``, and notices. Missing texts become empty.

    Args:
        values: ``(sample,)`` of any type.
        ids: ``(sample,)``, for messages.

    Raises:
        InputError: a value that is not text, or only empty texts.
    """
    values = np.asarray(values, dtype=object)
    missing = np.asarray(pd.isna(values), dtype=bool)
    invalid = np.array([not isinstance(value, str) for value in values], dtype=bool) & ~missing
    if invalid.any():
        kind = type(values[int(np.argmax(invalid))]).__name__
        raise InputError(
            f"{name} must be text in every row. Got {invalid.sum()} other {'value' if invalid.sum() == 1 else 'values'}, of "
            f"type {kind} ({describe_rows(invalid)}): convert them to text, or leave these rows out"
        )
    texts = object_array(["" if absent else str(value) for value, absent in zip(values, missing, strict=True)])
    empty = np.array([not text.strip() for text in texts], dtype=bool)
    if len(texts) and empty.all():
        raise InputError(f"{name} is empty in every row: pass texts")
    if not empty.any():
        return texts, []
    subject = "1 text is" if empty.sum() == 1 else f"{empty.sum()} texts are"
    return texts, [f"{subject} {'missing or empty' if missing.any() else 'empty'} ({describe_rows(empty, ids)})."]


def embed_texts(
    texts: np.ndarray, embedding: str | Encoder = "auto", *, dimensions: int = _DIMENSIONS
) -> tuple[np.ndarray, list[str]]:
    """Return ``(text, feature)`` float32 and notices; by tf-idf rows of length one, zero for a text without known words.

    Args:
        texts: ``(sample,)`` of str.
        embedding: "tfidf" (also "auto"), or an encoder.
        dimensions: the most numbers per text that tf-idf makes.

    Raises:
        InputError: an unknown embedding, an encoder that fails, or texts without words.
    """
    if isinstance(embedding, Encoder):
        return embedding.encode(texts.tolist(), "text")
    check_text_embedding(embedding)
    return _embed_tfidf(texts, dimensions)


def check_text_embedding(embedding: str) -> None:
    """Check the name of an embedding of texts.

    Raises:
        InputError: an unknown embedding.
    """
    if embedding not in ("auto", "tfidf"):
        raise InputError(f"embedding for texts must be one of {', '.join(EMBEDDINGS)} or an array. Got {embedding!r}")


def _embed_tfidf(texts: np.ndarray, dimensions: int) -> tuple[np.ndarray, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    # A column of remarks beside other columns is often empty in most rows.
    filled = np.array([bool(text.strip()) for text in texts], dtype=bool)
    options = {
        "sublinear_tf": True,
        "min_df": 2 if filled.sum() > _FEW_TEXTS else 1,
        "max_features": _MAX_VOCABULARY,
        "dtype": np.float32,
    }
    # Languages without spaces rarely repeat what looks like a word: letters come first.
    unspaced = sum(len(_UNSPACED.findall(text)) for text in texts)
    for tokens, settings in _TOKENS[::-1] if 2 * unspaced > sum(map(len, texts)) else _TOKENS:
        try:
            counts = TfidfVectorizer(**options, **settings).fit_transform(texts)
        except ValueError:  # no word occurs often enough
            continue
        if np.mean(np.diff(counts.indptr)[filled] == 0) > 0.5:
            continue
        if counts.shape[1] <= dimensions:
            vectors = counts.toarray()
            method = f"tf-idf of {tokens}"
        else:
            left, values, _ = randomized_svd(counts, min(dimensions, len(texts)), random_state=0)
            vectors, method = left * values, f"tf-idf of {tokens}, reduced by a truncated SVD"
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
        return unit, [f"Each text became {unit.shape[1]} numbers ({method}), fitted once on all texts, without labels."]
    raise InputError("the texts share no words or letters: pass longer texts, or an array of numbers as embedding")
