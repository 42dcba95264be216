"""Values of other libraries as those of pandas, numpy and Python: Arrow arrays, polars series, tensors, enum members."""

from collections.abc import Sequence
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from hardsight.errors import InputError
from hardsight.validation import describe_rows, join_examples


def object_array(items: Sequence[Any]) -> np.ndarray:
    """Return a 1-D object array of the items; numpy itself would unpack tuples and turn numbers into strings."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def to_pandas(value: Any) -> Any:
    """Convert what has ``to_pandas``, such as tables and arrays of Arrow and polars; return anything else unchanged."""
    if isinstance(value, pd.DataFrame | pd.Series | type) or not hasattr(value, "to_pandas"):
        return value
    if type(value).__module__.split(".")[0] == "pyarrow":
        # By default, integers with missing values would become floats, which are targets rather than classes.
        return value.to_pandas(integer_object_nulls=True)
    return value.to_pandas()


def to_series(value: Any, name: str) -> Any:
    """Return one-column frames and arrays of other libraries as a Series; anything else unchanged.

    Args:
        name: what messages call the values.

    Raises:
        InputError: a frame with another number of columns.
    """
    value = to_pandas(value)
    if not isinstance(value, pd.DataFrame):
        return value
    if value.shape[1] != 1:
        examples = join_examples(value.columns, 3)
        one_hot = value.isin((0, 1)).all(axis=None) and (value.sum(axis=1) == 1).all()
        fix = "make its one-hot rows one column, .idxmax(axis=1)" if len(value) and one_hot else "select one"
        raise InputError(f"{name} must be one column. Got a frame of {value.shape[1]} ({examples}): {fix}")
    return value.iloc[:, 0]


def plain_values(values: np.ndarray, name: str) -> np.ndarray:
    """Replace bytes by the text that they encode, and enum members by their names, or by the text or number that they are.

    Args:
        values: ``(sample,)`` of any type.
        name: what messages call the values.

    Raises:
        InputError: bytes that are not UTF-8.
    """
    if values.dtype.kind == "S":
        return np.array(_decode(values.astype(object), name).tolist(), dtype=str)
    if values.dtype != object:
        return values
    kinds = {type(value) for value in values}
    if bytes in kinds:
        values = _decode(values, name)
    if any(issubclass(kind, Enum) for kind in kinds):
        return object_array([_plain_member(value) for value in values])
    return values


def named_values(values: np.ndarray, name: str) -> np.ndarray:
    """Replace what :func:`plain_values` does, and intervals and UUIDs by their text; anything else stays.

    Args:
        values: ``(sample,)`` of any type.
        name: what messages call the values.

    Raises:
        InputError: bytes that are not UTF-8.
    """
    values = plain_values(values, name)
    if values.dtype != object or not any(isinstance(value, pd.Interval | UUID) for value in values):
        return values
    return object_array([str(value) if isinstance(value, pd.Interval | UUID) else value for value in values])


def _plain_member(value: Any) -> Any:
    if not isinstance(value, Enum):
        return value
    return value.value if isinstance(value, str | int | float) else value.name


def _decode(values: np.ndarray, name: str) -> np.ndarray:
    decoded = np.empty(len(values), dtype=object)
    invalid = np.zeros(len(values), dtype=bool)
    for row, value in enumerate(values):
        try:
            decoded[row] = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            invalid[row] = True
    if invalid.any():
        example = values[invalid][0]
        raise InputError(
            f"{name} holds bytes that are not UTF-8. Got {example[:20]!r} ({describe_rows(invalid)}): decode them to text, "
            "[value.decode('latin-1') for value in …], for example"
        )
    return decoded


def is_from(value: Any, package: str) -> bool:
    """Return whether a value's type or one of its base types is defined in a package. Imports nothing."""
    return any(kind.__module__.split(".")[0] == package for kind in type(value).__mro__)


def is_tensor(value: Any) -> bool:
    """Return whether a value is a torch tensor. Imports nothing."""
    return is_from(value, "torch") and hasattr(value, "detach")


def to_numpy(value: Any) -> Any:
    """Convert a tensor to a numpy array on the CPU; return anything else unchanged.

    Raises:
        InputError: a sparse tensor.
    """
    if not is_tensor(value):
        return value
    import torch

    if value.layout != torch.strided:
        raise InputError("the tensor is sparse: pass a dense one (tensor.to_dense())")
    tensor = value.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).resolve_conj().resolve_neg().numpy()
