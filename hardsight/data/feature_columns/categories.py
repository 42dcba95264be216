"""Categories: strings that repeat, with a sorted vocabulary."""

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn

# Every category becomes a 0/1 column: more of them say little and fill the memory.
MAX_CATEGORIES = 1000
# More different values than this share of the rows tell samples apart rather than what they have in common.
_MAX_DIFFERENT_SHARE = 0.5
_MIN_DIFFERENT = 20
_RARE = "(rare)"


def read_categories(column: TextColumn, *, mixed: bool = False, stated: bool = False) -> Reading:
    """Read a column of strings as categories; leave it out if nearly every row has another string.

    Args:
        mixed: whether some of the strings are numbers.
        stated: whether the user says that these are categories, by their type.
    """
    different, rows, name = len(column.distinct), len(column.codes), column.name
    if different == rows and rows >= _MIN_DIFFERENT:
        return Reading(None, [ColumnNote("left out", name, "a different text in every row")])
    if not stated and different > max(_MIN_DIFFERENT, _MAX_DIFFERENT_SHARE * rows):
        return Reading(None, [ColumnNote("left out", name, f"{different} different texts in {rows} rows")])
    notes = [ColumnNote("categories", name, "text and numbers")] if mixed else []
    distinct = column.distinct
    if different > MAX_CATEGORIES:
        distinct = _merge_rare(column)
        notes = [ColumnNote("categories", name, f"the {MAX_CATEGORIES - 1} commonest of {different}, all others as one")]
    vocabulary = sorted(set(distinct))
    code_of = {value: code for code, value in enumerate(vocabulary)}
    codes = column.spread(np.array([code_of[value] for value in distinct], dtype=np.int64), -1)
    return Reading(pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(vocabulary, dtype=object))), notes)


def _merge_rare(column: TextColumn) -> np.ndarray:
    """Return the different strings with all but the commonest replaced by one name."""
    name = _RARE
    while name in set(column.distinct):
        name += "*"
    merged = np.full(len(column.distinct), name, dtype=object)
    common = np.argsort(-column.counts, kind="stable")[: MAX_CATEGORIES - 1]
    merged[common] = column.distinct[common]
    return merged
