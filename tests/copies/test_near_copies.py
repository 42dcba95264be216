from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.spatial.distance import cdist
from sklearn import datasets

import hardsight as hs
from hardsight.copies import neighbours
from hardsight.copies.across import find_copies_across
from hardsight.copies.neighbours import find_nearest
from hardsight.copies.registration import find_nearest_images, find_nearest_to_moved, guess_side, reduce_images
from hardsight.copies.sets import add_near_copies, find_exact_copies


def copy_sets(features):
    samples = hs.Samples.of(features, np.arange(len(features)) % 2)
    return add_near_copies(samples, find_exact_copies(samples)).codes


def with_copies(x, rng, change, share=0.2, times=1):
    """Return the rows with changed copies of some of them, and the row that each stems from."""
    source = np.repeat(rng.choice(len(x), int(share * len(x)), replace=False), times)
    return np.concatenate([x, change(x[source])]), np.concatenate([np.arange(len(x)), source])


def recall_and_false(codes, source):
    """Return the share of copied samples in a set of their own source, and the share of others that are in any set."""
    copied = np.bincount(source)[source] > 1
    same = (codes[:, None] == codes) & (source[:, None] == source) & ~np.eye(len(source), dtype=bool)
    return (same.any(1) & (codes >= 0))[copied].mean(), (codes[~copied] >= 0).mean()


DIGITS = datasets.load_digits().data


@pytest.mark.parametrize("share, times", [(0.05, 1), (0.5, 1), (0.2, 4), (0.1, 6)])
@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("change", ["jitter", "brightness", "offset"])
def test_changed_copies_of_images_are_found(change, share, times, image):
    rng = np.random.default_rng(0)
    changes = {
        "jitter": lambda x: x + rng.normal(0, 0.1, x.shape),
        "brightness": lambda x: np.clip(x * rng.uniform(0.85, 1.15, (len(x), 1)), 0, 16),
        "offset": lambda x: np.clip(x + rng.uniform(-1.5, 1.5, (len(x), 1)), 0, 16),
    }
    x, source = with_copies(DIGITS[:900], rng, changes[change], share, times)
    recall, false = recall_and_false(copy_sets(x.reshape(-1, 8, 8) if image else x), source)
    assert recall > 0.92
    assert false < 0.005


@pytest.mark.parametrize("share, times", [(0.05, 1), (0.5, 1), (0.2, 4)])
def test_jittered_rows_of_tables_are_found_in_any_units(share, times):
    rng = np.random.default_rng(1)
    x, _ = datasets.load_wine(return_X_y=True)
    sd = x.std(0)
    x, source = with_copies(x, rng, lambda x: x + 0.01 * sd * rng.normal(size=x.shape), share, times)
    for scale in (1.0, 10.0 ** np.arange(-6, 7)):
        recall, false = recall_and_false(copy_sets(x * scale), source)
        assert recall > 0.92
        assert false == 0


def test_copies_agree_in_their_categories():
    rng = np.random.default_rng(2)
    n = 500
    x = rng.normal(size=(n, 6))
    colour, size = rng.choice(["red", "blue", "green"], n), rng.choice(["s", "m"], n)
    source = np.r_[np.arange(n), np.arange(50)]
    frame = pd.DataFrame(x[source] + np.r_[np.zeros((n, 6)), rng.normal(0, 1e-3, (50, 6))], columns=list("abcdef"))
    frame["colour"], frame["size"] = colour[source], size[source]
    other = frame.copy()
    other.loc[n:, "colour"] = np.where(other.loc[n:, "colour"] == "red", "blue", "red")
    assert recall_and_false(copy_sets(frame), source) == (1, 0)
    assert (copy_sets(other) < 0).all()


