"""Files and folders: read alike, refused by name."""

import gzip
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow.parquet import ParquetFile
from sklearn.datasets import load_breast_cancer
from support.errors import is_one_line_per_fault, rejects

from hardsight import Samples, read
from hardsight.errors import InputError

FRAME = pd.DataFrame({"größe": [1.5, 2.0, np.nan, 4.0], "farbe": ["rot", "blau", "rot", None], "art": ["x", "y", "x", "y"]})
CSV = "größe,farbe,art\n1.5,rot,x\n2.0,blau,y\n,rot,x\n4.0,,y\n"


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Tables


def test_every_table_reads_alike(tmp_path):
    paths = [
        written(tmp_path / "a.csv", CSV),
        written(tmp_path / "B.CSV", "\ufeff" + CSV),
        written(tmp_path / "ordner mit ü" / "c.csv.gz", gzip.compress(CSV.encode())),
        written(tmp_path / "d.tsv", CSV.replace(",", "\t")),
        written(tmp_path / "e.tsv.gz", gzip.compress(CSV.replace(",", "\t").encode())),
        written(tmp_path / "semicolons.csv", CSV.replace(",", ";")),
        tmp_path / "f.parquet",
    ]
    FRAME.to_parquet(paths[-1])
    expected = Samples.of(FRAME, "art")
    for path in paths:
        samples = read(path, label="art")
        np.testing.assert_array_equal(samples.matrix, expected.matrix, err_msg=path.name)
        assert (samples.classes, samples.label_name, samples.ids.tolist()) == (("x", "y"), "art", [0, 1, 2, 3])
        assert ("Columns are separated by semicolons." in samples.notices) == (path.name == "semicolons.csv")


def test_real_data_round_trips_through_files(tmp_path):
    frame = load_breast_cancer(as_frame=True).frame
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", X=frame.drop(columns="target").to_numpy(), target=frame["target"].to_numpy())
    expected = Samples.of(frame, "target")
    for name in ("a.csv", "a.parquet", "a.npz"):
        samples = read(tmp_path / name, label="target")
        np.testing.assert_array_equal(samples.matrix, expected.matrix)
        np.testing.assert_array_equal(samples.labels, expected.labels)


def test_roles_and_dropped_columns(tmp_path):
    path = written(tmp_path / "a.csv", "nr,wer,x,z,y\n007,u,1,2,a\n008,u,2,1,b\n010,v,3,5,a\n")
    samples = read(path, label="y", id="nr", group="wer", drop=["z"])
    assert samples.ids.tolist() == ["007", "008", "010"]
    assert samples.groups.tolist() == [0, 0, 1]
    assert list(samples.features) == ["x"]
    weighted = read(path, label="y", id="nr", group="wer", weights="x")
    assert list(weighted.features) == ["z"]
    assert weighted.weights.tolist() == [0.5, 1, 1.5]
    rejects("there is no column 'w' to use as weights", read, path, label="y", weights="w")
    rejects("'x' cannot be both weights and dropped", read, path, label="y", weights="x", drop=["x"])
    rejects("is a folder and has no columns: leave out id, group, weights", read, tmp_path.parent, weights="x")
    assert read(path, label="y", id="x", drop="z").ids.tolist() == [1, 2, 3]


def test_index_written_by_pandas_is_seen(tmp_path):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=40), "y": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "a.csv")
    assert list(read(tmp_path / "a.csv", label="y").features) == ["x"]
    frame.set_axis([f"k{at}" for at in range(40)]).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", label="y").ids[3] == "k3"


