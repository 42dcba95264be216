"""Docstrings in the reference: formulas between dollar signs, fields of tuples, and links to where a name is documented."""

import re
from collections.abc import Iterable, Iterator
from pydoc import ErrorDuringImport, locate
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import get_node_location

_DISPLAYED = re.compile(r"^( *)\$\$(.+?)\$\$$", re.DOTALL | re.MULTILINE)
_FORMULA = re.compile(r"(?<![`\w$])\$([^$\n]+(?:\n[^$\n]+)?)\$")
# A role or a formula must end before a letter, as in "the $t$s".
_GLUED = re.compile(r"(:math:`[^`]*`)(?=\w)")
# Several fields with one text, whose further lines are indented more.
_SHARED = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)+):(?P<text>.*(?:\n {5,}.*)*)", re.MULTILINE)
# How Sphinx names the place of what stands in a docstring.
_PLACE = re.compile(r"docstring of ([\w.]+)")


def mark_formulas(lines: Iterable[str]) -> list[str]:
    r"""Return the lines of a docstring with formulas as the role that Sphinx knows.

    >>> mark_formulas(["The mean of $x_i$ costs `$5`, in $t$s."])
    ['The mean of :math:`x_i` costs `$5`, in :math:`t`\\ s.']
    """
    text = _DISPLAYED.sub(lambda found: f"{found[1]}.. math:: {' '.join(found[2].split())}", "\n".join(lines))
    text = _FORMULA.sub(lambda found: f":math:`{' '.join(found[1].split())}`", text)
    return _GLUED.sub(r"\1\\ ", text).split("\n")


def separate_fields(lines: Iterable[str]) -> list[str]:
    """Return the lines of a docstring with fields that share a line of ``Attributes`` as fields of their own.

    >>> separate_fields(["Attributes:", "    a, b: two", "        numbers.", "    c: one."])
    ['Attributes:', '    a: two', '        numbers.', '    b: two', '        numbers.', '    c: one.']
    """
    before, heading, section = "\n".join(lines).partition("Attributes:\n")
    return f"{before}{heading}{_SHARED.sub(_separate, section)}".split("\n")


def _separate(entry: re.Match[str]) -> str:
    return "\n".join(f"    {name}:{entry['text']}" for name in entry["names"].split(", "))


def is_plain_field(member: object) -> bool:
    """Return whether a member is a field of a named tuple, which the class describes under ``Attributes``."""
    return type(member).__name__ == "_tuplegetter"


def possible_paths(name: str, place: str) -> Iterator[str]:
    """Yield the full paths that a name may stand for in the docstring of an object.

    >>> list(possible_paths("f", "hardsight.a.B"))
    ['f', 'hardsight.a.B.f', 'hardsight.a.f', 'hardsight.f', 'hardsight.f']
    """
    yield name
    while place:
        yield f"{place}.{name}"
        place = place.rpartition(".")[0]
    yield f"hardsight.{name}"


def canonical_path(path: str) -> str | None:
    """Return the path where an object of ours is defined; None if there is no such object.

    >>> canonical_path("hardsight.measure"), canonical_path("hardsight.nothing"), canonical_path("torch.Tensor")
    ('hardsight.estimation.measure.measure', None, None)
    """
    if not path.startswith("hardsight."):
        return None
    found = _locate(path)
    if found is None:
        owner, _, name = path.rpartition(".")
        is_field = name in getattr(_locate(owner), "__annotations__", {})
        return f"{canonical_path(owner)}.{name}" if is_field else None
    found = getattr(found, "fget", found)
    if hasattr(found, "__qualname__"):
        return f"{found.__module__}.{found.__qualname__}"
    return getattr(found, "__name__", path)


def _locate(path: str) -> Any:
    try:
        return locate(path)
    except ErrorDuringImport:
        return None


class Links:
    """Links to what the reference documents under another path than a docstring names; other names of ours stay code."""

    def __init__(self) -> None:
        self._documented: dict[str, str] = {}

    def resolve(
        self, app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
    ) -> nodes.Element | None:
        """Return what stands in the place of a reference that Sphinx cannot resolve; None for a name that does not exist."""
        if node.get("refdomain") != "py":
            return None
        objects = env.domains.python_domain.objects
        if not self._documented:
            self._documented = {canonical_path(path) or path: path for path in objects}
        location = get_node_location(node) or ""
        place = _PLACE.search(location)
        scope = place[1] if place else ".".join(filter(None, (node.get("py:module"), node.get("py:class"))))
        paths = map(canonical_path, possible_paths(node["reftarget"], scope))
        canonical = next((path for path in paths if path is not None), None)
        if canonical is None:
            # A summary repeats the first line of a docstring, which is checked where the docstring stands.
            return content if "<autosummary>" in location else None
        # A member that has no entry of its own is described with its class.
        known = self._documented.get(canonical) or self._documented.get(canonical.rpartition(".")[0])
        if known is None or objects[known].objtype == "module":
            return content
        uri = app.builder.get_relative_uri(node["refdoc"], objects[known].docname)
        return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{objects[known].node_id}", reftitle=known)


def _process(_app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    lines[:] = separate_fields(mark_formulas(lines))
    if what in ("attribute", "data", "property"):
        # An escaped line end, which shows as nothing: napoleon takes what stands before a colon in the first line as a type.
        lines.insert(0, "\\")


def _escape_axes(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Keep the star of ``Float[Tensor, "row *class"]``, which would open an emphasis."""
    lines[:] = [line.replace("*", "\\*") if line.startswith(":vartype") else line for line in lines]


def _skip(_app: Sphinx, _what: str, _name: str, member: object, *_: object) -> bool | None:
    return True if is_plain_field(member) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-docstring", _escape_axes, priority=600)
    app.connect("autodoc-skip-member", _skip)
    app.connect("missing-reference", Links().resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
