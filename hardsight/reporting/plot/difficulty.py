"""Figures of a result: its ledger, its map, its classes, its errors."""

import altair as alt
import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.formatting import UNITS, format_count, format_line, format_number
from hardsight.reporting.plot.theme import FAINT, GREY, check_not_empty, without_config
from hardsight.reporting.report import figures
from hardsight.reporting.summary import loss, summarize_causes, summarize_groups
from hardsight.validation import check_int

_BY = ("class", "cause", "sample")
_BAR = 22
# Of a normal distribution: 95 % lie as many standard deviations about its mean.
_SURE = 1.96


def ledger(d: Difficulty, by: str = "class", most: int = 20) -> alt.LayerChart:
    """The four factors of the error as stacked bars, and a tick at their sum; what lies left of zero is saved already.

    Args:
        d: with a ledger.
        by: "class" or "cause" for means, hardest class first; "sample" for the hardest samples.
        most: bars at most.

    Raises:
        InputError: there is no ledger, no sample, or an unknown ``by``.
    """
    if by not in _BY:
        raise InputError(f"by is one of {', '.join(_BY)}. Got {by!r}")
    if d.factors is None:
        raise InputError(
            "this result has no ledger: measure classes with loss='log' and at least two held-out views a sample"
        )
    check_int("most", most, 1)
    check_not_empty(d)
    if by == "sample":
        at = d.ranking[:most]
        names = [format_line(each, 32) for each in d.ids[at]]
        rows, of = d.factors.to_numpy()[at].tolist(), "error of the sample (nats)"
    elif by == "class":
        found = summarize_groups(d)[:most]
        names, rows, of = (
            [format_line(row.name, 32) for row in found],
            [row.terms for row in found],
            "mean error of the class (nats)",
        )
    else:
        counted = [row for row in summarize_causes(d) if row.size][:most]
        names, rows, of = (
            [row.name for row in counted],
            [row.terms for row in counted],
            "mean error of the samples (nats)",
        )
    return without_config(figures.stacked_bars(names, rows, of), height=_BAR * max(len(names), 1))


def bias_variance(d: Difficulty) -> alt.Chart:
    """The map: bias against variance, a point a sample, coloured by cause.

    Of more than 4,000 samples it shows the 1,000 hardest and a random part of the others. Regression is coloured by the side
    on which the prediction lies, a result without a ledger by whether the label is predicted.

    Raises:
        InputError: no variance is known: each sample was judged once, or the models gave losses only.
    """
    if d.loss_only:
        raise InputError(
            "the models gave losses and no predictions, which have no bias and no variance: plot.errors() shows them"
        )
    return without_config(figures.bias_variance(check_not_empty(d)))


def errors(d: Difficulty) -> alt.LayerChart:
    """How many samples have which error.

    Raises:
        InputError: there is no sample.
    """
    return without_config(figures.histogram(check_not_empty(d)))


def classes(d: Difficulty, most: int = 30) -> alt.LayerChart:
    """The mean error of every class with its 95 % interval, hardest first, and a line at the mean of all samples.

    Numbers to predict are shown by fifths of the target, lowest first. A class of one sample has no interval.

    Args:
        d: the result.
        most: rows at most.

    Raises:
        InputError: the models gave losses only, with neither classes nor targets.
    """
    rows = summarize_groups(check_not_empty(d))[: check_int("most", most, 1)]
    if not rows:
        raise InputError("there are neither classes nor targets here: plot.errors() shows the errors")
    names = figures.unique_names([f"{format_line(row.name, 32)} ({row.size:,})" for row in rows])
    values = [
        {
            "class": name,
            "error": row.error,
            "low": row.error - _SURE * np.nan_to_num(row.error_se),
            "high": row.error + _SURE * np.nan_to_num(row.error_se),
            "shown": f"{format_number(row.error)} ± {format_number(row.error_se, 2)}",
            "samples": format_count(row.size, "sample"),
            "accuracy": format_number(row.accuracy),
        }
        for name, row in zip(names, rows, strict=True)
    ]
    tips = [
        ("class", "Of"),
        ("samples", "Counted"),
        ("shown", "Mean error ± s.e."),
        ("accuracy", "Predicted as labelled"),
    ]
    y = alt.Y(
        "class:N",
        sort=None,
        scale=alt.Scale(domain=names),
        title=None,
        axis=alt.Axis(labelLimit=220, ticks=False, labelPadding=6),
    )
    title = f"mean error ({UNITS.get(loss(d), loss(d))})"
    x = alt.X("low:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=6))
    base = alt.Chart(figures.inline_data(values)).encode(
        y=y, tooltip=[alt.Tooltip(f"{field}:N", title=name) for field, name in (tips[:3] if d.regression else tips)]
    )
    mean = alt.Chart(figures.inline_data([{"at": float(np.nanmean(d.error))}])).mark_rule(strokeDash=[4, 3], color=GREY)
    return without_config(
        alt.LayerChart(
            layer=[
                mean.encode(x=alt.X("at:Q", title=title)),
                base.mark_rule(strokeWidth=2, color=FAINT).encode(x=x, x2="high:Q"),
                base.mark_point(filled=True, size=60, opacity=1, color=figures.COLOURS["imbalance"]).encode(
                    x="error:Q"
                ),
            ]
        ),
        f"line: mean of all {len(d):,} samples, {format_number(np.nanmean(d.error))}",
        height=_BAR * len(names),
    )
