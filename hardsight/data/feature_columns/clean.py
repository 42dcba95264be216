"""Cleaning of tables: every column becomes numbers, dates, text or categories, or is left out with a reason."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import infer_dtype
from hardsight.data.conversion import named_values
from hardsight.data.feature_columns.categories import read_categories
from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn
from hardsight.data.feature_columns.dates import read_compact_dates, read_dates, read_temporal
from hardsight.data.feature_columns.identifiers import note_useless
from hardsight.data.feature_columns.numbers import numeric_series, read_numeric_text
from hardsight.data.feature_columns.texts import read_text
from hardsight.data.feature_columns.vectors import is_nested, read_vector_text, read_vectors
from hardsight.errors import Faults, InputError
from hardsight.validation import format_option

# Kinds of columns of strings, in the order in which they are tried; the last is categories.
_TEXT_READERS = (read_dates, read_numeric_text, read_vector_text, read_text)


class NoFeatureError(InputError):
    """No column of a table says anything about the samples."""


def clean_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[ColumnNote]]:
    """Convert feature columns to what every learner can read, and return notes on what was guessed or left out.

    Numbers and booleans stay (missing ones become NaN), dates become datetime64, sentences and short texts that share words
    become str (missing ones empty), other strings pandas categories with a sorted vocabulary. The index is new.

    Args:
        frame: ``(row, column)``, feature columns only, with unique text names.

    Raises:
        InputError: columns with nested values, infinities or typing errors among numbers, all at once; or no column to
            learn from. The message names the columns and the fix.
    """
    if not len(frame.columns):
        raise InputError("there is no feature column: keep at least one column beside label, id and group")
    readings: list[pd.Series | pd.DataFrame] = []
    notes: list[ColumnNote] = []
    faults = Faults()
    for name, column in frame.reset_index(drop=True).items():
        with faults.collect():
            reading = _read_column(column, str(name))
            notes.extend(reading.notes)
            if reading.values is not None:
                readings.append(
                    reading.values.rename(str(name)) if isinstance(reading.values, pd.Series) else reading.values
                )
    faults.raise_all()
    if not readings:
        left_out = ", ".join(f"{note.name!r} ({note.detail})" for note in notes if note.topic == "left out")
        raise NoFeatureError(f"no feature column is left of {left_out}: add one that differs between samples")
    return pd.concat(readings, axis=1), notes


def drop_columns(table: pd.DataFrame, notes: Iterable[ColumnNote]) -> tuple[pd.DataFrame, list[ColumnNote]]:
    """Drop the columns that notes leave out, unless none would be left; return the table and the notes that hold."""
    listed = list(notes)
    names = [note.name for note in listed if note.topic == "left out"]
    if len(names) < len(table.columns):
        return table.drop(columns=names), listed
    return table, [note._replace(topic="doubtful") if note.topic == "left out" else note for note in listed]


def _read_column(column: pd.Series, name: str) -> Reading:
    present = column.notna().to_numpy()
    if not present.any():
        return Reading(None, [ColumnNote("left out", name, "no values")])
    reading = _read_values(column, present, name)
    if not isinstance(reading.values, pd.Series):
        return reading
    useless = note_useless(reading.values, name)
    if useless is None:
        return reading
    if useless.topic == "left out":
        return Reading(None, [useless])
    return Reading(reading.values, [*reading.notes, useless])


def _read_values(column: pd.Series, present: np.ndarray, name: str) -> Reading:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        names = np.array([str(category) for category in column.cat.categories], dtype=object)
        return read_categories(TextColumn(names[column.cat.codes.to_numpy()[present]], present, name), stated=True)
    if isinstance(dtype, pd.SparseDtype):
        column = pd.Series(np.asarray(column))
        dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        numbers = numeric_series(column, present, name)
        return read_compact_dates(numbers, name) or Reading(numbers)
    if isinstance(dtype, pd.StringDtype):
        codes, distinct = pd.factorize(column)
        # Equal strings are one object: a row takes 8 bytes, whatever the string.
        return _read_strings(np.asarray(distinct, dtype=object)[codes[present]], present, name)
    temporal = read_temporal(column, name)
    if temporal is not None:
        return temporal
    values = named_values(column[present].astype(object).to_numpy(), f"column {name!r}")
    if all(isinstance(value, str) for value in values):
        return _read_strings(values, present, name)
    return _read_objects(values, present, name)


def _read_strings(values: np.ndarray, present: np.ndarray, name: str, *, mixed: bool = False) -> Reading:
    column = TextColumn(values, present, name)
    if not column.known.any():
        return Reading(None, [ColumnNote("left out", name, "no values")])
    for read in _TEXT_READERS:
        reading = read(column)
        if reading is not None:
            return reading
    numbers = pd.to_numeric(pd.Series(column.known_texts, dtype=object), errors="coerce")
    codes = any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in column.known_texts)
    return read_categories(column, mixed=mixed or (bool(numbers.notna().any()) and not codes))


def _read_objects(values: np.ndarray, present: np.ndarray, name: str) -> Reading:
    """Read a column whose values are not all strings: as vectors, numbers or strings, or refuse it."""
    nested = np.array([is_nested(value) for value in values], dtype=bool)
    if nested.all():
        return read_vectors(values, present, name)
    odd = np.array([not _is_scalar(value) for value in values], dtype=bool)
    if odd.any():
        raise InputError(
            f"column {name!r} holds values of type {type(values[int(np.argmax(odd))]).__name__} "
            f"(row {np.flatnonzero(present)[odd][0]}): turn them into columns of numbers or text, or drop "
            f"it ({format_option('drop', name)})"
        )
    numbers = infer_dtype(values)
    if numbers.dtype == object and not any(isinstance(value, str) for value in numbers):
        try:
            numbers = numbers.astype(np.float64)
        except OverflowError:
            raise InputError(
                f"column {name!r} holds a number beyond 3.4e+38: fix it, or drop the column ({format_option('drop', name)})"
            ) from None
    if numbers.dtype != object:
        column = pd.Series(numbers)
        if not present.all():
            column = pd.Series(np.full(len(present), np.nan))
            column[present] = numbers.astype(np.float64)
        return Reading(numeric_series(column, np.ones(len(present), dtype=bool) if present.all() else present, name))
    return _read_strings(np.array([str(value) for value in values], dtype=object), present, name, mixed=True)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float | np.number | np.bool_) or type(value).__name__ == "Decimal"
