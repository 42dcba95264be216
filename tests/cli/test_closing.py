"""The end of a run: what to open, and commands that work as printed."""

import io
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.command_line import run
from support.example_results import by_hand, regression_with_a_wrong_unit, regression_with_an_outlier

from hardsight.cli.closing import next_commands, print_closing

OUT = Path("out")


def printed(files, commands, width=80):
    file = io.StringIO()
    print_closing(files, commands, Console(file=file, width=width, highlight=False))
    return file.getvalue()


def test_pages_come_first_and_purposes_are_aligned():
    text = printed(
        {"difficulty": OUT / "difficulty.parquet", "review": OUT / "review.html"}, [("hardsight weigh out", "weights")]
    )
    assert text.splitlines() == [
        "", "Open", "  out/review.html         look at the samples and decide",
        "  out/difficulty.parquet  every number, for hs.load", "", "Next", "  hardsight weigh out  weights",
    ]  # fmt: skip


def test_a_long_path_stays_on_one_line():
    path = Path("/a folder" * 12) / "[red]review.html"
    assert f"  {path}\n    look at the samples and decide\n" in printed({"review": path}, [])


@pytest.mark.parametrize("source", ["data.csv", "data.PARQUET", "data.tsv.gz"])
def test_tables_with_advised_changes_are_previewed(source):
    commands = [command for command, _ in next_commands(by_hand(), OUT, Path(source), ["--label", "a b"], has_review=True)]
    assert commands == [
        f"hardsight apply out {source} --label 'a b' --suggestions --preview", "hardsight weigh out",
    ]  # fmt: skip


def test_no_command_is_offered_that_would_be_refused():
    def names(d, source, has_review=True):
        return [command.split()[1] for command, _ in next_commands(d, OUT, Path(source), [], has_review=has_review)]

    assert names(by_hand(), "folder") == names(by_hand(), "data.xlsx") == ["weigh"]
    assert names(replace(by_hand(), p_wrong=np.zeros(6)), "data.csv") == ["weigh"]
    assert names(regression_with_an_outlier(), "data.csv") == []
    assert names(regression_with_a_wrong_unit(), "data.csv") == ["apply"]
    assert names(by_hand(), "folder", has_review=False) == ["serve", "weigh"]
    # apply does not merge spellings.
    assert [command for command, _ in next_commands(by_hand(), OUT, Path("a.csv"), None, has_review=True)] == [
        "hardsight weigh out"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--separator", ";", "--encoding", "cp1252")])
def test_the_commands_that_are_printed_work(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = y + 0.1 * rng.normal(size=80)
    y[[3, 10, 40]] ^= 1
    mark = options[1] if options else ","
    lines = [mark.join(("größe", "label of it", "name"))] + [
        f"{a:.3f}{mark}c{b}{mark}n{i}" for i, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    Path("my data.csv").write_text("\n".join(lines), encoding="cp1252" if options else "utf-8")
    command = (
        "measure",
        "my data.csv",
        "--label",
        "label of it",
        "--id",
        "name",
        "--learner",
        "logistic",
        "--quiet",
        *options,
    )
    result = run(*command)
    assert result.exit_code == 0, result.output
    following = [line.strip() for line in result.output.partition("\nNext\n")[2].splitlines() if "  hardsight " in line]
    assert len(following) == 2
    for line in following:
        done = run(*shlex.split(re.split("  +", line)[0])[1:])
        assert done.exit_code == 0, done.output
