"""Text tables: how lines are split into cells, and what the notices say."""

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.errors import rejects

from hardsight import Samples, read
from hardsight.data.formats import delimited
from hardsight.data.formats.delimited import read_cells
from hardsight.data.read_options import ReadOptions


def cells(place, content, **options):
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_cells(place, ReadOptions(**options))
    return table.names, [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)], table


def rows(place, content, **options):
    return cells(place, content, **options)[1]


# Quotation marks


@pytest.mark.parametrize(
    ("name", "content", "expected", "message"),
    [
        ("a.csv", 'a,b\n1,"x, y"\n2,"say ""no"""\n', [["1", "x, y"], ["2", 'say "no"']], None),
        ("a.csv", 'a,b\n1,"x\ny"\n2,z\n', [["1", "x\ny"], ["2", "z"]], None),
        ("a.tsv", 'a\tb\n1\t"x\ny"\n2\tz\n', [["1", "x\ny"], ["2", "z"]], None),
        ("a.csv", 'a,b\n1,"x\n2,y\n3,"z\n', [["1", '"x'], ["2", "y"], ["3", '"z']], "part of the text"),
        ("a.tsv", 'a\tb\n1\t"x\n2\ty\n3\t"z\n', [["1", '"x'], ["2", "y"], ["3", '"z']], "part of the text"),
        ("a.tsv", 'a\tb\n1\t"x" y\n2\tz\n', [["1", '"x" y'], ["2", "z"]], "part of the text"),
        # Both readings are regular: the line end belongs to a cell in a csv, and to no cell in a tsv.
        ("a.csv", 'a\n"x\ny"\nz\n', [["x\ny"], ["z"]], "enclosing cells"),
        ("a.tsv", 'a\tb\n1\t"x\n2\ty"\n', [["1", '"x'], ["2", 'y"']], "part of the text"),
        # A mark inside a cell is a letter.
        ("a.csv", 'size,b\n5" pipe,"x, y"\n6" pipe,z\n', [['5" pipe', "x, y"], ['6" pipe', "z"]], None),
        ("a.csv", '"a", "b"\n"1", "x, y"\n"2", "z"\n', [["1", "x, y"], ["2", "z"]], None),
    ],
)
def test_quotation_marks(tmp_path, name, content, expected, message):
    _, rows, table = cells(tmp_path / name, content)
    assert rows == expected
    quotes = [notice for notice in table.notices if "uotation" in notice]
    assert (message in quotes[0]) if message else not quotes


def test_rows_are_never_merged_by_a_mark(tmp_path):
    # One row too long whatever marks mean, and marks that do not pair.
    rejects(
        "quotation marks cannot be read .line 3: .* enclose the whole cell",
        rows,
        tmp_path / "a.csv",
        'a,b\n1,2\n1,"x\n2,y,"z"z\n',
    )


# Rows


def test_short_rows_are_filled_and_named(tmp_path):
    _, rows, table = cells(tmp_path / "a.csv", "a,b,c\n1,2,3\n4,5\n\n  \n6\n7,8,9,,\n")
    assert rows == [["1", "2", "3"], ["4", "5", ""], ["6", "", ""], ["7", "8", "9"]]
    assert table.notices == ["Rows with fewer cells than the header were filled with missing values (lines 3, 6)."]


def test_all_long_rows_are_listed(tmp_path):
    rejects("header, which has 2 .lines 2, 4.", rows, tmp_path / "a.csv", "a,b\n1,2,3\n1,2\n1,2,3,4\n")


def test_both_ways_of_splitting_agree(tmp_path, monkeypatch):
    content = 'a,b,c\r\n1,"x ""y"", z",\n\n2,ä,"u\nv"\r3,,\n"",4,5'
    fast = rows(tmp_path / "a.csv", content)
    monkeypatch.setattr(delimited, "_read_fast", lambda *arguments: None)
    assert rows(tmp_path / "a.csv", content) == fast
    assert fast == [["1", 'x "y", z', ""], ["2", "ä", "u\nv"], ["3", "", ""], ["", "4", "5"]]


