"""Names of the files of a run, and setting old decisions aside."""

from contextlib import suppress
from itertools import count
from pathlib import Path

from hardsight.difficulty.decisions import FILE_NAME, result_digest
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError

TABLE, REPORT, REVIEW, CHECKPOINT = "difficulty.parquet", "report.html", "review.html", "progress.npz"
RANKED, UNLABELLED, LEAKS = "difficulty.csv", "unlabelled.csv", "leaks.csv"
CONSENSUS, ANNOTATIONS, ANNOTATORS = "consensus.csv", "annotations.csv", "annotators.csv"
RESULTS = (TABLE, RANKED, REPORT, REVIEW, UNLABELLED, LEAKS, CONSENSUS, ANNOTATIONS, ANNOTATORS)
# Later rounds at most; see :mod:`hardsight.estimation.reweighted_rounds`.
MAX_ROUNDS = 5


def round_checkpoint(path: Path, number: int) -> Path:
    """Return the checkpoint of a later round, beside that of the first."""
    return path.with_name(f"{path.stem}.round{number}{path.suffix}")


def checkpoint_files(path: str | Path) -> list[Path]:
    """Return all files that a run with this checkpoint may write its state to."""
    path = Path(path)
    return [path, *(round_checkpoint(path, number) for number in range(2, MAX_ROUNDS + 2))]


def set_aside_decisions(table: Path, result: Difficulty) -> tuple[Path, Path] | None:
    """Rename a reviewer's decisions that were made about another result, before a new one is written beside them.

    Args:
        table: path that the new result will be written to.

    Returns:
        The old path and the new one; None if there was nothing to rename.
    """
    decisions = table.with_name(FILE_NAME)
    if not (decisions.is_file() or decisions.is_symlink()):
        return None
    # A result that cannot be read does not tell what the decisions are about.
    with suppress(InputError):
        if result_digest(Difficulty.load(table)) == result_digest(result):
            return None
    names = (f"{decisions.stem}-before{'' if n == 1 else f'-{n}'}.csv" for n in count(1))
    renamed = next(path for path in map(decisions.with_name, names) if not (path.exists() or path.is_symlink()))
    decisions.rename(renamed)
    return decisions, renamed
