"""From a difficulty to weights: mean one, clipped, refused where a scheme cannot be used."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from support.untyped_calls import printed

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.from_difficulty import _clip
from website.weights_page import PAGE, refresh


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
    cut = _clip(raw, clip)
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


@pytest.mark.parametrize(
    ("scheme", "given"),
    [
        ("class-balanced", {"sizes": [59, 71, 48]}),
        ("jtt", {"lam": 3.0, "first": np.arange(178) % 2.0}),
        ("spl-diversity", {"lam": 0.5, "gamma": 0.5, "groups": np.arange(178) % 3}),
        ("co-teaching", {"rate": 0.2, "epoch": 3, "peer": np.linspace(0, 1, 178)}),
        ("cdb", {"class_error": [0.1, 0.2, 0.3]}),
    ],
)
def test_inputs_are_arrays_of_any_library(wine, scheme, given):
    def of(kind):
        return hs.weigh(wine, scheme, **{n: kind(v) if isinstance(v, list | np.ndarray) else v for n, v in given.items()})

    expected = of(lambda value: torch.tensor(np.asarray(value)))
    for kind in (np.asarray, lambda value: list(np.asarray(value)), pd.Series):
        np.testing.assert_array_equal(of(kind), expected)


@pytest.mark.parametrize(
    ("scheme", "given", "name", "rows"),
    [
        ("co-teaching", {"rate": 0.2, "epoch": 3, "peer": torch.rand(50)}, "peer", "50"),
        ("jtt", {"lam": 3.0, "first": torch.arange(228) % 2}, "first", "228"),
        ("focal", {"p": torch.rand(50)}, "p", "50"),
        ("class-balanced", {"labels": torch.zeros(5, dtype=torch.int64)}, "labels", "5"),
        ("spl-diversity", {"lam": 0.5, "gamma": 0.5, "groups": 0}, "groups", "no"),
    ],
)
def test_inputs_have_one_row_per_sample(wine, scheme, given, name, rows):
    with pytest.raises(InputError, match=f"^{name} must have one row per sample.* Got {rows} rows; the difficulty has 178"):
        hs.weigh(wine, scheme, **given)


WRONG_KINDS = """
import torch
from sklearn.datasets import load_wine
d = hs.measure(*load_wine(return_X_y=True), learner="ridge", folds=3, repeats=2)
for of, scheme, given in (
    (d.error, "gce", {}), (d, None, {}), (d, hs.SCHEMES["gce"], {}), (d, "gce", {"clip": "5"}), (d, "gce", {"q": "a"}),
    (d, "class-balanced", {"sizes": ["many", "few", "none"]}), (d, "auto", {"certain": torch.ones(3)}),
    (d, "gce", {"seed": None}),
):
    tried(hs.weigh, of, scheme, **given)
of_epoch = {"epoch": 1.0, "epochs": 10.0}
assert (hs.weigh(d, "infobatch", seed=np.int64(3), **of_epoch) == hs.weigh(d, "infobatch", seed=3, **of_epoch)).all()
"""


@pytest.mark.slow
def test_arguments_of_a_wrong_kind_are_named():
    for line, expected in zip(
        printed(WRONG_KINDS),
        (
            "hs.weigh needs a Difficulty, the result of hs.measure. Got ndarray: measure first",
            "scheme must be the name of a scheme, such as 'superloss'. Got None",
            "scheme must be the name of a scheme, such as 'superloss'. Got Scheme",
            "clip must be a number, such as 2. Got '5'",
            "q must be a number, such as 2. Got 'a'",
            "sizes must be numbers: number of samples of each class in the data set; (class,). Got list of",
            "certain must have one value per sample, like p_wrong (178,). Got (3,)",
            "seed must be an integer. Got None",
        ),
        strict=True,
    ):
        assert expected in line


def test_the_pages_tables_are_those_of_the_schemes():
    page = PAGE.read_text(encoding="utf-8")
    assert refresh(page) == page, "run python -m website.weights_page"
