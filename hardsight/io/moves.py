"""Files moved within a folder, with a record from which everything can be put back, also if the process is killed.

The record is written before the first move. A file is moved by renaming it over an empty file that was created for it, so
that no file of another is ever replaced. Wherever the work stops, each file is at its source or at its target as a whole,
and :func:`undo` tells which.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hardsight.errors import InputError, first_line
from hardsight.io.atomic import atomic_write
from hardsight.io.locks import lock

_FORMAT = "hardsight moves 1"
_MAX_NAMED = 3


class Move(NamedTuple):
    """A file to be moved; paths in the folder, with "/" between their parts."""

    source: str
    target: str


class Record(NamedTuple):
    """What a record holds.

    Attributes:
        folder: in which files were moved.
        moves: in their order.
        created: folders that were made for them, outer ones first.
        finished: whether all moves were made.
    """

    folder: Path
    moves: tuple[Move, ...]
    created: tuple[str, ...]
    finished: bool


def move_files(folder: Path, moves: Sequence[Move], record: Path) -> None:
    """Move files: all of them, or none if one cannot be moved.

    Args:
        record: path of the record that is written, for :func:`undo`.

    Raises:
        InputError: a source is missing or a link, a target exists, or a file cannot be moved; then all are back.
    """
    _check(folder, moves)
    with _locked(folder):
        created = _missing_folders(folder, moves)
        plan = Record(folder.absolute(), tuple(moves), tuple(created), False)
        _write(record, plan)
        try:
            for name in created:
                (folder / name).mkdir()
            for move in moves:
                _move(folder / move.source, folder / move.target)
        except BaseException as error:
            _put_back(plan)
            record.unlink()
            if isinstance(error, OSError):
                place, reason = error.filename or folder, error.strerror or first_line(error)
                raise InputError(f"{place} cannot be moved ({reason}): nothing was changed") from error
            raise
        _write(record, plan._replace(finished=True))


def undo(record: Path) -> int:
    """Put back the files that :func:`move_files` moved, and remove the record; return how many were put back.

    Raises:
        InputError: it is no such record, or a file is gone, or another one stands at its old place; then none is moved.
    """
    plan = read_record(record)
    if not plan.folder.is_dir():
        raise InputError(f"there is no folder {plan.folder}, in which files were moved: put it back")
    with _locked(plan.folder):
        states = [_state(plan.folder, move) for move in plan.moves]
        for state, problem in (("gone", "are gone from their new places"), ("both", "have others at their old places")):
            names = [move.source for move, each in zip(plan.moves, states, strict=True) if each == state]
            if names:
                named = ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")
                raise InputError(f"{len(names):,} files {problem} ({named}): nothing was moved; put these right first")
        try:
            count = _put_back(plan)
        except OSError as error:
            raise InputError(
                f"{error.filename} cannot be moved ({error.strerror}): put that right, and undo again"
            ) from error
    record.unlink()
    return count


def read_record(record: Path) -> Record:
    """Read a record.

    Raises:
        InputError: it cannot be read, or is no record of moves in a folder.
    """
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        moves = tuple(Move(str(source), str(target)) for source, target in content["moves"])
        created = tuple(map(str, content["created"]))
        plan = Record(Path(content["folder"]), moves, created, bool(content["finished"]))
        has_format = content["format"] == _FORMAT
    except FileNotFoundError:
        raise InputError(f"no file at {record}: name the file that `hardsight apply` wrote") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{record} is no record of moved files ({first_line(error)}): name the file that was written"
        ) from None
    paths = [PurePosixPath(path) for path in (*created, *(path for move in moves for path in move))]
    if not has_format or any(path.is_absolute() or ".." in path.parts for path in paths):
        raise InputError(f"{record} is no record of files that were moved within a folder: name the file that was written")
    return plan


def _write(record: Path, plan: Record) -> None:
    content: dict[str, Any] = {**plan._asdict(), "format": _FORMAT, "folder": str(plan.folder)}
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _check(folder: Path, moves: Sequence[Move]) -> None:
    targets: set[str] = set()
    for move in moves:
        source, target = folder / move.source, folder / move.target
        if source.is_symlink() or not source.is_file():
            reason = "is a link" if source.is_symlink() else "is not there"
            raise InputError(f"{source} {reason}, so it cannot be moved: nothing was changed")
        if os.path.lexists(target) or move.target in targets:
            raise InputError(f"{target} exists, and {move.source} would replace it: nothing was changed")
        targets.add(move.target)


def _missing_folders(folder: Path, moves: Sequence[Move]) -> list[str]:
    """Return the folders to create, outer ones first."""
    needed = {parent for move in moves for parent in PurePosixPath(move.target).parents}
    ordered = sorted(needed, key=lambda path: len(path.parts))
    return [str(path) for path in ordered if not (folder / path).is_dir()]


def _move(source: Path, target: Path) -> None:
    # Fails if anything is there.
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        source.replace(target)
    except BaseException:
        if os.path.lexists(source):
            target.unlink()
        raise


def _state(folder: Path, move: Move) -> str:
    """Return where a file is: "source", "target", "gone", or "both" if two files hold something."""
    source, target = folder / move.source, folder / move.target
    at_source, at_target = os.path.lexists(source), os.path.lexists(target)
    if at_source and at_target:
        # An empty file was made for a move that did not happen.
        return "source" if not target.stat().st_size else "target" if not source.stat().st_size else "both"
    return "source" if at_source else "target" if at_target else "gone"


def _put_back(plan: Record) -> int:
    count = 0
    for move in reversed(plan.moves):
        source, target = plan.folder / move.source, plan.folder / move.target
        state = _state(plan.folder, move)
        if state == "target":
            # At most an empty file stands there.
            source.unlink(missing_ok=True)
            _move(target, source)
            count += 1
        elif state == "source":
            target.unlink(missing_ok=True)
    for name in reversed(plan.created):
        # Something else may have been put there since.
        with suppress(OSError):
            (plan.folder / name).rmdir()
    return count


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder, as far as its file system has locks.

    Raises:
        InputError: another process holds the lock.
    """
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            try:
                lock(descriptor)
            except BlockingIOError:
                raise InputError(f"another hardsight moves files in {folder}: wait until it ends") from None
            except OSError:
                pass
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
