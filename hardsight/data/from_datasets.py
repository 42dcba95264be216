"""Conversion of datasets that hand out items: torch's map-style datasets and those of Hugging Face."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.conversion import is_from, object_array, to_numpy
from hardsight.data.image_decoding import decode_images
from hardsight.data.item_reading import changed_item, fixed_random_state
from hardsight.errors import InputError, first_line
from hardsight.validation import join_names

_TRANSFORM = (
    "The dataset's transform (set_transform) is not applied: its columns are read as they are stored. To measure what it "
    "gives, store that with map."
)
_HUGGING_FACE = {"datasets.arrow_dataset", "datasets.dataset_dict", "datasets.iterable_dataset"}


def is_hugging_face(value: Any) -> bool:
    """Return whether a value is from the package ``datasets``, not from a user's own module of the same name."""
    return any(kind.__module__ in _HUGGING_FACE for kind in type(value).__mro__)


def is_item_store(value: Any) -> bool:
    """Return whether a value looks like a map-style torch Dataset: it has a length and gives items by index."""
    if isinstance(value, Sequence | dict) or hasattr(value, "__array__") or is_from(value, "scipy"):
        return False
    return is_from(value, "torch") or (hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__"))


def read_items(dataset: Any) -> tuple[list[Any], list[Any], list[str]]:
    """Read features and labels of a torch Dataset whose items are ``(features, label, …)``; also return notices.

    Labels are names if the dataset has a list ``classes`` of them. Random transforms draw the same numbers in every call,
    and a notice tells of them.

    Raises:
        InputError: a dataset without a length, or with items of another structure.
    """
    if is_loader(dataset):
        raise InputError(f"X is a loader ({type(dataset).__name__}): pass its dataset, X.dataset")
    try:
        length = len(dataset)
        dataset.__getitem__  # noqa: B018 - a loader has a length but no items
    except (TypeError, AttributeError):
        raise InputError(
            "the dataset has no length: pass a map-style dataset (with __len__ and __getitem__) or arrays"
        ) from None
    with fixed_random_state():
        items = [_read_item(dataset, index) for index in range(length)]
        changed = changed_item(lambda index: _read_item(dataset, index), length, items)
    features, labels = [item[0] for item in items], [item[1] for item in items]
    names: Any = getattr(dataset, "classes", None)
    if _are_names_of(names, labels):
        labels = [names[code] for code in labels]
    return features, labels, [] if changed is None else [_describe_random_items(changed)]


def is_loader(value: Any) -> bool:
    """Return whether a value is a loader, which gives batches of a dataset in any order."""
    return is_from(value, "torch") and hasattr(value, "dataset") and hasattr(value, "collate_fn")


def _read_item(dataset: Any, index: int) -> tuple[Any, Any]:
    item = dataset[index]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise InputError(
            f"items of the dataset must be (features, label) tuples. Got {type(item).__name__} at item {index}: wrap "
            "the dataset, or pass X and y"
        )
    label = to_numpy(item[1])
    return item[0], label.item() if isinstance(label, np.ndarray | np.generic) and label.size == 1 else label


def _describe_random_items(index: int) -> str:
    return (
        f"Item {index} of the dataset changes when it is read again, as with random augmentation. Each sample was measured "
        "as first read. Pass the dataset without augmentation, and augment only in training: with hs.Network(…, augment=…), "
        "or in your own loop, hs.Loop(train, predict)."
    )


def stack_elements(elements: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Stack arrays, tensors, Pillow images or lists of numbers, one per sample, into one array; also return notices.

    Raises:
        InputError: elements of different shapes, or that are not numbers.
    """
    if all(is_from(element, "PIL") for element in elements):
        return decode_images(elements, [f"in row {row}" for row in range(len(elements))])
    try:
        arrays = [_none_to_nan(np.asarray(to_numpy(element))) for element in elements]
    except ValueError:
        raise InputError("samples are nested lists of different lengths: bring all to one shape") from None
    for row, array in enumerate(arrays):
        if array.dtype.kind not in "biuf":
            raise InputError(f"samples must be numbers, text or images. Got {type(elements[row]).__name__} in row {row}")
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"samples must have one shape. Got {arrays[0].shape} in row 0 and {array.shape} in row {row}: pad or "
                "resize them"
            )
    return np.stack(arrays), []


def check_single_split(dataset: Any) -> Any:
    """Return a dataset of the package ``datasets`` if it is a single split that is fully loaded.

    Raises:
        InputError: several splits at once, or a streamed dataset.
    """
    kind = type(dataset).__name__
    if kind in ("DatasetDict", "IterableDatasetDict"):
        raise InputError(f"X holds several splits: pass one of them, as X[{next(iter(dataset), 'train')!r}]")
    if kind != "Dataset":
        raise InputError(f"X is a streamed dataset ({kind}): load all of it (streaming=False)")
    return dataset


def has_transform(dataset: Any) -> bool:
    """Return whether a Hugging Face dataset passes its rows through a function (``set_transform``)."""
    return bool(dataset.format["type"] == "custom")


def to_frame(dataset: Any) -> tuple[pd.DataFrame, str | None, list[str]]:
    """Convert a Hugging Face dataset to a frame; also return the name of its image column, if any, and notices.

    ClassLabel columns hold their names, image columns decoded Pillow images.

    Raises:
        InputError: several splits at once, a streamed dataset, or several image columns.
    """
    dataset = check_single_split(dataset)
    notices = [_TRANSFORM] if has_transform(dataset) else []
    dataset = dataset.with_format(None)
    features = dataset.features
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    image_columns = [name for name, kind in kinds.items() if kind == "Image"]
    if len(image_columns) > 1:
        raise InputError(
            f"X must have one image column. Got {len(image_columns)} ({join_names(image_columns)}): keep one "
            "(X.remove_columns)"
        )
    frame = dataset.remove_columns(image_columns).to_pandas() if len(kinds) > len(image_columns) else pd.DataFrame()
    for name, kind in kinds.items():
        if kind == "ClassLabel":
            names = pd.Series(object_array(features[name].names), dtype=object)
            # -1 is the library's mark of an unknown label.
            frame[name] = frame[name].map(lambda code, names=names: names.get(code)).astype(object)
    for name in image_columns:
        try:
            frame[name] = pd.Series(object_array(list(dataset[name])), dtype=object)
        except (OSError, ValueError) as error:
            raise InputError(f"image column {name!r} cannot be decoded ({first_line(error)}): fix its images") from None
    return frame, image_columns[0] if image_columns else None, notices


def _none_to_nan(array: np.ndarray) -> np.ndarray:
    """Return numbers with None among them as floats with NaN, and anything else unchanged."""
    if array.dtype != object or array.ndim == 0:
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array


def _are_names_of(names: Any, labels: list[Any]) -> bool:
    """Return whether the names are unique strings and every label is an index into them."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return False
    return len(set(names)) == len(names) and all(type(code) is int and 0 <= code < len(names) for code in labels)


def read_lists_of_labels(data: Any, column: str) -> list[Any]:
    """Return the values of a column of a Hugging Face dataset; in lists of a ClassLabel, the names of its codes.

    Raises:
        InputError: a code has no name.
    """
    values = list(data[column])
    names = getattr(getattr(data.features[column], "feature", None), "names", None)
    if names is None:
        return values
    unknown = sorted({code for each in values for code in each or ()} - set(range(len(names))))
    if unknown:
        raise InputError(
            f"column {column!r} has labels without a name, such as {unknown[0]}: names are {join_names(names, 12)}"
        )
    return [None if each is None else [names[code] for code in each] for each in values]
