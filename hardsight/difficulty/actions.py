"""The recommended action for a sample, by the cause of its error: one word for tables, one phrase for readers."""

from typing import Any

import numpy as np

from hardsight.attribution.names import NO_CAUSE, TOO_FEW

RELABEL, COLLECT_CLASS, COLLECT_SIMILAR = "relabel", "collect more of its class", "collect more like it"
INSPECT, NOTHING = "look at it", "nothing"
RECOMMENDATIONS = (RELABEL, COLLECT_CLASS, COLLECT_SIMILAR, INSPECT, NOTHING)


def recommend(cause: np.ndarray, p_wrong: np.ndarray, label: np.ndarray, suggested: np.ndarray | None) -> np.ndarray:
    """Recommend an action for every sample, ``(sample,)`` str, one of ``RECOMMENDATIONS``.

    A label should change only if noise explains the error, the label is more likely wrong than right, and another label is
    the likeliest. Other samples explained by noise should be looked at. So should samples whose label is likely wrong
    although something else explains most of their error: more samples of a class that may not be theirs would not help.

    Args:
        cause: as in :class:`hardsight.Difficulty`, ``(sample,)`` str.
        p_wrong: posterior probability that the given label is wrong, ``(sample,)``.
        label: class codes as given, ``(sample,)``.
        suggested: class codes of the likeliest true label, ``(sample,)``; None if they are unknown.

    >>> cause = np.array(["noise", "noise", "imbalance", "uncertainty", "none"])
    >>> recommend(cause, np.array([0.9, 0.4, 0.1, 0.1, 0.0]), np.zeros(5, int), np.array([1, 1, 0, 0, 0])).tolist()
    ['relabel', 'look at it', 'collect more of its class', 'collect more like it', 'nothing']
    """
    doubtful = p_wrong > 0.5
    changed = np.zeros(len(cause), dtype=bool) if suggested is None else doubtful & (suggested != label)
    rules = {
        NOTHING: cause == NO_CAUSE,
        RELABEL: (cause == "noise") & changed,
        COLLECT_CLASS: np.isin(cause, ["imbalance", TOO_FEW]) & ~doubtful,
        COLLECT_SIMILAR: (cause == "uncertainty") & ~doubtful,
    }
    return np.select(list(rules.values()), list(rules), INSPECT)


def describe_action(action: str, label: Any, suggested: Any) -> str:
    """Return the action with the class that it is about.

    >>> describe_action("relabel", "cat", "dog"), describe_action("collect more of its class", "cat", "dog")
    ('relabel as dog', 'collect more of cat')
    >>> describe_action("nothing", "cat", "cat")
    'nothing'
    """
    if action == RELABEL:
        return f"relabel as {suggested}"
    return f"collect more of {label}" if action == COLLECT_CLASS else action
