"""Data in memory: every kind of input gives the same samples."""

import subprocess
import sys
import tracemalloc

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from support.errors import rejects

from hardsight import Samples
from hardsight.data import samples as core
from hardsight.errors import InputError

X = np.arange(12.0).reshape(6, 2)
Y = ["b", "a", "b", "a", "b", "a"]


@pytest.mark.slow
def test_the_room_opens_without_torch_or_sklearn():
    code = "import sys, hardsight.data; print([m for m in ('torch', 'sklearn', 'datasets') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# Kinds of input


def test_arrays():
    samples = Samples.of(X, Y)
    assert (samples.kind, samples.classes, samples.label_name) == ("array", ("a", "b"), "label")
    np.testing.assert_array_equal(samples.labels, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(samples.ids, np.arange(6))
    np.testing.assert_array_equal(samples.matrix, X.astype(np.float32))
    assert samples.ids.dtype == samples.labels.dtype == np.int64


@pytest.mark.parametrize(
    "features",
    [
        X.tolist(),
        [tuple(row) for row in X],
        [torch.tensor(row) for row in X],
        torch.tensor(X, requires_grad=True),
        X.astype(object),
        torch.tensor(X, dtype=torch.bfloat16),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.coo_array(X),
        np.ma.masked_array(X),
    ],
)
def test_whatever_holds_numbers_is_an_array(features):
    samples = Samples.of(features, Y)
    assert samples.kind == "array"
    np.testing.assert_array_equal(samples.matrix, X)


@pytest.mark.parametrize("values", [[1.0, 2, 3, 4, 5, 6], np.arange(6), range(6), torch.arange(6)])
def test_one_number_a_sample_is_one_feature(values):
    assert Samples.of(values, Y).matrix.shape == (6, 1)


def test_missing_numbers_in_a_list_are_nan():
    assert np.isnan(Samples.of([[1.0, None], [2.0, 3.0]], ["a", "b"]).matrix).tolist() == [[False, True], [False, False]]


def test_masked_numbers_are_missing():
    masked = Samples.of(np.ma.masked_array(np.arange(6).reshape(3, 2), [[0, 1], [0, 0], [0, 0]]), ["a", "b", "a"])
    assert np.isnan(masked.matrix).tolist() == [[False, True], [False, False], [False, False]]


def test_frames_with_real_data():
    frame = load_wine(as_frame=True).frame
    samples = Samples.of(frame, "target")
    assert (samples.kind, samples.classes, samples.label_name) == ("table", (0, 1, 2), "target")
    assert samples.matrix.shape == (178, 13)
    assert "target" not in samples.features
    same = Samples.of(frame.drop(columns="target"), frame["target"])
    assert same.label_name == "target"
    np.testing.assert_array_equal(same.matrix, samples.matrix)
    np.testing.assert_array_equal(same.labels, samples.labels)
    np.testing.assert_array_equal(Samples.of(frame, label="target").labels, samples.labels)


def test_columns_can_be_named_for_every_role():
    frame = pd.DataFrame({"größe": range(0, 12, 2), "wer": list("aabbcc"), "名前": list("uvwxyz"), "art": Y})
    samples = Samples.of(frame, "art", ids="名前", groups="wer")
    assert samples.ids.tolist() == list("uvwxyz")
    assert samples.groups is not None
    assert samples.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert list(samples.features) == ["größe"]


def test_the_index_names_samples_if_it_can():
    frame = pd.DataFrame({"x": range(0, 12, 2), "y": Y})
    assert Samples.of(frame.set_axis(list("fedcba")), "y").ids.tolist() == list("fedcba")
    assert Samples.of(frame.set_axis([5, 4, 3, 2, 1, 0]), "y").ids.tolist() == [5, 4, 3, 2, 1, 0]
    repeated = Samples.of(frame.set_axis([0, 0, 1, 2, 3, 4]), "y")
    assert repeated.ids.tolist() == list(range(6))
    assert "index repeats" in " ".join(repeated.notices)


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (pd.Index(np.arange(6) + 0.5), "holds values of type floating"),
        (pd.date_range("2020", periods=6), "holds values of type datetime64"),
        (pd.MultiIndex.from_product([["u", "v"], [1, 2, 3]]), "has 2 levels"),
        (pd.Index([1, 2, 3, 4, 5, None]), "has missing values"),
    ],
)
def test_an_index_that_names_no_sample_is_said_with_what_takes_it(index, why):
    frame = pd.DataFrame({"x": range(0, 12, 2), "y": Y}, index=index)
    samples = Samples.of(frame, "y")
    assert samples.ids.tolist() == list(range(6))
    assert f"The index {why} and cannot name samples: ids are 0, 1, 2, …." in samples.notices[0]
    assert "pass ids=X.index.map(str), or" in samples.notices[0]
    assert Samples.of(frame, "y", ids=frame.index.map(str)).ids.tolist() == [str(name) for name in index]


