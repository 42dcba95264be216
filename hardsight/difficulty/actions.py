"""The recommended action for a sample, by the cause of its error: one word for tables, one phrase for readers."""

from typing import Any

import numpy as np

from hardsight.attribution.names import NO_CAUSE, TOO_FEW

RELABEL, COLLECT_CLASS, COLLECT_SIMILAR = "relabel", "collect more of its class", "collect more like it"
INSPECT, NOTHING = "look at it", "nothing"
RECOMMENDATIONS = (RELABEL, COLLECT_CLASS, COLLECT_SIMILAR, INSPECT, NOTHING)
# Trust in the ledger below which no label should change unseen. On 38 real tables with 8 % of the labels flipped, taking all
# suggestions spoilt more labels than it put right on 10 of the 11 tables below it, and on none of the 27 above it.
MIN_TRUST = 0.75


def recommend(
    cause: np.ndarray,
    p_wrong: np.ndarray,
    label: np.ndarray,
    suggested: np.ndarray | None,
    p_suggested: np.ndarray | None = None,
    trust: float = 1,
) -> np.ndarray:
    """Recommend an action for every sample, ``(sample,)`` str, one of ``RECOMMENDATIONS``.

    A label should change only if noise explains the error and :func:`is_relabelling_advised`. Other samples explained by
    noise should be looked at, and so should strange samples. So should samples whose label is likely wrong although
    something else explains most of their error: more samples of a class that may not be theirs would not help.

    Args:
        cause: as in :class:`hardsight.Difficulty`, ``(sample,)`` str.
        p_wrong: posterior probability that the given label is wrong, ``(sample,)``.
        label: class codes as given, ``(sample,)``.
        suggested: class codes of the likeliest true label, ``(sample,)``; None if they are unknown.
        p_suggested: their posterior probability, ``(sample,)``; None if it is unknown.
        trust: in the ledger, 0 to 1.

    >>> cause = np.array(["noise", "noise", "imbalance", "uncertainty", "none"])
    >>> recommend(cause, np.array([0.9, 0.4, 0.1, 0.1, 0.0]), np.zeros(5, int), np.array([1, 1, 0, 0, 0])).tolist()
    ['relabel', 'look at it', 'collect more of its class', 'collect more like it', 'nothing']
    """
    doubtful = p_wrong > 0.5
    changed = np.zeros(len(cause), dtype=bool)
    if suggested is not None and trust >= MIN_TRUST:
        changed = is_relabelling_advised(cause, p_wrong, label, suggested, p_suggested)
    rules = {
        NOTHING: cause == NO_CAUSE,
        RELABEL: (cause == "noise") & changed,
        COLLECT_CLASS: np.isin(cause, ["imbalance", TOO_FEW]) & ~doubtful,
        COLLECT_SIMILAR: (cause == "uncertainty") & ~doubtful,
    }
    return np.select(list(rules.values()), list(rules), INSPECT)


def is_relabelling_advised(
    cause: np.ndarray, p_wrong: np.ndarray, label: np.ndarray, suggested: np.ndarray, p_suggested: np.ndarray | None
) -> np.ndarray:
    """Return whether the suggested label is a gain in expectation, ``(sample,)`` bool; arguments as in :func:`recommend`.

    The given label must be more likely wrong than right, the suggested one likelier than it, and neither class too small for
    its labels to be judged.
    """
    too_few = np.unique(label[cause == TOO_FEW])
    judged = ~(np.isin(label, too_few) | np.isin(suggested, too_few))
    gains = True if p_suggested is None else p_suggested > 1 - p_wrong
    advised: np.ndarray = (p_wrong > 0.5) & (suggested != label) & gains & judged
    return advised


def describe_action(action: str, label: Any, suggested: Any, p_suggested: str = "") -> str:
    """Return the action with the class that it is about, and the probability of a suggested label if it is passed.

    >>> describe_action("relabel", "cat", "dog", "0.83"), describe_action("collect more of its class", "cat", "dog")
    ('relabel as dog (p 0.83)', 'collect more of cat')
    >>> describe_action("nothing", "cat", "cat")
    'nothing'
    """
    if action == RELABEL:
        return f"relabel as {suggested}" + (f" (p {p_suggested})" if p_suggested else "")
    return f"collect more of {label}" if action == COLLECT_CLASS else action


def describe_trust(trust: float) -> str:
    """Return what an imperfect trust in the ledger means for labels that look wrong."""
    advice = (
        "no label should be changed before you look at it"
        if trust < MIN_TRUST
        else "look at samples before you change their labels"
    )
    return (
        f"Trust in the ledger is {trust:.0%}: the most confident predictions contradict more labels than P(label wrong) "
        f"explains. This happens where classes overlap. Labels that look wrong may be right; {advice}."
    )
