"""Every code block of the README and the docs runs, in order, page by page."""

import ast
import io
import re
import shlex
import sys
import textwrap
import tokenize
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median

import click
import pytest
from click.testing import CliRunner
from support import tiny_encoders

from hardsight.cli import main
from hardsight.theory import CLAIMS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages without code, and pages whose code tests/project/test_gallery.py runs.
PROSE = {
    "architecture.md",
    "index.md",
    "how-it-works.md",
    "quick-starts.md",
    "gallery.md",
    "limits.md",
    "paper.md",
    "results.md",
    "training-matrix.md",
}
PROSE_FOLDERS = {"commands", "gallery", "reference", "start"}
BLOCK = re.compile(r"^```(python|sh|diff|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What a block prints, if the page shows it.
OUTPUT = re.compile(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)")
# "# or hs.f(...)", "# or a scheme: hs.f(...)", "# or learner=hs.f(...)"
PROMISE = re.compile(r"\bor (?:[^:#()]*: )?(?P<code>(?:\w+=)?[\w.]+\(.*\))")

# Pretrained models that pages name are small ones with random weights, but for the last; they are found without a network.
HUB = {
    "docs/encoders.md": {
        "timm/resnet18.a1_in1k": tiny_encoders.save_resnet18,
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": tiny_encoders.save_open_clip,
        "google-bert/bert-base-uncased": tiny_encoders.save_bert,
        "sentence-transformers/all-MiniLM-L6-v2": tiny_encoders.copy_mini_lm,
    }
}

# What readers bring themselves to a diff, or to an alternative that a comment names.
READERS_CODE = {
    "docs/quick-starts/lightning.md": """
def make_net():
    return torch.nn.Linear(13, 3)
"""
}

NOT_RUN = {
    "make demo": "it sets up an environment; the test of make commands below checks that the rule exists",
    "make test": "it runs these tests",
    "make docs": "tests/project/test_site.py builds the site",
    "pip install .": "it installs the package",
    "python -m http.server": "it serves until it is stopped",
    "hardsight theory --replicate --cifar": "it needs the files of CIFAR-10, which are not in the repository",
    "hardsight theory --cifar": "it needs the files of CIFAR-10, which are not in the repository",
}


def page_name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that a page's code runs in; modules that the code writes there are unloaded afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def apply_diff(diff):
    """Return the code after a diff: context and added lines, without their markers."""
    lines = diff.splitlines()
    return textwrap.dedent("\n".join(line[1:] for line in lines if not line.startswith("-")))


def find_alternatives(code):
    """Return copies of a block in which what a comment promises replaces the call (or joins its arguments)."""
    alternatives = []
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        promise = PROMISE.search(token.string) if token.type == tokenize.COMMENT else None
        if promise is None:
            continue
        tree, line = ast.parse(code), token.start[0]
        statement = next(
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.Expr) and node.lineno <= line <= node.end_lineno
        )
        promised = ast.parse(f"f({promise['code']})", mode="eval").body
        if promised.keywords:
            statement.value.keywords += promised.keywords
        else:
            (statement.value,) = promised.args
        alternatives.append(ast.unparse(tree))
    return alternatives


