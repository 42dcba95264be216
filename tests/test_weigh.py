"""From a difficulty to weights: mean one, clipped, refused where a scheme cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.of_difficulty import _clipped


@pytest.fixture(scope="module")
def wine():
    return hs.measure(*load_wine(return_X_y=True), learner="ridge", folds=3, repeats=2)


def test_the_weights_are_the_formulas_with_mean_one(wine):
    weights = hs.weigh(wine, "spl-linear", lam=0.5)
    by_hand = np.maximum(0, 1 - wine.error / 0.5)
    assert weights.dtype == np.float64
    np.testing.assert_allclose(weights, by_hand / by_hand.mean(), rtol=1e-12)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=30), st.floats(1.01, 5))
def test_cut_weights_keep_their_mean_and_order(values, clip):
    raw = np.array(values) / np.mean(values)
    cut = _clipped(raw, clip)
    assert cut.max() <= clip * (1 + 1e-9)
    np.testing.assert_allclose(cut.mean(), 1)
    assert (np.diff(cut[np.argsort(raw)]) >= -1e-9).all()


def test_what_cannot_be_used_is_refused_with_the_mend(wine):
    with pytest.raises(InputError, match="do you mean 'spl-linear'"):
        hs.weigh(wine, "spl-linaer", lam=1)
    with pytest.raises(InputError, match="pass lam="):
        hs.weigh(wine, "spl-linear")
    with pytest.raises(InputError, match="do you mean 'lam'"):
        hs.weigh(wine, "spl-linear", lan=1)
    with pytest.raises(InputError, match="lam must be above 0"):
        hs.weigh(wine, "spl-linear", lam=0)
    with pytest.raises(InputError, match="clip must be above 1"):
        hs.weigh(wine, "spl-linear", lam=1, clip=0.5)
    with pytest.raises(InputError, match="no sample any weight"):
        hs.weigh(wine, "spl-hard", lam=0)


def test_every_scheme_says_all_that_must_be_known_of_it():
    for name, scheme in hs.SCHEMES.items():
        told = scheme.described()
        assert told["name"] == name
        assert all(told[field] for field in ("what", "formula", "scale", "source", "reads", "normalised")), name
        assert getattr(hs.weights, scheme.function.__name__) is scheme.function
        assert set(scheme.reads) <= set(hs.weights.INPUTS), name
        assert scheme.function.__doc__, name


def test_the_page_shows_every_row():
    page = (Path(__file__).parent.parent / "docs" / "weights.md").read_text(encoding="utf-8")
    for row in hs.SCHEMES.values():
        cells = (f"`{row.name}`", row.what, row.formula, row.priority, row.kind, ", ".join(row.reads), row.source)
        line = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        assert line in page, line
