"""Several labels per sample: one model for all, a ledger per label that adds up, and flipped entries found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

import hardsight as hs
from hardsight.estimation.other_labels import predict_from_others
from hardsight.learners.label_sets import EstimatorOfLabels, LabelsApart, NetworkOfLabels
from hardsight.learners.registry import choose
from hardsight.reporting.answer import answer
from hardsight.reporting.report.examples import example_cards
from hardsight.reporting.report.thumbnails import make_thumbnails
from hardsight.reporting.review.page_data import pack_samples
from hardsight.reporting.review.sample_view import SampleView


def make_data(n=150, flips=0.1, seed=0):
    """Return features, flipped labels that depend on them, and where they are flipped."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    Y = (X[:, :3] + X[:, 3:] > 0).astype(int)
    flipped = rng.random(Y.shape) < flips
    return X, np.where(flipped, 1 - Y, Y), flipped


@pytest.fixture(scope="module")
def measured():
    X, Y, flipped = make_data()
    return hs.measure(X, Y, learner=hs.Network(epochs=120), folds=3, repeats=2), Y, flipped


def test_every_entry_has_an_error_whose_ledger_adds_up(measured):
    d, Y, _ = measured
    assert len(d) == Y.size
    assert (d.labels.reshape(Y.shape) == Y).all()
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, atol=1e-9)
    by_sample = d.by_sample()
    np.testing.assert_allclose(by_sample["error"].sort_index(), d.error.reshape(Y.shape).sum(1))
    assert np.isfinite(by_sample["error_se"]).all()
    assert d.run.part_name == "label"
    assert d.run.n_models == 6


def test_flipped_entries_are_found(measured):
    d, _, flipped = measured
    assert average_precision_score(flipped.ravel(), d.p_wrong) > 0.8
    assert abs(d.p_wrong.mean() - flipped.mean()) < 0.05


@pytest.mark.parametrize("scheme", ["auto", "balanced", "class-balanced", "instance-hardness-threshold"])
def test_classes_are_balanced_in_each_label_by_itself(scheme):
    X, Y, _ = make_data()
    Y[:, 0] &= np.arange(len(Y)) % 4 == 0  # a rare label beside frequent ones
    d = hs.measure(X, Y, learner="logistic", folds=3, repeats=2, refine=False)
    weights = hs.weigh(d, scheme, **hs.SCHEMES[scheme].example)
    alone = []
    for label in (0, 1, 2):
        rows = d.part == label
        # The same label, measured as classes of samples that have only this one.
        one = replace(d.select(rows), part=None, sample=None, sample_error_se=None, run=replace(d.run, part_name=None))
        alone.append(hs.weigh(one, scheme, **hs.SCHEMES[scheme].example))
        np.testing.assert_allclose(weights[rows], alone[-1])
    rare = (d.part == 0) & (d.labels == 1)
    assert weights[rare].mean() > 1.5 * weights.mean()


def test_schemes_that_read_no_class_compare_all_labels(measured):
    d, _, _ = measured
    weights = hs.weigh(d, "hard-first")
    one = replace(d, part=None, sample=None, sample_error_se=None, run=replace(d.run, part_name=None))
    np.testing.assert_allclose(weights, hs.weigh(one, "hard-first"))


def test_a_review_and_the_explanation_of_weights_are_per_label(measured):
    d, _, _ = measured
    dropped = pd.DataFrame({"id": d.ids[:2], "action": "drop"})
    weights = hs.weigh(d, decisions=dropped)
    assert (weights[:2] == 0).all()
    assert (weights[2:] > 0).all()
    automatic = hs.weights.automatic.decide(d)
    np.testing.assert_allclose(automatic.weights, hs.weigh(d))
    assert "Each of the 3 labels is weighed by itself" in automatic.text


def test_weights_of_samples_are_means_over_their_labels(measured):
    d, Y, _ = measured
    weights = hs.weigh(d)
    of_sample = hs.weights.average_by_sample(d, weights)
    np.testing.assert_allclose(of_sample.loc[range(len(Y))], weights.reshape(Y.shape).mean(1))
    shuffled = pd.Series(weights, index=d.ids).sample(frac=1, random_state=0)
    pd.testing.assert_series_equal(hs.weights.average_by_sample(d, shuffled), of_sample)
    with pytest.raises(hs.InputError, match="one value per row"):
        hs.weights.average_by_sample(d, weights[1:])


def test_a_result_is_saved_and_loaded(measured, tmp_path):
    d = measured[0]
    d.save(tmp_path / "d.parquet")
    loaded = hs.Difficulty.load(tmp_path / "d.parquet")
    assert (loaded.p_wrong == d.p_wrong).all()
    assert (loaded.part == d.part).all()
    d.report(tmp_path / "report.html")
    d.review(tmp_path / "review.html")
    d.to_csv(tmp_path / "d.csv")


