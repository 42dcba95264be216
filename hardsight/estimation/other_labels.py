"""Predictions of each label of a sample from its other labels, as given, and from what models say of all of them."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from hardsight.resampling.plan import split_seed
from hardsight.resampling.splitters import KFold

FOLDS = 5
# Other labels that a label is predicted from, at most: those that depend on it most.
MAX_OTHERS = 30
# Log-odds beyond these say no more.
_MAX_LOG_ODDS = 6.0


def predict_from_others(log_odds: np.ndarray, given: np.ndarray, blocks: np.ndarray, seed: int) -> np.ndarray:
    """Return held-out log-odds of having each label, ``(sample, label)``.

    A logistic regression per label and fold reads the held-out log-odds of this label and of others, and the others as
    given. It is trained on samples of other blocks. The label of a sample itself is not read.

    Args:
        log_odds: held-out log-odds of having each label, ``(sample, label)``; 0 if it is unknown.
        given: 1 if a sample has the label, -1 if not, 0 if that is not known, ``(sample, label)``.
        blocks: codes of the samples that must stay together, ``(sample,)``.
        seed: of the run.
    """
    log_odds = np.clip(log_odds, -_MAX_LOG_ODDS, _MAX_LOG_ODDS)
    codes = np.unique(blocks, return_inverse=True)[1].reshape(-1)
    folds = min(FOLDS, int(codes.max()) + 1)
    predicted = log_odds.copy()
    with threadpool_limits(1):
        for label in range(given.shape[1]):
            known = np.flatnonzero(given[:, label])
            features = _features(log_odds, given, label)
            y = given[:, label] > 0
            [(fold, _)] = KFold(folds, 2).split(y.astype(np.int64), codes, split_seed(seed))[:1]
            for k in range(folds):
                train, held_out = known[fold[known] != k], known[fold[known] == k]
                if len(held_out) and 0 < y[train].sum() < len(train):
                    model = LogisticRegression(C=0.1, max_iter=200).fit(features[train], y[train])
                    predicted[held_out, label] = model.decision_function(features[held_out])
    return predicted


def _features(log_odds: np.ndarray, given: np.ndarray, label: int) -> np.ndarray:
    """Return what a label is predicted from, ``(sample, feature)``."""
    others = np.delete(np.arange(given.shape[1]), label)
    if len(others) > MAX_OTHERS:
        # What is left of the label after its own prediction shows on which others it depends.
        left = given[:, label] - np.tanh(log_odds[:, label] / 2)
        dependence = np.abs((given[:, others] * left[:, None]).mean(0))
        others = np.sort(others[np.argsort(-dependence, kind="stable")[:MAX_OTHERS]])
    return np.concatenate([log_odds[:, [label]], log_odds[:, others], given[:, others]], axis=1)
