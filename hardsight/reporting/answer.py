"""The answer that every summary begins with: how many labels are probably wrong, and what else to look at."""

from typing import NamedTuple

import numpy as np

from hardsight.attribution.names import STRANGE
from hardsight.difficulty.actions import COLLECT_CLASS, MIN_TRUST
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import class_codes
from hardsight.reporting.formatting import format_class, format_share, isolate_direction
from hardsight.reporting.nouns import class_names, nouns_of
from hardsight.reporting.summary import forecast_suggestions, is_mispredicted, row_per_class

LABELS, TARGETS, PREDICTIONS, CLASSES, ODD = "labels", "targets", "predictions", "classes", "strange"

_CLASSES_NAMED = 3
# Share of the mean squared error above which outliers are said to distort the models.
_DISTORTING_SHARE = 0.5


class KeyFigure(NamedTuple):
    """One number of the answer."""

    topic: str  # one of the names above
    number: int
    caption: str  # what the number counts, for a card that shows the number above it
    detail: str  # what follows from it; may be empty
    sentence: str  # number, caption and detail as one sentence


def answer(d: Difficulty) -> list[str]:
    """Return the answer in sentences: what looks wrong, and how far to trust that. Empty if there is nothing to say."""
    figures = key_figures(d)
    sentences = [figure.sentence for figure in figures[:1]]
    sentences += [figure.sentence for figure in figures[1:] if figure.number]
    return [*sentences, *caution(d)]


def key_figures(d: Difficulty) -> list[KeyFigure]:
    """Return the numbers to look at first, at most three; none if there are losses only, or no samples."""
    if d.loss_only or not len(d):
        return []
    if d.regression:
        return [_outlying_targets(d), *_strange_samples(d)]
    if d.p_wrong is None:
        return [_other_predictions(d)]
    return [_wrong_labels(d, d.p_wrong), _small_classes(d), *_strange_samples(d)]


def caution(d: Difficulty) -> list[str]:
    """Return at most one sentence that limits the answer."""
    if d.regression:
        return _distorting_targets(d)
    if d.p_wrong is not None and d.ledger_trust < 1:
        changes = " Look at samples before you change their labels." if d.ledger_trust < MIN_TRUST else ""
        return [f"Trust in P(label wrong) is {d.ledger_trust:.0%}: labels that look wrong may be right.{changes}"]
    if d.p_wrong is None and d.classes is not None:
        return [
            "P(label wrong) is unknown. It needs log-loss, two classes or more, and two held-out predictions per sample."
        ]
    return []


def _wrong_labels(d: Difficulty, p_wrong: np.ndarray) -> KeyFigure:
    expected = round(float(np.nansum(p_wrong)))
    what, wrong = ("labels", "wrong") if d.sample is None else _labelled_parts(d)
    verb = "is" if expected == 1 else "are"
    caption = f"of {len(d):,} {what} {verb} probably {wrong}"
    if not expected:
        return KeyFigure(LABELS, 0, caption, "", f"None of {len(d):,} {what} is probably {wrong}.")
    unclear = not (p_wrong > 0.5).any()
    if unclear:
        # Many small probabilities: nobody can say which of the labels are wrong.
        caption = f"of {len(d):,} {what} {verb} expected to be {wrong}"
    caption += _in_samples(d)
    detail = _describe_fixes(d, unclear=unclear)
    return KeyFigure(LABELS, expected, caption, detail, f"About {expected:,} {caption} ({detail}).")


def _labelled_parts(d: Difficulty) -> tuple[str, str]:
    """Return the noun of the parts, and what is wrong with them."""
    rows = nouns_of(d).rows
    return rows, "wrong" if rows == "labels" else "labelled wrong"


def _in_samples(d: Difficulty) -> str:
    """Say in how many samples the wrong labels are expected to be; empty if rows are whole samples."""
    if d.sample is None:
        return ""
    table, nouns = d.by_sample(), nouns_of(d)
    affected = max(1, round(float(table["p_any_wrong"].sum())))
    return f", in {affected:,} of {len(table):,} {nouns.samples}"


