"""Results whose rows are parts of samples, made without training."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

import hardsight as hs
from hardsight.data.labelled_parts import Parts, as_parts
from hardsight.difficulty.result import Difficulty
from support.random_results import posterior_result

SENTENCE = ("Anna", "met", "Boris", "in", "New", "York", "<b>&", "today")


def of_tokens(sentences: int = 12) -> tuple[Difficulty, hs.Samples]:
    """Sentences of eight tokens, the words of each followed by its number, so that a text can be found."""
    texts = [f"{word}{i}" for i in range(sentences) for word in SENTENCE]
    return _with_parts(Parts.of(np.repeat([f"s{i}" for i in range(sentences)], len(SENTENCE)), kind="token", text=texts))


def of_labels(samples: int = 12) -> tuple[Difficulty, hs.Samples]:
    """Samples with three labels each, "no" or "yes"."""
    names = np.tile(["cat", "dog", "outdoors"], samples)
    d, measured = _with_parts(Parts.of(np.repeat(np.arange(samples), 3), names, kind="label"))
    consensus = d.consensus[:, :2] - np.logaddexp(d.consensus[:, :1], d.consensus[:, 1:2])
    rates = {"transition": [[0.9, 0.1], [0.2, 0.8]], "class_shares": [0.4, 0.6]}
    codes = {name: np.minimum(getattr(d, name), 1) for name in ("labels", "suggested", "predicted")}
    d = replace(d, **codes, classes=("no", "yes"), consensus=consensus, run=replace(d.run, **rates))
    return d, replace(measured, labels=d.labels, classes=d.classes)


def _with_parts(parts: Parts) -> tuple[Difficulty, hs.Samples]:
    n = len(parts)
    d, _ = posterior_result(n)
    features = sp.csr_array((np.ones(n, np.float32), (np.arange(n), np.arange(n) % 5)), shape=(n, 5))
    samples = hs.Samples(features=features, labels=d.labels, classes=d.classes, ids=np.arange(n), kind="array")
    run = replace(d.run, part_name=parts.kind)
    return replace(d, ids=parts.ids, sample=parts.sample, part=parts.name, run=run), as_parts(samples, parts)
