"""Labels that are numbers written as text are read as the same numbers, or refused with advice that works."""

import numpy as np
import pandas as pd
import pytest
from support.errors import rejects

from hardsight import Samples

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
TARGET = (X[:, 0] * 1000 + 5000).round(2)


def with_commas(value):
    return f"{value:.2f}".replace(".", ",")


def european(value):
    whole, fraction = f"{value:,.2f}".split(".")
    return f"{whole.replace(',', '.')},{fraction}"


@pytest.mark.parametrize("container", [list, pd.Series, lambda values: np.array(values, dtype=object), np.array])
@pytest.mark.parametrize(
    "write",
    [with_commas, european, "{:.2f}".format, " {:.2f} ".format, "{:,.2f}".format, "{:.2f} kg".format, "${:.2f}".format],
    ids=["comma", "european", "point", "blanks", "thousands", "unit", "currency"],
)
def test_quantities_written_as_text_are_numbers(write, container):
    y = container([write(value) for value in TARGET])
    for task in ("auto", "regression"):
        samples = Samples.of(X, y, task=task)
        assert samples.regression
        np.testing.assert_allclose(samples.labels, TARGET)
    (notice,) = Samples.of(X, y).notices
    assert "holds numbers written as text" in notice
    assert "pass task='classification'" in notice
    assert not Samples.of(X, y, task="classification").regression


def test_a_few_words_among_numbers_are_named_with_their_rows():
    y = [*map(with_commas, TARGET[:-2]), "n/d", "n/d"]
    rejects(r"label 'label' holds numbers and also 'n/d' \(rows 58, 59\): write a number there", Samples.of, X, y)
    assert not Samples.of(X, y, task="classification").regression
    rejects(
        r"and also 'n/d' \(rows 58, 59\): write a number there, or leave the label empty$",
        Samples.of,
        X,
        y,
        task="regression",
    )
    named = pd.Series(y, name="price")
    rejects(r"label 'price' holds numbers and also 'n/d' \(rows 58, 59; ids", Samples.of, X, named, ids=np.arange(1, 61))
    rejects(r"holds numbers and also 'inf'", Samples.of, X, [*map(str, TARGET[:-1]), "inf"])


@pytest.mark.parametrize(
    "y",
    [
        [f"{value:.1f}" for value in np.arange(20) / 2] * 3,  # few different ones
        [f"{number}" for number in range(30)] * 2,  # integers are names
        [f"0{number}.5" for number in range(60)],  # leading zeros: codes
        [f"version {number}.5" for number in range(60)],
        [f"{number}.5" for number in range(60)] * 100,  # each occurs often
        [f"{number}.{letter}" for number in range(30) for letter in "ab"],
    ],
)
def test_names_stay_names(y):
    samples = Samples.of(np.arange(len(y)), y)
    assert set(samples.classes) == set(y)


def test_categories_stay_classes():
    y = pd.Series([f"{value:.2f}" for value in TARGET], dtype="category")
    assert len(Samples.of(X, y).classes) == 60
