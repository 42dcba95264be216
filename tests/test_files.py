"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from hardsight.errors import InputError
from hardsight.files import atomic


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_finished_block_replaces(tmp_path):
    target = tmp_path / "out.txt"
    for content in ("old", "new and longer"):
        with atomic(target) as temporary:
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
        with atomic(str(target)) as temporary:
            temporary.write_text("half")
            raise fault

    with pytest.raises(type(fault)):
        write()
    assert listing(tmp_path) == (["out.txt"] if before else [])
    assert not before or target.read_text() == before


def test_two_writers_do_not_meet(tmp_path):
    with atomic(tmp_path / "out") as first, atomic(tmp_path / "out") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert listing(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "1"


def refused(match, path, content="x"):
    with pytest.raises(InputError, match=match) as caught, atomic(path) as temporary:
        temporary.write_text(content)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    refused("No such file or directory: choose another place", tmp_path / "missing" / "out")
    refused("Not a directory", tmp_path / "file" / "out")
    refused("File name too long", tmp_path / ("x" * 300))
    (tmp_path / "folder").mkdir()
    refused("cannot write .*directory", tmp_path / "folder")
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
        with atomic(target) as temporary:
            temporary.write_text("half")
            if when == "write":
                full()

    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        write()
    monkeypatch.undo()
    assert listing(tmp_path) == ["out"]
    assert target.read_text() == "old"


def test_a_block_that_writes_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot write"), atomic(tmp_path / "out"):
        pass
    assert listing(tmp_path) == []
