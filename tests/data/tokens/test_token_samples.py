"""Tokens from Python: what is read, what is refused, and the samples that are made."""

import numpy as np
import pytest

import hardsight as hs
from hardsight.data.tokens.schemes import count_invalid, find_scheme, find_spans
from hardsight.data.tokens.window import window_features

WORDS = [["Anna", "met", "Bob", "."], ["Go", "to", "New", "York"], ["Anna", "met", "Bob", "."], ["Hi"]]
TAGS = [["B-PER", "O", "B-PER", "O"], ["O", "O", "B-LOC", "I-LOC"], ["B-PER", "O", "B-PER", "O"], ["O"]]


def test_forms_of_sentences_give_the_same_tokens() -> None:
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-PER", "B-LOC", "I-LOC"]
    tag = datasets.ClassLabel(names=names)
    columns = {"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(tag)}
    features = datasets.Features(columns)
    codes = [[names.index(tag) for tag in tags] for tags in TAGS]
    dataset = datasets.Dataset.from_dict({"tokens": WORDS, "ner_tags": codes}, features=features)
    expected = hs.Tokens.of(WORDS, TAGS)
    for tokens in (
        hs.Tokens.of(list(zip(WORDS, TAGS, strict=True))),
        hs.Tokens.of(dataset),
        hs.Tokens.of(dataset, "ner_tags"),
    ):
        assert tokens.words.tolist() == expected.words.tolist()
        assert tokens.tags.tolist() == expected.tags.tolist()
        assert tokens.to_lists() == TAGS
    assert repr(expected) == "Tokens(13 tokens of 4 sentences, 4 tags, scheme BIO, 0 notices)"


class _Word:
    def __init__(self, text: str, tag: str) -> None:
        self.text, (self.ent_iob_, _, self.ent_type_) = text, tag.partition("-")


class _Doc(list):
    ents = ()


def test_documents_of_spacy_are_read_by_their_entities() -> None:
    docs = [_Doc(map(_Word, *each)) for each in zip(WORDS, TAGS, strict=True)]
    assert hs.Tokens.of(docs).to_lists() == TAGS


def test_samples_are_tokens_in_sentences_and_equal_sentences_stay_together() -> None:
    samples = hs.Tokens.of(WORDS, TAGS, ids=["a", "b", "c", "d"]).samples()
    assert samples.ids[[0, 4, 12]].tolist() == ["a/0", "b/0", "d/0"]
    assert samples.parts is not None
    assert samples.parts.text is not None
    assert samples.parts.text[6] == "New"
    assert samples.groups is not None
    assert samples.groups.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [2]
    assert any("2 sentences equal another one" in notice for notice in samples.notices)
    own = hs.Tokens.of(WORDS, TAGS).samples(embedding=np.ones((13, 2), np.float32))
    assert own.matrix.shape == (13, 2)


def test_features_are_those_of_the_word_and_its_neighbours_in_the_sentence() -> None:
    words = np.array([word for words in WORDS for word in words], dtype=object)
    sentence = np.repeat(np.arange(4), [4, 4, 4, 1])
    matrix = window_features(words, sentence).toarray()
    # Equal sentences look alike; a word looks otherwise in another place.
    assert np.array_equal(matrix[:4], matrix[8:12])
    assert not np.array_equal(matrix[0], matrix[2])
    moved = words.copy()
    moved[4] = "Anna"
    assert np.array_equal(window_features(moved, sentence).toarray()[3].nonzero()[0].size, matrix[3].nonzero()[0].size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: hs.Tokens.of([["a", "b"], ["c"]], [["O"], ["O"]]),
            "sentence 0 has 2 words and 1 tags: pass one tag per word",
        ),
        (lambda: hs.Tokens.of([["a"]], [["O"], ["O"]]), "one list of tags per sentence: 1 sentences, 2 lists"),
        (lambda: hs.Tokens.of([["a", "b"]], [["O", None]]), r"1 tags are missing \(token 1 of sentence 0\)"),
        (lambda: hs.Tokens.of([], []), "there are no sentences"),
        (lambda: hs.Tokens.of([[], []], [[], []]), "no sentence has a word"),
        (lambda: hs.Tokens.of(["a b"], ["O O"]), "must be a list of words with a list of tags, not a string"),
        (lambda: hs.Tokens.of([["a"], ["b"]]), "tags is missing"),
        (lambda: hs.Tokens.of([["a"], ["b"]], [["O"], ["X"]], ids=[1, 1]), "ids of sentences must be unique"),
        (lambda: hs.Tokens.of(WORDS, TAGS).samples(np.ones((3, 2))), "one row per token"),
        (lambda: hs.Tokens.of(WORDS, TAGS).with_tags(["O"]), "one value per token: 13"),
        (lambda: hs.Tokens.of(5), "data must be sentences"),
    ],
)
def test_faults_are_named_in_one_line(make, message) -> None:
    with pytest.raises(hs.InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_empty_sentences_and_tags_out_of_sequence_are_told() -> None:
    tokens = hs.Tokens.of([["a", "b"], [], ["c", "d", "e"]], [["O", "I-X"], [], ["B-X", "I-X", "I-Y"]])
    assert tokens.scheme == "BIO" or tokens.scheme == "IOB1"
    assert "1 sentence without words were left out." in tokens.notices
    assert [name for name, _ in tokens.sentences()] == [0, 2]


def test_schemes_are_told_apart() -> None:
    assert find_scheme(TAGS) == "BIO"
    assert find_scheme([["I-PER", "O", "I-LOC", "B-LOC"]]) == "IOB1"
    assert find_scheme([["I-PER", "I-PER", "O"]]) == "IO"
    assert find_scheme([["B-PER", "E-PER", "S-LOC"]]) == "BIOES"
    assert find_scheme([["NOUN", "VERB"]]) == "none"
    assert find_scheme([["O", "O"]]) == "none"


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_valid_tags_spell_the_spans_they_were_made_of(scheme) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        tags, spans = [], []
        while len(tags) < 12:
            size, kind = int(rng.integers(1, 4)), str(rng.choice(["PER", "LOC", "O"]))
            if kind == "O":
                tags += ["O"] * size
                continue
            spans.append((len(tags), len(tags) + size, kind))
            inner = ["B", *["I"] * (size - 1)]
            if scheme == "BIOES":
                inner = ["S"] if size == 1 else [*inner[:-1], "E"]
            tags += [f"{prefix}-{kind}" for prefix in inner]
        assert [tuple(span) for span in find_spans(tags)] == spans
        assert count_invalid(tags, scheme) == 0
