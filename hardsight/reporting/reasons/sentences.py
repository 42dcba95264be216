"""The sentence of a sample, from the columns of its result alone."""

from functools import cached_property
from typing import Any

import numpy as np

from hardsight.attribution.conversions import NO_ERROR
from hardsight.attribution.names import NO_CAUSE, STRANGE, TOO_FEW
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.answer import find_strange
from hardsight.reporting.formatting import format_chance, format_class, format_number, format_value, isolate_direction

_NAME_LENGTH = 60
# Between two classes means that the consensus gives the label at least this probability.
_MIN_SIDE = 0.2
# From this share of the views on, the models agree on a class, and differ in how probable they think it is.
_AGREED = 0.8
# Residuals beyond so many standard deviations of the noise are called high or low.
_FAR = 2.0


def format_share(p: float) -> str:
    r"""Format a share in whole percent.

    >>> [format_share(p).replace("\u00a0", " ") for p in (0.842, 0.9991, 0.001, 1)]
    ['84 %', '> 99 %', '< 1 %', '100 %']
    """
    if 0.99 < p < 1 or 0 < p < 0.01:
        return ">\u00a099\u00a0%" if p > 0.5 else "<\u00a01\u00a0%"
    return f"{100 * p:.0f}\u00a0%"


def format_target(value: float, digits: int = 5) -> str:
    """Format a target to ``digits`` significant digits, but millions to all digits before the point.

    >>> format_target(14272320.4), format_target(2.5), format_target(1e15)
    ('14,272,320', '2.5', '1e15')
    """
    return f"{value:,.0f}".replace("-", "−") if 10**6 <= abs(value) < 10**12 else format_value(value, digits)


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


