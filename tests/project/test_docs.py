"""Every block of code in the README and the docs runs, in order, page by page."""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hardsight.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages without code, and those whose code tests/project/test_gallery.py runs.
PROSE = {"how-it-works.md", "quick-starts.md", "gallery.md", "limits.md"}
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)")


def named(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a page's code runs; modules that it writes there are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


# What Lightning says of torch's own trees, and of tiny data.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_code_runs(page, folder):
    (folder / "data.csv").write_text("a,y\n" + "".join(f"{i / 7:.3f},{'pq'[i % 9 > 4]}\n" for i in range(60)))
    names: dict[str, object] = {"__name__": page.stem}
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for kind, code in blocks:
        if kind == "python":
            exec(compile(code, f"{page.name}", "exec"), names)
            continue
        for line in code.splitlines():
            command = shlex.split(line, comments=True)
            if command and command[0] == "hardsight":
                ended = CliRunner().invoke(main, command[1:], catch_exceptions=False)
                assert ended.exit_code == 0, f"{line}\n{ended.output}"
    assert blocks or page.name in PROSE or page.parent.name == "gallery"


def anchors(page):
    """Of the headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target, heading in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not heading or heading in anchors(there), f"{target}#{heading}"


def test_every_command_is_documented():
    text = "".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CHANGELOG.md"])
    for name, command in main.commands.items():
        assert command.help
        assert re.search(rf"\bhardsight[^\n]*`?[^\n]*\b{name}\b", text), name


def test_make_commands_in_the_readme_exist():
    made = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    rules = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made
    assert set(made) <= set(rules)


def test_help_of_every_option_is_there():
    for command in main.commands.values():
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, option.name
