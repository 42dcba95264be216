"""The main job: measure, write the result and its pages into a folder, tell what was found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.output import discard, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from hardsight.data import Samples
    from hardsight.difficulty.result import Difficulty

_MOST_REVIEWED = 200_000


def measured_into(
    samples: Samples, *, source: Path, out: Path, seed: int, hardest: int, as_json: bool, quiet: bool, **how: Any
) -> Difficulty:
    """Measure samples, write difficulty.parquet, report.html and review.html into ``out``, and tell what was found.

    Args:
        samples: what to measure.
        source: where they were read; its name stands in the result.
        out: the folder; the caller holds it, see :func:`hardsight.cli.output.take_folder`.
        seed: fixes every random number.
        hardest: samples to print.
        as_json: print one JSON object in place of the summary.
        quiet: no progress bar.
        how: further arguments of :func:`hardsight.estimation.measure.measure`.
    """
    import time
    import warnings

    from rich.console import Console

    from hardsight.cli.summary import machine, summary
    from hardsight.estimation.measure import measure as measured
    from hardsight.estimation.reweighted_rounds import checkpoints
    from hardsight.io.atomic import printable_name

    progress = out / "progress.npz"
    held = (progress, *checkpoints(progress))
    if progress.exists() and not how.get("resume"):
        click.echo(f"{progress} of an unfinished run is discarded; --resume would have continued it.", err=True)
        discard(held)
    start = time.perf_counter()
    with warnings.catch_warnings():
        # They stand among the result's notices, which are printed.
        warnings.simplefilter("ignore")
        result = measured(samples, seed=seed, progress=not quiet, checkpoint=progress, **how)
    result = replace(result, run=replace(result.run, source=printable_name(source.name)))
    seconds = time.perf_counter() - start
    table, page = out / "difficulty.parquet", out / "report.html"
    _set_aside(table, result)
    result.save(table)
    # A page of more samples than this is slow to open; hardsight serve hands it over piece by piece.
    whole = len(result) <= _MOST_REVIEWED
    result.report(page, review="review.html" if whole else None)
    if whole:
        result.review(out / "review.html", report="report.html")
    else:
        # One of an earlier run would show another result.
        discard([out / "review.html"])
    # All that they held stands in the two files now.
    discard(held)
    if as_json:
        files = {"difficulty": str(table), "report": str(page)}
        files |= {"review": str(out / "review.html")} if whole else {}
        print_json(machine(result, hardest=hardest, seconds=seconds, files=files))
        return result
    console = Console(highlight=False)
    # A pipe has no width of its own, and the tables need about this much.
    console.width = console.width if console.is_terminal else 100
    summary(result, hardest=hardest, seconds=seconds, console=console)
    pages = f"{page} and {out / 'review.html'}" if whole else f"{page}; to review samples: hardsight serve {out}"
    click.echo(f"\nwrote {table}, {pages}")
    return result


def _set_aside(table: Path, result: Difficulty) -> None:
    """Give decisions that were made about another result another name, before this one is written beside them."""
    from hardsight.difficulty.decisions import FILE_NAME, result_digest
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError

    kept = table.with_name(FILE_NAME)
    if not (kept.is_file() or kept.is_symlink()):
        return
    # A file that cannot be read does not say what they are about.
    with suppress(InputError):
        if result_digest(Difficulty.load(table)) == result_digest(result):
            return
    names = (f"{kept.stem}-before{'' if n == 1 else f'-{n}'}.csv" for n in count(1))
    aside = next(place for place in map(kept.with_name, names) if not (place.exists() or place.is_symlink()))
    kept.rename(aside)
    click.echo(f"{kept} is about the result that stood here before: it is called {aside.name} now.", err=True)
