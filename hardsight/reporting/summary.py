"""Sentences and tables about a result that pages and the terminal share: headline, findings, classes, causes."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from hardsight.attribution.conversions import NO_ERROR
from hardsight.attribution.names import FACTORS, NO_CAUSE, STRANGE, TOO_FEW, causes_in
from hardsight.difficulty.actions import COLLECT_CLASS, COLLECT_SIMILAR, INSPECT, NOTHING, RECOMMENDATIONS
from hardsight.difficulty.decisions import RELABEL, Decisions
from hardsight.difficulty.forecast import Forecast, forecast_decisions
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import class_codes, count_samples, group_by_class, has_several_labels
from hardsight.reporting.formatting import (
    LOSSES,
    UNITS,
    format_class,
    format_count,
    format_line,
    format_number,
    format_share,
    isolate_direction,
)
from hardsight.reporting.nouns import class_names, nouns_of
from hardsight.resampling.budget import models_needed

CLASS_ROWS = 500
QUANTILES = 5
CONFUSIONS = 20
_CLASSES_NAMED = 3
_LABELS_NAMED, _IDS_NAMED, _KINDS_NAMED = 5, 8, 5
# A ranking of this reliability needs no more models.
SUFFICIENT_RELIABILITY = 0.95

MEANINGS = {
    "noise": "correcting the label would remove it",
    "imbalance": "balanced classes would remove it",
    "margin": "what remains: close to the boundary, or ambiguous",
    "uncertainty": "averaging many models would remove it; more data shrinks it",
    STRANGE: "unlike the rest: odd, damaged or of another kind; hard or not",
    NO_CAUSE: "not a hard sample",
    TOO_FEW: "its class is too small to tell whether the label is right",
}


class Chance(NamedTuple):
    """The error of knowing nothing, and how it comes about in words."""

    error: float
    text: str


def chance_level(d: Difficulty) -> Chance | None:
    """Return the error of a model that predicts equal probabilities for all classes, or the mean target for all samples.

    None if there are losses only, or a single class.
    """
    if d.loss_only:
        return None
    if d.classes is None:
        return Chance(float(np.var(d.labels)), "always the mean target")
    classes = len(d.classes)
    if classes < 2:
        return None
    if d.run.loss == "log":
        return Chance(float(np.log(classes)), f"chance, log {classes:,}")
    return Chance(1 - 1 / classes, f"chance, 1 − 1/{classes:,}")


def is_mispredicted(d: Difficulty) -> np.ndarray:
    """Return whether the consensus predicts another class than the label, ``(sample,)`` bool."""
    return np.asarray(d.predicted != d.labels)


def describe_measurement(d: Difficulty) -> str:
    """Say what was measured, and the mean error."""
    fewest, most = int(d.n_views.min()), int(d.n_views.max())
    times = format_count(fewest, "time") if fewest == most else f"{fewest:,} to {most:,} times"
    models = f"{format_count(d.run.n_models, 'trained model')} ({isolate_direction(format_line(d.run.learner))})"
    of_samples = "" if d.sample is None else f" of {format_count(count_samples(d), nouns_of(d).sample)}"
    return (
        f"{_count_rows(d, len(d))}{of_samples}, each predicted {times} by models that never saw it; {models} in all. Mean "
        f"{_loss_name(d)}: {format_number(_finite_mean(d.error))}."
    )


def _count_rows(d: Difficulty, count: int) -> str:
    return format_count(count, nouns_of(d).row)


def measurement_facts(d: Difficulty) -> list[tuple[str, str]]:
    """Return how the result was measured, as (name, value)."""
    fewest, most = int(d.n_views.min()), int(d.n_views.max())
    mean, nouns = _finite_mean(d.error), nouns_of(d)
    figures: dict[str, Any] = {
        nouns.rows.capitalize(): f"{len(d):,}",
        nouns.samples.capitalize(): f"{count_samples(d):,}",
        "Target": d.run.label_name if d.regression else None,
        **_count_classes_of(d),
        "Models": f"{d.run.n_models:,}",
        "Held-out views each": f"{fewest:,}" if fewest == most else f"{fewest:,}–{most:,}",
        "Splits": d.run.splits or None,
        "Loss": _loss_name(d),
        "Mean error": f"{format_number(mean)} {UNITS.get(d.run.loss, '')}".strip(),
        "Its root": format_number(mean**0.5) if d.run.loss == "squared" else None,
        "Noise (s.d.)": None if d.noise_sd is None else format_number(d.noise_sd),
        "Seed": d.run.seed,
    }
    return [(name, format_line(value, 80)) for name, value in figures.items() if value is not None]


def _count_classes_of(d: Difficulty) -> dict[str, str]:
    if d.classes is None:
        return {}
    noun, _, names = group_by_class(d)
    return {"Classes" if noun == "class" else "Different labels": f"{len(names):,}"}


def findings(d: Difficulty) -> list[str]:
    """Return what stands out, one sentence or two each."""
    sentences = [finding(d) for finding in FINDINGS]
    return [sentence for sentence in sentences if sentence is not None]


def _half_of_error(d: Difficulty) -> str | None:
    error = np.sort(np.nan_to_num(d.error))[::-1]
    total = error.sum()
    if not (total > 0 and len(d) > 1):
        return None
    half = int(np.searchsorted(np.cumsum(error), total / 2)) + 1
    return f"Half of all error lies in the hardest {_count_rows(d, half)} ({format_share(half, len(d))})."


def _reliability(d: Difficulty) -> str | None:
    reliability = d.run.reliability
    if reliability is None:
        return None
    same = "nearly the same order" if reliability >= SUFFICIENT_RELIABILITY else "a similar order"
    sentence = (
        f"Ranking reliability: {format_number(reliability)}. As many fresh models would give {same} (rank correlation "
        f"{format_number(reliability)}; {format_number(reliability**0.5)} with infinitely many)."
    )
    models = models_needed(SUFFICIENT_RELIABILITY, reliability, d.run.n_models)
    if reliability >= SUFFICIENT_RELIABILITY or models is None:
        return sentence
    return f"{sentence} About {models:,} models would bring it to {format_number(SUFFICIENT_RELIABILITY)}."


def _adjusted(d: Difficulty) -> str | None:
    if d.adjusted is None or d.run.adjusted is None:
        return None
    return (
        "The column adjusted also uses the losses on training samples, and its ranking is more repeatable "
        f"(by {d.run.adjusted['gain']:.3f} ± {d.run.adjusted['gain_se']:.3f}). Everything else uses held-out losses only."
    )


def _explained_variance(d: Difficulty) -> str | None:
    if not (d.regression and d.labels.std() > 0):
        return None
    explained = 1 - _finite_mean(d.error) / float(d.labels.var())
    return f"The models explain {format_share(max(0.0, explained), 1)} of the target's variance."


def _mispredicted(d: Difficulty) -> str | None:
    if d.classes is None:
        return None
    count = int(is_mispredicted(d).sum())
    return f"For {_count_rows(d, count)} ({format_share(count, len(d))}) the models predict another label."


def _variance(d: Difficulty) -> str | None:
    known = np.isfinite(d.variance)
    if d.run.loss == "zero-one" or not known.any() or not d.error[known].sum() > 0:
        return None
    share = max(0.0, float(d.variance[known].sum() / d.error[known].sum()))
    return (
        f"Variance, which more data or averaging would shrink, is {format_share(share, 1)} of the error; the rest is bias."
    )


def _doubtful_labels(d: Difficulty) -> str | None:
    if d.p_wrong is None:
        return None
    likely = int((d.p_wrong > 0.5).sum())
    if not likely:
        return "No label is more likely wrong than right."
    return f"{format_count(likely, 'label')} {'is' if likely == 1 else 'are'} more likely wrong than right."


def _suggestions(d: Difficulty) -> str | None:
    forecast = forecast_suggestions(d)
    if forecast is None or not forecast.total["relabelled"]:
        return None
    return f"If every suggestion is accepted without a look: {forecast.describe()}"


def forecast_suggestions(d: Difficulty) -> Forecast | None:
    """Return what changing every label as advised is expected to do; None without a ledger."""
    if d.p_wrong is None or d.suggested is None or d.p_suggested is None or d.recommended_action is None:
        return None
    rows = np.flatnonzero(d.recommended_action == RELABEL)
    return forecast_decisions(d, Decisions(rows, np.full(len(rows), RELABEL), d.suggested[rows]))


def _copies(d: Difficulty) -> str | None:
    return None if d.copy_set is None else summarize_copies(d, 0).text or None


def _refined(d: Difficulty) -> str | None:
    refined = d.run.refined
    if not refined or not refined.get("members"):
        return None
    trained = (
        f"To refine P(label wrong), {format_count(refined['members'], 'more model')} were trained with automatic weights, "
        "which count suspicious labels less."
    )
    if not refined.get("rounds"):
        return f"{trained} They explained the labels that look wrong no better, so all results come from the first models."
    return f"{trained} The errors still come from the first models."


def _ledger_in_regression(d: Difficulty) -> str | None:
    if not d.regression:
        return None
    mean = _finite_mean(d.error)
    if d.factors is None or not mean > 0:
        return "The ledger of causes is for classification; a regression has bias, variance and an estimate of the noise."
    shares = {name: format_share(max(0.0, part), 1) for name, part in (d.factors.mean() / mean).items()}
    return (
        f"Of the mean squared error, {shares['noise']} is from gross errors of targets, {shares['spread']} is the spread of "
        f"targets about the consensus, and {shares['variance']} is variance."
    )


def _regression_noise(d: Difficulty) -> str | None:
    if not d.regression or d.noise_sd is None:
        return None
    error = _finite_mean(d.error)
    part = f", {format_share(min(d.noise_sd**2 / error, 1.0), 1)} of the mean squared error" if error > 0 else ""
    return (
        f"Noise: targets usually lie {format_number(d.noise_sd)} about the consensus (standard deviation{part}). This "
        "includes errors that all models make together."
    )


def _target_errors(d: Difficulty) -> str | None:
    if d.target_error is None:
        return None
    kinds = Counter(d.target_error[d.target_error != NO_ERROR].tolist())
    if not kinds:
        return None
    named = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(_KINDS_NAMED))
    verb = "is" if kinds.total() == 1 else "are"
    return f"{format_count(kinds.total(), 'target')} {verb} explained by wrong units or digits: {named}."


def _losses_only(d: Difficulty) -> str | None:
    if not d.loss_only:
        return None
    return (
        "The models gave a loss per sample and no predictions: there is no bias, no variance, no ledger of causes, and no "
        "label to doubt."
    )


# What follows from the answer first, how sure it is last.
FINDINGS: tuple[Callable[[Difficulty], str | None], ...] = (
    _suggestions,
    _doubtful_labels,
    _target_errors,
    _mispredicted,
    _copies,
    _explained_variance,
    _half_of_error,
    _regression_noise,
    _variance,
    _ledger_in_regression,
    _losses_only,
    _reliability,
    _adjusted,
    _refined,
)


class Group(NamedTuple):
    """The means over one class, over one of several labels, or over one part of the target's range."""

    name: str  # of the class, the label, or the range
    size: int  # number of rows
    share_with: float  # share of them that have the label; NaN unless it is one of several
    error: float  # mean error
    error_se: float  # its standard error over the samples; NaN for a single sample
    bias: float  # mean bias
    variance: float  # mean variance
    accuracy: float  # share of samples that are predicted as labelled; NaN in regression
    offset: float  # mean of prediction minus target; NaN for classes
    p_wrong: float  # mean P(label wrong); NaN without a ledger
    terms: tuple[float, ...]  # mean of each factor, in the order of FACTORS; NaN without a ledger
    noise_sd: float  # standard deviation of the noise, in units of the target; NaN for classes
    outliers: float  # expected number of outliers; NaN for classes


