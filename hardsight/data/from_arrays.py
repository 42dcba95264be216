"""Conversion of arrays, tensors, sparse matrices and lists to one array of numbers, images or objects."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import Arguments, RawSamples
from hardsight.data.conversion import is_tensor, object_array, to_numpy
from hardsight.data.finite import check_finite
from hardsight.data.frames import unique_names
from hardsight.data.from_datasets import stack_elements
from hardsight.data.samples import Kind
from hardsight.data.sparse import is_sparse, is_sparse_tensor, to_csr
from hardsight.errors import InputError
from hardsight.validation import join_names

_CHANNELS = (1, 3, 4)
_AS_FRAME = "pass pandas.DataFrame(X), of which dates and times are read"
_NUMERIC, _OBJECTS = "biuf", "OUT"


def convert_array(args: Arguments, *, channels_first: bool = False) -> RawSamples:
    """Convert anything like an array.

    Args:
        args: the data and what its parts are for.
        channels_first: whether images of four axes hold their channels first, as tensors do.

    Raises:
        InputError: values that are neither numbers nor text, or of different lengths.
    """
    y = args.y
    label_name = str(y.name) if isinstance(y, pd.Series) and y.name is not None else None
    raw = RawSamples(None, "array", y, args.ids, args.groups, args.weights, label_name)
    if is_sparse(args.X) or is_sparse_tensor(args.X):
        raw.features = to_csr(args.X)
        return raw
    features = _to_array(args.X, raw.notices)
    if features.dtype.kind not in _OBJECTS:
        raw.features, raw.kind = check_numbers(
            features, channels_first=channels_first or is_tensor(args.X), notices=raw.notices
        )
        raw.integers = raw.kind == "array" and features.dtype.kind in "iu"
    elif features.ndim == 1:
        raw.features, raw.kind = features, "text"
    else:
        raw.features, raw.kind = unique_names(pd.DataFrame(features).infer_objects()), "table"
    return raw


def _to_array(X: Any, notices: list[str]) -> np.ndarray:
    """Convert to one array: numbers, or objects if there is text."""
    X = to_numpy(X)
    for recognises, convert in _CONVERTERS:
        if recognises(X):
            return _check_types(convert(X, notices))
    hint = "pass pandas.DataFrame(X)" if isinstance(X, dict) else "convert it to one of these"
    raise InputError(f"X must be an array, a frame, a list, a tensor or a dataset. Got {type(X).__name__}: {hint}")


def _fill_masked(X: Any, notices: list[str]) -> np.ndarray:
    filled: np.ndarray = np.ma.filled(X.astype(np.float64), np.nan)
    return filled


def _is_sized_iterable(X: Any) -> bool:
    return hasattr(X, "__iter__") and hasattr(X, "__len__") and not isinstance(X, dict | set | str | bytes)


def _stack_items(X: Any, notices: list[str]) -> np.ndarray:
    """Convert a list of values, of rows with text, or of arrays or images of one shape."""
    items = list(X)
    if any(isinstance(item, dict) for item in items):
        raise InputError("X is a list of dicts: pass pandas.DataFrame(X)")
    values = [to_numpy(item) for item in items]
    if all(pd.api.types.is_scalar(value) or getattr(value, "ndim", 1) == 0 for value in values):
        return object_array(values)
    if any(isinstance(value, str) for item in items if isinstance(item, list | tuple) for value in item):
        lengths = {len(item) if isinstance(item, list | tuple) else 1 for item in items}
        if len(lengths) > 1:
            raise InputError(
                f"rows of X must have the same length. Got {join_names(sorted(lengths)[:3])} values: fill them up"
            )
        return pd.DataFrame(items).to_numpy(dtype=object)
    array, messages = stack_elements(items)
    notices.extend(messages)
    return array


# The first converter whose test a value passes.
_CONVERTERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, list[str]], np.ndarray]], ...] = (
    (lambda X: isinstance(X, np.ma.MaskedArray), _fill_masked),
    (lambda X: hasattr(X, "__array__"), lambda X, notices: np.asarray(X)),
    (_is_sized_iterable, _stack_items),
)


def _check_types(X: np.ndarray) -> np.ndarray:
    """Return numbers, or objects if there is text."""
    kind = X.dtype.kind
    if kind == "S":
        raise InputError("X holds bytes: decode them to text (np.char.decode(X, 'utf-8')) or convert them to numbers")
    if kind not in _NUMERIC + _OBJECTS:
        fix = {"c": "split it into X.real and X.imag", "M": _AS_FRAME, "m": _AS_FRAME, "V": "pass pandas.DataFrame(X)"}.get(
            kind, "convert it to numbers"
        )
        raise InputError(f"X must hold numbers or text. Got the type {X.dtype}: {fix}")
    if X.ndim == 0:
        raise InputError("X must have one row per sample. Got a single value: pass an array (sample, feature)")
    if kind in _NUMERIC:
        return X
    if X.dtype == object and X.size and X.ndim <= 2 and _is_numeric(X.ravel()):
        return X.astype(np.float64)
    if X.ndim > 2:
        raise InputError(f"X with {X.ndim} axes must hold numbers. Got {X.dtype}: convert it to numbers")
    return np.asarray(X, dtype=object)


def _is_numeric(values: np.ndarray) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, bool | int | float | np.number | np.bool_) for value in present)


def check_numbers(X: np.ndarray, *, channels_first: bool, notices: list[str]) -> tuple[np.ndarray, Kind]:
    """Return numbers as an array or as images, finite where they must be.

    Args:
        X: ``(sample, …)`` numbers.
        channels_first: whether images of four axes hold their channels first.
        notices: receives what a user should know.

    Raises:
        InputError: no feature, infinite numbers, or a column without values.
    """
    if X.ndim == 1:
        X = X.reshape(-1, 1)
    if X.ndim == 4 and X.shape[1] in _CHANNELS and (channels_first or X.shape[-1] not in _CHANNELS):
        X = np.moveaxis(X, 1, -1)
        notices.append(f"Channels were moved last: images are {X.shape[1]} x {X.shape[2]} x {X.shape[3]}.")
    kind: Kind = "image" if X.ndim == 3 or (X.ndim == 4 and X.shape[-1] in _CHANNELS) else "array"
    if 0 in X.shape[1:]:
        raise InputError(f"X must have at least one feature. Got shape {X.shape}")
    if kind == "image" and X.dtype == np.uint8:
        return np.ascontiguousarray(X), kind
    check_finite("X", X, allow_missing=X.ndim == 2 and X.dtype.kind == "f")
    return np.ascontiguousarray(X, dtype=np.result_type(X.dtype, np.float32)), kind
