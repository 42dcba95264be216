"""CoNLL files: what is read of each dialect, and that nothing but tags changes when a file is written again."""

import zipfile

import numpy as np
import pytest

import hardsight as hs
from hardsight.data.tokens.conll import is_conll, read_conll
from hardsight.io.compression import decompress

CONLL_2003 = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n# SYM O O\n\n# a comment\nPeter NNP B-NP B-PER\n"
    "Blackburn NNP I-NP I-PER\n"
)
CONLL_U = (
    "# sent_id = one\n# text = I don't\n1\tI\tI\tPRON\tPRP\t_\t3\tnsubj\t_\t_\n2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "2\tdo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_\r\n3\tn't\tnot\tPART\tRB\t_\t0\troot\t_\t_\n3.1\tgo\tgo\tVERB\t_\t_\t_\t_\t_\t_\n\n"
    "# sent_id = two\n1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_\n"
)
BLANKS = "a   X  O\nb\u00e9  X    B-T\n \t\nc X O"


def read(tmp_path, content, name="train.conll", **options):
    path = tmp_path / name
    path.write_bytes(content.encode(options.get("encoding", "utf-8")))
    return read_conll(path, **options)


def test_dialects_are_read(tmp_path) -> None:
    tokens = read(tmp_path, CONLL_2003).to_tokens()
    assert tokens.words.tolist() == ["EU", "rejects", "#", "Peter", "Blackburn"]
    assert tokens.tags.tolist() == ["B-ORG", "O", "O", "B-PER", "I-PER"]
    assert tokens.sentence.tolist() == [0, 0, 0, 1, 1]
    tags = read(tmp_path, CONLL_2003, tag_column="2").to_tokens().tags.tolist()
    assert (
        tags == read(tmp_path, CONLL_2003, tag_column="-3").to_tokens().tags.tolist() == ["NNP", "VBZ", "SYM", "NNP", "NNP"]
    )
    universal = read(tmp_path, CONLL_U).to_tokens()
    assert universal.words.tolist() == ["I", "do", "n't", "#"]
    assert universal.tags.tolist() == ["PRON", "AUX", "PART", "SYM"]
    assert universal.sentence.tolist() == ["one", "one", "one", "two"]
    assert read(tmp_path, CONLL_U, tag_column="xpos").to_tokens().tags.tolist() == ["PRP", "VBP", "RB", "NN"]
    assert read(tmp_path, BLANKS).to_tokens().tags.tolist() == ["O", "B-T", "O"]
    assert read(tmp_path, "1 EU O\n2 is O\n\n1 Hi O\n").to_tokens().words.tolist() == ["EU", "is", "Hi"]
    assert read(tmp_path, BLANKS, encoding="cp1252").to_tokens().words[1] == "b\u00e9"


@pytest.mark.parametrize("content", [CONLL_2003, CONLL_U, BLANKS, "\ufeff" + CONLL_2003.replace("\n", "\r\n")])
def test_only_changed_tags_change(tmp_path, content) -> None:
    file = read(tmp_path, content)
    tokens, target = file.to_tokens(), tmp_path / "new.conll"
    keep = np.ones(len(tokens), dtype=bool)
    assert not file.write(target, tokens.tags, keep).any()
    assert target.read_bytes() == content.encode()
    changed = tokens.tags.copy()
    changed[1] = "B-NEWTAG"
    file.write(target, changed, keep)
    again = read_conll(target).to_tokens()
    assert again.tags.tolist() == changed.tolist()
    assert again.words.tolist() == tokens.words.tolist()
    lines = zip(content.encode().splitlines(True), target.read_bytes().splitlines(True), strict=True)
    assert sum(before != after for before, after in lines) == 1


def test_a_dropped_token_takes_its_sentence_with_it(tmp_path) -> None:
    file = read(tmp_path, CONLL_U)
    keep = np.ones(4, dtype=bool)
    keep[1] = False
    assert file.write(tmp_path / "new.conll", file.to_tokens().tags, keep).tolist() == [True, True, True, False]
    assert (tmp_path / "new.conll").read_text() == "# sent_id = two\n1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_\n"