def _describe_fixes(d: Difficulty, *, unclear: bool) -> str:
    """Say how many wrong labels the advised changes should put right.

    Some of the changed labels were right, so the number of changes may exceed that of wrong labels; this number cannot.
    """
    forecast = forecast_suggestions(d)
    fixed = 0 if forecast is None else round(float(forecast.total["put_right"]))
    if fixed:
        return f"{fixed:,} can be put right with confidence"
    return f"{'it is not clear which, so ' if unclear else ''}no label change is recommended"


def _small_classes(d: Difficulty) -> KeyFigure:
    actions = d.recommended_action
    mask = np.zeros(len(d), dtype=bool) if actions is None else actions == COLLECT_CLASS
    count = int(mask.sum())
    nouns = nouns_of(d)
    one, several = "belongs to a class that is too small", "belong to classes that are too small"
    caption = f"{nouns.row} {one}" if count == 1 else f"{nouns.rows} {several}"
    detail = f"collect more of {_name_classes(d, mask)}" if count else ""
    return KeyFigure(CLASSES, count, caption, detail, f"{count:,} {caption}{f': {detail}' if detail else ''}.")


def _name_classes(d: Difficulty, mask: np.ndarray) -> str:
    """Name the classes of some samples, the most frequent first."""
    examples = row_per_class(class_codes(d, d.labels), np.flatnonzero(mask))
    names = class_names(d, examples).tolist()
    rest = len(names) - _CLASSES_NAMED
    named = ", ".join(isolate_direction(format_class(name, 20)) for name in names[:_CLASSES_NAMED])
    return named + (f" and {rest:,} more" if rest > 0 else "")


def _strange_samples(d: Difficulty) -> list[KeyFigure]:
    if d.p_strange is None:
        return []
    count = int(find_strange(d).sum())
    nouns = nouns_of(d)
    caption = f"{nouns.row} is unlike anything else" if count == 1 else f"{nouns.rows} are unlike anything else"
    return [KeyFigure(ODD, count, caption, "", f"{count:,} {caption}.")]


def find_strange(d: Difficulty) -> np.ndarray:
    """Return which samples count as unlike the rest, ``(sample,)`` bool: by their cause if there is one."""
    if d.cause is not None:
        return np.asarray(d.cause == STRANGE)
    return np.zeros(len(d), dtype=bool) if d.p_strange is None else d.p_strange > 0.5


def _outlying_targets(d: Difficulty) -> KeyFigure:
    expected = 0 if d.p_outlier is None else round(float(np.nansum(d.p_outlier)))
    likely = 0 if d.p_outlier is None else int((d.p_outlier > 0.5).sum())
    caption = f"of {len(d):,} targets {'is' if expected == 1 else 'are'} further off than noise explains"
    start = f"About {expected:,} {caption}" if expected else f"None of {len(d):,} targets is further off than noise explains"
    detail = f"{likely:,} with P(outlier) above 0.5" if expected else ""
    return KeyFigure(TARGETS, expected, caption, detail, f"{start} ({detail})." if detail else f"{start}.")


def _distorting_targets(d: Difficulty) -> list[str]:
    """Say that outliers distort the models where they cause most of the error."""
    if d.factors is None or d.p_outlier is None or not (d.p_outlier > 0.5).any():
        return []
    share = float(d.factors["noise"].sum() / d.error.sum())
    if share < _DISTORTING_SHARE:
        return []
    sentence = (
        f"Targets that are far off cause {share:.0%} of the mean squared error, and the models learn from them too. Correct "
        "or drop them, then measure again: that may show more."
    )
    return [sentence]


def _other_predictions(d: Difficulty) -> KeyFigure:
    count = int(is_mispredicted(d).sum())
    caption = f"of {len(d):,} {nouns_of(d).rows} {'has' if count == 1 else 'have'} a label that the models do not predict"
    share = format_share(count, len(d))
    return KeyFigure(PREDICTIONS, count, caption, share, f"{count:,} {caption} ({share}).")
