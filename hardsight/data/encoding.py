"""Encoding of tables as numbers that networks and linear models read."""

from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.encoder import Encoder
from hardsight.data.feature_columns.dates import encode_dates
from hardsight.data.text import embed_texts
from hardsight.errors import InputError
from hardsight.resampling.spacing import evenly_spaced

_MAX_ENCODED_BYTES = 8 << 30
# Numbers that stand for the texts of one column, beside other columns.
_TEXT_DIMENSIONS = 32
# A column is centred before it is rounded to float32 if rounding is coarser than this share of its interquartile range.
_COARSE = 2.0**-12
_QUARTILES = (0.25, 0.5, 0.75)
# Rows that are looked at to decide that.
_PROBED = 1000


def has_dates_or_text(table: pd.DataFrame) -> bool:
    """Return whether a cleaned table has columns of dates or text."""
    return any(_is_date(dtype) or _is_text(dtype) for dtype in table.dtypes)


def has_text(table: pd.DataFrame) -> bool:
    """Return whether a cleaned table has columns of text."""
    return any(_is_text(dtype) for dtype in table.dtypes)


def encode_table(table: pd.DataFrame, embedding: str | Encoder = "auto") -> np.ndarray:
    """Encode a cleaned table as numbers.

    Numeric columns stay, one 0/1 column per category (and for "missing"); a date becomes days elapsed, year, month, weekday
    and hour, as far as they vary; a text becomes at most 32 numbers, or those of an encoder. A numeric column with
    missing values keeps its NaN and is followed by a 0/1 column that marks them.

    Args:
        table: ``(row, column)`` of :func:`hardsight.data.feature_columns.clean.clean_columns`.
        embedding: how texts become numbers, see :func:`hardsight.data.text.embed_texts`.

    Returns:
        ``(row, feature)`` float32. Categories are in the order of the column's vocabulary, not of the rows.

    Raises:
        InputError: no column, or more numbers than fit into memory.
    """
    columns: list[np.ndarray] = []
    for name, column in table.items():
        if _is_date(column.dtype):
            columns.extend(_mark_missing(round_columns(encode_dates(column))))
        elif _is_text(column.dtype):
            vectors, _ = embed_texts(column.fillna("").to_numpy(dtype=object), embedding, dimensions=_TEXT_DIMENSIONS)
            columns.extend(vectors.T)
        elif pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            numbers = column.to_numpy(na_value=np.nan) if column.dtype.kind in "iuf" else column.to_numpy(dtype=np.float32)
            columns.extend(_mark_missing(round_columns(numbers[:, None])))
        else:
            columns.extend(_encode_categories(column, str(name), len(columns)))
    if not columns:
        raise InputError("the table has no feature column: keep at least one beside the label")
    return np.stack(columns, axis=1)


def round_columns(numbers: np.ndarray) -> np.ndarray:
    """Round numbers to float32; a column whose differences would be lost is centred at its median before.

    So dates such as 20180130, or seconds since 1970, keep what tells the samples apart. All other columns are rounded as
    they are.

    Args:
        numbers: ``(row, feature)``.
    """
    if numbers.dtype == np.float32 or numbers.dtype.kind not in "iuf" or not len(numbers):
        return numbers.astype(np.float32, copy=False)
    centre = _centres(numbers)
    if not centre.any():
        return numbers.astype(np.float32)
    centred: np.ndarray = numbers.astype(np.float64) - centre
    return centred.astype(np.float32)


def _centres(numbers: np.ndarray) -> np.ndarray:
    """Return the median of each column that float32 is too coarse for, 0 for all others. ``(feature,)`` float64"""
    rows = evenly_spaced(len(numbers), _PROBED)
    probe = numbers[rows].astype(np.float64)
    largest = np.nan_to_num(np.abs(probe)).max(axis=0)
    ordered = np.sort(probe, axis=0)
    count = np.maximum((~np.isnan(probe)).sum(axis=0), 1)
    low, middle, high = (ordered[((count - 1) * share).astype(np.int64), np.arange(probe.shape[1])] for share in _QUARTILES)
    spread = high - low
    for column in np.flatnonzero(~(spread > 0)):
        # Rows that differ may not be among the probed ones.
        middle[column] = np.nan_to_num(middle[column])
        spread[column] = np.nanmax(np.abs(numbers[:, column].astype(np.float64) - middle[column]), initial=0.0)
    spacing = np.spacing(largest.astype(np.float32)).astype(np.float64)
    return np.where((spread > 0) & (spacing > _COARSE * spread), middle, 0.0)


def _mark_missing(numbers: np.ndarray) -> list[np.ndarray]:
    """Return the columns, followed by one that marks missing values if there are any."""
    missing = np.isnan(numbers[:, 0])
    return [*numbers.T, *([missing.astype(np.float32)] if missing.any() else [])]


def _encode_categories(column: pd.Series, name: str, n_before: int) -> list[np.ndarray]:
    categories = column.astype("category").cat
    codes = categories.codes.to_numpy()
    vocabulary = range(-1 if (codes < 0).any() else 0, len(categories.categories))
    if 4 * len(column) * (n_before + len(vocabulary)) > _MAX_ENCODED_BYTES:
        raise InputError(
            f"column {name!r} with its {len(vocabulary)} categories makes the table too large for memory "
            f"({len(column)} rows by {n_before + len(vocabulary)} numbers): merge rare categories or drop it"
        )
    return [(codes == code).astype(np.float32) for code in vocabulary]


def _is_date(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") == "M"


def _is_text(dtype: Any) -> bool:
    return (isinstance(dtype, np.dtype) and dtype.kind == "O") or isinstance(dtype, pd.StringDtype)
