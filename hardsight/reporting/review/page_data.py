"""What samples are, packed for a page: small images, beginnings of texts, and values with their usual ranges."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.reporting.formatting import format_line
from hardsight.reporting.outlier_values import find_rare, is_missing_rare, is_numeric, usual_range
from hardsight.reporting.packing import PackedArrays, compact_codes, compact_numbers
from hardsight.reporting.report.examples import contents_of, has_texts_of_parts, is_shown_as_text, sample_text
from hardsight.reporting.report.thumbnails import PIXELATED, brightness_range, encode_image

# Bytes of samples that a page may hold: what a browser opens in about a second.
MAX_BYTES = 32 * 2**20
TEXT_HELD = 4000
COLUMNS_HELD = 100
ITEMS_HELD = 5000
SIDE = 160


class PackedSamples(NamedTuple):
    """Packed samples."""

    packed: PackedArrays
    about: dict[str, Any]  # their kind, and what the script needs to show them; JSON types only
    place: np.ndarray  # of each row's sample among the packed ones, (row,) int32; -1: it did not fit


class _Packed(NamedTuple):
    packed: PackedArrays
    about: dict[str, Any]
    rows: np.ndarray  # positions of the packed samples, (packed,) int64


def pack_samples(samples: Samples, ranking: np.ndarray, most: int = MAX_BYTES) -> PackedSamples:
    """Pack as many samples as fit into ``most`` bytes.

    Args:
        ranking: positions of the rows, the most important first, ``(row,)``.
        most: bytes before compression.
    """
    if has_texts_of_parts(samples):
        # The page holds these texts beside the result.
        return PackedSamples(PackedArrays(), {"kind": "parts", "held": 0}, np.full(len(samples), -1, dtype=np.int32))
    shown, row = contents_of(samples)
    # Once per sample, however many parts it has.
    contents = _pack(shown, pd.unique(row[ranking]), most)
    place = np.full(len(shown), -1, dtype=np.int32)
    place[contents.rows] = np.arange(len(contents.rows))
    return PackedSamples(contents.packed, contents.about | {"held": int((place[row] >= 0).sum())}, place[row])


def _pack(samples: Samples, ranking: np.ndarray, most: int) -> _Packed:
    if samples.kind == "image":
        return _pack_images(samples, ranking, most)
    return _pack_texts(samples, ranking, most) if is_shown_as_text(samples) else _pack_rows(samples, ranking, most)


def is_pixelated(samples: Samples) -> bool:
    """Return whether images are small enough to be enlarged as squares."""
    return max(np.shape(samples.features[:1])[1:3], default=0) <= PIXELATED


def _pack_images(samples: Samples, ranking: np.ndarray, most: int) -> _Packed:
    images, size = [], 0
    for image in encode_images(samples, ranking):
        size += len(image)
        if size > most:
            break
        images.append(image)
    packed = PackedArrays()
    packed.add_files("images", images)
    return _Packed(packed, {"kind": "image", "pixelated": is_pixelated(samples)}, ranking[: len(images)])


def encode_images(samples: Samples, index: np.ndarray) -> Iterator[bytes]:
    """Yield PNG files of some samples."""
    images = np.asarray(samples.features)
    span = brightness_range(images)
    return (encode_image(images[i], span, SIDE).content for i in index)


def _pack_texts(samples: Samples, ranking: np.ndarray, most: int) -> _Packed:
    texts: list[str] = []
    left_out, size = [], 0
    for i in ranking[:ITEMS_HELD] if samples.kind == "items" else ranking:
        text = sample_text(samples, int(i))
        size += 2 * min(len(text), TEXT_HELD)
        if size > most:
            break
        texts.append(text[:TEXT_HELD])
        left_out.append(max(0, len(text) - TEXT_HELD))
    packed = PackedArrays()
    packed.add_texts("texts", texts)
    packed.add("left_out", np.array(left_out, dtype=np.uint32))
    return _Packed(packed, {"kind": "text"}, ranking[: len(texts)])


def _pack_rows(samples: Samples, ranking: np.ndarray, most: int) -> _Packed:
    frame = feature_frame(samples)
    width = min(frame.shape[1], COLUMNS_HELD)
    index = ranking[: max(1, most // (4 * max(width, 1)))]
    packed = PackedArrays()
    columns = [_pack_column(packed, i, frame.iloc[:, i], index) for i in range(width)]
    return _Packed(packed, {"kind": "table", "columns": columns, "left_out": frame.shape[1] - width}, index)


def feature_frame(samples: Samples) -> pd.DataFrame:
    """Return rows as a frame; the features of arrays are numbered."""
    if isinstance(samples.features, pd.DataFrame):
        return samples.features
    values = np.asarray(samples.features)
    flat = values.reshape(len(values), -1)
    return pd.DataFrame(flat, columns=[f"[{i}]" for i in range(flat.shape[1])])


def column_texts(column: pd.Series) -> np.ndarray:
    """Return the values of a column without numbers as one-line texts; missing values are empty. ``(row,)``"""
    values = column.astype(object).map(lambda value: format_line(value, 160)).to_numpy(dtype=object, copy=True)
    values[column.isna().to_numpy()] = ""
    return values


def _pack_column(packed: PackedArrays, number: int, column: pd.Series, index: np.ndarray) -> dict[str, Any]:
    missing = column.isna().to_numpy()
    about: dict[str, Any] = {"name": format_line(column.name), "rareGap": is_missing_rare(missing)}
    if is_numeric(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        packed.add(f"column {number}", compact_numbers(values[index]))
        low, high = (None if np.isinf(end) else end for end in usual_range(values))
        return about | {"low": low, "high": high}
    codes, kinds = pd.factorize(column_texts(column))
    packed.add_texts(f"kinds {number}", kinds)
    packed.add(f"rare {number}", find_rare(codes, len(kinds)).astype(np.uint8))
    packed.add(f"missing {number}", missing[index].astype(np.uint8))
    packed.add(f"column {number}", compact_codes(codes[index], len(kinds)))
    return about | {"words": True}
