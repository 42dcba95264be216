"""Columns of texts, converted by what they are for: labels and ids keep their spelling, features become numbers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hardsight.data import decimal_comma
from hardsight.data.feature_columns.column import MISSING as MISSING_WORDS
from hardsight.data.read_options import ReadOptions
from hardsight.validation import join_names

# What counts as missing in a feature: the words of pandas.read_csv.
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
# What counts as missing in a label of text, and marks that do so in a label of numbers.
_NO_LABEL = ("", "\\N")
_MISSING_MARKS = frozenset(word for word in MISSING_WORDS if not any(map(str.isalpha, word)) or word in ("\\n", "#n/a"))
# Names of classes that often mean that there is no label. "None" and "NA" are left out: they name things, too.
_DOUBTFUL_CLASSES = frozenset(("?", "-", "--", "#n/a", "n/a", "<na>", "nan", "null", "missing"))
_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_BLANKS = " \t"
_CANONICAL_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_LEADING_ZERO = r"^[ \t]*[+-]?0[0-9]+[ \t]*$"
# A label is a quantity with more distinct numbers than this, and than the square root of the rows, some with a fraction.
_MAX_CODES = 20
_MAX_EXAMPLE_LETTERS = 30
# A column of text mostly shows in so many of its cells.
_HEAD = 1000


def convert_columns(
    names: list[str], columns: list[pa.ChunkedArray | None], options: ReadOptions
) -> tuple[pd.DataFrame, list[str]]:
    """Convert the columns of a table of texts by their roles; also return notices. Dropped columns are left out.

    Args:
        names: unique names of the columns.
        columns: one array of strings per name, without nulls; emptied, so that one column at a time is held twice.
    """
    roles = {name: role for role, name in options.columns.items()}
    notices: list[str] = []
    series: dict[str, pd.Series] = {}
    has_comma = decimal_comma.find_decimal_comma([column for column in columns if column is not None])
    rewritten: list[str] = []
    for index, name in enumerate(names):
        texts, columns[index] = columns[index], None
        if name in options.drop:
            continue
        role = roles.get(name, "feature")
        if has_comma and (role in ("feature", "weights") or (role == "label" and options.task != "classification")):
            numbers = decimal_comma.rewrite_number(texts)
            if numbers is not None:
                texts = numbers
                rewritten.append(name)
        series[name] = convert_role(texts, role, name, options.task, notices)
    if rewritten:
        notices.append(decimal_comma.describe_rewritten(rewritten))
    return pd.DataFrame(series, copy=False), notices


def convert_role(texts: pa.ChunkedArray, role: str, name: str, task: str, notices: list[str]) -> pd.Series:
    """Convert one column of texts by its role: a role of :data:`hardsight.data.read_options.ROLES`, or "feature".

    - ids: integers if all are spelled as integers are, else text; only an empty cell is missing.
    - labels and groups: numbers if no two spellings of a number occur, else text; see :func:`_codes`.
    - text: as it is; an empty cell is an empty text.
    - weights and features: numbers, booleans or text, as :func:`pandas.read_csv` reads them, but numbers with leading zeros
      are codes and stay text.
    """
    if role == "text":
        return _to_series(texts)
    if role == "id":
        return _ids(texts)
    if role in ("label", "group"):
        return _codes(texts, role, name, task, notices)
    return _feature(texts)


def _to_series(column: pa.ChunkedArray) -> pd.Series:
    series: pd.Series = column.to_pandas()
    return series


def _ids(texts: pa.ChunkedArray) -> pd.Series:
    if len(texts) and pc.all(pc.match_substring_regex(texts, _CANONICAL_INTEGER)).as_py():
        return _to_series(texts.cast(pa.int64()))
    return _to_series(_without(texts, ("",)))


def _codes(texts: pa.ChunkedArray, role: str, name: str, task: str, notices: list[str]) -> pd.Series:
    """Convert labels or groups.

    They are numbers or booleans if all cells are, apart from empty ones and words such as NA, and if that loses no spelling:
    no leading zeros, and no number in two spellings, such as 250.1 and 250.10. A quantity may have several spellings. In a
    column of text, "NA" and "None" are values, and only an empty cell is missing.
    """
    trimmed = pc.utf8_trim(texts, _BLANKS)
    distinct = trimmed.unique()
    known = _without(distinct, MISSING).drop_null()
    values = _parse(known) if len(known) else None
    marks = (
        [text for text in known.to_pylist() if text.lower() in _MISSING_MARKS] if values is None and role == "label" else []
    )
    if marks:
        numbers = _without(known, tuple(marks)).drop_null()
        values = _parse(numbers) if len(numbers) else None
    if values is None:
        if role == "label":
            notices += _doubtful_classes(name, distinct.drop_null().to_pylist())
        return _to_series(_without(texts, _NO_LABEL if role == "label" else ("",)))
    if marks:
        known = numbers
        texts = pc.if_else(pc.is_in(pc.utf8_trim(texts, _BLANKS), value_set=pa.array(marks, texts.type)), "", texts)
        notices.append(f"Label {name!r} holds numbers; {join_names(marks)} counts as missing.")
    example = _lost_spelling(known, values)
    is_quantity = role == "label" and (task == "regression" or (task == "auto" and _is_quantity(values, len(texts))))
    if example is None and len(known) < len(distinct) and values.dtype.kind in "iu" and (np.abs(values) > 2**53).any():
        # Beside missing ones, numbers are floats, in which such integers are merged.
        example = (
            f"{_shorten(known[int(np.argmax(np.abs(values)))])} is too large for a column of numbers with missing values"
        )
    if example is None or is_quantity:
        if example is not None and task == "auto":
            notices.append(
                f"Label {name!r} is read as numbers, though {example}: if these are classes, pass task='classification' "
                "(--task classification)."
            )
        return _feature(texts, codes_are_text=False)
    notices.append(f"{role.capitalize()} {name!r} is read as text: {example}.")
    return _to_series(_without(texts, ("",)))


def _doubtful_classes(name: str, classes: list[str]) -> list[str]:
    """Return a notice of classes whose name often means that there is no label."""
    words = sorted(text for text in classes if text.lower() in _DOUBTFUL_CLASSES)
    if not words:
        return []
    named = join_names(words)
    return [f"Label {name!r} has classes that may mean that there is no label: {named}. If so, empty these cells."]


def _lost_spelling(known: pa.Array, values: np.ndarray) -> str | None:
    """Return why distinct texts would lose their spelling as numbers, or None."""
    zeros = known.filter(pc.match_substring_regex(known, _LEADING_ZERO))
    if len(zeros):
        return f"{_shorten(zeros[0])} begins with a zero"
    # Booleans and very large integers have spellings of their own, too.
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[codes] > 1)
    if not len(repeated):
        return None
    same = np.flatnonzero(codes == codes[repeated[0]])[:2]
    first, second = (_shorten(known[int(index)]) for index in same)
    return f"{first} and {second} would be the same"


def _shorten(text: pa.Scalar) -> str:
    return repr(text.as_py()[:_MAX_EXAMPLE_LETTERS])


def _is_quantity(values: np.ndarray, n: int) -> bool:
    if values.dtype.kind != "f":
        return False
    distinct = np.unique(values[np.isfinite(values)])
    return len(distinct) > _MAX_CODES and len(distinct) ** 2 > n and bool((distinct != np.floor(distinct)).any())


def _feature(texts: pa.ChunkedArray, codes_are_text: bool = True) -> pd.Series:
    """Convert a column of features to int64, float64, bool or text, with missing values as NaN."""
    present = _without(texts, MISSING)
    values = _parse(present, codes_are_text)
    return _to_series(present) if values is None else pd.Series(values)


def _without(texts: pa.ChunkedArray, words: tuple[str, ...]) -> pa.ChunkedArray:
    """Return the texts with some words as nulls."""
    missing = pc.is_in(texts, value_set=pa.array(words, texts.type))
    return pc.if_else(missing, pa.scalar(None, texts.type), texts) if pc.any(missing).as_py() else texts


def _parse(texts: pa.ChunkedArray | pa.Array, codes_are_text: bool = False) -> np.ndarray | None:
    """Return texts with nulls as an array of numbers or booleans, NaN for nulls; None if they are something else.

    Every number is the float or integer closest to its decimal digits, as ``float(text)`` and ``int(text)`` give it.
    """
    if texts.null_count == len(texts):
        return np.full(len(texts), np.nan) if len(texts) else None
    head = texts.slice(0, _HEAD)
    if len(texts) > len(head) > head.null_count and _parse(head, codes_are_text) is None:
        return None
    for parse in (_integers, _floats, _booleans):
        values = parse(texts)
        if values is not None:
            are_codes = codes_are_text and parse is not _booleans
            return None if are_codes and pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py() else values
    return None


def _integers(texts: pa.ChunkedArray) -> np.ndarray | None:
    if texts.null_count:
        # pandas holds them as floats.
        return None
    for kind in (pa.int64(), pa.uint64()):
        numbers = _cast(texts, kind)
        # Arrow also takes 0x1f for an integer.
        if numbers is not None and not pc.any(pc.match_substring(texts, "x", ignore_case=True)).as_py():
            return _to_numpy(numbers)
    return None


def _floats(texts: pa.ChunkedArray) -> np.ndarray | None:
    numbers = _cast(texts, pa.float64())
    return None if numbers is None else _to_numpy(numbers)


def _cast(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    for is_plain in (True, False):
        try:
            return (texts if is_plain else _without_blanks_and_plus(texts)).cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _without_blanks_and_plus(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(pc.utf8_trim(texts, _BLANKS), r"^\+([0-9.])", r"\1")


def _to_numpy(numbers: pa.ChunkedArray) -> np.ndarray:
    array: np.ndarray = numbers.to_numpy()
    return array


def _booleans(texts: pa.ChunkedArray) -> np.ndarray | None:
    words = pa.array(list(_BOOLEANS))
    if not pc.all(pc.is_in(texts.drop_null(), value_set=words)).as_py():
        return None
    values = np.array([*_BOOLEANS.values(), np.nan], dtype=object)
    codes = pc.fill_null(pc.index_in(texts, value_set=words), len(_BOOLEANS)).to_numpy()
    booleans: np.ndarray = values[codes]
    return booleans if texts.null_count else booleans.astype(bool)
