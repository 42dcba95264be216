"""Labelled parts of samples: tokens of a sentence, boxes of an image, labels of a text that has several.

Everything that has a label and an error is one row of :class:`Samples` and of the result. Mostly that is a whole sample.
Where it is a part, :class:`Parts` says of which sample. Engine, label model, weights and pages then work on parts as they
do on samples; parts of one sample are only never on both sides of a split, and sums over them describe the sample.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.columns import to_names
from hardsight.errors import InputError
from hardsight.validation import join_examples

if TYPE_CHECKING:
    from hardsight.data.samples import Samples

# Between the sample and the part in an id.
_SEPARATOR = "/"


@dataclass(frozen=True, eq=False)
class Parts:
    """Which sample each labelled part belongs to; make it with :meth:`of`.

    Attributes:
        sample: id of each part's sample, ``(part,)`` int64 or str.
        name: name of each part, unique within its sample, ``(part,)`` int64 or str, such as a token's position.
        kind: what a part is called, in the singular: "token", "box", "label".
        text: the piece of its sample's text that each part is, ``(part,)`` str objects, such as the words of a sentence;
            pages then show a sample as running text. None: parts have no text.
        whole: the samples, if their parts have no features of their own: the labels of a text that has several. The features
            of the parts are then the rows of their samples in it.
        names: with ``whole``, the names that parts may have, ``(name,)``.
    """

    sample: np.ndarray
    name: np.ndarray
    kind: str = "part"
    text: np.ndarray | None = None
    whole: "Samples | None" = None
    names: np.ndarray | None = None

    @classmethod
    def of(cls, sample: Any, name: Any = None, *, kind: str = "part", text: Any = None) -> "Parts":
        """Make parts from the ids of their samples.

        Args:
            sample: ``(part,)``; parts of one sample need not be adjacent.
            name: ``(part,)``; by default parts of a sample are numbered from 0 in their order.
            text: the piece of its sample's text that each part is, ``(part,)`` strings, if it is one.

        Raises:
            InputError: ids, names or texts that are missing or of different types, of different lengths, or two parts have
                the same id.
        """
        if not isinstance(kind, str) or not kind.strip():
            raise InputError(f"kind must be what a part is called, in the singular, such as 'box'. Got {kind!r}")
        sample = to_names(sample, len(sample), f"the sample of each {kind}")
        number = pd.Series(sample).groupby(sample).cumcount().to_numpy()
        name = number if name is None else to_names(name, len(sample), f"the name of each {kind}")
        parts = cls(sample, name, kind, None if text is None else _as_texts(text, len(sample), kind))
        _check_unique(parts)
        return parts

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def ids(self) -> np.ndarray:
        """Return an id of each part, "sample/name", ``(part,)`` str."""
        return np.array([f"{s}{_SEPARATOR}{n}" for s, n in zip(self.sample.tolist(), self.name.tolist(), strict=True)], str)

    @property
    def codes(self) -> np.ndarray:
        """Return a number of each part's sample, in the order of the sorted samples, ``(part,)`` int64."""
        return np.unique(self.sample, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def take(self, rows: np.ndarray) -> "Parts":
        """Return the parts in some rows, in that order."""
        text = None if self.text is None else self.text[rows]
        return replace(self, sample=self.sample[rows], name=self.name[rows], text=text)


def _check_unique(parts: Parts) -> None:
    """Raise if two parts have the same id: by name in one sample, or because "a/b" and "c" read as "a" and "b/c" do."""
    ids = pd.Series(parts.ids)
    if ids.is_unique:
        return
    repeated = pd.DataFrame({"sample": parts.sample, "name": parts.name}).duplicated().to_numpy()
    if repeated.any():
        names = join_examples(ids[repeated].tolist(), 3)
        raise InputError(f"each {parts.kind} of a sample must have its own name. Repeated: {names}")
    names = join_examples(ids[ids.duplicated()].tolist(), 3)
    raise InputError(
        f"{parts.kind}s of different samples would have the same id, {names}: rename samples or {parts.kind}s without "
        f"{_SEPARATOR!r}"
    )


def _as_texts(text: Any, parts: int, kind: str) -> np.ndarray:
    texts = list(text)
    if len(texts) != parts or not all(isinstance(each, str) for each in texts):
        raise InputError(f"text must be one string per {kind}: {parts:,} strings")
    return np.array(texts, dtype=object)


class Layout(NamedTuple):
    """Where the parts of samples that share their features are in a matrix of samples and names."""

    whole: "Samples"  # the samples that have parts
    row: np.ndarray  # of each part's sample, (part,)
    column: np.ndarray  # of each part's name, (part,)
    part: np.ndarray  # the part of each sample and name, (sample, name) int64; -1 if there is none
    first: np.ndarray  # the first part of each sample, (sample,)
    names: list[Any]  # of the columns

    @classmethod
    def of(cls, samples: "Samples") -> "Layout":
        """Return the layout of parts; :attr:`Samples.layout` keeps it.

        Raises:
            ValueError: the rows of these samples are no parts, or have features of their own.
        """
        parts = samples.parts
        if parts is None or parts.whole is None or parts.names is None:
            raise ValueError("whole")
        used, first, row = np.unique(samples.features, return_index=True, return_inverse=True)
        row = row.reshape(-1)
        whole = parts.whole if len(used) == len(parts.whole) else parts.whole.take(used)
        order = np.argsort(parts.names)
        column = order[np.searchsorted(parts.names, parts.name, sorter=order)]
        part = np.full((len(used), len(parts.names)), -1, dtype=np.int64)
        part[row, column] = np.arange(len(row))
        return cls(whole, row, column, part, first, parts.names.tolist())


def texts_of_parts(samples: "Samples | None") -> np.ndarray | None:
    """Return the piece of text that each part is, ``(part,)``; None if the rows are no parts, or parts have no text."""
    return None if samples is None or samples.parts is None else samples.parts.text


def as_parts(samples: "Samples", parts: Parts) -> "Samples":
    """Return samples whose rows are parts: each has the id of its part, and parts of one sample are never split.

    Args:
        samples: one row per part. Its ``groups``, if any, are groups of whole samples.

    Raises:
        InputError: another number of parts, or a sample whose parts are in several groups.
    """
    if len(parts) != len(samples):
        raise InputError(f"there must be one {parts.kind} per row: got {len(parts):,} for {len(samples):,} rows")
    codes = parts.codes
    if samples.groups is not None:
        pairs = np.unique(np.stack([codes, samples.groups]), axis=1)[0]
        split = np.flatnonzero(np.bincount(pairs) > 1)
        if len(split):
            name = parts.sample[codes == split[0]].tolist()[0]
            raise InputError(
                f"a group must hold whole samples, but the {parts.kind}s of {len(split):,}, such as {name!r}, are in several"
            )
        codes = samples.groups
    return replace(samples, ids=parts.ids, groups=codes, parts=parts)
