"""Predictions that a user has of samples with several labels, and witnesses of such samples."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

import hardsight as hs

NAMES = ["cat", "dog", "outdoors"]


def make_predictions(n=200, flips=0.1, seed=0):
    """Return log-odds of having each label, (view, sample, label), flipped labels, and where they are flipped."""
    rng = np.random.default_rng(seed)
    true = rng.random((n, 3)) < [0.5, 0.3, 0.4]
    flipped = rng.random(true.shape) < flips
    log_odds = np.where(true, 2.0, -2.0) + rng.normal(size=(4, n, 3))
    return log_odds, (true ^ flipped).astype(int), flipped


def test_each_label_has_the_errors_of_its_own_predictions():
    log_odds, Y, flipped = make_predictions()
    d = hs.measure_predictions(expit(log_odds), pd.DataFrame(Y, columns=NAMES))
    assert len(d) == Y.size
    assert d.classes == ("no", "yes")
    for column, name in enumerate(NAMES):
        pairs = np.stack([expit(-log_odds[:, :, column]), expit(log_odds[:, :, column])], -1)
        alone = hs.measure_predictions(pairs, Y[:, column])
        rows = d.part == name
        for field in ("error", "bias", "variance", "error_se", "n_views", "labels", "predicted"):
            np.testing.assert_allclose(getattr(d, field)[rows], getattr(alone, field), atol=1e-12)
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, atol=1e-9)
    assert average_precision_score(flipped.ravel(), d.p_wrong) > 0.9
    assert abs(d.p_wrong.mean() - flipped.mean()) < 0.03
    np.testing.assert_allclose(d.by_sample().loc[range(200), "error"], d.error.reshape(Y.shape).sum(1))


@pytest.mark.parametrize("form", ["log-odds", "log-probabilities", "frames", "reordered", "lists", "features"])
def test_every_form_gives_the_same_errors(form):
    log_odds, Y, _ = make_predictions()
    p = expit(log_odds)
    expected = hs.measure_predictions(p, pd.DataFrame(Y, columns=NAMES)).table["error"]
    y, options = pd.DataFrame(Y, columns=NAMES), {}
    if form == "log-odds":
        p = log_odds
    elif form == "log-probabilities":
        p, options = np.log(p), {"outputs": form}
    elif form == "frames":
        p = [pd.DataFrame(view, columns=NAMES)[NAMES[::-1]] for view in p]
    elif form == "reordered":
        p, options = p[:, :, [2, 0, 1]], {"classes": ["outdoors", "cat", "dog"]}
    elif form == "lists":
        y = [[name for name, has in zip(NAMES, row, strict=True) if has] for row in Y]
    else:
        options = {"features": log_odds[0]}
    errors = hs.measure_predictions(p, y, **options).table["error"]
    np.testing.assert_allclose(errors, expected.loc[errors.index], atol=1e-9)


def test_unknown_labels_and_views_that_saw_a_sample_are_left_out():
    log_odds, Y, _ = make_predictions()
    Y = Y.astype(float)
    Y[:5] = np.nan
    Y[7, 1] = np.nan
    held_out = np.ones(log_odds.shape[:2], dtype=bool)
    held_out[0, 10] = False
    log_odds[0, 10] = np.nan
    d = hs.measure_predictions(log_odds, Y, held_out=held_out, ids=[f"s{i}" for i in range(200)])
    assert len(d) == 3 * 195 - 1
    assert d.table.loc["s10/0", "views"] == 3
    assert "s7/1" not in d.ids
    assert any("5 of 200 samples have no label" in notice for notice in d.run.notices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, Y: (p[0], Y, {}), r"put the axis of views first"),
        (lambda p, Y: (p[:, :, :2], Y, {}), r"2 columns, and y has the 3 labels"),
        (lambda p, Y: (p[:, :50], Y, {}), r"with 200 samples"),
        (lambda p, Y: (p, Y, {"outputs": "probabilities"}), r"within 0 and 1"),
        (lambda p, Y: (p, Y, {"outputs": "log-probabilities"}), r"0 or less"),
        (lambda p, Y: (p, Y, {"classes": ["a", "b", "b"]}), r"once"),
        (lambda p, Y: (p, Y, {"classes": ["a", "b", "c"]}), r"no column for"),
        (lambda p, Y: (np.where(np.arange(3) == 1, np.nan, p), Y, {}), r"finite.*'0/1'|finite.*0/1"),
        (lambda p, Y: (p, Y, {"samples": range(200)}), r"leave them out"),
        (lambda p, Y: (p, Y, {"held_out": np.zeros((4, 200), dtype=bool)}), r"held_out must be True"),
        (lambda p, Y: (p, Y, {"ids": [0] * 200}), r"ids"),
        (lambda p, Y: (p, np.where(Y == 1, 2, Y), {}), r"0 or 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    log_odds, Y, _ = make_predictions()
    p, y, options = change(log_odds, Y)
    with pytest.raises(hs.InputError, match=message) as raised:
        hs.measure_predictions(p, y, **options)
    assert "\n" not in str(raised.value)


# Witnesses


@pytest.fixture(scope="module")
def scene():
    """Features that say little, labels with flips, and what an independent tagger says."""
    rng = np.random.default_rng(1)
    true = rng.random((200, 3)) < 0.4
    flipped = rng.random(true.shape) < 0.15
    X = true + rng.normal(size=true.shape) * 0.6
    says = expit(np.where(true, 2.5, -2.5) + rng.normal(size=true.shape))
    return X, pd.DataFrame((true ^ flipped).astype(int), columns=NAMES), flipped, says


def measured(X, Y, witness=None):
    return hs.measure(X, Y, learner="logistic", folds=3, repeats=2, refine=False, witness=witness)


def test_a_witness_of_every_label_finds_more_wrong_ones(scene):
    X, Y, flipped, says = scene
    without, with_it = measured(X, Y), measured(X, Y, says)
    precision = [average_precision_score(flipped.ravel(), d.p_wrong) for d in (without, with_it)]
    assert precision[1] > precision[0] + 0.1
    np.testing.assert_array_equal(without.error, with_it.error)
    assert any("The witness is right in an estimated" in notice for notice in with_it.run.notices)


@pytest.mark.parametrize("form", ["frame", "lists", "hard", "reordered rows", "some missing"])
def test_every_form_of_a_witness_is_matched(scene, form):
    X, Y, _, says = scene
    X, frame = pd.DataFrame(X), pd.DataFrame(says, columns=NAMES)
    hard = (says > 0.5).astype(int)
    witness, reference = {
        "frame": (frame[NAMES[::-1]], says),
        "lists": ([[name for name, has in zip(NAMES, row, strict=True) if has] for row in hard], hard),
        "hard": (hard.astype(bool), hard),
        "reordered rows": (frame.set_axis([f"s{i}" for i in range(200)]).sample(frac=1, random_state=0), says),
        "some missing": (
            frame.mask(np.arange(200)[:, None] + np.zeros(3) <= 10),
            np.where(np.arange(200)[:, None] > 10, says, np.nan),
        ),
    }[form]
    X.index = Y.index = [f"s{i}" for i in range(200)] if form == "reordered rows" else range(200)
    p_wrong = [measured(X, Y, each).p_wrong for each in (witness, reference)]
    np.testing.assert_allclose(*p_wrong, atol=1e-9)
    Y.index = range(200)


def test_predictions_as_given_take_witnesses_of_labels_too():
    log_odds, Y, flipped = make_predictions()
    says = expit(np.where(Y ^ flipped, 2.5, -2.5))
    d = hs.measure_predictions(log_odds * 0.3, Y, witness=says)
    assert average_precision_score(flipped.ravel(), d.p_wrong) > 0.95


@pytest.mark.parametrize(
    ("witness", "message"),
    [
        (lambda says: says[:, :2], "3 labels"),
        (lambda says: says * 5, "from 0 to 1"),
        (lambda says: says[:100], "200 samples"),
        (lambda says: pd.DataFrame(says, columns=["cat", "dog", "tree"]), "outdoors"),
        (lambda says: [["cat"], ["tree"]] * 100, "tree"),
        (lambda says: says * np.nan, "all its values are missing"),
        (lambda says: {"a": says, "b": says}, "same answers"),
    ],
)
def test_witnesses_of_labels_that_do_not_fit_are_refused(scene, witness, message):
    X, Y, _, says = scene
    with pytest.raises(hs.InputError, match=message):
        measured(X, Y, witness(says))


@pytest.mark.parametrize("as_frame", [False, True])
def test_a_witness_may_have_a_row_per_row_of_the_data_where_some_have_no_label(as_frame):
    log_odds, Y, _ = make_predictions()
    Y, witness = Y.astype(float), expit(log_odds[0] + 1)
    Y[:5] = np.nan
    labelled = np.arange(200) >= 5
    measure_again = [
        lambda y, witness, rows: hs.measure_predictions(log_odds[:, rows], y, witness=witness),
        lambda y, witness, rows: hs.measure(
            log_odds[0, rows], y, learner="logistic", folds=2, repeats=2, refine=False, witness=witness
        ),
    ]
    names = [f"r{row}" for row in range(200)]
    data = [pd.DataFrame(each, index=names) if as_frame else each for each in (Y, witness)]
    for measure in measure_again:
        all_rows = measure(*data, np.arange(200))
        assert all_rows.run.witnesses[0]["n_answers"] == 3 * 195
        np.testing.assert_allclose(
            all_rows.p_wrong, measure(Y[labelled], witness[labelled], np.flatnonzero(labelled)).p_wrong
        )
