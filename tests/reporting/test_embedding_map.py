"""The map of samples: positions against a singular value decomposition, and the map in a real browser."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from support.random_results import named_result, random_result, samples_of
from support.review_browser import Reader

from hardsight.data.samples import Samples
from hardsight.reporting import embedding_map
from hardsight.reporting.embedding_map import principal_components, project
from hardsight.reporting.report import write as write_report
from hardsight.reporting.review import write as write_review

EDGE = 4  # pixels around the positions on the canvas


def numbers(n=300, width=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 3)) @ rng.normal(size=(3, width)) + 0.1 * rng.normal(size=(n, width))).astype(np.float32)


def standardised(X):
    X = X.astype(float)
    z = np.nan_to_num((X - np.nanmean(X, 0)) / np.where(np.nanstd(X, 0) > 0, np.nanstd(X, 0), np.inf))
    return z.clip(-5, 5)


@pytest.fixture(autouse=True)
def without_umap(monkeypatch):
    monkeypatch.setattr(embedding_map, "_has_umap", lambda: False)


# ---- positions


def test_components_are_those_of_a_singular_value_decomposition():
    X = numbers()
    X[3, 2] = np.nan
    X[:, 5] = 7.0
    z = standardised(X)
    u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
    found = principal_components(X, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(u * s)[:, :3], atol=2e-4)


def test_wide_matrices_and_samples_that_were_left_out_of_the_fit(monkeypatch):
    X = numbers(400, 1200)
    z = standardised(X)
    u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_components(X, 2)), np.abs(u * s)[:, :2], rtol=0.02, atol=0.02 * s[0])
    everyone = principal_components(numbers(3000), 2)
    monkeypatch.setattr(embedding_map, "_MIN_FITTED_ROWS", 700)
    monkeypatch.setattr(embedding_map, "_MAX_FITTED_VALUES", 1)
    some = principal_components(numbers(3000), 2)
    for at in range(2):
        assert abs(np.corrcoef(everyone[:, at], some[:, at])[0, 1]) > 0.99


def test_the_map_keeps_the_order_of_positions_and_puts_far_samples_at_its_edge():
    X = numbers()
    X[7] *= 500
    (pca,) = project(Samples.of(X, np.arange(300) % 2))
    assert pca.name == "PCA"
    first = principal_components(X, 2)[:, 0]
    order = np.argsort(first)
    assert (np.diff(pca.across[order].astype(int)) >= 0).all()
    assert pca.across[7] in (0, 65535)
    assert np.ptp(np.delete(pca.across, 7).astype(int)) > 30_000


def test_the_same_samples_have_the_same_map():
    a, b = (project(Samples.of(numbers(), np.arange(300) % 2)) for _ in range(2))
    assert a[0].across.tolist() == b[0].across.tolist()
    assert a[0].up.tolist() == b[0].up.tolist()


@pytest.mark.parametrize("X", [numbers(2), numbers(9, 1), np.ones((9, 4)), np.array(["a", "b", "c"] * 3, dtype=object)])
def test_what_has_no_map(X):
    samples = Samples.of(X, np.arange(len(X)) % 2)
    if samples.kind == "text":
        samples = replace(samples, embedding=None)
    assert project(samples) == ()
    assert project(None) == ()


def test_umap_is_added_if_installed_from_a_fixed_seed(monkeypatch):
    asked = []

    class FakeUmap:
        def __init__(self, **settings):
            asked.append(settings)

        def fit_transform(self, X):
            return X[:, ::-1][:, :2]

    module = ModuleType("umap")
    module.UMAP = FakeUmap
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr(embedding_map, "_has_umap", lambda: True)
    pca, umap = project(Samples.of(numbers(), np.arange(300) % 2))
    assert (pca.name, umap.name) == ("PCA", "UMAP")
    assert asked[0]["random_state"] == 0
    monkeypatch.setattr(embedding_map, "_MAX_UMAP_SAMPLES", 299)
    assert len(project(Samples.of(numbers(), np.arange(300) % 2))) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_real_umap_keeps_clusters_apart(monkeypatch):
    pytest.importorskip("umap", reason="umap-learn is optional")
    monkeypatch.setattr(embedding_map, "_has_umap", lambda: True)
    X, group = numbers(150), np.repeat([0, 20, 40], 50)
    X += group[:, None]
    maps = [project(Samples.of(X, group))[1] for _ in range(2)]
    assert maps[0].across.tolist() == maps[1].across.tolist()
    places = np.stack(maps[0][1:], 1).astype(float)
    far = np.square(places[:, None] - places[None]).sum(2)
    np.fill_diagonal(far, np.inf)
    assert (group[far.argmin(1)] == group).all()


# ---- in a browser


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    d = named_result()
    sets = np.full(300, -1)
    sets[[4, 90]] = 0
    d = replace(d, copy_set=sets, p_strange=np.where(np.arange(300) == 8, 0.9, 0.1))
    samples = samples_of(d, "array", numbers())
    folder = tmp_path_factory.mktemp("map")
    write_review(d, folder / "review.html", samples)
    write_report(d, folder / "report.html", samples, review="review.html")
    return d, samples, folder


def places(reader, samples, canvas=".map canvas"):
    """Positions of all samples on the screen, ``(sample, 2)``."""
    box = reader.page.locator(canvas).bounding_box()
    (pca,) = project(samples)
    width, height = box["width"] - 2, box["height"] - 2  # without its border
    x = box["x"] + 1 + EDGE + pca.across / 65535 * (width - 2 * EDGE)
    return np.stack([x, box["y"] + 1 + EDGE + (1 - pca.up / 65535) * (height - 2 * EDGE)], 1)


def lonely(places):
    """Row of a sample that no other one is near."""
    far = np.abs(places[:, None] - places[None]).sum(2)
    np.fill_diagonal(far, np.inf)
    return int(far.min(1).argmax())


@pytest.mark.slow
def test_hover_names_a_sample_and_a_click_opens_it(mapped, reader):
    d, samples, folder = mapped
    reader.open(folder / "review.html")
    at = places(reader, samples)
    row = lonely(at)
    reader.page.mouse.move(*(at[row] + 1))
    reader.page.wait_for_selector(".map-tip:visible")
    assert d.ids[row] in reader.text(".map-tip")
    reader.page.mouse.click(*(at[row] + 1))
    assert reader.chosen == d.ids[row]
    reader.page.wait_for_function("id => document.querySelector('#chosen .id').textContent === id", arg=d.ids[row])


@pytest.mark.slow
@pytest.mark.parametrize("enlarged", [False, True])
def test_a_lasso_selects_what_is_inside_for_one_decision(enlarged, mapped, reader, tmp_path):
    d, samples, folder = mapped
    reader.open(folder / "review.html")
    if enlarged:
        reader.page.click("#map-enlarge")
    at = places(reader, samples)
    corners = np.quantile(at, 0.25, axis=0), np.quantile(at, 0.7, axis=0)
    (left, top), (right, bottom) = (corner + 0.3 for corner in corners)
    path = [(left, top), (right, top), (right, bottom), (left, bottom)]
    reader.page.mouse.move(*path[0])
    reader.page.mouse.down()
    for corner in path[1:]:
        reader.page.mouse.move(*corner, steps=4)
    reader.page.mouse.up()
    clear = (np.abs(at[:, [0]] - [left, right]).min(1) > 1.5) & (np.abs(at[:, [1]] - [top, bottom]).min(1) > 1.5)
    inside = (at[:, 0] > left) & (at[:, 0] < right) & (at[:, 1] > top) & (at[:, 1] < bottom)
    if enlarged:
        reader.page.click("#map-decide")
    else:
        reader.page.focus("#list")
        reader.press("a")
    reader.page.check('#together [value="drop"]')
    reader.page.click("#all-go")
    if enlarged:
        reader.press("Escape")
    (tmp_path / "d.csv").write_bytes(reader.exported())
    dropped = d.apply(tmp_path / "d.csv").actions == "drop"
    assert 10 < dropped.sum() < 290
    np.testing.assert_array_equal(dropped[clear], inside[clear])
    # A click beside all points ends the selection.
    reader.page.click(".map canvas", position={"x": 2, "y": 2})
    assert reader.shown == len(d)


@pytest.mark.slow
def test_a_region_by_keyboard_alone(mapped, reader):
    d, samples, folder = mapped
    reader.open(folder / "review.html")
    (pca,) = project(samples)
    reader.page.fill("#across-high", "40")
    reader.page.fill("#up-low", "50")
    reader.press("Tab")
    across, up = (100 * values.astype(np.float32) / 65535 for values in pca[1:])
    assert reader.shown == ((across <= 40) & (up >= 50)).sum() > 0
    reader.page.click("#clear")
    assert reader.shown == len(d)


@pytest.mark.slow
def test_colours_copies_and_strange_samples(mapped, reader):
    _, samples, folder = mapped
    reader.open(folder / "review.html")
    legend = reader.text(".map-legend")
    assert "P(strange) > 0.5" in legend
    assert "copies" in legend
    row = lonely(places(reader, samples))
    pixel = """([x, y]) => { const c = document.querySelector(".map canvas"), box = c.getBoundingClientRect();
      return [...c.getContext("2d").getImageData(x - box.x - 1, y - box.y - 1, 1, 1).data]; }"""
    seen = {}
    options = reader.page.locator("#map-colour option").evaluate_all("o => o.map(x => x.value)")
    assert options == ["cause", "label", "p_wrong", "error"]
    for name in options:
        reader.page.select_option("#map-colour", name)
        seen[name] = tuple(reader.page.evaluate(pixel, places(reader, samples)[row].tolist()))
        assert f"coloured by {'kind' if name == 'label' else ''}" in reader.page.locator(".map canvas").get_attribute(
            "aria-label"
        )
    assert all(colour[3] > 100 for colour in seen.values())
    assert len(set(seen.values())) > 1


@pytest.mark.slow
def test_the_report_shows_the_map_and_leads_to_the_sample(mapped, reader):
    d, samples, folder = mapped
    reader.page.goto((folder / "report.html").as_uri())
    reader.page.wait_for_selector("#figure-map.drawn canvas")
    reader.page.locator("#figure-map").scroll_into_view_if_needed()
    at = places(reader, samples)
    row = lonely(at)
    reader.page.mouse.move(*(at[row] + 1))
    reader.page.wait_for_selector(".map-tip:visible")
    assert d.ids[row] in reader.text(".map-tip")
    reader.page.mouse.click(*(at[row] + 1))
    reader.page.wait_for_url("**/review.html#id=*")
    reader.page.wait_for_selector("html[data-complete]", state="attached")
    assert reader.chosen == d.ids[row]


@pytest.mark.slow
def test_neither_a_moving_pointer_nor_a_lasso_paints_100_000_samples_one_by_one(browser, tmp_path):
    n = 100_000
    d = random_result(n, factors=True)
    write_review(d, tmp_path / "page.html", samples_of(d, "array", numbers(n, 4)))
    reader = Reader(browser)
    reader.page.add_init_script("""window.drawn = 0;
      const fill = CanvasRenderingContext2D.prototype.fillRect;
      CanvasRenderingContext2D.prototype.fillRect = function (...box) { drawn++; fill.apply(this, box); };
      window.painted = 0;
      const put = CanvasRenderingContext2D.prototype.putImageData;
      CanvasRenderingContext2D.prototype.putImageData = function (...image) { painted++; put.apply(this, image); };""")
    reader.open(tmp_path / "page.html")
    painted = reader.page.evaluate("painted")
    assert painted >= 1
    assert reader.page.evaluate("drawn") < n
    box = reader.page.locator(".map canvas").bounding_box()
    before = reader.page.evaluate("drawn")
    reader.page.mouse.move(box["x"] + 50, box["y"] + 50)
    reader.page.mouse.move(box["x"] + 150, box["y"] + 120, steps=20)
    reader.page.wait_for_selector(".map-tip:visible")
    assert reader.page.evaluate("drawn") - before < 1000
    assert reader.page.evaluate("painted") == painted
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    reader.page.mouse.move(*middle)
    reader.page.mouse.down()
    for corner in ((400, 0), (400, 400), (0, 400)):
        reader.page.mouse.move(middle[0] + corner[0], middle[1] + corner[1])
    reader.page.mouse.up()
    assert 1000 < reader.shown < n
    assert reader.page.evaluate("drawn") - before < n / 2
    assert reader.faults == []
    reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "loss only"])
def test_results_without_classes(kind, reader, tmp_path):
    d = random_result(classes=None, **({"loss": "own", "task": "loss"} if kind == "loss only" else {}))
    if kind == "loss only":
        unknown = dict.fromkeys(("bias", "variance", "labels", "predicted"), np.full(len(d), np.nan))
        d = replace(d, **unknown, noise_variance=None, p_outlier=None)
    samples = replace(samples_of(d, "array", numbers(len(d))), loss_only=kind == "loss only")
    write_review(d, tmp_path / "review.html", samples)
    write_report(d, tmp_path / "report.html", samples)
    reader.open(tmp_path / "review.html")
    for option in reader.page.locator("#map-colour option").evaluate_all("o => o.map(x => x.value)"):
        reader.page.select_option("#map-colour", option)
    reader.page.goto((tmp_path / "report.html").as_uri())
    reader.page.wait_for_selector("#figure-map.drawn canvas")
