"""CoNLL files, also compressed: one token per line, columns between tabs or blanks, an empty line after every sentence.

Read are the columns of CoNLL-2003 and its relatives, with the tag last, and CoNLL-U. Lines are kept as they are, so that a
file can be written again with other tags and nothing else changed.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hardsight.data.tokens.sentences import Tokens, make_tokens
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.io.compression import compress, decompress, decompressed_name

SUFFIXES = (".conll", ".conllu", ".conll2003", ".conll03", ".iob", ".iob2", ".bio", ".ner")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_CELL = re.compile(r"\S+")
_U_COLUMNS = 10
# Columns of CoNLL-U by name, from 1; the universal part of speech is the tag unless another is named.
_U_NAMES = {"form": 2, "lemma": 3, "upos": 4, "xpos": 5, "deprel": 8}
_U_ID = re.compile(r"\d+")
_U_SKIPPED = re.compile(r"\d+[-.]\d+")
_DOCUMENT = "-DOCSTART-"
_SENTENCE_ID = re.compile(r"#\s*sent_id\s*=\s*(\S.*?)\s*$")


class _Token(NamedTuple):
    """A token of a file: its line, and where in the line its tag stands."""

    line: int
    start: int
    end: int
    word: str
    tag: str


@dataclass(frozen=True)
class ConllFile:
    """A file whose lines are kept."""

    place: Path
    lines: list[str]  # with their ends
    encoding: str
    tokens: list[list[_Token]]  # of every sentence
    ids: list[str | None]  # that comments give to the sentences

    def to_tokens(self) -> Tokens:
        """Return the sentences. Their ids are those of comments ``# sent_id`` if all have one and they differ, else numbers.

        Raises:
            InputError: no sentence with words.
        """
        if not self.tokens:
            raise InputError(f"{self.place} has no line with a word and a tag: pass a CoNLL file")
        ids = [name for name in self.ids if name is not None]
        named = len(ids) == len(self.tokens) == len(set(ids))
        sentences = [[token.word for token in each] for each in self.tokens]
        return make_tokens(sentences, [[token.tag for token in each] for each in self.tokens], ids if named else None)

    def write(self, target: Path, tags: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """Write the file again with other tags; every other byte stays. Return which tokens are left out, ``(token,)``.

        Args:
            tags: ``(token,)`` in the order of the file.
            keep: whether a token stays, ``(token,)``. Its sentence goes if one of its tokens does not.

        Raises:
            InputError: a tag with blanks, or one that the encoding of the file cannot write, or a target whose name asks for
                a .zip.
        """
        lines, at = list(self.lines), 0
        removed = np.zeros(len(tags), dtype=bool)
        for sentence in self.tokens:
            size = len(sentence)
            if not keep[at : at + size].all():
                removed[at : at + size] = True
                for number in self._lines_of(sentence):
                    lines[number] = ""
            else:
                for token, tag in zip(sentence, tags[at : at + size].tolist(), strict=True):
                    lines[token.line] = self._with_tag(token, str(tag))
            at += size
        try:
            content = "".join(lines).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise InputError(f"a new tag cannot be written in {self.encoding} ({error.object[error.start]!r})") from None
        with atomic_write(target) as temporary:
            temporary.write_bytes(compress(content, target))
        return removed

    def _lines_of(self, sentence: list[_Token]) -> range:
        """Return the lines of a sentence with those before it, such as comments, and the empty line after it."""
        first, end = sentence[0].line, sentence[-1].line + 1
        while first > 0 and not _is_between_sentences(self.lines[first - 1]):
            first -= 1
        while end < len(self.lines) and not _is_between_sentences(self.lines[end]):
            end += 1
        if end < len(self.lines) and not self.lines[end].strip():
            end += 1
        return range(first, end)

    def _with_tag(self, token: _Token, tag: str) -> str:
        if tag == token.tag:
            return self.lines[token.line]
        if not tag or _CELL.fullmatch(tag) is None:
            raise InputError(f"a tag must not have blanks. Got {tag!r}: choose another")
        line = self.lines[token.line]
        return line[: token.start] + tag + line[token.end :]


def is_conll(place: Path, tag_column: str | None) -> bool:
    """Return whether a file is read as CoNLL: by its name, or because the column of its tags is named."""
    return place.is_file() and (tag_column is not None or Path(decompressed_name(place)).suffix.lower() in SUFFIXES)


def read_conll(place: Path, tag_column: str | None = None, encoding: str | None = None) -> ConllFile:
    """Read a file.

    Args:
        tag_column: number of the column of tags, from 1, or from the end, -1; of CoNLL-U also "upos", "xpos", …. None: the
            last column; of CoNLL-U the universal part of speech.
        encoding: None: UTF-8.

    Raises:
        InputError: lines without the column, or text that cannot be decompressed or decoded.
    """
    content = b"".join(decompress(place))
    codec = encoding or ("utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8")
    try:
        text = content.decode(codec)
    except (UnicodeDecodeError, LookupError):
        raise InputError(f"{place} cannot be read as {codec}: name its encoding (encoding, --encoding)") from None
    lines = [match[0] for match in _LINE.finditer(text) if match[0]]
    cells = [_find_cells(line) for line in lines]
    is_u = _is_conll_u(lines, cells)
    usual = Counter(len(each) for each in cells if each).most_common(1)
    width = usual[0][0] if usual else 0
    word_at, tag_at = _columns(place, lines, cells, tag_column, width, is_u)
    endings = _last_cells(lines, cells)
    needed = max(word_at, tag_at) + 1 if tag_at >= 0 else max(word_at + 2, -tag_at)
    tokens: list[list[_Token]] = [[]]
    ids: list[str | None] = [None]
    too_short: list[int] = []
    for number, (line, spans) in enumerate(zip(lines, cells, strict=True)):
        texts = [line[start:end] for start, end in spans]
        if not texts or texts[0] == _DOCUMENT:
            if tokens[-1]:
                tokens.append([])
                ids.append(None)
            continue
        if _is_comment(texts, width, is_u, endings, begins=not tokens[-1]):
            name = _SENTENCE_ID.match(line)
            ids[-1] = name[1] if name else ids[-1]
        elif is_u and _U_SKIPPED.fullmatch(texts[0]):
            continue
        elif len(texts) < needed:
            too_short.append(number)
        else:
            start, end = spans[tag_at]
            tokens[-1].append(_Token(number, start, end, texts[word_at], texts[tag_at]))
    if too_short:
        first = too_short[0]
        raise InputError(
            f"line {first + 1} of {place} has {len(cells[first]):,} columns, and {needed:,} are needed for word and tag"
            f"{_others(len(too_short) - 1)}: correct it, or give the number of the column of tags (tag_column, --tag-column)"
        )
    if not tokens[-1]:
        tokens, ids = tokens[:-1], ids[:-1]
    return ConllFile(place, lines, codec, tokens, ids)


def _is_between_sentences(line: str) -> bool:
    """Return whether a line is empty, or begins a document."""
    cells = line.split(maxsplit=1)
    return not cells or cells[0] == _DOCUMENT


def _others(count: int) -> str:
    return f"; {count:,} more lines are too short" if count else ""


def _find_cells(line: str) -> list[tuple[int, int]]:
    """Return where the cells of a line begin and end: between tabs if there are tabs, otherwise between blanks."""
    body = line.rstrip("\r\n")
    if not body.strip():
        return []
    if "\t" not in body:
        return [match.span() for match in _CELL.finditer(body)]
    cells, start = [], 0
    for cell in body.split("\t"):
        cells.append((start, start + len(cell)))
        start += len(cell) + 1
    return cells


def _is_conll_u(lines: list[str], cells: list[list[tuple[int, int]]]) -> bool:
    rows = [(line, spans) for line, spans in zip(lines, cells, strict=True) if spans and not line.startswith("#")][:200]
    numbered = sum(len(spans) == _U_COLUMNS and line[: spans[0][1]][:1].isdigit() for line, spans in rows)
    return bool(rows) and numbered == len(rows)


def _last_cells(lines: list[str], cells: list[list[tuple[int, int]]]) -> frozenset[str]:
    """Return what is in the last cell of the lines that do not begin with a hash."""
    return frozenset(
        line[slice(*spans[-1])] for line, spans in zip(lines, cells, strict=True) if spans and not line.startswith("#")
    )


def _is_comment(texts: list[str], width: int, is_u: bool, endings: frozenset[str], *, begins: bool) -> bool:
    """Return whether a line is a comment.

    Comments stand before a sentence and rarely have as many cells as tokens. One that has, such as "# a comment" among three
    columns, is told from the word "#" by its last cell, which no other line ends with. That of the word may be "#", as in
    the Penn Treebank.

    Args:
        endings: what other lines end with.
        begins: whether no token of the sentence came before.
    """
    if begins and texts[0].startswith("#") and (is_u or len(texts) != width):
        return True
    return not is_u and texts[0] == "#" and texts[-1] not in endings | {"#"}


def _columns(
    place: Path, lines: list[str], cells: list[list[tuple[int, int]]], tag_column: str | None, width: int, is_u: bool
) -> tuple[int, int]:
    """Return the positions of the word and of the tag in a line; that of the tag may count from the end."""
    first = [line[slice(*spans[0])] for line, spans in zip(lines, cells, strict=True) if spans and len(spans) == width]
    numbered = width > 2 and all(_U_ID.fullmatch(text) for text in first)
    word_at = 1 if is_u or numbered else 0
    if tag_column is None:
        return word_at, _U_NAMES["upos"] - 1 if is_u else -1
    named = _U_NAMES.get(tag_column.lower()) if is_u else None
    try:
        number = named or int(tag_column)
    except ValueError:
        names = f", or {', '.join(_U_NAMES)}" if is_u else ""
        raise InputError(
            f"tag_column must be a number from 1{names}. Got {tag_column!r} (tag_column, --tag-column)"
        ) from None
    if not 0 < abs(number) <= max(width, 1):
        raise InputError(
            f"tag_column must be from 1 to {width}, the columns of {place}. Got {number} (tag_column, --tag-column)"
        )
    if number in (word_at + 1, word_at - width):
        raise InputError(f"tag_column {number} is the column of words: give that of the tags (tag_column, --tag-column)")
    return word_at, number - 1 if number > 0 else number