def test_a_label_left_among_the_features_is_no_feature():
    frame = pd.DataFrame({"x": range(0, 12, 2), "y": Y})
    samples = Samples.of(frame, frame["y"])
    assert list(samples.features) == ["x"]
    assert "Left out of the features: 'y' (the label by another name)." in samples.notices[-1]


def test_arrow_tables_are_frames():
    assert Samples.of(pa.table({"x": [1.5, 2.5, 2.0], "y": ["a", "b", "a"]}), "y").kind == "table"


def test_torch_datasets():
    labels = torch.tensor([1, 0, 1, 0, 1, 0])
    samples = Samples.of(torch.utils.data.TensorDataset(torch.tensor(X), labels))
    np.testing.assert_array_equal(samples.matrix, X)
    assert samples.labels.tolist() == labels.tolist()

    class Pictures(torch.utils.data.Dataset):
        classes = ("zebra", "ant")

        def __len__(self):
            return 4

        def __getitem__(self, at):
            return torch.full((3, 2, 5), float(at)), at % 2, "more"

    Pictures.__module__ = "datasets.mine"
    images = Samples.of(Pictures())
    assert (images.kind, images.features.shape) == ("image", (4, 2, 5, 3))
    assert (images.classes, images.labels.tolist()) == (("ant", "zebra"), [1, 0, 1, 0])
    rejects("holds its labels: leave y out", Samples.of, Pictures(), [0, 1, 0, 1])
    rejects("is a loader .DataLoader.: pass its dataset", Samples.of, torch.utils.data.DataLoader(Pictures()))


def test_torch_datasets_of_another_make():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([])

    rejects("no length: pass a map-style dataset", Samples.of, Stream())

    class Alone(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, at):
            return torch.zeros(2)

    rejects(r"must be \(features, label\) tuples. Got Tensor at item 0", Samples.of, Alone())


def test_hugging_face_text_keeps_class_names():
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    data = datasets.Dataset.from_dict({"text": ["good", "bad", "fine", "poor"], "label": [0, 1, 0, 1]}, features)
    samples = Samples.of(data, "label")
    assert (samples.kind, samples.classes, samples.labels.tolist()) == ("text", ("neg", "pos"), [1, 0, 1, 0])
    assert samples.features.tolist() == ["good", "bad", "fine", "poor"]
    rejects(r"pass one of them, as X\['train'\]", Samples.of, datasets.DatasetDict({"train": data}), "label")
    rejects("load all of it", Samples.of, data.to_iterable_dataset(), "label")
    rejects("no column 'y' to use as label: the columns are 'text', 'label'", Samples.of, data, "y")


