"""Every block of code in the README and the docs runs, in order, page by page."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hardsight.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,y\n" + "".join(f"{i / 7:.3f},{'pq'[i % 9 > 4]}\n" for i in range(60)))
    names: dict[str, object] = {"__name__": page.stem}
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for kind, code in blocks:
        if kind == "python":
            exec(compile(code, f"{page.name}", "exec"), names)
            continue
        for line in code.splitlines():
            command = shlex.split(line, comments=True)
            if command and command[0] == "hardsight":
                subprocess.run([sys.executable, "-m", "hardsight.cli", *command[1:]], check=True)
    assert blocks or page.name == "how-it-works.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


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