def natural_table(name):
    """Return a table without copies."""
    rng = np.random.default_rng(15)
    n = 600
    school, pupils = np.repeat(np.arange(n // 3), 3), rng.normal(size=(n, 8))
    covariates = {f"covariate {i}": rng.normal(size=n)[school] for i in range(4)}
    outliers = rng.normal(size=(n, 8))
    outliers[-2:] = 40 + 0.3 * rng.normal(size=(2, 8))
    colours = {f"colour {i}": rng.choice(["red", "blue"], n) for i in range(8)}
    return {
        # Pupils of one school differ in their number and little else.
        "pupils of schools": lambda: pd.DataFrame(
            {"number": np.arange(n) + 0.5, **covariates, "score": rng.integers(0, 3, n)}
        ),
        "outliers": lambda: pd.DataFrame(outliers),
        # Most prices are alike compared with the highest ones.
        "prices of categories": lambda: pd.DataFrame({**colours, "price": np.exp(2 * rng.normal(size=n))}),
        "pupils": lambda: pd.DataFrame(pupils),
    }[name]()


@pytest.mark.parametrize("name", ["pupils of schools", "outliers", "prices of categories", "pupils"])
def test_rows_of_natural_tables_stay_apart(name):
    samples = hs.Samples.of(natural_table(name), np.arange(600) % 2)
    exact = find_exact_copies(samples)
    assert ((add_near_copies(samples, exact).codes >= 0) & ~exact.exact).mean() <= 0.002


def test_copies_with_one_changed_value_are_found_among_rare_values():
    rng = np.random.default_rng(16)
    x = np.round(rng.normal(size=(500, 6)), 4)

    def change(x):
        x = x.copy()
        x[np.arange(len(x)), rng.integers(0, 6, len(x))] += 0.01
        return x

    x, source = with_copies(x, rng, change)
    for features in (x, pd.DataFrame(x)):
        assert recall_and_false(copy_sets(features), source) == (1, 0)


def test_reworded_texts_are_found():
    rng = np.random.default_rng(3)
    words = np.array([f"{a}{b}" for a in ("sun", "rain", "wind", "snow", "fog", "hail") for b in "abcdefghijklmnopqrst"])
    texts = [rng.choice(words, 14).tolist() for _ in range(300)]
    reworded = [[*text[:5], "indeed", *text[5:]] for text in texts[:60]]
    codes = copy_sets([" ".join(text) for text in [*texts, *reworded]])
    recall, false = recall_and_false(codes, np.r_[np.arange(300), np.arange(60)])
    assert recall > 0.95
    assert false < 0.01


def short_texts(rng, n):
    """Return texts of three to five words of letters, many of which stand in one text alone."""
    words = np.array(["".join(rng.choice(list("abcdefghijklmnop"), rng.integers(3, 9))) for _ in range(3_000)])
    frequency = np.arange(1.0, len(words) + 1) ** -0.7
    return [rng.choice(words, rng.integers(3, 6), replace=False, p=frequency / frequency.sum()).tolist() for _ in range(n)]


def test_short_texts_that_share_their_common_words_are_no_copies():
    texts = sorted({" ".join(text) for text in short_texts(np.random.default_rng(13), 600)})
    assert (copy_sets(texts) >= 0).mean() <= 0.005


def test_short_texts_with_letters_exchanged_are_found():
    rng = np.random.default_rng(14)
    texts = [" ".join(text) for text in short_texts(rng, 300)]

    def misspell(text):
        place = rng.integers(len(text) - 1)
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    codes = copy_sets([*texts, *(misspell(text) for text in texts[:60])])
    recall, false = recall_and_false(codes, np.r_[np.arange(300), np.arange(60)])
    assert recall > 0.9
    assert false < 0.03


def spread(name):
    rng = np.random.default_rng(4)
    return {
        "dense in a plane": lambda: datasets.make_blobs(5_000, centers=5, random_state=0)[0],
        "clusters of different density": lambda: np.concatenate(
            [rng.normal(size=(500, 5)), rng.normal(size=(500, 5)) * 0.01 + 4, rng.normal(size=(500, 5)) * 30]
        ),
        "on a grid": lambda: np.round(rng.normal(size=(3_000, 4)) * 3),
        "rounded": lambda: np.round(rng.normal(size=(3_000, 3)), 1),
        "a walk": lambda: np.cumsum(rng.normal(size=(2_000, 6)), axis=0),
        "one column": lambda: rng.random((2_000, 1)),
        "heavy tails": lambda: rng.standard_cauchy(size=(2_000, 6)),
        "many columns": lambda: rng.normal(size=(1_000, 200)),
        "zeros": lambda: np.where(rng.random((2_000, 12)) < 0.7, 0, rng.exponential(size=(2_000, 12))),
        "breast cancer": lambda: datasets.load_breast_cancer().data,
        "iris": lambda: datasets.load_iris().data,
        "digits": lambda: DIGITS,
        "digits as images": lambda: DIGITS.reshape(-1, 8, 8),
        "constant": lambda: np.ones((100, 20)),
        "few": lambda: rng.normal(size=(5, 20)),
    }[name]()


@pytest.mark.parametrize(
    "name",
    ["dense in a plane", "clusters of different density", "on a grid", "rounded", "a walk", "one column", "heavy tails",
     "many columns", "zeros", "breast cancer", "iris", "digits", "digits as images", "constant", "few"],
)  # fmt: skip
def test_data_without_near_copies_stay_apart(name):
    samples = hs.Samples.of(spread(name), np.arange(len(spread(name))) % 2)
    copies = add_near_copies(samples, find_exact_copies(samples))
    assert ((copies.codes >= 0) & ~copies.exact).mean() <= 0.005
    assert (copies.codes[find_exact_copies(samples).exact] >= 0).all()


def test_near_copies_across_two_sets():
    rng = np.random.default_rng(5)
    changed = DIGITS[:30] + rng.normal(0, 0.05, (30, 64))
    first = hs.Samples.of(DIGITS[:600], np.arange(600) % 2)
    second = hs.Samples.of(np.concatenate([changed, DIGITS[600:700], DIGITS[50:60]]), np.arange(140) % 2)
    copies = find_copies_across(first, second)
    assert copies.first.tolist() == [*range(30), *range(50, 60)]
    assert copies.second.tolist() == [*range(30), *range(130, 140)]
    assert copies.exact.tolist() == [False] * 30 + [True] * 10
    assert find_copies_across(first, second, near=False).first.tolist() == list(range(50, 60))


def test_equal_rows_of_few_categories_are_no_leaks():
    rng = np.random.default_rng(6)
    first, second = (hs.Samples.of(rng.integers(0, 3, (200, 3)), np.arange(200) % 2) for _ in range(2))
    copies = find_copies_across(first, second)
    assert copies.by_chance
    assert not len(copies.first)


def test_random_trees_find_what_an_exact_search_finds(monkeypatch):
    rng = np.random.default_rng(7)
    x = (rng.normal(size=(3_000, 6)) @ rng.normal(size=(6, 30))).astype(np.float32)
    x[2_900:] = x[:100] + rng.normal(0, 1e-3, (100, 30)).astype(np.float32)
    distance = cdist(x, x)
    exact = find_nearest(x, 10)
    np.testing.assert_array_equal(exact.rows[:, 0], np.arange(3_000))
    np.testing.assert_allclose(exact.distance, np.sort(distance, axis=1)[:, :11], atol=1e-4)
    monkeypatch.setattr(neighbours, "MAX_EXACT", 1_000)
    nearest = find_nearest(x, 10)
    np.testing.assert_allclose(nearest.distance, np.take_along_axis(distance, nearest.rows.astype(int), axis=1), atol=1e-4)
    assert (np.diff(nearest.distance, axis=1) >= 0).all()
    assert all(len(set(row)) == 11 for row in nearest.rows.tolist())
    assert (nearest.rows[:100, 1] == np.arange(2_900, 3_000)).mean() > 0.97
    assert (nearest.distance[:, 1:] <= exact.distance[:, 1:] * 1.001).mean() > 0.85
    np.testing.assert_array_equal(nearest.rows, find_nearest(x, 10).rows)


def test_small_crops_of_images_are_found():
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 24), indexing="ij"))

    def draw(centre, width, move):
        at = grid[None] - move[:, :, None, None]
        distance = np.square((at[:, None] - centre[..., None, None]) / width[..., None, None]).sum(2)
        return np.exp(-distance).sum(1).astype(np.float32)

    centre, width = rng.uniform(-0.6, 0.6, (300, 4, 2)), rng.uniform(0.2, 0.5, (300, 4, 2))
    source = np.r_[np.arange(300), np.arange(60)]
    move = np.r_[np.zeros((300, 2)), rng.uniform(-0.08, 0.08, (60, 2))]
    scale = np.r_[np.ones(300), rng.uniform(0.95, 1.05, 60)][:, None, None]
    images = draw(centre[source] * scale, width[source] * scale, move)
    recall, false = recall_and_false(copy_sets(images), source)
    assert recall > 0.9
    assert false < 0.01


