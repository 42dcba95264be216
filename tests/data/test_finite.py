"""Numbers that users pass are checked at every entry point: infinite ones, those beyond float32, empty columns."""

import re

import numpy as np
import pytest

import hardsight as hs
from hardsight.data.finite import check_finite

RNG = np.random.default_rng(0)
N = 40
VECTORS, LABELS = RNG.normal(size=(N, 3)), np.arange(N) % 2
OTHERS = RNG.normal(size=(N, 3))
LOSSES, PREDICTIONS = RNG.gamma(2, size=(3, N)), RNG.dirichlet([1, 1], (3, N))
SEVERAL, TEXTS = RNG.integers(0, 2, (N, 2)), [f"text {i}" for i in range(N)]
# Entry points, what messages call their numbers, and whether NaN means a missing value there.
ENTRIES = {
    "vectors": (lambda values: hs.Samples.of(values, LABELS), "X", True),
    "images": (lambda values: hs.Samples.of(values.reshape(N, 3, 1), LABELS), "X", False),
    "embedding": (lambda values: hs.Samples.of(TEXTS, LABELS, embedding=values), "embedding", False),
    "features of losses": (lambda values: hs.measure_losses(LOSSES, features=values), "features", True),
    "features of predictions": (
        lambda values: hs.measure_predictions(PREDICTIONS, LABELS, features=values), "features", True,
    ),
    "features of several labels": (
        lambda values: hs.measure_predictions(RNG.random((3, N, 2)), SEVERAL, features=values), "features", True,
    ),
    "pairs": (lambda values: hs.measure_preferences(values, OTHERS, repeats=2), "chosen", True),
    "embedding of pairs": (
        lambda values: hs.measure_preferences(TEXTS, TEXTS[::-1], embedding=(values, OTHERS), repeats=2),
        "embedding", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, np.nan])
def test_every_entry_point_refuses_what_is_not_finite(entry, value):
    call, name, allow_missing = ENTRIES[entry]
    values = VECTORS.copy()
    values[5, 1] = values[7, 0] = value
    if allow_missing and np.isnan(value):
        assert call(values) is not None
        return
    with pytest.raises(hs.InputError, match=rf"{name} must be finite in float32. Got \S+ at \[5, 1(, 0)?\] \(and 1 more\)"):
        call(values)


@pytest.mark.parametrize("entry", [name for name, (_, _, allow_missing) in ENTRIES.items() if allow_missing])
def test_every_entry_point_refuses_a_column_without_values(entry):
    call, name, _ = ENTRIES[entry]
    values = VECTORS.copy()
    values[:, 2] = np.nan
    with pytest.raises(hs.InputError, match=re.escape(f"column 2 of {name} has no value in any of {N} rows: drop it")):
        call(values)


def test_one_value_is_named_alone():
    with pytest.raises(hs.InputError, match=r"Got inf at \[1, 0\]: fix the values$"):
        check_finite("X", np.array([[1.0], [np.inf]]), allow_missing=False)
