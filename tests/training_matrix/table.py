"""Train every cell of the matrix and write docs/training-matrix.md: ``make matrix``.

Exit status 1 if a cell differs from the reference.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from training_matrix.cells import ACCUMULATION, CELLS, LOOPS, RANKS, RESTARTS, WEIGHTS, Cell
from training_matrix.outcomes import EQUAL, TOLERANCES, run_cells

PAGE = Path(__file__).parents[2] / "docs" / "training-matrix.md"
_OPENING = """\
# Weighted training in every loop

Softmax regression on 24 samples is trained for two epochs of three steps in every combination of training loop,
processes, micro-batches, weights and restart. The parameters after the last step are compared with a reference in
NumPy: one process, whole batches, float64. `make matrix` trains all cells and writes this page; the tests train a part
in which every pair of settings occurs.

- **=** equal to the reference, to a relative 1e-5 in float32 and 1e-9 in float64;
- **refused** one line says why, before anything is trained wrongly.

*fixed*: an array of weights. *per-sample*: a scheme that remembers each sample's losses. *batch-normalised*: a scheme
whose weights sum to one over the batch (`kl-dro`). *sampler*: `hs.WeightedSampler` in place of weights. *resumed*: from
a checkpoint in the middle of the second epoch, with new objects; skorch restarts between epochs.

With `DataLoader(sampler=…)` a sampler that draws by weights is distributed by itself, see [samplers](samplers.md). A
batch-normalised scheme under accumulation needs the weights of the whole effective batch first, by
`weighting.weights(…)` and `weighting.apply_weights(…)`, which is how the plain loop and the loop of accelerate do it.

"""


def read_page() -> dict[Cell, str]:
    """Return the outcome of each cell, "equal" or "refused", from the page."""
    outcomes = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        columns = [column.strip() for column in line.strip("|").split("|")]
        if columns[0] not in LOOPS:
            continue
        loop, ranks, accumulation, restart = columns[0], int(columns[1]), int(columns[2]), columns[3]
        for weights, text in zip(WEIGHTS, columns[4:], strict=True):
            outcomes[Cell(loop, ranks, accumulation, weights, restart)] = EQUAL if text == "=" else text
    return outcomes


def write_page(outcomes: Mapping[Cell, str]) -> str:
    """Return the text of the page."""
    rows = [
        f"| loop | ranks | micro-batches | restart | {' | '.join(WEIGHTS)} |",
        "|---|--:|--:|---|" + ":-:|" * len(WEIGHTS),
    ]
    for loop in LOOPS:
        for ranks in RANKS:
            for accumulation in ACCUMULATION:
                for restart in RESTARTS:
                    cells = [Cell(loop, ranks, accumulation, weights, restart) for weights in WEIGHTS]
                    marks = [format_outcome(outcomes[cell]) for cell in cells]
                    rows.append(f"| {loop} | {ranks} | {accumulation} | {restart} | {' | '.join(marks)} |")
    refusals = sorted({outcome.removeprefix("refused: ") for outcome in outcomes.values() if outcome.startswith("refused")})
    parts = [_OPENING, "\n".join(rows), "\n"]
    if refusals:
        parts += ["\nThe refusals read:\n\n", *(f"- `{message}`\n" for message in refusals)]
    return "".join(parts)


def format_outcome(outcome: str) -> str:
    """Return the mark of an outcome in the table."""
    return "=" if outcome == EQUAL else outcome.partition(":")[0]


def main() -> int:
    """Train all cells and write the page, unless a cell differs."""
    wrong = []
    for precision in TOLERANCES:
        outcomes = run_cells(CELLS, precision)
        wrong += [f"{precision}, {cell}: {text}" for cell, text in outcomes.items() if text.startswith("differs")]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    PAGE.write_text(write_page(outcomes), encoding="utf-8")
    print(f"{len(outcomes)} cells; wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
