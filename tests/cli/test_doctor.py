"""The report of the environment: it is right, problems are found, and it holds nothing private."""

import json
import os
import platform
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from packaging.requirements import Requirement

from hardsight.cli import doctor, main
from hardsight.cli.doctor import EXTRAS, describe, examine
from hardsight.cli.doctor_probe import strip_folders

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def here():
    return examine()


def run_doctor(tmp_path, *arguments, **environment):
    """The command in a process of its own, ``tmp_path`` first among the folders of modules."""
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "hardsight.cli", "doctor", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_versions_are_those_installed(here):
    # Of the package as it was installed, which may be an older tree than this one.
    installed = [text.partition(";")[0].strip() for text in metadata.requires("hardsight")]
    assert {"torch", "numpy", "scikit-learn", "pandas", "pyarrow", "altair"} <= set(here["libraries"])
    for name, library in here["libraries"].items():
        assert library["version"] == metadata.version(name)
        assert library["state"] == "works"
        assert f"{name}{library['needed']}" in installed
    assert here["python"]["version"] == platform.python_version()
    assert here["hardsight"] == metadata.version("hardsight") == PROJECT["version"]
    assert here["faults"] == []


@pytest.mark.slow
def test_threads_and_accelerators_are_those_that_torch_sees(here):
    code = "import torch; print(torch.get_num_threads())"
    assert here["threads"]["torch"] == int(subprocess.check_output([sys.executable, "-c", code]))
    assert len(here["accelerators"]["found"]) == torch.cuda.device_count() + torch.backends.mps.is_available()
    assert here["processor"]["usable"] == len(os.sched_getaffinity(0))
    assert any(pool["threads"] >= 1 for pool in here["threads"]["pools"])


def test_every_extra_says_what_it_is_for(here):
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"])
    assert set(here["extras"]) <= set(EXTRAS)
    assert all(extra["for"] for extra in here["extras"].values())


def test_extras_are_complete_or_lack_something(monkeypatch):
    versions = {"lightgbm": "4.9", "xgboost-cpu": "1.9"}

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    needed = [Requirement("lightgbm>=4.6"), Requirement("xgboost>=2.1.4")]
    assert doctor._extra("boosting", needed) == {
        "for": EXTRAS["boosting"], "found": {"lightgbm": "4.9", "xgboost": "1.9"}, "lacking": ["xgboost>=2.1.4"],
    }  # fmt: skip
    versions["xgboost-cpu"] = "3.2.0"
    assert doctor._extra("boosting", needed)["lacking"] == []
    assert doctor._extra("skorch", [Requirement("skorch>=1.0")])["lacking"] == ["skorch>=1.0"]


def test_extras_are_separated_from_core_requirements():
    always, extras = doctor._requirements()
    assert {"torch", "numpy"} <= {each.name for each in always}
    assert {each.name for each in extras["boosting"]} == {"lightgbm", "xgboost"}


@pytest.mark.slow
def test_a_library_that_ends_the_process_is_named_and_the_others_are_not_blamed(tmp_path):
    (tmp_path / "torch.py").write_text("import os\nos.abort()\n")
    done = run_doctor(tmp_path, "--json", "--out", tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert "cannot be imported: the process ended with status -6" in found["libraries"]["torch"]["state"]
    assert found["libraries"]["altair"]["state"] == found["libraries"]["numpy"]["state"] == "works"
    assert [fault.partition(":")[0] for fault in found["faults"]] == ["torch"]


@pytest.mark.slow
def test_what_cannot_be_imported_or_is_too_old_is_a_fault_and_nothing_private_is_printed(tmp_path):
    (tmp_path / "torch.py").write_text(
        "print('noise')\nraise OSError('/home/secret-ada/env/libcudart.so.12: cannot open')\n"
    )
    (tmp_path / "rich-12.0.dist-info").mkdir()
    (tmp_path / "rich-12.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rich\nVersion: 12.0\n")
    out = tmp_path / "secret-ada" / "results"
    private = {"HOME": "/home/secret-ada", "USER": "secret-ada", "TOKEN": "hunter-2", "OMP_NUM_THREADS": "hunter-2"}
    done = run_doctor(tmp_path, "--out", out, **private)
    assert done.returncode == 1
    assert "FAULT: torch: cannot be imported: OSError: …/libcudart.so.12: cannot open; pip install 'torch>=" in done.stdout
    assert "FAULT: rich: 12.0 is not >=13.0; pip install 'rich>=13.0'." in done.stdout
    assert "OMP_NUM_THREADS=not a number" in done.stdout
    for name in ("secret", "hunter", str(tmp_path), str(Path.cwd())):
        assert name not in done.stdout + done.stderr
    assert not out.exists()


def probe_nothing(modules):
    return {"faults": {}}


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_probe", probe_nothing)
    (tmp_path / "file").write_text("")
    found = examine(tmp_path / "file" / "results")
    assert found["folders"]["results"]["writable"] is False
    assert found["faults"] == ["the folder for results files is not writable (Not a directory): choose another with --out"]
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_probe", probe_nothing)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5 * 2**20}))
    assert examine(tmp_path)["faults"][0] == "the folder for results files has only 5 MiB free: choose another with --out"


@pytest.mark.slow
def test_a_library_that_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 5)
    assert doctor._probe(["json", "slow", "csv"])["faults"] == {"slow": "not imported after 5 seconds"}


def test_uninstalled(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "metadata", missing)
    monkeypatch.setattr(doctor, "_probe", probe_nothing)
    found = examine()
    assert found["libraries"] == found["extras"] == {}
    assert found["faults"][0].startswith("hardsight is not installed")
    assert "FAULT: hardsight is not installed" in describe(found)


def test_the_command_prints_the_same_either_way(here, monkeypatch):
    monkeypatch.setattr("hardsight.cli.doctor.examine", lambda out: here)
    plain, machine = (CliRunner().invoke(main, ["doctor", *more]) for more in ([], ["--json"]))
    assert plain.exit_code == machine.exit_code == 0
    assert json.loads(machine.output) == here
    for name, library in here["libraries"].items():
        assert any(line.split()[:2] == [name, library["version"]] for line in plain.output.splitlines())
    assert plain.output.rstrip().endswith("No problems found.")


def test_folders_are_stripped_from_messages():
    home = str(Path.home())
    assert strip_folders(f"OSError: {home}/my files/lib.so: no\nmore") == "OSError: …/my …/lib.so: no"
    assert strip_folders(r"C:\Users\ada\torch.dll is bad") == "…/torch.dll is bad"
    assert strip_folders("") == ""
