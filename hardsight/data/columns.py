"""Values with one entry per sample: ids, groups, weights and embeddings, checked and converted."""

import datetime
import numbers
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.conversion import object_array, plain_values, to_numpy, to_pandas, to_series
from hardsight.data.finite import check_finite
from hardsight.data.samples import Kind
from hardsight.data.sparse import count_rows
from hardsight.data.spellings import check_spellings, describe_similar_ids
from hardsight.errors import Faults, InputError
from hardsight.validation import describe_rows, join_names, suggest_name

# Values that are neither numbers nor text but have one spelling each, such as dates and UUIDs, may be ids; these may not.
_NOT_IDS = (list, dict, tuple, set, float, bytes, np.ndarray)
# A message names at most so many columns.
_MAX_COLUMNS = 12


class Arguments(NamedTuple):
    """The arguments of :meth:`hardsight.Samples.of` that say what each part of the data is for."""

    X: Any
    y: Any = None
    ids: Any = None
    groups: Any = None
    weights: Any = None
    label: str | None = None
    text: str | None = None


class PerSample(NamedTuple):
    """Checked values of samples: ``ids`` int64 or str; ``groups`` int64 codes or None; ``weights`` float64 or None."""

    ids: np.ndarray
    groups: np.ndarray | None
    weights: np.ndarray | None


@dataclass
class RawSamples:
    """Data that was recognised, before it is checked against the number of samples."""

    features: Any  # as Samples holds them
    kind: Kind  # what the features are
    y: Any = None
    ids: Any = None
    groups: Any = None
    weights: Any = None
    label_name: str | None = None  # name of the label's column or Series, if any
    integers: bool = False  # whether the features were an array of integers
    names: dict[str, str] = field(default_factory=dict)  # what messages call a role, such as ids → ids (column 'key')
    notices: list[str] = field(default_factory=list)  # what a user should know about how the data was read

    def check_columns(self, *, merge_spellings: bool = False) -> PerSample:
        """Check ids, groups and weights against the number of samples; add notices of those that are spelled alike.

        Args:
            merge_spellings: whether groups that differ only in case, blanks or the encoding of letters are one.

        Raises:
            InputError: fewer than two samples, or values that cannot be used; all faults at once.
        """
        n = count_rows(self.features)
        check_sample_count(n)
        names = {role: self.names.get(role, role) for role in ("ids", "groups", "weights")}
        faults = Faults()
        ids, groups, weights = np.arange(n, dtype=np.int64), None, None
        with faults.collect():
            if self.ids is not None:
                ids = check_ids(self.ids, n, names["ids"])
                self.notices.extend(describe_similar_ids(ids))
        with faults.collect():
            if self.groups is not None:
                groups = encode_groups(self.groups, n, names["groups"], self.notices, merge_spellings=merge_spellings)
                if groups.max() == 0:
                    raise InputError("all samples are in one group: at least two groups are needed, or leave the groups out")
        with faults.collect():
            if self.weights is not None:
                weights = normalize_weights(self.weights, n, names["weights"])
        faults.raise_all()
        return PerSample(ids, groups, weights)


def check_sample_count(n: int) -> None:
    """Refuse fewer than two samples.

    Raises:
        InputError: there are fewer.
    """
    if n < 2:
        raise InputError(f"at least 2 samples are needed. Got {n}: pass data with rows")


def check_column_name(columns: Iterable[Any], name: str, role: str) -> str:
    """Return the name if there is such a column.

    Args:
        role: what the column is for, as messages call it, or "drop".

    Raises:
        InputError: there is no such column; names one that is spelled alike, and the columns.
    """
    names = list(columns)
    if name not in names:
        known = f"the columns are {join_names(names, _MAX_COLUMNS)}" if names else "the data has no columns"
        use = "to drop" if role == "drop" else f"to use as {role}"
        raise InputError(f"there is no column {name!r} {use}{suggest_name(name, names)}: {known}")
    return name


def infer_dtype(values: np.ndarray) -> np.ndarray:
    """Convert an object array without missing values to int64, float64 or bool if all its values allow it."""
    kinds = {type(value) for value in values}
    if not kinds:
        return values
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return values.astype(bool)
    if any(issubclass(kind, bool | np.bool_) for kind in kinds):
        return values
    if all(issubclass(kind, numbers.Integral) for kind in kinds):
        fits = all(-(2**63) <= value < 2**63 for value in values)
        return values.astype(np.int64) if fits else values
    if all(issubclass(kind, numbers.Real) or kind.__name__ == "Decimal" for kind in kinds):
        try:
            return values.astype(np.float64)
        except OverflowError:
            # An integer of hundreds of digits.
            return values
    return values


