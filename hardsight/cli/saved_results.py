"""Saved results and their data, read again by commands, and the pages that stand beside them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.options import take_read_options
from hardsight.cli.output import result_folder

if TYPE_CHECKING:
    from hardsight.data import Samples
    from hardsight.difficulty.result import Difficulty


def load_result(folder: Path, data: Path | None, **arguments: Any) -> "tuple[Difficulty, Samples | None]":
    """Return the result in a folder, and the samples that were measured if their data is passed."""
    import numpy as np

    from hardsight.data.from_files import read_file
    from hardsight.data.read_options import ReadOptions
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError

    result = Difficulty.load(folder)
    options = take_read_options(arguments)
    if data is None:
        if replace(options, embedding="auto") != ReadOptions():
            raise click.UsageError("--label, --split and the other options of reading need --data: pass what was measured")
        return result, None
    task = "regression" if result.regression else "classification"
    samples = read_file(data, replace(options, task=task))
    by_row_number = options.id is None and np.array_equal(result.ids, np.arange(len(result)))
    # If there are fewer, ids are missing; if there are more, the first would be taken for those that were measured.
    if by_row_number and len(samples) > len(result) and np.array_equal(samples.ids, np.arange(len(samples))):
        raise InputError(
            f"{data} has {len(samples):,} rows, and {len(result):,} samples were measured by row number: pass the table "
            "that was measured"
        )
    return result, samples


def find_beside(folder: Path, target: Path, name: str) -> str | None:
    """Return the name of another page of a result, for a link, if it is beside the page to be written."""
    directory = result_folder(folder)
    return name if target.parent == directory and (directory / name).exists() else None


def check_page(target: Path, samples: "Samples | None") -> None:
    """Check that a page that shows the samples is not replaced by one that shows less.

    Raises:
        InputError: there is such a page.
    """
    from hardsight.errors import InputError
    from hardsight.reporting.html import find_content

    old, new = find_content(target), "" if samples is None else samples.kind
    if not old or new == old or (new and old in ("table", "array")):
        return
    shown = {"image": "images", "text": "texts"}.get(old, "samples")
    raise InputError(
        f"{target} shows the {shown}, and the new page would not: pass what was measured with --data and the options "
        "that measure had, or name another file with --output"
    )
