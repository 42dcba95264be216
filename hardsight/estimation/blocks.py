"""Samples that must stay on one side of every split: groups and copies."""

from typing import NamedTuple

import numpy as np

from hardsight.copies.chance import equal_by_chance
from hardsight.copies.sets import CopySets, add_near_copies, find_exact_copies, things
from hardsight.data import Samples
from hardsight.resampling.plan import block_codes
from hardsight.validation import format_option

DUPLICATES = ("auto", "near", "together", "apart")
# Share of duplicates from which they may be different samples that happen to be equal.
_MANY_DUPLICATES = 0.2
# By default, near copies count as such if they leave at least so many different things per sample.
_MIN_THINGS = 1 / 3
# A notice names at most so many sets, and so many samples of each.
_SETS_NAMED, _SAMPLES_NAMED = 2, 3


class Blocks(NamedTuple):
    """Samples that must stay together."""

    codes: np.ndarray  # block of each sample, (sample,) int64
    copy_set: np.ndarray | None  # set of copies of each sample, (sample,) int64, -1 for none; None if there are no copies
    duplicates: str  # which samples count as copies: "near", "together" or "apart"
    notices: list[str]


def find_blocks(samples: Samples, duplicates: str) -> Blocks:
    """Return which samples must stay together, with notices about copies.

    Args:
        duplicates: "together": samples with equal features stay together; "near": near copies, too; "apart": neither.
            "auto": as "near" if there are near copies, and at least a third as many different things as samples; else as
            "together"; but as "apart" if so many samples are equal that they are different samples rather than copies
            (:func:`hardsight.copies.chance.equal_by_chance`), or labelled parts, which repeat as words do.
    """
    if samples.whole is not None:
        return _find_of_whole(samples, duplicates)
    if duplicates == "apart" or (duplicates == "auto" and samples.parts is not None):
        return _without_copies(samples, "apart", [])
    copies = find_exact_copies(samples)
    n_equal = int(copies.exact.sum())
    if duplicates == "auto" and equal_by_chance(samples, n_equal):
        return _without_copies(samples, "apart", [_describe_chance(samples, n_equal)])
    near = False
    if duplicates != "together":
        all_copies = add_near_copies(samples, copies)
        near = bool((all_copies.codes >= 0).sum() > n_equal or all_copies.codes.max() != copies.codes.max())
        if near and duplicates == "auto" and len(np.unique(things(all_copies.codes))) < _MIN_THINGS * len(samples):
            # Samples that look alike by the dozen are different samples, such as texts of one pattern.
            near = False
        else:
            copies = all_copies
    if not (copies.codes >= 0).any():
        return _without_copies(samples, "near" if duplicates == "near" else "together", [])
    notice = _describe_near(samples, copies) if near else _describe_exact(samples, n_equal)
    codes = block_codes(len(samples), samples.groups, things(copies.codes))
    return Blocks(codes, copies.codes, "near" if near or duplicates == "near" else "together", [notice])


def _find_of_whole(samples: Samples, duplicates: str) -> Blocks:
    """Return the blocks of parts that share their sample's features; copies are parts of one name."""
    layout = samples.layout
    blocks = find_blocks(layout.whole, duplicates)
    copy_set = None
    if blocks.copy_set is not None:
        of_sample = blocks.copy_set[layout.row]
        copy_set = np.where(of_sample >= 0, of_sample * len(layout.names) + layout.column, -1)
    return blocks._replace(codes=blocks.codes[layout.row], copy_set=copy_set)


def _without_copies(samples: Samples, duplicates: str, notices: list[str]) -> Blocks:
    return Blocks(block_codes(len(samples), samples.groups), None, duplicates, notices)


def _describe_chance(samples: Samples, n_equal: int) -> str:
    return (
        f"{_count(samples, n_equal)} have the same features as another sample. With few values per column this happens by "
        f"chance, so they count as different samples. If they are copies, {_advise('together')}."
    )


def _describe_exact(samples: Samples, n_equal: int) -> str:
    notice = (
        f"{_count(samples, n_equal)} have exactly the same features as another sample. They are kept on one side of every "
        "split."
    )
    if n_equal > _MANY_DUPLICATES * len(samples):
        notice += f" So many equal rows may be different samples rather than copies. If so, {_advise('apart')}."
    return notice


def _describe_near(samples: Samples, copies: CopySets) -> str:
    n_sets, exact = int(copies.codes.max()) + 1, int(copies.exact.sum())
    also = f" ({exact:,} of them exact copies)" if exact else ""
    return (
        f"{_count(samples, int((copies.codes >= 0).sum()))} are near copies of another sample{also}, in {n_sets:,} "
        f"{'set' if n_sets == 1 else 'sets'}{_name_examples(samples, copies.codes)}. Each set is kept on one side of every "
        f"split. To do so for exact copies alone, {_advise('together')}."
    )


def _count(samples: Samples, count: int) -> str:
    return f"{count:,} of {len(samples):,} samples ({count / len(samples):.1%})"


def _advise(duplicates: str) -> str:
    return f"pass duplicates={duplicates!r} ({format_option('duplicates', duplicates)})"


def _name_examples(samples: Samples, codes: np.ndarray) -> str:
    """Name some sets, those with different labels first."""
    contradictory = _find_contradictory(samples, codes)
    if len(contradictory):
        named = " and ".join(_name_set(samples, codes, code, labels=True) for code in contradictory[:_SETS_NAMED])
        return f"; labels differ in {len(contradictory):,} of them, such as {named}"
    first = range(min(_SETS_NAMED, int(codes.max()) + 1))
    return ", such as " + " and ".join(_name_set(samples, codes, code, labels=False) for code in first)


def _find_contradictory(samples: Samples, codes: np.ndarray) -> np.ndarray:
    """Return the sets whose samples have different classes."""
    if samples.classes is None:
        return np.empty(0, dtype=np.int64)
    members = np.flatnonzero(codes >= 0)
    pairs = np.unique(np.stack([codes[members], samples.labels[members]]), axis=1)
    return np.flatnonzero(np.bincount(pairs[0]) > 1)


def _name_set(samples: Samples, codes: np.ndarray, code: int, *, labels: bool) -> str:
    """Return the ids of a set's first samples; with labels, one sample of each label comes first."""
    rows = np.flatnonzero(codes == code)
    names = samples.ids[rows].tolist()
    texts = [repr(name) for name in names]
    if labels and samples.classes is not None:
        texts = [f"{text} ({samples.classes[label]!r})" for text, label in zip(texts, samples.labels[rows], strict=True)]
        first = np.sort(np.unique(samples.labels[rows], return_index=True)[1])
        texts = [texts[row] for row in first] + [text for row, text in enumerate(texts) if row not in first]
    return " = ".join(texts[:_SAMPLES_NAMED] + ["…"] * (len(texts) > _SAMPLES_NAMED))
