"""Difficulty from losses that the user has."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hardsight as hs
from hardsight.estimation.losses import _with_ledger

NAN = float("nan")
RNG = np.random.default_rng(0)
LOSSES = RNG.gamma(2.0, size=(6, 9))
LOSSES[np.arange(6)[:, None] % 3 == np.arange(9) // 3] = NAN
IMAGES = np.repeat(["a.jpg", "b.jpg", "c.jpg"], 3)


def test_errors_are_means_over_views_with_their_standard_errors() -> None:
    d = hs.measure_losses(LOSSES, [f"s{i}" for i in range(9)])
    np.testing.assert_allclose(d.error, np.nanmean(LOSSES, 0), rtol=1e-12)
    np.testing.assert_allclose(d.error_se, np.nanstd(LOSSES, 0, ddof=1) / 2, rtol=1e-12)
    assert d.loss_only
    assert d.ids.tolist()[:2] == ["s0", "s1"]
    assert d.hardest(1).index[0] == f"s{np.nanmean(LOSSES, 0).argmax()}"
    assert d.sample is None


def test_reliability_compares_halves_of_every_samples_own_views() -> None:
    # Views alternate between two sets of samples: by their number alone, all views of a sample would be in one half.
    losses = np.full((8, 40), NAN)
    losses[::2, :20] = losses[1::2, 20:] = RNG.normal(0, 0.1, (4, 20))
    losses += np.arange(40)
    assert hs.measure_losses(losses).run.reliability > 0.99


def test_parts_add_up_by_sample() -> None:
    d = hs.measure_losses(LOSSES, samples=IMAGES, kind="box")
    assert d.ids[:4].tolist() == ["a.jpg/0", "a.jpg/1", "a.jpg/2", "b.jpg/0"]
    assert d.run.part_name == "box"
    table = d.by_sample()
    sums = LOSSES.reshape(6, 3, 3).sum(2)
    for column, name in enumerate(["a.jpg", "b.jpg", "c.jpg"]):
        assert table.loc[name, "error"] == pytest.approx(np.nanmean(sums[:, column]))
        assert table.loc[name, "error_se"] == pytest.approx(np.nanstd(sums[:, column], ddof=1) / 2)


def test_a_long_table_is_the_same_as_an_array(tmp_path) -> None:
    view, row = np.nonzero(~np.isnan(LOSSES))
    table = pd.DataFrame({"view": view, "sample": IMAGES[row], "part": row % 3, "loss": LOSSES[view, row]})
    shuffled = table.sample(frac=1, random_state=1)
    whole = hs.measure_losses(LOSSES, samples=IMAGES)
    d = hs.measure_losses(shuffled).select(whole.ids)
    np.testing.assert_allclose(d.error, whole.error, rtol=1e-12)
    np.testing.assert_allclose(d.error_se, whole.error_se, rtol=1e-12)
    numbered = hs.measure_losses(table.drop(columns="part")).select(whole.ids)
    np.testing.assert_allclose(numbered.error, whole.error, rtol=1e-12)
    by_id = hs.measure_losses(table.assign(id=table["sample"] + table["part"].astype(str)).drop(columns=["sample", "part"]))
    assert by_id.sample is None
    assert len(by_id) == 9
    whole.save(tmp_path / "d.parquet")
    assert hs.load(tmp_path / "d.parquet").by_sample().equals(whole.by_sample())


def class_predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of two classes by four views, given labels of which every tenth is wrong, and losses of the place."""
    rng = np.random.default_rng(1)
    true = rng.integers(0, 2, 400)
    second = 1 / (1 + np.exp(-(6 * true - 3 + rng.normal(0, 1.0, 400) + rng.normal(0, 0.5, (4, 400)))))
    labels = np.where(np.arange(400) % 10 == 0, 1 - true, true)
    place = rng.gamma(1.0, 0.1, (4, 400))
    place[:, 5] += 4
    return np.stack([1 - second, second], -1), labels, place


