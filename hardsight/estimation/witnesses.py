"""Witnesses that never saw the given labels: what they say of each sample, and what is made of it.

The model is that of :mod:`hardsight.attribution.label_noise.independent_witness`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from hardsight.attribution.label_noise import LabelPosterior
from hardsight.attribution.label_noise.independent_witness import IndependentWitness, WitnessSummary, add_witnesses
from hardsight.attribution.neighbours import Neighbours
from hardsight.data.columns import to_column
from hardsight.data.conversion import to_numpy, to_pandas
from hardsight.data.labels import missing_labels
from hardsight.data.witness_files import IndexedArray
from hardsight.errors import Faults, InputError
from hardsight.learners.sklearn import laplace
from hardsight.measures.held_out import HeldOut
from hardsight.measures.probabilities import are_log_probabilities, are_probabilities
from hardsight.validation import join_examples, join_names

# Witnesses with the same answers for so many samples are one.
_MIN_SAME = 20
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)\.0+")
NO_LEDGER = (
    "The witness is not used: it serves P(label wrong), which takes log-loss and two held-out predictions of every sample."
)
_KINDS = "probabilities or log-probabilities, one column per class, or one label per sample"


class WitnessedSamples(NamedTuple):
    """The samples that witnesses speak of."""

    ids: np.ndarray  # (sample,)
    classes: tuple[Any, ...] | None  # None in regression
    rows: np.ndarray | None = None  # positions of the samples in the data as passed, if some were left out; else None
    n_rows: int | None = None  # number of samples in the data as passed; None: it is that of the samples
    row_names: pd.Index | None = None  # index of the data as passed, at the samples; None: it has none


# Converts one witness: its name, what messages call it, what it says, the samples and their classes.
ReadWitness = Callable[[str, str, Any, WitnessedSamples, tuple[Any, ...]], IndependentWitness]


def read_witnesses(witness: Any, samples: WitnessedSamples, read: ReadWitness | None = None) -> list[IndependentWitness]:
    """Convert what one or several witnesses say of the samples.

    Args:
        witness: see :func:`hardsight.measure`; None: there is none.
        read: converts one of them; None: what it says is the class of each sample.

    Raises:
        InputError: witnesses that cannot be used; all of their faults are reported at once.
    """
    if witness is None:
        return []
    if samples.classes is None:
        raise InputError("witness says which class a sample has, and these labels are numbers to predict: leave it out")
    named = dict(witness) if isinstance(witness, Mapping) else {"witness": witness}
    if not named:
        raise InputError("witness is an empty dict: leave it out, or pass what a witness says by its name")
    faults, witnesses = Faults(), list[IndependentWitness]()
    for name, values in named.items():
        word = f"witness {str(name)!r}" if isinstance(witness, Mapping) else "witness"
        with faults.collect():
            witnesses.append((read or _read)(str(name), word, values, samples, samples.classes))
    faults.raise_all()
    _check_differ(witnesses)
    return witnesses


def _check_differ(witnesses: Sequence[IndependentWitness]) -> None:
    """Refuse a witness that is passed twice: the same answers would count as if they were independent."""
    for first, second in combinations(witnesses, 2):
        both = first.present & second.present
        if int(both.sum()) >= _MIN_SAME and torch.equal(first.scores[both], second.scores[both]):
            raise InputError(
                f"witnesses {first.name!r} and {second.name!r} give the same answers, which would count twice: pass one of "
                "them"
            )


def _read(name: str, word: str, values: Any, samples: WitnessedSamples, classes: tuple[Any, ...]) -> IndependentWitness:
    values = to_pandas(values)
    index = values.index if isinstance(values, pd.DataFrame | pd.Series) else None
    if isinstance(values, pd.DataFrame):
        values = values.iloc[:, 0] if values.shape[1] == 1 else class_columns(word, values, classes)
    elif isinstance(values, IndexedArray):
        values, index = values
    array = _as_array(word, values, len(classes))
    positions = find_positions(word, len(array), index, samples)
    matched = positions >= 0
    if array.ndim == 1:
        codes = np.full(len(positions), -1)
        codes[matched] = _encode(word, array[positions[matched]], classes)
        scores = np.eye(len(classes))[np.maximum(codes, 0)]
        present = codes >= 0
    else:
        scores = np.zeros((len(positions), len(classes)))
        scores[matched] = array[positions[matched]]
        present = matched & ~np.isnan(scores).all(1)
        scores[present] = read_log_probabilities(word, scores[present])
        scores[~present] = 0
    if not present.any():
        raise InputError(f"{word} says nothing of any sample, all its values are missing: leave it out")
    return IndependentWitness(name, torch.from_numpy(scores), torch.from_numpy(present))


def _as_array(word: str, values: Any, n_classes: int) -> np.ndarray:
    """Return labels as an array ``(row,)`` and probabilities as numbers ``(row, class)``."""
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise InputError(f"{word} must be {_KINDS}. Got {type(values).__name__}")
    values = to_numpy(values)
    rows = list(values) if isinstance(values, list | tuple) else None
    if rows is not None and rows and all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        if len({len(row) for row in rows}) > 1:
            raise InputError(f"{word} has rows of different lengths: give every row one probability per class")
        values = np.asarray(rows)
    if getattr(values, "ndim", 1) > 2:
        raise InputError(f"{word} must be {_KINDS}. Got an array of shape {tuple(values.shape)}")
    if getattr(values, "ndim", 1) == 1 or values.shape[1] == 1:
        return to_column(values, word)
    if values.shape[1] != n_classes:
        raise InputError(
            f"{word} must have {n_classes} columns, one per class in their sorted order. Got {values.shape[1]}: name the "
            "columns in a frame, or add the missing ones"
        )
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{word} must be {_KINDS}. Got text or other values in {values.shape[1]} columns") from None


def class_columns(word: str, frame: pd.DataFrame, classes: tuple[Any, ...]) -> np.ndarray:
    """Return the columns of the classes, in their order."""
    columns: dict[str, list[int]] = {}
    for position, column in enumerate(frame.columns):
        columns.setdefault(_key(column), []).append(position)
    missing = [name for name in classes if _key(name) not in columns]
    if missing:
        raise InputError(
            f"{word} must have a column for every class. It has none for {join_names(missing, 10)}; its columns are "
            f"{join_names(frame.columns, 10)}: add them, or pass one column of labels"
        )
    repeated = [name for name in classes if len(columns[_key(name)]) > 1]
    if repeated:
        raise InputError(f"{word} has several columns of {join_names(repeated, 10)}: leave all but one out")
    part = frame.iloc[:, [columns[_key(name)][0] for name in classes]]
    try:
        numbers: np.ndarray = part.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(f"{word} must have numbers in the columns of the classes: give probabilities") from None
    return numbers


def _key(value: Any) -> str:
    """Return a class's name as text, by which columns and labels are matched: 3, 3.0 and "3" are the same."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return text[: text.index(".")] if _WHOLE_NUMBER.fullmatch(text) else text


