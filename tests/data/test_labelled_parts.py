from dataclasses import replace

import numpy as np
import pytest

import hardsight as hs
from hardsight.data.labelled_parts import Parts, as_parts

WORDS = [[0.0], [1.0], [2.0], [3.0], [4.0]]


def word_samples() -> hs.Samples:
    return hs.Samples.of(WORDS, ["a", "b", "a", "b", "a"])


def test_parts_are_numbered_within_their_sample_in_order_if_they_have_no_names() -> None:
    parts = Parts.of(["x", "y", "x", "y", "x"], kind="token")
    assert parts.name.tolist() == [0, 0, 1, 1, 2]
    assert parts.ids.tolist() == ["x/0", "y/0", "x/1", "y/1", "x/2"]


def test_rows_become_parts_whose_samples_are_never_split() -> None:
    samples = as_parts(word_samples(), Parts.of([7, 7, 3, 3, 3]))
    assert samples.ids.tolist() == ["7/0", "7/1", "3/0", "3/1", "3/2"]
    codes = samples.groups
    assert codes is not None
    assert codes[0] == codes[1] != codes[2] == codes[3] == codes[4]
    taken = samples.take(np.array([4, 0])).parts
    assert taken is not None
    assert taken.ids.tolist() == ["3/2", "7/0"]


def test_groups_of_whole_samples_stay_groups() -> None:
    samples = replace(word_samples(), groups=np.array([0, 0, 0, 0, 1]))
    grouped = as_parts(samples, Parts.of([0, 0, 1, 1, 2])).groups
    assert grouped is not None
    assert grouped.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parts.of(["x", "x"], [1, 1], kind="box"), "each box of a sample must have its own name. Repeated: 'x/1'"),
        (lambda: Parts.of(["x/y", "x"], ["z", "y/z"]), "parts of different samples would have the same id, 'x/y/z': rename"),
        (lambda: Parts.of(["x", None]), "the sample of each part"),
        (lambda: as_parts(word_samples(), Parts.of([0, 1], kind="token")), "one token per row: got 2 for 5 rows"),
        (
            lambda: as_parts(replace(word_samples(), groups=np.arange(5)), Parts.of([0, 1, 2, 3, 3])),
            "a group must hold whole samples, but the parts of 1, such as 3",
        ),
    ],
)
def test_faults_are_named(make, message) -> None:
    with pytest.raises(hs.InputError, match=message):
        make()


@pytest.mark.slow
def test_a_measured_result_adds_up_by_sample(tmp_path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), rng.integers(0, 2, 120)
    X[:, 0] += 3 * y
    sample = rng.permutation(np.repeat(np.arange(40), 3))
    d = hs.measure(as_parts(hs.Samples.of(X, y), Parts.of(sample, kind="token")), learner="ridge", repeats=2)
    assert d.settings["part_name"] == "token"
    table = d.by_sample()
    of_7 = d.select(d.sample == 7)
    assert table.loc[7, "parts"] == 3
    for column in ("error", "bias", "variance", "noise", "imbalance", "margin", "uncertainty"):
        assert table.loc[7, column] == pytest.approx(of_7.table[column].sum(), abs=1e-12)
    assert table.loc[7, "n_wrong"] == pytest.approx(of_7.p_wrong.sum())
    assert table.loc[7, "p_any_wrong"] == pytest.approx(1 - np.prod(1 - of_7.p_wrong))
    assert table.loc[7, "worst"] == of_7.part[of_7.p_wrong.argmax()]
    assert table["error"].is_monotonic_decreasing
    d.save(tmp_path / "d.parquet")
    loaded = hs.Difficulty.load(tmp_path / "d.parquet")
    assert loaded.sample.tolist() == d.sample.tolist()
    assert loaded.part.tolist() == d.part.tolist()
    assert loaded.by_sample().equals(table)


def test_whole_samples_have_no_parts() -> None:
    d = hs.measure(WORDS * 4, ["a", "b", "a", "b", "a"] * 4, learner="ridge", repeats=2, duplicates="apart")
    with pytest.raises(hs.InputError, match="whole samples"):
        d.by_sample()
    assert "sample" not in d.table
