"""What the pages of the Python reference document."""

import inspect
import re
from importlib import import_module
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
_ENTRY = re.compile(r"^\.\. (auto\w+|py:data):: (\S+)\n((?:   .*\n)*)", re.MULTILINE)


def documented_paths() -> set[str]:
    """Return the paths of everything that has an entry: objects, modules, and the members of modules."""
    from hardsight.weights import SCHEMES

    paths = {f"{row.function.__module__}.{row.function.__name__}" for row in SCHEMES.values()}
    for page in sorted(REFERENCE.glob("*.md")):
        for kind, path, options in _ENTRY.findall(page.read_text(encoding="utf-8")):
            paths.add(path)
            if kind == "automodule" and ":members:" in options:
                module = import_module(path)
                members = ((name, getattr(module, name)) for name in module.__all__)
                paths |= {
                    f"{path}.{name}" for name, member in members if inspect.isroutine(member) or inspect.isclass(member)
                }
    return paths
