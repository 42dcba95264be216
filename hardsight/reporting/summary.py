"""The numbers and sentences of the page: headline, findings, classes, causes."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hardsight.attribution.names import FACTORS
from hardsight.difficulty.actions import COLLECT_CLASS, NOTHING, RECOMMENDATIONS
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.formatting import (
    LOSSES,
    UNITS,
    format_count,
    format_line,
    format_number,
    format_share,
    isolate_direction,
)
from hardsight.resampling.budget import models_needed

CLASS_ROWS = 500
QUANTILES = 5
CLASSES_NAMED = 3
CONFUSIONS = 20
# Reliability of a ranking that needs no more models.
SUFFICIENT_RELIABILITY = 0.95
NONE = "none"

MEANINGS = {
    "noise": "putting the label right would save it",
    "imbalance": "balanced classes would save it",
    "margin": "what remains: close to the boundary, or ambiguous",
    "uncertainty": "an infinite ensemble would save it; more data shrinks it",
    NONE: "not a hard sample",
}


class Chance(NamedTuple):
    """The error of knowing nothing, and how it comes about in words."""

    error: float
    words: str


def loss(d: Difficulty) -> str:
    """The key of the loss that was measured."""
    return str(d.settings.get("loss", "squared" if d.regression else "log"))


def chance_level(d: Difficulty) -> Chance | None:
    """The error of a model that gives every class the same probability, or every sample the mean target."""
    if d.loss_only:
        return None
    if d.classes is None:
        return Chance(float(np.var(d.labels)), "always the mean target")
    classes = len(d.classes)
    if classes < 2:
        return None
    if loss(d) == "log":
        return Chance(float(np.log(classes)), f"chance, log {classes:,}")
    return Chance(1 - 1 / classes, f"chance, 1 − 1/{classes:,}")


def is_mispredicted(d: Difficulty) -> np.ndarray:
    """Whether the consensus predicts another class than the label, ``(sample,)`` bool."""
    return np.asarray(d.predicted != d.labels)


def describe_measurement(d: Difficulty) -> str:
    """What was measured, in one sentence."""
    few, many = int(d.n_views.min()), int(d.n_views.max())
    views = format_count(few, "held-out view") if few == many else f"{few:,} to {many:,} held-out views"
    models = f" from {format_count(int(d.settings['members']), 'trained model')}" if "members" in d.settings else ""
    learner = f" ({isolate_direction(format_line(d.settings['learner']))})" if "learner" in d.settings else ""
    return (
        f"{format_count(len(d), 'sample')}, each judged by {views}{models}{learner}. "
        f"The mean {LOSSES.get(loss(d), loss(d))} of a sample on models that never saw it is {format_number(_mean(d.error))}."
    )


def key_figures(d: Difficulty) -> list[tuple[str, str]]:
    """The measurement's key figures, as (name, value)."""
    few, many = int(d.n_views.min()), int(d.n_views.max())
    pairs: list[tuple[str, Any]] = [
        ("Samples", f"{len(d):,}"),
        ("Target", d.settings.get("label_name") if d.regression else None)
        if d.classes is None
        else ("Classes", f"{len(d.classes):,}"),
        ("Models", f"{d.settings['members']:,}" if "members" in d.settings else None),
        ("Held-out views each", f"{few:,}" if few == many else f"{few:,}–{many:,}"),
        ("Splits", d.settings.get("splits")),
        ("Loss", LOSSES.get(loss(d), loss(d))),
        ("Mean error", f"{format_number(_mean(d.error))} {UNITS.get(loss(d), '')}".strip()),
        ("Its root", format_number(_mean(d.error) ** 0.5) if loss(d) == "squared" else None),
        ("Noise (s.d.)", None if d.noise_sd is None else format_number(d.noise_sd)),
        ("Seed", d.settings.get("seed")),
    ]
    return [(name, format_line(value, 80)) for name, value in pairs if value is not None]


