"""Labels that are numbers written as text: with a decimal comma or a unit, or with a few other words among them."""

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.numbers import are_mostly_numbers, parse_numbers
from hardsight.errors import InputError
from hardsight.validation import describe_rows, join_examples

# Up to this many different values are classes, whatever they look like.
_MAX_CLASSES = 20
_LEADING_ZERO = r"[+-]?0\d"
_MAX_EXAMPLES = 3


def read_written_numbers(array: np.ndarray, name: str, ids: np.ndarray, notices: list[str]) -> np.ndarray:
    """Return labels as numbers if they are quantities written as text, and unchanged otherwise; add a notice.

    Quantities are numbers, some with a fraction, a unit or marks between thousands. They have more different values than
    classes would have: more than 20, and more than the square root of the number of samples. Numbers with leading zeros are
    codes.

    Args:
        array: labels, ``(sample,)``.
        name: name of the label.
        ids: ids of the samples, ``(sample,)``.
        notices: a notice is added to them.

    Raises:
        InputError: a few labels among numbers are something else; names them.
    """
    codes, distinct = _factorize(array)
    if len(distinct) <= _MAX_CLASSES or len(distinct) ** 2 <= len(array):
        return array
    if pd.Series(distinct).str.match(_LEADING_ZERO).any():
        return array
    values, details = parse_numbers(distinct)
    if values is None:
        return array
    numeric = np.isfinite(values)
    are_plain = pd.to_numeric(pd.Series(distinct)[numeric], errors="coerce").notna().all()
    if not are_mostly_numbers(numeric) or (are_plain and not (values[numeric] % 1 > 0).any()):
        return array
    _refuse_other_words(
        distinct,
        ~numeric,
        codes,
        name,
        ids,
        "; if the numbers are names of classes, pass task='classification' (--task classification)",
    )
    written = f"written as text ({'; '.join([*details, f'such as {distinct[0]!r}'])})"
    notices.append(
        f"The label {name!r} holds numbers {written}: taken as numbers to predict (regression). If they are classes, pass "
        "task='classification' (--task classification)."
    )
    numbers: np.ndarray = values[codes]
    return numbers


def parse_targets(array: np.ndarray, name: str, ids: np.ndarray, notices: list[str]) -> np.ndarray:
    """Return labels of regression that are not numbers as numbers, ``(sample,)`` float64; add a notice if they have units.

    Raises:
        InputError: a label is not a number; names it.
    """
    plain = pd.to_numeric(pd.Series(array, dtype=object).astype(str), errors="coerce").to_numpy(dtype=np.float64)
    if np.isfinite(plain).all():
        return plain
    codes, distinct = _factorize(array.astype(str))
    values, details = parse_numbers(distinct)
    if values is not None and are_mostly_numbers(np.isfinite(values)):
        _refuse_other_words(distinct, ~np.isfinite(values), codes, name, ids)
    if values is None or not np.isfinite(values).all():
        invalid = ~np.isfinite(plain) if values is None else ~np.isfinite(values)[codes]
        raise InputError(
            f"label {name!r} must be numbers for regression. Got {str(array[invalid][0])[:40]!r} "
            f"({describe_rows(invalid, ids)}): fix the label or pass task='classification' (--task classification)"
        )
    notices.append(
        f"The label {name!r} holds numbers {'; '.join(details)} (such as {distinct[0]!r}) and is read as numbers."
    )
    numbers: np.ndarray = values[codes]
    return numbers


def _factorize(array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return codes into the distinct texts without blanks around them; no texts if a label is something else."""
    codes, distinct = pd.factorize(array.astype(object))
    if not all(isinstance(value, str) for value in distinct):
        return codes, []
    texts = [value.strip() for value in distinct]
    again, unique = pd.factorize(np.array(texts, dtype=object))
    return again[codes], list(unique)


def _refuse_other_words(
    distinct: list[str], stray: np.ndarray, codes: np.ndarray, name: str, ids: np.ndarray, otherwise: str = ""
) -> None:
    if not stray.any():
        return
    shown = join_examples((distinct[index][:40] for index in np.flatnonzero(stray)), _MAX_EXAMPLES)
    rows = describe_rows(stray[codes], ids)
    raise InputError(
        f"label {name!r} holds numbers and also {shown} ({rows}): write a number there, or leave the label empty{otherwise}"
    )
