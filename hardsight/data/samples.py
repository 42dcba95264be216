"""The samples that are measured: stable ids, features, labels as codes, and the numbers that learners read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from hardsight.data.encoding import encode_table, round_columns
from hardsight.data.sparse import is_sparse, row_bytes
from hardsight.errors import InputError

if TYPE_CHECKING:
    from hardsight.data.labelled_parts import Layout, Parts

Kind = Literal["table", "array", "text", "image", "items", "ids"]

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples as the rest of the library reads them; make them with :meth:`Samples.of` or :func:`hardsight.read`.

    Attributes:
        features: a DataFrame of numbers, booleans, categories, dates and texts (``table``), a float array ``(sample, …)`` or
            a scipy ``csr_array`` (``array``), an object array of strings (``text``), an array ``(sample, height, width[,
            channel])`` (``image``), the unchanged rows of a dataset, :class:`hardsight.data.from_hf_rows.DatasetRows`
            (``items``), which only few learners read, or row numbers ``(sample,)``, if samples are known by their ids alone
            (``ids``).
        labels: int64 codes into ``classes``, or float64 targets if ``classes`` is None. ``(sample,)``
        classes: the labels that the codes stand for, sorted; None for regression, and if ``loss_only``.
        ids: permanent names of the samples, ``(sample,)``, int64 or str, unique. Row numbers only if no ids were passed.
        kind: what the features are.
        groups: int64 codes; samples of a group are always on the same side of a split. None: every sample is its own group.
        original: the feature columns of a table as they came, ``(sample, column)``, for estimators that transform columns
            themselves; None if there was no table.
        embedding: numbers that stand for features that are not numbers, ``(sample, feature)`` float32.
        weights: how much each sample counts in training, relative to others, ``(sample,)`` float64, not negative. None: all
            the same. Held-out errors are never weighted.
        loss_only: there is nothing to predict, ``labels`` are NaN, and a learner computes the loss of each sample.
        integers: whether the features were passed as an array of integers, which may be ids; they are stored as floats.
        label_name: what the label is called in tables and reports.
        parts: which sample each row belongs to, if rows are labelled parts of samples, such as tokens of a sentence; then
            ``ids`` are those of the parts. None: every row is a sample. See :mod:`hardsight.data.labelled_parts`.
        symmetric_noise: whether wrong labels are as frequent in either of two classes, as in pairs in random order; then the
            label model has one flip rate.
        unlabelled: samples without a label, which models predict after the measurement; their ``labels`` mean nothing. None:
            there are none, or they were left out.
        notices: what a user should know about how the data was read, one sentence each.
    """

    features: Any
    labels: np.ndarray
    classes: tuple[Any, ...] | None
    ids: np.ndarray
    kind: Kind
    groups: np.ndarray | None = None
    original: pd.DataFrame | None = None
    embedding: np.ndarray | None = None
    weights: np.ndarray | None = None
    loss_only: bool = False
    integers: bool = False
    label_name: str = "label"
    parts: "Parts | None" = None
    symmetric_noise: bool = False
    unlabelled: "Samples | None" = None
    notices: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """Return one line: how many samples of what kind and which labels, not the data themselves."""
        target = "targets" if self.classes is None else f"{len(self.classes):,} classes"
        target = "no labels" if self.loss_only else f"{target} of {self.label_name!r}"
        unlabelled = "" if self.unlabelled is None else f", {len(self.unlabelled):,} unlabelled"
        return f"Samples({len(self):,} × {self.kind}, {target}{unlabelled}, {len(self.notices)} notices)"

    @classmethod
    def of(
        cls,
        X: Any,
        y: Any = None,
        *,
        ids: Any = None,
        groups: Any = None,
        weights: Any = None,
        task: str = "auto",
        label: str | None = None,
        text: str | None = None,
        embedding: Any = "auto",
        unlabelled: str = "drop",
        merge_spellings: bool = False,
        labels: Sequence[str] | None = None,
        label_separator: str | None = None,
    ) -> "Samples":
        """Make samples from data in memory.

        Args:
            X: features, one of

                - a numpy array or torch tensor ``(sample, feature)``: numbers, NaN for missing values;
                - an array of images ``(sample, height, width)`` or ``(sample, height, width, channel)`` with 1, 3 or 4
                  channels (channels may come first); other arrays of more than two axes are plain numbers;
                - a pandas frame (or anything with ``to_pandas``): numbers, booleans, categories;
                - a sparse matrix, array or tensor ``(sample, feature)``: kept for estimators that read such;
                - a list, Series or array of strings; a list of Pillow images; nested lists of numbers;
                - a map-style torch Dataset of ``(features, label, …)`` items, with ``y=None``;
                - a Hugging Face dataset: one text column, an image column or numbers;
                - None, for samples known by their ids alone, which :class:`hardsight.Loop` trains on, or with ``embedding``;
                - Samples, which are returned unchanged.
            y: labels, ``(sample,)``, or the name of the label's column in ``X``. Several labels per sample: zeros and ones
                ``(sample, label)``, NaN where a label was not asked for (array, frame with a column per label, sparse
                matrix), or lists of labels. Rows are then parts, one per sample and label, with the classes "no" and "yes".
            ids: names of the samples, ``(sample,)`` int or str, unique; or a column's name. By default the index of a
                frame or Series if it holds unique integers or text, else 0, 1, 2, … with a notice.
            groups: samples of one group are always on the same side of a split, ``(sample,)`` hashable; or a column's name.
            weights: how much each sample counts in training, ``(sample,)``, 0 or more; or a column's name.
            task: "classification", "regression", or "auto" (see :func:`hardsight.data.labels.encode_labels`).
            label: what the label is called in results; by default the name of its column or Series. If ``X`` has columns
                and ``y`` is None, the label's column.
            text: the column that holds the text to learn from; all other columns are then left out.
            embedding: how texts and images become numbers: "auto", "tfidf"; "pixels", "pixels:SIDE", "efficientnet-lite0";
                a pretrained model, "timm:NAME", "open_clip:NAME", "transformers:NAME" or "sentence-transformers:NAME";
                numbers that you have, ``(sample, feature)``, or the path of a ``.npy`` file of them; or a function of a
                list of Pillow images or strings that returns such numbers. An :class:`Encoder` is a model or a function
                with options.
            unlabelled: what to do with samples whose label is missing (None, NaN or blank): "drop" leaves them out,
                "predict" has models predict them after the measurement (:attr:`hardsight.Difficulty.unlabelled`), "refuse"
                raises an error.
            merge_spellings: whether classes, and groups, that differ only in case, blanks, invisible characters or the
                encoding of letters are one, in their most frequent spelling. Otherwise a notice names them.
            labels: columns of ``X`` with zeros and ones, one per label, of samples with several labels.
            label_separator: what stands between the labels of a text that holds several, such as ";" in "dog;cat".

        Raises:
            InputError: data that cannot be used; the message names the column, row or argument, and the fix.

        >>> samples = Samples.of([[0.5], [1.5], [2.5]], ["dog", "cat", "dog"], ids=["a", "b", "c"])
        >>> samples.classes, samples.labels.tolist(), samples.kind
        (('cat', 'dog'), [1, 0, 1], 'array')
        """
        from hardsight.data.from_memory import to_samples

        return to_samples(
            X,
            y,
            ids=ids,
            groups=groups,
            weights=weights,
            task=task,
            label=label,
            text=text,
            embedding=embedding,
            unlabelled=unlabelled,
            merge_spellings=merge_spellings,
            labels=labels,
            label_separator=label_separator,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers to predict."""
        return self.classes is None and not self.loss_only

    def take(self, rows: np.ndarray) -> "Samples":
        """Return the samples in some rows, in that order. ``rows`` is an int64 array."""
        features = self.features.iloc[rows] if isinstance(self.features, pd.DataFrame) else self.features[rows]
        return replace(
            self,
            features=features,
            labels=self.labels[rows],
            ids=self.ids[rows],
            groups=None if self.groups is None else self.groups[rows],
            original=None if self.original is None else self.original.iloc[rows],
            embedding=None if self.embedding is None else self.embedding[rows],
            weights=None if self.weights is None else self.weights[rows],
            parts=None if self.parts is None else self.parts.take(rows),
        )

    @property
    def whole(self) -> "Samples | None":
        """The samples whose features all of their parts share, if rows are such parts; see :class:`Parts`."""
        return None if self.parts is None else self.parts.whole

    @cached_property
    def layout(self) -> "Layout":
        """Where parts that share the features of their samples are in a matrix of samples and names.

        Raises:
            ValueError: the rows of these samples are no parts, or have features of their own.
        """
        from hardsight.data.labelled_parts import Layout

        return Layout.of(self)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The numbers that networks and linear models read: ``(sample, feature)`` float32, NaN for missing values.

        Pixels of 0..255 become 0..1. Categories become one 0/1 column each; the vocabulary is that of all samples. Every
        *statistic* (mean, scale) is left to the learner, which takes it from the training part alone; only a column whose
        differences float32 would lose is centred at its median (:func:`hardsight.data.encoding.round_columns`).

        Raises:
            InputError: the samples are rows of a dataset, texts or only ids, without an embedding.
        """
        if self.embedding is not None:
            return self.embedding
        if self.kind == "ids":
            raise InputError(
                "X is missing, and samples are known by their ids alone: pass X, or numbers that describe them (embedding=…)"
            )
        if not self.numeric:
            if self.kind == "text":
                raise InputError("these texts have no embedding, and so no numbers: pass embedding=…")
            raise InputError("these samples are rows of a dataset, which only hs.HuggingFace reads: pass arrays or texts")
        if self.kind == "table":
            return encode_table(self.features)
        if self.kind == "array" and np.ndim(self.features) == 2:
            return round_columns(self.features.toarray() if self.sparse else np.asarray(self.features))
        return self.numbers.reshape(len(self), -1)

    @property
    def numeric(self) -> bool:
        """Whether there is a :attr:`matrix`."""
        return self.kind not in ("items", "ids", "text") or self.embedding is not None

    @property
    def sparse(self) -> bool:
        """Whether the features are a sparse matrix."""
        return is_sparse(self.features)

    @property
    def numbers(self) -> np.ndarray:
        """Arrays and images in float32 with their own axes, ``(sample, …)``; pixels of 0..255 become 0..1.

        What is float32 already is not copied, so that an array in a file stays there (:func:`numpy.load`, ``mmap_mode``).
        """
        features = self.features.toarray() if self.sparse else np.asarray(self.features)
        pixels = self.kind == "image" and features.dtype == np.uint8
        numbers = features.astype(np.float32, copy=False)
        return numbers / np.float32(255) if pixels else numbers

    def fingerprints(self) -> np.ndarray:
        """Return a 128-bit digest per sample, equal for samples with equal features. ``(sample,)`` of bytes."""
        return self._digests

    @cached_property
    def _digests(self) -> np.ndarray:
        rows: Any
        if self.kind == "table":
            rows = np.stack([pd.factorize(self.features[c])[0] for c in self.features], axis=1).astype(np.int64)
        elif self.kind == "items":
            rows = self.features.row_bytes()
        elif self.sparse:
            rows = row_bytes(self.features)
        elif self.kind == "text":
            rows = [text.encode("utf-8", "surrogatepass") for text in self.features]
        else:
            rows = _rows_without_negative_zero(np.ascontiguousarray(self.features).reshape(len(self), -1))
        digest = [blake2b(row if isinstance(row, bytes) else row.tobytes(), digest_size=16).digest() for row in rows]
        return np.array(digest, dtype="V16")


def row_slices(rows: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices of consecutive rows, a few megabytes each.

    >>> list(row_slices(5, 8 << 20))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, _BLOCK_BYTES // max(row_bytes, 1))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _rows_without_negative_zero(numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield row by row; -0.0 and 0.0 are the same number but not the same bytes."""
    for rows in row_slices(len(numbers), numbers[:1].nbytes):
        yield from numbers[rows] + 0.0 if np.issubdtype(numbers.dtype, np.floating) else numbers[rows]
