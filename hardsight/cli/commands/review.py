"""`hardsight review` and `hardsight serve`: the page on which people decide, as a file and served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import shown_options
from hardsight.cli.output import folder_of

if TYPE_CHECKING:
    from hardsight.data import Samples
    from hardsight.difficulty.result import Difficulty


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@shown_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page to write. [default: DIR/review.html]")
def review(folder: Path, output: Path | None, **data: Any) -> None:
    """Write the page on which a person looks through all samples of DIR and decides about them.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.reporting.review import write

    inside = folder_of(folder)
    target = inside / "review.html" if output is None else output
    beside = target.parent == inside and (inside / "report.html").exists()
    result, samples = reviewed(folder, **data)
    write(result, target, samples, "report.html" if beside else None)
    click.echo(f"wrote {target}")


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@shown_options
@click.option("--port", type=click.IntRange(0, 65535), default=8377, show_default=True, help="0: any that is free.")
def serve(folder: Path, port: int, **data: Any) -> None:
    """Serve the review page of DIR on this machine alone (127.0.0.1); for data too large for one file.

    Decisions are kept in DIR/decisions.csv. Ctrl-C ends it.
    """
    try:
        from hardsight.reporting.review import server
    except ImportError:
        raise click.ClickException("the server's packages are missing: pip install 'hardsight[serve]'") from None
    result, samples = reviewed(folder, **data)
    inside = folder_of(folder)
    server.serve(result, samples, inside, port, lambda url: click.echo(f"review at {url} (Ctrl-C ends it)"))


def reviewed(folder: Path, data: Path | None, id_: str | None, **how: Any) -> tuple[Difficulty, Samples | None]:
    """The result in a folder, and the samples that were measured if they are given."""
    import numpy as np

    from hardsight.data import read
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError

    result = Difficulty.load(folder)
    if data is None:
        if any(value for name, value in how.items() if name != "embedding") or id_:
            raise click.UsageError("--label, --id, --text and --drop say how --data is read: give it, too")
        return result, None
    task = "regression" if result.regression else "classification"
    samples = read(data, id=id_, task=task, **how)
    numbered = id_ is None and np.array_equal(result.ids, np.arange(len(result)))
    # Fewer are missed by their ids; of more, the first would pass for those that were measured.
    if numbered and len(samples) > len(result) and np.array_equal(samples.ids, np.arange(len(samples))):
        raise InputError(
            f"{data} has {len(samples):,} rows, and {len(result):,} samples were measured by row number: give the table "
            "that was measured"
        )
    return result, samples
