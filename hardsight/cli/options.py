"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.parsing import split_names
from hardsight.cli.sections import Choice

if TYPE_CHECKING:
    from hardsight.data.read_options import ReadOptions


class _Text(click.ParamType):
    """A name or value as it was typed, in UTF-8 even if the locale only knows ASCII."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            return os.fsencode(value).decode("utf-8", "surrogateescape")
        return value


class TextOrFile(_Text):
    """A name, or the path of a file with one value per row."""

    def names_file(self, value: str, folder: Path) -> bool:
        """Return whether a value is the path of a file, relative to a folder, that can hold one value per row."""
        return Path(value).suffix.lower() in (".npy", ".csv", ".txt") and (folder / value).is_file()


TEXT = _Text()
TEXT_OR_FILE = TextOrFile()
_MERGE_SPELLINGS = click.option(
    "--merge-spellings",
    is_flag=True,
    help="Merge classes, and groups, whose names differ only in case, blanks or the encoding of letters.",
)


_LABELS = click.option(
    "--labels",
    type=TEXT,
    callback=lambda ctx, param, value: split_names(value),
    metavar="COLUMNS",
    help="For samples with several labels, in place of --label: columns of 0 and 1, separated by commas.",
)
_LABEL_SEPARATOR = click.option(
    "--label-separator",
    type=TEXT,
    metavar="MARK",
    help='Separator in a --label column that holds several labels, such as ";" in "dog;cat".',
)


tag_column_option = click.option(
    "--tag-column", type=TEXT, metavar="NUMBER",
    help="Column of the tags in a CoNLL file, from 1; of CoNLL-U also upos, xpos, deprel. [default: the last; upos]",
)  # fmt: skip


def _add_options(options: list[Any], command: Callable[..., None]) -> Callable[..., None]:
    """Add options to a command, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def _text_file_options() -> list[Any]:
    """Return the options that say how a text file is written."""
    return [
        click.option("--separator", type=TEXT, metavar="MARK",
                     help="Separator of the cells of a text file: a character, tab or whitespace. [default: detected]"),
        click.option("--header/--no-header", default=True,
                     help="The first row of a text file names its columns; without a header, their names are 1, 2, …. "
                          "[default: header]"),
        click.option("--encoding", type=TEXT, metavar="NAME",
                     help="Encoding of a text file, such as cp1252. [default: UTF-8, or what the file shows]"),
    ]  # fmt: skip


def label_set_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of samples with several labels."""
    return _add_options([_LABELS, _LABEL_SEPARATOR], command)


def text_file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a text file is written."""
    return _add_options(_text_file_options(), command)


def _table_file_options() -> list[Any]:
    """Return the options that say how a text file or a workbook is written."""
    sheet = click.option("--sheet", type=TEXT, metavar="NAME", help="Sheet of a workbook. [default: the first]")
    return [*_text_file_options(), sheet]


def table_file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a text file or a workbook is written."""
    return _add_options(_table_file_options(), command)


def _source_options() -> list[Any]:
    """Return the options that say how a file is written, and what of a folder is read."""
    return [
        *_table_file_options(),
        click.option("--split", type=TEXT, multiple=True,
                     help="Split to read if the folder holds several, such as train; may be repeated."),
        click.option("--skip-broken", is_flag=True, help="Leave out files of a folder that cannot be read."),
        tag_column_option,
    ]  # fmt: skip


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what the columns of DATA are."""
    options = [
        click.option("--label", type=TEXT_OR_FILE,
                     help="Column (or array) of the labels; required for tables. For .npy: path of a file of labels."),
        _LABELS,
        _LABEL_SEPARATOR,
        click.option("--id", "id_", type=TEXT_OR_FILE, help="Column of ids: a unique name for each sample."),
        click.option("--group", type=TEXT_OR_FILE,
                     help="Column of groups: equal values are always on the same side of a split."),
        click.option("--text", type=TEXT, help="Column of the texts to measure."),
        click.option("--drop", type=TEXT, multiple=True, metavar="COLUMN",
                     help="Column that is not a feature; may be repeated."),
        click.option("--task", type=Choice(["auto", "classification", "regression"]), default="auto",
                     show_default=True, help="Kind of task. auto decides by the labels."),
        click.option("--embedding", "--features", "embedding", type=TEXT_OR_FILE, default="auto",
                     show_default=True,
                     help="How texts and images become numbers: tfidf; pixels, pixels:SIZE, efficientnet-lite0; a model, "
                          "timm:NAME, open_clip:NAME, transformers:NAME, sentence-transformers:NAME, where NAME may be a "
                          "folder; or your own .npy file with one row per sample."),
        click.option("--unlabelled", type=Choice(["drop", "predict", "refuse"]), default="drop", show_default=True,
                     help="Rows without a label: leave them out, have the models predict them (unlabelled.csv), or stop."),
        _MERGE_SPELLINGS,
        *_source_options(),
    ]  # fmt: skip
    return _add_options(options, command)


def take_read_options(options: dict[str, Any]) -> "ReadOptions":
    """Return the options that say how DATA is read, and remove them from the options of a command."""
    from hardsight.data.read_options import ReadOptions, option_names

    parameters = {name: "id_" if name == "id" else name for name in option_names()}
    return ReadOptions(**{name: options.pop(key) for name, key in parameters.items() if key in options})


def format_roles(options: "ReadOptions") -> list[str] | None:
    """Return the options that name the columns of a table, as `hardsight apply` takes them; None if it lacks one."""
    if options.merge_spellings:
        return None
    names = ("label", "label_separator", "id", "separator", "encoding", "tag_column")
    arguments = [(f"--{name.replace('_', '-')}", getattr(options, name)) for name in names]
    arguments.insert(0, ("--labels", ",".join(options.labels) or None))
    header = [] if options.header else ["--no-header"]
    return [part for name, value in arguments if value is not None for part in (name, str(value))] + header


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every command that measures."""
    options = [
        click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
                     help="Folder for difficulty.parquet, difficulty.csv, report.html and review.html."),
        click.option("--csv/--no-csv", default=True, show_default=True,
                     help="Also write difficulty.csv: all samples, ranked, for a spreadsheet."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all random numbers."),
        click.option("--hardest", type=click.IntRange(min=1), default=10, show_default=True,
                     help="Number of samples to print."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the summary."),
        click.option("--quiet", is_flag=True, help="Show no progress bar."),
    ]  # fmt: skip
    return _add_options(options, command)


def measured_data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what the data of a saved result are, and how they are read again."""
    data = click.option("--data", type=click.Path(path_type=Path),
                        help="The data that was measured, to show texts, images and values.")  # fmt: skip
    return data(reread_options(command))


def reread_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how the data of a saved result are read again."""
    options = [
        click.option("--label", type=TEXT, help="Column (or array, or file) of the labels, as for measure."),
        _LABELS,
        _LABEL_SEPARATOR,
        click.option("--id", "id_", type=TEXT, help="Column of ids, as for measure."),
        click.option("--text", type=TEXT, help="Column of the texts, as for measure."),
        click.option("--drop", type=TEXT, multiple=True, metavar="COLUMN",
                     help="Column that is not a feature; may be repeated."),
        click.option("--embedding", "--features", "embedding", default="auto",
                     help="How texts and images become numbers, to find neighbours."),
        _MERGE_SPELLINGS,
        *_source_options(),
    ]  # fmt: skip
    return _add_options(options, command)
