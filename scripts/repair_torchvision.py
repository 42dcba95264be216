"""Make the torchvision of PyPI importable beside a torch without CUDA; ``make test`` runs it.

timm and open_clip import torchvision for its transforms, which are plain Python. PyPI has one build of torchvision for
Linux, whose compiled operators need the libraries of CUDA. Beside a torch without CUDA they cannot be loaded, and
``import torchvision`` then fails because it describes two operators that do not exist. This declares the two. Nothing is
changed if the operators can be loaded.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

_MARK = "# Declared by hardsight's scripts/repair_torchvision.py"
_DECLARATIONS = f"""

{_MARK}, because the compiled operators are for CUDA.
if not _has_ops():
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        _declared.define(f"{{_name}}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def repair(package: Path) -> bool:
    """Repair the torchvision in a folder; return whether it had to be changed."""
    extension = package / "extension.py"
    source = extension.read_text()
    if _MARK in source or _loads(package / "_C.so"):
        return False
    extension.write_text(source + _DECLARATIONS)
    return True


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    spec = find_spec("torchvision")
    if torch.version.cuda is None and spec is not None and spec.submodule_search_locations:
        repair(Path(spec.submodule_search_locations[0]))
