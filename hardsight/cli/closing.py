"""The last lines of a run: what to open, and which command comes next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

# What the files of a run are for, by name, in the order in which they are listed.
_PURPOSES = {
    "review": "look at the samples and decide",
    "report": "what was found, with figures",
    "consensus": "the likeliest label of every item, with soft labels",
    "annotations": "every label, with the probability that it is wrong",
    "annotators": "accuracy, agreement and usual mistakes of every annotator",
    "csv": "all samples, ranked, for a spreadsheet",
    "unlabelled": "predictions for samples without a label",
    "leaks": "copies across the two sets",
    "difficulty": "every number, for hs.load",
}


def print_closing(files: Mapping[str, Path], commands: Sequence[tuple[str, str]], console: Console) -> None:
    """Print the files to open and the next commands, with what they are for.

    Args:
        files: paths by name.
        commands: (command, purpose) pairs.
    """
    named = [(str(files[name]), purpose) for name, purpose in _PURPOSES.items() if name in files]
    for title, rows in (("Open", named), ("Next", commands)):
        if not rows:
            continue
        console.print(f"\n[bold]{title}[/bold]")
        width = max(len(name) for name, _ in rows)
        longest = max(len(purpose) for _, purpose in rows)
        # A path or command stays on one line, to be copied; if its purpose does not fit beside it, it stands below it.
        gap = "\n    " if width + longest + 4 > console.width else None
        for name, purpose in rows:
            between = gap or " " * (width - len(name) + 2)
            console.print(f"  [cyan]{escape(name)}[/cyan]{between}{escape(purpose)}", soft_wrap=True)


def next_commands(
    d: "Difficulty", out: Path, source: Path, roles: Sequence[str] | None, *, has_review: bool
) -> list[tuple[str, str]]:
    """Return the commands that make sense after a run, with what they do.

    Args:
        out: the folder of the result.
        source: the file that was measured.
        roles: options that name the columns of the source, such as ``["--label", "y"]``; None if it was read with options
            that `hardsight apply` lacks.
        has_review: whether a review page was written.
    """
    from hardsight.data.tokens.conll import is_conll
    from hardsight.difficulty.decisions import advised_rows
    from hardsight.reporting.review.apply import TABLE_KINDS

    commands = []
    if not has_review:
        commands.append((["serve", str(out)], "review the samples: there are too many for one page"))
    advised = advised_rows(d)
    # The ids of samples from a folder are the paths of their files.
    in_folder = source.is_dir() and (source / str(d.ids.tolist()[0])).is_file()
    can_apply = source.name.lower().endswith(TABLE_KINDS) or is_conll(source, None)
    if advised is not None and len(advised) and (in_folder or (roles is not None and can_apply)):
        arguments = ["apply", str(out), str(source), *(() if in_folder else roles or ()), "--suggestions", "--preview"]
        commands.append((arguments, "see what the advised changes would do"))
    if d.p_wrong is not None:
        commands.append((["weigh", str(out)], "weights for training"))
    return [(shlex.join(["hardsight", *arguments]), purpose) for arguments, purpose in commands]
