"""The documentation as source, and the parts of its generator and checks; `make docs-check` builds and checks the whole."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from pydoc import locate

import click
import pytest
from support.reference_pages import documented_paths

import hardsight as hs
from hardsight.cli import main
from website import docstrings, formulas, links, registries

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = '<html><body id="top"><a href="{link}">x</a><img src="../picture.svg">{more}</body></html>'


@pytest.fixture
def site(tmp_path):
    """A site of two pages that link to each other; called, it makes the second one anew and checks."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.svg").touch()
    (tmp_path / "index.html").write_text('<p id="here"><a href="sub/#top">sub</a> <a href="https://example.org">out</a></p>')

    def check(link="../#here", more=""):
        (tmp_path / "sub" / "index.html").write_text(PAGE.format(link=link, more=more))
        return links.check(tmp_path)

    return check


def test_a_whole_site_has_no_faults(site, tmp_path, capsys):
    found = site()
    assert found.faults == []
    assert found.counts == {"pages": 2, "links": 3, "anchors": 2}
    assert dict(found.outside) == {"https://example.org": 1}
    assert links.main(tmp_path) == 0
    assert "2 pages, 3 links within the site, 2 of them to anchors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"link": "../gone/"}, "../gone/ leads nowhere"),
        ({"link": "../#gone"}, "../#gone names no place of index.html"),
        ({"more": '<p id="top"></p>'}, "the id 'top' appears twice"),
        ({"more": '<script src="https://cdn.example/a.js"></script>'}, "fetches https://cdn.example/a.js"),
        ({"more": '<link rel="stylesheet" href="//fonts.example/a">'}, "fetches //fonts.example/a"),
        ({"more": "<style>@import 'https://fonts.example/b';</style>"}, "fetches https://fonts.example/b"),
        ({"more": '<img srcset="a.png 1x, https://example.org/b.png 2x">'}, "fetches https://example.org/b.png"),
    ],
)
def test_planted_faults_are_found(site, tmp_path, planted, message, capsys):
    assert any(message in fault for fault in site(**planted).faults)
    assert links.main(tmp_path) == 1
    assert message in capsys.readouterr().err


def toctree_entries(page):
    """Return the pages that the toctrees of a page list."""
    listed = set()
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        names = [line for line in block.splitlines() if line and not line.startswith(":")]
        for name in (re.sub(r".*<(.*)>$", r"\1", line) for line in names):
            found = (
                [path.resolve() for path in page.parent.glob(f"{name}.md")] if "*" in name else [page.parent / f"{name}.md"]
            )
            listed |= {path.resolve() for path in found}
    return listed


def test_every_page_is_in_the_table_of_contents():
    pages = {*DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md"), ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"}
    listed = set().union(*(toctree_entries(page) for page in pages)) | {DOCS / "index.md"}
    assert sorted(pages - listed) == [], "add the page to docs/index.md"
    assert sorted(page for page in listed if not page.exists()) == []


def public_names(package):
    """Return what a package names as public, by path."""
    known = vars(package)
    names = known.get("__all__") or [name for name in known if name[0] != "_" and not inspect.ismodule(known[name])]
    return {f"{package.__name__}.{name}": getattr(package, name) for name in names}


def test_every_public_name_is_documented():
    documented = documented_paths()
    located = {path: locate(path) for path in documented}
    assert [path for path, each in located.items() if each is None] == []
    objects = {id(each) for each in located.values()}
    named = {f"hs.{name}": getattr(hs, name) for name in hs.__all__}
    for found in pkgutil.walk_packages(hs.__path__, "hardsight."):
        # Commands have pages of their own; modules of integrations are listed one by one.
        if found.ispkg and not found.name.startswith(("hardsight.cli", "hardsight.integrations")):
            package = import_module(found.name)
            named |= public_names(package) if hasattr(package, "__all__") else {}
    assert [name for name, each in named.items() if id(each) not in objects] == []
    assert len(named) > 180


def test_the_overview_of_the_reference_lists_what_hardsight_exports():
    listed = set(re.findall(r"^   hardsight\.(\w+)$", (DOCS / "reference" / "index.md").read_text(), re.MULTILINE))
    assert {name for name in hs.__all__ if not inspect.ismodule(getattr(hs, name))} == listed


def test_every_command_has_an_entry():
    text = "".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "commands").glob("*.md")))
    entries = dict(re.findall(r"^\.\. click:: (\S+)\n   :prog: hardsight (\w+)$", text, re.MULTILINE))
    commands = main.list_commands(click.Context(main))
    assert sorted(entries.values()) == sorted(commands)
    for path, name in entries.items():
        assert locate(path.replace(":", ".")) is main.get_command(click.Context(main), name)


def test_registries_list_every_entry():
    schemes = "\n".join(registries.describe_schemes())
    assert all(f'**Scheme "{name}"**' in schemes for name in hs.SCHEMES)
    measures = "\n".join(registries.list_measures())
    assert all(f".. _measure-{name}:" in measures for name in hs.MEASURES)
    learners = "\n".join(registries.list_learners())
    assert all(f"``{name}``" in learners for name in hs.LEARNERS)


def test_formulas_need_no_script():
    assert formulas.inline(r"\log \bar p < 1").count("<math") == 1
    assert "&#x0003C;" in formulas.inline("p < 1")
    assert 'display="block"' in formulas.block("x")


def test_formulas_of_docstrings_are_marked():
    lines = ["$$x =", "y.$$", "", "The $t$s of `$5` and $a", "b$."]
    assert docstrings.mark_formulas(lines) == [".. math:: x = y.", "", "The :math:`t`\\ s of `$5` and :math:`a b`."]


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("hardsight.Difficulty", "hardsight.difficulty.result.Difficulty"),
        ("hardsight.Difficulty.table", "hardsight.difficulty.result.Difficulty.table"),
        ("hardsight.Difficulty.error", "hardsight.difficulty.result.Difficulty.error"),
        ("hardsight.Samples.weights", "hardsight.data.samples.Samples.weights"),
        ("hardsight.difficulty", "hardsight.difficulty"),
        ("hardsight.gone", None),
        ("hardsight.Difficulty.gone", None),
        ("torch.Tensor", None),
    ],
)
def test_names_lead_to_where_they_are_defined(path, canonical):
    assert docstrings.canonical_path(path) == canonical


def test_every_experiment_of_the_log_has_a_row():
    table, _, entries = (ROOT / "benchmarks" / "LOG.md").read_text(encoding="utf-8").partition("\n## ")
    titles = re.findall(r"^## (.*)$", f"## {entries}", re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    assert re.findall(r"^\| \[[^\]]+\]\(#([^)]+)\) \|", table, re.MULTILINE) == anchors
    assert entries.count("<details>") == entries.count("</details>") == len(titles)
