"""Texts as numbers: tf-idf with a truncated SVD, or a sentence-transformers model."""

import re
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.conversion import object_array
from hardsight.errors import InputError, first_line
from hardsight.validation import describe_rows

EMBEDDINGS = ("tfidf", "sentence-transformers:MODEL")

_DIMENSIONS = 128
_MAX_VOCABULARY = 50_000
# With more texts than this, a word must occur in two of them.
_FEW_TEXTS = 50
# Chinese, Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCES = "sentence-transformers:"
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
    texts: np.ndarray, embedding: str = "auto", *, dimensions: int = _DIMENSIONS
) -> tuple[np.ndarray, list[str]]:
    """Return ``(text, feature)`` float32, rows of length one (zero for a text without any known word), and notices.

    Args:
        texts: ``(sample,)`` of str.
        embedding: "tfidf" (also "auto"), or "sentence-transformers:" and a model's name or folder.
        dimensions: the most numbers per text that tf-idf makes.

    Raises:
        InputError: an unknown embedding, a missing package, a model that cannot be loaded, or texts without words.
    """
    check_text_embedding(embedding)
    if embedding in ("auto", "tfidf"):
        return _embed_tfidf(texts, dimensions)
    return _embed_sentences(texts, embedding.removeprefix(_SENTENCES))


def check_text_embedding(embedding: str) -> None:
    """Check the name of an embedding of texts.

    Raises:
        InputError: an unknown embedding.
    """
    names_model = embedding.startswith(_SENTENCES) and embedding != _SENTENCES
    if embedding not in ("auto", "tfidf") and not names_model:
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


def _embed_sentences(texts: np.ndarray, model: str) -> tuple[np.ndarray, list[str]]:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "the package sentence-transformers is missing: pip install 'hardsight[sentence-embeddings]', or use "
            "embedding='tfidf'"
        ) from None
    try:
        network = SentenceTransformer(model)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot load the sentence-transformers model {model!r} ({first_line(error)}): pass its name or folder"
        ) from None
    vectors = network.encode(texts.tolist(), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
    matrix = np.asarray(vectors, dtype=np.float32)
    return matrix, [f"Each text became {matrix.shape[1]} numbers (sentence-transformers {model})."]
