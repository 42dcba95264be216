"""What docstrings of the public reference must say."""

import inspect
import re
from pydoc import locate

from support.reference_pages import documented_paths

from hardsight.weights import SCHEMES


def _undocumented(item: object) -> list[str]:
    """Return the arguments that a docstring with an ``Args:`` section leaves out."""
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", (inspect.getdoc(item) or "") + "\n", re.MULTILINE)
    if section is None:
        return []
    named = {name.strip(" *") for line in re.findall(r"^ {4}(\S.*?):", section[1], re.MULTILINE) for name in line.split(",")}
    return sorted(set(inspect.signature(item).parameters) - named - {"self", "cls"} - _inputs_of_scheme(item))


def _inputs_of_scheme(item: object) -> set[str]:
    """Return the arguments that ``INPUTS`` describes."""
    return {name for row in SCHEMES.values() if row.function is item for name in row.inputs}


def _public_callables() -> dict[str, object]:
    """Return what the reference documents, methods of classes included, by path."""
    items = {path: locate(path) for path in documented_paths()}
    methods = {
        f"{path}.{name}": getattr(item, name)
        for path, item in items.items()
        if inspect.isclass(item)
        for name, member in vars(item).items()
        if not name.startswith("_") and isinstance(member, staticmethod | classmethod | type(_undocumented))
    }
    return {path: item for path, item in (items | methods).items() if callable(item)}


def test_args_sections_of_the_reference_are_complete():
    items = _public_callables()
    assert len(items) > 300
    assert {path: missing for path, item in items.items() if (missing := _undocumented(item))} == {}


def test_an_argument_left_out_is_found():
    def weigh(loss, *, power):
        """Return weights.

        Args:
            loss: nats.
        """

    assert _undocumented(weigh) == ["power"]
