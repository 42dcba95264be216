"""A CoNLL file from measuring to the corrected file, by command."""

import re

import numpy as np
import pandas as pd
import pytest
from support.command_line import run

NAMES, PLACES, VERBS = ["Anna", "Boris", "Clara", "Dora"], ["Paris", "Berlin", "Lima", "Kyiv"], ["met", "left", "saw"]


def corpus(sentences: int, seed: int) -> tuple[list[str], list[int]]:
    """Lines "word tag", every sentence's first line wrong in 8 of 100."""
    rng, lines, wrong = np.random.default_rng(seed), ["# names and places"], []
    for _ in range(sentences):
        words = [(rng.choice(NAMES), "B-PER"), (rng.choice(VERBS), "O"), (rng.choice(PLACES), "B-LOC"), (".", "O")]
        if rng.random() < 0.08:
            words[0] = (words[0][0], "B-LOC")
            wrong.append(len(lines))
        lines += [f"{word} {tag}" for word, tag in words] + [""]
    return lines, wrong


@pytest.mark.slow
def test_measure_and_apply(tmp_path, monkeypatch) -> None:
    lines, wrong = corpus(150, 0)
    (tmp_path / "train.conll").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    result = run("measure", "train.conll", "--folds", 3, "--repeats", 2, "--out", "out", "--quiet")
    assert result.exit_code == 0, result.output
    # 13 are. Models that six parts of 150 sentences teach are not sure of all.
    count = re.search(r"About (\d+) of 600 tokens are probably labelled wrong, in (\d+) of 150 sentences", result.output)
    assert count is not None
    assert len(wrong) / 2 <= int(count[1]) <= len(wrong)
    assert count[1] == count[2]
    ranked = pd.read_csv(tmp_path / "out" / "difficulty.csv")
    assert set(ranked["text"].head(10)) <= set(NAMES)
    assert (ranked["label"].head(10) == "B-LOC").all()
    # Decisions about the likeliest wrong, as a review exports them.
    decisions = ranked.head(10)[["id"]].assign(action="relabel", label="B-PER")
    decisions.to_csv("out/decisions.csv", index=False)
    result = run("apply", "out", "train.conll", "-o", "new.conll")
    assert result.exit_code == 0, result.output
    new = (tmp_path / "new.conll").read_text().split("\n")
    changed = [at for at, (before, after) in enumerate(zip(lines, new, strict=True)) if before != after]
    assert set(changed) <= set(wrong)
    assert len(changed) == 10
    assert all(new[at].endswith(" B-PER") for at in changed)
    result = run("apply", "out", "new.conll", "-o", "other.conll")
    assert result.exit_code == 1
    assert "give the same file" in result.output


def test_names_of_columns_are_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "train.conll").write_text("a O\n\nb O\n")
    monkeypatch.chdir(tmp_path)
    for option in ("--label", "--labels", "--id"):
        result = run("apply", "out", "train.conll", option, "a,b", "-o", "new.conll")
        assert result.exit_code == 2
        assert "columns of a CoNLL file have no names" in result.output
