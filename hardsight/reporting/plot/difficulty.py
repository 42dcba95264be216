"""Figures of a result: its ledger, its bias and variance, its classes, its errors."""

import altair as alt
import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import group_by_class, has_several_labels
from hardsight.errors import InputError
from hardsight.reporting.charts import inline_data, unique_names
from hardsight.reporting.formatting import UNITS, format_count, format_line, format_number
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.palette import COLOURS, FAINT, GREY
from hardsight.reporting.plot.theme import check_not_empty, without_config
from hardsight.reporting.report import figures
from hardsight.reporting.summary import Group, summarize_causes, summarize_groups
from hardsight.validation import check_choice, check_int

_BY = ("class", "cause", "sample")
_BAR_HEIGHT = 22
# Normal quantile of a 95 % interval.
_Z = 1.96


def ledger(d: Difficulty, by: str = "class", most: int = 20) -> alt.LayerChart:
    """Draw the four factors of the error as stacked bars, and a tick at their sum. Terms left of zero reduce the error.

    Args:
        d: a result with a ledger.
        by: "class" or "cause" for means, hardest class first; "sample" for the hardest samples.
        most: largest number of bars.

    Raises:
        InputError: there is no ledger, no sample, or an unknown ``by``.
    """
    check_choice("by", by, _BY)
    if d.ledger is None:
        raise InputError(figures.NO_LEDGER)
    check_int("most", most, 1)
    check_not_empty(d)
    if by == "sample":
        index = d.ranking[:most]
        names = [format_line(each, 32) for each in d.ids[index]]
        terms, title = d.ledger[index].tolist(), "error of the sample (nats)"
    elif by == "class":
        classes = summarize_groups(d)[:most]
        names = [format_line(row.name, 32) for row in classes]
        terms, title = [row.terms for row in classes], f"mean error of the {group_by_class(d).noun} (nats)"
    else:
        causes = [row for row in summarize_causes(d) if row.size][:most]
        names = [row.name for row in causes]
        terms, title = [row.terms for row in causes], "mean error of the samples (nats)"
    return without_config(figures.stacked_bars(names, terms, title), height=_BAR_HEIGHT * max(len(names), 1))


def bias_variance(d: Difficulty) -> alt.Chart:
    """Draw bias against variance, one point per sample, coloured by cause.

    Of more than 4,000 samples it shows the 1,000 hardest and a random part of the others. Regression is coloured by the side
    on which the prediction lies, a result without a ledger by whether the label is predicted.

    Raises:
        InputError: no variance is known: each sample has one view, or the models gave losses only.
    """
    if d.loss_only:
        raise InputError(
            "the models gave losses and no predictions, so there is no bias and no variance: plot.errors() shows the errors"
        )
    return without_config(figures.bias_variance(check_not_empty(d)))


def errors(d: Difficulty) -> alt.LayerChart:
    """Draw how many samples have which error.

    Raises:
        InputError: there is no sample.
    """
    return without_config(figures.histogram(check_not_empty(d)))


def classes(d: Difficulty, most: int = 30) -> alt.LayerChart:
    """Draw the mean error of every class with its 95 % interval, hardest first, and a line at the mean of all rows.

    Where samples have several labels, the rows are the labels.
    Regression is shown by fifths of the target, lowest first. A class of one sample has no interval.

    Args:
        d: the result.
        most: largest number of rows.

    Raises:
        InputError: the models gave losses only, with neither classes nor targets.
    """
    rows = summarize_groups(check_not_empty(d))[: check_int("most", most, 1)]
    if not rows:
        raise InputError("this result has neither classes nor targets: plot.errors() shows the errors")
    names = unique_names([f"{format_line(row.name, 32)} ({row.size:,})" for row in rows])
    titles = {"class": "Of", "samples": "Counted", "shown": "Mean error ± s.e."}
    if not d.regression:
        titles["accuracy"] = "Predicted as labelled"
    y_axis = alt.Axis(labelLimit=220, ticks=False, labelPadding=6)
    y = alt.Y("class:N", sort=None, scale=alt.Scale(domain=names), title=None, axis=y_axis)
    title = f"mean error ({UNITS.get(d.run.loss, d.run.loss)})"
    x = alt.X("low:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=6))
    tooltip = [alt.Tooltip(f"{field}:N", title=name) for field, name in titles.items()]
    counted = nouns_of(d).sample if has_several_labels(d) else nouns_of(d).row
    base = alt.Chart(inline_data(_class_values(names, rows, counted))).encode(y=y, tooltip=tooltip)
    mean = float(np.nanmean(d.error))
    line = alt.Chart(inline_data([{"at": mean}])).mark_rule(strokeDash=[4, 3], color=GREY)
    point = base.mark_point(filled=True, size=60, opacity=1, color=COLOURS["imbalance"])
    layers = [
        line.encode(x=alt.X("at:Q", title=title)),
        base.mark_rule(strokeWidth=2, color=FAINT).encode(x=x, x2="high:Q"),
        point.encode(x="error:Q"),
    ]
    return without_config(
        alt.LayerChart(layer=layers),
        f"line: mean of all {len(d):,} {nouns_of(d).rows}, {format_number(mean)}",
        height=_BAR_HEIGHT * len(names),
    )


def _class_values(names: list[str], rows: list[Group], counted: str) -> list[dict[str, object]]:
    return [
        {
            "class": name,
            "error": row.error,
            "low": row.error - _Z * np.nan_to_num(row.error_se),
            "high": row.error + _Z * np.nan_to_num(row.error_se),
            "shown": f"{format_number(row.error)} ± {format_number(row.error_se, 2)}",
            "samples": format_count(row.size, counted),
            "accuracy": format_number(row.accuracy),
        }
        for name, row in zip(names, rows, strict=True)
    ]
