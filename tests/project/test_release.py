"""What stands in several files of the project agrees."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import hardsight as hs

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name):
    """The versions that a file of requirements fixes, by distribution."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_the_oldest_versions_are_the_lower_bounds():
    oldest = pins("oldest.txt")
    extras = PROJECT["optional-dependencies"]
    tried = [*PROJECT["dependencies"], *extras["fast"], *extras["boosting"], *extras["skorch"]]
    tried += [each for each in extras["huggingface"] if each.startswith("datasets")]
    bounds = {each.name: str(each.specifier) for each in map(Requirement, tried)}
    assert set(bounds) == set(oldest)
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound.removeprefix('>='))}(\.0)*", oldest[name]), name


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation
    assert PROJECT["version"] == hs.__version__


def test_it_is_typed():
    assert (Path(hs.__file__).parent / "py.typed").exists()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_commands_that_the_page_of_versions_names_exist():
    made = re.findall(r"`make ([\w-]+)", (ROOT / "docs" / "versions.md").read_text())
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made
    assert set(made) <= set(rules)