def test_hugging_face_unknown_labels_are_missing():
    features = datasets.Features({"x": datasets.Value("float32"), "label": datasets.ClassLabel(names=["a", "b"])})
    data = datasets.Dataset.from_dict({"x": [0.5, 1.5, 2.5], "label": [0, 1, -1]}, features)
    rejects(r"label 'label' is missing in 1 of 3 samples \(row 2\)", Samples.of, data, "label", unlabelled="refuse")
    assert Samples.of(data, "label").ids.tolist() == [0, 1]


def test_hugging_face_images_and_tables():
    images = [Image.new("RGB", (5, 4), (at, 0, 0)) for at in range(4)]
    features = datasets.Features({"img": datasets.Image(), "y": datasets.Value("string"), "more": datasets.Value("int64")})
    data = datasets.Dataset.from_dict({"img": images, "y": list("abab"), "more": [1, 2, 3, 4]}, features)
    samples = Samples.of(data, "y")
    assert (samples.kind, samples.features.shape) == ("image", (4, 4, 5, 3))
    assert samples.features[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert "Only column 'img' is used as a feature; left out: 'more'." in samples.notices
    table = Samples.of(datasets.Dataset.from_dict({"u": [1.5, 2.0, 3.0], "v": [3, 1, 2], "y": list("aba")}), "y", ids="v")
    assert (table.kind, list(table.features), table.ids.tolist()) == ("table", ["u"], [3, 1, 2])


def test_hugging_face_images_that_cannot_be_decoded():
    features = datasets.Features({"img": datasets.Image(), "y": datasets.Value("string")})
    broken = datasets.Dataset.from_dict({"img": [{"bytes": b"no image", "path": None}] * 2, "y": ["a", "b"]}, features)
    rejects("image column 'img' cannot be decoded .cannot identify image", Samples.of, broken, "y")
    two = datasets.Dataset.from_dict({"u": [], "v": []}, datasets.Features({"u": datasets.Image(), "v": datasets.Image()}))
    rejects("must have one image column. Got 2", Samples.of, two, "y")


def test_images_in_every_layout():
    digits = load_digits()
    samples = Samples.of(digits.images, digits.target)
    assert (samples.kind, samples.matrix.shape, samples.embedding) == ("image", (1797, 64), None)
    pixels = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)
    last = Samples.of(pixels, Y)
    np.testing.assert_allclose(last.matrix, pixels.reshape(6, -1) / np.float32(255), rtol=1e-6)
    first = Samples.of(torch.from_numpy(np.moveaxis(pixels, -1, 1).copy()), Y)
    np.testing.assert_array_equal(first.features, pixels)
    assert "Channels were moved last: images are 4 x 5 x 3." in first.notices
    assert Samples.of(np.zeros((6, 2, 2, 2, 2)), Y).kind == "array"


def test_texts_in_every_container():
    texts = ["ein Hund", "eine Katze", "Hunde", "Katzen", "ein Tier", "猫"]
    for container in (texts, tuple(texts), np.array(texts), pd.Series(texts), pd.Series(texts, dtype="string")):
        samples = Samples.of(container, Y)
        assert samples.kind == "text"
        assert samples.features.tolist() == texts
        assert samples.matrix.dtype == np.float32


def test_your_own_embedding_stands_for_the_features():
    vectors = np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_array_equal(Samples.of(list("uvwxyz"), Y, embedding=vectors).matrix, vectors.astype(np.float32))
    rejects("6 samples, 5 rows", Samples.of, list("uvwxyz"), Y, embedding=vectors[:5])
    rejects(r"name or an array of numbers \(sample, feature\). Got shape \(6,\)", Samples.of, X, Y, embedding=vectors[:, 0])
    rejects("must be numbers .sample, feature., as many for every sample", Samples.of, X, Y, embedding=[[1], [2, 3]])
    vectors[2, 1] = np.nan
    rejects(r"embedding must be finite in float32. Got nan at \[2, 1\]", Samples.of, X, Y, embedding=vectors)
    rejects("'tfidf' is for texts and images; these samples are numbers", Samples.of, X, Y, embedding="tfidf")


