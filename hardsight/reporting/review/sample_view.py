"""The content of single samples, for a server that holds more than a page could."""

from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.reporting.formatting import format_line, format_value, replace_surrogates
from hardsight.reporting.outlier_values import (
    UsualRange,
    describe_missing,
    describe_number,
    find_rare,
    is_numeric,
    usual_range,
)
from hardsight.reporting.report.examples import contents_of, is_shown_as_text, sample_text
from hardsight.reporting.report.thumbnails import brightness_range, encode_image
from hardsight.reporting.review.page_data import COLUMNS_HELD, SIDE, column_texts, feature_frame, is_pixelated

TEXT_HELD = 100_000


class _UsualValues(NamedTuple):
    """Which values of a column are usual."""

    missing: str  # the remark on a missing value
    range: UsualRange | None  # of numbers; None for other columns
    rare: frozenset[str]  # texts that are rare


class SampleView:
    """Samples as the page's script reads them.

    Args:
        samples: in the order of the result.
    """

    def __init__(self, samples: Samples) -> None:
        # Several rows may show the same sample: each of its labels does.
        self.samples, self._row = contents_of(samples)
        # Computed once per column, not once per request.
        self._usual = cache(self._usual_values)

    def describe(self, row: int) -> dict[str, Any]:
        """Return one sample: its kind and its content; JSON types only."""
        row, kind = int(self._row[row]), self.samples.kind
        if kind == "image":
            return {"kind": "image", "pixelated": is_pixelated(self.samples)}
        if is_shown_as_text(self.samples):
            text = sample_text(self.samples, row)
            left_out = max(0, len(text) - TEXT_HELD)
            return {"kind": "text", "text": replace_surrogates(text[:TEXT_HELD]), "leftOut": left_out}
        width = self._frame.shape[1]
        values = [self._value(column, row) for column in range(min(width, COLUMNS_HELD))]
        return {"kind": "table", "values": values, "leftOut": max(0, width - COLUMNS_HELD)}

    def image(self, row: int) -> bytes:
        """Return one sample as a small PNG file."""
        return encode_image(np.asarray(self.samples.features[self._row[row]]), self._span, SIDE).content

    def search(self, text: str) -> np.ndarray:
        """Return positions of the samples whose text or words contain a text, in any case, ``(found,)`` uint32."""
        pattern = text.lower()
        mask = np.zeros(len(self.samples), dtype=bool)
        for codes, kinds in self._searched:
            hits = np.array([pattern in kind for kind in kinds], dtype=bool)
            mask |= hits if codes is None else hits[codes]
        return np.flatnonzero(mask[self._row]).astype(np.uint32)

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return feature_frame(self.samples)

    @cached_property
    def _span(self) -> tuple[float, float]:
        return brightness_range(np.asarray(self.samples.features))

    @cached_property
    def _searched(self) -> list[tuple[np.ndarray | None, list[str]]]:
        """Lower-case texts that are searched, with the code of each sample's text; None if each sample has its own."""
        if self.samples.kind == "image":
            return []
        if is_shown_as_text(self.samples):
            return [(None, [sample_text(self.samples, i).lower() for i in range(len(self.samples))])]
        return list(self._text_columns())

    def _text_columns(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        for name in self._frame:
            column = self._frame[name]
            if not is_numeric(column):
                codes, kinds = pd.factorize(column_texts(column))
                yield codes, [kind.lower() for kind in kinds]

    def _usual_values(self, column: int) -> _UsualValues:
        values = self._frame.iloc[:, column]
        missing = describe_missing(values.isna().to_numpy())
        if is_numeric(values):
            return _UsualValues(missing, usual_range(values.to_numpy(dtype=np.float64, na_value=np.nan)), frozenset())
        codes, kinds = pd.factorize(column_texts(values))
        return _UsualValues(missing, None, frozenset(kinds[find_rare(codes, len(kinds))]))

    def _value(self, column: int, row: int) -> dict[str, str]:
        value: Any = self._frame.iloc[row, column]
        usual = self._usual(column)
        if pd.isna(value):
            text, remark = "missing", usual.missing
        elif usual.range is not None:
            text, remark = format_value(float(value)), describe_number(float(value), usual.range)
        else:
            text = format_line(value, 160)
            remark = "rare" if text in usual.rare else ""
        return {"name": format_line(self._frame.columns[column]), "value": text, "unusual": remark}