@pytest.mark.slow
def test_predictions_of_classes_give_a_ledger_of_the_whole_loss() -> None:
    p, labels, place = class_predictions()
    losses = place - np.log(p[:, np.arange(400), labels])
    samples = np.arange(400) // 4
    d = hs.measure_losses(losses, samples=samples, kind="box", predictions=p, y=labels)
    np.testing.assert_allclose(d.error, losses.mean(0), rtol=1e-9)
    np.testing.assert_allclose(d.ledger.sum(1), d.error, atol=1e-9)
    np.testing.assert_allclose(d.bias + d.variance, d.error, atol=1e-9)
    classes = hs.measure_predictions(p, labels, samples=samples, kind="box")
    np.testing.assert_allclose(d.p_wrong, classes.p_wrong)
    assert d.p_wrong[::10].mean() > 0.8
    assert classes.cause[5] == "none"
    assert d.cause[5] == "margin"
    se = losses.reshape(4, 100, 4).sum(2).std(0, ddof=1) / 2
    np.testing.assert_allclose(d.by_sample()["error_se"].sort_index(), se, rtol=1e-9)


def test_where_size_decides_the_cause_it_is_the_size_of_terms_of_the_whole_loss() -> None:
    p, labels, place = class_predictions()
    of_class = hs.measure_predictions(p, labels)
    # A rare class explains most of its error, and little of the whole loss of the second of these rows.
    rows = np.flatnonzero((of_class.cause == "none") & (of_class.p_wrong < 0.1))[:2]
    cause, terms, error = of_class.cause.copy(), of_class.ledger.copy(), of_class.error.copy()
    cause[rows], terms[rows], error[rows] = "imbalance", [0.0, 1.0, 0.1, 0.1], 1.2
    of_class = replace(of_class, cause=cause, ledger=terms, error=error)
    place[:, rows] = [0.5, 4.0]
    d = hs.measure_losses(place + error)
    whole = _with_ledger(d, of_class)
    assert whole.cause[rows].tolist() == ["imbalance", "margin"]
    assert (whole.cause[cause == "noise"] == "noise").all()


@pytest.mark.slow
def test_pages_and_weights(tmp_path) -> None:
    p, labels, place = class_predictions()
    losses = place - np.log(p[:, np.arange(400), labels])
    plain = hs.measure_losses(LOSSES - 1, samples=IMAGES, kind="box")
    full = hs.measure_losses(losses, predictions=p, y=labels)
    for number, d in enumerate((plain, full)):
        d.report(tmp_path / f"{number}.html")
        d.review(tmp_path / f"review{number}.html")
        d.to_csv(tmp_path / f"{number}.csv")
        d.save(tmp_path / f"{number}.parquet")
        assert repr(hs.load(tmp_path / f"{number}.parquet")) == repr(d)
        assert len(hs.weigh(d, "superloss")) == len(d)


@pytest.mark.parametrize(
    ("losses", "notice"),
    [
        ([[1.0, 2.0, 3.0]], "single view: there are no standard errors"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, NAN]], "1 of 3 have a single view"),
        ([[1.0, -2.0, 3.0], [1.0, 2.0, 2.0]], "Some losses are negative"),
    ],
)
def test_notices(losses, notice) -> None:
    assert any(notice in each for each in hs.measure_losses(losses).run.notices)


def test_views_of_only_some_parts_are_told() -> None:
    losses = np.array([[1.0, NAN, 3.0, 1.0], [1.0, 2.0, 3.0, 1.0], [1.0, 2.0, 3.0, 1.0]])
    d = hs.measure_losses(losses, samples=["a", "a", "b", "b"], kind="box")
    assert "In 1 of 2 samples some views hold the loss of one box but not of another" in d.run.notices[0]
    assert np.isnan(d.by_sample().loc["a", "error_se"])
    assert d.by_sample().loc["b", "error_se"] == 0


