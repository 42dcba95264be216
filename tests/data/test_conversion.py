"""Labels, ids, groups and features in the types of other libraries, beside the same values as lists."""

import uuid
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from support.errors import rejects

from hardsight import Samples

pl = pytest.importorskip("polars")

X = np.arange(12.0).reshape(6, 2)
TEXTS, CODES, FRACTIONS = list("bababc"), [3, 1, 3, 1, 2, 2], [0.5, 1.5, 2.5, 0.25, 7.5, 1.0]


class Colour(Enum):
    RED = 1
    BLUE = "deep"


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Rank(IntEnum):
    LOW = 5
    HIGH = 7


CONTAINERS = {
    "arrow array": pa.array,
    "arrow chunks": lambda values: pa.chunked_array([pa.array(values[:2]), pa.array(values[2:])]),
    "arrow column": lambda values: pa.table({"v": values})["v"],
    "arrow dictionary": lambda values: pa.array(values).dictionary_encode(),
    "polars": pl.Series,
    "polars frame": lambda values: pl.DataFrame({"v": values}),
    "series": pd.Series,
    "frame": lambda values: pd.DataFrame({"v": values}),
    "arrow in pandas": lambda values: pd.Series(values, dtype=pd.ArrowDtype(pa.array(values).type)),
    "numpy": np.array,
    "object": lambda values: np.array(values, dtype=object),
    "rows of one": lambda values: [[value] for value in values],
    "column vector": lambda values: np.array(values)[:, None],
}


@pytest.mark.parametrize("convert", CONTAINERS.values(), ids=CONTAINERS)
def test_containers_of_every_library_hold_the_same_values(convert):
    for values in (TEXTS, CODES):
        samples, expected = (
            Samples.of(X, kind(values), groups=kind(values), task="classification") for kind in (convert, list)
        )
        assert samples.classes == expected.classes
        assert [type(name) for name in samples.classes] == [type(name) for name in expected.classes]
        np.testing.assert_array_equal(samples.labels, expected.labels)
        np.testing.assert_array_equal(samples.groups, expected.groups)
    for ids in ([9, 8, 7, 6, 5, 4], list("uvwxyz")):
        assert Samples.of(X, TEXTS, ids=convert(ids)).ids.tolist() == ids
    np.testing.assert_allclose(Samples.of(X, TEXTS, weights=convert(FRACTIONS)).weights.sum(), 6)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (pl.Series(TEXTS, dtype=pl.Categorical), ("a", "b", "c")),
        (pl.Series(TEXTS, dtype=pl.Enum(["c", "b", "a"])), ("a", "b", "c")),
        (pl.Series([True, False] * 3), (False, True)),
        (pl.Series([1.0, 2.0] * 3), (1, 2)),
        (pa.array([True, False] * 3), (False, True)),
        (pa.array([Decimal("1.0"), Decimal("2.0")] * 3), (1, 2)),
        ([Colour.RED, Colour.BLUE] * 3, ("BLUE", "RED")),
        (pd.Series([Colour.RED, Colour.BLUE] * 3, dtype="category"), ("BLUE", "RED")),
        ([Size.SMALL, Size.LARGE] * 3, ("l", "s")),
        (np.array([Rank.HIGH, Rank.LOW] * 3), (5, 7)),
        ([b"x", b"y"] * 3, ("x", "y")),
        (np.array([b"x", b"y"] * 3), ("x", "y")),
        (["\u00fc".encode(), "u"] * 3, ("u", "\u00fc")),
        ([np.str_("x"), np.str_("y")] * 3, ("x", "y")),
        ([Decimal("1"), Decimal("2")] * 3, (1, 2)),
        ([torch.tensor(1), torch.tensor(0)] * 3, (0, 1)),
        (pd.array([1, 2] * 3, dtype="Int8"), (1, 2)),
        (pd.arrays.SparseArray([1, 0] * 3), (0, 1)),
        (pd.DataFrame({"y": pd.Series([0.5, 1.5] * 3, dtype="category")}), (0.5, 1.5)),
    ],
)
def test_classes_of_many_types(y, classes):
    samples = Samples.of(X, y)
    assert samples.classes == classes
    assert [type(name) for name in samples.classes] == [type(name) for name in classes]


@pytest.mark.parametrize("kind", ["category", "interval", "objects", "frame"])
def test_intervals_are_classes_in_their_own_order(kind):
    amounts = pd.Series([9.5, 10.5, 99.0, 9.0, 11.0, 100.0])
    cut = pd.cut(amounts, [0, 10, 20, 150])
    y = {"category": cut, "interval": cut.astype("interval"), "objects": list(cut), "frame": cut.to_frame()}[kind]
    samples = Samples.of(X, y)
    assert samples.classes == ("(0, 10]", "(10, 20]", "(20, 150]")
    assert samples.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert len(set(Samples.of(X, TEXTS, groups=y).groups)) == 3


