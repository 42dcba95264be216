"""Reading of annotations: long and wide tables, and one message for every fault."""

import numpy as np
import pandas as pd
import pytest

import hardsight as hs
from hardsight import Annotations

LONG = pd.DataFrame({"photo": [3, 3, 1, 1, 2, 2], "who": list("abacbc"), "said": ["cat", "cat", "dog", "cat", "dog", "dog"]})
ROLES = {"item": "photo", "annotator": "who", "label": "said"}


def triples(annotations):
    names = [annotations.classes[code] for code in annotations.label]
    items = annotations.items[annotations.item].tolist()
    return sorted(zip(items, annotations.annotators[annotations.annotator].tolist(), names, strict=True))


def test_a_long_table_keeps_its_rows():
    annotations = Annotations.of(LONG, **ROLES)
    assert triples(annotations) == sorted(LONG.itertuples(index=False, name=None))
    assert annotations.items.tolist() == [1, 2, 3]
    assert annotations.classes == ("cat", "dog")
    assert annotations.notices == ()


@pytest.mark.parametrize("missing", [None, np.nan, " "])
def test_a_wide_table_says_the_same(missing):
    wide = LONG.pivot(index="photo", columns="who", values="said").astype(object)
    wide = wide.where(wide.notna(), missing)
    expected = triples(Annotations.of(LONG, **ROLES))
    assert triples(Annotations.of(wide)) == expected
    assert triples(Annotations.of(wide.reset_index(), item="photo")) == expected


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[0, 1, np.nan], [1, 1, 0.0]]),
        [[0, 1, None], [1, 1, 0]],
        np.ma.masked_array([[0, 1, 7], [1, 1, 0]], mask=[[0, 0, 1], [0, 0, 0]]),
    ],
)
def test_a_matrix_of_codes(matrix):
    annotations = Annotations.of(matrix)
    assert annotations.classes == (0, 1)
    assert triples(annotations) == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1), (1, 2, 0)]


def test_booleans_and_integers_as_labels_and_annotators():
    frame = pd.DataFrame({"i": ["x", "x", "y", "y"], "a": [7, 9, 7, 9], "l": [True, False, True, True]})
    annotations = Annotations.of(frame, item="i", annotator="a", label="l")
    assert annotations.classes == (False, True)
    assert annotations.annotators.tolist() == [7, 9]


def test_what_is_left_out_is_said():
    repeated = pd.concat([LONG, LONG.iloc[:2], LONG.iloc[:1].assign(said=None)])
    annotations = Annotations.of(repeated, **ROLES)
    assert triples(annotations) == triples(Annotations.of(LONG, **ROLES))
    assert annotations.notices == (
        "Rows without a label in 'said' were left out: 1 of 9.",
        "Repeated annotations were left out: 2.",
    )
    wide = Annotations.of([["a", "b", None], [None, None, None], ["a", "b", None]])
    assert wide.notices == ("Left out, items without a label: 1.", "Left out, annotators without a label: 2.")
    assert wide.items.tolist() == [0, 2]


def test_annotators_of_one_item_are_kept_and_named():
    frame = pd.concat([LONG, pd.DataFrame({"photo": [1], "who": ["late"], "said": ["dog"]})])
    annotations = Annotations.of(frame, **ROLES)
    assert "late" in annotations.annotators
    assert annotations.notices == ("Annotators with a single item are judged like the average annotator: 'late'.",)


def test_one_label_per_item_is_said():
    frame = pd.DataFrame({"photo": range(6), "who": list("ababab"), "said": list("xyxyxx")})
    (notice,) = Annotations.of(frame, **ROLES).notices
    assert "only held-out models can tell" in notice


def test_fewer_than_two_labels_per_item_is_said():
    frame = pd.DataFrame({"photo": [*range(6), 0, 1], "who": list("ababab") + list("ba"), "said": list("xyxyxxyx")})
    (notice,) = Annotations.of(frame, **ROLES).notices
    assert notice.startswith("There are 1.3 labels per item")
    assert Annotations.of(LONG, **ROLES).notices == ()


def test_a_label_that_may_stand_for_none_is_named():
    (notice,) = Annotations.of([[0, -1, 1], [1, 1, -1], [0, 0, 1]]).notices
    assert notice.startswith("The label -1 counts as a class")


def test_spellings_of_classes_and_annotators_are_named_or_merged():
    frame = LONG.assign(said=["cat", "Cat", "dog", "cat", "dog", "dog"], who=["a", "b", "A", "c", "b", "c"])
    notices = Annotations.of(frame, **ROLES).notices
    assert any(notice.startswith("Annotators that differ only in case") for notice in notices)
    assert any(notice.startswith("Classes of 'said' that differ only in case") for notice in notices)
    merged = Annotations.of(frame, **ROLES, merge_spellings=True)
    assert merged.classes == ("cat", "dog")
    assert len(merged.annotators) == 3


@pytest.mark.parametrize(
    ("frame", "roles", "parts"),
    [
        (LONG, {**ROLES, "annotator": "whom", "item": "foto"}, ["2 faults", "'foto' to use as item", "did you mean 'who'"]),
        (LONG, {"annotator": "who", "label": "said"}, ["item is missing", "--item"]),
        (LONG, {"item": "photo", "label": "said"}, ["annotator is missing", "--annotator"]),
        (LONG, {**ROLES, "label": "who"}, ["'who' cannot be both annotator and label"]),
        (LONG.assign(who="a"), ROLES, ["all labels are by the annotator 'a'", "two labels"]),
        (LONG.assign(said="cat"), ROLES, ["'cat': at least two classes"]),
        (LONG.assign(who=["a", None, *"acbc"]), ROLES, ["annotators are missing in 1 of 6", "row 1"]),
        (LONG.assign(photo=[3, 3, 1, 1, 2, np.nan]), ROLES, ["items are missing in 1 of 6"]),
        (LONG.assign(photo=[None, 3, 1, 1, 2, 2], who=[None, *"bacbc"]), ROLES, ["2 faults", "items", "annotators"]),
        (LONG.assign(said=None), ROLES, ["'said' holds no labels"]),
        (
            pd.concat([LONG, LONG.iloc[[0]].assign(said="dog")]),
            ROLES,
            ["annotator 'a' gave item 3 two labels, 'cat' and 'dog'", "keep one"],
        ),
        (LONG, {"item": "photo"}, ["an item appears twice", "annotator, label"]),
        (
            pd.DataFrame({"id": [1, 2], "text": ["hello", "world"], "ann": ["x", "y"], "bob": ["x", "x"]}),
            {"item": "id"},
            ["no other column holds the values of 'text'"],
        ),
        ([["a", "b"], ["a"]], {}, ["must be a table"]),
        ("file.csv", {}, ["must be a table"]),
        (LONG.to_numpy(), ROLES, ["long table of annotations must be a DataFrame"]),
    ],
)
def test_bad_input_is_one_message(frame, roles, parts):
    with pytest.raises(hs.InputError) as caught:
        Annotations.of(frame, **roles)
    for part in parts:
        assert part in str(caught.value)


def test_measurements_are_no_classes():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"item": np.repeat(range(20), 3), "who": list("abc") * 20, "label": rng.normal(size=60)})
    roles = {"item": "item", "annotator": "who", "label": "label"}
    with pytest.raises(hs.InputError, match=r"60 different numbers for 20 items, which are no classes"):
        hs.Annotations.of(table, **roles)
    stars = table.assign(label=rng.integers(2, 11, 60) / 2)
    assert len(hs.Annotations.of(stars, **roles)) == 60
