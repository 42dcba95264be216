"""A CoNLL file with decisions applied: tags corrected, sentences with dropped tokens left out, all else as it was."""

from pathlib import Path
from typing import Any

import numpy as np

from hardsight.data.tokens.conll import read_conll
from hardsight.difficulty.decisions import DROP, RELABEL
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.review.apply import RewrittenTable


def apply_to_conll(
    data: str | Path,
    target: str | Path,
    difficulty: Difficulty,
    decisions: Any,
    *,
    tag_column: str | None = None,
    encoding: str | None = None,
) -> RewrittenTable:
    """Write a CoNLL file again with the decisions about its tokens.

    A sentence of which a token is to be dropped is left out as a whole, because a sentence with a gap would be another one.

    Args:
        data: the file that was measured.
        target: path of the new file, another one.
        decisions: path of a csv, or a DataFrame, see :mod:`hardsight.difficulty.decisions`; None: no decisions.
        tag_column, encoding: as when measuring.

    Raises:
        InputError: another file than was measured (names the token), decisions that do not match, or a target that cannot be
            written.
    """
    source, target = Path(data), Path(target)
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is the file that was measured: choose another name, so that it can be measured again")
    file = read_conll(source, tag_column, encoding)
    tokens = file.to_tokens()
    _check_same_tokens(source, difficulty, tokens.parts.ids, tokens.tags)
    curated = difficulty.apply(decisions)
    removed = file.write(target, curated.labels, curated.keep)
    relabelled = (curated.actions == RELABEL) & ~removed
    dropped = int((curated.actions == DROP).sum())
    return RewrittenTable(int((~removed).sum()), 0, int(relabelled.sum()), dropped, int(removed.sum()) - dropped)


def _check_same_tokens(source: Path, d: Difficulty, ids: np.ndarray, tags: np.ndarray) -> None:
    if len(ids) != len(d):
        raise InputError(
            f"{source} has {len(ids):,} tokens, but {len(d):,} were measured: give the same file and tag_column"
        )
    labels = d.label_names(d.labels)
    for name, measured, tag, label in zip(ids.tolist(), d.ids.tolist(), tags.tolist(), labels.tolist(), strict=True):
        if str(name) != str(measured) or str(tag) != str(label):
            raise InputError(
                f"token {name!r} of {source} has the tag {tag!r}, but {measured!r} with {label!r} was measured there: give "
                "the same file and tag_column"
            )
