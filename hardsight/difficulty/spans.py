"""Spans of tokens, such as names: the probability that each is wrong, and spans that are probably missed.

Each token has a posterior over tags. A span is right if the tags of its tokens are, and if no token beside it belongs to it.
Tags of neighbouring tokens are not independent: an I-PER follows B-PER or I-PER alone. So the probability of a span is its
marginal in a chain whose tokens have their posteriors, and whose steps that the scheme forbids count ``_FORBIDDEN`` times as
much as others; forward and backward sums give it exactly (Rabiner 1989, *A tutorial on hidden Markov models*, section III).
"""

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.labelled_parts import texts_of_parts
from hardsight.data.tokens.schemes import OUTSIDE, Span, begins_span, find_scheme, find_spans, is_continued, is_valid_step
from hardsight.errors import InputError

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

# Weight of a step that the scheme forbids. Given tags are out of sequence sometimes.
_FORBIDDEN = 0.01
_TINY = 1e-12


class _Run(NamedTuple):
    """Adjacent tokens of a sentence: all of them, or those between gaps of a selection."""

    rows: np.ndarray  # of the result, in order
    first: int  # position of the first token in its sentence
    is_last: bool  # whether the sentence ends here; otherwise the tag behind is unknown


class _Chain(NamedTuple):
    """A run of tokens with the sums of the chain."""

    run: _Run
    posterior: np.ndarray  # (token, tag)
    forward: np.ndarray  # (token, tag), each row scaled to sum 1, with the posterior of the token
    backward: np.ndarray  # (token, tag), scaled by the same factors, without it
    scale: np.ndarray  # (token,)


def list_spans(d: "Difficulty") -> pd.DataFrame:
    """Return one row per given span, and one per span that is probably missed, the likeliest wrong first.

    Columns are ``sample``; ``start`` and ``end`` (not included), positions of tokens; ``text``, if the measured samples are
    in memory; ``label``, the type of the span, empty for one that is probably missed; ``suggested``, the type of the
    likeliest span at its place, empty for none, with ``suggested_start`` and ``suggested_end``, -1 for none; and
    ``p_wrong``: the probability that the given span is wrong in type or extent, or that the missed one is right.

    Of sentences that lack tokens, as in a selection, those spans are listed that cannot reach into a gap: they do not end
    right before it, and behind it they begin with a tag that begins a span. That the last tokens of a sentence are missing
    cannot be seen: select whole sentences where their spans count.

    Raises:
        InputError: rows are not tokens, there is no P(label wrong), or the tags spell no spans.
    """
    return _SpanTable(d).make()


