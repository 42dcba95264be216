"""Folders, files and lines that commands leave."""

from __future__ import annotations

from contextlib import contextmanager
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


def discard(files: Iterable[Path]) -> None:
    """Remove files; one that is gone already is no failure."""
    for file in files:
        file.unlink(missing_ok=True)


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
