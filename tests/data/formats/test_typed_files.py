"""Files with types of their own: JSON, Arrow, workbooks, folders of parts and sparse matrices."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from support.errors import rejects
from support.workbooks import write_workbook

from hardsight import Samples, read
from hardsight.io.limits import MAX_GIB

FRAME = pd.DataFrame(
    {
        "size": np.arange(12) % 5 + 0.5,
        "code": ["01", "1", "NA"] * 4,
        "count": [1, 2, 3, 4] * 3,
        "gap": [1.5, np.nan, 2.0, 7.25] * 3,
        "kind": ["p", "q", "q"] * 4,
    }
)


def check_equal(samples, label="kind", frame=FRAME):
    expected = Samples.of(frame, label)
    pd.testing.assert_frame_equal(samples.features, expected.features)
    assert (samples.classes, samples.labels.tolist()) == (expected.classes, expected.labels.tolist())


def write_frame(place):
    suffix = place.name.partition(".")[2]
    if suffix in ("jsonl", "ndjson", "jsonl.gz", "jsonl.zip"):
        FRAME.to_json(place, orient="records", lines=True)
    elif suffix == "feather":
        FRAME.to_feather(place)
    elif suffix == "arrows":
        table = pa.Table.from_pandas(FRAME)
        with pa.OSFile(str(place), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    else:
        FRAME.to_parquet(place)


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.jsonl.zip", "a.feather", "a.arrows", "a.pq"])
def test_files_equal_their_frame(tmp_path, name):
    write_frame(tmp_path / name)
    check_equal(read(tmp_path / name, label="kind"))
    assert read(tmp_path / name, label="code").classes == ("01", "1", "NA")


@pytest.mark.parametrize("orient", ["records", "columns", "split", "list", "lines"])
def test_documents_of_json(tmp_path, orient):
    if orient == "list":
        (tmp_path / "a.json").write_text(json.dumps(FRAME.astype(object).where(FRAME.notna(), None).to_dict("list")))
    else:
        options = {"orient": "records", "lines": True} if orient == "lines" else {"orient": orient}
        FRAME.to_json(tmp_path / "a.json", **options)
    check_equal(read(tmp_path / "a.json", label="kind"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"is not JSON \(line 2: "),
        ("a.jsonl", "[1, 2]\n", r"one object per sample. Got '\[1, 2\]' as number 1"),
        ("a.jsonl", "\n", "holds no rows"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", '{"a": 1}', "must hold a list of objects"),
        ("a.json", '{"a": [1, 2], "y": [1]}', "cannot be read as a table"),
        ("a.json", "5", "must hold a list of objects"),
        ("a.feather", "FEA1 old", "is in version 1 of feather"),
        ("a.feather", "ARROW1 no", "is not a readable Arrow file"),
        ("a.xlsx", "no", "(is not a readable workbook|needs a package: pip install 'hardsight)"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    rejects(message, read, tmp_path / name, label="y")


def test_arrow_files_that_unfold_to_much_are_refused(tmp_path, monkeypatch):
    table = pa.table({"a": np.zeros(3_000_000), "y": np.zeros(3_000_000)})
    feather.write_feather(table, str(tmp_path / "a.feather"), compression="zstd")
    monkeypatch.setenv(MAX_GIB, "0.01")
    rejects("would decompress to .* more than the 0.01 GiB", read, tmp_path / "a.feather", label="y")


# Workbooks


def test_workbooks(tmp_path):
    place = tmp_path / "a.xlsx"
    rows = [["size", "code", "kind"], *([at + 0.5, f"00{at % 3}", "pq"[at % 2]] for at in range(12)), ["", "", ""]]
    write_workbook(place, {"first": rows, "second": [["a", "y"], *([at % 4, "NA" if at % 2 else "x"] for at in range(8))]})
    samples = read(place, label="code")
    assert (samples.classes, samples.features["size"].tolist()) == (("000", "001", "002"), [at + 0.5 for at in range(12)])
    assert "Only the first sheet, 'first', is read; the others are 'second' (sheet, --sheet)." in samples.notices
    second = read(place, label="y", sheet="second")
    assert (second.classes, second.features["a"].tolist()) == (("NA", "x"), [0, 1, 2, 3] * 2)
    rejects("has no sheet 'Second' .did you mean 'second'.*: its sheets are", read, place, label="y", sheet="Second")
    write_workbook(place, {"bare": rows[1:-1]})
    assert list(read(place, label="3", header=False).features)[:1] == ["1"]


def test_titles_of_a_workbook_are_skipped(tmp_path):
    rows = [
        ["Sales", "", ""],
        ["", "", ""],
        ["size", "code", "kind"],
        *([at, f"0{at % 3}", "pq"[at % 2]] for at in range(9)),
    ]
    write_workbook(tmp_path / "a.xlsx", {"first": rows})
    samples = read(tmp_path / "a.xlsx", label="kind")
    assert samples.features["size"].tolist() == list(range(9))
    assert samples.features["code"].tolist() == ["00", "01", "02"] * 3
    assert "The header is in row 3 of the sheet; everything above it was skipped." in samples.notices


def test_a_workbook_needs_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    write_workbook(tmp_path / "a.xlsx", {"s": [["a"]]})
    rejects("needs a package: pip install 'hardsight.excel.'", read, tmp_path / "a.xlsx", label="a")


# Folders of parts


def test_parts_of_one_table(tmp_path):
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    pq.write_to_dataset(table, tmp_path / "hive", partition_cols=["code"])
    (tmp_path / "hive" / "_SUCCESS").touch()
    samples = read(tmp_path / "hive", label="code")
    assert (samples.classes, len(samples)) == (("01", "1", "NA"), 12)
    assert "3 files are read as parts of one table." in samples.notices
    rejects("no column 'Kind' .* .did you mean 'kind'", read, tmp_path / "hive", label="Kind")
    (tmp_path / "text").mkdir()
    for at in range(3):
        FRAME.iloc[4 * at : 4 * at + 4].to_csv(tmp_path / "text" / f"part-{at:05}.csv", index=False)
    samples = read(tmp_path / "text", label="code")
    # The first file alone would make its codes numbers.
    assert (samples.classes, samples.ids.tolist()) == (("01", "1", "NA"), list(range(12)))
    check_equal(read(tmp_path / "text", label="kind", drop="code"), frame=FRAME.drop(columns="code"))
    (tmp_path / "text" / "part-00003.csv").write_text("size,other\n1,2\n")
    rejects("have different columns .*'code', 'count'", read, tmp_path / "text", label="size")


def test_parts_that_are_splits_are_chosen(tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        FRAME.to_parquet(tmp_path / f"{name}.parquet")
    rejects("holds splits .*choose one .split='train', --split train", read, tmp_path, label="kind")
    assert len(read(tmp_path, label="kind", split="train")) == 24
    rejects("has no file of the split 'val'", read, tmp_path, label="kind", split="val")


def test_tables_of_several_types_are_refused(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    FRAME.to_csv(tmp_path / "b.csv")
    rejects("tables of several types .'a.parquet', 'b.csv'.: pass one file", read, tmp_path, label="kind")


# Sparse matrices


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_sparse_matrices_with_labels_beside(tmp_path, form):
    matrix = sparse.random(30, 8, 0.4, format=form, random_state=0)
    sparse.save_npz(tmp_path / "X.npz", matrix)
    (tmp_path / "y.txt").write_text("a\nb\n" * 15)
    samples = read(tmp_path / "X.npz", label="y.txt")
    np.testing.assert_array_equal(samples.matrix, matrix.toarray().astype(np.float32))
    assert samples.classes == ("a", "b")


def test_sparse_matrices_that_are_broken(tmp_path):
    (tmp_path / "y.txt").write_text("a\nb\n")
    parts = {"format": np.array(b"csr"), "shape": [2, 3], "data": np.ones(2), "indptr": [0, 1, 2]}
    np.savez(tmp_path / "X.npz", **parts, indices=[0, 99])
    rejects("is not a readable sparse matrix", read, tmp_path / "X.npz", label="y.txt")
    np.savez(tmp_path / "X.npz", **{**parts, "format": np.array(b"dia")}, indices=[0, 1])
    rejects("in the format 'dia': save matrix.tocsr", read, tmp_path / "X.npz", label="y.txt")
    np.savez(tmp_path / "X.npz", **parts)
    rejects("is not a readable sparse matrix", read, tmp_path / "X.npz", label="y.txt")


def test_objects_in_objects_of_json_are_columns(tmp_path):
    place = tmp_path / "a.jsonl"
    records = [{"at": {"x": at, "y": {"z": "pq"[at % 2]}}, "none": {}, "kind": "uv"[at // 2 % 2]} for at in range(8)]
    place.write_text("\n".join(map(json.dumps, records)))
    samples = read(place, label="kind")
    assert samples.features["at.x"].tolist() == list(range(8))
    assert samples.features["at.y.z"].tolist() == ["p", "q"] * 4
    place.write_text('{"at": {"x": 1}, "at.x": 2, "kind": "u"}')
    rejects("has two values 'at.x' in one object", read, place, label="kind")
    deep = '{"a": ' * 900 + "1" + "}" * 900
    place.write_text(f'{{"at": {deep}, "kind": "u"}}\n{{"at": {deep}, "kind": "v"}}')
    rejects("(nested too deeply|no feature column is left)", read, place, label="kind")


def test_text_parts_may_order_their_columns_differently(tmp_path):
    (tmp_path / "1.csv").write_text("a,b,kind\n1,5,p\n2,6,q\n")
    (tmp_path / "2.csv").write_text("kind,b,a\np,7,3\nq,8,4\n")
    samples = read(tmp_path, label="kind")
    assert samples.features[["a", "b"]].to_numpy().tolist() == [[1, 5], [2, 6], [3, 7], [4, 8]]
    assert samples.labels.tolist() == [0, 1, 0, 1]


def test_columns_of_a_workbook_with_the_same_name_are_renamed_with_a_notice(tmp_path):
    rows = [["size", "kind", "size", ""], *([at, "pq"[at % 2], at % 3, at % 4] for at in range(12))]
    write_workbook(tmp_path / "a.xlsx", {"first": rows})
    samples = read(tmp_path / "a.xlsx", label="kind")
    pd.DataFrame(rows[1:], columns=rows[0]).to_csv(tmp_path / "a.csv", index=False)
    same = read(tmp_path / "a.csv", label="kind")
    assert list(samples.features) == list(same.features) == ["size", "size.1", "Unnamed: 3"]
    notice = "Columns of the same name were renamed: 'size' → 'size.1'."
    assert notice in samples.notices
    assert notice in same.notices


def test_a_document_named_as_lines_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(FRAME.astype(object).where(FRAME.notna(), None).to_dict("records")))
    check_equal(read(tmp_path / "a.jsonl", label="kind"))


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
@pytest.mark.parametrize("levels", [["code"], ["kind"], ["kind", "code"], ["size", "kind"]])
def test_levels_of_a_stored_index_can_be_named(tmp_path, suffix, levels):
    place = tmp_path / f"a.{suffix}"
    frame = FRAME.assign(code=[f"c{at}" for at in range(12)])
    if suffix == "parquet":
        frame.set_index(levels).to_parquet(place)
    else:
        feather.write_feather(pa.Table.from_pandas(frame.set_index(levels)), str(place))
    for samples in (read(place, label="kind", id="code"), Samples.of(frame.set_index(levels), "kind", ids="code")):
        assert (samples.classes, samples.ids.tolist()) == (("p", "q"), frame["code"].tolist())
        assert {"count", "gap"} <= set(samples.features)
        assert not {"kind", "code"} & set(samples.features)
