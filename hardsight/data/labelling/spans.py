"""Tasks whose texts have labelled spans, such as names: their words as tokens with BIO tags, and back to characters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hardsight.data.tokens.schemes import OUTSIDE, Span
from hardsight.data.tokens.sentences import Tokens, make_tokens
from hardsight.errors import InputError
from hardsight.validation import join_examples

# Letters of scripts without blanks between words are words of their own: kana, Han, Thai and Lao.
_NO_BLANKS = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_NO_BLANKS}]|[^\W{_NO_BLANKS}]+|[^\w\s]")
_NAMED = 3


class TextSpan(NamedTuple):
    """Characters ``start`` to ``end`` of a text, ``end`` not included, with their label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, eq=False)
class SpanProject:
    """The tasks in a file of a labelling tool whose texts have labelled spans.

    Attributes:
        tool: name of the tool.
        document: the parsed file: one object per task.
        ids: of the tasks, int or str, unique.
        texts: what the tasks show.
        spans: those of each task, by their place; None for a task that nobody labelled.
        control: what the label is called in the tool.
        skipped: positions of tasks that annotators skipped and nobody labelled.
        notices: what a user should know about how the file was read, one sentence each.
        lines: whether the file holds one object per line.
        extra: what only the tool's own module reads.
    """

    tool: str
    document: Any
    ids: tuple[Any, ...]
    texts: tuple[str, ...]
    spans: tuple[tuple[TextSpan, ...] | None, ...]
    control: str
    skipped: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()
    lines: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return one line: how many spans of how many tasks."""
        count = sum(len(each) for each in self.spans if each)
        return f"SpanProject({self.tool}: {count:,} spans {self.control!r} of {len(self.ids):,} tasks)"

    def tokens(self) -> Tokens:
        """Return the words of the labelled tasks, each task a sentence by its id, with BIO tags.

        Raises:
            InputError: no task is labelled, or spans overlap.
        """
        labelled = [number for number, spans in enumerate(self.spans) if spans is not None]
        if not labelled:
            raise InputError(
                f"none of the {len(self.ids):,} tasks of this {self.tool} file is labelled: export labelled tasks"
            )
        tags = self.tags()
        words = [[self.texts[number][start:end] for start, end in word_places(self.texts[number])] for number in labelled]
        notices = [f"Read as tasks of {self.tool} with spans; the label is {self.control!r}.", *self.notices]
        if others := len(self.ids) - len(labelled):
            notices.append(f"{others:,} tasks without labels were left out.")
        notices += self._odd_spans()
        return make_tokens(words, [tags[number] for number in labelled], [self.ids[number] for number in labelled], notices)

    def tags(self) -> dict[int, list[str]]:
        """Return the BIO tags of the words of each labelled task, by the position of the task.

        Raises:
            InputError: spans overlap, or parts of one word have spans of their own; names the tasks.
        """
        tags, overlapping = dict[int, list[str]](), []
        for number, spans in enumerate(self.spans):
            if spans is None:
                continue
            # A region that was entered twice is one.
            of_task = _tag_words(self.texts[number], sorted(set(spans)))
            if of_task is None:
                overlapping.append(self.ids[number])
            else:
                tags[number] = of_task
        if overlapping:
            named = join_examples(overlapping, _NAMED)
            raise InputError(
                f"spans overlap in {len(overlapping):,} tasks of this {self.tool} file ({named}), and a word has one tag: "
                "remove one of them, or export one label at a time"
            )
        return tags

    def _odd_spans(self) -> list[str]:
        """Return notices of spans that are not whole words."""
        within = empty = 0
        for text, spans in zip(self.texts, self.spans, strict=True):
            places = word_places(text) if spans else []
            for span in spans or ():
                touched = [place for place in places if place[0] < span.end and span.start < place[1]]
                empty += not touched
                within += bool(touched) and (touched[0][0] < span.start or touched[-1][1] > span.end)
        notices = []
        if within:
            spans_end = "span begins or ends" if within == 1 else "spans begin or end"
            notices.append(f"{within:,} {spans_end} within a word. Such spans count as spans of whole words.")
        if empty:
            notices.append(
                f"{empty:,} {'span holds no word and was' if empty == 1 else 'spans hold no word and were'} left out."
            )
        return notices

    def n_words(self, task: int) -> int:
        """Return the number of words of a task."""
        return len(word_places(self.texts[task]))

    def place(self, task: int, span: Span) -> TextSpan:
        """Return the characters of a span of words."""
        places = word_places(self.texts[task])
        return TextSpan(places[span.start][0], places[span.end - 1][1], span.type)


def word_places(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text begin and end, and its punctuation marks, each of which is a word.

    >>> word_places("Anna's cat")
    [(0, 4), (4, 5), (5, 6), (7, 10)]
    """
    return [match.span() for match in _WORD.finditer(text)]


def _tag_words(text: str, spans: Sequence[TextSpan]) -> list[str] | None:
    """Return the BIO tags of the words that spans touch; None if two spans touch the same one."""
    tags = [OUTSIDE] * len(places := word_places(text))
    for span in spans:
        touched = [at for at, (start, end) in enumerate(places) if start < span.end and span.start < end]
        if any(tags[at] != OUTSIDE for at in touched):
            return None
        for at in touched:
            tags[at] = f"{'B' if at == touched[0] else 'I'}-{span.label}"
    return tags
