"""Settings files: what a run saves repeats it, from any folder, and faults are one line each."""

import json
import tomllib

import click
import numpy as np
import pytest
from support.command_line import error_line, run

import hardsight as hs
from hardsight.cli import main

QUICK = ("--learner", "ridge", "--repeats", "2", "--quiet")
REPEATABLE = ("measure", "explain", "preferences", "annotators")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a table and a folder for settings; it is the working directory."""
    rows = [f"{i / 7:.3f},{i % 5},{'pq'[i % 9 > 4]},n{i}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,y,name", *rows, ""]))
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_saved_run_is_repeated_from_another_folder(folder, monkeypatch):
    options = ("--label", "y", "--id", "name", "--drop", "b", "--no-csv", "--folds", "3", "--seed", "4", "--out", "first")
    result = run("measure", "data.csv", *options, *QUICK, "--save-settings", "runs/run.toml")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("wrote runs/run.toml\n")
    assert tomllib.loads((folder / "runs/run.toml").read_text()) == {
        "data": "../data.csv", "label": "y", "id": "name", "drop": ["b"], "learner": "ridge", "folds": 3, "repeats": 2,
        "out": "../first", "csv": False, "quiet": True, "seed": 4,
    }  # fmt: skip
    first = hs.load(folder / "first")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    again = run("measure", "--settings", "../runs/run.toml", "--out", "second")
    assert again.exit_code == 0, again.output
    assert sorted(path.name for path in (folder / "elsewhere/second").iterdir()) == [
        "difficulty.parquet", "report.html", "review.html",
    ]  # fmt: skip
    second = hs.load(folder / "elsewhere/second")
    np.testing.assert_array_equal(second.error, first.error)
    np.testing.assert_array_equal(second.ids, first.ids)


def test_options_of_the_command_line_come_first_and_are_saved(folder):
    (folder / "run.toml").write_text('label = "wrong"\nfolds = 4\ndrop = ["y"]\nout = "results"\n')
    overrides = ("--label", "y", "--drop", "name", "--drop", "b", "--save-settings", "run.toml")
    result = run("measure", "data.csv", "--settings", "run.toml", *overrides, *QUICK)
    assert result.exit_code == 0, result.output
    settings = tomllib.loads((folder / "run.toml").read_text())
    assert settings["label"] == "y"
    assert settings["drop"] == ["name", "b"]
    assert settings["folds"] == 4
    assert hs.load(folder / "results").settings["splits"].startswith("4 folds")


@pytest.mark.slow
def test_files_of_one_value_per_row_and_absolute_paths(folder):
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(40, 3)))
    np.save(folder / "y.npy", np.arange(40) % 2)
    out = str(folder / "results")
    saved = ("--out", out, "--save-settings", "runs/run.toml")
    assert run("measure", "x.npy", "--label", "y.npy", *saved, *QUICK).exit_code == 0
    settings = tomllib.loads((folder / "runs/run.toml").read_text())
    assert (settings["data"], settings["label"], settings["out"]) == ("../x.npy", "../y.npy", out)
    assert run("measure", "--settings", "runs/run.toml").exit_code == 0


@pytest.mark.slow
def test_columns_between_commas_texts_with_quotes_and_numbers(folder):
    rows = [f"{i};{i};{i % 2};{i % 3 // 2}" for i in range(60)]
    (folder / "sets.csv").write_text("\n".join(["a;n\\o ü;p;q", *rows, ""]))
    options = (
        "--labels",
        "p,q",
        "--separator",
        ";",
        "--drop",
        "n\\o ü",
        "--splits",
        "subsets",
        "--members",
        "20",
        "--ratio",
        "0.5",
    )
    result = run("measure", "sets.csv", *options, "--learner", "ridge", "--quiet", "--save-settings", "run.toml")
    assert result.exit_code == 0, result.output
    settings = tomllib.loads((folder / "run.toml").read_text())
    assert (settings["labels"], settings["drop"], settings["ratio"]) == ("p,q", ["n\\o ü"], 0.5)
    assert run("measure", "--settings", "run.toml").exit_code == 0


def test_all_faults_of_a_file_are_reported_at_once(folder):
    (folder / "run.toml").write_text(
        'folds = true\nlable = "y"\ndrop = "b"\ntask = "regresion"\ncsv = 1\nlabel = 3\nratio = "x"\nseed = -1\nzzz = 1\n'
        'embedding = "auto"\nfeatures = "auto"\nsettings = "a.toml"\n'
    )
    result = run("measure", "data.csv", "--settings", "run.toml")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Error: 11 faults:",
        "- run.toml: folds must be an integer, such as 2. Got true",
        "- run.toml: unknown setting 'lable' (did you mean 'label'?)",
        '- run.toml: drop must be a list of texts, such as ["a", "b"]. Got "b"',
        "- run.toml: task: 'regresion' is not one of 'auto', 'classification', 'regression'. Did you mean 'regression'?",
        "- run.toml: csv must be true or false. Got 1",
        '- run.toml: label must be text in quotes, such as "a". Got 3',
        '- run.toml: ratio must be a number, such as 0.5. Got "x"',
        "- run.toml: seed: -1 is not in the range x>=0.",
        "- run.toml: unknown setting 'zzz': hardsight help measure lists the options",
        "- run.toml: features is set twice, by two names of one option: remove one",
        "- run.toml: unknown setting 'settings': hardsight help measure lists the options",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--settings", "missing.toml"), "cannot read the settings file missing.toml: No such file or directory"),
        (("--settings", "data.csv"), "data.csv is not a TOML file (Expected '=' after a key"),
        (("--settings", "runs"), "cannot read the settings file runs: Is a directory"),
        (("--save-settings", "data.csv"), "--save-settings must end in .toml. Got data.csv"),
        (("--save-settings", "none/run.toml"), "cannot write none/run.toml: there is no folder none: create it first"),
        (("--out", "b\udcff", "--save-settings", "run.toml"), "--save-settings cannot save a path that is not UTF-8"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(folder, arguments, message):
    before = (folder / "data.csv").read_bytes()
    assert message in error_line("measure", "data.csv", "--label", "y", *QUICK, *arguments)
    assert (folder / "data.csv").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "runs"]


def test_a_run_that_fails_saves_nothing(folder):
    assert "'z'" in error_line("measure", "data.csv", "--label", "z", "--save-settings", "run.toml")
    assert not (folder / "run.toml").exists()


def test_resuming_is_not_saved_and_json_stays_one_object(folder):
    result = run("measure", "data.csv", "--label", "y", "--resume", "--json", *QUICK, "--save-settings", "run.toml")
    assert json.loads(result.stdout)["samples"] == 60
    assert result.stderr == "wrote run.toml\n"
    assert "resume" not in tomllib.loads((folder / "run.toml").read_text())


@pytest.mark.parametrize("name", REPEATABLE)
def test_every_command_that_trains_has_the_options(name):
    command = main.commands[name]
    assert {"settings", "save_settings"} <= {option.name for option in command.params if isinstance(option, click.Option)}
    assert "Repeating a run:" in run(name, "--help").output


@pytest.mark.slow
def test_preferences_are_repeated(folder):
    rows = [f"good answer number {i} with reasons,bad {i}" for i in range(40)]
    (folder / "pairs.csv").write_text("\n".join(["yes,no", *rows, ""]))
    options = ("--chosen", "yes", "--rejected", "no", "--repeats", "2", "--folds", "2", "--quiet")
    assert run("preferences", "pairs.csv", *options, "--save-settings", "run.toml").exit_code == 0
    assert tomllib.loads((folder / "run.toml").read_text())["file"] == "pairs.csv"
    assert run("preferences", "--settings", "run.toml").exit_code == 0


def test_a_folder_is_no_target_of_settings(folder):
    (folder / "run.toml").mkdir()
    line = error_line("measure", "data.csv", "--label", "y", *QUICK, "--save-settings", "run.toml")
    assert "which is a folder" in line
    assert not (folder / "hardsight-results").exists()


def test_settings_may_begin_with_a_byte_order_mark(folder):
    (folder / "run.toml").write_text('label = "nothing"\n', encoding="utf-8-sig")
    assert "'nothing'" in error_line("measure", "data.csv", "--settings", "run.toml", *QUICK)
