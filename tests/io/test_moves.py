"""Files moved within a folder, and put back: byte for byte, also after a kill at any moment."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from support.errors import rejects

from hardsight.io.moves import Move, move_files, read_record, undo

MOVES = [Move("cat/1.png", "dog/1-2.png"), Move("cat/2.png", ".dropped/cat/2.png"), Move("dog/1.png", "cat/1-2.png")]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pets"
    for name in ("cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/note.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of {name}".encode())
    return folder


def tree(folder):
    """What is in a folder: contents by path, None for folders."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def test_files_move_and_come_back(folder, tmp_path):
    before, record = tree(folder), tmp_path / "undo.json"
    move_files(folder, MOVES, record)
    after = tree(folder)
    for source, target in MOVES:
        assert after[target] == before[source]
        assert source not in after
    assert read_record(record).finished
    assert undo(record) == 3
    assert tree(folder) == before
    assert not record.exists()


def run_and_kill(job, folder, at):
    """Run a job in a child that kills itself before the operation on files with this number; return whether it ended."""
    child = os.fork()
    if not child:
        count = 0

        def watch(event, arguments):
            nonlocal count
            if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove") and str(folder.parent) in str(
                arguments[0]
            ):
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            job()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_killed_at_any_moment_everything_can_be_put_back(folder, tmp_path):
    before, record = tree(folder), tmp_path / "undo.json"
    half_moved = 0
    for at in range(1, 100):
        ended = run_and_kill(lambda: move_files(folder, MOVES, record), folder, at)
        contents = sorted(value for value in tree(folder).values() if value)
        assert contents == sorted(value for value in before.values() if value)
        half_moved += record.exists() and not read_record(record).finished and tree(folder) != before
        if record.exists():
            undo(record)
        assert tree(folder) == before
        if ended:
            break
    assert ended
    assert half_moved > 5


def test_undo_can_be_killed_and_repeated(folder, tmp_path):
    before, record = tree(folder), tmp_path / "undo.json"
    for at in range(1, 100):
        move_files(folder, MOVES, record)
        ended = run_and_kill(lambda: undo(record), folder, at)
        if record.exists():
            undo(record)
        assert tree(folder) == before
        if ended:
            break
    assert ended
    assert at > 5


def test_nothing_moves_if_something_stands_in_the_way(folder, tmp_path):
    before, record = tree(folder), tmp_path / "undo.json"
    rejects("dog/1.png exists", move_files, folder, [MOVES[1], Move("cat/1.png", "dog/1.png")], record)
    rejects("cat/9.png is not there", move_files, folder, [MOVES[1], Move("cat/9.png", "dog/9.png")], record)
    (folder / "cat" / "link.png").symlink_to("1.png")
    rejects("is a link", move_files, folder, [Move("cat/link.png", "dog/link.png")], record)
    (folder / "cat" / "link.png").unlink()
    same = [Move("cat/1.png", "dog/9.png"), Move("cat/2.png", "dog/9.png")]
    rejects("dog/9.png exists", move_files, folder, same, record)
    assert tree(folder) == before
    assert not record.exists()


@pytest.mark.parametrize("at", range(3))
def test_what_fails_on_the_way_is_put_back(folder, tmp_path, monkeypatch, at):
    """A file of another appears at a target, or a file cannot be moved, while the work goes on."""
    before, record, moved = tree(folder), tmp_path / "undo.json", []
    replace = Path.replace

    def fail(source, target):
        if str(source).startswith(str(folder)):
            moved.append(source)
            if len(moved) == at + 1:
                raise PermissionError(1, "not permitted", str(source))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail)
    rejects("cannot be moved .not permitted.: nothing was changed", move_files, folder, MOVES, record)
    assert tree(folder) == before
    assert not record.exists()


def test_a_file_that_appears_at_a_target_stays(folder, tmp_path, monkeypatch):
    before, record = tree(folder), tmp_path / "undo.json"
    replace = Path.replace

    def appear(source, target):
        if source.name == "1.png":
            (folder / "cat" / "1-2.png").write_bytes(b"of another")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", appear)
    rejects("cat/1-2.png cannot be moved", move_files, folder, MOVES, record)
    assert tree(folder) == {**before, "cat/1-2.png": b"of another"}


def test_undo_refuses_what_it_cannot_put_right(folder, tmp_path):
    record = tmp_path / "undo.json"
    move_files(folder, MOVES, record)
    moved = tree(folder)
    (folder / "cat" / "1.png").write_bytes(b"another")
    rejects("1 files have others at their old places", undo, record)
    (folder / "cat" / "1.png").unlink()
    assert tree(folder) == moved
    lost = (folder / "dog" / "1-2.png").read_bytes()
    (folder / "dog" / "1-2.png").unlink()
    rejects("are gone from their new places", undo, record)
    (folder / "dog" / "1-2.png").write_bytes(lost)
    undo(record)


@pytest.mark.parametrize(
    "change",
    [{"moves": [["../x", "y"]]}, {"moves": [["x", "/etc/y"]]}, {"format": "other"}, {"moves": 3}, {"created": ["../z"]}],
)
def test_records_of_others_are_refused(folder, tmp_path, change):
    record = tmp_path / "undo.json"
    move_files(folder, MOVES, record)
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    rejects("is no record", undo, record)
    rejects("no file at", undo, tmp_path / "absent.json")