def test_rows_longer_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 64)
    assert rows(tmp_path / "a.csv", f"a,b\n{'x' * 500},1\ny,2\n") == [["x" * 500, "1"], ["y", "2"]]


def test_row_names_of_r_are_no_feature(tmp_path):
    content = "x,y\n" + "".join(f"r{at},{at % 3},{'pq'[at % 2]}\n" for at in range(30))
    place = tmp_path / "a.csv"
    place.write_text(content)
    samples = read(place, label="y")
    assert (list(samples.features), samples.ids.tolist()) == (["x"], list(range(30)))
    assert "the first cell of every row is its name" in samples.notices[0]
    assert read(place, label="y", id="row names").ids.tolist()[:2] == ["r0", "r1"]
    written = '"x" "y"\n' + "".join(f'"{at}" {at % 3} "{"pq"[at % 2]} r"\n' for at in range(30))
    (tmp_path / "a.txt").write_text(written)
    samples = read(tmp_path / "a.txt", label="y")
    assert (list(samples.features), samples.classes) == (["x"], ("p r", "q r"))
    assert "Columns are separated by blanks." in samples.notices


@pytest.mark.parametrize("header", ["a,y,", "a,y"])
def test_lines_that_end_in_a_separator(tmp_path, header):
    (tmp_path / "a.csv").write_text(header + "\n1,p,\n2,q,\n3,p,\n")
    samples = read(tmp_path / "a.csv", label="y")
    assert list(samples.features) == ["a"]
    assert not samples.notices


# Headers


def test_repeated_names_are_numbered(tmp_path):
    names, _, table = cells(tmp_path / "a.csv", "a,a,,b,a.1,a\n1,2,3,4,5,6\n")
    assert names == ["a", "a.2", "Unnamed: 2", "b", "a.1", "a.3"]
    assert table.notices == ["Columns of the same name were renamed: 'a' → 'a.2', 'a' → 'a.3'."]


@pytest.mark.parametrize(
    "content",
    [
        "5.1,3.5,setosa\n4.9,3.0,virginica\n4.7,3.2,setosa\n4.6,3.1,virginica\n",
        "x,x,positive\no,x,negative\nx,o,positive\no,o,negative\n",
        "a,b,positive\na,c,negative\nb,b,positive\na,b,negative\n",
    ],
)
def test_a_missing_header_is_noticed_and_can_be_stated(tmp_path, content):
    place = tmp_path / "a.data"
    place.write_text(content)
    rejects(
        "first row looks like data .*: if there is no header, pass header=False .--no-header", read, place, label="class"
    )
    samples = read(place, label="3", header=False)
    assert (len(samples), list(samples.features)) == (4, ["1", "2"])


def test_names_like_years_are_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("2010,2011,kind\n1,2,p\n3,4,q\n5,6,p\n")
    assert not read(tmp_path / "a.csv", label="kind").notices


# Separators


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.txt", "a b y\n1 2 p\n3 4 q\n", {}),
        ("a.data", "  a   b\ty\n 1   2   p\n 3 4 q  \n", {}),
        ("a.txt", "a;b;y\n1;2;p\n3;4;q\n", {}),
        ("a.dat", "a|b|y\n1|2|p\n3|4|q\n", {}),
        ("a.tab", "a\tb\ty\n1\t2\tp\n3\t4\tq\n", {}),
        ("a.csv", "a b y\n1 2 p\n3 4 q\n", {"separator": "whitespace"}),
        ("a.csv", "a~b~y\n1~2~p\n3~4~q\n", {"separator": "~"}),
        ("a.dat", "a::b::y\n1::2::p\n3::4::q\n", {"separator": "::"}),
        ("a.csv", "a\tb\ty\n1\t2\tp\n3\t4\tq\n", {"separator": "tab"}),
        ("a.csv", "a§b§y\n1§2§p\n3§4§q\n", {"separator": "§"}),
    ],
)
def test_separators(tmp_path, name, content, options):
    names, rows, _ = cells(tmp_path / name, content, **options)
    assert (names, rows) == (["a", "b", "y"], [["1", "2", "p"], ["3", "4", "q"]])


