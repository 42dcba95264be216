"""Pages under axe-core in a real browser: contrast, names and roles of controls; wide and narrow, light and dark."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from support.random_results import named_result, random_result, random_table, samples_of

import hardsight as hs
from hardsight.reporting import report, review


def write_pages(folder: Path) -> list[Path]:
    """Write reports and reviews of a table, of images and of numbers."""
    table, images, numbers = named_result(), random_result(40), random_result(40, None)
    copied = replace(images, copy_set=np.repeat([0, -1], [3, 37]), p_strange=np.linspace(0, 1, 40))
    pages = []
    for name, d, kind in (("table", table, "table"), ("images", copied, "image"), ("numbers", numbers, None)):
        samples = samples_of(d, "table", random_table()) if kind == "table" else None
        if kind == "image":
            pixels = np.random.default_rng(0).integers(0, 255, (40, 12, 12), dtype=np.uint8)
            samples = samples_of(d, "image", pixels)
        for write, page in ((report.write, "report"), (review.write, "review")):
            path = folder / f"{name}-{page}.html"
            write(d, path, samples)
            pages.append(path)
    return pages


def faults_of(page) -> list[str]:
    """Return what axe-core objects to, with the elements."""
    violations = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['target']}" for each in violations for node in each["nodes"]]


@pytest.mark.slow
def test_pages_have_no_faults_that_axe_finds(browser, tmp_path):
    faults = {}
    for path in write_pages(tmp_path):
        for width, scheme in ((1280, "light"), (400, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_load_state("networkidle")
            states = [faults_of(page)]
            if path.name == "table-review.html":
                for opener, dialog in (("#help", "#keys"), ("#all", "#together")):
                    page.click(opener)
                    page.wait_for_selector(f"{dialog}[open]")
                    states.append(faults_of(page))
                    page.keyboard.press("Escape")
            faults[path.name, width, scheme] = [fault for state in states for fault in state]
            context.close()
    assert {where: objections for where, objections in faults.items() if objections} == {}


@pytest.mark.slow
def test_axe_objects_to_a_button_without_a_name(browser, tmp_path):
    """That the check can fail."""
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><html lang='en'><title>Page</title><main><h1>Page</h1><button></button></main></html>")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert [fault.split(":")[0] for fault in faults_of(page)] == ["button-name"]
    page.close()


@pytest.mark.slow
def test_the_page_of_an_explanation_has_none(browser, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), rng.integers(0, 2, 120)
    X[:, 0] += 2 * y
    d = hs.measure(X, y, learner="ridge", repeats=2)
    hs.explain(X, y, d, "auto", learner="logistic", repeats=2).report(tmp_path / "explain.html")
    for width, scheme in ((1280, "light"), (400, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto((tmp_path / "explain.html").as_uri())
        assert faults_of(page) == []
        page.close()