def findings(d: Difficulty) -> list[str]:
    """What stands out, a sentence each."""
    found = []
    error = np.sort(np.nan_to_num(d.error))[::-1]
    total = error.sum()
    if total > 0 and len(d) > 1:
        half = int(np.searchsorted(np.cumsum(error), total / 2)) + 1
        found.append(f"Half of all error lies in the hardest {format_share(half, len(d))} of the samples ({half:,}).")
    reliability = d.settings.get("reliability")
    if reliability is not None:
        found.append(
            f"The ranking has a reliability of {format_number(reliability)}: as many new models would agree with it that well, "
            f"infinitely many by about {format_number(reliability**0.5)}.{_more(reliability, d)}"
        )
    if d.adjusted is not None:
        gain = d.settings["adjusted"]
        found.append(
            "An adjusted ranking is available (column adjusted), which also uses the losses of the samples that the same "
            f"models were trained on: its agreement with an independent repeat is {gain['gain']:.3f} "
            f"± {gain['gain_se']:.3f} higher. All else here is from held-out losses alone."
        )
    if d.regression and d.labels.std() > 0:
        explained = 1 - _mean(d.error) / float(d.labels.var())
        found.append(f"The models explain {format_share(max(0.0, explained), 1)} of the target's variance.")
    if d.classes is not None:
        missed = int(is_mispredicted(d).sum())
        found.append(
            f"{format_count(missed, 'sample')} ({format_share(missed, len(d))}) are predicted otherwise than labelled."
            if missed != 1
            else f"1 sample ({format_share(1, len(d))}) is predicted otherwise than labelled."
        )
    known = np.isfinite(d.variance)
    if loss(d) != "zero-one" and known.any() and d.error[known].sum() > 0:
        spread = max(0.0, float(d.variance[known].sum() / d.error[known].sum()))
        found.append(
            f"Variance, which more data or averaging would shrink, is {format_share(spread, 1)} of the error; "
            "the rest is bias."
        )
    if d.p_wrong is not None:
        likely = int((d.p_wrong > 0.5).sum())
        found.append(
            f"About {format_number(round(float(np.nansum(d.p_wrong))))} labels are expected to be wrong; "
            f"{format_count(likely, 'sample')} more likely wrong than right."
        )
    if (again := d.settings.get("refined") or {}).get("rounds"):
        found.append(
            f"Which labels are wrong was asked of {format_count(again['members'], 'more model')}, trained with the automatic "
            "weights of what the first ones said; errors are those of the first."
        )
    if d.regression:
        found += _residuals(d)
    if d.loss_only:
        found.append(
            "The models gave a loss of each sample and no predictions: there is no bias, no variance, no ledger of causes, "
            "and no label to doubt."
        )
    return found


def _residuals(d: Difficulty) -> list[str]:
    """What there is in place of the ledger where labels are numbers."""
    found = [
        "The ledger of causes is for classification; a regression has bias, variance and an estimate of the noise."
    ]
    if d.noise_sd is None or d.p_outlier is None:
        return found
    likely = int((d.p_outlier > 0.5).sum())
    whole = _mean(d.error)
    part = f", {format_share(min(d.noise_sd**2 / whole, 1.0), 1)} of the mean squared error" if whole > 0 else ""
    found.append(
        f"Noise: targets usually lie {format_number(d.noise_sd)} about the consensus (standard deviation{part}). This holds "
        "whatever the models get wrong together, too."
    )
    found.append(
        f"About {format_number(round(float(d.p_outlier.sum())))} targets are expected to be farther off than noise; "
        f"{likely:,} more likely than not."
    )
    return found


class Group(NamedTuple):
    """One row of the table by class, or by part of the target's range."""

    name: str
    size: int
    error: float
    error_se: float
    bias: float
    variance: float
    accuracy: float
    offset: float
    p_wrong: float
    terms: tuple[float, ...]
    noise_sd: float
    outliers: float


def summarize_groups(d: Difficulty) -> list[Group]:
    """The means by class, hardest first; in regression by fifths of the target, lowest first; none without either."""
    if d.loss_only:
        return []
    codes, names = _parts(d) if d.classes is None else (d.labels, [format_line(name, 80) for name in d.classes])
    size = np.bincount(codes, minlength=len(names))
    there = np.flatnonzero(size)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(codes, weights=values, minlength=len(names))[there] / size[there]

    n = size[there]
    error = mean(d.error)
    at = np.zeros(len(names))
    at[there] = error
    squares = mean((d.error - at[codes]) ** 2)
    # A class of one sample has no spread to tell: its standard error is unknown, not zero.
    error_se = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    unknown = np.full(len(there), np.nan)
    columns = (
        error,
        error_se,
        mean(d.bias),
        mean(d.variance),
        unknown if d.regression else mean(~is_mispredicted(d)),
        mean(d.predicted - d.labels) if d.regression else unknown,
        unknown if d.p_wrong is None else mean(d.p_wrong),
    )
    noise_sd = (unknown if d.noise_variance is None else np.sqrt(mean(d.noise_variance))).tolist()
    outliers = (unknown if d.p_outlier is None else mean(d.p_outlier) * n).tolist()
    lines = np.stack([unknown if d.factors is None else mean(d.factors[name].to_numpy()) for name in FACTORS], axis=1)
    rows = [
        Group._make((names[code], int(count), *map(float, values), tuple(account), noise, outliers))
        for code, count, account, noise, outliers, *values in zip(
            there, n, lines.tolist(), noise_sd, outliers, *columns, strict=True
        )
    ]
    return rows if d.regression else sorted(rows, key=lambda row: -row.error)


def _parts(d: Difficulty) -> tuple[np.ndarray, list[str]]:
    """Fifths of the target's range with about the same number of samples each; fewer where many targets are equal."""
    edges = np.unique(np.quantile(d.labels, np.linspace(0, 1, QUANTILES + 1)))
    if len(edges) < 2:
        return np.zeros(len(d), dtype=np.int64), [format_number(edges[0])]
    codes = np.clip(np.searchsorted(edges, d.labels, side="right") - 1, 0, len(edges) - 2)
    return codes, [f"{format_number(low)} to {format_number(high)}" for low, high in pairwise(edges)]


