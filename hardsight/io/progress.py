"""A progress bar for runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The time of a run is estimated after so many seconds, and told if it is longer than so many.
_MEASURED, _LONG = 5.0, 60.0
_AT_ONCE = 0.5


@contextmanager
def progress_bar(
    show: bool,
    total: int | None,
    description: str = "training models",
    clock: Callable[[], float] = time.monotonic,
    unit: str = "models",
) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr; yield a function to call with the number of models, or other units, newly done.

    A line above the bar tells how long a run of more than a minute will take. A run that ends before all of ``total``, or
    whose total is unknown, ends with a full bar of what was done.
    """
    if not show:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    start, announced = clock(), total is None
    done = restored = 0.0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)

        def on_progress(newly_done: float) -> None:
            nonlocal announced, done, restored
            elapsed = clock() - start
            if not done and elapsed < _AT_ONCE:
                # Models of an earlier run, which is resumed, took no time.
                restored = newly_done
            done += newly_done
            bar.update(task, completed=done)
            if not announced and total is not None and done > restored and elapsed >= _MEASURED:
                announced = True
                expected = elapsed * (total - restored) / (done - restored)
                if expected >= _LONG:
                    bar.console.print(f"{description}: about {format_duration(expected)} for {total - restored:,.0f} {unit}")

        yield on_progress
        bar.update(task, total=round(done), completed=round(done))


def format_duration(seconds: float) -> str:
    """Format a duration roughly, in seconds, minutes or hours.

    >>> format_duration(42), format_duration(700), format_duration(3 * 3600 + 1500)
    ('42 s', '12 min', '3.4 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
