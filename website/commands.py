"""Help of commands as sphinx-click shows it: options that it mentions are code."""

import re

import click
from sphinx.application import Sphinx

_OPTION = re.compile(r"(?<![\w`-])--[a-z][\w-]*")


def mark_options(lines: list[str]) -> list[str]:
    """Return lines of help, in which two hyphens would become a dash.

    >>> mark_options([".. option:: --out <out>", "", "    With --against, `--jobs` too."])
    ['.. option:: --out <out>', '', '    With ``--against``, `--jobs` too.']
    """
    return [line if line.startswith("..") else _OPTION.sub(r"``\g<0>``", line) for line in lines]


def _process(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    lines[:] = mark_options(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with sphinx-click, which is loaded before."""
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
