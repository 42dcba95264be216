"""Catalogue of all measures, one row each. To add one: write its statistic, reduction or function, and a row here."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from hardsight.errors import InputError
from hardsight.measures import combined, statistics
from hardsight.measures.measure import Column, Measure, Score, pair
from hardsight.measures.reductions import (
    DEVIATION,
    FORGETTING_EVENTS,
    LATEST,
    MEAN,
    MEANS,
    MINUS_VIEWS_UNTIL_WRONG,
    MOMENTS,
    TOTAL,
    VARIANCE,
    VIEWS_UNTIL_RIGHT,
)

ONE = "one training"
EARLY = "10 early trainings"
HELD_OUT = "held-out views"
BOTH = "training and held-out views of many models"

_LATEST_FEATURES = (Column(statistics.FEATURES, LATEST),)
_HELD_OUT_MEAN = (Column(statistics.PROBABILITY, MEANS, "held-out"),)

_NORTHCUTT = "Northcutt et al. 2021, Confident learning: estimating uncertainty in dataset labels"
_SWAYAMDIPTA = "Swayamdipta et al. 2020, Dataset cartography"
_SEEDAT = "Seedat et al. 2022, Data-IQ"
_PAUL = "Paul et al. 2021, Deep learning on a data diet"

_ROWS = (
    Measure(
        "loss",
        "the given label is improbable on average",
        "mean_t -log p_t(y)",
        "Arpit et al. 2017, A closer look at memorization in deep networks (small losses are learned first)",
        ONE,
        pair(statistics.LOG_LOSS, MEAN),
        "Over held-out views this is the generalization error of hs.measure.",
    ),
    Measure(
        "confidence",
        "the given label has little probability on average",
        "1 - mean_t p_t(y)",
        _SWAYAMDIPTA,
        ONE,
        pair(statistics.DOUBT, MEAN),
        "Sign turned: the paper's confidence is mean_t p_t(y).",
    ),
    Measure(
        "variability",
        "the given label's probability goes up and down",
        "sd_t p_t(y), population standard deviation",
        _SWAYAMDIPTA,
        ONE,
        pair(statistics.DOUBT, DEVIATION),
        "High values are the paper's ambiguous samples; samples that are always wrong vary little. Two views or more.",
    ),
    Measure(
        "correctness",
        "predictions are often wrong",
        "share of views t with argmax p_t != y",
        _SWAYAMDIPTA,
        ONE,
        pair(statistics.WRONG, MEAN),
        "Sign turned: the paper's correctness is the share of epochs that are right.",
    ),
    Measure(
        "data-iq-aleatoric",
        "the given label's probability stays near one half",
        "mean_t p_t(y) (1 - p_t(y))",
        _SEEDAT,
        ONE,
        pair(statistics.AMBIGUITY, MEAN),
        "Samples that are always wrong score low; the paper reads it together with confidence.",
    ),
    Measure(
        "data-iq-epistemic",
        "the given label's probability varies between views",
        "var_t p_t(y), population variance",
        _SEEDAT,
        ONE,
        pair(statistics.DOUBT, VARIANCE),
        "The square of variability. Two views or more.",
    ),
    Measure(
        "el2n",
        "predictions are far from the given label",
        "mean_t ||p_t - e_y||",
        _PAUL,
        EARLY,
        pair(statistics.RESIDUAL_NORM, MEAN),
        "The paper's views are ten initialisations at one early epoch. Epochs of one training as views: a cheaper stand-in.",
    ),
    Measure(
        "el2n-squared",
        "the Brier score is high",
        "mean_t ||p_t - e_y||^2",
        "Brier 1950, Verification of forecasts expressed in terms of probability",
        EARLY,
        pair(statistics.BRIER, MEAN),
        "Often printed as EL2N, which is the norm and not its square.",
    ),
    Measure(
        "grand",
        "the sample's gradient in the last layer is large",
        "mean_t ||p_t - e_y|| sqrt(||h_t||^2 + 1)",
        _PAUL,
        f"{EARLY}; features",
        pair(statistics.LAST_LAYER_GRADIENT, MEAN),
        "Exact for a linear last layer with biases that reads h; all parameters: hardsight.measures.gradient_norms.",
    ),
    Measure(
        "aum",
        "another class' logit is above the given label's",
        "mean_t max_{k != y} z_t(k) - z_t(y)",
        "Pleiss et al. 2020, Identifying mislabeled data using the area under the margin ranking",
        ONE,
        pair(statistics.MARGIN, MEAN),
        "Sign turned: the paper's margin is positive where the label wins.",
    ),
    Measure(
        "entropy",
        "predictions are spread over classes",
        "mean_t H(p_t), nats",
        "Shannon 1948; Lewis & Gale 1994, A sequential algorithm for training text classifiers",
        ONE,
        pair(statistics.ENTROPY, MEAN),
        "Does not look at the label.",
    ),
    Measure(
        "least-confidence",
        "no class is probable",
        "mean_t 1 - max_k p_t(k)",
        "Lewis & Gale 1994, A sequential algorithm for training text classifiers",
        ONE,
        pair(statistics.LEAST_CONFIDENCE, MEAN),
        "Does not look at the label.",
    ),
    Measure(
        "forgetting",
        "right predictions become wrong again",
        "number of changes from right to wrong; the number of views if it was never right",
        "Toneva et al. 2019, An empirical study of example forgetting during deep neural network learning",
        ONE,
        pair(statistics.RIGHT, FORGETTING_EVENTS, "training"),
        "The first view cannot count, because no view comes before it.",
    ),
    Measure(
        "first-learned",
        "predictions become lastingly right only late",
        "number of views before it is right in all that follow; all of them where the last is wrong",
        "Hacohen et al. 2020, Let's agree to agree: neural networks share classification order on real datasets",
        ONE,
        pair(statistics.RIGHT, VIEWS_UNTIL_RIGHT, "training"),
        "Counted in views: record every epoch to count epochs.",
    ),
    Measure(
        "second-split-forgetting",
        "it is forgotten early when training continues without it",
        "minus the number of views before it is wrong in all that follow; minus all of them where the last is right",
        "Maini et al. 2022, Characterizing datapoints via second-split forgetting",
        "one training and a second one on the other half",
        pair(statistics.RIGHT, MINUS_VIEWS_UNTIL_WRONG, "second split"),
        "Sign turned: early is hard. Views are the epochs of the second training, judged on the first half "
        "(second_split=True).",
    ),
    Measure(
        "vog",
        "the parts of the input that support the label change between checkpoints",
        "mean over inputs of sd_t(d z_t(y) / d x), minus the class mean, over the class' standard deviation",
        "Agarwal et al. 2022, Estimating example difficulty using variance of gradients",
        f"{ONE}; input gradients at two checkpoints or more",
        Score((Column(statistics.INPUT_GRADIENT, MOMENTS),), combined.gradient_variation, least=2),
        "Population standard deviation, as in the authors' code. Standardised within given labels, over the samples of "
        "the record; 0 in a class without spread.",
    ),
    Measure(
        "agreement",
        "models predict different classes",
        "1 - share of views that predict the class most of them predict",
        "Freeman 1965 (variation ratio); in the spirit of Carlini et al. 2019, Distribution density, tails, and outliers",
        "several trainings, or dropout at prediction",
        Score((Column(statistics.VOTE, MEANS),), combined.disagreement, least=2),
        "Sign turned. Does not look at the label. Two views or more.",
    ),
    Measure(
        "bald",
        "models are confident in different classes",
        "H(mean_t p_t) - mean_t H(p_t), nats",
        "Houlsby et al. 2011, Bayesian active learning for classification and preference learning",
        "several trainings, or dropout at prediction",
        Score(
            (Column(statistics.PROBABILITY, MEANS), Column(statistics.ENTROPY, MEANS)), combined.mutual_information, least=2
        ),
        "Mutual information between prediction and model, the Jensen-Shannon divergence of the views. It is not the "
        "variance that hs.measure reports. Does not look at the label. Two views or more.",
    ),
    Measure(
        "c-score",
        "models that were not trained on it are wrong",
        "share of held-out views with argmax p_t != y",
        "Jiang et al. 2021, Characterizing structural regularities of labeled data in overparameterized models",
        HELD_OUT,
        pair(statistics.WRONG, MEAN, "held-out"),
        "Sign turned: the paper's score is the share that is right, averaged over sizes of the training set.",
    ),
    Measure(
        "memorization",
        "right only by models that were trained on it",
        "share of training views that are right - share of held-out views that are right",
        "Feldman & Zhang 2020, What neural networks memorize and why",
        BOTH,
        Score(
            (Column(statistics.WRONG, MEANS, "held-out"), Column(statistics.WRONG, MEANS, "training")), combined.difference
        ),
    ),
    Measure(
        "rho",
        "not yet learned, though it can be",
        "mean_t -log p_t(y) over training views - the same over held-out views",
        "Mindermann et al. 2022, Prioritized training on points that are learnable, worth learning, and not yet learnt",
        "one training, and one without the sample",
        Score(
            (Column(statistics.LOG_LOSS, MEANS, "training"), Column(statistics.LOG_LOSS, MEANS, "held-out")),
            combined.difference,
        ),
        "High means worth training on, not mislabelled: a wrong label is a large loss in both terms and scores low.",
    ),
    Measure(
        "self-confidence",
        "models that were not trained on it give the label little probability",
        "1 - mean_t p_t(y) over held-out views",
        _NORTHCUTT,
        HELD_OUT,
        pair(statistics.DOUBT, MEAN, "held-out"),
        "Sign turned. Averaged over learning algorithms this is instance hardness (Smith et al. 2014).",
    ),
    Measure(
        "normalized-margin",
        "another class is more probable than the label, by models that were not trained on it",
        "max_{k != y} P(k) - P(y), P the mean of the held-out p_t",
        _NORTHCUTT,
        HELD_OUT,
        Score(_HELD_OUT_MEAN, combined.normalized_margin),
        "Sign turned; cleanlab maps it to [0, 1] as (1 - value) / 2.",
    ),
    Measure(
        "confidence-weighted-entropy",
        "held-out predictions are spread, and the label gets little of them",
        "H(P) / (log K * P(y)), P the mean of the held-out p_t, K classes",
        _NORTHCUTT,
        HELD_OUT,
        Score(_HELD_OUT_MEAN, combined.confidence_weighted_entropy),
        "cleanlab shows log(1 + value) / value, which has the other sign.",
    ),
    Measure(
        "knn-disagreement",
        "neighbours have other labels",
        "share of the 5 nearest other samples with another label, Euclidean in h",
        "Smith et al. 2014, An instance level analysis of data complexity (kDN)",
        "no training; features",
        Score(_LATEST_FEATURES, combined.neighbour_disagreement),
        "Another number of neighbours: hardsight.measures.knn_disagreement.",
    ),
    Measure(
        "prototypicality",
        "far from the mean of its class",
        "||h - mean of h over the samples labelled y||",
        "Snell et al. 2017, Prototypical networks (class means as prototypes)",
        "no training; features",
        Score(_LATEST_FEATURES, combined.distance_to_class),
        "In the features of the last view given.",
    ),
    Measure(
        "self-supervised-prototype",
        "far from the centre of its cluster",
        "1 - cos(h, centre of its k-means cluster), as many clusters as labels",
        "Sorscher et al. 2022, Beyond neural scaling laws: beating power law scaling via data pruning",
        "no training; features",
        Score(_LATEST_FEATURES, combined.distance_to_prototype),
        "Does not look at the label. The paper's features are self-supervised. k-means starts from a fixed seed.",
    ),
    Measure(
        "self-influence",
        "training on it lowers its own loss much",
        "sum_t rate_t ||p_t - e_y||^2 (||h_t||^2 + 1)",
        "Pruthi et al. 2020, Estimating training data influence by tracing gradient descent (TracInCP)",
        f"{ONE}; features and learning rates",
        pair(statistics.TRACED_GRADIENT, TOTAL, "training"),
        "Gradients of a linear last layer with biases, as in the paper's fast variant.",
    ),
    Measure(
        "cumulative-loss",
        "its losses, added up over the training, are large",
        "sum_t -log p_t(y)",
        "Ravikumar et al. 2025, Towards memorization estimation: fast, formal and free (cumulative sample loss)",
        f"{ONE}; every epoch",
        pair(statistics.LOG_LOSS, TOTAL, "training"),
        "A ranking without a scale. It does not tell a wrong label from a rare or an ambiguous sample. The order is that of "
        "loss if all samples have as many views.",
    ),
    Measure(
        "cumulative-input-gradient",
        "a small change of the input would change its loss a lot, epoch by epoch",
        "sum_t ||d -log p_t(y) / d x||",
        "Memorization through the lens of sample gradients, ICLR 2026 (cumulative sample gradient)",
        f"{ONE}; gradients of the loss in the inputs at every epoch",
        pair(statistics.LOSS_GRADIENT, TOTAL, "training"),
        "A ranking, as cumulative-loss. Inputs must be of comparable scale.",
    ),
    Measure(
        "memory-perturbation",
        "the given label is improbable after the sample's own effect on the last layer is removed",
        "-log softmax(z + v (p - e_y) / (1 - v p (1 - p)))(y), v = h' H^-1 h per class",
        "Nickl et al. 2023, The memory-perturbation equation: understanding model's sensitivity to data",
        f"{ONE}; features of its last view",
        Score(
            (Column(statistics.LOGITS_OF_FEATURES, LATEST, "training"), Column(statistics.FEATURES, LATEST, "training")),
            combined.leave_one_out_loss,
        ),
        "H: damped curvature of the training loss in the class' weights, over the record; with the denominator "
        "it is an exact Newton step. In nats, but too small: the features were learned with the label. See "
        "hardsight.measures.leave_one_out_logits.",
    ),
)

MEASURES: dict[str, Measure] = {row.name: row for row in _ROWS}
"""All measures by name."""


def unknown_measure(name: str, known: Iterable[str] = MEASURES) -> str:
    """Return the message for a name that no measure has."""
    close = get_close_matches(name, list(known), 3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "hardsight measures lists them"
    return f"no measure is called {name!r}: {hint}"


def describe_measures(name: str | None = None) -> dict[str, Any]:
    """Return all rows by name, or one row, as JSON types.

    Raises:
        InputError: no measure has that name.
    """
    if name is None:
        return {row.name: row.to_dict() for row in _ROWS}
    if name not in MEASURES:
        raise InputError(unknown_measure(name))
    return MEASURES[name].to_dict()
