"""What samples are, packed for a page: small images, the beginnings of texts, values with the bounds of the usual."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.reporting.formatting import format_line
from hardsight.reporting.report import outlier_values
from hardsight.reporting.report.thumbnails import PIXELATED, brightness_range, encode_image
from hardsight.reporting.review.packing import PackedArrays, compact_codes, compact_numbers

# Bytes that a page may hold of its samples: what a browser opens in about a second.
MOST_BYTES = 32 * 2**20
TEXT_KEPT = 4000
COLUMNS_KEPT = 100
ITEMS_KEPT = 5000
SIDE = 160


class PackedSamples(NamedTuple):
    """Samples packed.

    Attributes:
        packed: the arrays.
        about: kind, and what the script must know to show them; JSON types only.
        at: positions of the samples that are held, ``(held,)`` int64; the others did not fit.
    """

    packed: PackedArrays
    about: dict[str, Any]
    at: np.ndarray


def pack_samples(samples: Samples, order: np.ndarray, most: int = MOST_BYTES) -> PackedSamples:
    """Pack as many samples as fit into ``most`` bytes.

    Args:
        samples: in any order.
        order: their positions, those first that must not be missing, ``(sample,)``.
        most: bytes before they are deflated.
    """
    packed = PackedArrays()
    if samples.kind == "image":
        about, at = _images(samples, order, packed, most)
    elif samples.kind in ("text", "items"):
        about, at = _texts(samples, order, packed, most)
    else:
        about, at = _values(samples, order, packed, most)
    return PackedSamples(packed, about, at)


def _images(samples: Samples, order: np.ndarray, packed: PackedArrays, most: int) -> tuple[dict[str, Any], np.ndarray]:
    files, spent = [], 0
    shape = np.shape(samples.features[:1])[1:3]
    for image in encode_images(samples, order):
        spent += len(image)
        if spent > most:
            break
        files.append(image)
    pixelated = max(shape, default=0) <= PIXELATED
    packed.add_files("images", files)
    return {"kind": "image", "pixelated": pixelated}, order[: len(files)]


def encode_images(samples: Samples, order: np.ndarray) -> Any:
    """PNG files of some samples, one after another."""
    images = np.asarray(samples.features)
    span = brightness_range(images)
    return (encode_image(images[at], span, SIDE).content for at in order)


def sample_text(samples: Samples, at: int) -> str:
    """A sample's text, all of it."""
    return str(samples.features.describe(at) if samples.kind == "items" else samples.features[at])


def _texts(samples: Samples, order: np.ndarray, packed: PackedArrays, most: int) -> tuple[dict[str, Any], np.ndarray]:
    texts: list[str] = []
    left_out, spent = [], 0
    for at in order[:ITEMS_KEPT] if samples.kind == "items" else order:
        text = sample_text(samples, int(at))
        spent += 2 * min(len(text), TEXT_KEPT)
        if spent > most:
            break
        texts.append(text[:TEXT_KEPT])
        left_out.append(max(0, len(text) - TEXT_KEPT))
    packed.add_texts("texts", texts)
    packed.add("left_out", np.array(left_out, dtype=np.uint32))
    return {"kind": "text"}, order[: len(texts)]


def _values(samples: Samples, order: np.ndarray, packed: PackedArrays, most: int) -> tuple[dict[str, Any], np.ndarray]:
    frame = feature_frame(samples)
    width = min(frame.shape[1], COLUMNS_KEPT)
    at = order[: max(1, most // (4 * max(width, 1)))]
    columns = [_column(packed, i, frame.iloc[:, i], at) for i in range(width)]
    return {"kind": "table", "columns": columns, "left_out": frame.shape[1] - width}, at


def feature_frame(samples: Samples) -> pd.DataFrame:
    """Rows as a frame; the features of arrays are numbered."""
    if isinstance(samples.features, pd.DataFrame):
        return samples.features
    values = np.asarray(samples.features)
    flat = values.reshape(len(values), -1)
    return pd.DataFrame(flat, columns=[f"[{i}]" for i in range(flat.shape[1])])


def column_texts(column: pd.Series) -> np.ndarray:
    """The values of a column that are no numbers, as words on one line; nothing where they are missing. ``(row,)``."""
    values = column.astype(object).map(lambda value: format_line(value, 160)).to_numpy(dtype=object, copy=True)
    values[column.isna().to_numpy()] = ""
    return values


def _column(packed: PackedArrays, number: int, column: pd.Series, at: np.ndarray) -> dict[str, Any]:
    missing = column.isna().to_numpy()
    about: dict[str, Any] = {"name": format_line(column.name), "rareGap": outlier_values.is_missing_rare(missing)}
    if outlier_values.is_numeric(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bounds = outlier_values.usual_range(values)
        packed.add(f"column {number}", compact_numbers(values[at]))
        ends = [None if np.isinf(end) else end for end in bounds]
        return about | {"low": ends[0], "high": ends[1]}
    held, kinds = pd.factorize(column_texts(column))
    few = outlier_values.find_rare(held, len(kinds))
    packed.add_texts(f"kinds {number}", kinds)
    packed.add(f"rare {number}", few.astype(np.uint8))
    packed.add(f"missing {number}", missing[at].astype(np.uint8))
    packed.add(f"column {number}", compact_codes(held[at], len(kinds)))
    return about | {"words": True}
