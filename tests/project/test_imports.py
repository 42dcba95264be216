"""The public names: each can be imported, and importing it costs no more than it must."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import hardsight as hs
from hardsight.validation import check_int

STUB = ast.parse(Path(hs.__file__).with_suffix(".pyi").read_text())
# Which module each public name comes from, as type checkers read the stub.
PUBLIC = {
    alias.asname: node.module
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.asname is not None
}


def loaded(code):
    """Which of the heavy libraries some code imports in a process of its own."""
    heavy = ("torch", "pandas", "sklearn", "scipy", "altair", "pyarrow", "numpy", "rich")
    code = f"import sys\n{code}\nprint(*[m for m in {heavy!r} if m in sys.modules])"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_all_names_open_and_are_what_type_checkers_see():
    assert sorted(hs.__all__) == sorted([*PUBLIC, "load"])
    assert set(dir(hs)) == {*PUBLIC, "load", "__version__"}
    assert {"measure", "weigh", "read", "Samples", "Weighting", "explain", "SCHEMES", "sklearn"} <= set(hs.__all__)
    for name, home in PUBLIC.items():
        value = getattr(hs, name)
        is_module = inspect.ismodule(value)
        assert value is (import_module(f"{home}.{name}") if is_module else getattr(import_module(home), name))
    assert {node.name for node in STUB.body if isinstance(node, ast.FunctionDef)} == {"load"}


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="module 'hardsight' has no attribute 'meassure'"):
        hs.meassure  # noqa: B018


def test_the_package_itself_costs_nothing():
    assert loaded("import hardsight; hardsight.__version__; hardsight.load") == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["", "measure", "weigh", "doctor", "bench measures"])
def test_help_costs_nothing(command):
    code = f"from hardsight.cli import main\nmain({[*command.split(), '-h']!r}, standalone_mode=False)"
    ours = f"import sys\n{code}\nprint(*[m for m in sys.modules if m.startswith('hardsight.')])"
    assert loaded(f"import os\nout = os.dup(1); os.dup2(2, 1)\n{code}\nos.dup2(out, 1)") == set()
    opened = subprocess.check_output([sys.executable, "-c", ours], text=True).splitlines()[-1].split()
    assert {name for name in opened if not name.startswith("hardsight.cli")} == {"hardsight.errors"}


def test_errors_cost_nothing():
    assert loaded("from hardsight import InputError, HardsightWarning") == set()


@pytest.mark.slow
def test_saved_results_load_without_torch(tmp_path):
    hs.measure_predictions([[[0.1, 0.9], [0.7, 0.3]]] * 2, ["a", "b"]).save(tmp_path / "d.parquet")
    code = f"import hardsight; d = hardsight.load({str(tmp_path / 'd.parquet')!r}); d.table; repr(d); d.hardest(1)"
    assert not loaded(code) & {"torch", "sklearn", "scipy", "altair"}


def test_errors_have_one_root():
    for name in ("InputError", "LearnerError"):
        assert issubclass(getattr(hs, name), hs.HardsightError)
    assert issubclass(hs.InputError, ValueError)
    assert issubclass(hs.LearnerError, RuntimeError)
    assert issubclass(hs.HardsightWarning, UserWarning)


@pytest.mark.parametrize("value", [2.5, "3", None, [2]])
def test_whole_numbers_only(value):
    with pytest.raises(hs.InputError, match=r"folds must be an integer. Got "):
        check_int("folds", value, 2)


def test_whole_numbers_from_a_bound_on():
    assert [check_int("folds", value, 2) for value in (2, np.int64(9))] == [2, 9]
    with pytest.raises(hs.InputError, match=r"^folds must be 2 or more, at least. Got 1$"):
        check_int("folds", 1, 2, ", at least")


@pytest.mark.slow
def test_measuring_needs_no_schemes_of_weights():
    code = "import sys, hardsight as hs\nfrom sklearn.datasets import load_wine\n"
    code += "hs.measure(*load_wine(return_X_y=True), learner='ridge', folds=3, repeats=2)\n"
    code += "print(*[name for name in sys.modules if name.startswith('hardsight.weights')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_signatures_are_short_and_visible():
    assert len(signature(hs.measure).parameters) <= 20
    assert {"learner", "folds", "execution", "seed"} <= signature(hs.explain).parameters.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 2}, r"^jobs is part of execution: pass execution=hs.Execution\(jobs=…\)$"),
        ({"pilot": True}, r"^pilot is part of estimate: pass estimate=hs.Estimate\(pilot=…\)$"),
        (
            {"drop": "x"},
            r"^measure has no argument 'drop', but hs.read has: pass hs.read\(path, drop=…\), or leave the column out",
        ),
        ({"id": "x"}, r"^measure has no argument 'id'. Did you mean ids\?$"),
        ({"fold": 3}, r"^measure has no argument 'fold'. Did you mean folds\?$"),
        ({"duplicates": "x", "seed": -1}, r"^2 faults:\n- duplicates must be .* Got 'x'\n- seed must be 0 or more. Got -1$"),
    ],
)
def test_misplaced_arguments_are_told_where_they_belong(options, message):
    with pytest.raises(hs.InputError, match=message):
        hs.measure([[0.0], [1.0]], ["a", "b"], **options)
