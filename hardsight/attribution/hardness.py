"""One score of all that may make a sample hard, for ranking samples to look at; the ledger says what it is."""

import numpy as np

_LEAST = 1e-3


def hardness(
    error: np.ndarray,
    variance: np.ndarray,
    p_wrong: np.ndarray,
    share: np.ndarray,
    unusual: np.ndarray | None,
    fitted: np.ndarray | None,
) -> np.ndarray:
    r"""The error, with what each cause adds to it, in nats: the weights are the same for all data.

    $E + P(wrong) + [-\log K\pi_y]_+ + \frac14 \log(V + .001) + \frac1{10} \log t + \frac14 \log(S + .001)$.

    Errors tell of wrong labels and boundaries before all else; the logarithms let strange samples stand out whose error is
    small, because the members disagree on them ($V$), they lie far from all others ($t$), or even the members that saw them
    fit them badly ($S$); samples of rare classes are hard whatever their error.

    Args:
        error: $E$, log-loss, ``(sample,)``.
        variance: $V$, ``(sample,)``.
        p_wrong: posterior probability that the label is wrong, ``(sample,)``.
        share: $K\pi_y$, the share of the label's class times the number of classes, ``(sample,)``.
        unusual: $\log t$, the log of the distance to the neighbours against what is usual in the predicted class,
            ``(sample,)``; None where there are no features.
        fitted: $S$, mean in-sample loss, ``(sample,)``; None where it was not looked at.

    >>> one = np.ones(1)
    >>> hardness(2 * one, 0 * one, 0.5 * one, 0.5 * one, None, None).round(3).tolist()
    [1.466]
    """
    found: np.ndarray = error + p_wrong + np.maximum(-np.log(share), 0) + np.log(variance + _LEAST) / 4
    if unusual is not None:
        found = found + unusual / 10
    if fitted is not None:
        found = found + np.log(fitted + _LEAST) / 4
    return found