class Cause(NamedTuple):
    """One row of the table of causes."""

    name: str
    size: int
    share: str
    mean_error: float
    total: str
    meaning: str
    terms: tuple[float, ...]
    recommendations: list[str]


def summarize_causes(d: Difficulty) -> list[Cause]:
    """How many samples each factor explains most of, their mean lines, and what to do about them.

    ``total`` is the share of all error that the factor's line carries over all samples.
    """
    if d.factors is None or d.cause is None:
        return []
    lines = d.factors.to_numpy().sum(0)
    carried = dict(zip(FACTORS, lines, strict=True))
    rows = []
    for name in (*FACTORS, NONE):
        mine = d.cause == name
        rows.append(
            Cause(
                name=name,
                size=int(mine.sum()),
                share=format_share(int(mine.sum()), len(d)),
                mean_error=_mean(d.error[mine]),
                total="–" if name == NONE else _signed_share(carried[name], lines.sum()),
                meaning=MEANINGS[name],
                terms=tuple(mean_terms(d, mine).tolist()),
                recommendations=count_recommendations(d, mine),
            )
        )
    return rows


class ClassNoise(NamedTuple):
    """How noisy the labels of one class are; see :attr:`hardsight.Difficulty.noise_rates`."""

    name: str
    given: int
    true_share: float
    wrong: float
    mislabelled: float


def summarize_noise_rates(d: Difficulty) -> list[ClassNoise]:
    """The noise rates by class, the noisiest labels first."""
    table = d.noise_rates
    if table is None:
        return []
    # Classes without a sample, whose rate is unknown, stand last.
    table = table.sort_values("wrong", ascending=False, kind="stable")
    return [ClassNoise(format_line(row[0], 80), *row[1:]) for row in table.itertuples(name=None)]


class Confusion(NamedTuple):
    """One way in which labels go wrong."""

    true: str
    given: str
    rate: float
    suggested: int


def largest_confusions(d: Difficulty) -> list[Confusion]:
    """The largest rates at which samples of one class are given the label of another, largest first.

    ``suggested`` counts the samples so labelled whose likeliest true label is the former.
    """
    matrix = d.transition
    if matrix is None or d.classes is None:
        return []
    wrong = matrix.to_numpy() * (1 - np.eye(len(matrix)))
    largest = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    names = [format_line(name, 60) for name in d.classes]
    found = []
    for true, given in zip(*np.unravel_index(largest, wrong.shape), strict=True):
        if wrong[true, given] > 0:
            so = 0 if d.suggested is None else int(((d.suggested == true) & (d.labels == given)).sum())
            found.append(Confusion(names[true], names[given], float(wrong[true, given]), so))
    return found


def mean_terms(d: Difficulty, rows: np.ndarray) -> np.ndarray:
    """The mean of the four factors over some samples, ``(4,)``; zeros where there are none."""
    if d.factors is None or not rows.any():
        return np.zeros(len(FACTORS))
    means: np.ndarray = d.factors.to_numpy()[rows].mean(0)
    return means


def count_recommendations(d: Difficulty, rows: np.ndarray) -> list[str]:
    """What to do about some samples, a phrase an action with how many it is for.

    Args:
        d: with a ledger.
        rows: mask, ``(sample,)``.
    """
    if d.recommended_action is None:
        return []
    todo = d.recommended_action[rows]
    said = []
    for action in RECOMMENDATIONS:
        count = int((todo == action).sum())
        if count and action == COLLECT_CLASS:
            said.append(f"collect more of {_short_classes(d, d.labels[rows][todo == action])}")
        elif count:
            said.append(action if action == NOTHING else f"{action}: {count:,}")
    return said


def _short_classes(d: Difficulty, codes: np.ndarray) -> str:
    """The classes of some samples with how many are of each, the most frequent first."""
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = d.label_names(found[order])
    listed = [
        f"{isolate_direction(format_line(names[i], 20))} ({counts[order][i]:,})"
        for i in range(min(len(order), CLASSES_NAMED))
    ]
    return ", ".join(listed) + (
        f" and {format_count(len(order) - len(listed), 'other class')}" if len(order) > len(listed) else ""
    )


def _signed_share(part: float, whole: float) -> str:
    if whole <= 0:
        return "–"
    return f"{100 * part / whole:.1f}\u00a0%".replace("-0.0", "0.0").replace("-", "−")


def _more(reliability: float, d: Difficulty) -> str:
    models = models_needed(SUFFICIENT_RELIABILITY, reliability, int(d.settings["members"]))
    if reliability >= SUFFICIENT_RELIABILITY or models is None:
        return ""
    return f" About {models:,} models would bring it to {format_number(SUFFICIENT_RELIABILITY)}."


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
