"""Write a text on the effect of weights: what was measured, what was expected, and what the weights are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.explanation.forecast import LITTLE, Forecast
from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics
from hardsight.reporting.formatting import format_count, format_line, format_number, format_share, isolate_direction

_MAX_NAMES = 3
_PRIORITIES = {
    "easy-first": "easy samples weigh most",
    "hard-first": "hard samples weigh most",
    "medium-first": "samples of medium difficulty weigh most",
    "two-ends-first": "the easiest and the hardest samples weigh most",
    "mixed": "weights follow no single order of difficulty",
    "none": "easy and hard samples weigh the same",
}


class Verdict(NamedTuple):
    """The expected and the measured effect."""

    predicted: str | None  # "better", "worse" or "little change"; None without a forecast
    predicted_change: float  # of balanced accuracy on right labels; NaN without a forecast
    measured: str | None  # "better", "worse", "unclear" or "same"; None if nothing was measured
    measured_change: float  # of balanced accuracy on labels that are probably right; in regression, minus that of the loss
    low: float  # lower end of the 95 % interval of measured_change
    high: float  # upper end of that interval
    agrees: bool | None  # whether forecast and measurement agree; None if either is missing or the measurement is unclear


def make_verdict(forecast: Forecast | None, effects: pd.DataFrame | None) -> Verdict:
    """Compare the measured effect with the forecast."""
    predicted, change = (None, float("nan")) if forecast is None else (forecast.direction, forecast.balanced)
    if effects is None:
        return Verdict(predicted, change, None, float("nan"), float("nan"), float("nan"), None)
    row = headline_row(effects)
    sign = -1 if row["measure"] == "loss" else 1
    low, high = sorted((sign * float(row["low"]), sign * float(row["high"])))
    measured = {"gains": "better", "pays": "worse"}.get(row["outcome"], row["outcome"])
    measured_change = sign * float(row["difference"])
    return Verdict(predicted, change, measured, measured_change, low, high, _agrees(predicted, measured, measured_change))


def headline_row(effects: pd.DataFrame) -> Mapping[str, Any]:
    """Return the row that decides: balanced accuracy on labels that are probably right, or the loss in regression."""
    all_samples = effects[effects["by"] == "all"].set_index("measure", drop=False)
    name = "clean balanced accuracy"
    return dict(all_samples.loc[name if name in all_samples.index else "loss"])


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
    verdict: Verdict,
    expected: pd.DataFrame | None,
    effects: pd.DataFrame | None,
    pairs: str,
    dynamics: TrainingDynamics | None = None,
) -> str:
    """Write the text, one line per finding: the measured effect first, then the forecast, then what the weights are."""
    lines = []
    if effects is not None:
        has_ledger = not np.isnan(overview["noise_share_without"])
        labels = "on labels that are probably right" if has_ledger else "on labels as given"
        lines += _describe_measurement(verdict, effects, pairs, labels)
    if expected is not None:
        lines.append(_describe_forecast(verdict, expected))
    lines += [_describe_weights(overview), *_describe_noise(overview), *_describe_classes(shares)]
    if dynamics is not None:
        lines += _describe_dynamics(dynamics, name)
    return "\n".join([f"{format_line(name, 60)}: {lines[0]}", *lines[1:]])


def _describe_weights(overview: Mapping[str, Any]) -> str:
    rho = overview["spearman"]
    ranked = "" if np.isnan(rho) else f" (Spearman with the error {format_number(rho, 2)})"
    n, zeros = overview["samples"], overview["zeros"]
    zeros_text = f", {zeros:,} of them 0," if zeros else ""
    return (
        f"By their weights, {_PRIORITIES[overview['priority']]}{ranked}. The {n:,} weights{zeros_text} are worth "
        f"{overview['effective']:,.0f} samples of equal weight (chi² {format_number(overview['chi2'], 2)})."
    )


def _describe_noise(overview: Mapping[str, Any]) -> list[str]:
    before, after = overview["noise_share_without"], overview["noise_share"]
    if np.isnan(before) or max(before, after) < LITTLE:
        return []
    amount = "as much" if abs(after - before) < 0.1 * before else "more" if after > before else "less"
    carried = f"They carry {amount}: {format_share(after, 1)} of the weight."
    return [f"About {format_share(before, 1)} of the labels are wrong. {carried}"]


def _describe_classes(shares: pd.DataFrame) -> list[str]:
    rows = shares[shares["by"] == "class"]
    if len(rows) < 2 or np.ptp(rows["mean_weight"]) < 0.1:
        return []
    order = np.argsort(-rows["mean_weight"].to_numpy(), kind="stable")
    heaviest, lightest = rows.iloc[order[0]], rows.iloc[order[-1]]
    sentence = (
        f"The mean weight is {format_number(heaviest['mean_weight'], 2)} in class {_format_name(heaviest['group'])} "
        f"({format_count(int(heaviest['samples']), 'sample')}) and {format_number(lightest['mean_weight'], 2)} in class "
        f"{_format_name(lightest['group'])} ({int(lightest['samples']):,})."
    )
    return [sentence]


def _describe_forecast(verdict: Verdict, expected: pd.DataFrame) -> str:
    if verdict.predicted == "little change":
        change = "hardly changes"
    else:
        change = f"gets {verdict.predicted} by about {100 * abs(verdict.predicted_change):.1f} points"
    agreement = {None: "", True: " The measurement agrees.", False: " It was wrong: trust the measurement."}[verdict.agrees]
    groups = _describe_groups(expected, "expected", "loss", "The loss should")
    return f"Forecast before training: balanced accuracy on right labels {change}.{groups}{agreement}"


def _describe_measurement(verdict: Verdict, effects: pd.DataFrame, pairs: str, labels: str) -> list[str]:
    row = headline_row(effects)
    outcome = {
        "better": "The weights help",
        "worse": "The weights do harm",
        "unclear": "No clear effect of the weights",
        "same": "The weights change nothing",
    }[str(verdict.measured)]
    if row["measure"] == "loss":
        quantity, without, weighted = "squared error", format_number(row["without"]), format_number(row["with"])
        change = f"{format_number(row['difference'])} (95 %: {format_number(row['low'])} to {format_number(row['high'])})"
    else:
        quantity = f"balanced accuracy {labels}"
        without, weighted = _format_rate(row["without"]), _format_rate(row["with"])
        change = f"{_format_points(row['difference'])} (95 %: {_format_signed(row['low'])} to {_format_signed(row['high'])})"
    clean = effects[effects["measure"].eq("clean loss")]
    groups = _describe_groups(clean, "outcome", "difference", "The loss on labels that are probably right")
    sentence = f"{outcome}: {quantity} is {without} without and {weighted} with them, {change}. Measured in {pairs}.{groups}"
    return [sentence, *_describe_raw_loss(effects)]


def _describe_dynamics(dynamics: TrainingDynamics, name: str) -> list[str]:
    """Describe which gradients training follows, if weights change that, and the distance from the max-margin dual."""
    rows = dynamics.gradients
    rows = rows[(rows["weights"] == name) & (rows["when"] == "end") & (rows["by"] == "decile")]
    sentences = []
    if len(rows):
        hardest = rows.iloc[-1]
        sentences.append(
            f"At the end of training the hardest tenth makes up {format_share(hardest['share'], 1)} of the gradient; "
            f"without weights it would be {format_share(hardest['share_unweighted'], 1)} in the same models."
        )
    if dynamics.dual.separable:
        kl = dynamics.kl.set_index("weights")["kl"]
        sentences.append(
            f"KL from the max-margin dual is {format_number(float(kl[name]), 2)} nats, that of uniform weights "
            f"{format_number(float(kl[UNIFORM]), 2)}; a smaller value bounds convergence more tightly, "
            "but does not mean faster training."
        )
    return sentences


def _describe_raw_loss(effects: pd.DataFrame) -> list[str]:
    """Describe the raw loss if it contradicts the loss on labels that are probably right."""
    rows = effects[effects["by"] == "all"].set_index("measure")
    if not {"loss", "clean loss"} <= set(rows.index):
        return []
    raw, clean = rows.loc["loss"], rows.loc["clean loss"]
    if {raw["outcome"], clean["outcome"]} != {"gains", "pays"}:
        return []
    sentence = (
        f"The raw loss on labels as given goes the other way ({format_number(raw['difference'], 2)} against "
        f"{format_number(clean['difference'], 2)} on labels that are probably right), because it counts "
        "wrong labels as right."
    )
    return [sentence]


def _describe_groups(rows: pd.DataFrame, outcome: str, size: str, subject: str) -> str:
    """Describe for which classes and causes the loss falls and rises, the largest changes first."""
    parts = []
    forms = ("fall for", "rise for") if subject.endswith("should") else ("falls for", "rises for")
    for result, verb in zip(("gains", "pays"), forms, strict=True):
        listed = []
        for by in ("class", "cause"):
            of_kind = rows[rows["by"] == by]
            selected = of_kind[of_kind[outcome] == result]
            selected = selected.iloc[np.argsort(-selected[size].abs().to_numpy(), kind="stable")]
            if len(selected):
                listed.append(_list_groups(by, selected["group"].tolist(), len(of_kind)))
        if listed:
            parts.append(f"{verb} {' and '.join(listed)}")
    return f" {subject} {'; it '.join(parts) if not subject.endswith('should') else ', and '.join(parts)}." if parts else ""


def _list_groups(by: str, names: Sequence[str], total: int) -> str:
    kinds = "classes" if by == "class" else "causes"
    if len(names) == total > 1:
        return f"all {kinds}"
    listed = ", ".join(map(_format_name, names[:_MAX_NAMES])) + (
        f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    )
    return f"{kinds} {listed}" if len(names) > 1 else f"{by} {listed}"


def _format_name(name: str) -> str:
    return isolate_direction(format_line(name, 24))


def _format_points(change: float) -> str:
    """Format a change of a share in percentage points, with its sign.

    >>> _format_points(0.0312), _format_points(-0.5)
    ('+3.1 points', '−50.0 points')
    """
    return f"{_format_signed(change)} points"


def _format_signed(change: float) -> str:
    return "?" if np.isnan(change) else f"{100 * change:+.1f}".replace("-", "−")


def _format_rate(value: float) -> str:
    return format_share(value, 1)
