"""The pages of the Python reference: what stands around the docstrings."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from sys import modules

from hardsight.learners import LEARNERS
from hardsight.measures import MEASURES, describe_measures
from hardsight.weights import SCHEMES, Scheme
from hardsight.weights.describe import describe_scheme
from website.rooms import ROOMS, Room, called


def pages() -> Iterator[tuple[str, str]]:
    """Source path and markdown of every page, the overview first."""
    yield "reference/index.md", _overview()
    for room in ROOMS:
        body = {"schemes": _schemes, "measures": _measures, "learners": _learners}.get(room.name, _plain)(room)
        # A page for one module is what links to that module lead to.
        target = f" {{ #{room.modules[0]} }}" if len(room.modules) == 1 else ""
        yield room.page, f"# {room.title}{target}\n\n{_guide(room)}{body}"


def _overview() -> str:
    rows = (f"| [{room.title}]({room.name}.md) | {_names(room)} |" for room in ROOMS)
    return "\n".join((
        "# Python reference\n",
        "`import hardsight as hs`. Every public name, from the docstrings; shapes of arrays stand in annotations, and the",
        "words in them name the axes.\n",
        "| page | names |", "|---|---|", *rows, "",
    ))  # fmt: skip


def _names(room: Room) -> str:
    if room.name == "schemes":
        return f"{len(SCHEMES)} schemes, each a function of `hs.weights`"
    return ", ".join(f"[`{called(path)}`][{path}]" for path in room.names)


def _guide(room: Room) -> str:
    return f"How it is used: [guide](../{room.guide}).\n\n" if room.guide else ""


def _plain(room: Room) -> str:
    if len(room.modules) < 2:
        return _opening(room.modules) + "".join(map(_entry, room.names))
    # Models of other libraries get what they share with each other, such as fit, from bases that have no entry.
    options = ("inherited_members: true",) if room.name == "integrations" else ()
    parts = []
    for module in room.modules:
        parts.append(_block(module, (f"heading: {module}", "members: false")))
        parts += [_entry(path, 3, *options) for path in room.names if path.rpartition(".")[0] == module]
    return "".join(parts)


def _opening(modules: Iterable[str]) -> str:
    """What packages say of themselves, without a heading of their own."""
    options = ("show_root_heading: false", "show_root_toc_entry: false", "members: false")
    return "".join(_block(module, options) for module in modules)


def _entry(path: str, level: int = 2, *options: str) -> str:
    name = called(path)
    return _block(path, (f"heading: {name}", f"toc_label: {name.rpartition('.')[2]}", f"heading_level: {level}", *options))


def _block(path: str, options: Iterable[str]) -> str:
    return f"::: {path}\n    options:\n" + "".join(f"      {option}\n" for option in options) + "\n"


def _table(fields: Iterable[tuple[str, str]]) -> str:
    rows = (f"| {name} | {_cell(value)} |" for name, value in fields)
    return "\n".join(("| | |", "|---|---|", *rows)) + "\n\n"


def _cell(text: str) -> str:
    """Words as they are: formulas in plain text are full of stars and bars that are no markup."""
    for mark in "\\`*_|<>[]$":
        text = text.replace(mark, f"&#{ord(mark)};")
    return text


def _learners(room: Room) -> str:
    rows = "".join(f"| `{name}` | {_cell(row.description)} |\n" for name, row in LEARNERS.items())
    return f"{_opening(room.modules)}## By name\n\n| `learner=` | what it is |\n|---|---|\n{rows}\n" + "".join(
        map(_entry, room.names)
    )


def _measures(room: Room) -> str:
    sections = (f"### {name} {{ #measure-{name} }}\n\n{_table(_fields(name))}" for name in MEASURES)
    return f"{_plain(room)}## Each measure\n\n" + "".join(sections)


def _fields(name: str) -> Iterator[tuple[str, str]]:
    for field, value in describe_measures(name).items():
        if field != "name" and value:
            yield field, ", ".join(value) if isinstance(value, list) else str(value)


def _schemes(room: Room) -> str:
    def home(row: Scheme) -> str:
        return row.function.__module__

    parts = [
        "The table of all schemes is in the [guide](../weights.md); `hardsight schemes NAME` prints what stands here.\n\n"
    ]
    for module, family in groupby(SCHEMES.values(), home):
        parts.append(f"## {_first_line(module)}\n\n")
        for function, alike in groupby(family, lambda row: row.function.__name__):
            parts.append(_entry(f"{module}.{function}", 3))
            parts += [f'**Scheme "{row.name}"**\n\n{_table(list(describe_scheme(row).items())[1:])}' for row in alike]
    return "".join(parts)


def _first_line(module: str) -> str:
    return (modules[module].__doc__ or module).split("\n")[0].rstrip(".").split(":")[0]