def find_positions(word: str, n_values: int, index: pd.Index | None, samples: WitnessedSamples) -> np.ndarray:
    """Return which row of a witness speaks of each sample, -1 for none."""
    n = len(samples.ids)
    if index is None or index.equals(pd.RangeIndex(len(index))):
        if n_values == n:
            _check_order(word, index, samples.row_names)
            return np.arange(n)
        if samples.rows is not None and n_values == samples.n_rows:
            _check_order(word, None if index is None else index[samples.rows], samples.row_names)
            return samples.rows
        # What is left of a file after rows without a label is known by the numbers of its rows.
        ids = pd.Index(samples.ids)
        by_number = np.full(n, -1) if index is None else index.get_indexer(ids)
        # A column of ids that happens to be 0, 1, …, and lacks the last of them.
        if index is not None and (index.name is not None or not isinstance(index, pd.RangeIndex)):
            keys, id_keys = index.map(_key), ids.map(_key)
            if bool(keys.isin(id_keys).all()):
                return np.asarray(keys.get_indexer(id_keys))
        is_named = samples.row_names is not None and ids.equals(samples.row_names)
        if (by_number < 0).any() or not (is_named or ids.is_monotonic_increasing):
            raise _wrong_length(word, n_values, samples)
        return np.asarray(by_number)
    if not index.is_unique:
        raise InputError(f"{word} has several rows of one id: keep one row per sample")
    ids = pd.Index(samples.ids)
    pairs = [(index, ids), (index.map(_key), ids.map(_key))]
    if samples.row_names is not None and samples.row_names.nlevels == index.nlevels:
        pairs.insert(0, (index, samples.row_names))
    candidates = [own.get_indexer(other) for own, other in pairs if own.is_unique and own.nlevels == other.nlevels]
    # The first of those that find the most samples.
    best = max(candidates, key=lambda positions: int((positions >= 0).sum()), default=np.full(n, -1))
    if (best < 0).all():
        raise InputError(f"{word} holds none of the ids of the {n:,} samples: index it by the same ids")
    return np.asarray(best)


def _check_order(word: str, index: pd.Index | None, names: pd.Index | None) -> None:
    """Refuse the default index of a witness if the data holds the same one in another order, as for other arguments."""
    if index is None or names is None or names.equals(index) or names.nlevels > 1:
        return
    if names.is_unique and bool(names.isin(index).all()):
        raise InputError(
            f"{word} and X have the same index in another order: pass witness.loc[X.index] to match them by index, or "
            "witness.to_numpy() to match them by position"
        )


