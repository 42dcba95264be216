"""Laws that every measure of the catalogue obeys."""

import numpy as np
import pandas as pd
import pytest

import hardsight as hs

N_SAMPLES, N_CLASSES, N_VIEWS = 40, 3, 6
STREAMS = {"training": {}, "held-out": {"held_out": True}, "second split": {"second_split": True}}
HARD = np.arange(N_SAMPLES) % 2 == 1


def make_views(seed=0):
    """Views of all streams: odd samples are predicted at random, even ones ever better."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(N_SAMPLES) // 2 % N_CLASSES)
    labels[1::2] = labels[::2]
    toward_label = np.where(HARD, 0.0, 3.0)[:, None] * np.eye(N_CLASSES)[labels]
    spread = np.where(HARD, 2.0, 0.3)[:, None]
    views = []
    for stream in STREAMS:
        # While training goes on without them, hard samples are soon wrong.
        shift = -3 * HARD[:, None] * np.eye(N_CLASSES)[labels] if stream != "training" else 0.0
        views += [
            {
                "stream": stream,
                "view": number,
                "logits": toward_label + shift + spread * rng.normal(size=(N_SAMPLES, N_CLASSES)),
                "labels": labels,
                "features": 5 * np.eye(N_CLASSES)[labels] + spread * rng.normal(size=(N_SAMPLES, N_CLASSES)),
                "input_gradients": spread * rng.normal(size=(N_SAMPLES, 4)),
                "loss_gradients": spread * rng.normal(size=(N_SAMPLES, 4)),
            }
            for number in range(N_VIEWS)
        ]
    return views


VIEWS = make_views()


def add(record, view, rows, ids=None):
    """Add some samples of a view."""
    names = ("features", "input_gradients", "loss_gradients")
    optional = {name: view[name][rows] for name in names} | {"rate": 0.1}
    record.add(
        view=view["view"], ids=rows if ids is None else ids[rows], logits=view["logits"][rows],
        labels=view["labels"][rows], **STREAMS[view["stream"]], **(optional if view["stream"] == "training" else {}),
    )  # fmt: skip


def record_of(views, rows=None, ids=None):
    record = hs.Record()
    for view in views:
        add(record, view, np.arange(N_SAMPLES) if rows is None else rows, ids)
    return record


# Each law computes all measures at once, and is then checked for every measure.


@pytest.fixture(scope="module")
def record():
    return record_of(VIEWS)


@pytest.fixture(scope="module")
def table(record):
    return record.table


@pytest.fixture(scope="module")
def in_random_batches():
    rng = np.random.default_rng(1)
    record = hs.Record()
    for view in VIEWS:
        for rows in np.array_split(rng.permutation(N_SAMPLES), rng.integers(1, 5)):
            add(record, view, rows)
    return record.table


@pytest.fixture(scope="module")
def by_name():
    # Ids that sort like the row numbers: k-means starts from the order of the samples.
    return record_of(VIEWS, ids=np.array([f"sample {row:03d}" for row in range(N_SAMPLES)])).table


@pytest.fixture(scope="module")
def with_permuted_classes():
    code = np.array([2, 0, 1])
    changes = ({"labels": code[view["labels"]], "logits": view["logits"][:, np.argsort(code)]} for view in VIEWS)
    return record_of([view | change for view, change in zip(VIEWS, changes, strict=True)]).table


@pytest.fixture(scope="module")
def merged():
    """Tables of merged halves: of the views, in both orders, and of the samples."""
    early, late = (record_of([view for view in VIEWS if (view["view"] < 2) == early]) for early in (True, False))
    first, second = (record_of(VIEWS, rows) for rows in np.array_split(np.arange(N_SAMPLES), 2))
    tables = []
    for parts in ((early, late), (late, early), (first, second)):
        whole = hs.Record()
        for part in parts:
            whole.merge(part)
        tables.append(whole.table)
    return tables


@pytest.fixture(scope="module")
def loaded(record, tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "record.npz"
    record.save(path)
    return hs.Record.load(path).table


@pytest.fixture(scope="module")
def with_unseen():
    """One more sample per stream, which is seen in that stream alone, without optional inputs, and once."""
    record = record_of(VIEWS)
    for number, flags in enumerate(STREAMS.values()):
        record.add(view=99, ids=[N_SAMPLES + number], logits=[[0.0, 1.0, 2.0]], labels=[0], **flags)
    return record.table


every_measure = pytest.mark.parametrize("name", hs.MEASURES)


def assert_close(values, expected):
    pd.testing.assert_series_equal(values, expected, rtol=1e-9, atol=1e-12)


@every_measure
def test_it_is_one_finite_number_per_sample(record, table, name):
    values = record.measure(name)
    assert (values.name, values.index.name, values.dtype) == (name, "id", np.float64)
    assert values.index.tolist() == list(range(N_SAMPLES))
    assert np.isfinite(values).all()
    pd.testing.assert_series_equal(values, table[name])


@every_measure
def test_the_order_and_size_of_batches_do_not_matter(table, in_random_batches, name):
    assert_close(in_random_batches[name], table[name])


@every_measure
def test_the_names_of_samples_do_not_matter(table, by_name, name):
    assert_close(by_name[name].reset_index(drop=True), table[name].reset_index(drop=True))


@every_measure
def test_the_order_of_classes_does_not_matter(table, with_permuted_classes, name):
    assert_close(with_permuted_classes[name], table[name])


@every_measure
def test_merged_halves_equal_the_whole(table, merged, name):
    for whole in merged:
        assert_close(whole[name], table[name])


@every_measure
def test_it_survives_saving(table, loaded, name):
    pd.testing.assert_series_equal(loaded[name], table[name])


@every_measure
def test_it_is_unknown_for_samples_without_its_views(with_unseen, name):
    measure = hs.MEASURES[name]
    needed = {column.stream or "training" for column in measure.score.columns}
    for number, stream in enumerate(STREAMS):
        enough = needed == {stream} and measure.score.least == 1 and not measure.needs
        assert np.isfinite(with_unseen[name][N_SAMPLES + number]) == enough


@every_measure
def test_hard_samples_score_higher(table, name):
    # rho is training loss minus held-out loss: high for samples that are worth training on, not for hard ones.
    harder = table[name][HARD].mean() > table[name][~HARD].mean()
    assert harder == (name != "rho")
