"""Cleaning of frames: which columns are features, of which type, and which ones no model could read as they are."""

import re
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import are_dates, infer_dtype
from hardsight.errors import InputError
from hardsight.validation import describe_rows, format_option, join_names

# Every category becomes a 0/1 column: more of them say little and fill the memory.
_MAX_CATEGORIES = 1000
# Free text has at least this many words, or letters, on average.
_MIN_WORDS, _MIN_LETTERS = 5, 50
# With fewer rows, "every value is different" happens by chance.
_MIN_ROWS_OF_IDS = 20
# A column counts as numeric with typing errors if at least this many, and this share, of its distinct values are numbers.
_MIN_NUMBERS, _MIN_NUMERIC_SHARE = 20, 0.9
_MAX_EXAMPLES, _MAX_EXAMPLE_LETTERS = 3, 30
_FLOAT32 = float(np.finfo(np.float32).max)

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([t ].*)?"
    r"|\d{4}/\d{1,2}/\d{1,2}( .*)?"
    r"|\d{1,2}[/.-]\d{1,2}[/.-](\d{2}|\d{4})( .*)?"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}( .*)?"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}}( .*)?",
    re.IGNORECASE,
)
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_COMMA = re.compile(r"[+-]?\d{1,3}(,\d+)+(\.\d+)?|[+-]?\d+,\d+|[+-]?\d+")
_MISSING = {"", "?", "-", "--", ".", "na", "n/a", "nan", "null", "none", "missing", "unknown"}
_ID_NAME = re.compile(r"(unnamed: \d+|.*\bid|.*_id|id_.*|index|idx|row|row_?num(ber)?|nr|no|#)", re.IGNORECASE)


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas frame, or can be converted to one (polars, pyarrow)."""
    return isinstance(value, pd.DataFrame) or hasattr(value, "to_pandas")


def unique_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with text for column names.

    Raises:
        InputError: two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    repeated = pd.Index(names).duplicated()
    if repeated.any():
        raise InputError(f"column name {names[int(np.argmax(repeated))]!r} appears twice: give every column its own name")
    return frame.set_axis(names, axis=1)


def clean_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Convert feature columns to what every learner can read: numbers, booleans and categories; also return notices.

    Numbers and booleans stay (missing ones become NaN); text becomes pandas categories with a sorted vocabulary. The index
    is new.

    Args:
        frame: ``(sample, column)``, feature columns only, with unique text names.

    Raises:
        InputError: a column of dates, free text, nested values, too many categories, infinities or no values at all, or no
            column to learn from. The message names the column and the fix.
    """
    if not len(frame.columns):
        raise InputError("there is no feature column: keep at least one column beside label, id and group")
    columns: dict[str, pd.Series] = {}
    notices: list[str] = []
    for name in frame:
        column = _clean_column(frame[name].reset_index(drop=True), str(name), notices)
        if not _is_useless(column, str(name), notices):
            columns[str(name)] = column
    if not columns:
        raise InputError(
            f"no feature column is left of {join_names(frame)}, each is constant or an identifier: add one that differs "
            "between samples"
        )
    return pd.DataFrame(columns), notices


