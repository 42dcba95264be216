"""Parts of samples whose losses a training loop returns, such as the boxes of images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hardsight.data.columns import to_names
from hardsight.data.labelled_parts import Parts, as_parts
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError
from hardsight.learners import capabilities_of
from hardsight.validation import join_examples


def with_loss_parts(samples: Samples, parts: Any, kind: str, learner: Any) -> Samples:
    """Return samples with one row per part.

    Args:
        samples: whole samples with nothing to predict but losses.
        parts: how many parts each sample has, or their names in the order of the losses; ``(sample,)``, or a dict by id.
        kind: what a part is called, in the singular.
        learner: it must read samples by their ids, as :class:`hardsight.Loop` does.

    Raises:
        InputError: samples with labels, another learner, or parts that do not fit the samples.
    """
    if not samples.loss_only or not capabilities_of(learner).reads_ids:
        raise InputError(
            "parts are those whose losses a loop returns: pass learner=hs.Loop(train, predict) and task='loss'; for losses "
            "that you have, call hs.measure_losses"
        )
    by_sample = _by_sample(samples, parts)
    faults, sample, name = Faults(), [], []
    for row, (sample_id, value) in enumerate(zip(samples.ids.tolist(), by_sample, strict=True)):
        with faults.collect():
            names = _names(sample_id, value, kind)
            sample += [row] * len(names)
            name += names
    faults.raise_all()
    rows = np.array(sample, dtype=np.int64)
    if not len(rows):
        raise InputError(f"no sample has a {kind}: pass their numbers or names")
    labelled = Parts.of(samples.ids[rows], to_names(name, len(rows), f"the name of each {kind}"), kind=kind)
    result = as_parts(samples.take(rows), labelled)
    empty = np.setdiff1d(np.arange(len(samples)), rows)
    if len(empty):
        examples = join_examples(samples.ids[empty].tolist(), 3)
        notice = f"Samples without a {kind}: {len(empty):,} ({examples}). They are neither trained on nor judged."
        result = replace(result, notices=(*result.notices, notice))
    return result


def _by_sample(samples: Samples, parts: Any) -> list[Any]:
    ids = samples.ids.tolist()
    if isinstance(parts, Mapping):
        of_samples = set(ids)
        missing, unknown = [i for i in ids if i not in parts], [i for i in parts if i not in of_samples]
        if missing or unknown:
            what = f"{join_examples(missing, 3)} missing" if missing else f"{join_examples(unknown, 3)} unknown"
            raise InputError(f"parts must have one entry per sample, by id: {what}")
        return [parts[i] for i in ids]
    if isinstance(parts, str) or not hasattr(parts, "__len__") or len(parts) != len(ids):
        got = f"{len(parts):,}" if hasattr(parts, "__len__") else type(parts).__name__
        raise InputError(f"parts must be numbers or names of parts, one entry per sample ({len(ids):,}): got {got}")
    return list(parts)


def _names(sample_id: Any, value: Any, kind: str) -> list[Any]:
    """Return the names of a sample's parts."""
    if hasattr(value, "__index__"):
        if int(value) < 0:
            raise InputError(f"the number of parts must be 0 or more. Got {int(value)} for {sample_id!r}")
        return list(range(int(value)))
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InputError(f"parts of {sample_id!r} must be a number, or a list with a name of each {kind}. Got {value!r}")
    return list(value)
