"""Cards of the hardest samples: images, texts, and rows with their unusual values marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.labelled_parts import texts_of_parts
from hardsight.data.samples import Samples
from hardsight.data.sparse import describe_row
from hardsight.difficulty.actions import RELABEL, describe_action
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.csv_cells import same_cell
from hardsight.reporting.formatting import (
    format_chance,
    format_error,
    format_line,
    format_number,
    format_text,
    format_value,
    isolate_direction,
)
from hardsight.reporting.nouns import class_names
from hardsight.reporting.outlier_values import describe_missing, describe_number, find_rare, is_numeric, usual_range
from hardsight.reporting.parts import PartsView, ShownSample
from hardsight.reporting.reasons import write_reasons
from hardsight.reporting.report.ledger_bar import Bar, ledger_bars
from hardsight.reporting.report.thumbnails import Thumbnail, make_thumbnails

# Characters of a text, and values of a row, that are shown at once and that the page holds.
TEXT_SHOWN, TEXT_HELD = 400, 4000
VALUES_SHOWN, VALUES_HELD = 16, 100
ARRAY_SHOWN = 12
_TEXT_KINDS = ("text", "items", "ids")
# Targets may have passed through single precision.
_TOLERANCE = 1e-6


class TextExcerpt(NamedTuple):
    """A text: its start, more of it, and how many characters are left out."""

    start: str
    rest: str
    left_out: int


class TableValue(NamedTuple):
    """One value of a row; ``unusual`` says why it stands out, or is empty."""

    name: str
    value: str
    unusual: str


class TableRow(NamedTuple):
    """A row: the values shown at once, those behind them, and how many are left out."""

    values: list[TableValue]
    rest: list[TableValue]
    left_out: int


class Recommendation(NamedTuple):
    """What to do about a sample."""

    action: str  # as a phrase
    relabel: bool  # whether it is to change the label
    suggested: str  # the likeliest true label; empty if it is the given label
    p_suggested: str  # its probability, empty likewise


class ExampleCard(NamedTuple):
    """One hard sample, as text; what is unknown is empty or None."""

    rank: int
    id: str
    label: str
    predicted: str
    missed: bool
    p_label: str
    error: str
    error_se: str
    bias: str
    variance: str
    cause: str
    p_wrong: str
    p_outlier: str
    p_strange: str
    reason: str
    recommendation: Recommendation | None
    bar: Bar | None
    picture: Thumbnail | None
    text: TextExcerpt | None
    row: TableRow | None
    sample: ShownSample | None  # the sample that it is a part of


def example_cards(d: Difficulty, samples: Samples | None, count: int) -> list[ExampleCard]:
    """Return the cards of the ``count`` hardest samples, hardest first.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or have other labels.
    """
    index = d.ranking[:count]
    samples = None if samples is None else align_samples(d, samples)
    content = _show_content(samples, index.tolist())
    bars = [] if d.ledger is None else ledger_bars(d.ledger[index])
    unknown = [None] * len(index)
    labels, predictions = d.label_names(d.labels[index]), d.label_names(d.predicted[index])
    reasons = write_reasons(d, index, samples)
    parts_view = None if d.sample is None else PartsView(d, samples)
    parts = (index, labels, predictions, content or unknown, reasons, _recommend(d, index) or unknown, bars or unknown)
    return [
        ExampleCard(
            rank=rank,
            id=format_line(d.ids[i], 120),
            label=_format_label(d, label),
            predicted=_format_label(d, predicted),
            missed=d.classes is not None and bool(d.predicted[i] != d.labels[i]),
            p_label="" if np.isnan(d.p_label[i]) else format_chance(d.p_label[i]),
            error=format_number(d.error[i]),
            error_se=format_error(d.error[i], d.error_se[i]),
            bias=format_number(d.bias[i]),
            variance=format_number(d.variance[i]),
            cause="" if d.cause is None else str(d.cause[i]),
            p_wrong=_format_probability(d.p_wrong, i),
            p_outlier=_format_probability(d.p_outlier, i),
            p_strange=_format_probability(d.p_strange, i),
            reason=reason,
            recommendation=recommendation,
            bar=bar,
            picture=item if isinstance(item, Thumbnail) else None,
            text=item if isinstance(item, TextExcerpt) else None,
            row=item if isinstance(item, TableRow) else None,
            sample=None if parts_view is None else parts_view.around(int(i)),
        )
        for rank, (i, label, predicted, item, reason, recommendation, bar) in enumerate(zip(*parts, strict=True), start=1)
    ]


def _format_probability(values: np.ndarray | None, i: int) -> str:
    return "" if values is None else format_chance(values[i])


def _format_label(d: Difficulty, label: Any) -> str:
    return format_value(label) if d.classes is None else format_line(label, 120)


class ShownContents(NamedTuple):
    """The samples whose contents are shown for the rows of a result."""

    samples: Samples
    row: np.ndarray  # of each row's sample among them, (row,)


def contents_of(samples: Samples) -> ShownContents:
    """Return the samples whose contents pages show: those that rows are parts of, if parts have no features of their own."""
    if samples.whole is None or samples.whole.kind == "ids":
        return ShownContents(samples, np.arange(len(samples)))
    return ShownContents(samples.whole, samples.features)


def _show_content(samples: Samples | None, rows: list[int]) -> Sequence[Thumbnail | TextExcerpt | TableRow]:
    """Return what some samples are, for their cards; empty if that cannot be shown."""
    if samples is None or not rows or has_texts_of_parts(samples):
        return []
    samples, shown = contents_of(samples)
    rows = shown[rows].tolist()
    if samples.kind == "image":
        return make_thumbnails(np.asarray(samples.features), rows)
    if is_shown_as_text(samples):
        return [_excerpt(sample_text(samples, row)) for row in rows]
    if samples.kind == "array":
        return _array_rows(samples, rows)
    return _table_rows(samples.features, rows) if samples.kind == "table" else []


def find_samples(d: Difficulty, samples: Samples) -> np.ndarray:
    """Return the position of each sample of ``d`` among ``samples``, ``(sample,)`` int64.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or a sample has another label there; names the row.
    """
    # As objects: pandas' own string type refuses what is not valid Unicode.
    index = np.asarray(pd.Index(samples.ids, dtype=object).get_indexer(pd.Index(d.ids, dtype=object)))
    missing = d.ids[index < 0]
    if len(missing):
        measured = ", ".join(repr(each) for each in missing[:3].tolist())
        examples = ", ".join(repr(each) for each in samples.ids[:3].tolist())
        raise InputError(
            f"the samples lack {len(missing):,} of the {len(d):,} measured ids ({measured}); their ids look like "
            f"{examples}: give the samples that were measured, read the same way and with the same id column"
        )
    changed = _first_changed_label(d, samples, index)
    if changed is not None:
        row = int(index[changed])
        raise InputError(
            f"row {row} of the samples, id {d.ids[changed].item()!r}, has the label {_label_text(samples, row)!r}, but "
            f"{_label_text(d, changed)!r} was measured: pass the samples with the labels that were measured, or "
            "measure these"
        )
    return index


def align_samples(d: Difficulty, samples: Samples) -> Samples:
    """Return the samples of a result in its order.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or have other labels.
    """
    index = find_samples(d, samples)
    return samples if np.array_equal(index, np.arange(len(samples))) else samples.take(index)


def _first_changed_label(d: Difficulty, samples: Samples, index: np.ndarray) -> int | None:
    """Return the first position in ``d`` of a sample that has another label among ``samples``; None if there is none."""
    if d.loss_only or samples.loss_only:
        return None
    labels = samples.labels[index]
    if d.regression and samples.regression:
        changed = ~np.isclose(labels, d.labels, rtol=_TOLERANCE, atol=0)
        return int(changed.argmax()) if changed.any() else None
    if d.classes == samples.classes and np.array_equal(labels, d.labels):
        return None
    # Texts are compared once per pair of labels, not once per sample.
    _, first = np.unique(np.stack([labels, d.labels], 1), axis=0, return_index=True)
    for i in np.sort(first).tolist():
        if not same_cell(_label_text(samples, int(index[i])), _label_text(d, i)):
            return int(i)
    return None


def _label_text(source: Difficulty | Samples, row: int) -> str:
    label = source.labels[row]
    return str(label if source.classes is None else source.classes[label])


def _recommend(d: Difficulty, index: np.ndarray) -> list[Recommendation]:
    """Return what to do about some samples; empty without a ledger."""
    if d.recommended_action is None:
        return []
    likeliest = d.labels[index] if d.suggested is None else d.suggested[index]
    p_suggested = np.ones(len(index)) if d.p_suggested is None else d.p_suggested[index]
    changed = likeliest != d.labels[index]
    given, suggested = (
        [isolate_direction(format_line(name, 60)) for name in names]
        for names in (class_names(d, index), d.label_names(likeliest))
    )
    return [
        Recommendation(
            describe_action(action, given[place], suggested[place]),
            action == RELABEL,
            suggested[place] if changed[place] else "",
            format_chance(p_suggested[place]) if changed[place] else "",
        )
        for place, action in enumerate(d.recommended_action[index].tolist())
    ]


def is_shown_as_text(samples: Samples) -> bool:
    """Return whether samples are shown as texts: texts, rows of a dataset or a sparse matrix, and ids."""
    return samples.kind in _TEXT_KINDS or samples.sparse


def has_texts_of_parts(samples: Samples) -> bool:
    """Return whether samples are shown as the running texts of their parts."""
    return texts_of_parts(samples) is not None


def sample_text(samples: Samples, row: int) -> str:
    """Return the whole text of a sample; see :func:`is_shown_as_text`."""
    if samples.sparse:
        return describe_row(samples.features, row)
    if samples.kind == "items":
        return str(samples.features.describe(row))
    return str(samples.ids[row] if samples.kind == "ids" else samples.features[row])


def _excerpt(text: str) -> TextExcerpt:
    # Cut before it is made printable: a text may be a whole book.
    excerpt = format_text(text[:TEXT_HELD])
    cut = excerpt.rfind(" ", TEXT_SHOWN - 60, TEXT_SHOWN) if len(excerpt) > TEXT_SHOWN else len(excerpt)
    cut = TEXT_SHOWN if cut < 0 else cut
    return TextExcerpt(excerpt[:cut], excerpt[cut:], max(0, len(text) - TEXT_HELD))


def _array_rows(samples: Samples, rows: list[int]) -> list[TableRow]:
    numbers = np.asarray(samples.features).reshape(len(samples), -1)
    width = min(ARRAY_SHOWN, numbers.shape[1])
    columns = [_column_values(f"[{i}]", pd.Series(numbers[:, i]), rows) for i in range(width)]
    return [TableRow(list(values), [], numbers.shape[1] - width) for values in zip(*columns, strict=True)]


def _table_rows(table: pd.DataFrame, rows: list[int]) -> list[TableRow]:
    columns = [_column_values(format_line(name, 60), table.iloc[:, i], rows) for i, name in enumerate(table.columns)]
    table_rows = []
    for row in zip(*columns, strict=True):
        # Unusual values first; the sort is stable, so the columns keep their order otherwise.
        values = sorted(row, key=lambda value: not value.unusual) if len(row) > VALUES_SHOWN else list(row)
        left_out = max(0, len(values) - VALUES_HELD)
        table_rows.append(TableRow(values[:VALUES_SHOWN], values[VALUES_SHOWN:VALUES_HELD], left_out))
    return table_rows


def _column_values(name: str, column: pd.Series, rows: list[int]) -> list[TableValue]:
    """Return a column's values in some rows, with a remark on those that few of its values are like."""
    missing = column.iloc[rows].isna()
    missing_remark = describe_missing(column.isna().to_numpy())
    if is_numeric(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        usual = usual_range(numbers)
        values = [(format_value(number), describe_number(number, usual)) for number in numbers[rows].tolist()]
    else:
        codes, kinds = pd.factorize(column.astype(object).map(lambda value: format_line(value, 160)).to_numpy())
        rare = find_rare(codes, len(kinds))
        values = [(kinds[code], "rare" if rare[code] else "") for code in codes[rows].tolist()]
    return [
        TableValue(name, "missing", missing_remark) if gap else TableValue(name, value, remark)
        for (value, remark), gap in zip(values, missing, strict=True)
    ]
