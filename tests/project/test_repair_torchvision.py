"""A torchvision whose compiled operators need CUDA can be imported beside a torch without it."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "repair_torchvision.py"


def test_operators_that_cannot_be_loaded_are_declared_once(tmp_path):
    spec = importlib.util.spec_from_file_location("repair_torchvision", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (tmp_path / "_C.so").write_bytes(b"not a library")
    extension = tmp_path / "extension.py"
    extension.write_text("import torch\n\n\ndef _has_ops():\n    return True\n")
    assert script.repair(tmp_path)
    assert "if not _has_ops():" in extension.read_text()
    repaired = extension.read_text()
    exec(compile(repaired, "extension.py", "exec"), {})
    assert not script.repair(tmp_path)
    assert extension.read_text() == repaired
