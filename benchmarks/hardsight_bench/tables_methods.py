"""The methods of the study of tables: hardsight by its public API, cleanlab as installed, and area under the margin.

Every method sees the features and the labels as given. Peers read the matrix that hardsight's learners read (one 0/1
column per category, NaN for missing numbers), which forests and boosted trees accept as it is.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from hardsight import Samples, measure
from hardsight.errors import HardsightWarning
from hardsight.learners import LEARNERS

# A label with a larger probability of being wrong is flagged.
THRESHOLD = 0.5
FOLDS = 5


class Findings(NamedTuple):
    """What a method says about the given labels.

    Attributes:
        score: higher for labels that are likelier wrong, ``(sample,)``.
        flagged: labels that it calls wrong, ``(sample,)`` bool; None if it only ranks.
        suggested: labels to use instead, ``(sample,)`` str; None if it only ranks.
        p_wrong: probability that the label is wrong, ``(sample,)``; None if it gives none.
        learner: name of the learner that hardsight used.
        repeats: number of held-out predictions per sample that hardsight made, without those of further rounds.
    """

    score: np.ndarray
    flagged: np.ndarray | None = None
    suggested: np.ndarray | None = None
    p_wrong: np.ndarray | None = None
    learner: str = ""
    repeats: int = 0


Method = Callable[[pd.DataFrame, np.ndarray, int], Findings]


def measure_difficulty(learner: str, features: pd.DataFrame, labels: np.ndarray, seed: int) -> Findings:
    """Run :func:`hardsight.measure` with its defaults and one learner."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardsightWarning)
        result = measure(features, pd.Series(labels, name="given label"), learner=learner, seed=seed, progress=False)
    assert result.p_wrong is not None
    assert result.suggested is not None
    assert result.classes is not None
    # A label that cannot be judged has no probability; it is not flagged, and ranks last.
    p_wrong = np.nan_to_num(result.p_wrong, nan=0.0)
    suggested = np.array(result.classes, dtype=object)[result.suggested].astype(str)
    # As users get them: by P(wrong), and by error where that says nothing.
    score = -result.doubt_rank.astype(float)
    return Findings(score, p_wrong > THRESHOLD, suggested, p_wrong, result.run.learner, int(result.n_views.min()))


def run_cleanlab(make: Callable[[int], Any], features: pd.DataFrame, labels: np.ndarray, seed: int) -> Findings:
    """Run cleanlab on the out-of-fold probabilities of an estimator, as its tutorials do.

    The score is cleanlab's label quality with its sign turned, flags are those of ``find_label_issues``, and the
    suggestion is the most probable class.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    matrix, classes, codes = _encode(features, labels)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer samples than folds is absent from some of them.
        warnings.simplefilter("ignore")
        prob = cross_val_predict(make(seed), matrix, codes, cv=folds, method="predict_proba")
        flagged = find_label_issues(codes, prob, n_jobs=1)
        quality = get_label_quality_scores(codes, prob)
    return Findings(-quality, flagged, classes[prob.argmax(1)])


def area_under_margin(features: pd.DataFrame, labels: np.ndarray, seed: int) -> Findings:
    """Rank by the area under the margin over the stages of gradient boosting, smallest first.

    The margin of a sample is the raw score of its given label minus the largest other, in sample. Pleiss et al. 2020,
    *Identifying mislabeled data using the area under the margin ranking*, eq. 1, with stages of boosting for epochs.
    """
    matrix, classes, codes = _encode(features, labels)
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=seed).fit(matrix, codes)
    rows = np.arange(len(codes))
    total = np.zeros(len(codes))
    for scores in model.staged_decision_function(matrix):
        # Of two classes, scikit-learn gives the score of the second alone.
        logits = np.column_stack([-scores.ravel() / 2, scores.ravel() / 2]) if len(classes) == 2 else scores.copy()
        own = logits[rows, codes].copy()
        logits[rows, codes] = -np.inf
        total += own - logits.max(1)
    return Findings(-total / model.n_iter_)


def _encode(features: pd.DataFrame, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    samples = Samples.of(features, labels)
    classes, codes = np.unique(labels, return_inverse=True)
    return samples.matrix, classes, codes


def _forest(seed: int) -> Any:
    return RandomForestClassifier(random_state=seed)


def _boosting(seed: int) -> Any:
    return HistGradientBoostingClassifier(random_state=seed)


def _lightgbm(seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_jobs=1, verbose=-1, random_state=seed)


def _list_methods() -> Iterator[tuple[str, Method]]:
    yield "default", partial(measure_difficulty, "auto")
    for name in ("network", "forest", "boosting", "lightgbm", "logistic"):
        if name in LEARNERS:
            yield name, partial(measure_difficulty, name)
    for name, make in (("forest", _forest), ("boosting", _boosting), ("lightgbm", _lightgbm)):
        yield f"cleanlab-{name}", partial(run_cleanlab, make)
    yield "aum", area_under_margin


METHODS: dict[str, Method] = dict(_list_methods())
PEERS = tuple(name for name in METHODS if name.startswith("cleanlab") or name == "aum")
