"""Conversion of data in memory: arrays, frames, lists, tensors and datasets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, get_args

import numpy as np
import pandas as pd

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import Arguments, PerSample, RawSamples, check_sample_count
from hardsight.data.conversion import is_from, to_pandas, to_series
from hardsight.data.embeddings import load_embedding
from hardsight.data.encoder import Encoder
from hardsight.data.features import check_features, prepare_features
from hardsight.data.from_arrays import convert_array
from hardsight.data.from_datasets import is_hugging_face, is_item_store, read_items, to_frame
from hardsight.data.from_frames import convert_frame, convert_series
from hardsight.data.from_ids import convert_ids
from hardsight.data.from_label_sets import LabelSets, find_label_sets
from hardsight.data.image_decoding import encode_images
from hardsight.data.images import find_encoder
from hardsight.data.label_matrix import notice_several
from hardsight.data.labels import EncodedLabels, Task, encode_labels
from hardsight.data.samples import Samples
from hardsight.data.sparse import count_rows
from hardsight.data.unlabelled import MODES, describe_unlabelled, find_labelled, split_samples, take_labelled, take_rows
from hardsight.errors import Faults, InputError
from hardsight.validation import check_choice


def to_samples(
    X: Any,
    y: Any = None,
    *,
    ids: Any = None,
    groups: Any = None,
    weights: Any = None,
    task: str = "auto",
    label: str | None = None,
    text: str | None = None,
    embedding: Any = "auto",
    unlabelled: str = "drop",
    merge_spellings: bool = False,
    labels: Sequence[str] | None = None,
    label_separator: str | None = None,
) -> Samples:
    """Convert data in memory to samples; see :meth:`hardsight.Samples.of` for arguments and errors."""
    if isinstance(X, Samples):
        return X
    X = X if is_hugging_face(X) else to_pandas(X)
    # An iterator can be read only once.
    y, ids, groups, weights = (list(each) if isinstance(each, Iterator) else each for each in (y, ids, groups, weights))
    args = Arguments(X, y, ids, groups, weights, label, text)
    sets = find_label_sets(args, labels, label_separator, merge_spellings=merge_spellings)
    if sets is not None:
        check_choice("task", task, get_args(Task))
        if task == "regression":
            raise InputError("task='regression' is for one number per sample, and these have several labels: leave it out")
        return _convert_label_sets(sets, args, embedding, unlabelled)
    faults = Faults()
    embedding, decoded = load_embedding(embedding)
    if _are_pillow_images(X) and (encoder := find_encoder(embedding)) is not None:
        X, decoded, vectors = encode_images(X, [f"in row {row}" for row in range(len(X))], encoder)
        embedding = embedding if vectors is None else vectors
    raw = _read_arguments(args._replace(X=X), embedding, faults)
    raw.notices[:0] = decoded
    name, whole = label or raw.label_name or "label", raw
    n, labelled = count_rows(raw.features), None
    with faults.collect():
        check_choice("unlabelled", unlabelled, MODES)
    with faults.collect():
        labelled = find_labelled(raw.y, name, n, unlabelled)
    keep_others = labelled is not None and unlabelled == "predict"
    if labelled is not None:
        raw = take_labelled(raw, labelled)
        raw.notices.append(describe_unlabelled(name, n - len(labelled), n, unlabelled))
        if not keep_others and not isinstance(embedding, str | Encoder):
            embedding = take_rows(embedding, labelled)
    per_sample = PerSample(np.arange(count_rows(raw.features)), None, None)
    with faults.collect():
        per_sample = raw.check_columns(merge_spellings=merge_spellings)
    encoded = _read_labels(raw.y, per_sample.ids, task, name, merge_spellings, faults)
    if encoded is None or faults.messages:
        with faults.collect():
            check_features(whole if keep_others else raw, embedding)
        faults.raise_all()
        raise AssertionError("labels are missing without a fault")
    prepared = prepare_features(whole if keep_others else raw, encoded, embedding, labelled if keep_others else None)
    samples = Samples(
        features=prepared.features,
        labels=encoded.values,
        classes=encoded.classes,
        ids=per_sample.ids,
        kind=prepared.kind,
        groups=per_sample.groups,
        original=prepared.original,
        embedding=prepared.embedding,
        weights=per_sample.weights,
        integers=raw.integers,
        label_name=name,
        notices=(*raw.notices, *encoded.notices, *notice_several(encoded.classes, name), *prepared.notices),
    )
    return split_samples(samples, whole.ids, labelled) if labelled is not None and keep_others else samples


def _convert_label_sets(sets: LabelSets, args: Arguments, embedding: Any, unlabelled: str) -> Samples:
    """Return the parts of samples with several labels each.

    Raises:
        InputError: as in :func:`to_samples`.
    """
    whole = to_samples(
        sets.X,
        sets.strata(),
        ids=args.ids,
        groups=args.groups,
        weights=args.weights,
        task="classification",
        label=sets.name,
        text=args.text,
        embedding=embedding,
        unlabelled=unlabelled,
    )
    return sets.split(whole, predict=unlabelled == "predict")


def _are_pillow_images(X: Any) -> bool:
    return isinstance(X, list | tuple) and bool(X) and all(is_from(image, "PIL") for image in X)


def _read_labels(
    y: Any, ids: np.ndarray, task: str, name: str, merge_spellings: bool, faults: Faults
) -> EncodedLabels | None:
    """Encode labels; None if they cannot be used. Faults are collected, a wrong task and those of the labels."""
    with faults.collect():
        check_choice("task", task, get_args(Task))
    with faults.collect():
        known = task if task in get_args(Task) else "auto"
        return encode_labels(y, ids=ids, task=known, name=name, merge_spellings=merge_spellings)
    return None


def _read_arguments(args: Arguments, embedding: Any, faults: Faults) -> RawSamples:
    """Recognise the data; faults of the arguments are collected.

    Raises:
        InputError: features that cannot be read, or too few samples; with the faults so far.
    """
    values = {role: getattr(args, role) for role in ("y", "ids", "groups", "weights")}
    with faults.collect():
        check_indexes(X=args.X, **values, embedding=embedding)
    raw: RawSamples | None = None
    with faults.collect():
        columns = {role: to_series(value, role) for role, value in values.items()}
        raw = _convert(args._replace(**columns))
        check_sample_count(count_rows(raw.features))
        if raw.y is None:
            raise InputError("y is missing: pass one label per sample (y=…)")
    if raw is None or raw.y is None or (faults.messages and _lengths_differ(count_rows(raw.features), values)):
        faults.raise_all()
        raise AssertionError("the data were not read, without a fault")
    return raw


def _lengths_differ(n_samples: int, values: Mapping[str, Any]) -> bool:
    """Return whether there are too few samples, or a Series of another length: its index was the fault already."""
    series = [value for value in values.values() if isinstance(value, pd.Series | pd.DataFrame)]
    return n_samples < 2 or any(len(value) != n_samples for value in series)


def _convert(args: Arguments) -> RawSamples:
    convert = next(convert for recognises, convert in _CONVERTERS if recognises(args.X))
    return convert(args)


def _convert_hugging_face(args: Arguments) -> RawSamples:
    frame, image_column, notices = to_frame(args.X)
    raw = convert_frame(args._replace(X=frame), image_column=image_column, single_text=True)
    raw.notices[:0] = notices
    return raw


def _convert_torch_dataset(args: Arguments) -> RawSamples:
    if args.y is not None and not isinstance(args.y, str):
        raise InputError(f"X ({type(args.X).__name__}) is a dataset that holds its labels: leave y out")
    _refuse_column_names(args)
    elements, labels, notices = read_items(args.X)
    channels_first = bool(elements) and is_from(elements[0], "torch")
    raw = convert_array(args._replace(X=elements, y=labels), channels_first=channels_first)
    raw.notices[:0] = notices
    return raw


def _convert_series(args: Arguments) -> RawSamples:
    _refuse_column_names(args)
    return convert_series(args)


def _is_lazy(X: Any) -> bool:
    return is_from(X, "polars") and hasattr(X, "collect")


def _refuse_lazy(args: Arguments) -> RawSamples:
    raise InputError(f"X is not computed yet ({type(args.X).__name__}): pass X.collect()")


def _convert_array(args: Arguments) -> RawSamples:
    if isinstance(args.X, str | PathLike):
        raise InputError(
            f"X must be data, not the path {str(args.X)!r}: read the file first, hs.read(path, label=…), and pass what it "
            "returns"
        )
    _refuse_column_names(args)
    return convert_array(args)


# The first converter that recognises X; the last one refuses what it cannot convert.
_CONVERTERS: tuple[tuple[Callable[[Any], bool], Callable[[Arguments], RawSamples]], ...] = (
    (lambda X: X is None, convert_ids),
    (_is_lazy, _refuse_lazy),
    (is_hugging_face, _convert_hugging_face),
    (lambda X: isinstance(X, pd.DataFrame), convert_frame),
    (is_item_store, _convert_torch_dataset),
    (lambda X: isinstance(X, pd.Series), _convert_series),
    (lambda X: True, _convert_array),
)


def _refuse_column_names(args: Arguments) -> None:
    kind = type(args.X).__name__
    faults = Faults()
    if args.text is not None:
        faults.messages.append(f"text={args.text!r} names a column, but X ({kind}) has none: leave it out")
    for name in ("y", "ids", "groups", "weights"):
        value = getattr(args, name)
        if isinstance(value, str):
            faults.messages.append(f"{name}={value!r} names a column, but X ({kind}) has none: pass the values")
    faults.raise_all()