def test_samples_pass_through():
    samples = Samples.of(X, Y)
    assert Samples.of(samples) is samples


# Features that cannot be used


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.where(X == 5, np.inf, X), r"must be finite in float32. Got inf at \[2, 1\]: fix the values"),
        (X * 1e300, r"must be finite in float32. Got 1e\+300 at \[0, 1\]"),
        (np.full((6, 2, 2), np.nan), r"Got nan at \[0, 0, 0\] \(and 23 more\)"),
        (np.where(X % 2 == 1, np.nan, X), "column 1 of X has no value in any of 6 rows"),
        (np.zeros((6, 0)), "must have at least one feature"),
        (np.zeros((0, 3)), "at least 2 samples are needed. Got 0"),
        (np.zeros((1, 3)), "at least 2 samples are needed. Got 1"),
        ([], "at least 2 samples are needed. Got 0"),
        ([[1], [1, 2]], r"must have one shape. Got \(1,\) in row 0 and \(2,\) in row 1"),
        ([["a"], ["b", "c"]], "must have the same length. Got 1, 2 values"),
        ([[1, [2]], [3, [4]]], "nested lists of different lengths"),
        ([{"a": 1}] * 6, r"pass pandas.DataFrame\(X\)"),
        ({"a": [1]}, r"pass pandas.DataFrame\(X\)"),
        ({1, 2}, "Got set"),
        (object(), "must be an array, a frame, a list, a tensor or a dataset. Got object"),
        (np.float64(1), "Got a single value"),
        (X.astype(complex), "Got the type complex128"),
        (np.array([b"x"] * 6), "X holds bytes"),
        ([Image.new("L", (2, 2)), None], "Got NoneType in row 1"),
        (["a", None, "b", 1, "c", "d"], r"X must be text in every row. Got 1 other value, of type int \(row 3\)"),
    ],
)
def test_features_that_cannot_be_used(features, message):
    rejects(message, Samples.of, features, Y)


# Laws


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6)
labels = st.one_of(
    st.lists(st.integers(-9, 9), min_size=2, max_size=25),
    st.lists(names.filter(lambda text: text.strip()), min_size=2, max_size=25),
    st.lists(st.booleans(), min_size=2, max_size=25),
    st.lists(st.one_of(st.integers(2, 9), st.sampled_from("abc")), min_size=2, max_size=25),
)


@settings(deadline=None, max_examples=60)
@given(y=labels.filter(lambda values: len(set(values)) > 1), data=st.data())
def test_labels_ids_and_features_survive_and_follow_a_permutation(y, data):
    n = len(y)
    ids = data.draw(st.lists(names, min_size=n, max_size=n, unique=True))
    groups = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(lambda codes: len(set(codes)) > 1))
    order = np.array(data.draw(st.permutations(range(n))))
    features = np.arange(2.0 * n).reshape(n, 2)
    samples = Samples.of(features, y, ids=ids, groups=groups)
    assert [samples.classes[code] for code in samples.labels] == y
    assert samples.ids.tolist() == ids

    other = Samples.of(
        features[order], [y[at] for at in order], ids=[ids[at] for at in order], groups=np.array(groups)[order]
    )
    taken = samples.take(order)
    for one in ("labels", "ids", "groups", "features", "matrix"):
        np.testing.assert_array_equal(getattr(other, one), getattr(taken, one))
    np.testing.assert_array_equal(other.fingerprints(), taken.fingerprints())
    assert other.classes == samples.classes


