"""A progress bar for runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(show: bool, models: int | None, what: str = "training models") -> Iterator[Callable[[float], None]]:
    """A bar on stderr; what is yielded is told how many models more are done.

    Args:
        show: whether there is to be one.
        models: in all, if known.
        what: is being done.
    """
    if not show:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=models)
        tick: Callable[[float], None] = lambda done: bar.advance(task, done)  # noqa: E731
        yield tick