class _SpanTable:
    """The spans of a result."""

    def __init__(self, d: "Difficulty") -> None:
        if d.sample is None or d.part is None or d.run.part_name != "token":
            raise InputError("the rows of this result are not tokens: measure hs.Tokens or a CoNLL file to get spans")
        if d.p_wrong is None or d.consensus is None or d.suggested is None or d.p_suggested is None or d.classes is None:
            raise InputError("spans need P(label wrong), which takes log-loss and two predictions of every token")
        self.d, self.tags = d, [str(name) for name in d.classes]
        self.posterior = _token_posterior(d.labels, d.p_wrong, d.suggested, d.p_suggested, d.consensus)
        self.runs = _split_sentences(d.sample, d.part)
        self.scheme = find_scheme([self.tags[code] for code in d.labels[run.rows]] for run in self.runs)
        if self.scheme == "none":
            raise InputError("these tags spell no spans: they need prefixes, such as B-PER and I-PER, and O")

    def make(self) -> pd.DataFrame:
        texts = texts_of_parts(self.d.samples)
        rows = [row for run in self.runs for row in self._rows_of(run, texts)]
        names = ["sample", "start", "end", "text", "label", "suggested", "suggested_start", "suggested_end", "p_wrong"]
        table = pd.DataFrame(rows, columns=names).sort_values("p_wrong", ascending=False, kind="stable", ignore_index=True)
        return table if texts is not None else table.drop(columns="text")

    def _rows_of(self, run: _Run, texts: np.ndarray | None) -> list[tuple[object, ...]]:
        d, rows = self.d, run.rows
        assert d.sample is not None
        chain = self._run_chain(run)
        name, tags = d.sample[rows[0]].item(), d.labels[rows]
        likeliest = self._likeliest_tags(chain)
        labelled, suggested = self._whole_spans(run, tags), self._whole_spans(run, likeliest)
        pairs = [
            (name, span, span.type, _overlapping(span, suggested), 1 - self._probability(chain, span, tags))
            for span in labelled
        ]
        pairs += [
            (name, span, "", span, self._probability(chain, span, likeliest))
            for span in suggested
            if _overlapping(span, labelled) is None
        ]
        words = None if texts is None else texts[rows]
        return [
            (
                sample,
                run.first + span.start,
                run.first + span.end,
                "" if words is None else " ".join(words[span.start : span.end]),
                label,
                "" if other is None else other.type,
                -1 if other is None else run.first + other.start,
                -1 if other is None else run.first + other.end,
                min(max(wrong, 0.0), 1.0),
            )
            for sample, span, label, other, wrong in pairs
        ]

    def _whole_spans(self, run: _Run, codes: np.ndarray) -> list[Span]:
        """Return the spans of tags, without those that may reach into a gap."""
        tags = [self.tags[code] for code in codes]
        return [
            span
            for span in find_spans(tags)
            if (run.is_last or span.end < len(tags)) and (not run.first or span.start or begins_span(tags[0]))
        ]

    @cached_property
    def _steps(self) -> np.ndarray:
        """Weight of each step from tag to tag, ``(tag + 1, tag + 1)``; the last tag is O outside of the sentence."""
        tags = [*self.tags, OUTSIDE]
        allowed = np.array([[is_valid_step(before, tag, self.scheme) for tag in tags] for before in tags])
        return np.where(allowed, 1.0, _FORBIDDEN)

    @cached_property
    def _continues(self) -> np.ndarray:
        """Whether a tag continues the span of the tag before it, ``(tag + 1, tag + 1)``."""
        tags = [*self.tags, OUTSIDE]
        continues: np.ndarray = np.array([[is_continued(before, tag) for tag in tags] for before in tags])
        return continues

    def _run_chain(self, run: _Run) -> _Chain:
        rows, steps = run.rows, self._steps
        posterior, inner = self.posterior[rows], steps[:-1, :-1]
        # Beside a gap, any tag may stand.
        first = np.ones(len(inner)) if run.first else steps[-1, :-1]
        forward, backward, scale = np.empty_like(posterior), np.empty_like(posterior), np.empty(len(rows))
        for token in range(len(rows)):
            before = first if token == 0 else forward[token - 1] @ inner
            forward[token] = before * posterior[token]
            scale[token] = max(forward[token].sum(), _TINY)
            forward[token] /= scale[token]
        backward[-1] = steps[:-1, -1] if run.is_last else 1
        for token in range(len(rows) - 1, 0, -1):
            backward[token - 1] = inner @ (posterior[token] * backward[token]) / scale[token]
        return _Chain(run, posterior, forward, backward, scale)

    def _likeliest_tags(self, chain: _Chain) -> np.ndarray:
        likeliest: np.ndarray = (chain.forward * chain.backward).argmax(1)
        return likeliest

    def _probability(self, chain: _Chain, span: Span, tags: np.ndarray) -> float:
        """Return the probability that the tokens of a span have these tags and that neither neighbour continues it."""
        first, last = span.start, span.end - 1
        steps, posterior = self._steps, chain.posterior
        if first == 0:
            value = 1.0 if chain.run.first else steps[-1, tags[0]]
        else:
            value = chain.forward[first - 1] @ (steps[:-1, tags[first]] * ~self._continues[:-1, tags[first]])
        value *= posterior[first, tags[first]] / chain.scale[first]
        for before, token in pairwise(range(first, last + 1)):
            value *= steps[tags[before], tags[token]] * posterior[token, tags[token]] / chain.scale[token]
        if last + 1 == len(tags):
            after = steps[tags[last], -1]
        else:
            after = (
                (steps[tags[last], :-1] * ~self._continues[tags[last], :-1])
                @ (posterior[last + 1] * chain.backward[last + 1])
                / chain.scale[last + 1]
            )
        total = float(chain.forward[-1] @ chain.backward[-1])
        return float(value * after / max(total, _TINY))


def _split_sentences(sentence: np.ndarray, position: np.ndarray) -> list[_Run]:
    """Return the tokens of each sentence in their order, divided where some are missing, as in a selection.

    Args:
        sentence: of each token, ``(token,)``.
        position: of each token in its sentence, from 0, ``(token,)``.
    """
    codes = pd.factorize(sentence)[0]
    order = np.lexsort((position, codes))
    place = position[order].astype(np.int64)
    new_sentence = np.diff(codes[order]) != 0
    ends = np.flatnonzero(new_sentence | (np.diff(place) != 1)) + 1
    is_last = [*new_sentence[ends - 1].tolist(), True]
    runs = np.split(order, ends)
    return [_Run(rows, int(position[rows[0]]), last) for rows, last in zip(runs, is_last, strict=True)]


def _overlapping(span: Span, others: list[Span]) -> Span | None:
    """Return the span among others that shares most tokens with one; None if none does."""
    shared = [(min(span.end, other.end) - max(span.start, other.start), other) for other in others]
    best = max(shared, key=lambda pair: pair[0], default=None)
    return None if best is None or best[0] <= 0 else best[1]


def _token_posterior(
    labels: np.ndarray, p_wrong: np.ndarray, suggested: np.ndarray, p_suggested: np.ndarray, consensus: np.ndarray
) -> np.ndarray:
    """Return P(true tag) of every token, ``(token, tag)``.

    The result keeps those of the given and of the suggested tag. What is left is divided as the consensus does.
    """
    rows = np.arange(len(labels))
    posterior = np.exp(consensus)
    posterior[rows, labels] = 0
    posterior[rows, suggested] = 0
    left = np.clip(p_wrong - np.where(suggested == labels, 0, p_suggested), 0, 1)
    sums = posterior.sum(1)
    posterior *= (left / np.maximum(sums, _TINY))[:, None]
    posterior[rows, suggested] = p_suggested
    posterior[rows, labels] = 1 - p_wrong
    scaled: np.ndarray = posterior / np.maximum(posterior.sum(1, keepdims=True), _TINY)
    return scaled
