"""The main task: measure, write the result and its pages into a folder, and print a summary."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.output import print_json, remove_files

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from hardsight.data import Samples
    from hardsight.difficulty.result import Difficulty

# The review page of more samples is slow to open; hardsight serve sends it in pieces.
_MAX_REVIEWED = 200_000


def measure_and_report(
    samples: "Samples",
    *,
    source: Path,
    out: Path,
    seed: int,
    hardest: int,
    as_json: bool,
    quiet: bool,
    csv: bool = True,
    roles: Sequence[str] | None = (),
    note: "Callable[[Difficulty], str] | None" = None,
    leaks: "pd.DataFrame | None" = None,
    more_commands: Sequence[tuple[str, str]] = (),
    finish: "Callable[[Difficulty], Difficulty] | None" = None,
    **options: Any,
) -> "Difficulty":
    """Measure samples, write the result and its pages into a folder, and print a summary.

    Args:
        source: the file they were read from; its name is stored in the result.
        out: the folder, locked by the caller, see :func:`hardsight.cli.output.lock_folder`.
        csv: whether to write difficulty.csv, too.
        roles: options that name the columns of the file, for the commands that are printed; see
            :func:`hardsight.cli.closing.next_commands`.
        note: returns a text about the result, to be printed below the summary.
        leaks: copies across the samples and a test set, written as leaks.csv; None: no test set was named.
        more_commands: commands to name after those that make sense for the result, with what they do.
        finish: returns the result to write in place of the measured one; None: it is written as it is.
    """
    from hardsight.estimation.measure import measure
    from hardsight.estimation.outputs import CHECKPOINT, LEAKS
    from hardsight.io.atomic import printable_name

    arguments = _make_arguments(out, options)
    start = time.perf_counter()
    with _checkpoint(out / CHECKPOINT, resume=arguments["execution"].resume), warnings.catch_warnings():
        # The result's notices repeat them, and are printed.
        warnings.simplefilter("ignore")
        result = measure(samples, seed=seed, progress=not quiet, **arguments)
        result = result if finish is None else finish(result)
        result = replace(result, run=replace(result.run, source=printable_name(source.name)))
        seconds = time.perf_counter() - start
        files = write_files(result, out, csv=csv) | write_csv("leaks", leaks, out / LEAKS)
    print_result(
        result, files, out=out, source=source, roles=roles, hardest=hardest, as_json=as_json, seconds=seconds, note=note,
        more_commands=more_commands,
    )  # fmt: skip
    return result


def print_result(
    result: "Difficulty",
    files: dict[str, Path],
    *,
    out: Path,
    source: Path,
    hardest: int,
    as_json: bool,
    seconds: float,
    roles: Sequence[str] | None = (),
    note: "Callable[[Difficulty], str] | None" = None,
    more_commands: Sequence[tuple[str, str]] = (),
) -> None:
    """Print a summary of a result, or one JSON object; arguments as in :func:`measure_and_report`.

    Args:
        files: what was written, by name.
    """
    from hardsight.cli.closing import next_commands, print_closing
    from hardsight.cli.summary import print_summary

    if as_json:
        _print_json(result, files, hardest=hardest, seconds=seconds)
        return
    console = make_console()
    print_summary(result, hardest=hardest, seconds=seconds, console=console)
    if note is not None:
        console.print(f"\n{note(result)}", markup=False)
    commands = next_commands(result, out, source, roles, has_review="review" in files)
    print_closing(files, [*commands, *more_commands], console)


def check_run(*, out: Path, seed: int, **options: Any) -> None:
    """Check the options of :func:`measure_and_report`, as far as they do not depend on the samples.

    Raises:
        InputError: options that cannot be used; all of them are reported at once.
    """
    from hardsight.estimation.request import Request

    options = {name: value for name, value in options.items() if name not in ("hardest", "as_json", "quiet", "csv")}
    Request(seed=seed, **_make_arguments(out, options)).checked()


def check_inputs_stay(inputs: Iterable[Path], out: Path) -> None:
    """Check that no file to be read is one that the run writes, or removes as a file of an earlier run.

    Raises:
        InputError: one is.
    """
    from hardsight.errors import InputError
    from hardsight.estimation.outputs import RESULTS

    for path in inputs:
        target = out / path.name
        if path.name in RESULTS and path.exists() and target.exists() and target.samefile(path):
            raise InputError(f"{path} is a file that this run would replace: choose another folder with --out, or rename it")


def _make_arguments(out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of :func:`hardsight.measure` that options of the command stand for."""
    from hardsight.estimation.outputs import CHECKPOINT
    from hardsight.estimation.request import Estimate, Execution

    arguments = dict(options)
    estimate = Estimate(**{name: arguments.pop(name, None) for name in ("adjusted", "pilot", "calibrate")})
    places = {name: arguments.pop(name, None) for name in ("jobs", "backend", "address")}
    execution = Execution(**places, checkpoint=out / CHECKPOINT, resume=arguments.pop("resume", False))
    return {**arguments, "estimate": estimate, "execution": execution}


@contextmanager
def _checkpoint(path: Path, *, resume: bool) -> Iterator[None]:
    """Remove the files of a checkpoint: first, unless the run resumes, and after success."""
    from hardsight.estimation.outputs import checkpoint_files

    if path.exists() and not resume:
        click.echo(f"{path} of an unfinished run is discarded; --resume would have continued it.", err=True)
        remove_files(checkpoint_files(path))
    yield
    remove_files(checkpoint_files(path))


def write_files(result: "Difficulty", out: Path, *, csv: bool) -> dict[str, Path]:
    """Write the result and its pages; return the path of each by name."""
    from hardsight.estimation.outputs import RANKED, REPORT, REVIEW, TABLE, UNLABELLED, set_aside_decisions

    table, ranked, report, review = out / TABLE, out / RANKED, out / REPORT, out / REVIEW
    renamed = set_aside_decisions(table, result)
    if renamed is not None:
        old, new = renamed
        click.echo(f"{old} is about the previous result in this folder and was renamed to {new.name}.", err=True)
    result.save(table)
    files = {"difficulty": table, "report": report}
    if csv:
        result.to_csv(ranked)
        files["csv"] = ranked
    else:
        # The list of an earlier run would show another result.
        remove_files([ranked])
    has_review = len(result) <= _MAX_REVIEWED
    result.report(report, review=review.name if has_review else None)
    unlabelled = None if result.unlabelled is None else result.unlabelled.reset_index()
    files |= write_csv("unlabelled", unlabelled, out / UNLABELLED)
    if not has_review:
        # The page of an earlier run would show another result.
        remove_files([review])
        return files
    result.review(review, report=report.name)
    return files | {"review": review}


def write_csv(name: str, table: "pd.DataFrame | None", path: Path) -> dict[str, Path]:
    """Write a table as csv and return its path by name; without a table, remove the file of an earlier run."""
    from hardsight.io.atomic import atomic_write
    from hardsight.io.csv_cells import format_csv

    if table is None:
        remove_files([path])
        return {}
    with atomic_write(path) as temporary:
        text = format_csv(tuple(table.columns), table.itertuples(index=False, name=None))
        temporary.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    return {name: path}


def _print_json(result: "Difficulty", files: dict[str, Path], *, hardest: int, seconds: float) -> None:
    from hardsight.cli.summary import summary_json

    names = {name: str(path) for name, path in files.items()}
    print_json(summary_json(result, hardest=hardest, seconds=seconds, files=names))


def make_console() -> "Console":
    """Return a console for standard output."""
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width of its own, and the tables need about this much.
    console.width = console.width if console.is_terminal else 100
    return console