def find_commands(code):
    """Return the commands of a shell block, each as a list of words."""
    lines = [line.removeprefix("$ ") for line in code.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def reason_not_run(words):
    return next((reason for start, reason in NOT_RUN.items() if " ".join(words).startswith(start)), None)


def words_of(output):
    """Return the words of an output without its decimal numbers, which differ a little between machines."""
    return [word for word in output.split() if not re.fullmatch(r"-?\d+\.\d+", word)]


# What Lightning says of torch's own trees, and of tiny data.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_code_runs(page, folder, tmp_path_factory, monkeypatch):
    if models := HUB.get(page_name(page)):
        tiny_encoders.fill_hub(tmp_path_factory.mktemp("hub"), models, monkeypatch)
        monkeypatch.setenv("HARDSIGHT_CACHE", str(folder / "cache"))
    (folder / "data.csv").write_text("a,y\n" + "".join(f"{i / 7:.3f},{'pq'[i % 9 > 4]}\n" for i in range(60)))
    names: dict[str, object] = {"__name__": page.stem}
    readers_code = READERS_CODE.get(page_name(page), "")
    text = page.read_text(encoding="utf-8")
    blocks, outputs = BLOCK.findall(text), dict(OUTPUT.findall(text))
    for kind, code in blocks:
        if kind in ("python", "diff"):
            if kind == "diff":
                exec(readers_code, names)
                code = apply_diff(code)
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(code, page.name, "exec"), names)
            if code in outputs:
                assert words_of(printed.getvalue()) == words_of(outputs[code])
            for alternative in find_alternatives(code):
                exec(readers_code, names)
                exec(compile(alternative, f"{page.name}, alternative", "exec"), dict(names))
            continue
        for words in find_commands(code):
            if reason_not_run(words):
                continue
            assert words[0] == "hardsight", f"run {words}, or list it in NOT_RUN with the reason"
            result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
            assert result.exit_code == 0, f"{words}\n{result.output}"
    assert blocks or page.name in PROSE or page.parent.name in PROSE_FOLDERS


def test_pages_about_the_theory_name_claims_that_exist():
    for name in ("paper.md", "why-weights-work.md"):
        text = FENCED.sub("", (ROOT / "docs" / name).read_text(encoding="utf-8"))
        named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", text))
        assert len(named) > 10
        assert named <= set(CLAIMS)


def test_the_readme_is_short():
    """A visitor reads one screen or two: at most 700 words, and half of the sentences have at most 18."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 700
    prose = re.sub(r"^(\||#|    |!\[).*$", "", FENCED.sub("", text), flags=re.MULTILINE)
    sentences = re.split(r"(?<=[.:?!])\**\s+", re.sub(r"\]\([^)]*\)", "]", prose))
    assert median(len(sentence.split()) for sentence in sentences if sentence.strip()) <= 18


def test_a_diff_runs_by_its_context_and_added_lines():
    diff = "+ weights = f()\n  for x in loader:\n-     loss = g(x)\n+     loss = weights(g(x))\n      loss.backward()\n"
    assert apply_diff(diff).split("\n") == [
        "weights = f()",
        "for x in loader:",
        "    loss = weights(g(x))",
        "    loss.backward()",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('w = f(d)  # or f("a", n=len(data))', ["w = f('a', n=len(data))"]),
        ("w = f(d)  # or a scheme: m.f('a', n=(1, 2))", ["w = m.f('a', n=(1, 2))"]),
        ("d = f(x, y=1)  # small; or learner=g(net) for yours", ["d = f(x, y=1, learner=g(net))"]),
        ("f(d)  # or the path of the csv", []),
        ('"# or f(2)"', []),
    ],
)
def test_promises_of_comments_are_alternatives(line, expected):
    assert find_alternatives(line + "\n") == expected


def test_commands_that_do_not_run_are_documented():
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    commands = [
        " ".join(words)
        for text in texts
        for kind, code in BLOCK.findall(text)
        if kind in ("sh", "console")
        for words in find_commands(code)
    ]
    for start in NOT_RUN:
        assert any(command.startswith(start) for command in commands), start


def find_anchors(page):
    """Return the anchors of the headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for target, heading in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not heading or heading in find_anchors(linked), f"{target}#{heading}"


def test_every_command_is_documented():
    text = "".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CHANGELOG.md"])
    for name, command in main.commands.items():
        assert command.help
        assert re.search(rf"\bhardsight[^\n]*`?[^\n]*\b{name}\b", text), name


def test_make_commands_in_the_readme_exist():
    made = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    rules = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made
    assert set(made) <= set(rules)


def test_help_of_every_option_is_there():
    for command in main.commands.values():
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, option.name
