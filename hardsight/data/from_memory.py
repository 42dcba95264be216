"""Conversion of data in memory: arrays, frames, lists, tensors and datasets."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import Arguments, RawSamples, is_from
from hardsight.data.conversion import to_pandas, to_series
from hardsight.data.features import prepare_features
from hardsight.data.frames import is_frame
from hardsight.data.from_arrays import convert_array
from hardsight.data.from_datasets import is_hugging_face, is_item_store, read_items, to_frame
from hardsight.data.from_frames import convert_frame, convert_series
from hardsight.data.labels import encode_labels
from hardsight.data.samples import Samples
from hardsight.data.unlabelled import count_rows, describe_unlabelled, find_labelled, split_samples, take_labelled, take_rows
from hardsight.errors import InputError


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
) -> Samples:
    """Convert data in memory to samples; see :meth:`hardsight.Samples.of` for arguments and errors."""
    if isinstance(X, Samples):
        return X
    X = X if is_hugging_face(X) else to_pandas(X)
    check_indexes(X=X, y=y, ids=ids, groups=groups, weights=weights, embedding=embedding)
    values = {"y": y, "ids": ids, "groups": groups, "weights": weights}
    columns = {role: to_series(value, role) for role, value in values.items()}
    raw = _convert(Arguments(X, label=label, text=text, **columns))
    if raw.y is None:
        raise InputError("y is missing: pass one label per sample (y=…), or the name of the label's column")
    name, whole = label or raw.label_name or "label", raw
    n = count_rows(raw.features)
    labelled = find_labelled(raw.y, name, n, unlabelled)
    keep_others = labelled is not None and unlabelled == "predict"
    if labelled is not None:
        raw = take_labelled(raw, labelled)
        raw.notices.append(describe_unlabelled(name, n - len(labelled), n, unlabelled))
        if not keep_others and not isinstance(embedding, str):
            embedding = take_rows(embedding, labelled)
    per_sample = raw.check_columns(merge_spellings=merge_spellings)
    labels = encode_labels(raw.y, ids=per_sample.ids, task=task, name=name, merge_spellings=merge_spellings)
    prepared = prepare_features(whole if keep_others else raw, labels, embedding, labelled if keep_others else None)
    samples = Samples(
        features=prepared.features,
        labels=labels.values,
        classes=labels.classes,
        ids=per_sample.ids,
        kind=prepared.kind,
        groups=per_sample.groups,
        original=prepared.original,
        embedding=prepared.embedding,
        weights=per_sample.weights,
        integers=raw.integers,
        label_name=name,
        notices=(*raw.notices, *labels.notices, *prepared.notices),
    )
    return split_samples(samples, whole.ids, labelled) if labelled is not None and keep_others else samples


def _convert(args: Arguments) -> RawSamples:
    convert = next(convert for recognises, convert in _CONVERTERS if recognises(args.X))
    return convert(args)


def _convert_hugging_face(args: Arguments) -> RawSamples:
    frame, image_column = to_frame(args.X)
    return convert_frame(args._replace(X=frame), image_column=image_column, single_text=True)


def _convert_torch_dataset(args: Arguments) -> RawSamples:
    if args.y is not None and not isinstance(args.y, str):
        raise InputError(f"X ({type(args.X).__name__}) is a dataset that holds its labels: leave y out")
    _refuse_column_names(args)
    elements, labels = read_items(args.X)
    channels_first = bool(elements) and is_from(elements[0], "torch")
    return convert_array(args._replace(X=elements, y=labels), channels_first=channels_first)


def _convert_series(args: Arguments) -> RawSamples:
    _refuse_column_names(args)
    return convert_series(args)


def _convert_array(args: Arguments) -> RawSamples:
    _refuse_column_names(args)
    return convert_array(args)


# The first converter that recognises X; the last one refuses what it cannot convert.
_CONVERTERS: tuple[tuple[Callable[[Any], bool], Callable[[Arguments], RawSamples]], ...] = (
    (is_hugging_face, _convert_hugging_face),
    (is_frame, convert_frame),
    (is_item_store, _convert_torch_dataset),
    (lambda X: isinstance(X, pd.Series), _convert_series),
    (lambda X: True, _convert_array),
)


def _refuse_column_names(args: Arguments) -> None:
    kind = type(args.X).__name__
    if args.text is not None:
        raise InputError(f"text={args.text!r} names a column, but X ({kind}) has none: leave it out")
    for name in ("y", "ids", "groups", "weights"):
        value = getattr(args, name)
        if isinstance(value, str):
            raise InputError(f"{name}={value!r} names a column, but X ({kind}) has none: pass the values")
