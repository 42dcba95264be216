"""Folders, files and lines that commands write."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click


def make_folder(out: Path) -> None:
    """Create a folder and its parents.

    Raises:
        click.ClickException: it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot create the folder {out}: {error.strerror}: choose another with --out") from error


def lock_folder(out: Path) -> None:
    """Create a folder and lock it until the command ends, so that no other command writes results into it.

    If it was created here and the command ends without a file in it, as one does that refuses its data, it is removed again.

    Raises:
        click.ClickException: it cannot be created or written to, or another command has locked it.
    """
    import tempfile

    from hardsight.io.locks import lock

    created = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    make_folder(out)
    try:
        # Tried before the work, not after it; the file has no name, so nothing is left of it.
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise click.ClickException(
            f"cannot write into the folder {out}: {error.strerror}: choose another with --out"
        ) from error
    # Some file systems cannot lock folders; every single file is still written as a whole.
    with suppress(OSError):
        descriptor = os.open(out, os.O_RDONLY)
        click.get_current_context().call_on_close(lambda: os.close(descriptor))
        try:
            lock(descriptor)
        except BlockingIOError:
            raise click.ClickException(
                f"another hardsight is writing into {out}: wait until it ends, or choose another folder with --out"
            ) from None
        # Only if it is locked: another command may have created the folder at the same time.
        click.get_current_context().call_on_close(lambda: _remove_empty(created))


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def result_folder(result: Path) -> Path:
    """Return the folder of a result that is named by its folder or by its difficulty.parquet."""
    return result if result.is_dir() else result.parent


def remove_files(files: Iterable[Path]) -> None:
    """Remove files; one that does not exist is not an error."""
    for file in files:
        file.unlink(missing_ok=True)


def print_json(value: dict[str, Any]) -> None:
    """Print an object on one line; letters that the terminal's encoding lacks are written as escapes."""
    import json
    import sys

    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value)
    click.echo(line)


def print_fields(fields: dict[str, Any]) -> None:
    """Print names and values, one line each."""
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {value}".rstrip())


@contextmanager
def count_progress(description: str, total: int, *, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """Show a progress bar, and yield a function to call after every step, with its failures: each kind is printed once."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    printed: set[str] = set()
    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def on_progress(failures: list[str]) -> None:
            bar.advance(task)
            for failure in sorted(set(failures) - printed):
                printed.add(failure)
                click.echo(f"no score: {failure}", err=True)

        yield on_progress
