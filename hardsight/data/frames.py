"""Frames: which columns are features, of which type, and which ones no model could read as they are."""

import re
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import are_dates, infer_dtype
from hardsight.errors import InputError
from hardsight.validation import describe_rows, format_option, join_names

# A category becomes a 0/1 column each: more of them say little and fill the memory.
_MANY = 1000
# Free text: at least so many words or letters on average.
_WORDS, _LETTERS = 5, 50
# Below so many rows, "every value another one" happens by chance.
_IDENTIFIED = 20
# From so many different numbers on, which are so large a share of the values, the rest are slips of the pen.
_NUMBERS, _MOST = 20, 0.9
_SHOWN, _LETTERS_SHOWN = 3, 30
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
_CODE = re.compile(r"[+-]?0\d+")
_COMMA = re.compile(r"[+-]?\d{1,3}(,\d+)+(\.\d+)?|[+-]?\d+,\d+|[+-]?\d+")
_ABSENT = {"", "?", "-", "--", ".", "na", "n/a", "nan", "null", "none", "missing", "unknown"}
_NUMBERED = re.compile(r"(unnamed: \d+|.*\bid|.*_id|id_.*|index|idx|row|row_?num(ber)?|nr|no|#)", re.IGNORECASE)


def unique_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text for column names.

    Raises:
        InputError: two columns of one name.
    """
    names = [str(name) for name in frame.columns]
    twice = pd.Index(names).duplicated()
    if twice.any():
        raise InputError(f"column name {names[int(np.argmax(twice))]!r} stands twice: give every column its own name")
    return frame.set_axis(names, axis=1)


def clean_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Feature columns that every learner can read: numbers, truth values and categories.

    Numbers and truth values stay (missing ones become NaN), text becomes pandas categories whose vocabulary is sorted.

    Args:
        frame: ``(sample, column)``, feature columns only, with unique text names.

    Returns:
        The frame with a fresh index, and notices of what was left out or read differently.

    Raises:
        InputError: a column of dates, free text, nested values, too many categories, infinities or nothing at all, or
            no column to learn from. It names the column and the mend.
    """
    if not len(frame.columns):
        raise InputError("there is no feature column: give at least one column beside label, id and group")
    columns: dict[str, pd.Series] = {}
    notices: list[str] = []
    for name in frame:
        read = _column(frame[name].reset_index(drop=True), str(name), notices)
        if read is not None:
            columns[str(name)] = read
    if not columns:
        raise InputError(
            f"no feature column is left of {join_names(frame)}, each is constant or an identifier: give one that differs "
            "between samples"
        )
    return pd.DataFrame(columns), notices


