"""The pages of the Python reference: what stands around the docstrings."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from sys import modules

from hardsight.learners import LEARNERS
from hardsight.measures import MEASURES, describe_measures
from hardsight.weights import SCHEMES, Scheme
from hardsight.weights.describe import describe_scheme
from website.reference_pages import PAGES, ReferencePage, called


def pages() -> Iterator[tuple[str, str]]:
    """Source path and markdown of every page, the overview first."""
    yield "reference/index.md", _overview()
    for page in PAGES:
        body = {"schemes": _schemes, "measures": _measures, "learners": _learners}.get(page.name, _plain)(page)
        # A page for one module is what links to that module lead to.
        target = f" {{ #{page.modules[0]} }}" if len(page.modules) == 1 else ""
        yield page.source, f"# {page.title}{target}\n\n{_guide(page)}{body}"


def _overview() -> str:
    rows = (f"| [{page.title}]({page.name}.md) | {_names(page)} |" for page in PAGES)
    return "\n".join((
        "# Python reference\n",
        "`import hardsight as hs`. Every public name, from the docstrings; shapes of arrays stand in annotations, and the",
        "words in them name the axes.\n",
        "| page | names |", "|---|---|", *rows, "",
    ))  # fmt: skip


def _names(page: ReferencePage) -> str:
    if page.name == "schemes":
        return f"{len(SCHEMES)} schemes, each a function of `hs.weights`"
    return ", ".join(f"[`{called(path)}`][{path}]" for path in page.names)


def _guide(page: ReferencePage) -> str:
    return f"How it is used: [guide](../{page.guide}).\n\n" if page.guide else ""


def _plain(page: ReferencePage) -> str:
    if len(page.modules) < 2:
        return _opening(page.modules) + "".join(map(_entry, page.names))
    # Models of other libraries get what they share with each other, such as fit, from bases that have no entry.
    options = ("inherited_members: true",) if page.name == "integrations" else ()
    parts = []
    for module in page.modules:
        parts.append(_block(module, (f"heading: {module}", "members: false")))
        parts += [_entry(path, 3, *options) for path in page.names if path.rpartition(".")[0] == module]
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


def _learners(page: ReferencePage) -> str:
    rows = "".join(f"| `{name}` | {_cell(row.description)} |\n" for name, row in LEARNERS.items())
    return f"{_opening(page.modules)}## By name\n\n| `learner=` | what it is |\n|---|---|\n{rows}\n" + "".join(
        map(_entry, page.names)
    )


def _measures(page: ReferencePage) -> str:
    sections = (f"### {name} {{ #measure-{name} }}\n\n{_table(_fields(name))}" for name in MEASURES)
    return f"{_plain(page)}## Each measure\n\n" + "".join(sections)


def _fields(name: str) -> Iterator[tuple[str, str]]:
    for field, value in describe_measures(name).items():
        if field != "name" and value:
            yield field, ", ".join(value) if isinstance(value, list) else str(value)


def _schemes(page: ReferencePage) -> str:
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
