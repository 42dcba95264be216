"""Preference data, from texts, numbers and tables, in Python and on the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score
from support.command_line import error_line, run

import hardsight as hs
from hardsight.data.preferences import read_pairs

GOOD = ["clear", "correct", "kind", "precise", "useful", "polite"]
BAD = ["rude", "wrong", "lazy", "vague", "useless", "angry"]


def make_texts(n: int = 160, seed: int = 0) -> tuple[list[str], list[str], np.ndarray]:
    """Chosen and rejected texts, and which pairs are flipped."""
    rng = np.random.default_rng(seed)
    flipped = rng.permutation(n) < n // 10

    def write(words: list[str], others: list[str]) -> str:
        return " ".join([*rng.choice(words, 5), *rng.choice(others, 1)])

    pairs = [(write(GOOD, BAD), write(BAD, GOOD)) for _ in range(n)]
    chosen = [pair[int(turned)] for pair, turned in zip(pairs, flipped, strict=True)]
    rejected = [pair[1 - int(turned)] for pair, turned in zip(pairs, flipped, strict=True)]
    return chosen, rejected, flipped


CHOSEN, REJECTED, FLIPPED = make_texts()


def test_flipped_pairs_look_flipped_whatever_form_they_come_in(tmp_path) -> None:
    d = hs.measure_preferences(CHOSEN, REJECTED, repeats=2, folds=4)
    assert d.classes == ("chosen", "rejected")
    assert (d.labels == 0).all()
    assert average_precision_score(FLIPPED, d.p_wrong) > 0.9
    assert ((d.suggested == 1) == (d.p_wrong > 0.5)).all()
    np.testing.assert_allclose(d.error, d.bias + d.variance)
    np.testing.assert_allclose(d.ledger.sum(1), d.error, atol=1e-9)
    np.testing.assert_allclose(np.exp(d.consensus).sum(1), 1)
    table = pd.DataFrame({"chosen": CHOSEN, "rejected": REJECTED})
    np.testing.assert_array_equal(hs.measure_preferences(table, repeats=2, folds=4).p_wrong, d.p_wrong)
    embedding = hs.Samples.of([*CHOSEN, *REJECTED], np.arange(320.0), task="regression").matrix
    numbers = hs.measure_preferences(embedding[:160], embedding[160:], repeats=2, folds=4)
    np.testing.assert_allclose(numbers.p_wrong, d.p_wrong, atol=1e-6)
    precomputed = hs.measure_preferences(CHOSEN, REJECTED, embedding=(embedding[:160], embedding[160:]), repeats=2, folds=4)
    np.testing.assert_allclose(precomputed.p_wrong, d.p_wrong, atol=1e-6)
    d.save(tmp_path / "d.parquet")
    assert hs.load(tmp_path / "d.parquet").run == d.run
    d.report(tmp_path / "report.html")
    d.review(tmp_path / "review.html")
    assert "Rejected: " in (tmp_path / "report.html").read_text()
    rates = d.noise_rates
    assert rates["given"].tolist() == [160, 0]
    assert rates["true_share"].tolist() == pytest.approx([1 - d.p_wrong.mean(), d.p_wrong.mean()])


def test_sides_that_change_places_are_flipped() -> None:
    d = hs.measure_preferences(CHOSEN, REJECTED, repeats=2, folds=4)
    turned = hs.measure_preferences(REJECTED, CHOSEN, repeats=2, folds=4)
    # All are flipped, so the majority is taken to be right.
    np.testing.assert_allclose(turned.p_wrong, d.p_wrong, atol=0.05)


def test_conversations_are_compared_by_their_last_message_and_grouped_by_the_others() -> None:
    def talk(answer: str, question: int) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"question {question}"}, {"role": "assistant", "content": answer}]

    chosen = [talk(text, i // 2) for i, text in enumerate(CHOSEN)]
    rejected = [talk(text, i // 2) for i, text in enumerate(REJECTED)]
    pairs = read_pairs(chosen, rejected)
    assert pairs.samples.features[0] == f"Prompt: question 0\n\nChosen: {CHOSEN[0]}\n\nRejected: {REJECTED[0]}"
    plain = read_pairs(CHOSEN, REJECTED, prompts=[f"question {i // 2}" for i in range(160)])
    assert (pairs.samples.groups == plain.samples.groups).all()
    assert (plain.samples.groups[::2] == plain.samples.groups[1::2]).all()
    assert (pairs.samples.embedding == plain.samples.embedding).all()


def test_pairs_in_random_order_have_either_label_equally_often() -> None:
    samples = read_pairs(np.ones((7, 2)), np.zeros((7, 2))).samples
    assert samples.labels.sum() == 3
    assert (samples.features[:, 0] == np.where(samples.labels == 1, 1, -1)).all()
    assert samples.classes == ("second", "first")


def test_the_same_two_things_are_one_group_in_either_order() -> None:
    a, b = np.eye(6), np.eye(6)[::-1]
    groups = read_pairs(a, b).samples.groups
    assert (groups == groups[::-1]).all()
    assert len(set(groups)) == 3
    texts = read_pairs(["x y", "a", "c d"], ["a", "x y", "b"]).samples.groups
    assert texts[0] == texts[1] != texts[2]


def test_equal_sides_are_left_out_with_a_notice() -> None:
    pairs = read_pairs([*CHOSEN, "same "], [*REJECTED, "same"], ids=[f"p{i}" for i in range(161)])
    assert len(pairs.samples) == 160
    assert "1 of 161 pairs are the same on both sides and were left out" in pairs.samples.notices[0]
    assert "p160" in pairs.samples.notices[0]


FRAME = pd.DataFrame(np.arange(12.0).reshape(6, 2), columns=["u", "v"], index=list("abcdef"))


@pytest.mark.parametrize(
    ("call", "messages"),
    [
        (lambda: hs.measure_preferences(CHOSEN), ["rejected is missing"]),
        (lambda: hs.measure_preferences(pd.DataFrame({"chosen": ["a"]})), ["'rejected'"]),
        (
            lambda: hs.measure_preferences(CHOSEN, REJECTED[:9], prompts=["q"], ids=["x"]),
            ["rejected must have one value per pair: got 9 for 160", "prompts must", "ids must"],
        ),
        (
            lambda: hs.measure_preferences(["a", ""], [None, "b"]),
            ["chosen must be text, and not empty, in every pair. Got '' (row 1)", "rejected must be text"],
        ),
        (lambda: hs.measure_preferences(["a", "b"], ["a", "b"]), ["the same in every pair"]),
        (lambda: hs.measure_preferences(np.ones((3, 2)), np.ones((3, 4))), ["the same features: got (3, 2), (3, 4)"]),
        (lambda: hs.measure_preferences(np.full((3, 2), np.inf), np.ones((3, 2))), ["chosen must be finite"]),
        (lambda: hs.measure_preferences(np.eye(3), np.ones((3, 3)), embedding="tfidf"), ["leave out embedding"]),
        (lambda: hs.measure_preferences(CHOSEN, REJECTED, embedding=(np.ones((2, 2)),) * 2), ["with 160 rows each"]),
        (lambda: hs.measure_preferences(CHOSEN, REJECTED, ids=["x"] * 160), ["ids must be unique"]),
        (lambda: hs.measure_preferences(CHOSEN, REJECTED, weights=[1] * 160), ["pairs have no use for 'weights'"]),
        (
            lambda: hs.measure_preferences(FRAME, FRAME[["v", "u"]] + 1),
            ["the same columns in the same order: pass rejected[chosen.columns]"],
        ),
        (lambda: hs.measure_preferences(FRAME, FRAME[::-1] + 1), ["chosen and rejected have different indexes"]),
        (lambda: hs.measure_preferences(FRAME["u"].map(str), FRAME["v"][::-1].map(str)), ["different indexes"]),
        (lambda: hs.measure_preferences("a.csv", "b.csv"), ["texts or arrays of numbers"]),
    ],
)  # fmt: skip
def test_faults_are_named(call, messages) -> None:
    with pytest.raises(hs.InputError) as caught:
        call()
    for message in messages:
        assert message in str(caught.value)


@pytest.fixture
def files(tmp_path):
    table = pd.DataFrame({"better": CHOSEN, "worse": REJECTED, "prompt": [f"q{i // 2}" for i in range(160)]})
    table.to_csv(tmp_path / "pairs.csv", index=False)
    with (tmp_path / "pairs.jsonl").open("w") as file:
        for chosen, rejected in zip(CHOSEN, REJECTED, strict=True):
            talks = [[{"role": "assistant", "content": text}] for text in (chosen, rejected)]
            file.write(json.dumps({"chosen": talks[0], "rejected": talks[1]}) + "\n")
    return tmp_path


@pytest.mark.slow
def test_the_command_writes_the_result_of_the_function(files) -> None:
    result = run(
        "preferences",
        files / "pairs.csv",
        "--chosen",
        "better",
        "--rejected",
        "worse",
        "--repeats",
        2,
        "--out",
        files / "out",
    )
    assert result.exit_code == 0, result.output
    d = hs.load(files / "out")
    prompts = [f"q{i // 2}" for i in range(160)]
    np.testing.assert_array_equal(d.p_wrong, hs.measure_preferences(CHOSEN, REJECTED, prompts=prompts, repeats=2).p_wrong)
    assert (files / "out" / "review.html").exists()
    result = run("preferences", files / "pairs.jsonl", "--repeats", 2, "--out", files / "talks", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert hs.load(files / "talks").classes == ("chosen", "rejected")


def test_faults_of_the_command_are_one_line(files) -> None:
    command = ("preferences", files / "pairs.csv", "--out", files / "out", "--chosen", "better")
    assert "'rejected'" in error_line(*command)
    assert "cannot be both chosen and rejected" in error_line(*command, "--rejected", "better")
    assert "'no'" in error_line(*command, "--rejected", "worse", "--group", "no")
    assert "repeats" in error_line(*command, "--rejected", "worse", "--repeats", 1)