def is_free_text(column: pd.Series) -> bool:
    """Whether a column holds sentences rather than categories: long strings, most of them different."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna().astype(object).to_numpy()
    # Lists and the like, which cannot be told apart so, are no text.
    if not all(isinstance(value, str) for value in values):
        return False
    codes, distinct = pd.factorize(values)
    return _sentences(distinct, np.bincount(codes))


def _sentences(distinct: np.ndarray, counts: np.ndarray) -> bool:
    total = counts.sum()
    if total < 2 or len(distinct) <= total / 2:
        return False
    letters = counts @ [len(text) for text in distinct]
    words = counts @ [len(text.split()) for text in distinct]
    return bool(letters >= _LETTERS * total or words >= _WORDS * total)


def _column(column: pd.Series, name: str, notices: list[str]) -> pd.Series | None:
    """One column ready to use, or None where it is left out."""
    present = column.notna().to_numpy()
    if not present.any():
        raise InputError(
            f"column {name!r} has no value in any of {len(column)} rows: drop it ({format_option('drop', name)})"
        )
    dtype = column.dtype
    read: pd.Series
    if isinstance(dtype, pd.CategoricalDtype):
        names = np.array([str(category) for category in column.cat.categories], dtype=object)
        read = _categories(names[column.cat.codes.to_numpy()[present]], present, name)
    elif pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        read = _numbers(column, present, name)
    else:
        values = column[present].astype(object)
        kinds = {type(value) for value in values}
        if getattr(dtype, "kind", "O") in "mM" or are_dates(kinds):
            _refuse_dates(next((value for value in values if are_dates([type(value)])), values.iloc[0]), name)
        if all(issubclass(kind, str) for kind in kinds):
            read = _strings(values.to_numpy(), present, name, notices)
        else:
            read = _mixed(values.to_numpy(), present, name, notices)
    return None if _without_use(read, name, notices) else read


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
    endless = np.abs(numbers) > _FLOAT32
    if endless.any():
        raise InputError(
            f"column {name!r} is infinite or beyond {_FLOAT32:.1e} in {endless.sum()} of {len(column)} rows "
            f"({describe_rows(endless)}): mend the values or drop it ({format_option('drop', name)})"
        )
    return pd.Series(numbers)


def _strings(values: np.ndarray, present: np.ndarray, name: str, notices: list[str]) -> pd.Series:
    """A column of strings: numbers in disguise, categories, or what is refused. ``values`` are those present."""
    # A column repeats few strings many times: every test is made once for each.
    codes, distinct = pd.factorize(values)
    counts = np.bincount(codes)
    texts = [value.strip() for value in distinct]
    known = np.array([text.lower() not in _ABSENT for text in texts])
    dated = np.array([_DATE.fullmatch(text) is not None for text in texts]) & known
    if 2 * counts[dated].sum() > counts[known].sum():
        _refuse_dates(texts[int(np.argmax(dated))], name)
    parsed = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    coded = any(_CODE.fullmatch(text) for text in texts)
    if known.any() and not np.isnan(parsed[known]).any() and not coded:
        notices.append(f"Column {name!r} holds numbers written as text: read as numbers.")
        if not known.all():
            markers = join_names(sorted(text for text, number in zip(texts, known, strict=True) if not number))
            notices[-1] += f" {markers} counts as missing ({counts[~known].sum()} rows)."
        return _numbers(_spread(np.where(known, parsed, np.nan)[codes], present), present, name)
    commas = np.array([_COMMA.fullmatch(text) is not None for text in texts]) & known
    written = next((text for text, comma in zip(texts, commas, strict=True) if comma and "," in text), None)
    if written is not None and (commas.sum() == known.sum() or _most(commas, known)):
        raise InputError(
            f"column {name!r} holds numbers written with commas ({written!r}): write them with a decimal point, "
            f"without separators, or drop it ({format_option('drop', name)})"
        )
    # Codes with leading zeros are names, whatever stands beside them.
    numbers = known & ~np.isnan(parsed) & (not coded)
    if _most(numbers, known):
        _refuse_strays(texts, known & ~numbers, codes, present, name)
    if _sentences(distinct, counts):
        raise InputError(
            f"column {name!r} holds free text ({len(distinct)} different texts in {len(values)} rows): read it as "
            f"text (text={name!r}, {format_option('text', name)}) or drop it ({format_option('drop', name)})"
        )
    if numbers.any():
        notices.append(f"Column {name!r} mixes text and numbers: read as categories.")
    return _categories(values, present, name)


def _most(numbers: np.ndarray, known: np.ndarray) -> bool:
    """Whether the distinct values that are known are numbers but for a few."""
    return bool(numbers.sum() >= max(_NUMBERS, _MOST * known.sum()))


def _refuse_strays(texts: list[str], strays: np.ndarray, codes: np.ndarray, present: np.ndarray, name: str) -> None:
    """Refuse text that stands among numbers here and there: every number would become a category of its own."""
    found = [texts[at][:_LETTERS_SHOWN] for at in np.flatnonzero(strays)]
    rows = np.zeros(len(present), dtype=bool)
    rows[present] = strays[codes]
    more = ", …" if len(found) > _SHOWN else ""
    raise InputError(
        f"column {name!r} holds numbers, and also {join_names(found[:_SHOWN])}{more} ({describe_rows(rows)}): write a number there, "
        f"leave the cell empty, or drop the column ({format_option('drop', name)}); if its numbers are names of categories, write "
        "a letter before each, or make it one of pandas' type category"
    )


def _spread(values: np.ndarray, present: np.ndarray) -> pd.Series:
    """Numbers for all rows from those present."""
    numbers = np.full(len(present), np.nan)
    numbers[present] = values
    return pd.Series(numbers)


def _mixed(values: np.ndarray, present: np.ndarray, name: str, notices: list[str]) -> pd.Series:
    """A column whose values are not all text: plain numbers, a mix of both, or nothing that can be used."""
    nested = np.array([not _scalar(value) for value in values])
    if nested.any():
        raise InputError(
            f"column {name!r} holds values of type {type(values[int(np.argmax(nested))]).__name__} "
            f"(row {np.flatnonzero(present)[nested][0]}): turn them into columns of numbers or text, or drop "
            f"it ({format_option('drop', name)})"
        )
    plain = infer_dtype(values)
    if plain.dtype == object and not any(isinstance(value, str) for value in plain):
        try:
            plain = plain.astype(np.float64)
        except OverflowError:
            raise InputError(
                f"column {name!r} holds a number beyond {_FLOAT32:.1e}: mend it, or drop the column ({format_option('drop', name)})"
            ) from None
    if plain.dtype != object:
        return _numbers(pd.Series(plain) if present.all() else _spread(plain, present), present, name)
    return _strings(np.array([str(value) for value in values], dtype=object), present, name, notices)


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float | np.number | np.bool_) or type(value).__name__ == "Decimal"


def _categories(values: np.ndarray, present: np.ndarray, name: str) -> pd.Series:
    """A column of categories with a sorted vocabulary; ``values`` are the strings of the rows present."""
    codes, distinct = pd.factorize(values)
    if len(distinct) > _MANY and len(distinct) < len(values):
        raise InputError(
            f"column {name!r} has {len(distinct)} different values in {len(values)} rows, more than {_MANY}: merge "
            f"rare ones, name it as id ({format_option('id', name)}) or drop it ({format_option('drop', name)})"
        )
    vocabulary = sorted(distinct)
    place = {value: at for at, value in enumerate(vocabulary)}
    every = np.full(len(present), -1)
    every[present] = np.array([place[value] for value in distinct], dtype=np.int64)[codes]
    return pd.Series(pd.Categorical.from_codes(every, categories=pd.Index(vocabulary, dtype=object)))


def _refuse_dates(example: Any, name: str) -> None:
    raise InputError(
        f"column {name!r} holds dates or times ({example!s:.30}): turn it into numbers (a year, days since) or drop it "
        f"({format_option('drop', name)})"
    )


def _without_use(column: pd.Series, name: str, notices: list[str]) -> bool:
    """Whether a column tells samples apart by nothing, or by nothing but their place."""
    distinct = column.nunique(dropna=False)
    if distinct == 1:
        notices.append(f"Column {name!r} is the same in every row: left out.")
        return True
    if distinct < len(column) or len(column) < _IDENTIFIED:
        return False
    if isinstance(column.dtype, pd.CategoricalDtype):
        notices.append(
            f"Column {name!r} holds another text in every row: left out. Name it as id ({format_option('id', name)}), or as "
            f"text ({format_option('text', name)})."
        )
        return True
    numbers = column.to_numpy()
    if numbers.dtype.kind not in "iu" or int(numbers.max()) - int(numbers.min()) != len(numbers) - 1:
        return False
    if _NUMBERED.fullmatch(name):
        # A data set sorted by class would be learnt from its row numbers alone.
        notices.append(
            f"Column {name!r} numbers the rows: left out. Name it as id ({format_option('id', name)}) to see it in results."
        )
        return True
    notices.append(
        f"Column {name!r} numbers the rows and is used as a feature: if it is an identifier, name it as id "
        f"({format_option('id', name)}) or drop it ({format_option('drop', name)})."
    )
    return False


def is_frame(value: Any) -> bool:
    """Whether a value is a pandas frame, or one that turns into it (polars, pyarrow)."""
    return isinstance(value, pd.DataFrame) or hasattr(value, "to_pandas")