def summarize_groups(d: Difficulty) -> list[Group]:
    """Return the means by class, hardest first; in regression by fifths of the target, lowest first.

    Where samples have several labels, by label. Empty if there are neither classes nor targets.
    """
    if d.loss_only:
        return []
    if d.classes is None:
        codes, names = _target_ranges(d)
    else:
        _, codes, classes = group_by_class(d)
        names = [format_class(name, 80) for name in classes]
    sizes = np.bincount(codes, minlength=len(names))
    present = np.flatnonzero(sizes)
    n = sizes[present]

    def mean(values: np.ndarray | None) -> np.ndarray:
        if values is None:
            return np.full(len(present), np.nan)
        return np.bincount(codes, weights=values, minlength=len(names))[present] / n

    error = mean(d.error)
    by_code = np.zeros(len(names))
    by_code[present] = error
    squares = mean((d.error - by_code[codes]) ** 2)
    terms = [mean(None if d.ledger is None else d.ledger[:, i]) for i in range(len(FACTORS))]
    columns: dict[str, list[Any]] = {
        "name": [names[code] for code in present],
        "size": n.tolist(),
        "share_with": mean(d.labels if has_several_labels(d) else None).tolist(),
        "error": error.tolist(),
        # A class of one sample has no spread: its standard error is unknown, not zero.
        "error_se": np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan).tolist(),
        "bias": mean(d.bias).tolist(),
        "variance": mean(d.variance).tolist(),
        "accuracy": mean(None if d.regression else ~is_mispredicted(d)).tolist(),
        "offset": mean(d.predicted - d.labels if d.regression else None).tolist(),
        "p_wrong": mean(d.p_wrong).tolist(),
        "terms": [tuple(row) for row in np.stack(terms, axis=1).tolist()],
        "noise_sd": np.sqrt(mean(d.noise_variance)).tolist(),
        "outliers": (mean(d.p_outlier) * n).tolist(),
    }
    rows = [Group(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    return rows if d.regression else sorted(rows, key=lambda row: -row.error)


def _target_ranges(d: Difficulty) -> tuple[np.ndarray, list[str]]:
    """Return the fifth of the targets that each sample is in, and the fifths' names; fewer parts if many are equal."""
    edges = np.unique(np.quantile(d.labels, np.linspace(0, 1, QUANTILES + 1)))
    if len(edges) < 2:
        return np.zeros(len(d), dtype=np.int64), [format_number(edges[0])]
    codes = np.clip(np.searchsorted(edges, d.labels, side="right") - 1, 0, len(edges) - 2)
    return codes, [f"{format_number(low)} to {format_number(high)}" for low, high in pairwise(edges)]


class Cause(NamedTuple):
    """One row of the table of causes."""

    name: str
    size: int  # number of samples
    share: str  # the same in percent of all samples
    mean_error: float  # of these samples
    total: str  # share of all error that the factor carries over all samples, as text
    meaning: str  # of the cause, in words
    terms: tuple[float, ...]  # mean of each factor over these samples, in the order of FACTORS
    recommendations: list[str]  # what to do about them


def summarize_causes(d: Difficulty) -> list[Cause]:
    """Return how many samples each cause has, their mean terms, and what to do about them. Empty without a ledger."""
    if d.ledger is None or d.cause is None:
        return []
    sums = d.ledger.sum(0)
    totals = dict(zip(FACTORS, sums, strict=True))
    rows = []
    for name in causes_in(d.cause):
        mask = d.cause == name
        rows.append(
            Cause(
                name=name,
                size=int(mask.sum()),
                share=format_share(int(mask.sum()), len(d)),
                mean_error=_finite_mean(d.error[mask]),
                total="–" if name not in totals else _signed_share(totals[name], sums.sum()),
                meaning=MEANINGS[name],
                terms=tuple(mean_terms(d, mask).tolist()),
                recommendations=count_recommendations(d, mask),
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
    """Return the noise rates by class, the noisiest labels first. Classes without a sample come last."""
    table = d.noise_rates
    if table is None:
        return []
    table = table.sort_values("wrong", ascending=False, kind="stable")
    return [ClassNoise(format_line(row[0], 80), *row[1:]) for row in table.itertuples(name=None)]


class Confusion(NamedTuple):
    """One way in which labels go wrong."""

    true: str
    given: str
    rate: float  # share of the true class's samples that are given the other label
    suggested: int  # number of samples with the given label whose likeliest true label is the true class


def largest_confusions(d: Difficulty) -> list[Confusion]:
    """Return the largest rates at which samples of one class are given the label of another, largest first."""
    if d.transition is None or d.classes is None:
        return []
    matrix = d.transition.to_numpy()
    rates = matrix * (1 - np.eye(len(matrix)))
    largest = np.argsort(-rates, axis=None, kind="stable")[:CONFUSIONS]
    names = [format_line(name, 60) for name in d.classes]
    confusions = []
    for true, given in zip(*np.unravel_index(largest, rates.shape), strict=True):
        if rates[true, given] > 0:
            count = 0 if d.suggested is None else int(((d.suggested == true) & (d.labels == given)).sum())
            confusions.append(Confusion(names[true], names[given], float(rates[true, given]), count))
    return confusions


class CopySetRow(NamedTuple):
    """One set of samples that are copies of each other."""

    number: int
    size: int
    contradictory: bool  # whether the labels differ
    labels: str  # the different labels, with their numbers
    ids: str  # the first ids


class CopySummary(NamedTuple):
    """The sets of copies among the samples: those with different labels first, then by size."""

    text: str  # how many there are; empty if there are none
    rows: list[CopySetRow]
    left_out: int  # number of further sets


def summarize_copies(d: Difficulty, most: int) -> CopySummary:
    """Return at most ``most`` sets of copies."""
    table = d.copies()
    if not len(table):
        return CopySummary("", [], 0)
    contradictory = int(table["contradictory"].sum())
    size = int(table["size"].sum())
    text = (
        f"{format_count(size, 'sample')} are copies of each other, in {format_count(len(table), 'set')}; "
        f"the labels of {contradictory:,} {'set' if contradictory == 1 else 'sets'} differ."
    )
    rows = [
        CopySetRow(row["set"], row["size"], row["contradictory"], _count_labels(row["labels"]), _first_ids(row["ids"]))
        for row in table.head(most).reset_index().to_dict("records")
    ]
    return CopySummary(text, rows, len(table) - len(rows))


def _count_labels(labels: list[Any]) -> str:
    counts = Counter(labels).most_common(_LABELS_NAMED)
    parts = [format_line(label, 40) + (f" ({count:,})" if count > 1 else "") for label, count in counts]
    rest = len(set(labels)) - len(parts)
    return ", ".join(parts) + (f" and {rest:,} more" if rest else "")


def _first_ids(ids: list[Any]) -> str:
    parts = [format_line(each, 40) for each in ids[:_IDS_NAMED]]
    return ", ".join(parts) + (f" and {len(ids) - len(parts):,} more" if len(ids) > len(parts) else "")


def mean_terms(d: Difficulty, mask: np.ndarray) -> np.ndarray:
    """Return the mean of the four factors over the samples of a mask, ``(4,)``; zeros if there are none."""
    if d.ledger is None or not mask.any():
        return np.zeros(len(FACTORS))
    means: np.ndarray = d.ledger[mask].mean(0)
    return means


# With the number of samples that an action is for.
_ACTION_PHRASES = {
    RELABEL: "relabel {}", INSPECT: "look at {}", COLLECT_SIMILAR: "collect more like these {}", NOTHING: "nothing",
}  # fmt: skip


def count_recommendations(d: Difficulty, mask: np.ndarray) -> list[str]:
    """Return what to do about some samples: one phrase per action, with the number of samples it is for."""
    if d.recommended_action is None:
        return []
    actions = d.recommended_action[mask]
    phrases = []
    for action in RECOMMENDATIONS:
        count = int((actions == action).sum())
        if count and action == COLLECT_CLASS:
            phrases.append(f"collect more of {_count_classes(d, np.flatnonzero(mask)[actions == action])}")
        elif count:
            phrases.append(_ACTION_PHRASES[action].format(f"{count:,}"))
    return phrases


def _count_classes(d: Difficulty, rows: np.ndarray) -> str:
    """List the classes of some samples with their sizes in the whole result, those with the most of these samples first."""
    codes = class_codes(d, d.labels)
    examples = row_per_class(codes, rows)
    shown = examples[:_CLASSES_NAMED]
    sizes = np.bincount(codes)[codes[shown]].tolist()
    parts = [
        f"{isolate_direction(format_class(name, 20))} (has {_count_rows(d, size)})"
        for name, size in zip(class_names(d, shown), sizes, strict=True)
    ]
    rest = len(examples) - len(parts)
    return ", ".join(parts) + (f" and {format_count(rest, 'other class')}" if rest else "")


def row_per_class(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the first of some rows in each of their classes, the most frequent class first, ``(class,)``.

    Args:
        codes: class of every row of the result, ``(row,)``, see :func:`class_codes`.
        rows: positions, ascending.
    """
    _, first, counts = np.unique(codes[rows], return_index=True, return_counts=True)
    return rows[first[np.argsort(-counts, kind="stable")]]


def _signed_share(part: float, whole: float) -> str:
    if whole <= 0:
        return "–"
    return f"{100 * part / whole:.1f}\u00a0%".replace("-0.0", "0.0").replace("-", "−")


def _loss_name(d: Difficulty) -> str:
    return LOSSES.get(d.run.loss, d.run.loss)


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
