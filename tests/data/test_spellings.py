"""Values that differ only in spelling are told, and merged if asked, for labels, groups and ids."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.errors import rejects

import hardsight as hs
from hardsight import Samples
from hardsight.cli import main
from hardsight.data.spellings import normalize_spelling

SPELLINGS = [
    "ca\0t", "cat\x07",
    "Cat", "CAT", " cat", "cat ", "\tcat", "cat\u00a0", "cat\u200b", "\ufeffcat", "c\u00adat", "ｃａｔ", "cat\u3000",
]  # fmt: skip
ACCENTED = ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "CAFE\u0301"]
INNER = ["New York", "New  York", "new\u00a0york", "New\u2009York", "New\nYork"]


@pytest.mark.parametrize("spellings", [["cat", *SPELLINGS], ACCENTED, INNER], ids=["cat", "accents", "inner"])
def test_one_word_in_many_spellings_has_one_form(spellings):
    assert len({normalize_spelling(text) for text in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("m2", "m²"), ("ab", "a b"), ("a", "ä"), ("½", "1/2"), ("a-b", "ab"), ("ı", "i"), ("1", "①"), ("х", "x"), ("ß", "s")],
)
def test_words_that_differ_have_different_forms(one, other):
    assert normalize_spelling(one) != normalize_spelling(other)


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=12))
def test_a_form_is_its_own_form_and_survives_every_encoding(text):
    form = normalize_spelling(text)
    assert normalize_spelling(form) == form
    assert normalize_spelling(f" {unicodedata.normalize('NFD', text)}\u200b\u00a0") == form


X = np.arange(24.0).reshape(12, 2)


@pytest.mark.parametrize("container", [list, np.array, pd.Series, lambda y: pd.Series(y, dtype="category")])
@pytest.mark.parametrize("variant", [*SPELLINGS, *ACCENTED[1:]])
def test_spellings_are_told_and_merged(variant, container):
    usual = "cat" if variant in SPELLINGS else ACCENTED[0]
    y = [usual] * 5 + [variant] * 2 + ["dog"] * 5
    samples = Samples.of(X, container(y))
    assert set(samples.classes) == {usual, variant, "dog"}
    assert samples.notices[0].startswith("Classes of 'label' that differ only in case, blanks or the encoding of letters")
    assert "pass merge_spellings=True (--merge-spellings)" in samples.notices[0]
    merged = Samples.of(X, container(y), merge_spellings=True)
    assert merged.classes == tuple(sorted([usual, "dog"]))
    assert [merged.classes[code] for code in merged.labels] == [usual] * 7 + ["dog"] * 5
    assert "were merged into their most frequent spelling" in merged.notices[0]
    assert "(5)" in merged.notices[0]
    assert "(2)" in merged.notices[0]
    assert len(merged.notices) == len(samples.notices) == 1


def test_spellings_that_look_alike_are_written_with_escapes():
    notice = Samples.of(X, ["caf\u00e9"] * 6 + ["cafe\u0301"] * 6).notices[0]
    assert r"'caf\xe9' (6), 'cafe\u0301' (6)" in notice
    assert "'Cat' (6), 'cat ' (6)" in Samples.of(X, ["Cat"] * 6 + ["cat "] * 6).notices[0]


def test_nothing_is_told_of_values_that_differ():
    for y in (list("abcdefabcdef"), [1, 2] * 6, ["1", "01"] * 6, ["m2", "m²"] * 6):
        assert Samples.of(X, y).notices == ()


def test_classes_that_are_one_after_merging_are_refused():
    rejects("all 12 labels 'label' are 'a'", Samples.of, X, ["a", "A "] * 6, merge_spellings=True)


def test_groups_are_told_and_merged():
    frame = pd.DataFrame({"x": X[:, 0], "y": list("uv") * 6, "site": ["Bonn", "bonn ", "Rom", "Rom"] * 3})
    samples = Samples.of(frame, "y", groups="site")
    assert len(set(samples.groups)) == 3
    assert "Groups (column 'site') that differ only in case" in " ".join(samples.notices)
    assert "'Bonn' (3), 'bonn ' (3)" in " ".join(samples.notices)
    merged = Samples.of(frame, "y", groups="site", merge_spellings=True)
    assert merged.groups.tolist() == [0, 0, 1, 1] * 3
    rejects("all samples are in one group", Samples.of, X, ["u", "v"] * 6, groups=["a", "A"] * 6, merge_spellings=True)
    assert len(set(Samples.of(X, ["u", "v"] * 6, groups=[("a", 1), ("A", 1)] * 6).groups)) == 2


def test_ids_that_look_alike_are_told_but_stay():
    ids = [f"s{row}" for row in range(11)] + ["s1 "]
    samples = Samples.of(X, ["u", "v"] * 6, ids=ids, merge_spellings=True)
    assert samples.ids.tolist() == ids
    assert (
        "Ids that differ only in blanks or the encoding of letters count as different samples: 's1', 's1 '"
        in (samples.notices[0])
    )
    # Short random ids often differ in case alone.
    assert Samples.of(X, ["u", "v"] * 6, ids=[*ids[:11], "S1"]).notices == ()


def test_the_option_is_everywhere(tmp_path):
    frame = pd.DataFrame({"x": np.arange(40.0) % 7, "y": (["cat"] * 5 + ["Cat "] * 3 + ["dog"] * 2) * 4})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert hs.read(tmp_path / "t.csv", label="y", merge_spellings=True).classes == ("cat", "dog")
    d = hs.measure(frame, "y", learner="ridge", folds=2, repeats=2, merge_spellings=True)
    assert d.classes == ("cat", "dog")
    run = ["measure", str(tmp_path / "t.csv"), "--label", "y", "--learner", "ridge", "--folds", "2", "--repeats", "2"]
    result = CliRunner().invoke(main, [*run, "--merge-spellings", "--out", str(tmp_path / "out"), "--quiet"])
    assert result.exit_code == 0, result.output
    assert hs.load(tmp_path / "out" / "difficulty.parquet").classes == ("cat", "dog")
    samples = Samples.of(frame, "y")
    rejects("X is Samples.*: leave out merge_spellings, task", hs.measure, samples, merge_spellings=True, task="regression")


def test_folders_are_classes_in_one_spelling(tmp_path):
    for folder in ("cat", "Cat ", "dog"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            (tmp_path / folder / f"{number}.txt").write_text(f"{folder} text {number}")
    assert "Classes of 'class' that differ only in case" in " ".join(hs.read(tmp_path).notices)
    assert hs.read(tmp_path, merge_spellings=True).classes == ("cat", "dog")
