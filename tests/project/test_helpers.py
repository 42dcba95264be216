"""What tests share stands in tests/support or a conftest.py, once."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted(path for folder in ("tests", "benchmarks/tests") for path in (ROOT / folder).rglob("*.py"))


def imported_tests(source):
    """The test modules that a module imports."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules += [f"{node.module or ''}.{alias.name}" for alias in node.names]
    return [module for module in modules if any(part.startswith("test_") for part in module.split("."))]


def repeated_helpers(sources):
    """The functions and classes that several modules define alike, by the names of the modules."""
    places = defaultdict(list)
    for name, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("test_"):
                places[ast.unparse(node)].append(f"{name}: {node.name}")
    return [place for place in places.values() if len(place) > 1]


def test_no_test_imports_another():
    modules = {path.name: imported_tests(path.read_text(encoding="utf-8")) for path in TESTS}
    assert {name: imported for name, imported in modules.items() if imported} == {}


def test_no_helper_is_defined_twice():
    assert repeated_helpers({str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in TESTS}) == []


@pytest.mark.parametrize(
    "source", ["import test_a", "from test_a import f", "from tests.data.test_a import f", "from data import test_a"]
)
def test_imports_of_tests_are_found(source):
    assert len(imported_tests(source)) == 1


def test_equal_helpers_are_found():
    fixture = "@pytest.fixture\ndef data():\n    return 1\n"
    sources = {"a": fixture, "b": "# The same.\n" + fixture, "c": fixture.replace("1", "2"), "d": "def test_x(): pass"}
    assert repeated_helpers(sources) == [["a: data", "b: data"]]
