"""Docstrings and signatures as the site shows them: Sphinx roles become links, shapes stay as they are written."""

import ast
import re
from typing import Any

import griffe

from website.reference_pages import called, documented

_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`~?([^`]+)`")
_LITERAL_BLOCK = re.compile(r"::(?=\n\n {4})")
_SEVERAL = re.compile(r"^( +\w+), (?=\w+: )", re.MULTILINE)
_DOCTEST = re.compile(r"^( *)>>> .*?(?=\n\s*\n|\s*\Z)", re.DOTALL | re.MULTILINE)


class Roles(griffe.Extension):
    """Links from docstrings to what the reference documents; all else that they name stands as code."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda role: self._linked(obj, role[1]), obj.docstring.value)
            text = _DOCTEST.sub(r"\1```pycon\n\g<0>\n\1```", text)
            # What stands behind a plain space would be read as the type of the first of several attributes.
            text = _SEVERAL.sub("\\1,\N{NO-BREAK SPACE}", text)
            obj.docstring.value = _LITERAL_BLOCK.sub(":", text)

    def _linked(self, obj: griffe.Object, name: str) -> str:
        path = _canonical(obj, name)
        shown = called(name) if name.startswith("hardsight.") else name
        return f"[`{shown}`][{path}]" if path is not None and self._has(obj, path) else f"`{shown}`"

    def _has(self, obj: griffe.Object, path: str) -> bool:
        """Whether the reference documents a path, or the class whose member it is."""
        if not self._known:
            self._known = {obj.modules_collection[known].canonical_path for known in documented()}
        if path in self._known:
            return True
        whole, member = (obj.modules_collection[each] for each in (path.rpartition(".")[0], path))
        return whole.is_class and whole.path in self._known and member.has_docstring


def _canonical(obj: griffe.Object, name: str) -> str | None:
    """The path of what a docstring calls by a name, seen from where it stands; None where it is not ours."""
    scope: Any = obj
    while scope is not None and name.partition(".")[0] not in scope.members:
        scope = scope.parent
    try:
        whole = obj.modules_collection[name] if scope is None else scope[name]
        return str(whole.canonical_path)
    except (KeyError, griffe.AliasResolutionError):
        return None


class Shapes(griffe.Extension):
    """Shapes of arrays, as in ``Float[Tensor, "sample class"]``: the words are no forward references."""

    def on_module_node(self, *, node: ast.AST | griffe.ObjectNode, **_: Any) -> None:
        """Mark the shapes in one file."""
        if not isinstance(node, ast.Module):
            return
        imports = [each for each in ast.walk(node) if isinstance(each, ast.ImportFrom) and each.module == "jaxtyping"]
        arrays = {name.name for each in imports for name in each.names}
        for each in ast.walk(node):
            if isinstance(each, ast.Subscript) and isinstance(each.value, ast.Name) and each.value.id in arrays:
                _quote(each.slice)


def _quote(inside: ast.expr) -> None:
    if isinstance(inside, ast.Tuple) and isinstance(inside.elts[-1], ast.Constant):
        words = inside.elts[-1].value
        inside.elts[-1] = ast.Constant(_Shape(f"{words!s} ?"))


class _Shape(str):
    """Words that no parser takes for an expression, and that are shown as they were written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f'"{self.removesuffix("?").strip()}"'