@pytest.mark.parametrize("learner", ["logistic", LogisticRegression(), RandomForestClassifier(5, random_state=0)])
def test_missing_entries_have_no_row_and_change_no_other_label(learner):
    X, Y, _ = make_data(60)
    Y = Y.astype(float)
    Y[:7, 1] = np.nan
    d = hs.measure(X, Y, learner=learner, folds=2, repeats=2, refine=False)
    assert len(d) == Y.size - 7
    alone = hs.measure(X, Y[:, :2], learner=learner, folds=2, repeats=2, refine=False)
    assert len(alone) == 2 * len(X) - 7


def test_labels_apart_equal_one_label_at_a_time():
    X, Y, _ = make_data(60)
    samples = hs.Samples.of(X, Y)
    learner, _ = choose("logistic", samples)
    assert isinstance(learner, LabelsApart)
    d = hs.measure(samples, learner="logistic", folds=2, repeats=2, refine=False)
    splits = hs.measure(X, Y[:, 0], learner="logistic", folds=2, repeats=2, refine=False)
    assert np.isfinite(d.by_sample()["error_se"]).all()
    # Other splits: close, not equal.
    assert np.corrcoef(d.error.reshape(Y.shape)[:, 0], splits.error)[0, 1] > 0.95


def test_kinds_of_learners():
    X, Y, _ = make_data(30)
    samples = hs.Samples.of(X, Y)
    assert isinstance(choose("network", samples)[0], NetworkOfLabels)
    assert isinstance(choose("forest", samples)[0], EstimatorOfLabels)
    assert isinstance(choose(RandomForestClassifier(), samples)[0], EstimatorOfLabels)
    assert isinstance(choose(LogisticRegression(), samples)[0], LabelsApart)


@pytest.mark.parametrize("learner", ["forest", RandomForestClassifier(n_estimators=5)])
def test_of_two_labels_one_may_be_left(learner):
    X, Y, _ = make_data(40)
    d = hs.measure(X, np.column_stack([Y[:, 0], np.ones(40)]), learner=learner, repeats=2, refine=False)
    assert d.part.tolist() == [0] * 40
    assert any("are left out: 1" in notice for notice in d.run.notices)


def test_a_network_of_one_known_label_per_sample_is_trained_on_that_label_alone():
    X, Y, _ = make_data(40)
    Y = Y.astype(float)
    Y[:20, 0], Y[20:, 1:] = np.nan, np.nan
    d = hs.measure(X, Y, learner=hs.Network(epochs=2), folds=2, repeats=2)
    assert len(d) == 20 + 40
    assert np.isfinite(d.error).all()


def test_samples_are_never_split():
    X, Y, _ = make_data(40)
    layout = hs.Samples.of(X, Y).layout
    assert layout.part.shape == Y.shape
    assert (layout.row == np.repeat(np.arange(40), 3)).all()


def test_rare_labels_are_not_judged():
    X, Y, _ = make_data(60)
    Y = np.column_stack([Y, np.arange(60) == 0])
    d = hs.measure(X, Y, learner="logistic", folds=2, repeats=2, refine=False)
    assert "all of these labels: 3 (1 of 60 samples)" in " ".join(d.run.notices)
    assert d.p_wrong[d.ids == "0/3"][0] == 0


def test_other_labels_are_evidence():
    rng = np.random.default_rng(0)
    first = rng.integers(2, size=400)
    signs = np.stack([first, first], 1) * 2.0 - 1
    predicted = predict_from_others(np.zeros((400, 2)), signs, np.arange(400))
    assert (np.sign(predicted) == signs).all()
    # Its own label is not read: another first label changes no prediction of it in its own fold.
    changed = signs.copy()
    changed[0, 0] *= -1
    again = predict_from_others(np.zeros((400, 2)), changed, np.arange(400))
    assert np.sign(again[0, 0]) == np.sign(predicted[0, 0])


def test_a_seed_fixes_everything():
    X, Y, _ = make_data(40)
    frame = pd.DataFrame(X, index=[f"s{i}" for i in range(40)])
    a, b = (hs.measure(frame, Y, learner="logistic", folds=2, repeats=2, seed=3) for _ in range(2))
    assert (a.p_wrong == b.p_wrong).all()
    assert a.ids[0] == "s0/0"