def move_by_part_of_a_pixel(images, rng):
    return np.stack([shift(image, rng.uniform(-0.5, 0.5, 2), order=1, mode="nearest") for image in images])


@pytest.mark.parametrize("share, times", [(0.05, 1), (0.5, 1), (0.2, 4)])
def test_tiny_images_moved_by_part_of_a_pixel_are_found(share, times):
    rng = np.random.default_rng(9)
    x, source = with_copies(DIGITS[:900].reshape(-1, 8, 8), rng, lambda x: move_by_part_of_a_pixel(x, rng), share, times)
    for images in (x, x.reshape(len(x), 64)):
        recall, false = recall_and_false(copy_sets(images), source)
        assert recall > 0.92
        assert false < 0.005


@pytest.mark.parametrize("kind", ["digits", "images", "shuffled", "series", "walks", "unrelated"])
def test_images_are_told_from_other_arrays(kind):
    rng = np.random.default_rng(17)
    noise = rng.normal(size=(300, 144))
    x = {
        "digits": lambda: DIGITS,
        "images": lambda: gaussian_filter(noise.reshape(-1, 12, 12), (0, 1, 1)).reshape(-1, 144),
        "shuffled": lambda: DIGITS[:, rng.permutation(64)],
        "series": lambda: gaussian_filter(noise, (0, 12)),
        "walks": lambda: noise.cumsum(axis=1),
        "unrelated": lambda: noise @ rng.normal(size=(144, 144)),
    }[kind]()
    assert guess_side(x.astype(np.float32)) == {"digits": 8, "images": 12}.get(kind)