def test_targets_of_many_types():
    for y in (pa.array(FRACTIONS), pl.Series(FRACTIONS), [Decimal(str(value)) for value in FRACTIONS]):
        samples = Samples.of(X, y)
        assert samples.regression
        assert samples.labels.tolist() == FRACTIONS


def test_ids_of_many_types():
    keys = [uuid.UUID(int=number) for number in range(6)]
    assert Samples.of(X, TEXTS, ids=keys).ids.tolist() == [str(key) for key in keys]
    assert Samples.of(X, TEXTS, ids=[f"{letter}".encode() for letter in "uvwxyz"]).ids.tolist() == list("uvwxyz")
    shades = Enum("Shade", list("uvwxyz"))
    assert Samples.of(X, TEXTS, ids=list(shades)).ids.tolist() == list("uvwxyz")
    days = pd.date_range("2020-01-01", periods=6)
    assert Samples.of(X, TEXTS, ids=days.to_period("D")).ids.tolist() == [str(day.date()) for day in days]


def test_missing_values_of_every_library_are_missing():
    for y in (pa.array([1, None, 2, 1, 2, 1]), pl.Series([1, None, 2, 1, 2, 1]), pd.Series([1, pd.NA, 2, 1, 2, 1])):
        rejects(r"missing in 1 of 6 samples \(row 1\)", Samples.of, X, y, unlabelled="refuse")
        samples = Samples.of(X, y)
        assert (samples.ids.tolist(), samples.classes, samples.labels.tolist()) == ([0, 2, 3, 4, 5], (1, 2), [0, 1, 0, 1, 0])
        rejects("groups are missing in 1 of 6", Samples.of, X, TEXTS, groups=y)
        rejects("ids are missing in 1 of 6", Samples.of, X, TEXTS, ids=y)


def test_features_of_every_library():
    frame = pd.DataFrame({"u": FRACTIONS, "v": CODES})
    expected = Samples.of(frame, TEXTS)
    for table in (pa.table(frame), pa.record_batch(frame), pl.DataFrame(frame), pl.from_pandas(frame)):
        samples = Samples.of(table, pl.Series("kind", TEXTS))
        assert (samples.kind, samples.label_name) == ("table", "kind")
        np.testing.assert_array_equal(samples.matrix, expected.matrix)
        assert Samples.of(table, "v", task="classification").classes == (1, 2, 3)
    texts = [f"a text about {thing}" for thing in ("dogs", "cats", "birds", "fish", "mice", "bees")]
    for column in (pa.array(texts), pa.chunked_array([texts]), pl.Series(texts)):
        assert Samples.of(column, CODES).features.tolist() == texts
    for column in (pa.array(FRACTIONS), pl.Series(FRACTIONS)):
        assert Samples.of(column, CODES).matrix[:, 0].tolist() == FRACTIONS


def test_what_has_no_index_is_matched_by_position():
    frame = pd.DataFrame({"u": FRACTIONS}).iloc[[3, 1, 0, 2, 5, 4]]
    for y in (pl.Series(TEXTS), pa.array(TEXTS)):
        assert Samples.of(frame, y).labels.tolist() == Samples.of(frame, TEXTS).labels.tolist()
    named = frame.set_axis(list("uvwxyz"))
    rejects("different indexes", Samples.of, pa.Table.from_pandas(named), pd.Series(TEXTS, index=list("zyxwvu")))


def test_feature_columns_of_objects_are_categories():
    codes = [0, 1, 2, 0, 1, 1]
    keys = [uuid.UUID(int=number) for number in range(3)]
    intervals = list(pd.cut(pd.Series([1.0, 5.0, 9.0]), [0, 3, 6, 10]))
    expected = Samples.of(pd.DataFrame({"n": FRACTIONS, "c": ["abc"[code] for code in codes]}), TEXTS).matrix
    for names in (list(Enum("Kind", list("abc"))), [b"a", b"b", b"c"], keys, intervals, [Size.LARGE, Size.SMALL, "z"]):
        values = pd.Series([names[code] for code in codes], dtype=object)
        samples = Samples.of(pd.DataFrame({"n": FRACTIONS, "c": values}), TEXTS)
        np.testing.assert_array_equal(samples.matrix, expected)
    missing = pd.Series([keys[0], None, keys[1], None, keys[0], keys[1]], dtype=object)
    assert Samples.of(pd.DataFrame({"n": FRACTIONS, "c": missing}), TEXTS).matrix.shape == (6, 4)
    rejects("column 'c' holds bytes that are not UTF-8", Samples.of, pd.DataFrame({"c": [b"\xe4", b"b"] * 3}), TEXTS)
