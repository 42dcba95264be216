"""The main job: measure, write the result and its pages into a folder, tell what was found."""

from __future__ import annotations

from dataclasses import replace
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
    from hardsight.estimation.outputs import CHECKPOINT, REPORT, REVIEW, TABLE, checkpoint_files, set_aside_decisions
    from hardsight.estimation.request import Estimate, Execution
    from hardsight.io.atomic import printable_name

    checkpoint = out / CHECKPOINT
    estimate = Estimate(adjusted=how.pop("adjusted", None), pilot=how.pop("pilot", None))
    places = {name: how.pop(name, None) for name in ("jobs", "backend", "address")}
    execution = Execution(**places, checkpoint=checkpoint, resume=how.pop("resume", False))
    if checkpoint.exists() and not execution.resume:
        click.echo(f"{checkpoint} of an unfinished run is discarded; --resume would have continued it.", err=True)
        discard(checkpoint_files(checkpoint))
    start = time.perf_counter()
    with warnings.catch_warnings():
        # They stand among the result's notices, which are printed.
        warnings.simplefilter("ignore")
        result = measured(samples, seed=seed, progress=not quiet, estimate=estimate, execution=execution, **how)
    result = replace(result, run=replace(result.run, source=printable_name(source.name)))
    seconds = time.perf_counter() - start
    table, page = out / TABLE, out / REPORT
    renamed = set_aside_decisions(table, result)
    if renamed is not None:
        click.echo(
            f"{renamed[0]} is about the result that stood here before: it is called {renamed[1].name} now.", err=True
        )
    result.save(table)
    # A page of more samples than this is slow to open; hardsight serve hands it over piece by piece.
    whole = len(result) <= _MOST_REVIEWED
    result.report(page, review=REVIEW if whole else None)
    if whole:
        result.review(out / REVIEW, report=REPORT)
    else:
        # One of an earlier run would show another result.
        discard([out / REVIEW])
    # All that they held stands in the two files now.
    discard(checkpoint_files(checkpoint))
    if as_json:
        files = {"difficulty": str(table), "report": str(page)}
        files |= {"review": str(out / REVIEW)} if whole else {}
        print_json(machine(result, hardest=hardest, seconds=seconds, files=files))
        return result
    console = Console(highlight=False)
    # A pipe has no width of its own, and the tables need about this much.
    console.width = console.width if console.is_terminal else 100
    summary(result, hardest=hardest, seconds=seconds, console=console)
    pages = f"{page} and {out / 'review.html'}" if whole else f"{page}; to review samples: hardsight serve {out}"
    click.echo(f"\nwrote {table}, {pages}")
    return result
