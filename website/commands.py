"""A page for every command, read from the command line itself."""

import re
from collections.abc import Iterator

import click

from hardsight.cli import main

_BRACKETS = re.compile(r"\s*\[([^\[\]]+)\]$")
_SPECIAL = re.compile(r"([\\*_<>|\[\]$])")


def pages() -> Iterator[tuple[str, str]]:
    """Source path and markdown of every command's page, groups first."""
    yield from _pages(main, click.Context(main, info_name="hardsight"))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    names = context.command_path.split()[1:]
    if not isinstance(command, click.Group):
        yield f"commands/{'/'.join(names)}.md", page(command, context)
        return
    yield "/".join(["commands", *names, "index.md"]), page(command, context)
    for name, each in _below(command, context):
        yield from _pages(each, click.Context(each, info_name=name, parent=context))


def page(command: click.Command, context: click.Context) -> str:
    """What ``--help`` says of a command, in markdown."""
    lines = [f"# {context.command_path}", "", _prose(command.help or ""), "", "```text", _usage(command, context), "```", ""]
    if isinstance(command, click.Group):
        lines += ["## Commands", "", "| command | what it does |", "|---|---|"]
        for name, each in _below(command, context):
            lines.append(f"| {_link(context, name, each)} | {_plain(each.get_short_help_str(200))} |")
        lines.append("")
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    lines += ["## Options", "", "| option | what it says | default |", "|---|---|---|"]
    for option in options:
        record = option.get_help_record(context)
        if record is not None:
            lines.append(_row(*record))
    return "\n".join(lines) + "\n"


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield name, command


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def _link(context: click.Context, name: str, command: click.Command) -> str:
    target = f"{name}/index.md" if isinstance(command, click.Group) else f"{name}.md"
    return f"[`{context.command_path} {name}`]({target})"


def _row(names: str, what: str) -> str:
    found = _BRACKETS.search(what)
    what, default = (what, "") if found is None else (what[: found.start()], found[1].removeprefix("default: "))
    return f"| `{names}` | {_plain(what)} | {_plain(default)} |"


def _prose(help_text: str) -> str:
    return "\n\n".join(_plain(" ".join(part.split())) for part in help_text.split("\n\n"))


def _plain(text: str) -> str:
    """Text in which only `code` is markup."""
    parts = text.split("`")
    parts[::2] = [_SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
