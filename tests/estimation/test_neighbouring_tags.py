"""The witness that reads neighbouring tags: which tags it reads, and when it is used."""

import numpy as np
import pytest

import hardsight as hs
from hardsight.estimation.neighbouring_tags import with_neighbouring_tags


def tagged(sentences: int, seed: int) -> hs.Tokens:
    """Sentences of random words whose tags alternate, so that only neighbours tell a tag."""
    rng = np.random.default_rng(seed)
    words = [[str(word) for word in rng.integers(0, 40, 8)] for _ in range(sentences)]
    first = rng.integers(0, 2, sentences)
    return hs.Tokens.of(words, [[("ODD", "EVEN")[(token + start) % 2] for token in range(8)] for start in first])


def test_features_tell_the_tags_of_neighbours_and_never_the_own() -> None:
    tokens = tagged(6, 0)
    samples = tokens.samples()
    wide = with_neighbouring_tags(samples).features.toarray()
    width = samples.features.shape[1]
    changed = tokens.tags.copy()
    token = 8 + 3
    changed[token] = "ODD" if changed[token] == "EVEN" else "EVEN"
    other = with_neighbouring_tags(tokens.with_tags(changed).samples()).features.toarray()
    differs = (wide != other).any(1)
    assert differs.nonzero()[0].tolist() == [token - 2, token - 1, token + 1, token + 2]
    assert np.array_equal(wide[:, :width], samples.features.toarray())
    # The first token of a sentence has no neighbour before it.
    assert wide[8, width : width + 2].tolist() == [0, 0]
    assert wide[9, width : width + 2].sum() == 1


@pytest.mark.slow
def test_wrong_tags_that_only_neighbours_show_are_found() -> None:
    true = tagged(120, 1)
    rng = np.random.default_rng(2)
    wrong = np.sort(rng.choice(len(true), 30, replace=False))
    tags = true.tags.copy()
    tags[wrong] = np.where(tags[wrong] == "ODD", "EVEN", "ODD")
    d = hs.measure(true.with_tags(tags), folds=3, repeats=2, refine=False)
    likeliest = np.argsort(-d.p_wrong)[:30]
    assert len(set(likeliest.tolist()) & set(wrong.tolist())) > 20
    # The models of the run see words alone, which tell nothing.
    assert d.error.mean() > 0.6
