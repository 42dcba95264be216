"""`hardsight export` and `hardsight decisions`: round trips with labelling tools."""

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.options import TEXT, reread_options
from hardsight.cli.output import result_folder
from hardsight.cli.saved_results import load_result
from hardsight.cli.sections import Choice, SectionedCommand


@main.command(cls=SectionedCommand, short_help="Write what to look at for a labelling tool.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--to", "tool", type=Choice(["label-studio", "doccano", "argilla"]),
              help="The tool, if DATA is a table or a folder. [default: the one that wrote DATA]")  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), metavar="N",
              help="Number of tasks. [default: all whose label is more likely wrong than right]")  # fmt: skip
@reread_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="The file to write; for FiftyOne a folder.")  # fmt: skip
def export(folder: Path, data: Path, tool: str | None, top: int | None, output: Path, **options: Any) -> None:
    """Write what to look at, with suggested labels, for a labelling tool; the likeliest wrong label comes first.

    DIR is the --out of measure, or its difficulty.parquet; DATA is what was measured. A file of Label Studio, doccano,
    argilla or FiftyOne is written in the same format. Of a table of texts or values, or a folder of images, new tasks are
    made (--to).
    """
    from hardsight.data.labelling.files import find_project, find_span_project
    from hardsight.difficulty.result import Difficulty
    from hardsight.errors import InputError
    from hardsight.integrations import labelling
    from hardsight.reporting.formatting import format_count

    _check_differs(output, data)
    interface = None
    if find_span_project(data, options["label"]) or find_project(data, options["label"]):
        if tool is not None:
            raise InputError(f"{data} is written in the format that it has: leave out --to")
        n_tasks = labelling.export(Difficulty.load(folder), data, output, control=options["label"], top=top)
    elif tool is None:
        raise InputError(f"{data} was not written by a labelling tool: name the tool to write for (--to label-studio)")
    else:
        result, samples = load_result(folder, data, **options)
        assert samples is not None
        n_tasks, interface = labelling.export_new(result, samples, output, tool, top=top)
    named = "" if interface is None else f", and {interface}: the labelling interface"
    click.echo(f"wrote {output}: {format_count(n_tasks, 'task')} to look at{named}")


@main.command(short_help="Read decisions made in a labelling tool.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("tasks", type=click.Path(path_type=Path))
@click.option("--label", "control", type=TEXT, metavar="NAME",
              help="The label that was measured, if the tasks have several.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The csv to write. [default: DIR/decisions.csv]")
def decisions(folder: Path, tasks: Path, control: str | None, output: Path | None) -> None:
    """Write the labels that were changed in a labelling tool as decisions for `hardsight apply`.

    DIR is the --out of measure, or its difficulty.parquet; TASKS is what the tool exports now. Decisions that stand in
    DIR/decisions.csv stay, unless they contradict.
    """
    from hardsight.difficulty.decisions import FILE_NAME, add_decisions, format_decisions
    from hardsight.difficulty.result import Difficulty
    from hardsight.integrations import labelling
    from hardsight.io.atomic import atomic_write

    target = result_folder(folder) / FILE_NAME if output is None else output
    changes = labelling.decisions(Difficulty.load(folder), tasks, control=control)
    table, n_known = changes.table.reset_index(), 0
    if output is None and target.exists():
        table, n_known = add_decisions(target, table)
    with atomic_write(target) as temporary:
        temporary.write_text(format_decisions(table), encoding="utf-8", newline="")
    known = f" {n_known:,} of them stood there already." if n_known else ""
    click.echo(f"wrote {target}: {changes.describe()}{known}")


def _check_differs(output: Path, tasks: Path) -> None:
    from hardsight.errors import InputError

    if output.exists() and tasks.exists() and output.samefile(tasks):
        raise InputError(f"{output} is what was measured: name another file with --output")
