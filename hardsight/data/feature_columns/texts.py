"""Texts beside other features: sentences, and short texts that share words, such as titles and names."""

import re
from collections import Counter

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn

# Sentences have at least this many words, or letters, on average.
_MIN_WORDS, _MIN_LETTERS = 5, 50
# Short texts are read as text if there are many different ones, and most rows share a word with another text.
_MIN_DIFFERENT, _MIN_DIFFERENT_SHARE, _MIN_SHARED = 30, 0.2, 0.5
# A word in more than this share of the different texts tells nothing.
_MAX_WORD_SHARE = 0.9
_WORD = re.compile(r"[^\W\d_]{2,}")


def read_text(column: TextColumn) -> Reading | None:
    """Read a column of strings as text if its values are sentences, or share words; None otherwise.

    Missing texts become empty.
    """
    if not (_are_sentences(column.distinct, column.counts) or _share_words(column)):
        return None
    texts = column.spread(column.distinct.astype(object), "")
    return Reading(pd.Series(texts, dtype=object), [ColumnNote("text", column.name)])


def _are_sentences(distinct: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether strings are long, and most of them different.

    Args:
        distinct: the different strings.
        counts: how often each occurs.
    """
    total = counts.sum()
    if total < 2 or len(distinct) <= total / 2:
        return False
    letters = counts @ [len(text) for text in distinct]
    words = counts @ [len(text.split()) for text in distinct]
    return bool(letters >= _MIN_LETTERS * total or words >= _MIN_WORDS * total)


def _share_words(column: TextColumn) -> bool:
    """Return whether there are many different texts, most of which share a word with some others but not with all."""
    different, rows = len(column.distinct), int(column.counts.sum())
    if different < max(_MIN_DIFFERENT, _MIN_DIFFERENT_SHARE * rows):
        return False
    words = [set(_WORD.findall(text.lower())) for text in column.distinct]
    frequency = Counter(word for each in words for word in each)
    telling = {word for word, count in frequency.items() if 2 <= count <= _MAX_WORD_SHARE * different}
    shared = np.array([not telling.isdisjoint(each) for each in words], dtype=bool)
    return bool(column.counts[shared].sum() >= _MIN_SHARED * rows)
