"""Tag schemes: how tags of tokens spell spans, such as the name of a person.

A tag is "O" for tokens outside of spans, or a prefix and the type of the span, "B-PER". The schemes, by their prefixes:

- BIO: B begins a span, I continues it;
- IOB1: I begins and continues, B begins a span right after one of the same type;
- IO: I alone, so that adjacent spans of one type are one;
- BIOES: also E for the last token and S for a span of one token (or L and U).

Tags of other kinds, such as parts of speech, spell no spans.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal, NamedTuple

Scheme = Literal["BIO", "IOB1", "IO", "BIOES", "none"]

OUTSIDE = "O"
_TAG = re.compile(r"([BIESLU])[-_](.+)", re.DOTALL)
_BEGIN, _END = {"B", "S", "U"}, {"E", "L", "S", "U"}


class TagParts(NamedTuple):
    """A tag taken apart; no prefix outside of spans."""

    prefix: str
    type: str


class Span(NamedTuple):
    """Tokens ``start`` to ``end`` of a sentence, ``end`` not included."""

    start: int
    end: int
    type: str


@cache
def split_tag(tag: str) -> TagParts:
    """Take a tag apart.

    >>> split_tag("B-PER"), split_tag("O")
    (TagParts(prefix='B', type='PER'), TagParts(prefix='', type=''))
    """
    match = _TAG.fullmatch(tag)
    return TagParts("", "") if match is None else TagParts(match[1], match[2])


def find_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Return the scheme of the tags of some sentences; "none" if they spell no spans."""
    prefixes: set[str] = set()
    begun_by_i, begun_by_b = 0, 0
    for tags in sentences:
        before = TagParts("", "")
        for tag in tags:
            parts = split_tag(tag)
            if not parts.prefix and tag != OUTSIDE:
                return "none"
            prefixes.add(parts.prefix)
            begun_by_b += parts.prefix == "B"
            begun_by_i += parts.prefix == "I" and parts.type != before.type
            before = parts
    prefixes.discard("")
    if not prefixes:
        return "none"
    if prefixes - {"B", "I"}:
        return "BIOES"
    if prefixes == {"I"}:
        return "IO"
    return "IOB1" if begun_by_i > begun_by_b else "BIO"


def begins_span(tag: str) -> bool:
    """Return whether a tag begins a span whatever stands before it.

    >>> begins_span("B-PER"), begins_span("I-PER"), begins_span("O")
    (True, False, False)
    """
    return split_tag(tag).prefix in _BEGIN


def is_continued(before: str, tag: str) -> bool:
    """Return whether a tag continues the span of the tag before it.

    >>> is_continued("B-PER", "I-PER"), is_continued("I-PER", "B-PER"), is_continued("O", "I-PER")
    (True, False, False)
    """
    last, parts = split_tag(before), split_tag(tag)
    inside = bool(parts.prefix) and parts.prefix not in _BEGIN
    return inside and bool(last.prefix) and last.prefix not in _END and parts.type == last.type


def is_valid_step(before: str, tag: str, scheme: Scheme) -> bool:
    """Return whether the scheme lets a tag follow another; "O" stands before and after a sentence.

    >>> is_valid_step("O", "I-PER", "BIO"), is_valid_step("B-PER", "O", "BIOES"), is_valid_step("O", "I-PER", "IO")
    (False, False, True)
    """
    if scheme not in ("BIO", "BIOES"):
        return True
    prefix = split_tag(tag).prefix
    continued = is_continued(before, tag)
    starts_inside = bool(prefix) and prefix not in _BEGIN and not continued
    stays_open = scheme == "BIOES" and split_tag(before).prefix in ("B", "I") and not continued
    return not (starts_inside or stays_open)


def find_spans(tags: Sequence[str]) -> list[Span]:
    """Return the spans of a sentence. Tags out of sequence are read as leniently as can be: an I after O begins a span.

    >>> find_spans(["O", "B-PER", "I-PER", "I-LOC", "S-LOC"])
    [Span(start=1, end=3, type='PER'), Span(start=3, end=4, type='LOC'), Span(start=4, end=5, type='LOC')]
    """
    spans: list[Span] = []
    start, before = 0, OUTSIDE
    for at, tag in enumerate((*tags, OUTSIDE)):
        # Most tags are O after O.
        if not (tag == before == OUTSIDE) and not is_continued(before, tag):
            if parts := split_tag(before).type:
                spans.append(Span(start, at, parts))
            start = at
        before = tag
    return spans


def count_invalid(tags: Sequence[str], scheme: Scheme) -> int:
    """Return how many tags of a sentence cannot follow the tag before them, or end the sentence.

    >>> count_invalid(["O", "I-PER", "B-LOC", "I-PER"], "BIO"), count_invalid(["B-PER", "O"], "BIOES")
    (2, 1)
    """
    if scheme not in ("BIO", "BIOES"):
        return 0
    return sum(not is_valid_step(before, tag, scheme) for before, tag in pairwise((OUTSIDE, *tags, OUTSIDE)))
