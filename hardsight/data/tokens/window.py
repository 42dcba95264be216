"""What a token looks like, for learners: its word, letters and neighbours as a sparse matrix. Tags are not read."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from scipy import sparse

# Longest beginnings and endings of words that are features.
_AFFIX = 4
# Weights of what surrounds a token, against its own word: one and two places away.
_NEAR, _FAR = 0.7, 0.4
# Features of fewer tokens say nothing about others.
_MIN_TOKENS = 2


def window_features(words: np.ndarray, sentence: np.ndarray) -> "sparse.csr_array":
    """Return features of every token, ``(token, feature)`` float32.

    They are its word, in lower case and as written, the beginnings and endings of the word up to four letters, its shape
    ("Xx-dd"), the words one and two places away with the endings and shapes of the nearest, and whether the token begins or
    ends its sentence. Each kind of feature has length one, times the weight of its place.

    Args:
        words: ``(token,)`` str, in the order of the text.
        sentence: code of each token's sentence, ``(token,)``; tokens of a sentence are adjacent.
    """
    from scipy import sparse

    codes, kinds = pd.factorize(words)
    texts = [str(kind) for kind in kinds]
    own = _of_types([_describe_word(text) for text in texts])
    near = _of_types([_describe_neighbour(text) for text in texts])
    far = _of_types([[text.lower()] for text in texts])
    blocks = [own[codes]]
    for offset, table, weight in ((-1, near, _NEAR), (1, near, _NEAR), (-2, far, _FAR), (2, far, _FAR)):
        blocks.append(shift_rows(table[codes], sentence, offset) * np.float32(weight))
    first = np.concatenate([[True], sentence[1:] != sentence[:-1]])
    last = np.concatenate([first[1:], [True]])
    blocks.append(sparse.csr_array(np.stack([first, last], axis=1).astype(np.float32) * np.float32(_NEAR)))
    matrix = sparse.csr_array(sparse.hstack(blocks, format="csr"))
    frequent = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]) >= _MIN_TOKENS)
    features = sparse.csr_array(matrix[:, frequent], dtype=np.float32)
    # Estimators of scikit-learn read 32-bit indices alone.
    features.indices, features.indptr = features.indices.astype(np.int32), features.indptr.astype(np.int32)
    return features


def word_shape(word: str) -> str:
    """Return a word with its letters and digits as classes, runs of more than two shortened.

    >>> [word_shape(word) for word in ("Paris", "U.S.", "1,250", "e-mail")]
    ['Xxx', 'X.X.', 'd,dd', 'x-xx']
    """
    shape: list[str] = []
    for letter in word:
        kind = "d" if letter.isdigit() else "X" if letter.isupper() else "x" if letter.isalpha() else letter
        if shape[-2:] != [kind, kind]:
            shape.append(kind)
    return "".join(shape)


def _describe_word(word: str) -> list[str]:
    lower = word.lower()
    affixes = [f"{side}{n}:{part}" for n in range(1, _AFFIX + 1) for side, part in (("<", lower[:n]), (">", lower[-n:]))]
    return [f"w:{lower}", f"W:{word}", f"s:{word_shape(word)}", *affixes]


def _describe_neighbour(word: str) -> list[str]:
    lower = word.lower()
    return [f"w:{lower}", f"s:{word_shape(word)}", f">3:{lower[-3:]}"]


def _of_types(descriptions: list[list[str]]) -> "sparse.csr_array":
    """Return a row of length one per word, with a column per feature, ``(word, feature)``."""
    from scipy import sparse

    lengths = np.array([len(names) for names in descriptions])
    columns, names = pd.factorize(np.array([name for row in descriptions for name in row], dtype=object))
    values = np.repeat(1 / np.sqrt(lengths), lengths).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((values, columns, starts), shape=(len(descriptions), len(names)))


def shift_rows(rows: "sparse.csr_array", sentence: np.ndarray, offset: int) -> "sparse.csr_array":
    """Return for each token the row of the token ``offset`` places away; zero beyond the sentence, ``(token, column)``."""
    from scipy import sparse

    at = np.arange(len(sentence)) + offset
    inside = (at >= 0) & (at < len(sentence))
    at = np.clip(at, 0, len(sentence) - 1)
    inside &= sentence[at] == sentence
    return sparse.csr_array(sparse.diags_array(inside.astype(np.float32)) @ rows[at])
