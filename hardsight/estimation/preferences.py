"""``hs.measure_preferences``: which preferences of pairs are likely flipped."""

from dataclasses import replace
from typing import Any

import numpy as np

from hardsight.data.preferences import CLASSES, Pairs, read_pairs
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.estimation.measure import measure
from hardsight.learners.linear.bradley_terry import BradleyTerry
from hardsight.learners.registry import is_auto
from hardsight.validation import join_examples

# Arguments of hs.measure that pairs have no use for.
_REPLACED = (
    "y",
    "label",
    "task",
    "loss",
    "text",
    "weights",
    "record",
    "witness",
    "unlabelled",
    "merge_spellings",
    "duplicates",
)


def measure_preferences(
    chosen: Any,
    rejected: Any = None,
    *,
    prompts: Any = None,
    ids: Any = None,
    groups: Any = None,
    embedding: Any = "auto",
    learner: Any = "auto",
    seed: int = 0,
    **arguments: Any,
) -> Difficulty:
    r"""Measure preference data: the held-out error of every pair, and the probability that its preference is flipped.

    A Bradley–Terry model, $P(\text{chosen preferred}) = \sigma(f(\text{chosen}) - f(\text{rejected}))$, is trained on other
    pairs; the probability that a preference is flipped follows from it by a label model with one flip rate
    (:mod:`hardsight.attribution.label_noise.symmetric`).

    Args:
        chosen: what was preferred: texts ``(pair,)``, conversations (lists of messages with "role" and "content", of which
            the last is compared), or numbers ``(pair, feature)``. Or a table or Hugging Face dataset with the columns
            "chosen", "rejected" and, if there are prompts, "prompt".
        rejected: the other of each pair, likewise; None if ``chosen`` is a table. Pairs that are the same on both sides are
            left out, with a notice.
        prompts: what both answer, ``(pair,)``, or the name of its column; shown on pages.
        ids: of the pairs, ``(pair,)``, unique, or the name of their column; positions by default.
        groups: ``(pair,)``, or the name of a column: pairs of a group are on the same side of every split. By default that
            is pairs of one prompt; without prompts, the same two things in either order.
        embedding: how texts become numbers, as in :meth:`Samples.of`; or numbers that you have, two arrays
            ``(pair, feature)``, (of chosen, of rejected), such as the hidden states of a language model that read the prompt
            and the answer.
        learner: "auto": :class:`hardsight.learners.linear.bradley_terry.BradleyTerry`. Other learners see differences of
            embeddings; they should give opposite predictions for opposite differences.
        seed: fixes every random number.
        **arguments: others of :func:`hardsight.measure`, such as ``folds``, ``repeats``, ``execution`` or ``progress``.

    Returns:
        A result with one row per pair. Its label is "chosen" in every row, ``p_wrong`` is the probability that the
        preference is flipped, and ``suggested`` says which of the two is likely better.

    Raises:
        InputError: data that cannot be used, or arguments that pairs have no use for.

    >>> rng = np.random.default_rng(0)
    >>> good, bad = rng.normal(1, 1, (60, 2)), rng.normal(-1, 1, (60, 2))
    >>> d = measure_preferences(good, bad, repeats=2)
    >>> d.classes, bool((d.predicted == 0).mean() > 0.9)
    (('chosen', 'rejected'), True)
    """
    replaced = [name for name in _REPLACED if name in arguments]
    if replaced:
        raise InputError(f"pairs have no use for {join_examples(replaced, len(_REPLACED))}: leave it out")
    pairs = read_pairs(chosen, rejected, prompts=prompts, ids=ids, groups=groups, embedding=embedding, seed=seed)
    return measure_pairs(pairs, learner=learner, seed=seed, **arguments)


def measure_pairs(pairs: Pairs, *, learner: Any = "auto", **arguments: Any) -> Difficulty:
    """Measure pairs that were read; arguments as in :func:`measure_preferences`.

    Raises:
        InputError: arguments that cannot be used.
    """
    # Models that were trained on weighted pairs rank no better on average (benchmarks/LOG.md).
    refine = arguments.pop("refine", None)
    d = measure(
        pairs.samples,
        learner=BradleyTerry() if is_auto(learner) else learner,
        refine=False if refine is None else refine,
        duplicates="apart",
        **arguments,
    )
    return restore_order(d, pairs.shown)


def restore_order(d: Difficulty, shown: Samples) -> Difficulty:
    """Return a result whose classes are "chosen" and "rejected" from one about pairs in random order.

    Args:
        d: the result of pairs in random order.
        shown: the pairs with the labels that they were given.
    """
    # Of each pair, the class of its random order is "chosen".
    chosen = d.labels
    chosen_and_rejected = np.arange(len(d))[:, None], np.stack([chosen, 1 - chosen], axis=1)
    size = len(d)
    run = replace(d.run, class_sizes=None if d.run.class_sizes is None else [size, 0])
    if d.p_wrong is not None and d.run.class_shares is not None:
        flipped = float(d.p_wrong.mean())
        run = replace(run, class_shares=[1 - flipped, flipped])
    return replace(
        d,
        labels=shown.labels,
        classes=CLASSES,
        consensus=None if d.consensus is None else d.consensus[chosen_and_rejected],
        predicted=d.predicted ^ chosen,
        suggested=None if d.suggested is None else d.suggested ^ chosen,
        samples=shown,
        run=run,
    )
