"""Folders, files and lines that commands leave."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


def folder_made(out: Path) -> None:
    """Make a folder and those above it.

    Raises:
        click.ClickException: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise click.ClickException(
            f"cannot make the folder {out}: {fault.strerror}: choose another with --out"
        ) from fault


def take_folder(out: Path) -> None:
    """Make a folder, and hold it until the command ends, so that no other command writes results into it.

    If it was made here and the command ends without a file in it, as one does that refuses its data, it is taken away again.

    Raises:
        click.ClickException: it cannot be made or written to, or another command holds it.
    """
    import os
    import tempfile

    from hardsight.io.locks import lock

    made = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    folder_made(out)
    try:
        # Tried before the work, not after it; the file has no name, so nothing is left of it.
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as fault:
        raise click.ClickException(
            f"cannot write into the folder {out}: {fault.strerror}: choose another with --out"
        ) from fault
    # Where folders cannot be locked, every single file is whole all the same.
    with suppress(OSError):
        held = os.open(out, os.O_RDONLY)
        click.get_current_context().call_on_close(lambda: os.close(held))
        try:
            lock(held)
        except BlockingIOError:
            raise click.ClickException(
                f"another hardsight is writing into {out}: wait until it ends, or choose another folder with --out"
            ) from None
        # Only of what is held: another command may have made the folder at the same time.
        click.get_current_context().call_on_close(lambda: _take_away(made))


def _take_away(folders: Iterable[Path]) -> None:
    for folder in folders:
        # One with something in it stays.
        with suppress(OSError):
            folder.rmdir()


def folder_of(result: Path) -> Path:
    """Where a result lies that is named by its folder or by its difficulty.parquet."""
    return result if result.is_dir() else result.parent


def discard(files: Iterable[Path]) -> None:
    """Remove files; one that is gone already is no failure."""
    for file in files:
        file.unlink(missing_ok=True)


def print_json(value: dict[str, Any]) -> None:
    """Print an object on one line; where the terminal has not all of its letters, they are written as escapes."""
    import json
    import sys

    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value)
    click.echo(line)


def fields(told: dict[str, Any]) -> None:
    """Print names and values, a line each."""
    width = max(map(len, told))
    for field, value in told.items():
        click.echo(f"{field:<{width}}  {value}".rstrip())


@contextmanager
def counted(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """A progress bar; each kind of failure is told once, at once."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    told: set[str] = set()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def tick(faults: list[str]) -> None:
            bar.advance(task)
            for fault in sorted(set(faults) - told):
                told.add(fault)
                click.echo(f"no score: {fault}", err=True)

        yield tick