@pytest.mark.parametrize(
    ("content", "columns", "called"),
    [
        ("größe, cm;farbe;y\n1;a;x\n2;b;y\n4;a;x\n", ["größe, cm", "farbe"], "semicolons"),
        ("name, first;n;y\nKarl, Meier;1;x\nEva, Kunz;2;y\nA, B;4;x\n", ["name, first", "n"], "semicolons"),
        ('n, m\to\ty\n1\t"a, b"\tx\n2\t"c\nd"\ty\n4\t"a, b"\tx\n', ["n, m", "o"], "tabs"),
        ("n|o|y\n1|a|x\n2|b|y\n4|a|x\n", ["n", "o"], "bars"),
        ('n,"o;p;q",y\n1,"a;b;c",x\n2,"c;d;e",y\n4,"a;b;c",x\n', ["n", "o;p;q"], None),
        ('"n","o;p;q;r",y\n"1","a;b;c;r",x\n"2","c;d;e;r",y\n"4","a;b;c;r",x\n', ["n", "o;p;q;r"], None),
        ("n;m,y\n1;1,x\n2;2,y\n1;1,x\n", ["n;m"], None),
        ("n,o;p,y\n1,a,x\n2,x;z,y\n4,a;b,x\n", ["n", "o;p"], None),
    ],
)
def test_columns_are_split_by_what_splits_all_rows_alike(tmp_path, content, columns, called):
    path = written(tmp_path / "a.csv", "\ufeff" + content)
    samples = read(path, label="y")
    assert (list(samples.features), samples.labels.tolist()) == (columns, [0, 1, 0])
    assert [notice for notice in samples.notices if "separated" in notice] == (
        [] if called is None else [f"Columns are separated by {called}."]
    )


@pytest.mark.parametrize("name", [b"a.parquet", b"\xff\xe4.parquet"])
def test_parquet_is_read_by_arrow_alone_from_any_path(tmp_path, monkeypatch, name):
    # Its threads end the process if they still hold bytes of Python's when that ends.
    opened = []
    monkeypatch.setattr(
        "hardsight.io.parquet.pq.ParquetFile", lambda file, **options: opened.append(file) or ParquetFile(file, **options)
    )
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(FRAME.to_parquet())
    assert read(path, label="art").label_name == "art"
    assert [type(file) for file in opened] == [pa.OSFile]


