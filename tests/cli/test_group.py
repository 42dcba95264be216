"""The list of commands and their help: sections, suggestions for typing errors, and completion by the shell."""

import os
import re
import subprocess
import sys

import click
import pytest
from support.command_line import run

from hardsight.cli import group, main
from hardsight.cli.sections import COMMANDS, OPTIONS, SectionedCommand, in_sections

NARROW = {"terminal_width": 80}


class _EntryPoint:
    """An entry point whose command is loaded only when it is asked for."""

    loaded = 0

    def load(self):
        type(self).loaded += 1
        return click.Command("bench", short_help="Run the benchmarks.")


def sections_of(text):
    """The titles of a help text, and the lines below each."""
    parts = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_commands_stand_in_sections_in_the_order_of_use():
    shown = sections_of(run("--help", **NARROW).output)
    assert list(shown) == ["Options", *COMMANDS]
    for title, names in COMMANDS.items():
        assert [line.split()[0] for line in shown[title].strip().splitlines()] == list(names)


def test_every_description_is_one_line_that_is_not_cut():
    lines = run("--help", **NARROW).output.splitlines()
    assert max(map(len, lines)) <= 80
    for name, command in main.commands.items():
        assert any(line.split() == [name, *command.short_help.split()] for line in lines)
    assert not any(line.endswith("...") for line in lines[1:])


def test_every_command_is_in_a_section():
    assert set(main.commands) <= {name for names in COMMANDS.values() for name in names}


SECTIONED = [name for name, command in main.commands.items() if isinstance(command, SectionedCommand)]


@pytest.mark.parametrize("name", SECTIONED)
def test_long_help_is_in_sections(name):
    command = main.commands[name]
    shown = sections_of(run(name, "--help", **NARROW).output)
    names = [option.name for option in command.params if isinstance(option, click.Option)]
    expected = in_sections([*names, "help"], OPTIONS)
    assert list(shown) == [title for title, _ in expected]
    assert expected[-1] == ("Other", ["help"])
    for title, members in expected[:-1]:
        options = [option for option in command.params if option.name in members]
        for option in options:
            assert max(option.opts, key=len) in shown[title]
    assert not re.search(r"^  DATA$", "".join(shown.values()), re.MULTILINE)


def test_commands_with_many_options_are_in_sections():
    for name, command in main.commands.items():
        assert name in SECTIONED or sum(isinstance(option, click.Option) for option in command.params) <= 20


@pytest.mark.parametrize("names", [(), ("measure",), ("weigh",), ("help",), ("bench",), ("bench", "measures")], ids=" ".join)
def test_help_is_that_of_the_option(names):
    if names[:1] == ("bench",):
        pytest.importorskip("hardsight_bench")
    assert run("help", *names).output == run(*names, "--help").output


def test_help_of_what_is_not_there():
    assert "No such command 'mesure'. Did you mean 'measure' or 'measures'?" in run("help", "mesure").output
    assert " weigh' has no commands of its own. Got 'x'" in run("help", "weigh", "x").output
    assert run("help", "mesure").exit_code == run("help", "weigh", "x").exit_code == 2


def test_a_command_of_an_installed_package_is_listed_and_loaded(monkeypatch):
    monkeypatch.setattr(group, "_installed", lambda: {"bench": _EntryPoint(), "extra": _EntryPoint()})
    shown = sections_of(run("--help").output)
    assert "Run the benchmarks." in shown["Research"]
    assert "extra" in shown["Other"]
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mesure",), "No such command 'mesure'. Did you mean 'measure' or 'measures'?"),
        (("docter",), "No such command 'docter'. Did you mean 'doctor'?"),
        (("xyz",), "No such command 'xyz'.\n"),
        (("weigh", "x", "--shceme", "auto"), "'--scheme'"),
        (("measure", "x", "--lable", "y"), "'--label'"),
        (("measure", "x", "--splits", "kfolds"), "Did you mean 'kfold'?"),
        (("measure", "x", "--task", "regresion"), "Did you mean 'regression'?"),
        (("explain", "x", "--target", "ballanced"), "Did you mean 'balanced'?"),
    ],
)
def test_typing_errors_get_a_suggestion(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_typing_errors_in_a_package_of_its_own(monkeypatch):
    monkeypatch.setattr(group, "_installed", lambda: {"bench": _EntryPoint()})
    assert "Did you mean 'bench'?" in run("benhc").output


# Completion, as docs/command-line.md describes it


def complete(words, shell="bash"):
    """What the shell is told when a person presses Tab at the end of some words."""
    code = "from hardsight.cli import main; main(prog_name='hardsight')"
    environment = os.environ | {
        "_HARDSIGHT_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
    }  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.slow
def test_the_shell_completes_commands_options_and_words():
    assert complete("hardsight meas") == ["plain,measure", "plain,measures"]
    assert complete("hardsight weigh --sch") == ["plain,--scheme"]
    assert complete("hardsight measure data.csv --splits s") == ["plain,subsets"]
    assert complete("hardsight report ") == ["file,"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_a_script(shell):
    code = "from hardsight.cli import main; main(prog_name='hardsight')"
    environment = os.environ | {"_HARDSIGHT_COMPLETE": f"{shell}_source"}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert f"_HARDSIGHT_COMPLETE={shell}_complete" in ended.stdout
