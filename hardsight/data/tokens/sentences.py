"""Sentences with a tag per token, from lists, Hugging Face datasets and spaCy documents."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import to_names
from hardsight.data.encoder import Encoder
from hardsight.data.encoders.named import names_model
from hardsight.data.from_datasets import read_lists_of_labels
from hardsight.data.labelled_parts import Parts, as_parts
from hardsight.data.samples import Samples
from hardsight.data.tokens.contextual import encode_words
from hardsight.data.tokens.schemes import Scheme, Span, count_invalid, find_scheme, find_spans
from hardsight.data.tokens.window import window_features
from hardsight.errors import InputError

# Faults that are named one by one.
_NAMED = 3
_WORD_COLUMNS, _TAG_COLUMNS = ("tokens", "words"), ("ner_tags", "pos_tags", "upos", "tags", "labels", "chunk_tags")
_KIND = "token"


@dataclass(frozen=True, eq=False)
class Tokens:
    """Sentences with a tag per token; make them with :meth:`of`, and pass them to :func:`hardsight.measure`.

    Attributes:
        words: ``(token,)`` str objects.
        tags: ``(token,)`` str objects.
        sentence: id of each token's sentence, ``(token,)`` int64 or str; tokens of a sentence are adjacent.
        scheme: how tags spell spans; see :mod:`hardsight.data.tokens.schemes`.
        notices: what a user should know about how the data was read.
    """

    words: np.ndarray
    tags: np.ndarray
    sentence: np.ndarray
    scheme: Scheme
    notices: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, data: Any, tags: Any = None, *, ids: Any = None, words: str | None = None) -> "Tokens":
        """Make tokens from sentences.

        Args:
            data: one of

                - sentences, each a list of words, with ``tags``, lists of tags of the same lengths;
                - pairs (words, tags);
                - a Hugging Face dataset with a column of words and one of tags;
                - documents of spaCy: their named entities as BIO tags.
            tags: the tags; of a dataset, the name of their column, "ner_tags" by default. Numbers are looked up among the
                names of a dataset's ClassLabel.
            ids: names of the sentences, unique; by default their numbers.
            words: of a dataset, the column of words, "tokens" by default.

        Raises:
            InputError: sentences and tags of different lengths, tags that are missing, or no sentences.

        >>> tokens = Tokens.of([["Anna", "slept"], ["in", "New", "York"]], [["B-PER", "O"], ["O", "B-LOC", "I-LOC"]])
        >>> tokens.scheme, len(tokens), tokens.spans()["text"].tolist()
        ('BIO', 5, ['Anna', 'New York'])
        """
        sentences, tag_lists = _split(data, tags, words)
        return make_tokens(sentences, tag_lists, ids)

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        """Return one line: how many tokens and sentences, which tags and scheme."""
        sentences, kinds = len(np.unique(self.sentence)), len(np.unique(self.tags.astype(str)))
        spans = "" if self.scheme == "none" else f", scheme {self.scheme}"
        return f"Tokens({len(self):,} tokens of {sentences:,} sentences, {kinds:,} tags{spans}, {len(self.notices)} notices)"

    def samples(self, embedding: Any = "auto") -> Samples:
        """Return samples whose rows are the tokens; sentences are never split, and equal sentences stay together.

        Args:
            embedding: "auto": a sparse matrix of words, letters and neighbours
                (:func:`hardsight.data.tokens.window.window_features`); a model by name, "transformers:NAME", or an
                :class:`hardsight.Encoder` of one, whose contextual vectors of the words serve; or numbers that you have,
                ``(token, feature)``.

        Raises:
            InputError: an embedding of another length, a model that cannot be loaded, or a single tag.
        """
        codes = pd.factorize(self.sentence)[0].astype(np.int64)
        notices = list(self.notices)
        if isinstance(embedding, str) and embedding == "auto":
            features: Any = window_features(self.words, codes)
        elif names_model(embedding) or isinstance(embedding, Encoder):
            features, more = encode_words(embedding, [self.words[place].tolist() for _, place in self.sentences()])
            notices += more
        elif isinstance(embedding, str):
            raise InputError(
                f"embedding of tokens must be 'auto', 'transformers:NAME' or numbers, one row per token. Got {embedding!r}"
            )
        else:
            features = np.asarray(embedding)
            if features.ndim != 2 or len(features) != len(self):
                raise InputError(f"embedding must have one row per token, ({len(self):,}, features). Got {features.shape}")
        groups, equal = self._equal_sentences(codes)
        if len(np.unique(groups)) < 2:
            raise InputError("there must be at least two different sentences: models are tested on others than they learn")
        if equal:
            notices.append(f"{equal:,} sentences equal another one. Equal sentences are kept on one side of every split.")
        samples = Samples.of(
            features, self.tags.astype(str), ids=np.arange(len(self)), groups=groups, task="classification", label="tag"
        )
        return replace(as_parts(samples, self.parts), notices=(*notices, *samples.notices))

    @property
    def parts(self) -> Parts:
        """The tokens as parts of sentences, by their position."""
        return Parts.of(self.sentence, kind=_KIND, text=self.words)

    def sentences(self) -> Iterator[tuple[Any, slice]]:
        """Yield the id of each sentence and where its tokens are."""
        start = 0
        for name, group in groupby(self.sentence.tolist()):
            end = start + sum(1 for _ in group)
            yield name, slice(start, end)
            start = end

    def spans(self) -> pd.DataFrame:
        """Return the spans that the tags spell: columns sentence, start, end (not included), text and label."""
        rows: list[tuple[Any, int, int, str, str]] = []
        for name, place in self.sentences():
            words = self.words[place]
            spans = find_spans(self.tags[place].tolist()) if self.scheme != "none" else []
            rows += [(name, span.start, span.end, join_words(words, span), span.type) for span in spans]
        return pd.DataFrame(rows, columns=["sentence", "start", "end", "text", "label"])

    def with_tags(self, tags: Any) -> "Tokens":
        """Return the same words with other tags, ``(token,)``, such as ``d.apply(decisions).labels``."""
        values = [str(tag) for tag in tags]
        if len(values) != len(self):
            raise InputError(f"tags must have one value per token: {len(self):,}. Got {len(values):,}")
        return replace(self, tags=np.array(values, dtype=object))

    def to_lists(self) -> list[list[str]]:
        """Return the tags as one list per sentence, in the order given; sentences without tokens are left out."""
        return [self.tags[place].tolist() for _, place in self.sentences()]

    def _equal_sentences(self, codes: np.ndarray) -> tuple[np.ndarray, int]:
        """Return a code per token that equal sentences share, and the number of sentences that equal another."""
        contents = [tuple(self.words[place].tolist()) for _, place in self.sentences()]
        index = pd.Index(contents, tupleize_cols=False)
        groups, _ = pd.factorize(index)
        sizes = np.bincount(groups)
        return groups[codes].astype(np.int64), int((sizes[groups] > 1).sum())


def spells_spans(samples: Samples) -> bool:
    """Return whether the rows are tokens whose tags spell spans, such as names, and not parts of speech."""
    is_token = samples.parts is not None and samples.parts.kind == _KIND and samples.classes is not None
    return is_token and find_scheme([[str(name) for name in samples.classes or ()]]) != "none"


def join_words(words: np.ndarray, span: Span) -> str:
    """Return the words of a span with blanks between them."""
    return " ".join(words[span.start : span.end])


def make_tokens(
    sentences: Sequence[Sequence[Any]], tags: Sequence[Sequence[Any]], ids: Any = None, notices: Sequence[str] = ()
) -> Tokens:
    """Check sentences and their tags, and make tokens of them; see :meth:`Tokens.of`."""
    if len(sentences) != len(tags):
        raise InputError(f"there must be one list of tags per sentence: {len(sentences):,} sentences, {len(tags):,} lists")
    if not len(sentences):
        raise InputError("there are no sentences: pass at least two")
    names = np.arange(len(sentences)) if ids is None else to_names(ids, len(sentences), "ids of sentences")
    if len(np.unique(names)) < len(names):
        raise InputError("ids of sentences must be unique: leave them out to number the sentences")
    _check_lengths(sentences, tags, names)
    _check_tags(tags, names)
    sizes = np.array([len(words) for words in sentences])
    more = list(notices)
    if empty := int((sizes == 0).sum()):
        more.append(f"{empty:,} {'sentence' if empty == 1 else 'sentences'} without words were left out.")
    if not sizes.sum():
        raise InputError("no sentence has a word: pass sentences with words and tags")
    texts = [[str(tag) for tag in each] for each in tags]
    scheme = find_scheme(texts)
    if invalid := sum(count_invalid(each, scheme) for each in texts):
        more.append(
            f"{invalid:,} tags do not follow the scheme {scheme}, such as I- after O. Each is read as the start of a span."
        )
    return Tokens(
        words=np.array([str(word) for words in sentences for word in words], dtype=object),
        tags=np.array([tag for each in texts for tag in each], dtype=object),
        sentence=np.repeat(names, sizes),
        scheme=scheme,
        notices=tuple(more),
    )


def _check_lengths(sentences: Sequence[Any], tags: Sequence[Any], names: np.ndarray) -> None:
    for name, pair in zip(names.tolist(), zip(sentences, tags, strict=True), strict=True):
        if any(isinstance(each, str) or not hasattr(each, "__len__") for each in pair):
            raise InputError(f"sentence {name!r} must be a list of words with a list of tags, not a string")
    wrong = [i for i, (words, each) in enumerate(zip(sentences, tags, strict=True)) if len(words) != len(each)]
    if wrong:
        first = wrong[0]
        others = f"; {len(wrong) - 1:,} more sentences have other numbers, too" if len(wrong) > 1 else ""
        raise InputError(
            f"sentence {names[first].item()!r} has {len(sentences[first]):,} words and {len(tags[first]):,} tags{others}: "
            "pass one tag per word"
        )


def _check_tags(tags: Sequence[Any], names: np.ndarray) -> None:
    missing = [
        (names[i].item(), at)
        for i, each in enumerate(tags)
        for at, tag in enumerate(each)
        if tag is None or tag != tag or not str(tag).strip()
    ]
    if missing:
        named = ", ".join(f"token {at} of sentence {name!r}" for name, at in missing[:_NAMED])
        raise InputError(f"{len(missing):,} tags are missing ({named}): give every token a tag, such as O")


def _split(data: Any, tags: Any, words: str | None) -> tuple[list[Any], list[Any]]:
    """Return the sentences and the tags of any form that :meth:`Tokens.of` reads."""
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return _read_dataset(data, tags, words)
    if words is not None:
        raise InputError("words names a column of a Hugging Face dataset, and data is none: leave it out")
    items = list(data) if isinstance(data, Iterable) and not isinstance(data, str) else None
    if items is None:
        raise InputError(f"data must be sentences, a Hugging Face dataset or documents of spaCy. Got {type(data).__name__}")
    if tags is not None:
        return items, list(tags)
    if items and all(hasattr(item, "ents") for item in items):
        return [[token.text for token in doc] for doc in items], [[_entity_tag(token) for token in doc] for doc in items]
    if not all(isinstance(item, tuple | list) and len(item) == 2 and not isinstance(item[0], str) for item in items):
        raise InputError("tags is missing: pass lists of tags, or pairs (words, tags)")
    return [item[0] for item in items], [item[1] for item in items]


def _entity_tag(token: Any) -> str:
    return f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"


def _read_dataset(data: Any, tags: Any, words: str | None) -> tuple[list[Any], list[Any]]:
    word_column = _find_column(data, words, _WORD_COLUMNS, "words")
    tag_column = _find_column(data, tags, _TAG_COLUMNS, "tags")
    return [list(each) for each in data[word_column]], [list(each) for each in read_lists_of_labels(data, tag_column)]


def _find_column(data: Any, name: Any, usual: tuple[str, ...], what: str) -> str:
    columns = list(data.column_names)
    column = name if name is not None else next((each for each in usual if each in columns), None)
    if column not in columns:
        raise InputError(f"{what} must name a column of the dataset, {', '.join(map(repr, columns))}. Got {name!r}")
    return str(column)
