"""A paragraph on what weights do, in words that the numbers support: what they are, what was expected, what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.explanation.forecast import LITTLE, Forecast
from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics
from hardsight.reporting.formatting import format_count, format_line, format_number, format_share, isolate_direction

_NAMED = 3
_PRIORITIES = {
    "easy-first": "easy samples weigh most",
    "hard-first": "hard samples weigh most",
    "medium-first": "samples of medium difficulty weigh most",
    "two-ends-first": "the easiest and the hardest samples weigh most",
    "mixed": "weights follow no single order of difficulty",
    "none": "easy and hard samples weigh the same",
}


class Verdict(NamedTuple):
    """What was expected and what was measured.

    Attributes:
        predicted: "better", "worse" or "little change"; None without a forecast.
        predicted_change: of balanced accuracy on right labels; NaN without.
        measured: "better", "worse", "unclear" or "same"; None where nothing was measured.
        measured_change: of balanced accuracy on labels that are probably right; in regression minus that of the loss.
        low: end of its 95 % interval.
        high: other end.
        agrees: whether forecast and measurement do; None where one is missing or the measurement is unclear.
    """

    predicted: str | None
    predicted_change: float
    measured: str | None
    measured_change: float
    low: float
    high: float
    agrees: bool | None


def make_verdict(told: Forecast | None, effects: pd.DataFrame | None) -> Verdict:
    """Expected beside measured.

    Args:
        told: the forecast, if there is one.
        effects: of :func:`hardsight.explanation.effect.effect_table`, if measured.
    """
    predicted, change = (None, float("nan")) if told is None else (told.direction, told.balanced)
    if effects is None:
        return Verdict(predicted, change, None, float("nan"), float("nan"), float("nan"), None)
    row = headline_row(effects)
    sign = -1 if row["measure"] == "loss" else 1
    low, high = sorted((sign * float(row["low"]), sign * float(row["high"])))
    measured = {"gains": "better", "pays": "worse"}.get(row["outcome"], row["outcome"])
    gap = sign * float(row["difference"])
    return Verdict(predicted, change, measured, gap, low, high, _agrees(predicted, measured, gap))


def headline_row(effects: pd.DataFrame) -> Mapping[str, Any]:
    """The row that the verdict goes by: balanced accuracy on labels that are probably right, or the loss in regression."""
    everything = effects[effects["by"] == "all"].set_index("measure", drop=False)
    name = "clean balanced accuracy"
    return dict(everything.loc[name if name in everything.index else "loss"])


def _agrees(predicted: str | None, measured: str, change: float) -> bool | None:
    if predicted is None or measured == "unclear":
        return None
    if predicted == "little change" or measured == "same":
        return abs(change) < LITTLE and predicted == "little change"
    return predicted == measured


def write_paragraph(
    name: str,
    overview: Mapping[str, Any],
    shares: pd.DataFrame,
    found: Verdict,
    expected: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    pairs: str,
    course: TrainingDynamics | None = None,
) -> str:
    """All of it in words.

    Args:
        name: of the weights.
        overview: of :func:`hardsight.explanation.weight_summary.weight_overview`.
        shares: of :func:`hardsight.explanation.weight_summary.weight_shares`.
        found: the verdict.
        expected: the forecast by group.
        effects: the measurement by group.
        pairs: how many models were trained, in words.
        course: how training goes, if it was followed.
    """
    said = [_weights(name, overview), *_noise(overview), *_classes(shares)]
    if expected is not None:
        said.append(_forecast(found, expected))
    if effects is not None:
        known = not np.isnan(overview["noise_share_without"])
        said += _measured(found, effects, pairs, "on labels that are probably right" if known else "on labels as given")
    if found.agrees is not None:
        said.append("The forecast agrees." if found.agrees else "The forecast was wrong: trust the measurement.")
    if course is not None:
        said += _course(course, name)
    return " ".join(said)


def _weights(name: str, overview: Mapping[str, Any]) -> str:
    rho = overview["spearman"]
    ranked = "" if np.isnan(rho) else f" (Spearman with the error {format_number(rho, 2)})"
    n, zeros = overview["samples"], overview["zeros"]
    none = f", {zeros:,} of them 0," if zeros else ""
    return (
        f"{format_line(name, 60)}: {_PRIORITIES[overview['priority']]}{ranked}; the {n:,} weights{none} are worth "
        f"{overview['effective']:,.0f} samples of equal weight, chi² {format_number(overview['chi2'], 2)}."
    )


def _noise(overview: Mapping[str, Any]) -> list[str]:
    before, after = overview["noise_share_without"], overview["noise_share"]
    if np.isnan(before) or max(before, after) < LITTLE:
        return []
    way = "as much" if abs(after - before) < 0.1 * before else "more" if after > before else "less"
    return [
        f"Wrong labels, expected to be {format_share(before, 1)} of all, carry {way}: {format_share(after, 1)} of the weight."
    ]


def _classes(shares: pd.DataFrame) -> list[str]:
    rows = shares[shares["by"] == "class"]
    if len(rows) < 2 or np.ptp(rows["mean_weight"]) < 0.1:
        return []
    order = np.argsort(-rows["mean_weight"].to_numpy(), kind="stable")
    most, least = rows.iloc[order[0]], rows.iloc[order[-1]]
    said = (
        f"A sample of class {_named(most['group'])} ({format_count(int(most['samples']), 'sample')}) weighs "
        f"{format_number(most['mean_weight'], 2)} on average, one of {_named(least['group'])} "
        f"({int(least['samples']):,}) {format_number(least['mean_weight'], 2)}."
    )
    return [said]


def _forecast(found: Verdict, expected: pd.DataFrame) -> str:
    who = _who(expected, "expected", "loss", (("to gain",) * 2, ("to pay",) * 2))
    if found.predicted == "little change":
        return f"Expected before training: balanced accuracy on right labels changes little{who}."
    return (
        f"Expected before training: {found.predicted} balanced accuracy on right labels, by about "
        f"{_points(found.predicted_change)}{who}."
    )


def _measured(found: Verdict, effects: pd.DataFrame, pairs: str, labels: str) -> list[str]:
    row = headline_row(effects)
    what = "squared error" if row["measure"] == "loss" else f"balanced accuracy {labels}"
    told = format_number if row["measure"] == "loss" else _rate
    words = {
        "better": "better",
        "worse": "worse",
        "unclear": "no clear difference",
        "same": "exactly the same",
    }[str(found.measured)]
    clean = effects[effects["measure"].eq("clean loss")]
    gap = (
        f"{_points(row['difference'])} (95 %: {_signed(row['low'])} to {_signed(row['high'])})"
        if told is _rate
        else f"{format_number(row['difference'])} (95 %: {format_number(row['low'])} to {format_number(row['high'])})"
    )
    who = _who(clean, "outcome", "difference", (("gains", "gain"), ("pays", "pay")))
    said = (
        f"Measured in {pairs}: {what} {told(row['without'])} without the weights, {told(row['with'])} with them, {gap}: "
        f"{words}{who}."
    )
    return [said, *_raw(effects)]


def _course(course: TrainingDynamics, name: str) -> list[str]:
    """Whose gradients training follows, where weights change that; and how far they are from the max-margin dual."""
    rows = course.gradients
    rows = rows[(rows["weights"] == name) & (rows["when"] == "end") & (rows["by"] == "decile")]
    said = []
    if len(rows):
        hardest = rows.iloc[-1]
        said.append(
            f"At the end of training the hardest tenth makes {format_share(hardest['share'], 1)} of the weighted gradient, where "
            f"equal weights would give it {format_share(hardest['share_unweighted'], 1)}."
        )
    if course.dual.separable:
        kl = course.kl.set_index("weights")["kl"]
        said.append(
            f"KL from the max-margin dual is {format_number(float(kl[name]), 2)} nats, that of uniform weights "
            f"{format_number(float(kl[UNIFORM]), 2)}; the smaller is the smaller bound on convergence, not the faster direction."
        )
    return said


def _raw(effects: pd.DataFrame) -> list[str]:
    """Where the raw loss tells another story than the one on labels that are probably right."""
    rows = effects[effects["by"] == "all"].set_index("measure")
    if not {"loss", "clean loss"} <= set(rows.index):
        return []
    raw, clean = rows.loc["loss"], rows.loc["clean loss"]
    if {raw["outcome"], clean["outcome"]} != {"gains", "pays"}:
        return []
    said = (
        f"The raw loss on labels as given goes the other way ({format_number(raw['difference'], 2)} against "
        f"{format_number(clean['difference'], 2)} on labels that are probably right): it counts wrong labels as if they were right."
    )
    return [said]


def _who(rows: pd.DataFrame, outcome: str, size: str, verbs: Sequence[tuple[str, str]]) -> str:
    """Which classes and causes gain and pay, the largest changes of the loss first."""
    told = []
    for by in ("class", "cause"):
        mine = rows[rows["by"] == by]
        for word, verb in zip(("gains", "pays"), verbs, strict=True):
            some = mine[mine[outcome] == word]
            some = some.iloc[np.argsort(-some[size].abs().to_numpy(), kind="stable")]
            if len(some):
                told.append(f"{_list(by, some['group'].tolist(), len(mine))} {verb[len(some) > 1]}")
    return f"; {', '.join(told)}" if told else ""


def _list(by: str, names: Sequence[str], of: int) -> str:
    kinds = "classes" if by == "class" else "causes"
    if len(names) == of > 1:
        return f"all {kinds}"
    shown = ", ".join(map(_named, names[:_NAMED])) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"{kinds} {shown}" if len(names) > 1 else f"the {by} {shown}"


def _named(name: str) -> str:
    return isolate_direction(format_line(name, 24))


def _points(change: float) -> str:
    """A change of a share in points of a hundred, with its sign.

    >>> _points(0.0312), _points(-0.5)
    ('+3.1 points', '−50.0 points')
    """
    return f"{_signed(change)} points"


def _signed(change: float) -> str:
    return "?" if np.isnan(change) else f"{100 * change:+.1f}".replace("-", "−")


def _rate(value: float) -> str:
    return format_share(value, 1)
