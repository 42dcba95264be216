"""Whether the ids of a data set are those that a weighting knows."""

from typing import Any

import torch

from hardsight.errors import InputError
from hardsight.weights.training.datasets import IndexedDataset, find_ids
from hardsight.weights.training.id_index import IdIndex


def check_ids(id_index: IdIndex, dataset: Any, *, counts_repeats: bool = False) -> str:
    """Return one line on how the ids of a data set fit those that a weighting knows.

    Args:
        id_index: the ids that the weighting knows.
        dataset: the training set, as the loader reads it.
        counts_repeats: whether samples may share an id.

    Raises:
        InputError: the items carry no ids, ids are unknown or shared, or ids are positions in a data set of another size.
    """
    if not id_index.count:
        return "the weighting knows no ids, and reads none"
    check_positions(id_index, dataset)
    ids = find_ids(dataset)
    known = torch.arange(id_index.count) if id_index.ids is None else id_index.ids.cpu()
    unknown = ids[~torch.isin(ids, known)]
    if len(unknown):
        raise InputError(
            f"{len(unknown)} of the {len(ids)} samples have an unknown id, such as {int(unknown[0])}: the ids of the "
            f"weighting are {id_index.describe()}; pass hs.indexed(dataset, ids=…)"
        )
    distinct, times = torch.unique(ids, return_counts=True)
    if len(distinct) < len(ids) and not counts_repeats:
        raise InputError(
            f"{int(times[times > 1].sum())} samples share an id with another, such as id {int(distinct[times > 1][0])}: "
            "index the joined data set and not its parts, hs.indexed(ConcatDataset([a, b])), or pass repeated='count'"
        )
    n_missing = id_index.count - len(distinct)
    rest = f"; {n_missing} of the {id_index.count} ids that the weighting knows are not in the data set" if n_missing else ""
    return f"{len(ids)} samples have {len(distinct)} ids, all known to the weighting{rest}"


def check_positions(id_index: IdIndex, dataset: Any) -> None:
    """Check that ids which are positions in the data set fit the number of samples that a weighting knows.

    Raises:
        InputError: the data set has another number of samples.
    """
    by_position = isinstance(dataset, IndexedDataset) and dataset.ids is None
    if by_position and id_index.count and id_index.ids is None and id_index.count != len(dataset):
        raise InputError(
            f"the data set has {len(dataset)} samples, numbered by position, and the weighting knows {id_index.count}: if "
            "it is a part of another data set, pass hs.indexed(dataset, ids=…), the row of each sample in the whole"
        )