class Sentences:
    """Writes one sentence per sample. Every number in it is one of the result.

    Args:
        d: the result.
    """

    def __init__(self, d: Difficulty) -> None:
        self.d = d

    def write(self, i: int, detail: str = "") -> str:
        """Return the sentence about the sample in row ``i``.

        Args:
            detail: what the sample's content adds, a phrase; empty if there is nothing.
        """
        strange, clause = bool(self._strange_rows[i]), self._main_clause(i)
        if strange and self.d.cause is None:
            clause += f"; {self._strange(i, 'unlike')}"
        return f"{clause}{': ' if strange and detail else '; ' if detail else ''}{detail}."

    def _main_clause(self, i: int) -> str:
        if self.d.loss_only:
            return self._loss(i)
        if self.d.regression:
            return self._target(i)
        if self.d.cause is None:
            return self._describe_votes(i)
        clauses = {
            "noise": self._noise,
            "imbalance": self._imbalance,
            "margin": self._margin,
            "uncertainty": self._uncertainty,
            STRANGE: self._strange,
            TOO_FEW: self._too_few,
            NO_CAUSE: self._describe_votes,
        }
        return clauses[str(self.d.cause[i])](i)

    @cached_property
    def _strange_rows(self) -> np.ndarray:
        return find_strange(self.d)

    def _noise(self, i: int) -> str:
        label, predicted, suggested = self._names(i)
        if self.d.suggested is None or self.d.suggested[i] == self.d.labels[i]:
            wrong = "" if self.d.p_wrong is None else f" (P(wrong) {format_chance(self.d.p_wrong[i])})"
            return f"Labelled {label}, which is doubtful{wrong}, but no other label is more likely"
        if self.d.suggested[i] != self.d.predicted[i]:
            neighbours = f", as {self._neighbours(i)} say" if self._neighbours_agree(i) else ""
            probably = f"Labelled {label}, probably {suggested}{self._p_suggested(i)}{neighbours}"
            return f"{probably}, though {self._models_say(i)} {predicted}"
        if not self._is_majority(i):
            return f"Labelled {label}, probably {suggested}{self._p_suggested(i)}: {self._supporters(i)} say {suggested}"
        if self._neighbours(i) and not self._neighbours_agree(i):
            return f"Labelled {label}; {self._models_say(i)} {suggested}, but only {self._neighbours(i)} do"
        return f"Labelled {label}; {self._supporters(i)} say {suggested}"

    def _imbalance(self, i: int) -> str:
        label, predicted, _ = self._names(i)
        sizes = self.d.run.class_sizes
        given, other = int(self.d.labels[i]), int(self.d.predicted[i])
        share = format_share(float(self.d.p_label[i]))
        if sizes is None:
            return f"Of the rare class {label}, to which models give {share}"
        start = f"Of class {label}, which has {sizes[given]:,} of {sum(sizes):,} samples"
        if given == other:
            return f"{start}; models give it {share}"
        return f"{start}; {self._models_say(i)} {predicted}, which has {sizes[other]:,}"

    def _margin(self, i: int) -> str:
        label, predicted, _ = self._names(i)
        if self.d.predicted[i] == self.d.labels[i]:
            return self._between_label_and_next(i)
        if self.d.p_label[i] < _MIN_SIDE:
            right = "" if self.d.p_wrong is None else f" (P(wrong) {format_chance(self.d.p_wrong[i])})"
            return f"Labelled {label}, probably rightly{right}, although {self._models_say(i)} {predicted}"
        votes = self._votes(i)
        if votes is None or 0 in votes:
            return f"Between {predicted} and its label, {label}: models give {self._shares(i)}"
        pair = f"Between {predicted} and its label, {label}"
        if sum(votes) == self.d.n_views[i]:
            return f"{pair}: models split {votes[1]:,} to {votes[0]:,}"
        return f"{pair}: {votes[1]:,} and {votes[0]:,} of {self.d.n_views[i]:,} models"

    def _between_label_and_next(self, i: int) -> str:
        label = self._names(i)[0]
        if self.d.consensus is None or self.d.consensus.shape[1] < 2:
            return self._describe_votes(i)
        rest = self.d.consensus[i].copy()
        rest[self.d.labels[i]] = -np.inf
        second = int(rest.argmax())
        shares = f"{format_share(float(self.d.p_label[i]))} and {format_share(float(np.exp(rest[second])))}"
        return f"Between its label, {label}, and {self._name(second)}: models give {shares}"

    def _uncertainty(self, i: int) -> str:
        label, predicted, _ = self._names(i)
        votes, views = self._votes(i), int(self.d.n_views[i])
        right = self.d.predicted[i] == self.d.labels[i]
        if votes is None or votes[1] >= _AGREED * views:
            what = f"its label, {predicted}," if right else f"{predicted}, not its label, {label},"
            return f"{_capitalize(self._models_say(i))} {what} but with very different probabilities"
        most = f"Models disagree: {votes[1]:,} of {views:,} {'say' if votes[1] > 1 else 'says'} {predicted}"
        if right:
            return f"{most}, which is its label"
        return f"{most}, {votes[0] or 'none'} {'say' if votes[0] > 1 else 'says'} its label, {label}"

    def _strange(self, i: int, unlike: str = "Unlike") -> str:
        p = "" if self.d.p_strange is None else f", P(strange) {format_chance(self.d.p_strange[i])}"
        return f"{unlike} the rest{p}"

    def _too_few(self, i: int) -> str:
        sizes = self.d.run.class_sizes
        if sizes is None:
            return "In a class with too few samples to tell"
        size = sizes[int(self.d.labels[i])]
        return f"In a class of {size:,} {'sample' if size == 1 else 'samples'}: too few to tell"

    def _describe_votes(self, i: int) -> str:
        """Return what models and neighbours say, without a judgement."""
        label, predicted, _ = self._names(i)
        if self.d.predicted[i] != self.d.labels[i]:
            return f"Labelled {label}; {self._models_say(i)} {predicted}"
        agreed = self.d.suggested is not None and self.d.suggested[i] == self.d.labels[i]
        say = f"{self._supporters(i)} say" if agreed and self._neighbours_agree(i) else self._models_say(i)
        return f"{_capitalize(say)} {label}, as labelled"

    def _target(self, i: int) -> str:
        d = self.d
        residual, noise = float(d.labels[i] - d.predicted[i]), d.noise_variance
        start = f"Labelled {format_target(d.labels[i])}; models say {format_target(d.predicted[i], 4)}"
        if noise is None or not noise[i] > 0:
            return start
        sd = float(np.sqrt(noise[i]))
        start, side = f"{start} ± {format_target(sd, 2)}", "high" if residual > 0 else "low"
        if d.target_error is not None and d.suggested is not None and d.target_error[i] != NO_ERROR:
            return f"{start}: {d.target_error[i]}, {format_target(d.suggested[i])} fits{self._p_suggested(i)}"
        if d.p_outlier is not None and d.p_outlier[i] > 0.5:
            return f"{start}: too {side}"
        return f"{start}: {side}, but as noise may be" if abs(residual) > _FAR * sd else f"{start}: as expected"

    def _loss(self, i: int) -> str:
        error = self.d.error
        below = float(np.mean(error < error[i]))
        return f"Loss {format_number(error[i])}, above that of {format_share(below)} of the samples"

    def _name(self, code: int) -> str:
        known = self._class_names
        if code not in known:
            classes: tuple[Any, ...] = self.d.classes or ()
            known[code] = isolate_direction(format_class(classes[code], _NAME_LENGTH))
        return known[code]

    @cached_property
    def _class_names(self) -> dict[int, str]:
        return {}

    def _names(self, i: int) -> tuple[str, str, str]:
        """Return the names of the label, the prediction and the suggested label."""
        d = self.d
        suggested = d.labels if d.suggested is None else d.suggested
        return self._name(int(d.labels[i])), self._name(int(d.predicted[i])), self._name(int(suggested[i]))

    def _votes(self, i: int) -> tuple[int, int] | None:
        """Return how many views say the label and the prediction; None if that was not kept."""
        if self.d.votes_label is None or self.d.votes_predicted is None:
            return None
        return int(self.d.votes_label[i]), int(self.d.votes_predicted[i])

    def _models(self, i: int) -> str:
        """Return how many models predict the class that the consensus does."""
        votes, views = self._votes(i), int(self.d.n_views[i])
        if votes is None:
            return "models"
        if votes[1] == views:
            return {1: "the model", 2: "both models"}.get(views, f"all {views:,} models")
        return f"{votes[1]:,} of {views:,} models"

    def _models_say(self, i: int) -> str:
        votes = self._votes(i)
        return f"{self._models(i)} {'says' if votes is not None and votes[1] == 1 else 'say'}"

    def _is_majority(self, i: int) -> bool:
        votes = self._votes(i)
        return votes is None or 2 * votes[1] > int(self.d.n_views[i])

    def _neighbours(self, i: int) -> str:
        """Return how many neighbours have the suggested label; empty if that is not known."""
        if self.d.n_neighbours is None or self.d.neighbours_suggested is None or not self.d.n_neighbours[i]:
            return ""
        return f"{int(self.d.neighbours_suggested[i])} of {int(self.d.n_neighbours[i])} neighbours"

    def _neighbours_agree(self, i: int) -> bool:
        if self.d.n_neighbours is None or self.d.neighbours_suggested is None:
            return False
        return bool(2 * self.d.neighbours_suggested[i] >= self.d.n_neighbours[i] > 0)

    def _supporters(self, i: int) -> str:
        return " and ".join(filter(None, (self._models(i), self._neighbours(i))))

    def _shares(self, i: int) -> str:
        """Return the probabilities of the prediction and the label by the consensus."""
        d = self.d
        if d.consensus is None:
            return f"its label {format_share(float(d.p_label[i]))}"
        shares = (float(np.exp(d.consensus[i, d.predicted[i]])), float(d.p_label[i]))
        return " and ".join(map(format_share, shares))

    def _p_suggested(self, i: int) -> str:
        return "" if self.d.p_suggested is None else f" (p {format_chance(self.d.p_suggested[i])})"
