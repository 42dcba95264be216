"""Directives for what is not a docstring: ``schemes``, ``measures`` and ``learners`` list their registries."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from sys import modules

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hardsight.learners import LEARNERS
from hardsight.measures import MEASURES, describe_measures
from hardsight.weights import SCHEMES
from hardsight.weights.describe import describe_scheme


def describe_schemes() -> Iterator[str]:
    """Yield the lines of all schemes, by family: the function's docstring and the fields of each scheme."""
    for module, family in groupby(SCHEMES.values(), lambda row: row.function.__module__):
        yield from _heading((modules[module].__doc__ or module).split("\n")[0].rstrip(".").split(":")[0], "-")
        for function, alike in groupby(family, lambda row: row.function):
            yield from ("", f".. autofunction:: {module}.{function.__name__}", "")
            for row in alike:
                yield from ("", f'   **Scheme "{row.name}"**', "")
                yield from (f"   {line}" for line in _fields(list(describe_scheme(row).items())[1:]))


def list_measures() -> Iterator[str]:
    """Yield the lines of all measures: the fields of each."""
    for name in MEASURES:
        yield from ("", f".. _measure-{name}:", *_heading(name, "~"))
        fields = ((field, value) for field, value in describe_measures(name).items() if field != "name" and value)
        yield from _fields((field, ", ".join(value) if isinstance(value, list) else str(value)) for field, value in fields)


def list_learners() -> Iterator[str]:
    """Yield the lines of the table of learners that have a name."""
    yield from _fields((f"``{name}``", row.description) for name, row in LEARNERS.items())


_LISTS = {"schemes": describe_schemes, "measures": list_measures, "learners": list_learners}


def _heading(text: str, underline: str) -> Iterator[str]:
    yield from ("", text, underline * len(text), "")


def _fields(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a table of two columns whose values are plain text: formulas are full of characters that would be markup."""
    yield from ("", ".. list-table::", "   :widths: 20 80", "")
    for name, value in fields:
        yield from (f"   * - {name}", f"     - {_escape(value)}")
    yield ""


def _escape(text: str) -> str:
    for character in "\\`*_|":
        text = text.replace(character, f"\\{character}")
    return text


class Registry(SphinxDirective):
    """The entries of one registry, by its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the list."""
        lines = StringList(list(_LISTS[self.arguments[0]]()), source=f"{self.arguments[0]} registry")
        node = nodes.Element(document=self.state.document)
        self.state.nested_parse(lines, 0, node, match_titles=True)
        return list(node.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("registry", Registry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
