"""The hardest samples as what they are: pictures, texts, rows with their unusual values marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.difficulty.actions import RELABEL, describe_action
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.csv_cells import same_cell
from hardsight.reporting.formatting import (
    format_error,
    format_line,
    format_number,
    format_text,
    format_value,
    isolate_direction,
)
from hardsight.reporting.report import outlier_values
from hardsight.reporting.report.ledger_bar import Bar, ledger_bars
from hardsight.reporting.report.thumbnails import Thumbnail, make_thumbnails

TEXT_SHOWN, TEXT_KEPT = 400, 4000
VALUES_SHOWN, VALUES_KEPT = 16, 100
ARRAY_SHOWN = 12
# Targets may have been held in single precision in between.
_SAME = 1e-6
_WORDED = ("text", "items")


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
    """What to do about a sample; the likeliest true label and its probability where that is not the label given."""

    todo: str
    relabel: bool
    suggested: str
    p_suggested: str


class ExampleCard(NamedTuple):
    """One hard sample."""

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
    advice: Recommendation | None
    bar: Bar | None
    picture: Thumbnail | None
    text: TextExcerpt | None
    row: TableRow | None


def example_cards(d: Difficulty, samples: Samples | None, count: int) -> list[ExampleCard]:
    """The ``count`` hardest samples, hardest first.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or have other labels.
    """
    at = d.ranking[:count]
    rows = None if samples is None else find_samples(d, samples)[at].tolist()
    kind = None if samples is None else samples.kind
    none = [None] * len(at)
    pictures: Sequence[Any] = (
        make_thumbnails(np.asarray(samples.features), rows) if samples and rows and kind == "image" else none
    )
    texts: Sequence[Any] = [_text(_words(samples, i)) for i in rows] if samples and rows and kind in _WORDED else none
    values: Sequence[Any] = _values(samples, rows) if samples and rows and kind in ("table", "array") else none
    labels, predicted = d.label_names(d.labels[at]), d.label_names(d.predicted[at])
    p_label = d.p_label[at]
    drawn: Sequence[Any] = none if d.factors is None else ledger_bars(d.factors.to_numpy()[at])
    advice = _advice(d, at)
    return [
        ExampleCard(
            rank=place + 1,
            id=format_line(d.ids[i], 120),
            label=format_value(labels[place]) if d.classes is None else format_line(labels[place], 120),
            predicted=format_value(predicted[place]) if d.classes is None else format_line(predicted[place], 120),
            missed=d.classes is not None and bool(d.predicted[i] != d.labels[i]),
            p_label="" if np.isnan(p_label[place]) else format_number(p_label[place]),
            error=format_number(d.error[i]),
            error_se=format_error(d.error[i], d.error_se[i]),
            bias=format_number(d.bias[i]),
            variance=format_number(d.variance[i]),
            cause="" if d.cause is None else str(d.cause[i]),
            p_wrong="" if d.p_wrong is None else format_number(d.p_wrong[i], 2),
            p_outlier="" if d.p_outlier is None else format_number(d.p_outlier[i], 2),
            advice=advice[place],
            bar=drawn[place],
            picture=pictures[place],
            text=texts[place],
            row=values[place],
        )
        for place, i in enumerate(at)
    ]


def find_samples(d: Difficulty, samples: Samples) -> np.ndarray:
    """Where each sample of ``d`` stands among ``samples``, ``(sample,)`` int64.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or a sample has another label there; names the row.
    """
    # As objects: pandas' own string type refuses what is not valid Unicode.
    at = pd.Index(samples.ids, dtype=object).get_indexer(pd.Index(d.ids, dtype=object))
    missing = d.ids[at < 0]
    if len(missing):
        named = ", ".join(repr(each) for each in missing[:3].tolist())
        has = ", ".join(repr(each) for each in samples.ids[:3].tolist())
        raise InputError(
            f"the samples lack {len(missing):,} of the {len(d):,} measured ids ({named}); theirs look like {has}: "
            "give the samples that were measured, read the same way and with the same id column"
        )
    other = _otherwise_labelled(d, samples, at)
    if other is not None:
        row = int(at[other])
        raise InputError(
            f"row {row} of the samples, id {d.ids[other].item()!r}, has the label {_named(samples, row)!r}, and "
            f"{_named(d, other)!r} was measured: give the samples that were measured, with their labels of "
            "then, or measure these"
        )
    return np.asarray(at)


def _otherwise_labelled(d: Difficulty, samples: Samples, at: np.ndarray) -> int | None:
    """The first position in ``d`` of a sample that has another label among ``samples``."""
    if d.loss_only or samples.loss_only:
        return None
    theirs = samples.labels[at]
    if d.regression and samples.regression:
        other = ~np.isclose(theirs, d.labels, rtol=_SAME, atol=0)
        return int(other.argmax()) if other.any() else None
    if d.classes == samples.classes and np.array_equal(theirs, d.labels):
        return None
    _, first = np.unique(np.stack([theirs, d.labels], 1), axis=0, return_index=True)
    pairs = ((place, int(at[place])) for place in np.sort(first).tolist())
    return next((place for place, row in pairs if not same_cell(_named(samples, row), _named(d, place))), None)


def _named(of: Difficulty | Samples, row: int) -> str:
    label = of.labels[row]
    return str(label if of.classes is None else of.classes[label])


def _advice(d: Difficulty, at: np.ndarray) -> list[Recommendation | None]:
    if d.recommended_action is None:
        return [None] * len(at)
    likeliest = d.labels[at] if d.suggested is None else d.suggested[at]
    p = np.ones(len(at)) if d.p_suggested is None else d.p_suggested[at]
    changed = likeliest != d.labels[at]
    given, other = (
        [isolate_direction(format_line(name, 60)) for name in d.label_names(codes)]
        for codes in (d.labels[at], likeliest)
    )
    return [
        Recommendation(
            describe_action(todo, given[place], other[place]),
            todo == RELABEL,
            other[place] if changed[place] else "",
            format_number(p[place], 2) if changed[place] else "",
        )
        for place, todo in enumerate(d.recommended_action[at].tolist())
    ]


def _words(samples: Samples, at: int) -> str:
    return str(samples.features.describe(at) if samples.kind == "items" else samples.features[at])


def _text(value: Any) -> TextExcerpt:
    # Measured on the text as given, cut before it is made printable: a text may be a whole book.
    given = str(value)
    whole = format_text(given[:TEXT_KEPT])
    cut = whole.rfind(" ", TEXT_SHOWN - 60, TEXT_SHOWN) if len(whole) > TEXT_SHOWN else len(whole)
    cut = TEXT_SHOWN if cut < 0 else cut
    return TextExcerpt(whole[:cut], whole[cut:], max(0, len(given) - TEXT_KEPT))


def _values(samples: Samples, at: list[int]) -> list[TableRow]:
    if samples.kind == "array":
        numbers = np.asarray(samples.features).reshape(len(samples), -1)
        names = [f"[{i}]" for i in range(min(ARRAY_SHOWN, numbers.shape[1]))]
        columns = [_judge(name, pd.Series(numbers[:, i]), at) for i, name in enumerate(names)]
        return [TableRow(list(row), [], numbers.shape[1] - len(names)) for row in zip(*columns, strict=True)]
    table = samples.features
    columns = [_judge(format_line(name, 60), table.iloc[:, i], at) for i, name in enumerate(table.columns)]
    rows = []
    for row in zip(*columns, strict=True):
        # Unusual values first; the sort is stable, so the columns keep their order otherwise.
        values = sorted(row, key=lambda value: not value.unusual) if len(row) > VALUES_SHOWN else list(row)
        rows.append(
            TableRow(values[:VALUES_SHOWN], values[VALUES_SHOWN:VALUES_KEPT], max(0, len(values) - VALUES_KEPT))
        )
    return rows


def _judge(name: str, column: pd.Series, at: list[int]) -> list[TableValue]:
    """A column's values at some rows, those marked that few of all its values are like."""
    shown = column.iloc[at]
    missing = shown.isna()
    gap_said = "seldom missing" if outlier_values.is_missing_rare(column.isna().to_numpy()) else ""
    if outlier_values.is_numeric(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        low, high = outlier_values.usual_range(numbers)
        return [
            TableValue(name, "missing", gap_said)
            if gap
            else TableValue(name, format_value(value), _why(bool(value < low), bool(value > high)))
            for value, gap in zip(numbers[at].tolist(), missing, strict=True)
        ]
    codes, kinds = pd.factorize(column.astype(object).map(lambda value: format_line(value, 160)).to_numpy())
    few = outlier_values.find_rare(codes, len(kinds))
    return [
        TableValue(name, "missing", gap_said) if gap else TableValue(name, kinds[code], "rare" if few[code] else "")
        for code, gap in zip(codes[at].tolist(), missing, strict=True)
    ]


def _why(low: bool, high: bool) -> str:
    return "unusually low" if low else "unusually high" if high else ""