def test_a_witness_is_refused():
    X, Y, _ = make_data(20)
    with pytest.raises(hs.InputError, match="witness"):
        hs.measure(X, Y, learner="logistic", witness=np.zeros(20))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "regression"}, "task='regression' is for one number per sample, and these have several labels"),
        ({"task": "ranking"}, "task must be"),
        ({"kind": "tag"}, "kind says what parts are called"),
        (
            {"learner": hs.Loop(lambda ids, weights, seed: 0, lambda model, ids: np.full((len(ids), 2), 0.5))},
            "gets ids alone, and would not know which of several labels to learn",
        ),
    ],
)
def test_what_several_labels_have_no_use_for_is_refused(options, message):
    X, Y, _ = make_data(20)
    with pytest.raises(hs.InputError, match=message):
        hs.measure(X, Y, **options)


@pytest.mark.parametrize("learner", ["logistic", "ridge", "forest", RandomForestClassifier(20), hs.Network(epochs=60)])
def test_labels_that_are_not_known_are_predicted(learner):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(150, 4)), index=[f"s{i}" for i in range(150)])
    true = (X.to_numpy()[:, :3] > [0, 0.5, -0.3]).astype(float)
    Y = pd.DataFrame(true, columns=["a", "b", "c"], index=X.index)
    Y.iloc[:20] = np.nan
    Y.iloc[20:30, 1] = np.nan
    folds = None if learner == "forest" else 3
    d = hs.measure(X, Y, learner=learner, folds=folds, repeats=2, refine=False, unlabelled="predict")
    assert len(d) == 3 * 130 - 10
    assert d.unlabelled.index.tolist() == [f"s{i}/b" for i in range(20, 30)] + [
        f"s{i}/{n}" for i in range(20) for n in "abc"
    ]
    truth = np.concatenate([true[20:30, 1], true[:20].ravel()])
    assert ((d.unlabelled["predicted"] == "yes").to_numpy() == truth).mean() > 0.85
    assert d.unlabelled["p_predicted"].between(0.5, 1).all()
    assert any("Of 10 samples only some labels are known" in notice for notice in d.run.notices)
    # The samples that are measured are those that would be measured otherwise.
    same = hs.measure(X, Y, learner=learner, folds=folds, repeats=2, refine=False)
    np.testing.assert_array_equal(same.error, d.error)


def test_nothing_is_predicted_where_all_labels_are_known():
    X, Y, _ = make_data()
    assert hs.measure(X, Y, learner="logistic", folds=3, repeats=2, refine=False, unlabelled="predict").unlabelled is None


def test_pages_show_each_image_once_and_beside_every_label(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (30, 8, 8, 3), dtype=np.uint8)
    Y = np.stack([images.mean((1, 2, 3)) > 126, images[:, 0, 0, 0] > 100], axis=1).astype(int)
    d = hs.measure(images, Y, learner="logistic", embedding="pixels", folds=3, repeats=2, refine=False)
    cards = example_cards(d, d.samples, 10)
    index = d.ranking[:10]
    expected = make_thumbnails(images, (index // 2).tolist())
    assert [card.picture for card in cards] == expected
    packed = pack_samples(d.samples, d.ranking)
    assert packed.about["kind"] == "image"
    assert (packed.place[::2] == packed.place[1::2]).all()
    assert sorted(set(packed.place.tolist())) == list(range(30))
    view = SampleView(d.samples)
    assert view.describe(3)["kind"] == "image"
    assert view.image(2) == view.image(3) != view.image(4)
    d.report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("data:image/png") >= 60


def test_pages_show_the_samples_of_labels(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"height": rng.normal(size=30).round(2), "colour": rng.choice(["red", "blue"], 30)})
    Y = np.column_stack([frame["height"] > 0, frame["colour"] == "red"]).astype(int)
    d = hs.measure(frame, Y, learner="logistic", folds=2, repeats=2, refine=False)
    row = int(d.samples.features[d.ranking[0]])
    values = {value.name: value.value for value in example_cards(d, d.samples, 1)[0].row.values}
    assert values["colour"] == frame["colour"][row]
    d.report(tmp_path / "report.html")
    assert frame["colour"][row] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_rare_label_stops_no_suggestions_for_others():
    """Yes is one class for each label: that there are too few of one says nothing of the others."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    right = np.column_stack([X[:, :2] > 0, np.arange(120) == 5]).astype(int)
    flipped = right.copy()
    rows = np.argsort(-np.abs(X[:, 0]))[:6]
    flipped[rows, 0] = 1 - right[rows, 0]
    Y = pd.DataFrame(flipped, columns=["warm", "large", "rare"])
    d = hs.measure(X, Y, learner="logistic", folds=3, repeats=2, refine=False)
    suggested = set(d.suggestions().index)
    assert suggested >= {f"{row}/warm" for row in rows}
    assert not any(name.endswith("rare") for name in suggested)
    assert "collect more of rare" in " ".join(answer(d))
