"""What the other labels of a sample say of each of its labels, beyond what models predict from the features.

Labels depend on each other, which models that predict them side by side see only through the features. So a logistic
regression predicts each label from the held-out log-odds of all labels and from the other labels as given. Where its own
held-out predictions have the lower log-loss, beyond the standard error, they take the place of the models'. On the sets of
``benchmarks/multilabel.md`` that were chosen on, this did better than to add them as one evidence more.
"""

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor

from hardsight.data import Samples
from hardsight.estimation.paired_losses import is_significant
from hardsight.learners.label_sets import no_and_yes
from hardsight.resampling.plan import split_seed
from hardsight.resampling.splitters import KFold

FOLDS = 5
# Other labels that a label is predicted from, at most: those that depend on it most.
MAX_OTHERS = 30
# Log-odds beyond these say no more.
_MAX_LOG_ODDS = 6.0
# Inverse strength of the penalty; the larger values that were tried fit small sets too closely.
_C = 0.01
_SEED = 0


def read_other_labels(log_prob: Float64[Tensor, "part 2"], samples: Samples) -> Float64[Tensor, "part 2"]:
    """Return held-out log-probabilities that also read the other labels of each sample, for the labels where that helps.

    Args:
        log_prob: held-out log-probabilities of models.
        samples: the parts; their groups stay together.
    """
    layout = samples.layout
    if len(layout.names) < 2 or samples.groups is None:
        return log_prob
    present = layout.part >= 0
    log_odds = np.where(present, (log_prob[:, 1] - log_prob[:, 0]).numpy()[layout.part], 0.0)
    signs = np.where(present, 2.0 * samples.labels[layout.part] - 1, 0.0)
    blocks = samples.groups[layout.first]
    predicted = predict_from_others(log_odds, signs, blocks)
    combined = log_prob.clone()
    for column in range(len(layout.names)):
        rows = np.flatnonzero(present[:, column])
        parts = torch.from_numpy(layout.part[rows, column])
        both = no_and_yes(torch.from_numpy(predicted[rows, column]))
        label = torch.from_numpy(samples.labels)[parts][:, None]
        gain = (both.gather(1, label) - log_prob[parts].gather(1, label)).squeeze(1).numpy()
        if is_significant(gain, blocks[rows]):
            combined[parts] = both
    return combined


def predict_from_others(log_odds: np.ndarray, signs: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return held-out log-odds of having each label, ``(sample, label)``.

    A logistic regression per label and fold reads the held-out log-odds of this label and of others, and the others as
    given. It is trained on samples of other blocks. The label of a sample itself is not read.

    Args:
        log_odds: held-out log-odds of having each label, ``(sample, label)``; 0 if it is unknown.
        signs: 1 if a sample has the label, -1 if not, 0 if that is not known, ``(sample, label)``.
        blocks: codes of the samples that must stay together, ``(sample,)``.
    """
    log_odds = np.clip(log_odds, -_MAX_LOG_ODDS, _MAX_LOG_ODDS)
    codes = np.unique(blocks, return_inverse=True)[1].reshape(-1)
    folds = min(FOLDS, int(codes.max()) + 1)
    predicted = log_odds.copy()
    with threadpool_limits(1):
        for label in range(signs.shape[1]):
            present = np.flatnonzero(signs[:, label])
            features = _features(log_odds, signs, label)
            y = signs[:, label] > 0
            [(fold, _)] = KFold(folds, 2).split(y.astype(np.int64), codes, split_seed(_SEED))[:1]
            for k in range(folds):
                train, held_out = present[fold[present] != k], present[fold[present] == k]
                if len(held_out) and 0 < y[train].sum() < len(train):
                    model = LogisticRegression(C=_C, max_iter=200).fit(features[train], y[train])
                    predicted[held_out, label] = model.decision_function(features[held_out])
    return predicted


def _features(log_odds: np.ndarray, signs: np.ndarray, label: int) -> np.ndarray:
    """Return what a label is predicted from, ``(sample, feature)``."""
    others = np.delete(np.arange(signs.shape[1]), label)
    if len(others) > MAX_OTHERS:
        # What is left of the label after its own prediction shows on which others it depends.
        left = signs[:, label] - np.tanh(log_odds[:, label] / 2)
        dependence = np.abs((signs[:, others] * left[:, None]).mean(0))
        others = np.sort(others[np.argsort(-dependence, kind="stable")[:MAX_OTHERS]])
    return np.concatenate([log_odds[:, [label]], log_odds[:, others], signs[:, others]], axis=1)