@pytest.mark.parametrize(
    ("content", "keywords", "message"),
    [
        ("", {"label": "y"}, "is empty: pass a file with data"),
        ("\n\n", {"label": "y"}, "is empty: pass a file with data"),
        ("x,y\n", {"label": "y"}, "has a header but no rows"),
        ("x,y\n1,a\n", {"label": "y"}, "at least 2 samples are needed. Got 1"),
        (CSV, {}, "the label is missing: name its column .label, --label.. The columns are 'größe', 'farbe', 'art'"),
        (CSV, {"label": "z"}, "no column 'z' to use as label: the columns are 'größe', 'farbe', 'art'"),
        (CSV, {"label": "art", "id": "z"}, "no column 'z' to use as ids"),
        (CSV, {"label": "art", "group": "z"}, "no column 'z' to use as groups"),
        (CSV, {"label": "art", "drop": ["z"]}, "there is no column 'z' to drop: the columns are"),
        (CSV, {"label": "art", "drop": ["art"]}, "'art' cannot be both label and dropped"),
        (CSV, {"label": "art", "id": "farbe", "drop": ["farbe"]}, "'farbe' cannot be both id and dropped"),
        (CSV, {"label": "art", "id": "art"}, "column 'art' cannot be both label and ids"),
        (CSV, {"label": "art", "drop": ["größe", "farbe"]}, "there is no feature column"),
        (CSV, {"label": "farbe", "unlabelled": "refuse"}, r"label 'farbe' is missing in 1 of 4 samples \(row 3\)"),
        (CSV, {"label": "art", "id": "farbe"}, r"ids \(column 'farbe'\) are missing in 1 of 4 samples \(row 3\)"),
        (CSV, {"label": "art", "group": "farbe"}, r"groups \(column 'farbe'\) are missing in 1 of 4 samples \(row 3\)"),
        ("x,y\n1,a\n2,a\n", {"label": "y"}, "all 2 labels 'y' are 'a'"),
        (
            "x,y\n1,a\n2,b,3\n",
            {"label": "y"},
            "more cells than the header, which has 2 .line 3.: fix the header or the rows",
        ),
        ("x,y\n1,a,3,4\n2,b,3,5\n", {"label": "y"}, "more cells than the header, which has 2 .lines 2, 3."),
        ('x,y,z\n1,"a\n2,b,"c"d\n', {"label": "y"}, "quotation marks cannot be read .line 2: .*: enclose the whole cell"),
        (b"\x89PNG\r\n\x1a\n\x00\x00" * 9, {"label": "y"}, "is not a text file"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, content, keywords, message):
    rejects(message, read, written(tmp_path / "ä.csv", content), **keywords)


def test_archives_that_are_broken(tmp_path):
    whole = gzip.compress(CSV.encode() * 99)
    rejects(
        "a.csv.gz cannot be read .Compressed file ended",
        read,
        written(tmp_path / "a.csv.gz", whole[: len(whole) // 2]),
        label="art",
    )
    rejects(
        "b.csv.gz holds text, though its name ends in .gz: rename it to b.csv",
        read,
        written(tmp_path / "b.csv.gz", CSV),
        label="art",
    )
    rejects("is not a readable parquet file", read, written(tmp_path / "a.parquet", "PAR1 no PAR1"), label="y")
    FRAME.to_parquet(tmp_path / "b.parquet")
    part = (tmp_path / "b.parquet").read_bytes()[:-300]
    rejects("is not a readable parquet file", read, written(tmp_path / "c.parquet", part), label="art")
    np.savez(tmp_path / "b.npz", X=np.zeros((99, 9)), y=np.zeros(99))
    part = (tmp_path / "b.npz").read_bytes()
    rejects("is not a readable .npz archive", read, written(tmp_path / "c.npz", part[:900]))
    rejects("is not a readable .npz archive", read, written(tmp_path / "d.npz", "hello"))
    flipped = bytearray(part)
    flipped[300] ^= 255
    rejects("is not a readable .npz archive", read, written(tmp_path / "e.npz", bytes(flipped)))


def test_paths_that_cannot_be_read(tmp_path):
    rejects("no file or folder at .*nowhere.csv: check the path", read, tmp_path / "nowhere.csv", label="y")
    rejects("cannot be read .*File name too long", read, tmp_path / ("x" * 300 + ".csv"), label="y")
    rejects("cannot be read .*null (byte|character)", read, tmp_path / "x\0.csv", label="y")
    rejects(
        "unknown type: pass .csv, .*.npz, .npy, .*text also compressed .*DataFrame", read, written(tmp_path / "a.x", "x")
    )
    rejects("can run code: read it in Python", read, written(tmp_path / "a.pkl", "x"))


# Arrays


def test_npz(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(6, 3)), np.array(["ü", "b"] * 3)
    np.savez(tmp_path / "a.npz", X=X, y=y, key=np.arange(6)[::-1], part=[0, 0, 1, 1, 2, 2], other=X, w=[1, 1, 1, 3, 3, 3])
    samples = read(tmp_path / "a.npz", id="key", group="part", weights="w")
    assert samples.weights.tolist() == [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]
    rejects("has no array 'z' to use as weights", read, tmp_path / "a.npz", weights="z")
    np.testing.assert_array_equal(samples.matrix, X.astype(np.float32))
    assert (samples.classes, samples.label_name) == (("b", "ü"), "y")
    assert samples.ids.tolist() == [5, 4, 3, 2, 1, 0]
    assert samples.groups.tolist() == [0, 0, 1, 1, 2, 2]
    np.savez(tmp_path / "b.npz", images=np.zeros((4, 2, 2), np.uint8), kind=[0, 1, 0, 1], spare=1)
    assert read(tmp_path / "b.npz", label="kind", drop=["spare"]).kind == "image"
    rejects("has no array 'z' to use as label: its arrays are 'X', 'y', 'key'", read, tmp_path / "a.npz", label="z")
    rejects("has no array 'z' to use as id", read, tmp_path / "a.npz", id="z")
    rejects("has no array 'z' to drop", read, tmp_path / "a.npz", drop=["z"])
    rejects(
        "features in one array, X. Got 'images', 'spare' beside the label 'kind'", read, tmp_path / "b.npz", label="kind"
    )
    rejects("names a column", read, tmp_path / "a.npz", text="X")
    np.savez(tmp_path / "c.npz", X=X, y=y[:4])
    rejects("6 samples, 4 labels", read, tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", X=X, y=y.astype(object))
    rejects("array 'y' holds pickled objects, which can run code", read, tmp_path / "d.npz")


def test_npy_with_labels_beside(tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(4, 3))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", np.array([1, 0, 1, 0]))
    written(tmp_path / "labels.csv", 'label\nhund\n"ka,tze"\nhund\n"ka,tze"\n')
    written(tmp_path / "numbers.txt", "1.5\n2\n3\n4\n")
    written(tmp_path / "ids.txt", "01\n02\n03\n04\n")
    assert read(tmp_path / "X.npy", label=str(tmp_path / "y.npy")).classes == (0, 1)
    assert read(tmp_path / "X.npy", label="labels.csv").classes == ("hund", "ka,tze")
    samples = read(tmp_path / "X.npy", label="numbers.txt", id="ids.txt", group="y.npy")
    assert samples.regression
    assert (samples.label_name, samples.ids.tolist()) == ("numbers", ["01", "02", "03", "04"])
    assert read(tmp_path / "X.npy", label="y.npy", weights="numbers.txt").weights.sum() == pytest.approx(4)
    rejects("has no labels: pass the path", read, tmp_path / "X.npy")
    rejects("no file at z.npy for label", read, tmp_path / "X.npy", label="z.npy")
    rejects("unknown type for label", read, tmp_path / "X.npy", label=str(written(tmp_path / "y.json", "[1]")))
    rejects(
        "one value per row for label. Got several .rows 0, 1",
        read,
        tmp_path / "X.npy",
        label=str(written(tmp_path / "z.csv", "1,2\n3,4")),
    )
    rejects("4 samples, 2 labels", read, tmp_path / "X.npy", label=str(written(tmp_path / "z.txt", "a\nb\n")))
    gap = str(written(tmp_path / "w.txt", "a\n\nb\nb\n"))
    rejects("missing in 1 of 4", read, tmp_path / "X.npy", label=gap, unlabelled="refuse")
    assert read(tmp_path / "X.npy", label=gap).ids.tolist() == [0, 2, 3]
    western = read(tmp_path / "X.npy", label=str(written(tmp_path / "v.txt", b"\xe4\nb\nb\nb\n")))
    assert western.classes == ("b", "ä")
    assert "was read as Windows-1252" in western.notices[0]
    rejects("nothing to drop", read, tmp_path / "X.npy", label="y.npy", drop=["a"])
    rejects("is not a readable .npy file", read, written(tmp_path / "bad.npy", "hello"), label="y.npy")
    rejects(
        "is not a readable .npy file",
        read,
        written(tmp_path / "cut.npy", (tmp_path / "X.npy").read_bytes()[:-9]),
        label="y.npy",
    )
    np.save(tmp_path / "objects.npy", X.astype(object))
    rejects("holds pickled objects", read, tmp_path / "objects.npy", label="y.npy")


# Folders


def painted(path, size=(6, 5), colour=(200, 10, 10), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def test_image_folder(tmp_path):
    for at, name in enumerate(["hund/b.png", "hund/a.bmp", "katze/2/c.png", "katze/ü.webp", "katze/x.tif", "hund/g.gif"]):
        painted(tmp_path / name, colour=(40 * at, 0, 0), **({"lossless": True} if name.endswith("webp") else {}))
    written(tmp_path / "hund" / ".hidden.png", "no image")
    written(tmp_path / ".git" / "y.png", "no image")
    written(tmp_path / "katze" / "notes.txt", "not an image")
    painted(tmp_path / "outside.png")
    samples = read(tmp_path)
    assert samples.ids.tolist() == ["hund/a.bmp", "hund/b.png", "hund/g.gif", "katze/2/c.png", "katze/x.tif", "katze/ü.webp"]
    assert (samples.classes, samples.label_name, samples.kind) == (("hund", "katze"), "class", "image")
    assert samples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert samples.features.shape == (6, 5, 6, 3)
    assert samples.features[:, 0, 0, 0].tolist() == [40, 0, 200, 80, 160, 120]
    assert samples.notices[0].startswith("2 files were ignored")
    assert read(tmp_path, label="tier").label_name == "tier"


def test_grey_images_stay_grey_and_sizes_are_made_equal(tmp_path):
    painted(tmp_path / "a" / "1.png", (8, 4), 50, "L")
    painted(tmp_path / "a" / "2.png", (8, 6), 100, "L")
    painted(tmp_path / "b" / "3.png", (8, 8), 150, "L")
    Image.fromarray(np.full((6, 8), 200 << 8, np.uint16)).save(tmp_path / "b" / "4.png")
    samples = read(tmp_path)
    assert samples.features.shape == (4, 6, 8)
    assert samples.features[:, 3, 3].tolist() == [50, 100, 150, 200]
    assert "Images differ in size (4 x 8 to 8 x 8, height x width): all were resized to 6 x 8." in samples.notices


def test_images_look_as_in_a_viewer(tmp_path):
    painted(tmp_path / "a" / "clear.png", colour=(0, 0, 0, 0), mode="RGBA")
    painted(tmp_path / "a" / "full.png", colour=(9, 8, 7))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (5, 6), (9, 8, 7))
    turned.putpixel((0, 5), (90, 80, 70))  # lower left: upper left once it is turned
    (tmp_path / "b").mkdir()
    turned.save(tmp_path / "b" / "turned.png", exif=exif)
    samples = read(tmp_path)
    assert samples.features.shape == (3, 5, 6, 3)
    assert samples.features[:, 0, 0].tolist() == [[255, 255, 255], [9, 8, 7], [90, 80, 70]]


def test_images_too_large_for_memory_are_scaled_down(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/2.png"):
        painted(tmp_path / name, (90, 80))
    monkeypatch.setattr("hardsight.data.image_decoding._MAX_BYTES", 2 * 3 * 40 * 40)
    samples = read(tmp_path)
    assert samples.features.shape == (2, 40, 40, 3)
    assert "all were resized to 40 x 40" in " ".join(samples.notices)
    monkeypatch.setattr("hardsight.data.image_decoding._MAX_BYTES", 2 * 3 * 9 * 9)
    rejects("2 images do not fit into memory", read, tmp_path)


def test_images_that_cannot_be_read(tmp_path, monkeypatch):
    painted(tmp_path / "a" / "1.png")
    painted(tmp_path / "b" / "2.png")
    bad = written(tmp_path / "b" / "bad ü.jpg", "no image")
    rejects(r"bad ü.jpg cannot be read \(not an image\): fix the file or take it out", read, tmp_path)
    Image.effect_noise((50, 50), 99).save(bad)
    written(bad, bad.read_bytes()[:400])
    rejects(r"bad ü.jpg cannot be read \(.*truncated", read, tmp_path)
    written(bad, "")
    rejects(r"bad ü.jpg cannot be read \(the file is empty\)", read, tmp_path)
    bad.unlink()
    for limit in ("25", "10"):  # Pillow warns from the limit on, and refuses at twice the limit
        monkeypatch.setenv("HARDSIGHT_MAX_PIXELS", limit)
        with pytest.raises(InputError, match=f"more than {limit} pixels: scale it down .*HARDSIGHT_MAX_PIXELS to a higher"):
            read(tmp_path)
    assert Image.MAX_IMAGE_PIXELS > 1e6
    monkeypatch.setenv("HARDSIGHT_MAX_PIXELS", "many")
    rejects("HARDSIGHT_MAX_PIXELS must be a positive number. Got 'many'", read, tmp_path)


def test_text_folder(tmp_path):
    written(tmp_path / "ham" / "1.txt", "see you at lunch")
    written(tmp_path / "ham" / "2.txt", "\ufefflunch at noon")
    written(tmp_path / "spam" / "ä.txt", "win money now")
    samples = read(tmp_path)
    assert (samples.kind, samples.classes, samples.ids.tolist()) == (
        "text",
        ("ham", "spam"),
        ["ham/1.txt", "ham/2.txt", "spam/ä.txt"],
    )
    assert samples.features.tolist() == ["see you at lunch", "lunch at noon", "win money now"]
    bad = written(tmp_path / "spam" / "bad.txt", b"\xe4\xff")
    rejects("bad.txt cannot be read .not UTF-8.: fix the file", read, tmp_path)
    bad.unlink()
    rejects("is a folder and has no columns", read, tmp_path, id="x")
    rejects("regression needs a table", read, tmp_path, task="regression")


def test_links_are_followed_but_not_out_of_the_folder_nor_in_circles(tmp_path, monkeypatch):
    painted(tmp_path / "store" / "1.png")
    painted(tmp_path / "all" / "b" / "2.png")
    (tmp_path / "all" / "a").symlink_to(tmp_path / "store")
    (tmp_path / "all" / "b" / "up").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "b" / "3.png").symlink_to(tmp_path / "all" / "b" / "2.png")
    rejects("all/a is a link that leads out of the folder: .*set HARDSIGHT_FOLLOW_LINKS=1", read, tmp_path / "all")
    monkeypatch.setenv("HARDSIGHT_FOLLOW_LINKS", "1")
    assert read(tmp_path / "all").ids.tolist() == ["a/1.png", "b/2.png", "b/3.png"]
    (tmp_path / "all" / "a").unlink()
    (tmp_path / "all" / "a").mkdir()
    (tmp_path / "all" / "a" / "4.png").symlink_to(tmp_path / "store" / "1.png")
    assert read(tmp_path / "all").ids.tolist() == ["a/4.png", "b/2.png", "b/3.png"]
    monkeypatch.delenv("HARDSIGHT_FOLLOW_LINKS")
    rejects("all/a/4.png is a link that leads out of the folder", read, tmp_path / "all")
    (tmp_path / "all" / "a" / "4.png").unlink()
    painted(tmp_path / "all" / "a" / "4.png")
    # Two folders, each with a link to the other.
    (tmp_path / "all" / "a" / "to b").symlink_to(tmp_path / "all" / "b")
    (tmp_path / "all" / "b" / "to a").symlink_to(tmp_path / "all" / "a")
    assert read(tmp_path / "all").ids.tolist() == [
        "a/4.png", "a/to b/2.png", "a/to b/3.png", "b/2.png", "b/3.png", "b/to a/4.png"
    ]  # fmt: skip
    (tmp_path / "all" / "b" / "to a").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "all" / "b")
    painted(tmp_path / "all" / "b" / "p" / "5.png")
    painted(tmp_path / "all" / "b" / "q" / "6.png")
    assert len(read(tmp_path / "link")) == 2


def test_only_image_formats_are_opened(tmp_path):
    painted(tmp_path / "a" / "1.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.eps")
    written(tmp_path / "b" / "2.png", (tmp_path / "b.eps").read_bytes())
    rejects("b/2.png cannot be read .not an image", read, tmp_path)


def test_folders_that_cannot_be_used(tmp_path):
    rejects("holds no images .*and no .txt files", read, tmp_path)
    written(tmp_path / "a" / "x.json", "{}")
    rejects("holds no images .*and no .txt files", read, tmp_path)
    painted(tmp_path / "1.png")
    rejects("holds 1 files but no subfolder with any: put each class into its own subfolder", read, tmp_path)
    painted(tmp_path / "a" / "1.png")
    rejects("holds one class .'a'.: at least two subfolders", read, tmp_path)
    for name in ("train/a/1.png", "train/b/1.png", "test/a/1.png"):
        painted(tmp_path / "splits" / name)
    rejects(
        "holds splits .'test', 'train'., not classes: choose one or more .split='train', --split train",
        read,
        tmp_path / "splits",
    )
    assert read(tmp_path / "splits" / "train").classes == ("a", "b")


# Laws


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    kind=st.sampled_from(["csv", "csv.gz", "parquet", "npz", "npy", "png", "jpg", "gif", "tif", "webp", "bmp"]),
)
def test_damaged_files_are_refused_in_one_line_or_still_read(tmp_path, data, kind):
    if (folder := tmp_path / kind.replace(".", "-")).exists():
        path = next(folder.rglob("file.*"))
    elif kind in ("csv", "csv.gz", "parquet", "npz", "npy"):
        path = written(folder / f"file.{kind}", gzip.compress(CSV.encode()) if kind == "csv.gz" else CSV)
        if kind == "parquet":
            FRAME.to_parquet(path)
        elif kind == "npz":
            np.savez(path, X=np.eye(4), art=[0, 1, 0, 1])
        elif kind == "npy":
            np.save(path, np.eye(4))
    else:
        painted(folder / "b" / "whole.png")
        path = painted(folder / "a" / f"file.{kind}")
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(len(damaged) // 2, len(damaged)))]
    path.write_bytes(bytes(damaged))
    label = {"npy": str(written(tmp_path / "y.txt", "a\nb\na\nb\n"))}.get(kind, "art")
    refusal = ""
    try:
        samples = read(folder if (folder / "b").exists() else path, label=label)
    except InputError as caught:
        refusal = str(caught)
    else:
        assert len(samples) == len(samples.matrix) == len(samples.ids)
    finally:
        path.write_bytes(whole)
    assert is_one_line_per_fault(refusal)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from('abä,;"\t\n\r 01.-'), max_size=60))
def test_any_text_is_a_table_or_refused_in_one_line(tmp_path, body):
    refusal = ""
    try:
        read(written(tmp_path / "any.csv", "a,b\n" + body), label="b")
    except InputError as caught:
        refusal = str(caught)
    assert is_one_line_per_fault(refusal)


# Files that are something else than their names say


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xls", CSV, "holds text, though its name ends in .xls: rename it to .csv"),
        ("a.xlsx", CSV.replace(",", "\t"), "holds text, though its name ends in .xlsx: rename it to .tsv"),
        ("a.xls", '<?xml version="1.0"?>\n<Workbook/>', "holds text, .*: save it as .xlsx or .csv"),
        ("a.parquet", CSV.encode("utf-8-sig"), "holds text, though its name ends in .parquet"),
        ("a.npz", "ä" * 4095 + "\n" + CSV, "a.npz is not a readable .npz archive"),
        ("a.npz", CSV + "ä" * 5000, "holds text, though its name ends in .npz"),
        ("a.csv.xz", CSV, "holds text, though its name ends in .xz: rename it to a.csv"),
        (
            "a.csv",
            gzip.compress(CSV.encode(), mtime=0),
            "holds data compressed by gzip, though its name ends in .csv: add .gz to its name",
        ),
        (
            "a.tsv",
            b"PAR1\x15\x04\x15\xff",
            "holds a parquet file, though its name ends in .tsv: rename it, such as to .parquet",
        ),
        ("a.csv", b"PK\x03\x04\xff\0\0", "holds a zip archive, as workbooks are, .*: rename it, such as to .xlsx"),
        ("a.csv", "<!DOCTYPE html>\n<html>404</html>\n", "a.csv is a web page: download the file itself"),
        ("a.xls", "<table>\n<tr><td>1</td></tr></table>", "a.xls is a web page: .* pandas.read_html"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "git lfs pull"),
        ("a.npy", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "is a pointer of Git LFS"),
    ],
)
def test_a_name_that_belies_the_content_is_said(tmp_path, name, content, message):
    rejects(message, read, written(tmp_path / name, content), label="art")


def test_text_that_begins_like_another_format_is_text(tmp_path):
    for start in ("PAR1", "BZh", "ARROW1"):
        samples = read(written(tmp_path / f"{start}.csv", CSV.replace("größe", start)), label="art")
        assert list(samples.features)[:1] == [start]


@pytest.mark.parametrize("path", [None, 5, b"a.csv", FRAME, ["a.csv"]])
def test_what_is_no_path_is_refused(path):
    rejects("path must be a str or a path. Got .*: name a file", read, path, label="art")


def test_names_and_switches_of_other_types(tmp_path):
    place = written(tmp_path / "a.csv", "0,1,10\n" + "".join(f"{at}.5,{'xy'[at % 2]},{at % 3}\n" for at in range(9)))
    assert list(read(place, label=1, drop=[10]).features) == ["0"]
    rejects(r"label must be a name, as text. Got \['1'\]", read, place, label=["1"])
    rejects("group must be a name, as text. Got True", read, place, label=1, group=True)
    # The header of pandas is the number of a line.
    rejects("header must be True or False. Got 0", read, place, label=1, header=0)
    rejects("merge_spellings must be True or False. Got 'no'", read, place, label=1, merge_spellings="no")
