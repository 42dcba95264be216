"""The share of the data that models leave out, by which the ledger tells what they share for want of data."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.naive_bayes import GaussianNB

import hardsight as hs
from hardsight.estimation import assemble

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = (X + rng.normal(size=(60, 3)) > 0).astype(int)


@pytest.fixture
def shares(monkeypatch):
    """Return the shares that ledgers are computed with."""
    received = []
    compute = assemble.ledger

    def record(*args, left_out, **options):
        received.append(round(left_out, 6))
        return compute(*args, left_out=left_out, **options)

    monkeypatch.setattr(assemble, "ledger", record)
    return received


@pytest.mark.parametrize(
    ("y", "options", "expected"),
    [
        (Y[:, 0], {"learner": GaussianNB(), "folds": 4, "repeats": 2}, [0.25]),
        (Y[:, 0], {"learner": GaussianNB(), "splits": hs.Subsets(20, 0.5)}, [0.5]),
        # One model per label, fold and repeat.
        (Y, {"learner": GaussianNB(), "folds": 4, "repeats": 2}, [0.25] * 3),
        # Trees leave samples out, but forests differ by random numbers alone.
        (Y[:, 0], {"learner": "forest", "repeats": 2}, [1.0]),
        # So do models that leave out the same sample.
        (Y[:, 0], {"learner": GaussianNB(), "splits": "loo", "repeats": 2}, [1.0]),
    ],
)
def test_the_share_is_that_of_the_splits(shares, y, options, expected):
    hs.measure(X, y, refine=False, progress=False, **options)
    assert shares == expected


def test_folds_of_predictions_of_several_labels_count(shares):
    log_odds = X + 0.3 * rng.normal(size=(2, 60, 3))
    hs.measure_predictions(log_odds, Y, folds=5)
    hs.measure_predictions(log_odds, Y)
    held_out = np.arange(60) % 4 == np.arange(8)[:, None] % 4
    hs.measure_predictions(np.tile(log_odds, (4, 1, 1)), Y, held_out=held_out)
    assert shares == [0.2] * 3 + [1.0] * 3 + [0.25] * 3
    with pytest.raises(hs.InputError, match="folds must be 2 or more"):
        hs.measure_predictions(log_odds, Y, folds=1)


def test_log_probabilities_of_several_labels_that_pass_for_log_odds_have_a_notice():
    log_prob = np.log(expit(X + 0.3 * rng.normal(size=(2, 60, 3))))
    assert any("log-probabilities" in notice for notice in hs.measure_predictions(log_prob, Y).run.notices)
    named = hs.measure_predictions(log_prob, Y, outputs="logits")
    assert not any("log-probabilities" in notice for notice in named.run.notices)
