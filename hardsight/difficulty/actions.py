"""What to do about a sample, by the cause of its error: one word for tables, one phrase for eyes."""

from typing import Any

import numpy as np

RELABEL, COLLECT_CLASS, COLLECT_ALIKE = "relabel", "collect more of its class", "collect more like it"
LOOK, NOTHING = "look at it", "nothing"
ACTIONS = (RELABEL, COLLECT_CLASS, COLLECT_ALIKE, LOOK, NOTHING)


def advise(cause: np.ndarray, p_wrong: np.ndarray, label: np.ndarray, suggested: np.ndarray | None) -> np.ndarray:
    """What to do about every sample, ``(sample,)`` str, one of ``ACTIONS``.

    A label is to be changed only where noise explains the error, the label is more likely wrong than right, and another
    one is the likeliest. Samples that noise explains without that, and those whose label is likely wrong though something
    else explains most of their error, want a look: more samples of a class that may not be theirs would not help.

    Args:
        cause: as of :class:`hardsight.Difficulty`, ``(sample,)`` str.
        p_wrong: posterior probability that the given label is wrong, ``(sample,)``.
        label: class codes as given, ``(sample,)``.
        suggested: class codes of the likeliest true label, ``(sample,)``; None where they are not known.

    >>> cause = np.array(["noise", "noise", "imbalance", "uncertainty", "none"])
    >>> advise(cause, np.array([0.9, 0.4, 0.1, 0.1, 0.0]), np.zeros(5, int), np.array([1, 1, 0, 0, 0])).tolist()
    ['relabel', 'look at it', 'collect more of its class', 'collect more like it', 'nothing']
    """
    doubtful = p_wrong > 0.5
    changed = np.zeros(len(cause), dtype=bool) if suggested is None else doubtful & (suggested != label)
    rules = [
        (cause == "none", NOTHING),
        ((cause == "noise") & changed, RELABEL),
        ((cause == "imbalance") & ~doubtful, COLLECT_CLASS),
        ((cause == "uncertainty") & ~doubtful, COLLECT_ALIKE),
    ]
    return np.select([where for where, _ in rules], [action for _, action in rules], LOOK)


def phrase(action: str, label: Any, suggested: Any) -> str:
    """The action with the class that it is about.

    >>> phrase("relabel", "cat", "dog"), phrase("collect more of its class", "cat", "dog"), phrase("nothing", "cat", "cat")
    ('relabel as dog', 'collect more of cat', 'nothing')
    """
    if action == RELABEL:
        return f"relabel as {suggested}"
    return f"collect more of {label}" if action == COLLECT_CLASS else action
