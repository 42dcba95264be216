"""What stands once a sample: columns of values, ids, groups, and how rows are named in messages."""

import datetime
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hardsight.errors import InputError
from hardsight.validation import describe_rows


def is_from(value: Any, package: str) -> bool:
    """Whether a value's type, or a type that it derives from, is of some package. Imports nothing."""
    return any(kind.__module__.split(".")[0] == package for kind in type(value).__mro__)


def to_numpy(value: Any) -> Any:
    """A tensor as a numpy array on the CPU; anything else as it is.

    Raises:
        InputError: a sparse tensor.
    """
    if not (is_from(value, "torch") and hasattr(value, "detach")):
        return value
    if value.layout != _strided():
        raise InputError("the tensor is sparse: give a dense one (tensor.to_dense())")
    tensor = value.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).resolve_conj().resolve_neg().numpy()


def _strided() -> Any:
    import torch

    return torch.strided


def object_array(items: Sequence[Any]) -> np.ndarray:
    """A 1-D object array of the items as they are; numpy itself would unpack tuples and turn numbers into strings."""
    array = np.empty(len(items), dtype=object)
    for at, item in enumerate(items):
        array[at] = item
    return array


def infer_dtype(values: np.ndarray) -> np.ndarray:
    """An object array without missing values as int64, float64 or bool where all its values are such; else itself."""
    kinds = {type(value) for value in values}
    if not kinds:
        return values
    if all(issubclass(kind, bool | np.bool_) for kind in kinds):
        return values.astype(bool)
    if any(issubclass(kind, bool | np.bool_) for kind in kinds):
        return values
    if all(issubclass(kind, numbers.Integral) for kind in kinds):
        inside = all(-(2**63) <= value < 2**63 for value in values)
        return values.astype(np.int64) if inside else values
    if all(issubclass(kind, numbers.Real) or kind.__name__ == "Decimal" for kind in kinds):
        try:
            return values.astype(np.float64)
        except OverflowError:
            # A whole number of hundreds of digits.
            return values
    return values


def to_column(values: Any, what: str) -> np.ndarray:
    """One value a sample: lists, Series, tensors and more as a 1-D array.

    Args:
        values: ``(sample,)`` or ``(sample, 1)``.
        what: how messages call it.

    Raises:
        InputError: another shape, or no sequence at all.
    """
    values = to_numpy(values)
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    elif isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        kind = getattr(values, "dtype", None)
        native = isinstance(kind, np.dtype)
        values = np.asarray(values) if native else np.asarray(values, dtype=object)
    elif not isinstance(values, np.ndarray):
        if isinstance(values, str | bytes | dict | set) or not isinstance(values, Iterable):
            raise InputError(f"{what} must be a sequence with one value a sample. Got {_brief(values)}")
        values = object_array([to_numpy(value) for value in values])
        values = object_array(
            [v.item() if isinstance(v, np.ndarray | np.generic) and v.ndim == 0 else v for v in values]
        )
        lengths = [len(value) for value in values if isinstance(value, list | np.ndarray)]
        if lengths:
            shape = (len(values), lengths[0])
            raise InputError(
                f"{what} must hold one value a sample, shape (sample,). Got shape {shape}: give a 1-D array"
            )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    array: np.ndarray = values
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.ndim != 1:
        raise InputError(
            f"{what} must hold one value a sample, shape (sample,). Got shape {array.shape}: give a 1-D array"
        )
    return array


def missing_mask(values: np.ndarray) -> np.ndarray:
    """Where a value is None, NaN, NA or NaT. ``(sample,)`` bool."""
    return np.asarray(pd.isna(values), dtype=bool)


def check_ids(values: Any, n: int, what: str = "ids") -> np.ndarray:
    """Ids as int64 or str, ``(sample,)``.

    Raises:
        InputError: not ``n`` of them, missing ones, repeated ones, or values that are neither whole numbers nor text.
    """
    array = to_column(values, what)
    _same_length(array, n, what)
    empty = missing_mask(array)
    if array.dtype.kind in "OUT":
        empty = empty | np.array([isinstance(value, str) and not value for value in array], dtype=bool)
    if empty.any():
        raise InputError(
            f"{what} are missing in {empty.sum()} of {n} samples ({describe_rows(empty)}): give every sample one"
        )
    array = infer_dtype(array) if array.dtype == object else array
    if array.dtype.kind == "f":
        odd = (array != np.floor(array)) | (np.abs(array) >= 2**53)
        if odd.any():
            raise InputError(
                f"{what} must be whole numbers or text. Got {array[odd][0].item()!r} ({describe_rows(odd)}): name others"
            )
        array = array.astype(np.int64)
    elif array.dtype.kind in "iu":
        array = array.astype(np.int64) if array.size and array.max() < 2**63 else array.astype(str)
    elif array.dtype.kind == "b":
        raise InputError(f"{what} must be whole numbers or text. Got True and False: name another column")
    else:
        odd = np.array([not isinstance(value, str | int | np.integer) for value in array])
        if array.dtype == object and odd.any():
            # Dates, UUIDs and the like have one spelling each; lists and floats have not.
            strange = np.array(
                [isinstance(value, list | dict | tuple | set | float | bytes | np.ndarray) for value in array]
            )
            if strange.any():
                got = _brief(array[strange][0])
                raise InputError(
                    f"{what} must be whole numbers or text. Got {got} at {describe_rows(strange)}: name another column"
                )
        array = np.array([str(value) for value in array])
    if array.dtype.kind == "U":
        _refuse_halves(array, what)
    twice = pd.Series(array).duplicated(keep=False).to_numpy()
    if twice.any():
        value = array[twice][0]
        again = np.flatnonzero(array == value)
        raise InputError(
            f"{what} must be unique, but {value.item()!r} stands at rows {again[0]} and {again[1]} "
            f"({pd.Series(array[twice]).nunique()} of them stand more than once): make them unique or leave them out"
        )
    return array


