"""Files are written whole or not at all."""

import errno
import os
import signal
from pathlib import Path

import pytest
from support.errors import rejects

from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_finished_block_replaces(tmp_path):
    target = tmp_path / "out.txt"
    for content in ("old", "new and longer"):
        with atomic_write(target) as temporary:
            assert temporary.parent == tmp_path
            assert temporary != target
            temporary.write_text(content)
            assert not target.exists() or target.read_text() != content
        assert target.read_text() == content
    assert listing(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("fault", [RuntimeError("half way"), KeyboardInterrupt(), SystemExit(2), GeneratorExit()])
@pytest.mark.parametrize("before", [None, "old"])
def test_an_interrupted_block_leaves_everything_as_it_was(tmp_path, fault, before):
    target = tmp_path / "out.txt"
    if before:
        target.write_text(before)

    def write():
        with atomic_write(str(target)) as temporary:
            temporary.write_text("half")
            raise fault

    with pytest.raises(type(fault)):
        write()
    assert listing(tmp_path) == (["out.txt"] if before else [])
    assert not before or target.read_text() == before


def test_two_writers_do_not_meet(tmp_path):
    with atomic_write(tmp_path / "out") as first, atomic_write(tmp_path / "out") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert listing(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "1"


def write(path, content):
    with atomic_write(path) as temporary:
        temporary.write_text(content)


def rejects_path(match, path, content="x"):
    assert str(path) in rejects(match, write, path, content)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    rejects_path("No such file or directory: choose another place", tmp_path / "missing" / "out")
    rejects_path("Not a directory", tmp_path / "file" / "out")
    rejects_path("File name too long", tmp_path / ("x" * 300))
    (tmp_path / "folder").mkdir()
    rejects_path("cannot write .*directory", tmp_path / "folder")
    assert listing(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("when", ["write", "fsync", "replace"])
def test_a_full_disk(tmp_path, monkeypatch, when):
    target = tmp_path / "out"
    target.write_text("old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif when == "replace":
        monkeypatch.setattr(Path, "replace", full)

    def write():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            if when == "write":
                full()

    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        write()
    monkeypatch.undo()
    assert listing(tmp_path) == ["out"]
    assert target.read_text() == "old"


def test_what_a_killed_writer_left_is_taken_over(tmp_path):
    target = tmp_path / "out"
    for content in ("long before it was killed", "short"):
        if child := os.fork():
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        else:
            with atomic_write(target) as temporary:
                temporary.write_text(content)
                os.kill(os.getpid(), signal.SIGKILL)
        assert len(listing(tmp_path)) == 1
    with atomic_write(target) as temporary:
        assert temporary.read_text() == ""
        temporary.write_text("whole")
    assert listing(tmp_path) == ["out"]
    assert target.read_text() == "whole"


def test_a_file_that_another_process_writes_is_not_touched(tmp_path):
    target = tmp_path / "out"
    (began, begin), (go, end) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with atomic_write(target) as temporary:
            temporary.write_text("theirs")
            os.write(begin, b".")
            os.read(go, 1)
        os._exit(0)
    os.read(began, 1)
    with atomic_write(target) as temporary:
        temporary.write_text("ours")
    assert target.read_text() == "ours"
    os.write(end, b".")
    assert os.waitpid(child, 0)[1] == 0
    assert target.read_text() == "theirs"
    assert listing(tmp_path) == ["out"]


def test_no_link_is_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".out.part").symlink_to(tmp_path / "precious")
    with atomic_write(tmp_path / "out") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "out").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "kept"


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def none(file):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr("hardsight.io.atomic.lock", none)
    for content in ("old", "new"):
        with atomic_write(tmp_path / "out") as temporary:
            temporary.write_text(content)
    assert listing(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "new"


def test_devices_and_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    rejects_path("device or a pipe", tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    rejects_path("device or a pipe", Path("/dev/full"))
    assert Path("/dev/full").is_char_device()