def test_words_that_are_no_separator(tmp_path):
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    for separator in ("", "x", '"', "\n"):
        rejects("separator must be a mark", read, tmp_path / "a.csv", label="y", separator=separator)


# Encodings


@pytest.mark.parametrize(
    ("encoding", "options", "message"),
    [
        ("utf-8", {}, False),
        ("utf-8-sig", {}, False),
        ("utf-16", {}, False),
        ("utf-32", {}, False),
        ("cp1252", {}, True),
        ("utf-16-le", {"encoding": "utf-16-le"}, False),
        ("cp1250", {"encoding": "cp1250"}, False),
        ("shift-jis", {"encoding": "shift-jis"}, False),
    ],
)
def test_encodings(tmp_path, encoding, options, message):
    word = "ソフト" if encoding == "shift-jis" else "grün"
    content = f"a,größe\n1,{word}\n2,b\n" if encoding != "shift-jis" else f"a,b\n1,{word}\n2,b\n"
    names, rows, table = cells(tmp_path / "a.csv", content.encode(encoding), **options)
    assert rows == [["1", word], ["2", "b"]]
    assert names[1] == content.split(",")[1].split("\n")[0]
    assert any("Windows-1252" in notice and "--encoding" in notice for notice in table.notices) == message


def test_damaged_text_is_refused(tmp_path):
    damaged = "a,y\n1,äöü\n2,b".encode() + b"\xff\n"
    rejects(r"not UTF-8 throughout \(1 bytes are damaged, the first in line 3\)", rows, tmp_path / "a.csv", damaged)
    rejects("not UTF-8 throughout", rows, tmp_path / "a.csv", b"a,y\n1,\xe4\n", encoding="utf-8")
    rejects("looks like UTF-16 .*encoding='utf-16-le'", rows, tmp_path / "a.csv", "a,y\n1,2\n".encode("utf-16-le"))
    rejects("neither UTF-8 nor Windows-1252: state its encoding", rows, tmp_path / "a.csv", b"a,y\n1,\x81\n")
    rejects("encoding must be a name such as utf-8", rows, tmp_path / "a.csv", "a,y\n1,2\n", encoding="zlib")


def test_different_bytes_stay_different_classes(tmp_path):
    labels = ["Ж", "Э", "Я"] * 4
    place = tmp_path / "a.csv"
    place.write_bytes(("a,y\n" + "".join(f"{at},{label}\n" for at, label in enumerate(labels))).encode("cp1251"))
    assert len(read(place, label="y").classes) == 3
    assert read(place, label="y", encoding="cp1251").classes == ("Ж", "Э", "Я")


# Compression


