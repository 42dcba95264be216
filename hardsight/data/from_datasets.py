"""Datasets that hand out items: torch's map-style ones and those of Hugging Face."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data import images
from hardsight.data.columns import is_from, object_array, to_numpy
from hardsight.errors import InputError, first_line
from hardsight.validation import join_names


def is_hugging_face(value: Any) -> bool:
    """Whether a value is of the package ``datasets``, and not of a module of the user's own with the same name."""
    rooms = {"datasets.arrow_dataset", "datasets.dataset_dict", "datasets.iterable_dataset"}
    return any(kind.__module__ in rooms for kind in type(value).__mro__)


def is_item_store(value: Any) -> bool:
    """Whether a value looks like a map-style torch Dataset: it has a length and gives items by number."""
    if isinstance(value, Sequence | dict) or hasattr(value, "__array__") or is_from(value, "scipy"):
        return False
    return is_from(value, "torch") or (hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__"))


def read_items(dataset: Any) -> tuple[list[Any], list[Any]]:
    """Features and labels of a torch Dataset whose items are ``(features, label, …)``; names for labels if it has any.

    Raises:
        InputError: no length, or items of another make.
    """
    try:
        length = len(dataset)
        dataset.__getitem__  # noqa: B018 - a loader has a length but no items
    except (TypeError, AttributeError):
        raise InputError(
            "the dataset has no length: give a map-style dataset (with __len__ and __getitem__) or arrays"
        ) from None
    features, labels = [], []
    for at in range(length):
        item = dataset[at]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise InputError(
                f"items of the dataset must be (features, label) tuples. Got {type(item).__name__} at item {at}: wrap "
                "the dataset, or give X and y"
            )
        features.append(item[0])
        label = to_numpy(item[1])
        labels.append(label.item() if isinstance(label, np.ndarray | np.generic) and label.size == 1 else label)
    names: Any = getattr(dataset, "classes", None)
    if _names_codes(names, labels):
        labels = [names[code] for code in labels]
    return features, labels


def stack_elements(elements: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Arrays, tensors, Pillow images or lists of numbers, one a sample, as one array; and notices.

    Raises:
        InputError: elements of different shapes, or that are no numbers.
    """
    if all(is_from(element, "PIL") for element in elements):
        return images.decode(elements, [f"at row {at}" for at in range(len(elements))])
    try:
        arrays = [np.asarray(to_numpy(element)) for element in elements]
    except ValueError:
        raise InputError("samples are nested lists of different lengths: give all the same shape") from None
    arrays = [_filled(array) for array in arrays]
    if any(array.dtype.kind not in "biuf" for array in arrays):
        odd = next(at for at, array in enumerate(arrays) if array.dtype.kind not in "biuf")
        raise InputError(f"samples must be numbers, text or images. Got {type(elements[odd]).__name__} at row {odd}")
    for at, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"samples must have one shape. Got {arrays[0].shape} at row 0 and {array.shape} at row {at}: pad or "
                "resize them"
            )
    return np.stack(arrays), []


def check_single_split(dataset: Any) -> Any:
    """A dataset of the package ``datasets``, if it is one split that lies there whole.

    Raises:
        InputError: several splits at once, or a streamed dataset.
    """
    kind = type(dataset).__name__
    if kind in ("DatasetDict", "IterableDatasetDict"):
        raise InputError(f"X holds several splits: give one of them, as X[{next(iter(dataset), 'train')!r}]")
    if kind != "Dataset":
        raise InputError(f"X is a streamed dataset ({kind}): load it whole (streaming=False)")
    return dataset


def to_frame(dataset: Any) -> tuple[pd.DataFrame, str | None]:
    """A Hugging Face dataset as a frame, and the name of its image column, if any.

    ClassLabel columns hold their names, image columns decoded Pillow images.

    Raises:
        InputError: several splits at once, a streamed dataset, or several image columns.
    """
    dataset = check_single_split(dataset).with_format(None)
    features = dataset.features
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    pictures = [name for name, kind in kinds.items() if kind == "Image"]
    if len(pictures) > 1:
        raise InputError(f"X has {len(pictures)} image columns ({join_names(pictures)}): keep one (X.remove_columns)")
    frame = dataset.remove_columns(pictures).to_pandas() if len(kinds) > len(pictures) else pd.DataFrame()
    for name, kind in kinds.items():
        if kind == "ClassLabel":
            names = pd.Series(object_array(features[name].names), dtype=object)
            # -1 is the library's mark of an unknown label.
            frame[name] = frame[name].map(lambda code, names=names: names.get(code)).astype(object)
    for name in pictures:
        try:
            frame[name] = pd.Series(object_array(list(dataset[name])), dtype=object)
        except (OSError, ValueError) as fault:
            raise InputError(
                f"image column {name!r} cannot be decoded ({first_line(fault)}): mend its images"
            ) from None
    return frame, pictures[0] if pictures else None


def _filled(array: np.ndarray) -> np.ndarray:
    """Numbers with None among them as floats with NaN; anything else as it is."""
    if array.dtype != object or array.ndim == 0:
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def _names_codes(names: Any, labels: list[Any]) -> bool:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return False
    return len(set(names)) == len(names) and all(type(code) is int and 0 <= code < len(names) for code in labels)
