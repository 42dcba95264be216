"""Columns that do not tell samples apart, or only by their number: constants, row numbers and ids."""

import re

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote

# With fewer rows, "every value is different" happens by chance.
_MIN_ROWS = 20
# Different integers are numbers of things if they would be different by chance with less than this probability (log).
_MAX_LOG_CHANCE = -20.0
_ID_NAME = re.compile(
    r"(|unnamed: \d+(_level_\d+)?|column1|.*\bid|.*_id|.*[a-z]ID|id[_ .-].*|ids|index|idx|row|rows|row_?num(ber)?|rownames?"
    r"|row[_ .-]names?|nr|no|num|obs|observation|case|#|key|uuid|guid|serial.*)"
)


def note_useless(column: pd.Series, name: str) -> ColumnNote | None:
    """Return a note if a cleaned column is no feature, or may be none; the topic says which. None otherwise."""
    constant = ColumnNote("left out", name, "the same in every row")
    if not pd.api.types.is_numeric_dtype(column.dtype):
        if len(column.unique()) == 1:
            return constant
        return ColumnNote("doubtful", name, "later in every row") if _numbers_rows_by_time(column) else None
    numbers = column.to_numpy()
    if (numbers == numbers[0]).all():
        return constant
    if len(numbers) < _MIN_ROWS or numbers.dtype.kind not in "iuf" or (numbers != np.floor(numbers)).any():
        return None
    if len(np.unique(numbers)) < len(numbers):
        return None
    return _note_distinct_integers(numbers.astype(np.float64), name)


def _numbers_rows_by_time(column: pd.Series) -> bool:
    """Return whether every row has a later date or time than the one before, as in a log: it stands for the row number."""
    is_time = pd.api.types.is_datetime64_any_dtype(column.dtype)
    return is_time and len(column) >= _MIN_ROWS and bool((column.diff().iloc[1:] > pd.Timedelta(0)).all())


def _note_distinct_integers(numbers: np.ndarray, name: str) -> ColumnNote | None:
    """Return a note if integers that are all different are names of the rows rather than amounts."""
    low, high = float(numbers.min()), float(numbers.max())
    without_gaps = high - low == len(numbers) - 1
    # Amounts would repeat: the chance that n draws from a range of R are all different is about exp(-n² / 2R).
    dense = -(len(numbers) ** 2) / (2 * (high - low + 1)) < _MAX_LOG_CHANCE
    rising = bool((np.diff(numbers) > 0).all())
    what = "numbers the rows" if without_gaps else "numbers the rows, with gaps" if dense or rising else "an id"
    if is_id_name(name):
        # From sorted data, a model would learn the class by the row number alone.
        return ColumnNote("left out", name, what)
    if rising or dense:
        return ColumnNote("doubtful", name, what if rising else "a different integer in every row")
    return None


def is_id_name(name: str) -> bool:
    """Return whether a column is named as ids and row numbers usually are."""
    return _ID_NAME.fullmatch(name) is not None or _ID_NAME.fullmatch(name.lower()) is not None
