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
from hardsight.reporting.report import unusual_values as unusual
from hardsight.reporting.report.formatting import body, datum, isolated, line, number, spread
from hardsight.reporting.report.ledger_bar import Bar, bars
from hardsight.reporting.report.thumbnails import Thumbnail, thumbnails

TEXT_SHOWN, TEXT_KEPT = 400, 4000
VALUES_SHOWN, VALUES_KEPT = 16, 100
ARRAY_SHOWN = 12
# Targets may have been held in single precision in between.
_SAME = 1e-6
_WORDED = ("text", "items")


class Text(NamedTuple):
    """A text: its start, more of it, and how many characters are left out."""

    start: str
    rest: str
    left_out: int


class Value(NamedTuple):
    """One value of a row; ``unusual`` says why it stands out, or is empty."""

    name: str
    value: str
    unusual: str


class Row(NamedTuple):
    """A row: the values shown at once, those behind them, and how many are left out."""

    values: list[Value]
    rest: list[Value]
    left_out: int


class Advice(NamedTuple):
    """What to do about a sample; the likeliest true label and its probability where that is not the label given."""

    todo: str
    relabel: bool
    suggested: str
    p_suggested: str


class Exhibit(NamedTuple):
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
    advice: Advice | None
    bar: Bar | None
    picture: Thumbnail | None
    text: Text | None
    row: Row | None


def exhibits(d: Difficulty, samples: Samples | None, count: int) -> list[Exhibit]:
    """The ``count`` hardest samples, hardest first.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or have other labels.
    """
    at = d.ranking[:count]
    rows = None if samples is None else places(d, samples)[at].tolist()
    kind = None if samples is None else samples.kind
    none = [None] * len(at)
    pictures: Sequence[Any] = (
        thumbnails(np.asarray(samples.features), rows) if samples and rows and kind == "image" else none
    )
    texts: Sequence[Any] = [_text(_words(samples, i)) for i in rows] if samples and rows and kind in _WORDED else none
    values: Sequence[Any] = _values(samples, rows) if samples and rows and kind in ("table", "array") else none
    labels, predicted = d.label_names(d.labels[at]), d.label_names(d.predicted[at])
    p_label = d.p_label[at]
    drawn: Sequence[Any] = none if d.factors is None else bars(d.factors.to_numpy()[at])
    advice = _advice(d, at)
    return [
        Exhibit(
            rank=place + 1,
            id=line(d.ids[i], 120),
            label=datum(labels[place]) if d.classes is None else line(labels[place], 120),
            predicted=datum(predicted[place]) if d.classes is None else line(predicted[place], 120),
            missed=d.classes is not None and bool(d.predicted[i] != d.labels[i]),
            p_label="" if np.isnan(p_label[place]) else number(p_label[place]),
            error=number(d.error[i]),
            error_se=spread(d.error[i], d.error_se[i]),
            bias=number(d.bias[i]),
            variance=number(d.variance[i]),
            cause="" if d.cause is None else str(d.cause[i]),
            p_wrong="" if d.p_wrong is None else number(d.p_wrong[i], 2),
            p_outlier="" if d.p_outlier is None else number(d.p_outlier[i], 2),
            advice=advice[place],
            bar=drawn[place],
            picture=pictures[place],
            text=texts[place],
            row=values[place],
        )
        for place, i in enumerate(at)
    ]


def places(d: Difficulty, samples: Samples) -> np.ndarray:
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


def _advice(d: Difficulty, at: np.ndarray) -> list[Advice | None]:
    if d.recommended_action is None:
        return [None] * len(at)
    likeliest = d.labels[at] if d.suggested is None else d.suggested[at]
    p = np.ones(len(at)) if d.p_suggested is None else d.p_suggested[at]
    changed = likeliest != d.labels[at]
    given, other = ([isolated(line(name, 60)) for name in d.label_names(codes)] for codes in (d.labels[at], likeliest))
    return [
        Advice(
            describe_action(todo, given[place], other[place]),
            todo == RELABEL,
            other[place] if changed[place] else "",
            number(p[place], 2) if changed[place] else "",
        )
        for place, todo in enumerate(d.recommended_action[at].tolist())
    ]


def _words(samples: Samples, at: int) -> str:
    return str(samples.features.describe(at) if samples.kind == "items" else samples.features[at])


def _text(value: Any) -> Text:
    # Measured on the text as given, cut before it is made printable: a text may be a whole book.
    given = str(value)
    whole = body(given[:TEXT_KEPT])
    cut = whole.rfind(" ", TEXT_SHOWN - 60, TEXT_SHOWN) if len(whole) > TEXT_SHOWN else len(whole)
    cut = TEXT_SHOWN if cut < 0 else cut
    return Text(whole[:cut], whole[cut:], max(0, len(given) - TEXT_KEPT))


def _values(samples: Samples, at: list[int]) -> list[Row]:
    if samples.kind == "array":
        numbers = np.asarray(samples.features).reshape(len(samples), -1)
        names = [f"[{i}]" for i in range(min(ARRAY_SHOWN, numbers.shape[1]))]
        columns = [_judge(name, pd.Series(numbers[:, i]), at) for i, name in enumerate(names)]
        return [Row(list(row), [], numbers.shape[1] - len(names)) for row in zip(*columns, strict=True)]
    table = samples.features
    columns = [_judge(line(name, 60), table.iloc[:, i], at) for i, name in enumerate(table.columns)]
    rows = []
    for row in zip(*columns, strict=True):
        # Unusual values first; the sort is stable, so the columns keep their order otherwise.
        values = sorted(row, key=lambda value: not value.unusual) if len(row) > VALUES_SHOWN else list(row)
        rows.append(Row(values[:VALUES_SHOWN], values[VALUES_SHOWN:VALUES_KEPT], max(0, len(values) - VALUES_KEPT)))
    return rows


def _judge(name: str, column: pd.Series, at: list[int]) -> list[Value]:
    """A column's values at some rows, those marked that few of all its values are like."""
    shown = column.iloc[at]
    missing = shown.isna()
    gap_said = "seldom missing" if unusual.rare_gap(column.isna().to_numpy()) else ""
    if unusual.numeric(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        low, high = unusual.bounds(numbers)
        return [
            Value(name, "missing", gap_said)
            if gap
            else Value(name, datum(value), _why(bool(value < low), bool(value > high)))
            for value, gap in zip(numbers[at].tolist(), missing, strict=True)
        ]
    codes, kinds = pd.factorize(column.astype(object).map(lambda value: line(value, 160)).to_numpy())
    few = unusual.rare(codes, len(kinds))
    return [
        Value(name, "missing", gap_said) if gap else Value(name, kinds[code], "rare" if few[code] else "")
        for code, gap in zip(codes[at].tolist(), missing, strict=True)
    ]


def _why(low: bool, high: bool) -> str:
    return "unusually low" if low else "unusually high" if high else ""