def to_column(values: Any, name: str) -> np.ndarray:
    """Convert lists, Series, tensors and other sequences to a 1-D array with one value per sample.

    Args:
        values: ``(sample,)`` or ``(sample, 1)``.

    Raises:
        InputError: another shape, not a sequence, or bytes that are not UTF-8.
    """
    values = to_series(to_numpy(values), name)
    if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        native = isinstance(getattr(values, "dtype", None), np.dtype)
        values = np.asarray(values) if native else np.asarray(values, dtype=object)
    elif not isinstance(values, np.ndarray):
        values = _from_iterable(values, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    array: np.ndarray = values
    if array.ndim != 1:
        raise _wrong_shape(name, array.shape)
    return plain_values(array, name)


def _from_iterable(values: Any, name: str) -> np.ndarray:
    if isinstance(values, str | bytes | dict | set) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a sequence with one value per sample. Got {_describe(values)}")
    items = [to_numpy(value) for value in values]
    array = object_array([v.item() if isinstance(v, np.ndarray | np.generic) and v.ndim == 0 else v for v in items])
    lengths = [len(value) for value in array if isinstance(value, list | np.ndarray)]
    if lengths and (len(lengths) != len(array) or set(lengths) != {1}):
        raise _wrong_shape(name, (len(array), max(lengths)))
    return object_array([value[0] for value in array]) if lengths else array


def _wrong_shape(name: str, shape: tuple[int, ...]) -> InputError:
    several = " (several labels per sample: zeros and ones, NaN for unknown, or lists of texts)" if "label" in name else ""
    return InputError(
        f"{name} must hold one value per sample, shape (sample,). Got shape {shape}: pass a 1-D array{several}"
    )


def missing_mask(values: np.ndarray) -> np.ndarray:
    """Return where a value is None, NaN, NA or NaT. ``(sample,)`` bool."""
    return np.asarray(pd.isna(values), dtype=bool)


def missing_ids(array: np.ndarray) -> np.ndarray:
    """Return where an id is missing: None, NaN, or empty text. ``(sample,)`` bool."""
    missing = missing_mask(array)
    if array.dtype.kind in "OUT":
        missing = missing | np.array([isinstance(value, str) and not value for value in array], dtype=bool)
    return missing


def check_ids(values: Any, n: int, name: str = "ids") -> np.ndarray:
    """Convert ids to int64 or str, ``(sample,)``.

    Raises:
        InputError: a number of ids other than ``n``, missing or repeated ids, or values that are neither integers nor text.
    """
    array = to_names(values, n, name)
    repeated = pd.Series(array).duplicated(keep=False).to_numpy()
    if repeated.any():
        value = array[repeated][0]
        first, second = np.flatnonzero(array == value)[:2]
        raise InputError(
            f"{name} must be unique, but {value.item()!r} appears in rows {first} and {second} "
            f"({pd.Series(array[repeated]).nunique()} ids appear more than once): make them unique or leave them out"
        )
    return array


def to_names(values: Any, n: int, name: str) -> np.ndarray:
    """Convert names that may repeat to int64 or str, ``(sample,)``.

    Raises:
        InputError: a number of names other than ``n``, missing names, or values that are neither integers nor text.
    """
    array = to_column(values, name)
    _check_length(array, n, name)
    _refuse_missing(missing_ids(array), name)
    array = _to_int_or_str(infer_dtype(array) if array.dtype == object else array, name)
    if array.dtype.kind == "U":
        _check_encodable(array, name)
    return array


def _to_int_or_str(array: np.ndarray, name: str) -> np.ndarray:
    kind = array.dtype.kind
    if kind == "f":
        invalid = (array != np.floor(array)) | (np.abs(array) >= 2**53)
        if invalid.any():
            raise InputError(
                f"{name} must be integers or text. Got {array[invalid][0].item()!r} ({describe_rows(invalid)}): "
                "convert them to text, or use other values"
            )
        return array.astype(np.int64)
    if kind in "iu":
        return array.astype(np.int64) if array.size and array.max() < 2**63 else array.astype(str)
    if kind == "b":
        raise InputError(f"{name} must be integers or text. Got True and False: use other values")
    if array.dtype == object:
        invalid = np.array([isinstance(value, _NOT_IDS) for value in array])
        if invalid.any():
            raise InputError(
                f"{name} must be integers or text. Got {_describe(array[invalid][0])} in {describe_rows(invalid)}: "
                "convert them to text, or use other values"
            )
    return np.array([str(value) for value in array])


def _check_encodable(ids: np.ndarray, name: str) -> None:
    """Refuse unpaired surrogates, which no file can hold: better before a run than at its end."""
    for row, text in enumerate(ids.tolist()):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{name} must be Unicode text. Got {text!r} in row {row}, with an unpaired surrogate: rename it"
            ) from None


