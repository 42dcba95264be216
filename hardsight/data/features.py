"""Features that learners can read: cleaned tables, checked texts, images as numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data import images
from hardsight.data.columns import RawSamples, check_embedding
from hardsight.data.embeddings import encode_array
from hardsight.data.encoder import Encoder
from hardsight.data.encoding import encode_table, has_dates_or_text, has_text
from hardsight.data.feature_columns.clean import clean_columns, drop_columns
from hardsight.data.feature_columns.column import ColumnNote, describe_notes
from hardsight.data.feature_columns.label_copies import note_label_copies
from hardsight.data.labels import EncodedLabels
from hardsight.data.samples import Kind
from hardsight.data.sparse import count_rows, embed_sparse, is_sparse
from hardsight.data.text import check_text_embedding, check_texts, embed_texts
from hardsight.errors import Faults, InputError


@dataclass(frozen=True)
class Features:
    """Features in the form of :class:`hardsight.Samples`, whose fields these are."""

    features: Any
    kind: Kind
    notices: list[str]
    original: pd.DataFrame | None = None
    embedding: np.ndarray | None = None


def prepare_features(raw: RawSamples, labels: EncodedLabels, embedding: Any, labelled: np.ndarray | None = None) -> Features:
    """Check and clean features, and convert texts, dates and images to numbers.

    Args:
        raw: data that was recognised.
        labels: by which columns that tell the label are recognised.
        embedding: how texts and images become numbers, or numbers ``(sample, feature)``.
        labelled: rows that the labels are for; None for all.

    Raises:
        InputError: features that cannot be used.
    """
    prepared = _prepare(raw, labels, labelled)
    if isinstance(embedding, Encoder):
        vectors, notices = _encode(prepared, embedding)
        return replace(prepared, embedding=vectors, notices=[*prepared.notices, *notices])
    if not isinstance(embedding, str):
        return replace(prepared, embedding=check_embedding(embedding, len(labels.values)))
    numbers, notices = _embed(prepared, embedding)
    return replace(prepared, embedding=numbers, notices=[*prepared.notices, *notices])


def check_features(raw: RawSamples, embedding: Any) -> None:
    """Check features without labels, and what converts them, where labels that cannot be used stop everything else.

    Raises:
        InputError: features that cannot be used; all faults at once.
    """
    faults = Faults()
    with faults.collect():
        if raw.kind == "table":
            clean_columns(raw.features)
        elif raw.kind == "text":
            check_texts(raw.features, raw.names.get("text", "X"))
    with faults.collect():
        if isinstance(embedding, Encoder):
            # Which columns of a table are texts is not known yet.
            if raw.kind != "table":
                _check_encodable(raw.kind, embedding)
        elif not isinstance(embedding, str):
            check_embedding(embedding, count_rows(raw.features))
        elif raw.kind in ("text", "image"):
            (check_text_embedding if raw.kind == "text" else images.check_image_embedding)(embedding)
    faults.raise_all()


def _encode(prepared: Features, encoder: Encoder) -> tuple[np.ndarray, list[str]]:
    if prepared.kind == "table" and has_text(prepared.features):
        return encode_table(prepared.features, encoder), []
    _check_encodable(prepared.kind, encoder)
    if prepared.kind == "text":
        return encoder.encode(prepared.features.tolist(), "text")
    return encode_array(prepared.features, encoder)


def _check_encodable(kind: Kind, encoder: Encoder) -> None:
    if kind not in ("text", "image"):
        raise InputError(
            f"embedding {encoder.name} reads texts or images, and these samples are neither: leave it out, or pass numbers "
            "that describe them, embedding=… (sample, feature)"
        )


def _prepare(raw: RawSamples, labels: EncodedLabels, labelled: np.ndarray | None) -> Features:
    if raw.kind == "table":
        return _prepare_table(raw, labels, labelled)
    if raw.kind == "text":
        ids = raw.ids if isinstance(raw.ids, np.ndarray) and raw.ids.shape == (len(raw.features),) else None
        texts, notices = check_texts(raw.features, raw.names.get("text", "X"), ids)
        return Features(texts, "text", notices)
    if raw.kind == "image" and raw.features.dtype != np.uint8:
        return Features(raw.features.astype(np.result_type(raw.features.dtype, np.float32), copy=False), "image", [])
    return Features(raw.features, raw.kind, [])


def _prepare_table(raw: RawSamples, labels: EncodedLabels, labelled: np.ndarray | None) -> Features:
    table, notes = clean_columns(raw.features)
    original = raw.features.reset_index(drop=True)
    n_classes = None if labels.classes is None else len(labels.classes)
    rows = table if labelled is None else table.iloc[labelled]
    copies = note_label_copies(rows, labels.values, n_classes, raw.label_name)
    table, copies = drop_columns(table, copies)
    left_out = {note.name for note in copies if note.topic == "left out"}
    notes = [*(note for note in notes if note.name not in left_out), *copies]
    if len(table.columns) == 1 and table.iloc[:, 0].dtype == object:
        name = str(table.columns[0])
        notes = [note for note in notes if note.name != name]
        texts, notices = check_texts(table.iloc[:, 0].to_numpy(dtype=object), f"column {name!r}")
        notices = [*describe_notes([*notes, ColumnNote("text", name)]), *notices]
        return Features(texts, "text", notices, original)
    return Features(table, "table", describe_notes(notes), original)


def _embed(prepared: Features, embedding: str) -> tuple[np.ndarray | None, list[str]]:
    """Return the numbers that stand for texts and images, None if the features are numbers themselves; and notices."""
    if prepared.kind == "text":
        return embed_texts(prepared.features, embedding)
    if prepared.kind == "image":
        return images.embed_images(prepared.features, embedding)
    if prepared.kind == "table" and has_dates_or_text(prepared.features):
        # Words are counted once, on all rows: a part of them would be encoded differently.
        return encode_table(prepared.features, embedding), []
    if embedding != "auto" and prepared.kind == "ids":
        raise InputError(f"embedding={embedding!r} needs X, the texts or images: pass them, or an array (sample, feature)")
    if embedding != "auto":
        raise InputError(f"embedding={embedding!r} is for texts and images; these samples are numbers: leave it out")
    return embed_sparse(prepared.features) if is_sparse(prepared.features) else (None, [])
