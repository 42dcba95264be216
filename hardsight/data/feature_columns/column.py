"""A column that is being read, what it was read as, and what a user should know about that."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from hardsight.validation import join_names

Topic = Literal["left out", "numbers", "dates", "text", "categories", "vectors", "doubtful"]

# Sentences in the order in which they are printed, with the topics of each; "{}" stands for the columns of its topics.
_SENTENCES: tuple[tuple[str, dict[Topic, str]], ...] = (
    ("Left out of the features: {}. To see a column in results, name it as id (id=…, --id).", {"left out": ""}),
    (
        "Read as {}.",
        {"dates": "dates: ", "numbers": "numbers: ", "text": "text: ", "vectors": "vectors: ", "categories": "categories: "},
    ),
    (
        "Used as features, but check: {}. Name ids and groups as such (--id, --group); drop copies of the label (--drop).",
        {"doubtful": ""},
    ),
)
# At most so many columns of a topic are named.
_MAX_COLUMNS = 12

# Spellings of a missing value in cells, in lower case.
MISSING = frozenset(
    {"", "?", "-", "--", "—", ".", "..", "...", ":", "*", "#n/a", "n/a", "na", "<na>", "nan", "n.a.", "n/d", "nd", "null"}
    | {"none", "nil", "missing", "unknown", "undefined", "not available", "not applicable", "no data", "#div/0!"}
    | {"\\n", "0000-00-00", "0000-00-00 00:00:00"}
    | {"#value!", "#ref!", "#num!", "#null!", "#name?", "tbd", "k.a.", "s/d", "s.d."}
)


class ColumnNote(NamedTuple):
    """What a user should know about one column."""

    topic: Topic
    name: str
    detail: str = ""  # a few words after the name; empty if the topic says it all


class Reading(NamedTuple):
    """What a column was read as; no ``values`` if the column is no feature."""

    values: pd.Series | pd.DataFrame | None
    notes: Sequence[ColumnNote] = ()


def describe_notes(notes: Iterable[ColumnNote]) -> list[str]:
    """Return at most three sentences, which name each column once per topic.

    >>> describe_notes([ColumnNote("dates", "day", "day before month"), ColumnNote("text", "title")])
    ["Read as dates: 'day' (day before month); text: 'title'."]
    """
    details: dict[Topic, dict[str, list[str]]] = {}
    for note in notes:
        details.setdefault(note.topic, {}).setdefault(note.name, []).extend([note.detail] if note.detail else [])
    sentences = []
    for sentence, topics in _SENTENCES:
        parts = [f"{words}{_describe_columns(details[topic])}" for topic, words in topics.items() if topic in details]
        if parts:
            sentences.append(sentence.format("; ".join(parts)))
    return sentences


def _describe_columns(details: dict[str, list[str]]) -> str:
    columns = [_describe_column(name, words) for name, words in details.items()]
    rest = len(columns) - _MAX_COLUMNS
    return ", ".join(columns[:_MAX_COLUMNS]) + (f" and {rest} more" if rest > 0 else "")


def _describe_column(name: str, details: Sequence[str]) -> str:
    return f"{join_names([name])} ({'; '.join(details)})" if details else join_names([name])


class TextColumn:
    """The cells of a column of strings; every test is made once per distinct string.

    Args:
        values: strings of the rows that have a value, ``(present,)``.
        present: which rows have a value, ``(row,)``.
        name: name of the column.

    Attributes:
        codes: index into ``distinct`` of each value, ``(present,)``.
        distinct: the different strings, in order of appearance.
        counts: how often each occurs.
    """

    def __init__(self, values: np.ndarray, present: np.ndarray, name: str) -> None:
        self.present, self.name = present, name
        self.codes, self.distinct = pd.factorize(values)
        self.counts = np.bincount(self.codes, minlength=len(self.distinct))

    @cached_property
    def texts(self) -> list[str]:
        """The different strings without blanks around them, with plain blanks, hyphens and apostrophes."""
        return [value.translate(_PLAIN).strip() for value in self.distinct]

    @cached_property
    def known(self) -> np.ndarray:
        """Which different strings do not spell a missing value. ``(distinct,)`` bool"""
        return np.array([text.lower() not in MISSING for text in self.texts], dtype=bool)

    @property
    def known_texts(self) -> list[str]:
        """The different strings that do not spell a missing value."""
        return [text for text, known in zip(self.texts, self.known, strict=True) if known]

    def rows_with(self, mask: np.ndarray) -> np.ndarray:
        """Return the rows whose string is in a mask of the different strings. ``(row,)`` bool"""
        rows = np.zeros(len(self.present), dtype=bool)
        rows[self.present] = mask[self.codes]
        return rows

    def spread(self, values: np.ndarray, fill: object = np.nan) -> np.ndarray:
        """Return one value per row from one per different string; ``fill`` where the row has no value."""
        spread = np.full(len(self.present), fill, dtype=values.dtype)
        spread[self.present] = values[self.codes]
        return spread

    def describe_missing(self) -> str:
        """Name the spellings that count as missing, with their number of rows; empty if there are none but blanks."""
        spellings = sorted({text for text, known in zip(self.texts, self.known, strict=True) if not known and text})
        return f"{join_names(spellings)} missing in {self.counts[~self.known].sum()} rows" if spellings else ""


_PLAIN = {ord(blank): " " for blank in "\u00a0\u2007\u2008\u2009\u200a\u202f"} | {
    ord("\u2212"): "-",
    ord("\u200b"): None,
    ord("\u2019"): "'",
}
