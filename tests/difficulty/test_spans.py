"""P(wrong) of spans against a sum over all sequences of tags."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from support.random_results import random_result

import hardsight as hs
from hardsight.data.labelled_parts import Parts
from hardsight.data.tokens.schemes import find_spans, is_valid_step
from hardsight.difficulty import spans as spans_module
from hardsight.difficulty.spans import _FORBIDDEN

CLASSES = {"BIO": ("B-L", "B-P", "I-L", "I-P", "O"), "BIOES": ("B-P", "E-P", "I-P", "O", "S-P"), "IO": ("I-L", "I-P", "O")}


def token_result(scheme: str, labels: list[list[str]], rng: np.random.Generator):
    classes = CLASSES[scheme]
    n, c = sum(map(len, labels)), len(classes)
    parts = Parts.of(np.repeat(np.arange(len(labels)), [len(each) for each in labels]), kind="token")
    codes = np.array([classes.index(tag) for each in labels for tag in each])
    posterior = rng.dirichlet(np.full(c, 0.7), n)
    suggested = posterior.argmax(1)
    base = random_result(n, classes)
    d = replace(
        base, ids=parts.ids, sample=parts.sample, part=parts.name, run=replace(base.run, part_name="token"), labels=codes,
        consensus=np.log(posterior), p_wrong=1 - posterior[np.arange(n), codes], suggested=suggested,
        p_suggested=posterior[np.arange(n), suggested],
    )  # fmt: skip
    return d, posterior


def weights_of_sequences(posterior: np.ndarray, classes: tuple, scheme: str):
    """Each sequence of tags with its probability in the chain."""
    weights = {}
    for codes in product(range(len(classes)), repeat=len(posterior)):
        tags = [classes[code] for code in codes]
        steps = [1.0 if is_valid_step(a, b, scheme) else _FORBIDDEN for a, b in pairwise(["O", *tags, "O"])]
        weights[tuple(tags)] = float(np.prod(steps) * np.prod(posterior[np.arange(len(codes)), list(codes)]))
    total = sum(weights.values())
    return {tags: weight / total for tags, weight in weights.items()}


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", ["B-P", "I-P", "O", "B-L", "B-L"]),
        ("BIO", ["O", "I-P", "I-P", "O", "B-P"]),
        ("BIOES", ["S-P", "B-P", "I-P", "E-P", "O"]),
        ("IO", ["I-P", "I-P", "I-L", "O", "I-P"]),
    ],
)
def test_a_span_is_a_marginal_of_the_chain(scheme, tags) -> None:
    classes = CLASSES[scheme]
    # A second sentence makes sure of the scheme.
    d, posterior = token_result(scheme, [tags, [*{tag for tag in classes if tag != "O"}, *["B-L"] * 6 * (scheme == "BIO")]],
                                np.random.default_rng(1))  # fmt: skip
    sequences = weights_of_sequences(posterior[: len(tags)], classes, scheme)
    table = d.spans()
    rows = table[(table["sample"] == 0) & (table["label"] != "")].sort_values("start")
    labelled = find_spans(tags)
    assert list(zip(rows["start"], rows["end"], rows["label"], strict=True)) == [tuple(span) for span in labelled]
    for span, p_wrong in zip(labelled, rows["p_wrong"], strict=True):
        right = sum(
            weight
            for each, weight in sequences.items()
            if list(each[span.start : span.end]) == tags[span.start : span.end] and span in find_spans(each)
        )
        assert 1 - p_wrong == pytest.approx(right, abs=1e-9)


def test_spans_of_a_selection_are_those_of_whole_sentences_in_their_order() -> None:
    d, _ = token_result("BIO", [["O", "B-P", "I-P"], ["B-L", "I-L", "O"]], np.random.default_rng(2))
    whole = d.spans().query("sample == 0").reset_index(drop=True)
    assert d.select(["0/2", "0/0", "0/1"]).spans().equals(whole)


def test_spans_that_may_reach_into_a_gap_of_a_selection_are_left_out() -> None:
    tags = ["B-P", "O", "B-L", "I-L", "O", "B-P", "I-P"]
    d, posterior = token_result("BIO", [tags, ["O", "B-P", "I-P"]], np.random.default_rng(3))
    table = d.select(["0/0", "0/2", "0/3", "0/4", "0/6", "1/1", "1/2"]).spans().query("label != ''")
    # B-P ends before a gap, and so may the I-P that stands behind one.
    assert table.sort_values(["sample", "start"])[["sample", "start", "end", "label"]].to_numpy().tolist() == [
        [0, 2, 4, "L"],
        [1, 1, 3, "P"],
    ]
    classes = CLASSES["BIO"]
    right = total = 0.0
    for codes in product(range(len(classes)), repeat=3):
        each = [classes[code] for code in codes]
        steps = [1.0 if is_valid_step(a, b, "BIO") else _FORBIDDEN for a, b in pairwise(each)]
        weight = float(np.prod(steps) * np.prod(posterior[[2, 3, 4], list(codes)]))
        total += weight
        right += weight * (each[:2] == ["B-L", "I-L"] and each[2] != "I-L")
    p_wrong = table.loc[table["sample"] == 0, "p_wrong"].item()
    assert 1 - p_wrong == pytest.approx(right / total, abs=1e-9)


def test_a_missed_span_is_suggested_with_its_probability() -> None:
    d, _ = token_result("BIO", [["O", "O", "O", "O"], ["B-L", "I-L", "B-P", "I-P"]], np.random.default_rng(3))
    sharp = np.full((8, 5), 0.01)
    codes = [4, 1, 3, 4, 0, 2, 1, 3]
    sharp[np.arange(8), codes] = 0.96
    labels = d.labels
    d = replace(d, consensus=np.log(sharp), p_wrong=1 - sharp[np.arange(8), labels], suggested=np.array(codes),
                p_suggested=np.full(8, 0.96))  # fmt: skip
    first = d.spans().iloc[0]
    assert (first["sample"], first["start"], first["end"], first["label"], first["suggested"]) == (0, 1, 3, "", "P")
    assert first["p_wrong"] > 0.9
    assert (d.spans()["label"] == "").sum() == 1


def test_what_has_no_spans_is_refused() -> None:
    with pytest.raises(hs.InputError, match="not tokens"):
        random_result(5).spans()
    d, _ = token_result("BIO", [["O", "O"], ["O", "O"]], np.random.default_rng(0))
    with pytest.raises(hs.InputError, match="spell no spans"):
        d.spans()
    with pytest.raises(hs.InputError, match="need P"):
        replace(d, p_wrong=None).spans()
    assert spans_module.__doc__