def is_free_text(column: pd.Series) -> bool:
    """Return whether a column holds sentences rather than categories: long strings, most of them different."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna().astype(object).to_numpy()
    # Lists and the like cannot be factorized, and are not text.
    if not all(isinstance(value, str) for value in values):
        return False
    codes, distinct = pd.factorize(values)
    return _are_sentences(distinct, np.bincount(codes))


def _are_sentences(distinct: np.ndarray, counts: np.ndarray) -> bool:
    total = counts.sum()
    if total < 2 or len(distinct) <= total / 2:
        return False
    letters = counts @ [len(text) for text in distinct]
    words = counts @ [len(text.split()) for text in distinct]
    return bool(letters >= _MIN_LETTERS * total or words >= _MIN_WORDS * total)


def _clean_column(column: pd.Series, name: str, notices: list[str]) -> pd.Series:
    present = column.notna().to_numpy()
    if not present.any():
        raise InputError(
            f"column {name!r} has no value in any of {len(column)} rows: drop it ({format_option('drop', name)})"
        )
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        names = np.array([str(category) for category in column.cat.categories], dtype=object)
        return _categories(names[column.cat.codes.to_numpy()[present]], present, name)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return _numbers(column, present, name)
    values = column[present].astype(object)
    kinds = {type(value) for value in values}
    if getattr(dtype, "kind", "O") in "mM" or are_dates(kinds):
        _refuse_dates(next((value for value in values if are_dates([type(value)])), values.iloc[0]), name)
    if all(issubclass(kind, str) for kind in kinds):
        return _strings(values.to_numpy(), present, name, notices)
    return _mixed_values(values.to_numpy(), present, name, notices)


def _numbers(column: pd.Series, present: np.ndarray, name: str) -> pd.Series:
    if getattr(column.dtype, "kind", "f") == "c":
        raise InputError(
            f"column {name!r} holds complex numbers: split them into real columns or drop it ({format_option('drop', name)})"
        )
    if present.all() and pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(column.to_numpy(dtype=bool))
    if present.all() and getattr(column.dtype, "kind", "f") in "iu":
        return pd.Series(column.to_numpy())
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    too_large = np.abs(numbers) > _FLOAT32
    if too_large.any():
        raise InputError(
            f"column {name!r} is infinite or beyond {_FLOAT32:.1e} in {too_large.sum()} of {len(column)} rows "
            f"({describe_rows(too_large)}): fix the values or drop it ({format_option('drop', name)})"
        )
    return pd.Series(numbers)


def _strings(values: np.ndarray, present: np.ndarray, name: str, notices: list[str]) -> pd.Series:
    """Read a column of strings as numbers or categories, or refuse it. ``values`` are the strings of the rows present."""
    # A column repeats few strings many times: every test is made once per distinct string.
    codes, distinct = pd.factorize(values)
    counts = np.bincount(codes)
    texts = [value.strip() for value in distinct]
    known = np.array([text.lower() not in _MISSING for text in texts])
    _check_dates(texts, known, counts, name)
    parsed = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    # Codes with leading zeros are names, whatever else the column holds.
    are_codes = any(_LEADING_ZERO.fullmatch(text) for text in texts)
    numeric = known & ~np.isnan(parsed) & (not are_codes)
    if known.any() and np.array_equal(numeric, known):
        notices.append(_numbers_as_text(texts, known, counts, name))
        return _numbers(_fill_rows(np.where(known, parsed, np.nan)[codes], present), present, name)
    _check_commas(texts, known, name)
    if _are_mostly(numeric, known):
        _refuse_text_among_numbers(texts, known & ~numeric, codes, present, name)
    if _are_sentences(distinct, counts):
        raise InputError(
            f"column {name!r} holds free text ({len(distinct)} different texts in {len(values)} rows): read it as "
            f"text (text={name!r}, {format_option('text', name)}) or drop it ({format_option('drop', name)})"
        )
    if numeric.any():
        notices.append(f"Column {name!r} mixes text and numbers and is read as categories.")
    return _categories(values, present, name)


def _check_dates(texts: list[str], known: np.ndarray, counts: np.ndarray, name: str) -> None:
    dated = np.array([_DATE.fullmatch(text) is not None for text in texts]) & known
    if 2 * counts[dated].sum() > counts[known].sum():
        _refuse_dates(texts[int(np.argmax(dated))], name)


def _numbers_as_text(texts: list[str], known: np.ndarray, counts: np.ndarray, name: str) -> str:
    notice = f"Column {name!r} holds numbers written as text and is read as numbers."
    if known.all():
        return notice
    markers = join_names(sorted(text for text, is_known in zip(texts, known, strict=True) if not is_known))
    return f"{notice} {markers} counts as missing ({counts[~known].sum()} rows)."


def _check_commas(texts: list[str], known: np.ndarray, name: str) -> None:
    commas = np.array([_COMMA.fullmatch(text) is not None for text in texts]) & known
    example = next((text for text, comma in zip(texts, commas, strict=True) if comma and "," in text), None)
    if example is not None and (commas.sum() == known.sum() or _are_mostly(commas, known)):
        raise InputError(
            f"column {name!r} holds numbers written with commas ({example!r}): write them with a decimal point, "
            f"without separators, or drop it ({format_option('drop', name)})"
        )


def _are_mostly(numeric: np.ndarray, known: np.ndarray) -> bool:
    """Return whether all but a few of the distinct values that are not missing are numbers."""
    return bool(numeric.sum() >= max(_MIN_NUMBERS, _MIN_NUMERIC_SHARE * known.sum()))


def _refuse_text_among_numbers(
    texts: list[str], stray: np.ndarray, codes: np.ndarray, present: np.ndarray, name: str
) -> None:
    """Refuse a few texts among numbers: otherwise every number would become a category of its own."""
    examples = [texts[index][:_MAX_EXAMPLE_LETTERS] for index in np.flatnonzero(stray)]
    rows = np.zeros(len(present), dtype=bool)
    rows[present] = stray[codes]
    more = ", …" if len(examples) > _MAX_EXAMPLES else ""
    raise InputError(
        f"column {name!r} holds numbers and also {join_names(examples[:_MAX_EXAMPLES])}{more} ({describe_rows(rows)}): "
        f"write a number there, leave the cell empty, or drop the column ({format_option('drop', name)}); if its numbers "
        "are names of categories, put a letter before each, or convert it to the pandas type category"
    )


def _fill_rows(values: np.ndarray, present: np.ndarray) -> pd.Series:
    """Return numbers of all rows, NaN where none is present."""
    numbers = np.full(len(present), np.nan)
    numbers[present] = values
    return pd.Series(numbers)


def _mixed_values(values: np.ndarray, present: np.ndarray, name: str, notices: list[str]) -> pd.Series:
    """Read a column whose values are not all strings: as numbers, as strings, or refuse it."""
    nested = np.array([not _is_scalar(value) for value in values])
    if nested.any():
        raise InputError(
            f"column {name!r} holds values of type {type(values[int(np.argmax(nested))]).__name__} "
            f"(row {np.flatnonzero(present)[nested][0]}): turn them into columns of numbers or text, or drop "
            f"it ({format_option('drop', name)})"
        )
    numbers = infer_dtype(values)
    if numbers.dtype == object and not any(isinstance(value, str) for value in numbers):
        try:
            numbers = numbers.astype(np.float64)
        except OverflowError:
            raise InputError(
                f"column {name!r} holds a number beyond {_FLOAT32:.1e}: fix it, or drop the column "
                f"({format_option('drop', name)})"
            ) from None
    if numbers.dtype != object:
        return _numbers(pd.Series(numbers) if present.all() else _fill_rows(numbers, present), present, name)
    return _strings(np.array([str(value) for value in values], dtype=object), present, name, notices)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float | np.number | np.bool_) or type(value).__name__ == "Decimal"


def _categories(values: np.ndarray, present: np.ndarray, name: str) -> pd.Series:
    """Return categories with a sorted vocabulary; ``values`` are the strings of the rows present."""
    codes, distinct = pd.factorize(values)
    if len(distinct) > _MAX_CATEGORIES and len(distinct) < len(values):
        raise InputError(
            f"column {name!r} has {len(distinct)} different values in {len(values)} rows, more than {_MAX_CATEGORIES}: "
            f"merge rare ones, name it as id ({format_option('id', name)}) or drop it ({format_option('drop', name)})"
        )
    vocabulary = sorted(distinct)
    code_of = {value: code for code, value in enumerate(vocabulary)}
    all_codes = np.full(len(present), -1)
    all_codes[present] = np.array([code_of[value] for value in distinct], dtype=np.int64)[codes]
    return pd.Series(pd.Categorical.from_codes(all_codes, categories=pd.Index(vocabulary, dtype=object)))


def _refuse_dates(example: Any, name: str) -> None:
    raise InputError(
        f"column {name!r} holds dates or times ({example!s:.30}): turn it into numbers (a year, days since) or drop it "
        f"({format_option('drop', name)})"
    )


def _is_useless(column: pd.Series, name: str, notices: list[str]) -> bool:
    """Return whether a column does not tell samples apart, or only by their row number."""
    distinct = column.nunique(dropna=False)
    if distinct == 1:
        notices.append(f"Column {name!r} is the same in every row and was left out.")
        return True
    if distinct < len(column) or len(column) < _MIN_ROWS_OF_IDS:
        return False
    if isinstance(column.dtype, pd.CategoricalDtype):
        notices.append(
            f"Column {name!r} holds a different text in every row and was left out. Name it as id "
            f"({format_option('id', name)}), or as text ({format_option('text', name)})."
        )
        return True
    numbers = column.to_numpy()
    if numbers.dtype.kind not in "iu" or int(numbers.max()) - int(numbers.min()) != len(numbers) - 1:
        return False
    if _ID_NAME.fullmatch(name):
        # From sorted data, a model would learn the class by the row number alone.
        notices.append(
            f"Column {name!r} numbers the rows and was left out. Name it as id ({format_option('id', name)}) to see it in "
            "results."
        )
        return True
    notices.append(
        f"Column {name!r} numbers the rows and is used as a feature: if it is an identifier, name it as id "
        f"({format_option('id', name)}) or drop it ({format_option('drop', name)})."
    )
    return False