@settings(deadline=None, max_examples=30)
@given(data=st.data(), n=st.integers(3, 15))
def test_tables_follow_a_permutation(data, n):
    cells = st.one_of(st.none(), st.sampled_from(["ä", "b", "c"]))
    frame = pd.DataFrame(
        {
            "number": data.draw(st.lists(st.floats(-5, 5), min_size=n, max_size=n)),
            "text": ["x", "y", *data.draw(st.lists(cells, min_size=n - 2, max_size=n - 2))],
            "label": ["u", "v", *data.draw(st.lists(st.sampled_from("uvw"), min_size=n - 2, max_size=n - 2))],
        }
    )
    order = np.array(data.draw(st.permutations(range(n))))
    samples, other = Samples.of(frame, "label"), Samples.of(frame.iloc[order], "label")
    np.testing.assert_array_equal(other.ids, order)
    np.testing.assert_array_equal(other.matrix, samples.matrix[order])
    np.testing.assert_array_equal(other.labels, samples.take(order).labels)


def test_equal_features_have_equal_fingerprints():
    frame = load_breast_cancer(as_frame=True).frame
    samples = Samples.of(pd.concat([frame, frame], ignore_index=True), "target")
    marks = samples.fingerprints()
    np.testing.assert_array_equal(marks[:569], marks[569:])
    assert len(np.unique(marks)) == 569
    assert isinstance(samples, Samples)


def test_an_array_in_a_file_stays_there(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((30_000, 64)).astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    labels = rng.integers(3, size=30_000)
    tracemalloc.start()
    try:
        samples = Samples.of(mapped, labels)
        samples.fingerprints()
        assert tracemalloc.get_traced_memory()[1] < 2 * core._BLOCK_BYTES + 0.5 * mapped.nbytes
    finally:
        tracemalloc.stop()
    for numbers in (samples.features, samples.numbers, samples.matrix):
        assert np.shares_memory(numbers, mapped)


def test_numbers_are_checked_block_by_block(monkeypatch):
    monkeypatch.setattr(core, "_BLOCK_BYTES", 64)
    x = np.arange(200.0).reshape(50, 4)
    x[[7, 33], [2, 1]] = np.inf
    with pytest.raises(InputError, match=r"Got inf at \[7, 2\] \(and 1 more\)"):
        Samples.of(x, np.arange(50) % 2)
    x = np.full((50, 4), np.nan)
    x[40, :3] = 1.0
    with pytest.raises(InputError, match="column 3 of X has no value in any of 50 rows"):
        Samples.of(x, np.arange(50) % 2)
    x = np.zeros((50, 4))
    x[20:] = -0.0
    x[49, 3] = 1.0
    assert len(np.unique(Samples.of(x, np.arange(50) % 2).fingerprints())) == 2


def test_labels_ids_and_weights_may_be_iterators():
    samples = Samples.of(
        X, iter(Y), ids=map(str, range(6)), weights=(weight for weight in [1, 2] * 3), groups=iter(range(6))
    )
    assert samples.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert samples.ids.tolist() == list("012345")


def test_what_is_not_read_names_the_way_in():
    polars = pytest.importorskip("polars")
    rejects(
        "not computed yet .LazyFrame.: pass X.collect", Samples.of, polars.LazyFrame({"a": [1, 2], "y": ["p", "q"]}), "y"
    )
    rejects("pass pandas.DataFrame.X.", Samples.of, np.zeros(6, dtype=[("a", "f8"), ("b", "i4")]), Y)


@pytest.mark.parametrize("y", ["y", Y])
def test_a_path_is_to_be_read_first(tmp_path, y):
    rejects(
        r"X must be data, not the path 'data.csv': read the file first, hs.read\(path, label=…\)", Samples.of, "data.csv", y
    )
    rejects("X must be data, not the path", Samples.of, tmp_path / "data.csv", y)


def test_samples_are_shown_in_one_line():
    frame = pd.DataFrame({"a": X[:, 0], "b": [1, 1, 2, 3, 3, 4], "kind": Y})
    assert repr(Samples.of(frame, "kind")) == "Samples(6 × table, 2 classes of 'kind', 0 notices)"
    assert repr(Samples.of(X, X[:, 0] + 0.5, task="regression")).startswith("Samples(6 × array, targets of 'label', ")
