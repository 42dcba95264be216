"""Write the picture and the tables of docs/architecture.md from the code: `python scripts/architecture.py`.

A test runs it and compares, so that the page cannot go out of date.
"""

import ast
import re
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hardsight"
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

# The steps of `hardsight measure FILE`, in order of their first call: what happens, and the function that does it.
STEPS = (
    ("Parse the command line", "hardsight.cli.commands.measure.measure"),
    ("Read the file into samples with ids, labels and features", "hardsight.data.from_files.read_file"),
    ("Check the arguments of `hs.measure`", "hardsight.estimation.measure.measure"),
    ("Choose the learner and the plan: all checks, no training", "hardsight.estimation.job.plan_job"),
    ("Split the samples into folds, repeat by repeat", "hardsight.resampling.splitters.KFold.split"),
    ("Choose how long networks are trained, by a few short trainings", "hardsight.estimation.job.tune_training_length"),
    ("Run the plan", "hardsight.estimation.runner.Runner.run"),
    ("Train models and predict their held-out samples", "hardsight.learners.network.network.Network.fit_predict"),
    ("Fold the predictions into running moments", "hardsight.measures.held_out.HeldOut.add"),
    ("Infer the true labels, and train again if many look wrong", "hardsight.estimation.true_labels.infer_true_labels"),
    ("Fit the label-noise model", "hardsight.attribution.label_noise.selection.fit_label_model"),
    ("Assemble the result", "hardsight.estimation.assemble.assemble_run"),
    ("Split the error into bias and variance", "hardsight.measures.bias_variance.log_loss"),
    ("Attribute the error to noise, imbalance, margin and uncertainty", "hardsight.attribution.ledger.ledger"),
    ("Save the result", "hardsight.difficulty.file.write_result"),
    ("Write the report", "hardsight.reporting.report.page.write"),
    ("Write the review page", "hardsight.reporting.review.page.write"),
)

_ROW, _WIDTH, _LEFT = 44, 920, 24
_STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2430; }
  .name { font-weight: 600; }
  .about { fill: #4a5164; }
  .step { fill: #ffffff; font-weight: 600; font-size: 12px; text-anchor: middle; }
  rect { fill: #f3f5fb; stroke: #c6cde0; }
  .root, svg { fill: #ffffff; background: #ffffff; }
  circle { fill: #3f51b5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e8f0; } .about { fill: #b3b9cc; } rect { fill: #262b3b; stroke: #454d66; }
    .root, svg { fill: #1b1f2b; background: #1b1f2b; }
  }
"""


def layers() -> list[str]:
    """Return the packages and modules of hardsight, highest first, as the import contract lists them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return next(each["layers"] for each in contracts if each["containers"] == ["hardsight"])


def summary(name: str) -> str:
    """Return the first sentence of a package's or module's docstring, without markup."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = re.split(r"(?<=[.])\s|\n\n", text)[0]
    return " ".join(re.sub(r":\w+:`~?([^`]+)`|``([^`]+)``", r"\1\2", first).split())


def _picture() -> str:
    names = layers()
    steps: dict[str, list[int]] = {}
    for number, (_, path) in enumerate(STEPS, 1):
        steps.setdefault(path.split(".")[1], []).append(number)
    height = _ROW * len(names) + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="The packages of hardsight in import order">',
        f"<style>{_STYLE}</style>",
        f'<text class="about" x="{_LEFT}" y="24">A package imports only packages below it. '
        "Numbers are the steps of hardsight measure.</text>",
    ]
    for row, name in enumerate(names):
        top = 40 + row * _ROW
        kind = ' class="root"' if (PACKAGE / f"{name}.py").exists() else ""
        parts += [
            f'<rect{kind} x="{_LEFT}" y="{top}" width="{_WIDTH - 2 * _LEFT}" height="{_ROW - 8}" rx="6"/>',
            f'<text class="name" x="{_LEFT + 14}" y="{top + 23}">{name}</text>',
            f'<text class="about" x="{_LEFT + 130}" y="{top + 23}">{escape(summary(name).rstrip("."))}</text>',
        ]
        for place, number in enumerate(reversed(steps.get(name, []))):
            x = _WIDTH - _LEFT - 20 - 26 * place
            parts += [
                f'<circle cx="{x}" cy="{top + 18}" r="11"/>',
                f'<text class="step" x="{x}" y="{top + 22}">{number}</text>',
            ]
    return "\n".join([*parts, "</svg>", ""])


def _steps() -> str:
    rows = [f"| {number} | {what} | `{path.removeprefix('hardsight.')}` |" for number, (what, path) in enumerate(STEPS, 1)]
    return "\n".join(["| step | what happens | where |", "|--:|---|---|", *rows])


def _packages() -> str:
    rows = [f"| `{name}` | {summary(name)} |" for name in layers()]
    return "\n".join(["| package | what it is for |", "|---|---|", *rows])


def page(text: str) -> str:
    """Return the page with its two tables written again."""
    for mark, table in (("steps", _steps()), ("packages", _packages())):
        begin, end = f"<!-- {mark}: written by scripts/architecture.py -->", f"<!-- end of {mark} -->"
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


def files() -> dict[Path, str]:
    """Return the text of every file that this script writes."""
    return {PAGE: page(PAGE.read_text(encoding="utf-8")), PICTURE: _picture()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