def test_a_sentence_goes_with_its_first_range_and_what_begins_documents_stays(tmp_path) -> None:
    first = "# sent_id = one\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\t_\t_\t0\troot\t_\t_\n"
    second = "1\tle\tle\tDET\t_\t_\t0\troot\t_\t_\n\n"
    file = read(tmp_path, f"{second}{first}\n{second}")
    file.write(tmp_path / "new.conll", file.to_tokens().tags, np.array([True, False, True]))
    assert (tmp_path / "new.conll").read_text() == second * 2
    file = read(tmp_path, "a O\nb O\n-DOCSTART- O\n\nc O\n")
    file.write(tmp_path / "new.conll", file.to_tokens().tags, np.array([False, True, True]))
    assert (tmp_path / "new.conll").read_text() == "-DOCSTART- O\n\nc O\n"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a O\nb\n", {}, "line 2 of .* has 1 columns, and 2 are needed"),
        ("a O\nb O\n", {"tag_column": "7"}, "tag_column must be from 1 to 2"),
        ("a O\nb O\n", {"tag_column": "upos"}, "tag_column must be a number from 1"),
        ("a O\nb O\n", {"tag_column": "1"}, "tag_column 1 is the column of words"),
        ("a O\nb O\n", {"tag_column": "-2"}, "tag_column -2 is the column of words"),
        ("\n\n", {}, "has no line with a word and a tag"),
    ],
)
def test_faults_are_named_in_one_line(tmp_path, content, options, message) -> None:
    with pytest.raises(hs.InputError, match=message) as caught:
        read(tmp_path, content, **options).to_tokens()
    assert "\n" not in str(caught.value)


def test_other_faults_of_files(tmp_path) -> None:
    path = tmp_path / "train.conll"
    path.write_bytes(b"a\xe9 O\nb B-X\n")
    with pytest.raises(hs.InputError, match="cannot be read as utf-8: name its encoding"):
        hs.read(path)
    path.write_text("a O\n\nb B-X\n")
    with pytest.raises(hs.InputError, match="columns have no names: leave out id, label"):
        hs.read(path, label="x", id="y")
    with pytest.raises(hs.InputError, match="leave out label_separator, labels,"):
        hs.read(path, labels=("x", "y"), label_separator=";")
    file = read_conll(path)
    with pytest.raises(hs.InputError, match="a tag must not have blanks"):
        file.write(tmp_path / "new.conll", np.array(["a b", "O"], dtype=object), np.ones(2, bool))
    # Any text file is read as CoNLL if its column of tags is named.
    path.rename(tmp_path / "train.txt")
    samples = hs.read(tmp_path / "train.txt", tag_column=2)
    assert samples.classes == ("B-X", "O")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("# a comment\nAnna NN B-PER\nmet VB O\n\n# b comment\nLima NN B-LOC\n", ["Anna", "met", "Lima"]),
        ("-DOCSTART- X O\n\n# a comment\nAnna\tNN\tB-PER\nmet\tVB\tO\n# c d\nLima\tNN\tO\n", ["Anna", "met", "Lima"]),
        ("# comment\nAnna B-PER\nmet O\n", ["Anna", "met"]),
        # Words that begin with a hash, and the word that is one.
        ("# # O\n5 CD O\nmet VB B-X\n", ["#", "5", "met"]),
        ("# #\n5 CD\nmet VB\n", ["#", "5", "met"]),
        ("met O\n#now HT\n# O\n", ["met", "#now", "#"]),
    ],
)
def test_comments_may_have_as_many_cells_as_tokens(tmp_path, content, words) -> None:
    file = read(tmp_path, content)
    assert [token.word for sentence in file.tokens for token in sentence] == words


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_are_read_and_written(tmp_path, suffix) -> None:
    file = read(tmp_path, CONLL_2003)
    path = tmp_path / f"train.conll{suffix}"
    tokens = file.to_tokens()
    file.write(path, tokens.tags, np.ones(len(tokens), dtype=bool))
    assert b"".join(decompress(path)) == CONLL_2003.encode()
    assert path.read_bytes() != CONLL_2003.encode()
    assert is_conll(path, None)
    assert hs.read(path).parts.text.tolist() == tokens.words.tolist()


def test_a_zip_is_read_and_not_written(tmp_path) -> None:
    path = tmp_path / "train.conll.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.conll", CONLL_2003)
    file = read_conll(path)
    assert is_conll(path, None)
    tokens = file.to_tokens()
    with pytest.raises(hs.InputError, match=r"a .zip is read, but not written: choose a name that ends in .gz"):
        file.write(tmp_path / "new.zip", tokens.tags, np.ones(len(tokens), dtype=bool))
    assert not (tmp_path / "new.zip").exists()
