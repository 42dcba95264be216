"""What the content of samples adds to their sentences: the columns that speak for another label, and odd values."""

from functools import cached_property

import numpy as np
import pandas as pd

from hardsight.attribution.column_evidence import find_nearest_by_label, strongest_columns
from hardsight.attribution.nearest_distance import relative_distance
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.answer import find_strange
from hardsight.reporting.bounded_matrix import bounded_matrix
from hardsight.reporting.formatting import format_class, format_line, format_value, isolate_direction
from hardsight.reporting.reasons.table_columns import TableColumn, read_column

COLUMNS_NAMED, ODD_NAMED = 3, 2
# Nearer samples are not called far.
_MIN_RATIO = 1.5
_NAME_LENGTH, _CLASS_LENGTH = 40, 30
# Values that a search may hold a second time, and columns that are judged one by one.
_MAX_VALUES, _MAX_COLUMNS = 2**26, 2_000


class Details:
    """Describes what is special about the content of single samples.

    Args:
        d: the result.
        samples: in the order of the result.
    """

    def __init__(self, d: Difficulty, samples: Samples) -> None:
        self.d, self.samples = d, samples

    def describe(self, rows: np.ndarray) -> dict[int, str]:
        """Return a phrase for each of some samples that there is something to say about, by position."""
        odd = self._odd_values(rows[find_strange(self.d)[rows]])
        if self.d.cause is None or self.d.suggested is None or self.d.p_wrong is None:
            return odd
        moved = (self.d.cause[rows] == "noise") & (self.d.suggested[rows] != self.d.labels[rows])
        return self._columns_for_suggestion(rows[moved]) | odd

    @cached_property
    def _frame(self) -> pd.DataFrame | None:
        """The columns, whose names are numbers if they have none; None if there are no columns or too many."""
        features = self.samples.features
        if self.samples.kind == "array" and not self.samples.sparse and np.ndim(features) == 2:
            features = pd.DataFrame(np.asarray(features))
        elif self.samples.kind != "table":
            return None
        return features if features.shape[1] <= _MAX_COLUMNS else None

    @cached_property
    def _columns(self) -> list[TableColumn]:
        return [] if self._frame is None else [read_column(self._frame.iloc[:, at]) for at in range(self._frame.shape[1])]

    @cached_property
    def _matrix(self) -> np.ndarray | None:
        return bounded_matrix(self.samples, _MAX_VALUES)

    def _columns_for_suggestion(self, rows: np.ndarray) -> dict[int, str]:
        """Return the columns that speak for the suggested label, with what is typical of either label."""
        d = self.d
        if not len(rows) or not self._columns or self._matrix is None:
            return {}
        assert d.p_wrong is not None
        assert d.suggested is not None
        nearest = find_nearest_by_label(self._matrix, d.labels, d.p_wrong < 0.5, rows, d.suggested[rows])
        evidence = [column.weigh(rows, nearest, len(self._columns)) for column in self._columns]
        phrases = {}
        for place, named in enumerate(strongest_columns(evidence, COLUMNS_NAMED)):
            row = int(rows[place])
            sides = [(self._class(int(d.labels[row])), nearest.given[place])]
            sides.append((self._class(int(d.suggested[row])), nearest.other[place]))
            if named:
                phrases[row] = ", ".join(f"{self._name(at)} {self._columns[at].compare(row, sides)}" for at in named)
        return phrases

    def _odd_values(self, rows: np.ndarray) -> dict[int, str]:
        """Return how far the nearest sample is, and the numbers farthest beyond the usual range of their columns."""
        if not len(rows):
            return {}
        far = np.full(len(rows), np.nan) if self._matrix is None else relative_distance(self._matrix, rows)
        phrases = {}
        for row, ratio in zip(rows.tolist(), far.tolist(), strict=True):
            parts = [f"nearest sample {format_value(ratio, 2)} × as far as usual"] if ratio >= _MIN_RATIO else []
            odd = [(*column.odd_value(row), at) for at, column in enumerate(self._columns)]
            farthest = sorted((each for each in odd if each[0] > 0), key=lambda each: -each[0])[:ODD_NAMED]
            parts += [f"{self._name(at)} {text}" for _, text, at in farthest]
            if parts:
                phrases[row] = "; ".join(parts)
        return phrases

    def _class(self, code: int) -> str:
        assert self.d.classes is not None
        return isolate_direction(format_class(self.d.classes[code], _CLASS_LENGTH))

    def _name(self, at: int) -> str:
        """Return the quoted name of a column, or its number."""
        assert self._frame is not None
        name = self._frame.columns[at]
        return (
            f"feature [{at}]" if self.samples.kind == "array" else f"'{isolate_direction(format_line(name, _NAME_LENGTH))}'"
        )
