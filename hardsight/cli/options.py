"""Options that several commands take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


class _Text(click.ParamType):
    """A name or value as it was typed, also where the locale knows no letters but ASCII: then it was typed in UTF-8."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value).decode("utf-8", "surrogateescape")
        return value


TEXT = _Text()


def together(options: list[Any], command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """What DATA is, and what its columns are."""
    options = [
        click.option("--label", type=TEXT,
                     help="Column (or array) of the labels; required for tables. For .npy: path of a file of labels."),
        click.option("--id", "id_", type=TEXT, help="Column that names the samples, unique."),
        click.option("--group", type=TEXT, help="Column whose equal values are never split between training and judging."),
        click.option("--text", type=TEXT, help="Column that holds the texts to measure."),
        click.option("--drop", type=TEXT, multiple=True, metavar="COLUMN",
                     help="Column that is no feature; may be repeated."),
        click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto",
                     show_default=True, help="What the labels are."),
        click.option("--embedding", default="auto", show_default=True,
                     help="How texts and images become numbers: tfidf, sentence-transformers:NAME; pixels, pixels:SIZE, "
                          "efficientnet-lite0."),
    ]  # fmt: skip
    return together(options, command)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """What every command that measures takes."""
    options = [
        click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
                     help="Folder for difficulty.parquet, report.html and review.html."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number."),
        click.option("--hardest", type=click.IntRange(min=1), default=10, show_default=True, help="Samples to print."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the summary."),
        click.option("--quiet", is_flag=True, help="No progress bar."),
    ]  # fmt: skip
    return together(options, command)


def shown_options(command: Callable[..., None]) -> Callable[..., None]:
    """How the data of a saved result are read again."""
    options = [
        click.option("--data", type=click.Path(path_type=Path), help="What was measured, to show samples as what they are."),
        click.option("--label", type=TEXT, help="Column (or array, or file) of the labels, as for measure."),
        click.option("--id", "id_", type=TEXT, help="Column that names the samples, as for measure."),
        click.option("--text", type=TEXT, help="Column that holds the texts, as for measure."),
        click.option("--drop", type=TEXT, multiple=True, metavar="COLUMN",
                     help="Column that is no feature; may be repeated."),
        click.option("--embedding", default="auto", help="How texts and images become numbers, to find neighbours."),
    ]  # fmt: skip
    return together(options, command)