def _wrong_length(word: str, n_values: int, samples: WitnessedSamples) -> InputError:
    n = len(samples.ids)
    whole = "" if samples.n_rows is None else f", or of the {samples.n_rows:,} before those without a label were left out"
    return InputError(
        f"{word} must have one row for each of the {n:,} samples{whole}. Got {n_values:,}: index it by the samples' ids, or "
        "leave the values of samples without an answer empty"
    )


def _encode(word: str, labels: np.ndarray, classes: tuple[Any, ...]) -> np.ndarray:
    """Return the codes of labels, -1 for missing ones."""
    missing = missing_labels(labels)
    codes = {_key(name): code for code, name in enumerate(classes)}
    keys = ["" if is_missing else _key(label) for label, is_missing in zip(labels, missing, strict=True)]
    unknown = sorted({key for key, is_missing in zip(keys, missing, strict=True) if not is_missing and key not in codes})
    if unknown and len(classes) == 2 and _are_chances(labels[~missing]):
        raise InputError(
            f"{word} has one probability per sample: give the probabilities of both classes, such as "
            "np.column_stack([1 - p, p])"
        )
    if unknown:
        raise InputError(
            f"{word} holds labels that are no class: {join_examples(unknown, 5)}. The classes are "
            f"{join_names(classes, 10)}: rename them, or leave them empty where the witness has no answer"
        )
    return np.array([codes.get(key, -1) for key in keys])


def _are_chances(values: np.ndarray) -> bool:
    return all(isinstance(value, float) and 0 <= value <= 1 for value in values.tolist())


def read_log_probabilities(word: str, numbers: np.ndarray) -> np.ndarray:
    """Return log-probabilities, with probabilities of zero smoothed by Laplace's rule.

    Raises:
        InputError: numbers that are neither probabilities nor log-probabilities in every row.
    """
    if not numbers.size:
        return numbers
    if np.isnan(numbers).any():
        raise InputError(
            f"{word} lacks some of its values in a row: give all classes a number, or none where it has no answer"
        )
    rows = torch.from_numpy(numbers)
    tests = {"probabilities": are_probabilities, "log-probabilities": are_log_probabilities}
    valid = {kind: test(rows) for kind, test in tests.items()}
    kind = max(valid, key=lambda each: int(valid[each].sum()))
    if not bool(valid[kind].all()):
        if bool(are_probabilities(rows / 100).all()):
            raise InputError(f"{word} holds percentages: divide them by 100")
        row = numbers[int((~valid[kind]).nonzero()[0, 0])]
        example = ", ".join(f"{value:.3g}" for value in row[:4]) + (", …" if len(row) > 4 else "")
        raise InputError(
            f"{word} must hold probabilities that sum to one in every row, or their logarithms. Got [{example}]: apply a "
            "softmax to logits, divide scores by their sum"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(numbers.clip(min=0)) if kind == "probabilities" else numbers
    return laplace(logs, len(logs))


class WitnessResult(NamedTuple):
    """The posterior of the true labels with the evidence of witnesses, and what to say of it."""

    posterior: LabelPosterior
    notice: str
    records: list[dict[str, Any]]  # one per witness, for the run's record


def use_witnesses(
    posterior: LabelPosterior, held_out: HeldOut, witnesses: Sequence[IndependentWitness], neighbours: Neighbours | None
) -> WitnessResult:
    """Add the evidence of witnesses to the posterior of the true labels."""
    rows = None if neighbours is None else torch.from_numpy(neighbours.rows)
    witnessed = add_witnesses(posterior, held_out.consensus, witnesses, rows)
    after = posterior if witnessed.probability is None else posterior._replace(witnessed=witnessed.probability)
    sentences = [_describe(each) for each in witnessed.summaries]
    if after is not posterior:
        before, now = (float(each.p_wrong.mean()) for each in (posterior, after))
        sentences.append(f"With its answers, {now:.1%} of the labels are expected to be wrong; without, {before:.1%}.")
    return WitnessResult(after, " ".join(sentences), [each._asdict() for each in witnessed.summaries])


def _describe(summary: WitnessSummary) -> str:
    word = "The witness" if summary.name == "witness" else f"The witness {summary.name!r}"
    if summary.accuracy is None:
        return f"{word} is not used: {summary.why_unused}."
    weight = (
        "" if summary.odds is None else f", and is evidence of {_odds(summary.odds)} against a label that it contradicts"
    )
    return f"{word} is right in an estimated {summary.accuracy:.0%} of its {summary.n_answers:,} answers{weight}."


def _odds(odds: float) -> str:
    return f"{odds:.0f} to 1" if odds >= 10 else f"{odds:.1f} to 1"
