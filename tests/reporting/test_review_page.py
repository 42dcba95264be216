"""The review page in a real browser: load, filter, decide, undo, export, reload, import, hostile data, keyboard alone."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.random_results import HOSTILE, named_result, posterior_result, random_result, random_table, samples_of
from support.review_browser import Reader

import hardsight as hs
from hardsight.attribution.names import TOO_FEW
from hardsight.attribution.neighbours import fit_scaler
from hardsight.difficulty.actions import is_relabelling_advised
from hardsight.difficulty.decisions import result_digest
from hardsight.errors import InputError
from hardsight.reporting.packing import PackedArrays, compact_numbers
from hardsight.reporting.page_columns import pack_columns
from hardsight.reporting.review import write
from hardsight.reporting.review.nearest import NEAREST, NearestSearch
from hardsight.reporting.review.page import render
from hardsight.reporting.review.page_data import pack_samples


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    d = named_result()
    path = tmp_path_factory.mktemp("review") / "review.html"
    write(d, path, samples_of(d, "table", random_table()))
    return d, path


def default_order(d):
    """Row positions by P(label wrong), then by error, as the page opens."""
    return np.lexsort((-d.error, -d.p_wrong.astype(np.float32)))


# ---- load and look


@pytest.mark.slow
def test_it_opens_offline_and_asks_for_nothing(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    assert reader.text("h1") == "Review of bees.csv"
    assert reader.shown == len(d)
    assert reader.chosen == d.ids[default_order(d)[0]]
    assert [url for url in reader.asked if not url.startswith(("file:", "blob:", "data:"))] == []


@pytest.mark.slow
def test_the_list_is_in_the_order_asked_for(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    for order, values in (("error", d.error), ("p_wrong", d.p_wrong), ("noise", d.factors["noise"].to_numpy())):
        reader.page.select_option("#order", order)
        ids = reader.page.locator("#list .id").all_inner_texts()
        expected = d.ids[np.argsort(-values.astype(np.float32), kind="stable")]
        assert ids == expected[: len(ids)].tolist()
    reader.page.select_option("#order", "given")
    assert reader.page.locator("#list .id").first.inner_text() == "n0"


@pytest.mark.slow
def test_it_opens_by_doubt_and_orders_ties_by_error(reader, tmp_path):
    rng = np.random.default_rng(5)
    classes = named_result(60)
    # Surest labels that single precision cannot tell apart are ties, too.
    p_wrong = rng.choice([1.0, 1 - 1e-12, 0.5, np.nan], 60)
    target = random_result(60, None)
    for d, doubt, name, note in (
        (replace(classes, p_wrong=p_wrong), p_wrong, "p_wrong", "Highest P(label wrong) first; ties by error."),
        (
            replace(target, p_outlier=p_wrong.round()),
            p_wrong.round(),
            "p_outlier",
            "Highest P(outlier) first; ties by error.",
        ),
        (random_result(60), np.zeros(60), "error", "Highest error first."),
    ):
        path = tmp_path / f"{name}.html"
        write(d, path)
        reader.open(path)
        assert reader.page.input_value("#order") == name
        assert reader.text("#ordered") == note
        expected = d.ids[np.lexsort((-d.error, -np.nan_to_num(doubt, nan=-1).astype(np.float32)))]
        ids = reader.page.locator("#list .id").all_inner_texts()
        assert ids == expected[: len(ids)].astype(str).tolist()
        d.to_csv(tmp_path / "d.csv")
        assert pd.read_csv(tmp_path / "d.csv")["id"].tolist() == expected.tolist()


@pytest.mark.slow
def test_a_link_may_name_an_order_and_a_cause(reviewed, reader):
    """As the buttons of the report do; what the page does not know is ignored."""
    d, path = reviewed
    reader.open(f"{path.as_uri()}#order=p_wrong")
    assert reader.page.input_value("#order") == "p_wrong"
    assert reader.chosen == d.ids[np.argsort(-d.p_wrong.astype(np.float32), kind="stable")[0]]
    reader.page.goto("about:blank")
    reader.open(f"{path.as_uri()}#cause=margin")
    assert reader.shown == (d.cause == "margin").sum() > 0
    assert reader.page.locator("#causes input:checked").count() == 1
    reader.page.goto("about:blank")
    reader.open(f"{path.as_uri()}#order=gone&cause=<b>")
    assert reader.shown == len(d)
    assert reader.page.input_value("#order") == "p_wrong"


@pytest.mark.slow
def test_a_sample_is_told_in_full(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    i = int(default_order(d)[0])
    message = reader.text("#detail")
    assert d.classes[d.labels[i]] in message
    assert f"suggested {d.classes[d.suggested[i]]}" in message or d.suggested[i] == d.labels[i]
    noise = reader.page.locator('#detail svg.bar rect[class="noise"]')
    amounts = d.factors.to_numpy()[i]
    share = 100 * amounts[0] / np.abs(amounts).sum()
    assert float(noise.get_attribute("width")) == pytest.approx(share, rel=1e-4)
    # The lines stand side by side, from one end of the bar to the other.
    drawn = reader.page.locator("#detail svg.bar rect").evaluate_all(
        "rects => rects.map(r => [Number(r.getAttribute('x')), Number(r.getAttribute('width'))])"
    )
    starts, widths = np.array(sorted(drawn)).T
    np.testing.assert_allclose(starts, np.cumsum(widths) - widths, atol=1e-4)
    assert widths.sum() == pytest.approx(100, rel=1e-4)
    titles = reader.page.locator("#detail dl.facts > div:has(dd:not(:has(i)))").evaluate_all(
        "each => each.map(e => e.title)"
    )
    assert len(titles) >= 6
    assert all(titles)
    says = reader.page.locator("#detail .says li").all_inner_texts()
    assert d.classes[d.consensus[i].argmax()] in says[0]
    assert reader.page.locator("#detail .near li").count() == NEAREST
    near = reader.page.locator("#detail .near button").first
    name = near.get_attribute("aria-label")
    near.click()
    assert reader.chosen in name


@pytest.mark.slow
def test_outlier_values_are_marked(reviewed, reader):
    reader.open(reviewed[1])
    reader.page.select_option("#order", "given")
    for name, marked in (("n0", "unusually high"), ("n1", "rare"), ("n2", "seldom missing")):
        find(reader, name)
        reader.page.wait_for_selector(f"#detail .unusual small:text-is('{marked}')")


def find(reader, name):
    reader.page.fill("#search", name)
    reader.page.wait_for_function("n => document.querySelector('#list .id')?.textContent === n", arg=name)
    reader.page.locator("#list .row").first.click()
    reader.page.wait_for_function("n => document.querySelector('#chosen .id')?.textContent === n", arg=name)


@pytest.mark.slow
@pytest.mark.parametrize("high", [0.0065, 0.95, 4.5, 9.5, 731.0, 3e7])
def test_ticks_are_round_numbers(high, reader, tmp_path):
    d = named_result(50)
    bias = np.linspace(-high / 3, high, 50)
    write(replace(d, error=bias + high / 3, bias=bias, variance=np.full(50, high / 3)), tmp_path / "r.html")
    reader.page.add_init_script("""window.written = [];
      const draw = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        written.push([text, x, y]);
        draw.call(this, text, x, y);
      };""")
    reader.open(tmp_path / "r.html")
    written = reader.page.evaluate("written")
    assert len(written) >= 12
    for text, x, _ in written:
        value = abs(float(text.replace("−", "-").replace(",", "")))
        digits = f"{value:e}".rstrip("0123456789").rstrip("e+-").rstrip("0").rstrip(".")
        # P(label wrong) has steps of equal width.
        assert digits in ("0", "1", "2", "5") or value in (0.4, 0.6, 0.8), text
        assert 0 < x < 300


@pytest.mark.slow
def test_values_and_names_are_written_for_people(reader, tmp_path):
    d = named_result(50)
    d = replace(d, p_wrong=np.full(50, 0.9999), ledger=np.tile([1.0, 7.3e-12, -0.02, 0.0], (50, 1)))
    frame = pd.DataFrame({"verification_incomeJoint": np.arange(1990, 2040), "town": "Ulm", "amount": 12345.0})
    write(d, tmp_path / "r.html", samples_of(d, "table", frame))
    reader.open(tmp_path / "r.html")
    year = 1990 + d.ids.tolist().index(reader.chosen)
    name = reader.page.locator("#detail .values dt").first
    assert name.inner_html() == "<bdi>verification_<wbr>income<wbr>Joint</bdi>"
    assert name.inner_text() == "verification_incomeJoint"
    assert reader.page.locator("#detail .values dd").all_inner_texts() == [str(year), "Ulm", "12,345"]
    assert reader.page.locator("#detail .legend li").all_inner_texts() == [
        "noise 1",
        "imbalance 0",
        "margin −0.02",
        "uncertainty 0",
    ]
    assert reader.page.locator("#list .doubt").first.get_attribute("title") == "P(label wrong)"


# ---- filters, against pandas


@pytest.mark.slow
def test_filters_against_pandas(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    rows = d.table
    reader.page.select_option("#label", label="bee")
    assert reader.shown == (rows.label == "bee").sum()
    reader.page.fill("#p_wrong-low", "0.5")
    reader.press("Tab")
    assert reader.shown == ((rows.label == "bee") & (rows.p_wrong >= 0.5)).sum()
    reader.page.locator("#causes input").first.uncheck()
    expected = (rows.label == "bee") & (rows.p_wrong >= 0.5) & (rows.cause != "noise")
    assert reader.shown == expected.sum()
    reader.page.click("#clear")
    assert reader.shown == len(d)
    reader.page.fill("#error-high", "1")
    reader.page.fill("#variance-low", "0.05")
    reader.press("Tab")
    assert reader.shown == ((rows.error <= 1) & (rows.variance >= 0.05)).sum()
    reader.page.click("#clear")


@pytest.mark.slow
def test_search_finds_ids_labels_and_words(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    towns = random_table()["town"]
    classes = d.label_names(d.labels)
    for text, mask in (
        ("n29", pd.Series(d.ids).str.contains("n29")),
        ("NOWHERE", towns == "Nowhere"),
        ("cat", classes == "cat"),
    ):
        reader.page.fill("#search", text)
        count = f"{mask.sum()} of 300 samples"
        reader.page.wait_for_function("n => document.getElementById('count').textContent === n", arg=count)
    reader.page.fill("#search", "no such thing")
    reader.page.wait_for_function("() => document.getElementById('count').textContent.startsWith('0 of')")


@pytest.mark.slow
def test_brushes_filter(reviewed, reader):
    d, path = reviewed
    reader.open(path)
    canvas = reader.page.locator(".plot:not(.map) canvas")
    for which in (0, 2):
        box = canvas.nth(which).bounding_box()
        x, y = box["x"] + box["width"] * 0.6, box["y"] + 5
        reader.page.mouse.move(x, y)
        reader.page.mouse.down()
        reader.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 30)
        reader.page.mouse.up()
        assert 0 < reader.shown < len(d)
        if which == 2:
            low = float(reader.page.input_value("#p_wrong-low"))
            assert reader.shown == pytest.approx((d.p_wrong >= low).sum(), abs=1)
        reader.page.click("#clear")
        assert reader.shown == len(d)


# ---- decisions


@pytest.mark.slow
def test_decide_undo_redo_export_reload_import(reviewed, reader, tmp_path):
    d, path = reviewed
    reader.open(path)
    order = default_order(d)
    listed = d.ids[order].tolist()
    reader.press("d", "k", "u", "r")
    code = int((d.labels[order[3]] + 1) % 3)
    reader.page.select_option("#to", str(code))
    reader.press("Enter")
    assert reader.chosen == listed[4]
    assert reader.text("#progress") == "4 of 300 decided: 1 keep, 1 relabel, 1 drop, 1 unsure"
    reader.press("z", "z")
    assert reader.text("#progress") == "2 of 300 decided: 1 keep, 1 drop"
    assert reader.chosen == listed[2]
    reader.press("y", "Shift+Y")
    assert reader.text("#progress").startswith("4 of 300")

    file = tmp_path / "decisions.csv"
    file.write_bytes(reader.exported())
    found = d.apply(file)
    assert found.ids[~found.keep].tolist() == [listed[0]]
    assert found.actions[order[:5]].tolist() == ["drop", "keep", "unsure", "relabel", ""]
    assert found.labels[order[3]] == d.classes[code]

    reader.page.reload()
    reader.page.wait_for_selector("html[data-complete]", state="attached")
    assert reader.text("#progress").startswith("4 of 300")
    # The steps are kept, too.
    reader.press("z")
    assert reader.text("#progress").startswith("3 of 300")
    reader.press("y")

    for _ in range(4):
        reader.press("z")
    assert "none decided" in reader.text("#progress")
    reader.page.set_input_files("#file", file)
    reader.page.wait_for_function("() => document.getElementById('progress').textContent.startsWith('4 of 300')")
    assert reader.exported() == file.read_bytes()
    reader.press("z")
    assert "none decided" in reader.text("#progress")


@pytest.mark.slow
def test_a_new_decision_leaves_nothing_to_redo(reviewed, reader):
    reader.open(reviewed[1]).press("d", "z")
    assert reader.page.is_enabled("#redo")
    reader.press("k", "y")
    assert not reader.page.is_enabled("#redo")
    assert reader.text("#progress") == "1 of 300 decided: 1 keep"
    # Clearing is a step, too, and one that changes nothing is none.
    reader.press("ArrowUp", "c", "c", "z")
    assert reader.text("#progress") == "1 of 300 decided: 1 keep"


@pytest.mark.slow
def test_the_suggested_label_is_one_key(reviewed, browser, tmp_path):
    d, path = reviewed
    reader = Reader(browser).open(path)
    at = next(i for i in d.ranking if d.suggested[i] != d.labels[i])
    while reader.chosen != d.ids[at]:
        reader.press("ArrowDown")
    reader.press("s")
    (tmp_path / "d.csv").write_bytes(reader.exported())
    assert d.apply(tmp_path / "d.csv").labels[at] == d.classes[d.suggested[at]]
    reader.close()


@pytest.mark.slow
def test_one_decision_for_all_that_are_listed(reviewed, reader, tmp_path):
    d, path = reviewed
    reader.open(path)
    listed = d.p_wrong >= 0.5
    differs = listed & is_relabelling_advised(d.cause, d.p_wrong, d.labels, d.suggested, d.p_suggested)
    # The first is decided already, and stays as it is.
    reader.press("k")
    first = default_order(d)[0]
    reader.page.fill("#p_wrong-low", "0.5")
    reader.press("Tab")
    reader.page.focus("#list")
    reader.press("a")
    assert reader.text("#all-listed") == f"{listed.sum()} samples are listed."
    reader.page.check("#all-suggested")
    left = differs.copy()
    left[first] = False
    assert 0 < left.sum() < listed.sum()
    assert reader.text("#all-go") == f"Decide for {left.sum()}"
    reader.page.click("#all-go")
    file = tmp_path / "d.csv"
    file.write_bytes(reader.exported())
    found = d.apply(file)
    np.testing.assert_array_equal(found.actions == "relabel", left)
    np.testing.assert_array_equal(found.labels[left], np.asarray(d.classes)[d.suggested[left]])
    assert found.actions[first] == "keep"
    # One step takes it back.
    reader.page.focus("#list")
    reader.press("z")
    assert reader.text("#progress") == "1 of 300 decided: 1 keep"


@pytest.mark.slow
def test_a_bulk_decision_is_forecast_as_in_python(reader, tmp_path):
    d, _ = posterior_result(cause=np.where(np.arange(300) % 50 == 3, TOO_FEW, "noise"))
    d = replace(d, run=replace(d.run, ledger_trust=0.4))
    write(d, tmp_path / "r.html")
    reader.open(tmp_path / "r.html")
    reader.page.fill("#p_wrong-low", "0.6")
    reader.press("Tab")
    reader.page.focus("#list")
    reader.press("a")
    reader.page.check("#all-suggested")
    advised = is_relabelling_advised(d.cause, d.p_wrong, d.labels, d.suggested, d.p_suggested) & (d.p_wrong >= 0.6)
    names = np.array(d.classes)
    frame = pd.DataFrame({"id": d.ids, "action": "relabel", "label": names[d.suggested]})[advised]
    forecast = d.forecast(frame)
    assert reader.text("#all-forecast") == forecast.describe()
    p_right = 1 - d.p_wrong
    assert effects_shown(reader) == {
        (names[given], names[new]): pytest.approx(
            [rows.sum(), d.p_wrong[rows].sum(), np.maximum(p_right, 1 - d.p_suggested)[rows].sum(), p_right[rows].sum()],
            abs=0.051,
        )
        for given in range(3)
        for new in range(3)
        if (rows := advised & (d.labels == given) & (d.suggested == new)).any()
    }
    assert reader.page.locator("#all-by-class tr.missed").count() == 0
    doubtful = d.p_wrong >= 0.6
    reader.page.check("[name=all][value=drop]")
    dropped = pd.DataFrame({"id": d.ids, "action": "drop", "label": ""})[doubtful]
    assert reader.text("#all-forecast") == d.forecast(dropped).describe()
    assert effects_shown(reader) == {
        (names[given], "dropped"): pytest.approx([rows.sum(), d.p_wrong[rows].sum(), 0, p_right[rows].sum()], abs=0.051)
        for given in range(3)
        if (rows := doubtful & (d.labels == given)).any()
    }
    kept = "Of {} samples kept, expect {:.0f} with a wrong label."
    reader.page.check("[name=all][value=to]")
    reader.page.select_option("#all-label", label="bee")
    bee = pd.DataFrame({"id": d.ids, "action": "relabel", "label": "bee"})[doubtful & (names[d.labels] != "bee")]
    is_bee = doubtful & (names[d.labels] == "bee")
    as_bee = kept.format(is_bee.sum(), d.p_wrong[is_bee].sum())
    assert reader.text("#all-forecast") == f"{d.forecast(bee).describe()} {as_bee}"
    reader.page.check("[name=all][value=keep]")
    assert reader.text("#all-forecast") == kept.format(doubtful.sum(), d.p_wrong[doubtful].sum())
    assert effects_shown(reader)["cat", "kept"][3] == 0
    reader.page.check("[name=all][value=unsure]")
    assert reader.text("#all-forecast") == ""
    assert effects_shown(reader) == {}


def effects_shown(reader):
    """The table of a bulk decision: given and new label, and samples, wrong before, wrong after, right ones lost."""
    cells = [line.split("\t") for line in reader.text("#all-by-class").splitlines()[1:]]
    return {(given, new): [float(cell.split(" ")[0]) for cell in rest] for given, new, *rest in cells}


@pytest.mark.slow
def test_a_bulk_decision_that_spoils_labels_stands_out(reader, tmp_path):
    """No decision is chosen beforehand, and a change that makes more labels wrong than right is marked."""
    d = named_result(60)
    p_wrong = np.where(d.labels == 0, 0.9, 0.2)
    d = replace(d, p_wrong=p_wrong, suggested=np.ones(60, int), p_suggested=np.maximum(p_wrong - 0.05, 0.1))
    write(d, tmp_path / "r.html")
    reader.open(tmp_path / "r.html").press("a")
    assert reader.page.locator("[name=all]:checked").count() == 0
    assert reader.text("#all-go") == "Choose a decision"
    assert reader.page.is_disabled("#all-go")
    reader.page.check("[name=all][value=to]")
    reader.page.select_option("#all-label", label="bee")
    marked = reader.page.locator("#all-by-class tr.missed").all_inner_texts()
    assert [line.split("\t")[:2] for line in marked] == [["cat", "bee"]]
    reader.page.click("text=Cancel")
    reader.page.focus("#list")
    reader.press("a")
    assert reader.page.locator("[name=all]:checked").count() == 0


@pytest.mark.slow
def test_exported_suggestions_carry_their_probability(reader, tmp_path):
    d, _ = posterior_result()
    write(d, tmp_path / "r.html")
    reader.open(tmp_path / "r.html")
    reader.page.select_option("#order", "p_wrong")
    row = int(np.argmax(d.p_wrong))
    assert f"(p {d.p_suggested[row]:.2f})" in reader.text("#suggest").replace(">\u00a0", "")
    reader.press("s", "d")
    exported = pd.read_csv(BytesIO(reader.exported())).set_index("id")
    assert exported.loc[row, ["p_wrong", "p_suggested"]].tolist() == pytest.approx(
        [d.p_wrong[row], d.p_suggested[row]], abs=1e-4
    )
    assert exported["p_suggested"].isna().sum() == 1
    (tmp_path / "d.csv").write_bytes(reader.exported())
    assert (d.apply(tmp_path / "d.csv").actions != "").sum() == 2


@pytest.mark.slow
def test_copies_are_listed_filtered_and_sorted(reader, tmp_path):
    copy_set = np.full(300, -1)
    copy_set[[3, 8]], copy_set[[5, 11, 20]], copy_set[[6, 30]], copy_set[7] = 0, 1, 2, 3
    d, _ = posterior_result(copy_set=copy_set)
    labels = d.labels.copy()
    labels[[3, 8]], labels[[5, 11, 20]], labels[[6, 30]] = 1, 0, [0, 2]
    d = replace(d, labels=labels)
    write(d, tmp_path / "r.html")
    reader.open(tmp_path / "r.html")
    reader.page.select_option("#copies", "any")
    assert reader.shown == 7
    reader.page.select_option("#order", "copies")
    order = reader.page.locator("#list [role=option] .id").all_inner_texts()
    assert order == ["6", "30", "5", "11", "20", "3", "8"]
    reader.page.select_option("#copies", "contradictory")
    assert reader.shown == 2
    assert "×2" in reader.text("#list [aria-selected=true]")
    reader.page.wait_for_selector("section[aria-label='1 other sample of this set of copies']")
    reader.page.click("section[aria-label='1 other sample of this set of copies'] button")
    assert reader.chosen == "30"
    reader.page.click("#clear")
    assert reader.shown == 300
    write(random_result(20), tmp_path / "none.html")
    assert not reader.open(tmp_path / "none.html").page.locator("#copies").count()


@pytest.mark.slow
def test_all_that_are_listed_get_a_label_or_lose_their_decision(reviewed, reader, tmp_path):
    d, path = reviewed
    reader.open(path)
    reader.page.select_option("#label", label="cat")
    cats = d.labels == list(d.classes).index("cat")
    reader.page.focus("#list")
    reader.press("d", "a")
    reader.page.check("[name=all][value=to]")
    reader.page.select_option("#all-label", label="bee")
    assert reader.text("#all-go") == f"Decide for {cats.sum() - 1}"
    reader.page.check("#all-decided")
    assert reader.text("#all-go") == f"Decide for {cats.sum()}"
    reader.page.click("#all-go")
    file = tmp_path / "d.csv"
    file.write_bytes(reader.exported())
    found = d.apply(file)
    assert set(found.labels[cats]) == {"bee"}
    assert set(found.actions[~cats]) == {""}
    reader.page.click("#all")
    reader.page.check("[name=all][value=drop]")
    reader.press("Escape")
    assert reader.exported() == file.read_bytes()
    reader.page.click("#all")
    reader.page.check("[name=all][value=clear]")
    reader.page.click("#all-go")
    assert "none decided" in reader.text("#progress")
    reader.page.click("#all")
    assert reader.page.is_disabled("#all-go")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "table"])
def test_line_breaks_on_one_line_are_letters_that_fonts_have(kind, browser, tmp_path):
    """U+240A and its like are empty boxes in most fonts; those of other control characters stay, so that nothing hides."""
    d, lines = named_result(5), np.array(["a\nb\r\nc\td\7"] * 5, dtype=object)
    samples = samples_of(d, kind, lines if kind == "text" else pd.DataFrame({"x": lines}))
    write(d, tmp_path / "r.html", replace(samples, embedding=np.ones((5, 2), np.float32)))
    reader = Reader(browser).open(tmp_path / "r.html")
    # The list shows the sentence of a row in place of its values.
    content = "#list .mini" if kind == "text" else ".values dd"
    assert reader.page.locator(content).first.inner_text() == "a ↵ b ↵ c d␇"
    reader.close()


@pytest.mark.slow
def test_a_second_tab_hears_of_decisions_and_loses_none(reviewed, browser):
    _, path = reviewed
    first = Reader(browser).open(path)
    second = first.context.new_page()
    second.goto(path.as_uri())
    second.wait_for_selector("html[data-complete]", state="attached")
    first.press("d")
    second.wait_for_function("() => document.getElementById('progress').textContent.startsWith('1 of')")
    second.keyboard.press("End")
    second.keyboard.press("k")
    first.page.wait_for_function("() => document.getElementById('progress').textContent.startsWith('2 of')")
    first.page.reload()
    first.page.wait_for_selector("html[data-complete]", state="attached")
    assert first.text("#progress").startswith("2 of 300")
    first.close()


@pytest.mark.slow
def test_a_full_browser_says_so(reviewed, browser):
    reader = Reader(browser)
    reader.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    reader.open(reviewed[1]).press("d")
    assert "cannot store decisions" in reader.text("#alarm")
    assert "1 drop" in reader.text("#progress")
    reader.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,action\nn1,burn\n", "row 2, id n1: burn is not one of"),
        ("id,action\nmissing,keep\n", "id missing: this result has no such sample"),
        ("id,action\nn1,keep\nn1,drop\n", "row 3, id n1: it appears twice"),
        ("id,action,label\nn1,relabel,dragon\n", "its new label is not known"),
        ("id,action,given\nn1,keep,dragon\n", "row 2, id n1: its label was dragon, and is"),
        ("a,b\n1,2\n", "no columns id and action"),
        ('id,action\n"n1,keep', "quotation mark"),
    ],
)
def test_imports_that_do_not_fit_change_nothing(reviewed, reader, tmp_path, content, message):
    reader.open(reviewed[1]).press("d")
    (tmp_path / "bad.csv").write_text(content)
    reader.page.set_input_files("#file", tmp_path / "bad.csv")
    reader.page.wait_for_selector("#alarm:not([hidden])")
    assert message in reader.text("#alarm")
    assert reader.text("#progress").startswith("1 of 300")


@pytest.mark.slow
def test_by_keyboard_alone(reviewed, reader):
    """Every control is reached by Tab, and its way back to the list by Escape."""
    d, path = reviewed
    reader.open(path)
    reader.press("/")
    reader.page.keyboard.type("n1")
    reader.page.wait_for_function("() => !document.getElementById('count').textContent.startsWith('300')")
    reader.press("Escape", "End")
    listed = d.ids[default_order(d)]
    mask = np.char.find(listed.astype(str), "n1") >= 0
    assert reader.chosen == listed[mask][-1]
    reader.press("Home", "PageDown", "ArrowUp", "j", "p", "k")
    assert reader.text("#progress").startswith("1 of 300")
    reader.press("?")
    assert reader.page.locator("#keys").evaluate("dialog => dialog.open")
    reader.press("Escape")
    reached = set()
    for _ in range(60):
        reader.press("Tab")
        reached.add(reader.page.evaluate("document.activeElement.id || document.activeElement.dataset.action"))
    expected = {
        "undo",
        "export",
        "import",
        "help",
        "fold",
        "search",
        "label",
        "decided",
        "error-low",
        "clear",
        "order",
        "list",
        "to",
    }
    assert expected | {"keep", "drop", "unsure", "relabel", "next"} <= reached


@pytest.mark.slow
def test_names_and_roles_for_screen_readers(reviewed, reader):
    reader.open(reviewed[1])
    nameless = reader.page.evaluate("""() =>
      [...document.querySelectorAll("button, select, input, canvas, svg, img, [role]")]
      .filter(e => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim()
        || e.labels?.length || e.alt || e.getAttribute("alt") !== null || e.getAttribute("aria-hidden")
        || ["status", "alert"].includes(e.getAttribute("role")))).map(e => e.outerHTML)""")
    assert nameless == []
    options = reader.page.locator('#list [role="option"]')
    assert options.first.get_attribute("aria-setsize") == "300"
    assert reader.page.locator("#list").get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    reader.press("d")
    assert reader.text("#said").endswith(": drop")
    ids = reader.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_single_letters_can_be_switched_off(reviewed, reader):
    reader.open(reviewed[1]).press("?")
    reader.page.uncheck("#single")
    reader.press("Escape", "d")
    assert "none decided" in reader.text("#progress")


# ---- what samples are


@pytest.mark.slow
def test_images_texts_and_no_samples(browser, tmp_path):
    d = named_result(120)
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    texts = np.array([f"text number {i}\nof <b>two</b> lines" for i in range(120)], dtype=object)
    pages = {
        "image": samples_of(d, "image", images), "text": samples_of(d, "text", texts),
        "array": samples_of(d, "array", images.reshape(120, 64).astype(float)), "none": None,
    }  # fmt: skip
    for kind, samples in pages.items():
        if kind == "text":
            samples = replace(samples, embedding=np.ones((120, 2), np.float32))
        write(d, tmp_path / f"{kind}.html", samples)
        reader = Reader(browser).open(tmp_path / f"{kind}.html")
        first = int(default_order(d)[0])
        if kind == "image":
            reader.page.wait_for_function("() => document.querySelector('#detail img.whole')?.naturalWidth === 8")
            drawn = reader.page.evaluate("""() => { const c = document.createElement("canvas"); c.width = c.height = 8;
              const pen = c.getContext("2d"); pen.drawImage(document.querySelector("#detail img.whole"), 0, 0);
              return [...pen.getImageData(0, 0, 8, 8).data].filter((_, i) => i % 4 === 0); }""")
            assert drawn == images[first].ravel().tolist()
        elif kind == "text":
            assert reader.text("#detail .text") == texts[first]
        elif kind == "array":
            assert reader.page.locator("#detail .values > div").count() == 64
        else:
            assert "Pass the samples" in reader.text("#detail")
        assert reader.faults == []
        reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "one view", "one sample", "loss only"])
def test_other_results(kind, browser, tmp_path):
    d = {
        "regression": lambda: random_result(classes=None), "one view": lambda: random_result(views=1),
        "one sample": lambda: random_result(1, classes=("only",), factors=True),
        "loss only": lambda: random_result(classes=None, loss="own", task="loss"),
    }[kind]()  # fmt: skip
    if kind == "loss only":
        unknown = dict.fromkeys(("bias", "variance", "labels", "predicted"), np.full(len(d), np.nan))
        d = replace(d, **unknown, noise_variance=None, p_outlier=None)
    write(d, tmp_path / "page.html")
    reader = Reader(browser).open(tmp_path / "page.html")
    assert reader.shown == len(d)
    if kind == "regression":
        reader.press("r")
        reader.page.keyboard.type("-2.5")
        reader.press("Enter")
        (tmp_path / "d.csv").write_bytes(reader.exported())
        assert d.apply(tmp_path / "d.csv").labels[d.p_outlier.argmax()] == -2.5
    else:
        reader.press("d")
        assert "1 drop" in reader.text("#progress")
    assert reader.faults == []
    reader.close()


@pytest.mark.slow
def test_a_target_with_a_likely_error_is_corrected_with_one_key(reader, tmp_path):
    d = random_result(20, classes=None)
    suggested = np.where(np.arange(20) < 3, d.labels / 10, d.labels)
    d = replace(d, p_outlier=np.linspace(0.9, 0, 20), suggested=suggested, p_suggested=np.full(20, 0.9))
    d = replace(d, error=np.full(20, 6_217_326_080.0), error_se=np.full(20, 12_259_010.0))
    write(d, tmp_path / "page.html")
    reader.open(tmp_path / "page.html")
    # Squared errors may be too large for their place.
    assert "6.22e9 ± 1.2e7" in reader.text("#detail")
    assert reader.text("#detail .said").endswith("p 0.90")
    reader.press("s")
    (tmp_path / "d.csv").write_bytes(reader.exported())
    expected = d.labels.copy()
    expected[0] /= 10
    np.testing.assert_array_equal(d.apply(tmp_path / "d.csv").labels, expected)
    find(reader, str(d.ids[5]))
    assert not reader.page.locator("#suggest").is_visible()


@pytest.mark.slow
def test_neighbours_begin_with_the_columns_that_the_reason_names(reader, tmp_path):
    x = pd.DataFrame(
        {"a": np.arange(60) % 7, "b": np.arange(60) % 5, "c": np.arange(60) % 3, "size": np.arange(60) // 30 * 9.0}
    )
    samples = hs.Samples.of(x, np.where(np.arange(60) == 3, "big", np.where(x["size"] > 0, "big", "small")))
    d = hs.measure(samples, learner="logistic", repeats=2)
    write(d, tmp_path / "page.html", samples)
    reader.open(tmp_path / "page.html")
    assert reader.chosen == "3"
    assert "'size'" in reader.text("#detail .why")
    names = reader.page.locator("#detail .near .mini").evaluate_all("tiles => tiles.map((t) => t.textContent.trim())")
    assert all(name.startswith("size") for name in names)


# ---- hostile data


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "table"])
def test_nothing_in_the_data_can_run(kind, browser, tmp_path):
    ids = np.array([f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(200)])
    d = random_result(
        classes=(*HOSTILE, "=1+1", "lone \ud800"), factors=True, ids=ids, source=HOSTILE[0], label_name=HOSTILE[1]
    )
    strings = np.array([f"{HOSTILE[i % len(HOSTILE)]} \ud800" for i in range(200)], dtype=object)
    features = strings if kind == "text" else pd.DataFrame(dict.fromkeys(HOSTILE, strings), dtype=object)
    samples = replace(samples_of(d, kind, features), embedding=np.ones((200, 2), np.float32))
    html = render(d, samples)
    assert "\0" not in html
    # Without the page's policy, so that escaping alone has to hold.
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    for text in (html, bare):
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        reader = Reader(browser).open(tmp_path / "page.html")
        reader.press("d", "s", "k", "u", "ArrowDown", "ArrowDown")
        reader.page.fill("#search", "<")
        reader.page.wait_for_function("() => !document.getElementById('count').textContent.startsWith('200 of')")
        assert reader.page.evaluate("document.title") == f"Review of {HOSTILE[0]}"
        assert reader.page.locator("script").count() == 4
        assert reader.page.locator("img").count() == 0
        assert not reader.page.evaluate(
            """[...document.querySelectorAll("*")].some(e => [...e.attributes].some(a => a.name.startsWith("on")))"""
        )
        assert reader.faults == []
        (tmp_path / "d.csv").write_bytes(reader.exported())
        assert (d.apply(tmp_path / "d.csv").actions != "").sum() == 4
        reader.close()


@pytest.mark.slow
def test_exported_cells_are_no_formulas(browser, tmp_path):
    ids = np.array(["=cmd|' /C calc'!A0", "+1+1", "-1-x", "@sum", "\ttab", "'=quoted", "-5", 'plain,;"\n'])
    d = random_result(8, classes=("=a", "@b"), factors=True, ids=ids)
    d = replace(d, suggested=1 - d.labels)
    write(d, tmp_path / "page.html")
    reader = Reader(browser).open(tmp_path / "page.html")
    reader.press(*"ssssssss")
    content = reader.exported()
    cells = pd.read_csv(BytesIO(content), dtype=str, encoding="utf-8-sig")
    for column in cells:
        odd = cells[column].str.match(r"[=+@\t\r\n]|-(?!\d+$)")
        assert not odd.any(), cells[column][odd]
    (tmp_path / "d.csv").write_bytes(content)
    found = d.apply(tmp_path / "d.csv")
    assert (found.actions == "relabel").all()
    assert found.labels.tolist() == d.label_names(d.suggested).tolist()
    reader.close()


# ---- many samples


@pytest.mark.slow
def test_100_000_samples_keep_few_rows_in_the_document(browser, tmp_path):
    n = 100_000
    d = random_result(n, factors=True, ids=np.array([f"n{i}" for i in range(n)]))
    write(d, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 10e6
    reader = Reader(browser).open(tmp_path / "page.html")
    reader.press("End")
    assert reader.chosen == d.ids[default_order(d)[-1]]
    assert reader.page.locator("#list .row").count() < 40
    reader.press("Home", "d")
    assert reader.chosen == d.ids[default_order(d)[1]]
    assert "as density" in reader.page.locator("canvas").first.get_attribute("aria-label")
    assert reader.faults == []
    reader.close()


# ---- the parts


def test_neighbours_against_all_distances():
    d = random_result(60)
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    found = NearestSearch(samples_of(d, "array", X).matrix).find(np.arange(60))
    z = fit_scaler(X.astype(float))(X)
    far = np.square(z[:, None] - z[None]).sum(2)
    np.fill_diagonal(far, np.inf)
    assert (found == np.argsort(far, axis=1)[:, :NEAREST]).all()


def test_numbers_lose_no_digit():
    for values in ([0.1, 2.5], [16777217.0, 1.0], [1e300, np.nan], [np.nan]):
        given = np.array(values)
        np.testing.assert_allclose(compact_numbers(given).astype(float), given, rtol=1e-6)
        whole = given[np.isfinite(given) & (given == np.floor(given))]
        assert set(whole) <= set(compact_numbers(given).astype(float).tolist())


def test_what_is_no_known_array_is_refused():
    with pytest.raises(ValueError, match="i8"):
        PackedArrays().add("x", np.arange(3))


@pytest.mark.parametrize(("unit", "kind"), [(1.0, "f4"), (1e50, "f8")])
def test_errors_of_large_targets_are_packed_as_they_are(unit, kind, recwarn):
    d, packed = named_result(), PackedArrays()
    pack_columns(replace(d, error=unit * d.error), ["error"], packed)
    assert packed.directory["error"][0] == kind
    assert not recwarn.list


def test_as_many_samples_as_fit_are_held_hardest_first():
    d = named_result(50)
    texts = np.array(["x" * 100] * 50, dtype=object)
    packed = pack_samples(samples_of(d, "text", texts), d.ranking, most=2000)
    assert np.flatnonzero(packed.place >= 0).tolist() == np.sort(d.ranking[:10]).tolist()
    assert packed.place[d.ranking[:10]].tolist() == list(range(10))


def test_the_page_is_the_same_for_the_same_result_and_knows_it_from_others(tmp_path):
    assert render(named_result()) == render(named_result())
    other = named_result()
    other.error[0] += 1
    assert result_digest(named_result()) != result_digest(other)


def test_what_cannot_be_reviewed_is_refused(tmp_path):
    d = named_result()
    with pytest.raises(InputError, match="nothing to review"):
        render(d.select(np.zeros(300, dtype=bool)))
    with pytest.raises(InputError, match="cannot write"):
        write(d, tmp_path / "none" / "page.html")
    with pytest.raises(InputError, match="lack 1 of the 300"):
        render(d, samples_of(d, "table", random_table()).take(np.arange(299)))
    assert list(Path(tmp_path).iterdir()) == []