def encode_groups(
    values: Any, n: int, name: str = "groups", notices: list[str] | None = None, *, merge_spellings: bool = False
) -> np.ndarray:
    """Convert groups to int64 codes, ``(sample,)``, numbered in the order of their values.

    Args:
        values: one group per sample: numbers, text or tuples of these.
        n: number of samples.
        name: what messages call the groups.
        notices: a notice is added to them if groups differ only in case, blanks or the encoding of letters.
        merge_spellings: whether such groups are one.

    Raises:
        InputError: a number of groups other than ``n``, missing groups, or values that are not hashable.
    """
    # Groups may be tuples; ids and labels may not.
    are_tuples = isinstance(values, list | tuple) and any(isinstance(value, tuple) for value in values)
    array = object_array(values) if are_tuples else to_column(values, name)
    _check_length(array, n, name)
    # A tuple counts as one value; pandas would look into it.
    missing = np.array([pd.api.types.is_scalar(value) and bool(pd.isna(value)) for value in array], dtype=bool)
    _refuse_missing(missing, name)
    try:
        array, similar = check_spellings(array, name[:1].upper() + name[1:], merge=merge_spellings)
        codes, _ = encode_values(array)
    except TypeError:
        raise InputError(f"{name} must be numbers, text or tuples of these. Got {_describe(array[0])} in row 0") from None
    if notices is not None:
        notices.extend(similar)
    return codes


def normalize_weights(values: Any, n: int, name: str = "weights") -> np.ndarray:
    """Convert weights to float64 with mean 1, ``(sample,)``.

    Args:
        values: one weight per sample, 0 or more.

    Raises:
        InputError: a number of weights other than ``n``; missing, negative or infinite weights; values that are not numbers;
            or all weights 0.
    """
    array = to_column(values, name)
    _check_length(array, n, name)
    _refuse_missing(missing_mask(array), name)
    array = infer_dtype(array) if array.dtype == object else array
    if array.dtype.kind not in "iuf":
        text = np.array([isinstance(value, str) for value in array])
        hint = ": write them as numbers, with a decimal point" if text.any() else ""
        row = int(np.argmax(text))
        raise InputError(f"{name} must be numbers, 0 or more. Got {_describe(array.tolist()[row])} in row {row}{hint}")
    array = array.astype(np.float64)
    invalid = (array < 0) | np.isinf(array)
    if invalid.any():
        raise InputError(
            f"{name} must be finite and 0 or more. Got {array[invalid][0]:g} ({describe_rows(invalid)}): fix them"
        )
    if not array.any():
        raise InputError(f"{name} are all 0: give at least one sample a weight above 0")
    # Divided by the largest first, so that the sum cannot overflow.
    shares: np.ndarray = array / array.max()
    return shares / float(shares.mean())


def check_embedding(embedding: Any, n: int) -> np.ndarray:
    """Check numbers that a user passed as the embedding, and convert them to ``(sample, feature)`` float32.

    Raises:
        InputError: not ``n`` rows of finite numbers.
    """
    array = to_pandas(to_numpy(embedding))
    if isinstance(array, pd.DataFrame | list | tuple):
        try:
            array = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("embedding must be numbers (sample, feature), as many for every sample") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf":
        got = f"shape {array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"embedding must be a name or an array of numbers (sample, feature). Got {got}")
    if len(array) != n:
        raise InputError(f"embedding must have one row per sample: {n} samples, {len(array)} rows")
    check_finite("embedding", array, allow_missing=False)
    return np.ascontiguousarray(array, dtype=np.float32)


def encode_values(values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Return codes ``(sample,)`` int64 into the distinct values, and these sorted, by type first if types differ."""
    if values.dtype.kind in "biufU":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64).reshape(-1), distinct.tolist()
    if all(type(value) is str for value in values):
        codes, strings = pd.factorize(values)
        ranking = np.argsort(np.argsort(np.asarray(strings, dtype=object)))
        return ranking[codes].astype(np.int64), sorted(strings)
    natives = [value.item() if isinstance(value, np.generic) else value for value in values]
    # True == 1 == 1.0: the type must be part of the key.
    keys = [(type(value).__name__, value) for value in natives]
    try:
        order = sorted(set(keys))
    except TypeError:
        order = sorted(set(keys), key=repr)
    codes_of = {key: code for code, key in enumerate(order)}
    return np.array([codes_of[key] for key in keys], dtype=np.int64), [value for _, value in order]


def encode_in_order(values: np.ndarray, classes: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return codes ``(sample,)`` int64 into distinct values whose order is known, and these values."""
    codes = {value: code for code, value in enumerate(classes)}
    return np.array([codes[value] for value in values], dtype=np.int64), classes


def are_dates(kinds: Iterable[type]) -> bool:
    """Return whether any of the types is a date, a time or a time span."""
    temporal = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64, pd.Period)
    return any(issubclass(kind, temporal) for kind in kinds)


def _check_length(array: np.ndarray, n: int, name: str) -> None:
    if len(array) != n:
        raise InputError(f"{name} must have one value per sample: {n} samples, {len(array)} {name}")


def _refuse_missing(missing: np.ndarray, name: str) -> None:
    if missing.any():
        raise InputError(
            f"{name} are missing in {missing.sum()} of {len(missing)} samples ({describe_rows(missing)}): "
            "give every sample one"
        )


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) < 40 and "\n" not in text else type(value).__name__
