"""Every example of the gallery runs, is short, and says what its page says."""

import math
import re
import runpy
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
EXAMPLES = sorted(path.stem for path in GALLERY.glob("*.py"))
# The docstrings of other releases are other texts.
LOOSE = {"text": {"share": 0.1, "units": 3}}
BLOCK = re.compile(r"^```(py|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def page(name: str) -> dict[str, str]:
    return dict(BLOCK.findall((GALLERY / f"{name}.md").read_text(encoding="utf-8")))


def alike(shown: str, fresh: str, share: float = 0.02, units: float = 2) -> bool:
    """The same words, and numbers within a share or so many units: libraries and processors differ in the last digits."""
    # Lines with a dash name what the installed versions of libraries hold.
    shown, fresh = ("\n".join(line for line in text.splitlines() if line[:2] != "- ") for text in (shown, fresh))
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (shown, fresh)]
    words = [re.sub(r"[\s#]+", " ", NUMBER.sub("#", text)) for text in (shown, fresh)]
    close = (math.isclose(one, other, rel_tol=share, abs_tol=units) for one, other in zip(*numbers, strict=False))
    return words[0] == words[1] and all(close)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_its_page_says(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(GALLERY / f"{name}.py"))
    fresh = capsys.readouterr().out
    assert alike(page(name)["text"], fresh, **LOOSE.get(name, {})), (
        f"run python scripts/gallery.py {name}; fresh output:\n{fresh}"
    )
    figure = next(tmp_path.iterdir())
    committed = GALLERY.parent / "images" / "gallery" / figure.name
    assert committed.read_bytes()[:4] == figure.read_bytes()[:4]
    assert f"images/gallery/{figure.name}" in (GALLERY / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_holds_the_script_that_runs(name):
    code = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    assert page(name)["py"] == code, f"run python scripts/gallery.py {name}"
    assert len(code.splitlines()) <= 60
    assert f"gallery/{name}.md" in (GALLERY.parent / "gallery.md").read_text(encoding="utf-8")


def test_the_figures_of_the_list_are_those_of_the_pages():
    for row in (GALLERY.parent / "gallery.md").read_text(encoding="utf-8").splitlines():
        if link := re.search(r"\]\(gallery/(\w+)\.md\)", row):
            shown = NUMBER.findall(page(link[1])["text"])
            assert set(re.findall(r"\d+\.\d+", row.split("|")[-2])) <= set(shown), link[1]


def test_another_output_is_told():
    shown = "5 of 9 found\n- one\naccuracy 92.1\n"
    assert alike(shown, "5 of 9 found\n- two\n- three\naccuracy 90.6\n")
    assert not alike(shown, "5 of 9 lost\naccuracy 92.1\n")
    assert not alike(shown, "5 of 9 found\naccuracy 88.9\n")