def test_compressed_tables_read_alike(tmp_path):
    content = "a,y\n" + "".join(f"{at},{'pq'[at % 2]}\n" for at in range(50))
    packed = {"a.csv.gz": gzip.compress, "a.csv.bz2": bz2.compress, "a.csv.xz": lzma.compress}
    for name, compress in packed.items():
        (tmp_path / name).write_bytes(compress(content.encode()))
    half = len(content) // 2
    (tmp_path / "two.csv.xz").write_bytes(lzma.compress(content[:half].encode()) + lzma.compress(content[half:].encode()))
    with pa.CompressedOutputStream(str(tmp_path / "a.csv.zst"), "zstd") as file:
        file.write(content.encode())
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/b.tsv", content.replace(",", "\t"))
        archive.writestr("__MACOSX/folder/._b.tsv", "junk")
    for name in (*packed, "two.csv.xz", "a.csv.zst", "a.zip"):
        samples = read(tmp_path / name, label="y")
        assert samples.features["a"].tolist() == list(range(50)), name
        broken = (tmp_path / name).read_bytes()
        (tmp_path / f"broken-{name}").write_bytes(broken[: len(broken) // 2])
        rejects("cannot be read", read, tmp_path / f"broken-{name}", label="y")


def test_archives_of_several_files_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "a,y\n")
        archive.writestr("b.csv", "a,y\n")
    rejects("must hold one file. Got 2 .'a.csv', 'b.csv'.*: unpack it", read, tmp_path / "a.zip", label="y")


# What is read is what pandas reads


def test_a_plain_table_equals_its_frame(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=300),
            "count": rng.integers(-5, 5, 300),
            "flag": rng.random(300) < 0.5,
            "colour": rng.choice(["red", "green, blue", 'a "b"'], 300),
            "gap": np.where(rng.random(300) < 0.2, np.nan, rng.integers(0, 3, 300)),
            "kind": rng.integers(0, 3, 300),
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    expected, samples = Samples.of(frame, "kind"), read(tmp_path / "a.csv", label="kind")
    pd.testing.assert_frame_equal(samples.features, expected.features)
    assert (samples.classes, samples.labels.tolist(), samples.notices) == (expected.classes, expected.labels.tolist(), ())


# Titles, repeated headers and blanks


@pytest.mark.parametrize(
    ("name", "above", "separator"),
    [
        ("a.csv", "Sales of 2020\n\n", ","),
        ("a.csv", "Sales of 2020,,\nprinted,2020-01-31,\n", ","),
        ("a.csv", "# of the \x0b machine\n# room 2\n", ","),
        ("a.csv", "sep=;\r\n", ";"),
        ("a.csv", '"Size, kind",,meta\n', ","),
        ("a.tsv", "Sales\n", "\t"),
    ],
)
def test_titles_above_the_header_are_skipped(tmp_path, name, above, separator):
    lines = ["a,b,kind", *(f"{number},x{number % 3},{'pq'[number % 2]}" for number in range(8))]
    place = tmp_path / name
    place.write_bytes((above + "\n".join(lines).replace(",", separator)).encode())
    samples = read(place, label="kind")
    assert samples.features["a"].tolist() == list(range(8))
    assert any(f"The header is in line {above.count(chr(10)) + 1};" in notice for notice in samples.notices)
    # Lines keep their numbers.
    place.write_text(place.read_text() + "\n" + separator.join("12345"))
    rejects(f".line {above.count(chr(10)) + 10}", read, place, label="kind")


@pytest.mark.parametrize("label", ["red", "3", "x"])
def test_rows_of_data_are_no_header(tmp_path, label):
    place = tmp_path / "a.csv"
    place.write_text("a,b,kind\n1,2,red\nu,v,red\n5,x,3\n6,y,blue\n")
    rejects(f"no column '{label}'", read, place, label=label)


def test_rows_that_repeat_the_header_are_left_out(tmp_path):
    _, rows, table = cells(tmp_path / "a.csv", "a,b\n1,x\na,b\na,y\n2,b\na,b\n")
    assert rows == [["1", "x"], ["a", "y"], ["2", "b"]]
    assert table.notices == ["Rows that repeat the header were left out (rows 1, 4)."]


def test_names_are_without_blanks_around_them(tmp_path):
    place = tmp_path / "a.csv"
    place.write_text("a , b, kind \n1, 2, p\n3, 4, q\n")
    assert list(read(place, label="kind").features) == ["a", "b"]


def test_unquoted_decimal_commas_are_no_row_names(tmp_path):
    content = "a,b,kind\n" + "".join(f"{number % 2},{number},7,p\n" for number in range(9))
    rejects("rows with more cells than the header", rows, tmp_path / "a.csv", content)


def test_missing_cells_between_blanks_are_refused(tmp_path):
    rejects("blanks between cells do not tell which", rows, tmp_path / "a.txt", "a  b  kind\n1  2  p\n3     q\n5  6  p\n")


def test_one_column_asks_for_the_separator(tmp_path):
    place = tmp_path / "a.csv"
    place.write_text("a^kind\n1^p\n2^q\n")
    rejects("No separator was found: state it .separator, --separator", read, place, label="kind")
    assert read(place, label="kind", separator="^").classes == ("p", "q")
