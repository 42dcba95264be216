"""Which tool wrote a JSON document."""

from typing import Any, Protocol

from hardsight.data.labelling import argilla, doccano, fiftyone, label_studio
from hardsight.data.labelling.project import LabellingProject


class Tool(Protocol):
    """The format of one labelling tool: recognised by its documents, and parsed."""

    NAME: str

    def recognise(self, document: Any) -> bool:
        """Return whether the tool wrote a document."""

    def parse(self, document: Any, control: str | None = None) -> LabellingProject:
        """Return the tasks in a document of the tool, with the labels of a control.

        Raises:
            InputError: the labels cannot be read, or there are several controls and none was chosen.
        """


_TOOLS: tuple[Tool, ...] = (label_studio, argilla, doccano, fiftyone)
NAMES = tuple(tool.NAME for tool in _TOOLS)


def find_tool(document: Any) -> Tool | None:
    """Return the labelling tool that wrote a document; None if none did."""
    return next((tool for tool in _TOOLS if tool.recognise(document)), None)
