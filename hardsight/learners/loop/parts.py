"""Losses of the parts of samples that a loop returns, sample by sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hardsight.data.conversion import is_tensor, to_numpy
from hardsight.data.labelled_parts import Parts
from hardsight.errors import InputError, LearnerError


class PartRows:
    """Where the parts of each sample stand among the rows.

    Args:
        parts: which sample each row belongs to.
    """

    def __init__(self, parts: Parts) -> None:
        self.sample, self.kind = parts.sample, parts.kind
        # Position of each row among the parts of its sample, and the number of these.
        by_sample = pd.Series(self.sample).groupby(self.sample)
        self.position, self.size = by_sample.cumcount().to_numpy(), by_sample.transform("size").to_numpy()

    def samples_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the samples of some rows, each once, in the order of their first parts."""
        return np.asarray(pd.unique(self.sample[rows]))

    def first_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the first row of each sample of some rows, in the order of :meth:`samples_of`."""
        return rows[np.sort(np.unique(self.sample[rows], return_index=True)[1])]

    def read(self, returned: Any, rows: np.ndarray, name: str) -> Tensor:
        """Return the loss of each row, ``(row,)``, from what the loop returned for their samples.

        Args:
            returned: the losses of each sample's parts: a list of arrays in the order of :meth:`samples_of`, or a dict by
                id.
            name: how messages call the function.

        Raises:
            InputError: something else, or another number of losses than the sample has parts.
            LearnerError: a loss is not finite.
        """
        names = self.samples_of(rows).tolist()
        if isinstance(returned, Mapping):
            missing = [each for each in names if each not in returned]
            if missing:
                raise InputError(f"{name} must return the losses of every id. It left out {missing[0]!r}")
            returned = [returned[each] for each in names]
        elif is_tensor(returned) or isinstance(returned, np.ndarray):
            # One row per id, where all of them have as many parts.
            array = np.asarray(to_numpy(returned))
            returned = list(array) if array.ndim == 2 else returned
        if not isinstance(returned, list | tuple) or len(returned) != len(names):
            got = f"{len(returned)} entries" if isinstance(returned, list | tuple) else type(returned).__name__
            raise InputError(
                f"{name} must return a list with the losses of each id's parts, or a dict by id, for {len(names)} ids. It "
                f"returned {got}"
            )
        losses = {each: self._array(value, each, name) for each, value in zip(names, returned, strict=True)}
        values = np.empty(len(rows))
        for index, (row, each) in enumerate(zip(rows.tolist(), self.sample[rows].tolist(), strict=True)):
            array = losses[each]
            if len(array) != self.size[row]:
                raise InputError(
                    f"{name} must return one loss per {self.kind}. It returned {len(array)} for {each!r}, which has "
                    f"{self.size[row]} (parts)"
                )
            values[index] = array[self.position[row]]
        return torch.from_numpy(values)

    def _array(self, value: Any, sample: Any, name: str) -> np.ndarray:
        try:
            array = np.asarray(to_numpy(value), dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty((0, 0))
        if array.ndim > 1:
            got = type(value).__name__
            raise InputError(f"{name} must return numbers, one per {self.kind}. It returned {got} for {sample!r}")
        array = array.reshape(-1)
        if not np.isfinite(array).all():
            bad = array[~np.isfinite(array)][0]
            raise LearnerError(f"{name} returned {bad:g} for {sample!r}: the training may have diverged")
        return array