def _refuse_halves(ids: np.ndarray, what: str) -> None:
    """Refuse half surrogate pairs, which no file holds: better before a run than at its end."""
    for at, name in enumerate(ids.tolist()):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{what} must be Unicode text, and {name!r} at row {at} holds half a surrogate pair: rename it"
            ) from None


def encode_groups(values: Any, n: int, what: str = "groups") -> np.ndarray:
    """Groups as int64 codes, ``(sample,)``, numbered in the order of their values.

    Raises:
        InputError: not ``n`` of them, missing ones, or values that cannot be compared.
    """
    # Tuples may be groups, where ids and labels are single values.
    array = object_array(values) if isinstance(values, list | tuple) else to_column(values, what)
    _same_length(array, n, what)
    # A tuple counts as one value, where pandas would look into it.
    empty = np.array([pd.api.types.is_scalar(value) and bool(pd.isna(value)) for value in array], dtype=bool)
    if empty.any():
        raise InputError(
            f"{what} are missing in {empty.sum()} of {n} samples ({describe_rows(empty)}): give every sample one"
        )
    try:
        codes, _ = encode_values(array)
    except TypeError:
        raise InputError(f"{what} must be numbers, text or tuples of such. Got {_brief(array[0])} at row 0") from None
    return codes


def normalize_weights(values: Any, n: int, what: str = "weights") -> np.ndarray:
    """Weights as float64 with mean 1, ``(sample,)``.

    Raises:
        InputError: not ``n`` of them, missing, negative or infinite ones, no numbers, or none above 0.
    """
    array = to_column(values, what)
    _same_length(array, n, what)
    empty = missing_mask(array)
    if empty.any():
        raise InputError(
            f"{what} are missing in {empty.sum()} of {n} samples ({describe_rows(empty)}): give every sample one"
        )
    array = infer_dtype(array) if array.dtype == object else array
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} must be numbers. Got {_brief(array.tolist()[0])} at row 0: give numbers, 0 or more")
    array = array.astype(np.float64)
    odd = (array < 0) | np.isinf(array)
    if odd.any():
        raise InputError(
            f"{what} must be finite and 0 or more. Got {array[odd][0]:g} ({describe_rows(odd)}): mend them"
        )
    if not array.any():
        raise InputError(f"{what} are all 0: give at least one sample weight")
    # The largest first, so that the sum cannot overflow.
    shares: np.ndarray = array / array.max()
    return shares / float(shares.mean())


def check_embedding(embedding: Any, n: int) -> np.ndarray:
    """Numbers that a user has for the samples, checked, ``(sample, feature)`` float32.

    Raises:
        InputError: not ``n`` rows of finite numbers.
    """
    array = to_numpy(embedding)
    if isinstance(array, pd.DataFrame | list | tuple):
        try:
            array = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("embedding must be numbers (sample, feature), as many for every sample") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf":
        got = f"shape {array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"embedding must be a name or an array of numbers (sample, feature). Got {got}")
    if len(array) != n:
        raise InputError(f"embedding must have one row a sample: {n} samples, {len(array)} rows")
    odd = ~(np.abs(array) <= np.finfo(np.float32).max)
    if odd.any():
        row, place = (int(axis) for axis in np.argwhere(odd)[0])
        raise InputError(
            f"embedding must be finite. Got {array[row, place].item()} at [{row}, {place}]: mend the values"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def encode_values(values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Codes ``(sample,)`` int64 into the distinct values; those sorted, by type first where types differ."""
    if values.dtype.kind in "biufU":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64).reshape(-1), distinct.tolist()
    natives = [value.item() if isinstance(value, np.generic) else value for value in values]
    # True == 1 == 1.0: the type must be part of the key.
    keys = [(type(value).__name__, value) for value in natives]
    try:
        order = sorted(set(keys))
    except TypeError:
        order = sorted(set(keys), key=repr)
    code = {key: at for at, key in enumerate(order)}
    return np.array([code[key] for key in keys], dtype=np.int64), [value for _, value in order]


def are_dates(kinds: Iterable[type]) -> bool:
    """Whether some types are dates, times or spans of time."""
    clock = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64, pd.Period)
    return any(issubclass(kind, clock) for kind in kinds)


def _same_length(array: np.ndarray, n: int, what: str) -> None:
    if len(array) != n:
        raise InputError(f"{what} must have one value a sample: {n} samples, {len(array)} {what}")


def _brief(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown}" if len(shown) < 40 and "\n" not in shown else type(value).__name__
