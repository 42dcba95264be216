"""The code speaks the standard language of the field: words that are not used here, in names and in text.

`WORDS` gives the standard word for each name that was once private to its authors. Ordinary words, names of the public
contract and fields of files are left out of it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("hardsight", "tests", "benchmarks", "website", "scripts")
# All but this one, which lists the words.
MODULES = sorted({path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")} - {Path(__file__)})

# Names that a variable, function, parameter, attribute, class or module must not have, and what to say instead.
WORDS = {
    "Again": "RefineRequest",
    "Curated": "CuratedLabels",
    "Descent": "OptimizerConfig",
    "Known": "LabelPosterior",
    "Outcome": "RunResult",
    "Pupil": "MemberJob",
    "Recipe": "OptimizerArrays",
    "Refined": "RefineResult",
    "Room": "StateShape, TableLayout",
    "Said": "Predictions",
    "Shares": "RankSlices",
    "Until": "StopRule",
    "add_seen": "add_in_sample",
    "ahead": "effective_batch",
    "belongs": "is_from",
    "budget_of": "parse_budget",
    "carry_out": "run_plan",
    "climbed": "run_em",
    "covariate": "control_variate",
    "dealing": "plan",
    "dealt": "splitter, plan",
    "distrust": "ledger unreliability",
    "door": "reader, converter",
    "doors": "readers, converters",
    "dress": "theme",
    "entrants": "methods",
    "escaped": "escape_formula",
    "exhibits": "example cards",
    "held": "the noun: state, shrinkage, held_out",
    "known_by": "infer_labels",
    "lab": "theory",
    "leaning": "models_only",
    "mend": "fix",
    "mended": "apply_decisions",
    "narrowed": "infer_dtype",
    "of_checked": "call_unchecked",
    "of_nobody": "empty_weights",
    "one_of": "check_choice",
    "pictures": "charts",
    "pilot_of": "training-length search",
    "rivals": "baselines, alternative models",
    "said": "message, text",
    "settle": "detach_state",
    "spelled": "check_text",
    "spend": "budget",
    "surest": "most_confident",
    "taught": "noise_aware",
    "told": "message, text",
    "unpacked": "check_decoded_size",
    "wanted": "the noun",
    "worlds": "synthetic scenarios",
}

# Phrases that no docstring, message, help text or comment may hold.
PHRASES = {
    r"\ba (row|line|value|column|file|number|weight|vote) an? [a-z]+\b": "one … per …",
    r"\b(one|two|three) an? (sample|class|row|item|file|member|model|line|column|view)\b": "… per …",
    r"\bno whole numbers?\b|\bwhole numbers?\b": "integer",
    r"\bmends?\b|\bmended\b": "fix",
    r"\bso many-th\b": "evenly spaced",
    r"\bwho judges whom\b": "train/held-out assignment",
    r"\bare dealt\b|\bdealt (into|out)\b": "split into",
    r"\bat every door\b|\bdoors (for|of|to)\b": "readers",
    r"(?<!there )\bis no (number|text|array|frame|file|folder|path)\b": "is not a …",
    r"\bwhere there (is|are) none\b": "if there are none",
    r"\bof like prediction\b": "with similar predictions",
    r"\bgoes? with\b": "needs, belongs to",
    r"\ball that (makes?|is|must|may|can)\b": "everything that …",
    r"\bfor good\b": "permanently",
}


def identifiers(tree):
    """Yield every name that a module defines or passes by keyword, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, node.lineno
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).split(".")[0], node.lineno


def texts(path):
    """Yield every string constant and comment of a module, with its line."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split()), node.lineno
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith("#"):
            yield line.strip(), number


def private_names(path):
    found = [] if path.stem not in WORDS else [f"{path.relative_to(ROOT)}: the module's name ({WORDS[path.stem]})"]
    for name, line in identifiers(ast.parse(path.read_text(encoding="utf-8"))):
        if (word := name.lstrip("_")) in WORDS:
            found.append(f"{path.relative_to(ROOT)}:{line}: {name} → {WORDS[word]}")
    return found


def private_phrases(path):
    return [
        f"{path.relative_to(ROOT)}:{line}: {match.group()!r} → {standard}"
        for text, line in texts(path)
        for phrase, standard in PHRASES.items()
        if (match := re.search(phrase, text, re.IGNORECASE))
    ]


@pytest.mark.slow
def test_names_are_the_standard_ones():
    assert not (found := [each for path in MODULES for each in private_names(path)]), "\n" + "\n".join(found)


@pytest.mark.slow
def test_texts_hold_no_invented_phrases():
    assert not (found := [each for path in MODULES for each in private_phrases(path)]), "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def told(): pass", 1),
        ("x.spend = 1", 1),
        ("def f(dealt): pass", 1),
        ("from a import b as doors", 1),
        ("kept = 1", 0),
    ],
)
def test_private_names_are_seen(tmp_path, monkeypatch, source, count):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(source)
    assert len(private_names(tmp_path / "module.py")) == count


def test_invented_phrases_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "module.py").write_text('"""Weights, a row a sample."""\n# The mend.\nx = "must be a whole number"\n')
    assert len(private_phrases(tmp_path / "module.py")) == 3
