"""A progress bar for runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(show: bool, total: int | None, description: str = "training models") -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr; yield a function to call with the number of models that are newly done."""
    if not show:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)

        def on_progress(done: float) -> None:
            bar.advance(task, done)

        yield on_progress