GOOD = [[1.0, 2.0], [1.0, 2.0]]
FRAME = pd.DataFrame({"view": [0, 1], "id": ["a", "a"], "loss": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("call", "messages"),
    [
        (lambda: hs.measure_losses([1.0, 2.0]), ["losses must have shape (view, sample)", "losses[None]"]),
        (lambda: hs.measure_losses([[]]), ["losses must have shape"]),
        (lambda: hs.measure_losses([["x"]]), ["losses must be numbers"]),
        (
            lambda: hs.measure_losses([[1.0, NAN, np.inf], [NAN, NAN, NAN]], ["a", "a", "b"]),
            ["ids must be unique", "1 have none, such as 1", "View 1 has none", "the first in view 0, sample 2"],
        ),
        (lambda: hs.measure_losses(GOOD, ["a"]), ["2 samples, 1 ids"]),
        (
            lambda: hs.measure_losses(GOOD, ["a", "b"], samples=["x"], kind="box"),
            ["leave out ids", "one value per box: got 1 for 2"],
        ),
        (lambda: hs.measure_losses(GOOD, samples=["x", "x"], parts=[1, 1], kind="box"), ["Repeated: 'x/1'"]),
        (lambda: hs.measure_losses(GOOD, parts=[1, 2]), ["pass samples=…"]),
        (
            lambda: hs.measure_losses(GOOD, samples=pd.Series(list("xy")), parts=pd.Series([1, 2], index=[1, 0])),
            ["samples and parts have different indexes"],
        ),
        (lambda: hs.measure_losses(GOOD, samples=3), ["samples must be a sequence"]),
        (lambda: hs.measure_losses(GOOD, y=[0, 1]), ["y go with predictions of classes"]),
        (lambda: hs.measure_losses(GOOD, scores=GOOD), ["no argument 'scores'"]),
        (lambda: hs.measure_losses(GOOD, predictions=[[[0.5, 0.5]] * 2] * 2), ["y is missing"]),
        (
            lambda: hs.measure_losses([[0.1, 2.0]] * 2, predictions=[[[0.5, 0.5]] * 2] * 2, y=[0, 1]),
            ["losses must contain the log-loss of the class. 1 are lower, such as 0.1 of 0, whose class alone has 0.693"],
        ),
        (lambda: hs.measure_losses(GOOD, predictions=[[[0.5, 0.5]]] * 2, y=[0, 1]), ["must have shape (2, 2, class)"]),
        (
            lambda: hs.measure_losses(GOOD, predictions=[[[5.0, -3.0]] * 2] * 2, y=[0, 1], outputs="probabilities"),
            ["within 0 and 1"],
        ),
        (lambda: hs.measure_losses(GOOD, predictions=[[[5.0, -3.0]] * 2] * 2, y=[0, 2], classes=[0, 1]), ["y holds [2]"]),
        (lambda: hs.measure_losses(FRAME.assign(view=0)), ["one loss per sample. Repeated: 'a'"]),
        (
            lambda: hs.measure_losses(pd.DataFrame({"view": [0, 0, 1], "sample": list("aaa"), "loss": [1.0, 2.0, 2.0]})),
            ["column 'part' is missing, and 'a' has 1 losses in one view and 2 in another: name the part of every loss"],
        ),
        (lambda: hs.measure_losses(FRAME.drop(columns="id")), ["'id'"]),
        (lambda: hs.measure_losses(FRAME.rename(columns={"loss": "giou"})), ["no column 'loss'"]),
        (lambda: hs.measure_losses(FRAME, ["a"]), ["names its samples itself"]),
        (lambda: hs.measure_losses(FRAME.assign(view=[0, None])), ["some are missing"]),
        (lambda: hs.measure_losses(GOOD, features=[[1.0]]), ["features must have shape (2, feature)"]),
    ],
)  # fmt: skip
def test_faults_are_named(call, messages) -> None:
    with pytest.raises(hs.InputError) as caught:
        call()
    for message in messages:
        assert message in str(caught.value)


def test_columns_of_a_frame_name_the_samples():
    losses = np.random.default_rng(0).gamma(2, size=(4, 3))
    frame = pd.DataFrame(losses, columns=["a.jpg", "b.jpg", "c.jpg"])
    d = hs.measure_losses(frame)
    assert d.ids.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    np.testing.assert_allclose(d.error, losses.mean(0))
    assert hs.measure_losses(frame, ids=["x", "y", "z"]).ids.tolist() == ["x", "y", "z"]
    assert hs.measure_losses(frame, samples=["x", "x", "y"]).sample.tolist() == ["x", "x", "y"]
    assert hs.measure_losses(pd.DataFrame(losses)).ids.tolist() == [0, 1, 2]
    with pytest.raises(hs.InputError, match=r"pass losses\.T if samples are its rows"):
        hs.measure_losses(pd.DataFrame(losses.T, index=["a.jpg", "b.jpg", "c.jpg"]))
    with pytest.raises(hs.InputError, match=r"ids must be unique"):
        hs.measure_losses(frame.set_axis(["a", "a", "b"], axis=1))


def test_several_labels_per_row_are_refused():
    rng = np.random.default_rng(0)
    losses, predictions = rng.gamma(2, size=(3, 8)), rng.random((3, 8, 2))
    with pytest.raises(hs.InputError, match=r"several labels per row"):
        hs.measure_losses(losses, predictions=predictions, y=[[0, 1], [1, 1]] * 4)
