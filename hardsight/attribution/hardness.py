"""Hardness: one score of everything that can make a sample hard, for ranking samples; the ledger says which cause it is."""

import numpy as np

# Keeps logarithms of variances and losses finite.
_OFFSET = 1e-3


def hardness(
    error: np.ndarray,
    variance: np.ndarray,
    p_wrong: np.ndarray,
    class_share: np.ndarray,
    atypicality: np.ndarray | None,
    in_sample_loss: np.ndarray | None,
) -> np.ndarray:
    r"""Return the hardness score: the error plus a term per cause, in nats, with the same weights for all data.

    $E + P(wrong) + [-\log K\pi_y]_+ + \frac14 \log(V + .001) + \frac1{10} \log t + \frac14 \log(S + .001)$.

    Errors point to wrong labels and class boundaries first of all. The logarithms raise atypical samples whose error is
    small, because the models disagree on them ($V$), they lie far from all others ($t$), or even the models trained on them
    fit them badly ($S$). Samples of rare classes are hard whatever their error.

    Args:
        error: $E$, log-loss, ``(sample,)``.
        variance: $V$, ``(sample,)``.
        p_wrong: posterior probability that the label is wrong, ``(sample,)``.
        class_share: $K\pi_y$, the share of the label's class times the number of classes, ``(sample,)``.
        atypicality: $\log t$, the log of the distance to the neighbours relative to the typical one in the predicted class,
            ``(sample,)``; None if there are no features.
        in_sample_loss: $S$, mean in-sample loss, ``(sample,)``; None if it was not measured.

    >>> one = np.ones(1)
    >>> hardness(2 * one, 0 * one, 0.5 * one, 0.5 * one, None, None).round(3).tolist()
    [1.466]
    """
    score: np.ndarray = error + p_wrong + np.maximum(-np.log(class_share), 0) + np.log(variance + _OFFSET) / 4
    if atypicality is not None:
        score = score + atypicality / 10
    if in_sample_loss is not None:
        score = score + np.log(in_sample_loss + _OFFSET) / 4
    return score
