"""Texts as numbers: tf-idf with a truncated SVD, or a sentence-transformers model."""

import re
from typing import Any

import numpy as np

from hardsight.errors import InputError, first_line
from hardsight.validation import describe_rows

KNOWN = ("tfidf", "sentence-transformers:MODEL")

_DIMENSIONS = 128
_VOCABULARY = 50_000
_RARE = 50
# Chinese, Japanese, Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCES = "sentence-transformers:"


def check_texts(values: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Texts as an object array of str, ``(sample,)``, and notices. ``values`` is ``(sample,)`` of any type.

    Raises:
        InputError: a missing value or one that is not text, or nothing but empty texts.
    """
    odd = np.array([not isinstance(value, str) for value in values], dtype=bool)
    if odd.any():
        got = type(values[int(np.argmax(odd))]).__name__
        raise InputError(
            f"{name} must be text in every row. Got {odd.sum()} that are missing or not text, as {got} ({describe_rows(odd)}): "
            "leave those rows out or write their text"
        )
    texts = np.empty(len(values), dtype=object)
    texts[:] = [str(value) for value in values]
    empty = np.array([not text.strip() for text in texts], dtype=bool)
    if len(texts) and empty.all():
        raise InputError(f"{name} is empty in every row: give texts")
    return texts, [f"{empty.sum()} texts are empty ({describe_rows(empty)})."] if empty.any() else []


def embed(texts: np.ndarray, embedding: str = "auto") -> tuple[np.ndarray, list[str]]:
    """Numbers for texts, rows of length one (zero for a text without any known word).

    Args:
        texts: ``(sample,)`` of str.
        embedding: "tfidf" (also "auto"), or "sentence-transformers:" and a model's name or folder.

    Returns:
        ``(sample, feature)`` float32, and notices.

    Raises:
        InputError: an unknown embedding, a missing package, a model that cannot be loaded, or texts without words.
    """
    if embedding in ("auto", "tfidf"):
        return _tfidf(texts)
    if embedding.startswith(_SENTENCES) and embedding != _SENTENCES:
        return _sentences(texts, embedding.removeprefix(_SENTENCES))
    raise InputError(f"embedding for texts must be one of {', '.join(KNOWN)} or an array. Got {embedding!r}")


def _tfidf(texts: np.ndarray) -> tuple[np.ndarray, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    limits = {
        "sublinear_tf": True,
        "min_df": 2 if len(texts) > _RARE else 1,
        "max_features": _VOCABULARY,
        "dtype": np.float32,
    }
    ways: list[tuple[str, dict[str, Any]]] = [
        # One digit or letter can be a word: "5 stars".
        ("words and word pairs", {"ngram_range": (1, 2), "token_pattern": r"\b\w+\b"}),
        ("one to three letters", {"analyzer": "char", "ngram_range": (1, 3)}),
    ]
    # Languages that write no spaces have hardly a word twice: they are read by letters.
    unspaced = sum(len(_UNSPACED.findall(text)) for text in texts)
    for parts, way in ways[::-1] if 2 * unspaced > sum(map(len, texts)) else ways:
        try:
            counts = TfidfVectorizer(**limits, **way).fit_transform(texts)
        except ValueError:  # no word occurs often enough
            continue
        if np.mean(np.diff(counts.indptr) == 0) > 0.5:
            continue
        if counts.shape[1] <= _DIMENSIONS:
            dense = counts.toarray()
            how = f"tf-idf of {parts}"
        else:
            left, values, _ = randomized_svd(counts, min(_DIMENSIONS, len(texts)), random_state=0)
            dense, how = left * values, f"tf-idf of {parts}, reduced by a truncated SVD"
        length = np.linalg.norm(dense, axis=1, keepdims=True)
        unit = (dense / np.where(length > 0, length, 1)).astype(np.float32)
        notice = f"Texts became {unit.shape[1]} numbers each ({how}), fitted once on all texts, without labels."
        return unit, [notice]
    raise InputError("the texts share no words or letters: give longer texts, or an array of numbers as embedding")


def _sentences(texts: np.ndarray, model: str) -> tuple[np.ndarray, list[str]]:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "the package sentence-transformers is missing: pip install 'hardsight[sentence-embeddings]', or use "
            "embedding='tfidf'"
        ) from None
    try:
        network = SentenceTransformer(model)
    except (OSError, ValueError, RuntimeError) as fault:
        raise InputError(
            f"cannot load the sentence-transformers model {model!r} ({first_line(fault)}): give its name or folder"
        ) from None
    vectors = network.encode(texts.tolist(), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
    matrix = np.asarray(vectors, dtype=np.float32)
    return matrix, [f"Texts became {matrix.shape[1]} numbers each (sentence-transformers {model})."]