def test_shapes_that_differ_in_their_positions_alone_are_no_copies():
    # Two shapes of one kind and size can always be moved onto each other.
    rng = np.random.default_rng(10)
    n, grid = 1_000, np.arange(20)
    centre, radius, kind = rng.uniform(6, 13, (2, n, 1, 1)), rng.uniform(2, 5, (n, 1, 1)), rng.integers(0, 2, (n, 1, 1))
    down, right = np.abs(grid[:, None] - centre[0]), np.abs(grid - centre[1])
    images = (np.where(kind, np.maximum(down, right), np.hypot(down, right)) < radius).astype(float)
    samples = hs.Samples.of(images, np.arange(n) % 2)
    exact = find_exact_copies(samples)
    assert ((add_near_copies(samples, exact).codes >= 0) & ~exact.exact).mean() <= 0.005


def registered_distance(a, b):
    """Return the distance of two images after registration, by least squares in the pixels of each."""

    def unexplained(a, b):
        a = a.astype(np.float64)
        y, x = np.linspace(-1, 1, a.shape[0])[:, None], np.linspace(-1, 1, a.shape[1])
        down, right = np.gradient(a)
        moved = [shift(a, (i, j), order=0, mode="nearest") for i in (-1, 0, 1) for j in (-1, 0, 1)]
        scaled = [down * y, right * x, down * x * a.shape[1] - right * y * a.shape[0]]
        directions = np.stack([np.ones_like(a), *moved, *scaled]).reshape(13, -1).T
        return np.linalg.lstsq(directions, b.reshape(-1), rcond=None)[1][0] / b.size

    return np.sqrt(min(unexplained(a, b), unexplained(b, a)))


@pytest.mark.parametrize("moved", [0, 3])
def test_distance_after_registration_is_that_of_least_squares(moved):
    rng = np.random.default_rng(11)
    images = rng.normal(size=(40, 6, 8)).astype(np.float32)
    images = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    find = find_nearest_to_moved if moved else find_nearest_images
    nearest = find(images.reshape(40, -1), 5, (6, 8))
    first = np.pad(images[3], ((moved, 0), (moved, 0)), mode="edge")[:6, :8]
    first = (first - first.mean()) / first.std()
    assert nearest.rows[3, 0] == 3
    assert (np.diff(nearest.distance[3]) >= 0).all()
    for row, distance in zip(nearest.rows[3, 1:], nearest.distance[3, 1:], strict=True):
        assert row != 3
        assert distance == pytest.approx(registered_distance(first, images[row]), rel=1e-3)


def test_large_images_are_compared_by_means_of_pixels():
    rng = np.random.default_rng(12)
    images = rng.normal(size=(2, 65, 20, 3)).astype(np.float32)
    bounds = np.arange(33) * 65 // 32
    means = [images[:, low:high].mean((1, 3)) for low, high in pairwise(bounds)]
    expected = gaussian_filter(np.stack(means, 1), (0, 0.5, 0.5), mode="nearest")
    np.testing.assert_allclose(reduce_images(images), expected, atol=1e-6)
