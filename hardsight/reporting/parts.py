"""A sample with all its labelled parts, as pages show it: a running text with marks, or a list of labels."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.labelled_parts import texts_of_parts
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.formatting import format_chance, format_class, format_line, format_number, format_value
from hardsight.reporting.nouns import Nouns, nouns_of

# Parts on each side of the one in question that a page shows.
TEXT_AROUND, NAMES_AROUND = 40, 12
# P(label wrong) beyond which a part is marked as doubtful and as likely wrong.
DOUBTED, LIKELY_WRONG = 0.1, 0.5
SAMPLES_LISTED = 10
_TEXT_LENGTH, _LABEL_LENGTH = 80, 30


class ShownPart(NamedTuple):
    """One part of a sample."""

    text: str  # what it is: its text or its name
    label: str  # its label; the error if there is none
    suggested: str  # the likeliest true label; empty if it is the given one, or unknown
    p: str  # P(label wrong) or P(outlier) in words; empty if it is unknown
    doubt: str  # "wrong" if the label is likelier wrong than right, "doubtful" if it is less likely wrong, otherwise empty
    usual: bool  # whether it has the most frequent label of all
    current: bool  # whether it is the part in question


class ShownSample(NamedTuple):
    """A sample with the parts around one of them."""

    name: str
    inline: bool  # whether the parts are a running text
    before: int  # parts that are left out at the start
    parts: list[ShownPart]
    after: int  # parts that are left out at the end


class ListedSample(NamedTuple):
    """One row of the table of samples."""

    name: str
    parts: int
    error: float
    n_wrong: float  # expected number of wrong labels; NaN if it is unknown
    p_any_wrong: str  # the probability that one is wrong; empty if it is unknown
    shown: ShownSample  # around the part with the likeliest wrong label, or the largest error


class PartsView:
    """The samples of a result whose rows are parts.

    Args:
        d: the result.
        samples: the measured samples in the order of the result, for the texts of the parts; None if they are not at hand.
    """

    def __init__(self, d: Difficulty, samples: Samples | None) -> None:
        if d.sample is None or d.part is None:
            raise ValueError("the rows of the result are whole samples")
        self.d, self.names = d, d.part
        self.code, self.sample_names = pd.factorize(d.sample)
        self.texts = texts_of_parts(samples)
        self.nouns: Nouns = nouns_of(d)

    @property
    def inline(self) -> bool:
        """Whether the parts of a sample are a running text."""
        return self.texts is not None

    def around(self, row: int) -> ShownSample:
        """Return the sample of a row, with the parts around it in the order given."""
        sample = self.code[row]
        rows = self._rows_of(sample)
        at = int(np.flatnonzero(rows == row)[0])
        side = TEXT_AROUND if self.inline else NAMES_AROUND
        first, last = max(0, at - side), min(len(rows), at + side + 1)
        parts = [self._show(int(each), each == row) for each in rows[first:last]]
        name = format_line(self.sample_names[sample], 120)
        return ShownSample(name, self.inline, first, parts, len(rows) - last)

    def list_samples(self, most: int = SAMPLES_LISTED) -> list[ListedSample]:
        """Return the samples with the most expected wrong labels, or else the largest errors, those with most first."""
        table = self.d.by_sample()
        if "n_wrong" in table:
            table = table.sort_values("n_wrong", ascending=False, kind="stable")
        at = pd.Index(self.sample_names).get_indexer(table.index[:most])
        shown = [self.around(int(rows[np.argmin(self.d.doubt_rank[rows])])) for rows in map(self._rows_of, at)]
        return [
            ListedSample(
                each.name,
                int(row["parts"]),
                float(row["error"]),
                float(row.get("n_wrong", np.nan)),
                format_chance(row["p_any_wrong"]) if "p_any_wrong" in row else "",
                each,
            )
            for each, row in zip(shown, table.head(most).to_dict("records"), strict=True)
        ]

    def _show(self, row: int, current: bool) -> ShownPart:
        d, doubt = self.d, self._doubt
        text = self.names[row] if self.texts is None else self.texts[row]
        p = np.nan if doubt is None else float(doubt[row])
        level = "wrong" if p > LIKELY_WRONG else "doubtful" if p > DOUBTED else ""
        changed = d.suggested is not None and d.suggested[row] != d.labels[row]
        return ShownPart(
            format_line(text, _TEXT_LENGTH),
            format_number(d.error[row]) if d.loss_only else self._name(d.labels[row]),
            self._name(d.suggested[row]) if changed and d.suggested is not None else "",
            "" if np.isnan(p) else format_chance(p),
            level,
            bool(d.labels[row] == self.usual),
            current,
        )

    def _name(self, label: float) -> str:
        return format_value(label) if self.d.classes is None else format_class(self.d.classes[int(label)], _LABEL_LENGTH)

    @cached_property
    def usual(self) -> int:
        """Code of the most frequent label; -1 if there are no classes."""
        return -1 if self.d.classes is None else int(np.bincount(self.d.labels).argmax())

    @property
    def _doubt(self) -> np.ndarray | None:
        return self.d.p_outlier if self.d.p_wrong is None else self.d.p_wrong

    def _rows_of(self, sample: int) -> np.ndarray:
        """Return the rows of a sample, by its code, in the order given."""
        order, starts = self._index
        return order[starts[sample] : starts[sample + 1]]

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows sorted by sample, in the order given within one, and where each sample begins; ``(sample + 1,)``."""
        sizes = np.bincount(self.code, minlength=len(self.sample_names))
        return np.argsort(self.code, kind="stable"), np.concatenate([[0], np.cumsum(sizes)])
