"""hardsight: every training sample's difficulty, measured by models that never saw it.

Public names are imported on first use, so that ``import hardsight`` and the help of the command stay free of torch and
numpy. The stub ``__init__.pyi`` is the only list of these names.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def load(path: Any) -> Any:
    """Read a result that :meth:`Difficulty.save` wrote, without importing torch. See :meth:`Difficulty.load`."""
    from hardsight.difficulty.result import Difficulty

    return Difficulty.load(path)


def _public_names() -> dict[str, str]:
    """Read from the stub which module each public name comes from: lines ``from MODULE import NAME as NAME``."""
    lines = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8").splitlines()
    words = (line.split() for line in lines if line.startswith("from "))
    return {name[-1]: name[1] for name in words if "as" in name}


_PUBLIC = _public_names()

__all__ = [*_PUBLIC, "load"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hardsight' has no attribute {name!r}")
    home = _PUBLIC[name]
    # As in the import statement, the name may be an attribute of the module or a module below it.
    if home == __name__ or not hasattr(module := import_module(home), name):
        return import_module(f"{home}.{name}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
