"""The list of commands: every description is shown in full, and commands of other packages join by entry points."""

import click
import pytest
from support.command_line import run

from hardsight.cli import group, main

SHORT = 60


class _EntryPoint:
    """An entry point whose command is loaded only when it is asked for."""

    loaded = 0

    def load(self):
        type(self).loaded += 1
        return click.Command("bench", short_help="Run the benchmarks.")


def test_help_shows_every_description_in_full():
    shown = run("--help").output.partition("Commands:")[2]
    assert "..." not in shown
    for name, command in main.commands.items():
        assert command.short_help
        assert len(command.short_help) < SHORT
        assert any(line.split() == [name, *command.short_help.split()] for line in shown.splitlines())


def test_a_command_of_an_installed_package_is_listed_and_loaded(monkeypatch):
    monkeypatch.setattr(group, "_installed", lambda: {"bench": _EntryPoint()})
    assert "Run the benchmarks." in run("--help").output
    before = _EntryPoint.loaded
    assert run("measures").exit_code == 0
    assert _EntryPoint.loaded == before
    assert run("bench", "--help").exit_code == 0


def test_a_package_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr(group, "_installed", dict)
    assert "bench" not in run("--help").output
    result = run("bench", "measures")
    assert result.exit_code == 2
    assert result.output.strip().splitlines()[-1] == (
        "Error: The benchmarks are a package of their own. In a clone of the repository: pip install ./benchmarks"
    )


@pytest.mark.parametrize("name", ["bench2", "mesure"])
def test_unknown_commands_are_refused(name):
    assert "No such command" in run(name).output
