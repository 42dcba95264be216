"""Which tool wrote a JSON document."""

from typing import Any, Protocol

from hardsight.data.labelling import argilla, doccano, fiftyone, label_studio
from hardsight.data.labelling.project import LabellingProject


class _Tool(Protocol):
    NAME: str

    def recognise(self, document: Any) -> bool: ...

    def parse(self, document: Any, control: str | None = None) -> LabellingProject: ...


_TOOLS: tuple[_Tool, ...] = (label_studio, argilla, doccano, fiftyone)
NAMES = tuple(tool.NAME for tool in _TOOLS)


def is_of_tool(document: Any) -> bool:
    """Return whether a labelling tool wrote a document."""
    return any(tool.recognise(document) for tool in _TOOLS)


def parse_document(document: Any, control: str | None = None) -> LabellingProject:
    """Return the tasks in a document of which :func:`is_of_tool` is true, with the labels of a control.

    Raises:
        InputError: the labels cannot be read, or there are several controls and none was chosen.
    """
    return next(tool for tool in _TOOLS if tool.recognise(document)).parse(document, control)
