"""Full disks, folders that cannot be written, devices in place of files: one clear line, and what was there stays."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from support.command_line import error_line, run
from support.folders import read_folder

import hardsight as hs
from hardsight.cli import main
from hardsight.estimation.backends import Processes

QUICK = ("--label", "kind", "--quiet", "--folds", "2", "--repeats", "4", "--no-pilot", "--no-refine", "--learner", "ridge")
# In the order in which they are written.
FILES = ("difficulty.parquet", "difficulty.csv", "report.html", "review.html")
RESULTS = set(FILES)


@pytest.fixture(scope="module")
def saved(iris_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved")
    assert run("measure", iris_file, *QUICK, "--out", out).exit_code == 0
    return out


@contextmanager
def no_file_larger(size):
    """The system refuses what a file has beyond so many bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1000, 20_000, 60_000, 500_000])
def test_measuring_where_there_is_no_room(iris_file, saved, tmp_path, size):
    out = tmp_path / "out"
    out.mkdir()
    old = read_folder(saved)
    for name, content in old.items():
        (out / name).write_bytes(content)
    command = ("measure", iris_file, *QUICK, "--seed", "7", "--out", out)
    with no_file_larger(size):
        line = error_line(*command)
    assert str(out) in line
    assert "File too large" in line
    assert "choose another" in line
    found = read_folder(out)
    assert set(found) <= {*RESULTS, "progress.npz"}
    # Those that came before the file that failed are new; that one and all after are as they were.
    new = [name for name in FILES if found[name] != old[name]]
    assert new == list(FILES[: len(new)])
    assert len(new) < len(FILES)
    hs.load(out / "difficulty.parquet")
    assert run(*command, "--resume").exit_code == 0
    assert set(read_folder(out)) == RESULTS


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["weigh {d} -o {out}/w.csv", "weigh {d} -o {out}/w.parquet", "report {d} -o {out}/r.html", "review {d} -o {out}/r.html",
     "explain {iris_file} --label kind --difficulty {d} --no-effect --no-dynamics --quiet --out {out}"],
    ids=lambda command: command.split()[0],
)  # fmt: skip
def test_writing_where_there_is_no_room(iris_file, saved, tmp_path, command):
    filled = command.format(d=saved / "difficulty.parquet", iris_file=iris_file, out=tmp_path).split()
    names = ["explanation.json", "explanation.html"] if filled[0] == "explain" else [Path(filled[-1]).name]
    for name in names:
        (tmp_path / name).write_text("old")
    with no_file_larger(500):
        line = error_line(*filled)
    assert names[0] in line
    assert "choose another place with free space" in line
    assert read_folder(tmp_path) == dict.fromkeys(names, b"old")


@pytest.fixture
def disk(tmp_path):
    """A disk of 200 kB, where it is ours to mount one; given away as a function that makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_and_then_read_only(iris_file, saved, disk):
    place, read_only = disk
    out = place / "out"
    assert "report.html: No space left on device" in error_line("measure", iris_file, *QUICK, "--out", out)
    assert set(read_folder(out)) == {"difficulty.parquet", "difficulty.csv", "progress.npz"}
    with (place / "filled").open("wb") as file:
        file.write(bytes(shutil.disk_usage(place).free))
    before = read_folder(out)
    assert "parquet: No space left on device" in error_line("measure", iris_file, *QUICK, "--out", out, "--resume")
    assert "No space left on device" in error_line("weigh", saved / "difficulty.parquet", "-o", out / "w.csv")
    assert read_folder(out) == before
    read_only()
    for command in (
        ("measure", iris_file, *QUICK, "--out", out),
        ("measure", iris_file, *QUICK, "--out", place / "new"),
        ("weigh", saved / "difficulty.parquet", "-o", out / "w.csv"),
        ("review", out),
        ("explain", iris_file, "--label", "kind", "--difficulty", saved, "--out", out),
    ):
        line = error_line(*command)
        assert "Read-only file system: choose another" in line
        assert str(place) in line
    assert read_folder(out) == before


def test_a_file_where_the_folder_should_be(iris_file, saved, tmp_path):
    (tmp_path / "out").write_text("kept")
    line = error_line("measure", iris_file, *QUICK, "--out", tmp_path / "out")
    assert f"cannot create the folder {tmp_path / 'out'}: File exists: choose another with --out" in line
    line = error_line("weigh", saved / "difficulty.parquet", "-o", tmp_path / "out" / "w.csv")
    assert f"cannot write {tmp_path / 'out' / 'w.csv'}: " in line
    assert "choose another place" in line
    assert (tmp_path / "out").read_text() == "kept"


def test_no_room_for_what_several_processes_work_on(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)), rng.integers(0, 2, 400)
    with (
        no_file_larger(1000),
        pytest.raises(hs.InputError, match=r"cannot be written to .*: set TMPDIR to a folder with free"),
    ):
        hs.measure(x, y, execution=hs.Execution(backend=Processes(2)), learner="ridge")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["learners"], ["measures", "--json"], ["--help"], ["weigh", "--help"]])
def test_printing_where_there_is_no_room(command, monkeypatch, capsys):
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(SystemExit) as ended:
        main(command)
    monkeypatch.undo()
    with suppress(OSError):
        full.close()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: cannot print: No space left on device\n"
