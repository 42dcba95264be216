"""The second estimate in whole runs: where it is tried, that nothing else changes, and that it is kept."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_wine
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

import hardsight as hs
from hardsight.cli import main
from hardsight.cli.summary import summary_json
from hardsight.errors import InputError
from hardsight.learners import NeighboursLeaveOneOut, capabilities_of
from hardsight.reporting.summary import findings

X, Y = load_wine(return_X_y=True)
PIXELS, DIGITS = (values[:600] for values in load_digits(return_X_y=True))
QUICK = hs.Network(hidden=(16,), epochs=10)


@pytest.fixture(scope="module")
def pair():
    return tuple(
        hs.measure(PIXELS, DIGITS, learner=QUICK, repeats=4, estimate=hs.Estimate(adjusted=adjusted))
        for adjusted in (False, None)
    )


@pytest.mark.slow
def test_it_ranks_nearer_to_many_models(pair):
    gold = hs.measure(PIXELS, DIGITS, learner=QUICK, repeats=40, seed=9, estimate=hs.Estimate(adjusted=False)).error
    agreement = [spearmanr(values, gold).statistic for values in (pair[1].error, pair[1].adjusted)]
    assert agreement[1] > agreement[0] + 0.005
    about = pair[1].settings["adjusted"]
    assert about["gain"] > 2 * about["gain_se"] > 0


def test_nothing_else_changes(pair):
    off, on = pair
    assert off.adjusted is None
    assert off.settings.pop("adjusted") == {"gain": None, "gain_se": None, "why": "not asked for"}
    assert {**on.settings, "adjusted": None} == {**off.settings, "adjusted": None}
    # The score of everything reads the in-sample losses, too.
    before, after = off.table.drop(columns="hardness"), on.table.drop(columns=["hardness", "adjusted"])
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    np.testing.assert_array_equal(off.consensus, on.consensus)


def test_tables_and_selections_carry_it(pair):
    d = pair[1]
    np.testing.assert_array_equal(d.table["adjusted"], d.adjusted)
    some = d.select(d.ids[[5, 2]])
    np.testing.assert_array_equal(some.adjusted, d.adjusted[[5, 2]])
    assert pair[0].select(d.ids[[5, 2]]).adjusted is None


def test_files_with_and_without_it_load(pair, tmp_path):
    for d in pair:
        d.save(tmp_path / "d.parquet")
        again = hs.load(tmp_path / "d.parquet")
        assert (again.adjusted is None) == (d.adjusted is None)
        pd.testing.assert_frame_equal(again.table, d.table, check_exact=True)
    np.testing.assert_array_equal(again.adjusted, pair[1].adjusted)


@pytest.mark.slow
def test_one_line_says_so(pair, tmp_path):
    messages = [line for line in findings(pair[1]) if line.startswith("The column adjusted also uses")]
    assert len(messages) == 1
    assert f"{pair[1].settings['adjusted']['gain']:.3f}" in messages[0]
    assert not any("djusted" in line for line in findings(pair[0]))
    pair[1].report(tmp_path / "r.html")
    assert "The column adjusted also uses" in (tmp_path / "r.html").read_text()
    json.dumps(summary_json(pair[1], hardest=2, seconds=0.0, files={}), allow_nan=False)


@pytest.mark.slow
def test_models_that_memorise_are_refused():
    d = hs.measure(PIXELS, DIGITS, learner=DecisionTreeClassifier(), repeats=2, estimate=hs.Estimate(adjusted=True))
    assert d.adjusted is None
    assert "memorised" in d.settings["adjusted"]["why"]
    assert d.settings["adjusted"]["gain"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "more, why",
    [
        ({"learner": "forest"}, "does not predict its training samples"),
        ({"learner": "ridge", "splits": "loo"}, "leave-one-out"),
        ({"learner": "ridge", "loss": "zero-one"}, "too coarse"),
    ],
)
def test_where_it_cannot_be_had(more, why):
    assert why in hs.measure(X, Y, repeats=None, **more).settings["adjusted"]["why"]
    with pytest.raises(InputError, match=why):
        hs.measure(X, Y, **more, estimate=hs.Estimate(adjusted=True))


def test_it_is_not_tried_where_it_may_be_dear():
    assert "adjusted=True asks for it" in hs.measure(X, Y, learner=GaussianNB(), repeats=2).settings["adjusted"]["why"]
    asked = hs.measure(X, Y, learner=GaussianNB(), repeats=2, estimate=hs.Estimate(adjusted=True))
    assert "Spearman" in asked.settings["adjusted"]["why"]


def test_learners_that_offer_it():
    assert capabilities_of(hs.Network()).predicts_in_sample
    assert capabilities_of(hs.Ridge()).predicts_in_sample
    assert not capabilities_of(NeighboursLeaveOneOut()).predicts_in_sample


def test_numbers_to_predict():
    rng = np.random.default_rng(0)
    d = hs.measure(X, X[:, 0] + rng.normal(size=178) * 0.3, learner="ridge", repeats=2, estimate=hs.Estimate(adjusted=True))
    assert d.settings["adjusted"]["gain"] is not None
    assert d.adjusted is None or (d.adjusted > 0).all()


@pytest.mark.slow
def test_random_subsets_too():
    d = hs.measure(X, Y, learner="ridge", splits=hs.Subsets(40, 0.5), estimate=hs.Estimate(adjusted=True))
    assert d.settings["adjusted"]["gain"] is not None
    few = hs.measure(X, Y, learner="ridge", splits=hs.Subsets(8, 0.4), estimate=hs.Estimate(adjusted=True), seed=1)
    assert "both halves" in few.settings["adjusted"]["why"]


@pytest.mark.slow
def test_a_resumed_run_has_the_same_adjusted_errors(tmp_path):
    run, path = {"learner": QUICK, "repeats": 10}, tmp_path / "p.npz"
    whole = hs.measure(PIXELS, DIGITS, **run)
    again = hs.measure(PIXELS, DIGITS, **run, execution=hs.Execution(checkpoint=path, resume=True))
    np.testing.assert_array_equal(whole.adjusted, again.adjusted)
    with pytest.raises(InputError, match="whether errors are adjusted changed since"):
        hs.measure(
            PIXELS, DIGITS, **run, execution=hs.Execution(checkpoint=path, resume=True), estimate=hs.Estimate(adjusted=False)
        )


@pytest.mark.slow
def test_the_command_line(tmp_path):
    np.savez(tmp_path / "w.npz", X=X, y=Y)
    command = ["measure", str(tmp_path / "w.npz"), "--learner", "ridge", "--out", str(tmp_path), "--quiet"]
    done = CliRunner().invoke(main, [*command, "--budget", "10 models", "--adjusted"])
    assert done.exit_code == 0, done.output
    assert "Splits: 5 folds × 2 repeats (for 10 models)" in " ".join(done.output.split())
    assert "Spearman" in hs.load(tmp_path / "difficulty.parquet").settings["adjusted"]["why"]
    done = CliRunner().invoke(main, [*command, "--budget", "2 models"])
    assert done.exit_code == 1
    assert "budget must be" in done.output
