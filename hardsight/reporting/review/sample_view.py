"""What single samples are, one at a time, for a server that holds more than a page could."""

from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.reporting.formatting import format_line, format_value, replace_surrogates
from hardsight.reporting.report import outlier_values
from hardsight.reporting.report.thumbnails import PIXELATED, brightness_range, encode_image
from hardsight.reporting.review.page_data import COLUMNS_KEPT, SIDE, column_texts, feature_frame, sample_text

TEXT_KEPT = 100_000


class SampleView:
    """Samples as the page's script reads them.

    Args:
        samples: in the order of the result.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        # One search a column, not one a request.
        self._judge = cache(self._judged)

    def of(self, at: int) -> dict[str, Any]:
        """One sample: its kind and what is written of it; JSON types only."""
        kind = self.samples.kind
        if kind == "image":
            shape = np.shape(self.samples.features[:1])[1:3]
            return {"kind": "image", "pixelated": max(shape) <= PIXELATED}
        if kind in ("text", "items"):
            text = sample_text(self.samples, at)
            return {
                "kind": "text", "text": replace_surrogates(text[:TEXT_KEPT]), "leftOut": max(0, len(text) - TEXT_KEPT)
            }  # fmt: skip
        width = self._frame.shape[1]
        values = [self._value(column, at) for column in range(min(width, COLUMNS_KEPT))]
        return {"kind": "table", "values": values, "leftOut": max(0, width - COLUMNS_KEPT)}

    def image(self, at: int) -> bytes:
        """One sample as a small PNG file."""
        return encode_image(np.asarray(self.samples.features[at]), self._span, SIDE).content

    def matching(self, text: str) -> np.ndarray:
        """Positions of the samples whose text or words hold the text, whatever its case, ``(found,)`` uint32."""
        wanted, n = text.lower(), len(self.samples)
        found = np.zeros(n, dtype=bool)
        for codes, kinds in self._searched:
            hits = np.array([wanted in kind for kind in kinds], dtype=bool)
            found |= hits if codes is None else hits[codes]
        return np.flatnonzero(found).astype(np.uint32)

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return feature_frame(self.samples)

    @cached_property
    def _span(self) -> tuple[float, float]:
        return brightness_range(np.asarray(self.samples.features))

    @cached_property
    def _searched(self) -> list[tuple[np.ndarray | None, list[str]]]:
        if self.samples.kind == "image":
            return []
        if self.samples.kind in ("text", "items"):
            return [(None, [sample_text(self.samples, i).lower() for i in range(len(self.samples))])]
        return list(self._worded())

    def _worded(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        for name in self._frame:
            column = self._frame[name]
            if not outlier_values.is_numeric(column):
                codes, kinds = pd.factorize(column_texts(column))
                yield codes, [kind.lower() for kind in kinds]

    def _judged(self, column: int) -> Any:
        values = self._frame.iloc[:, column]
        gap = outlier_values.is_missing_rare(values.isna().to_numpy())
        if outlier_values.is_numeric(values):
            return gap, outlier_values.usual_range(values.to_numpy(dtype=np.float64, na_value=np.nan))
        codes, kinds = pd.factorize(column_texts(values))
        return gap, set(kinds[outlier_values.find_rare(codes, len(kinds))])

    def _value(self, column: int, at: int) -> dict[str, str]:
        value: Any = self._frame.iloc[at, column]
        name = format_line(self._frame.columns[column])
        gap, usual = self._judge(column)
        if pd.isna(value):
            return {"name": name, "value": "missing", "unusual": "seldom missing" if gap else ""}
        if isinstance(usual, outlier_values.UsualRange):
            number = float(value)
            said = "unusually low" if number < usual.low else "unusually high" if number > usual.high else ""
            return {"name": name, "value": format_value(number), "unusual": said}
        word = format_line(value, 160)
        return {"name": name, "value": word, "unusual": "rare" if word in usual else ""}
