"""Witnesses of samples with several labels: what they say of each sample and label, in the order of the parts."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.data import Samples
from hardsight.data.conversion import to_numpy, to_pandas
from hardsight.data.label_matrix import NOT_ASKED, holds_lists, read_lists
from hardsight.data.witness_files import IndexedArray
from hardsight.errors import InputError
from hardsight.estimation.held_out_arrays import as_array
from hardsight.estimation.witnesses import (
    WitnessedSamples,
    class_columns,
    find_positions,
    read_log_probabilities,
    read_witnesses,
)
from hardsight.validation import describe_rows, join_examples, join_names

_KINDS = "the probability of having each label, (sample, label), or the list of labels of every sample"


def read_label_set_witnesses(witness: Any, samples: Samples, witnessed: WitnessedSamples) -> list[IndependentWitness]:
    """Convert what witnesses say of samples with several labels.

    Args:
        witness: an array ``(sample, label)`` of probabilities of having each label, in the order of the labels; a frame with
            a column per label; or lists of labels. Missing values: no answer. Several witnesses: a dict by name.
        samples: the parts.
        witnessed: the whole samples.

    Raises:
        InputError: witnesses that cannot be used; all of their faults are reported at once.
    """
    return read_witnesses(witness, witnessed, partial(_read, parts=samples))


def _read(
    name: str, word: str, values: Any, samples: WitnessedSamples, classes: tuple[Any, ...], *, parts: Samples
) -> IndependentWitness:
    layout = parts.layout
    values = to_pandas(values)
    index = values.index if isinstance(values, pd.DataFrame | pd.Series) else None
    if isinstance(values, IndexedArray):
        values, index = values
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    if isinstance(values, pd.DataFrame):
        has_label = class_columns(word, values, tuple(layout.names))
    elif isinstance(values, list | tuple | np.ndarray | pd.Series) and holds_lists(values):
        has_label = _from_lists(word, values, layout.names)
    else:
        has_label = as_array(word, values, "(sample, label)", np.float64)
    if has_label.ndim != 2 or has_label.shape[1] != len(layout.names):
        raise InputError(
            f"{word} must be {_KINDS}. Got shape {has_label.shape} for the {len(layout.names)} labels "
            f"{join_names(layout.names, 5)}"
        )
    invalid = ~np.isnan(has_label) & ((has_label < 0) | (has_label > 1))
    if invalid.any():
        row, column = np.argwhere(invalid)[0]
        raise InputError(
            f"{word} must hold probabilities from 0 to 1. Got {has_label[row, column]:g} for "
            f"{layout.names[column]!r} ({describe_rows(invalid.any(1))}): apply a sigmoid to logits, exp to logarithms"
        )
    positions = find_positions(word, len(has_label), index, samples)
    of_part = np.where(positions >= 0, 1, np.nan)[layout.row] * has_label[positions[layout.row], layout.column]
    present = ~np.isnan(of_part)
    if not present.any():
        raise InputError(f"{word} says nothing of any sample, all its values are missing: leave it out")
    scores = np.zeros((len(of_part), 2))
    scores[present] = read_log_probabilities(word, np.stack([1 - of_part[present], of_part[present]], axis=1))
    return IndependentWitness(name, torch.from_numpy(scores), torch.from_numpy(present))


def _from_lists(word: str, values: Any, names: list[Any]) -> np.ndarray:
    """Return lists of labels as zeros and ones in the order of the names, ``(row, label)``; NaN without an answer."""
    matrix = read_lists(to_numpy(values), word)
    place = {str(name): column for column, name in enumerate(names)}
    unknown = [label for label in matrix.names.tolist() if str(label) not in place]
    if unknown:
        raise InputError(
            f"{word} holds labels that the data do not have: {join_examples(unknown, 5)}. The labels are "
            f"{join_names(names, 10)}: rename them, or leave them out"
        )
    has_label = np.zeros((len(matrix.values), len(names)))
    has_label[:, [place[str(label)] for label in matrix.names.tolist()]] = matrix.values
    has_label[(matrix.values == NOT_ASKED).all(1)] = np.nan
    return has_label
