"""P(wrong) of tags that spell spans in a whole run: which label model is used, and tags that models never saw."""

import numpy as np
import pytest

import hardsight as hs
from hardsight.attribution.names import TOO_FEW
from hardsight.data.tokens.sentences import spells_spans

NAMES, VERBS = ["Anna", "Boris", "Clara", "Dora"], ["met", "left", "called"]


def names_in_text(sentences: int = 60, seed: int = 0) -> hs.Tokens:
    rng = np.random.default_rng(seed)
    words = [[rng.choice(NAMES), rng.choice(VERBS), f"w{rng.integers(9)}", rng.choice(NAMES), "."] for _ in range(sentences)]
    return hs.Tokens.of(words, [["B-PER", "O", "O", "B-PER", "O"]] * sentences)


@pytest.mark.parametrize(
    ("tags", "expected"), [(("B-PER", "I-PER", "O"), True), (("NOUN", "VERB"), False), (("B-PER", "X", "O"), False)]
)
def test_tags_spell_spans_if_all_have_prefixes(tags, expected) -> None:
    tokens = hs.Tokens.of([["a"] * len(tags), ["b"] * len(tags)], [tags, tags])
    assert spells_spans(tokens.samples()) is expected


def test_rows_that_are_no_tokens_spell_no_spans() -> None:
    assert not spells_spans(hs.Samples.of(np.eye(4), ["B-PER", "I-PER", "O", "O"]))


@pytest.mark.slow
def test_a_tag_that_models_never_saw_is_judged_by_whether_its_token_looks_like_a_span() -> None:
    tokens = names_in_text()
    tags = tokens.tags.copy()
    on_verb, on_name = 1, 8
    tags[on_verb], tags[on_name] = "B-GROUP", "B-EVENT"
    d = hs.measure(tokens.with_tags(tags), folds=3, repeats=2)
    assert d.p_wrong[on_verb] > 0.9
    assert d.p_wrong[on_name] < d.p_wrong[on_verb]
    assert d.cause[on_verb] != TOO_FEW
    assert any("never saw their tag, in 2 classes" in notice for notice in d.run.notices)
