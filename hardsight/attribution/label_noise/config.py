"""Constants of the label-noise model, each with its reason; benchmarks/LOG.md tells the experiments behind them."""

from dataclasses import dataclass

INF = float("inf")


@dataclass(frozen=True)
class LabelModelConfig:
    """Constants of the label-noise model. "Standard errors" are those of a mean difference in log-likelihood per label."""

    # Evidence.

    neighbour_smoothing: float = 2.0
    """Pseudo-counts, in neighbours and spread like the classes, that are added to the class counts among neighbours."""
    confident_fraction: float = 0.25
    """Share of the samples predicted as a class that count as confidently predicted."""
    natural_disagreement: tuple[float, float] = (0.07, 0.15)
    """Shares of labels that even the most confident predictions miss: at most so many in typical clean data, and the
    threshold above which only label noise explains them. Clean data show 0 to .08 (film reviews .14), noisy .15 to .35."""
    chance_deviations: float = 2.0
    """Standard errors by which an evidence must give the labels more probability than chance does; otherwise no label is
    doubted. Labels that are all noise cannot be told from labels that have nothing to do with the features."""

    # EM.

    max_rounds: int = 200
    """Rounds of EM at most."""
    max_weight: float = 20.0
    """Upper bound of an evidence weight."""
    weight_precision: float = 1.0
    """Inverse variance of the normal prior of each evidence weight, whose mean is 1 (the evidence as it stands), divided
    among the consensus and the witnesses. If classes are far apart, the likelihood hardly falls with ever larger weights,
    and these deny the labels of rare classes."""
    factor_precision: float = 1.0
    """Inverse variance of the normal prior of the logarithm of each class factor, whose mean is the share of its labels."""
    start_wrong_share: float = 0.05
    """Rate of wrong labels, spread evenly, in the first start of EM; the weight of the consensus is 1 there."""
    confident_start_weight: float = 3.0
    """Weight of the consensus in the second start, whose transition matrix is read from the confident predictions."""
    min_confident: int = 10
    """Fewest samples predicted as a class from which its transitions are read."""
    max_pair_flip_rate: float = 0.49
    """Largest rate of wrong labels with one target per class: from one half on, a class and its target could swap names."""

    # Selection among models.

    shrinkage_levels: tuple[tuple[float, float], ...] = ((10.0, 3.0), (30.0, 30.0), (INF, 3.0), (INF, INF))
    """Pseudo-counts that shrink each row's rate of wrong labels to the common rate, and their destinations to an even
    spread; weakest first. The level is chosen by the likelihood of labels left out."""
    shrinkage_deviations: float = 1.5
    """Standard errors that the strongest level may lie behind the best, with more than two classes. Weaker levels overfit
    where classes overlap; beyond 1.5, the structure of pair flips is lost."""
    two_class_shrinkage_deviations: float = 1.0
    """The same with two classes, where a difference of two rates is all the structure there is."""
    max_deviations_to_explain: float = 3.0
    """Standard errors that a model may lie behind the best and still be taken because it alone explains the labels that
    confident predictions miss."""
    max_plateau_width: float = 0.1
    """Width of the upper quarter of the confidences, relative to their height above chance, up to which they form a plateau
    that only label noise explains. Where classes overlap by nature, it is .15 to .45."""
    alternative_deviations: float = 2.0
    """An alternative model that lies z standard errors behind has the weight exp(-(z / this)² / 2), times the next."""
    alternative_weight: float = 0.03
    """Weight of an alternative model that is as likely as the one taken. A weight of 1 calls labels of overlapping classes
    wrong; without alternatives, P(wrong) is far too sure where the choice of the model is wrong."""
    min_alternative_weight: float = 3e-4
    """Smallest weight of an alternative model that is worth its computation."""
    max_alternative_wrong_share: float = 0.45
    """Alternatives expect fewer wrong labels than this: beyond, the mirror image of a model is as likely."""
    parts: int = 3
    """Parts into which labels are divided to be left out in turn."""
    left_out_rounds: int = 50
    """Rounds of EM on the other parts."""
    max_cells: int = 200_000
    """Samples times classes that models are fitted to, within the two bounds that follow."""
    min_rows: int = 5_000
    """The model is fitted to at least so many samples, if there are as many."""
    max_rows: int = 20_000
    """The model is fitted to at most so many samples."""

    # Many classes.

    max_dense_classes: int = 50
    """With more classes, only the likeliest ones of each sample are kept
    (:mod:`hardsight.attribution.label_noise.sparse`)."""
    kept_classes: int = 16
    """Number of classes that are kept of each sample, the given label among them."""
    rows_per_class: int = 10
    """With many classes, the model is fitted to at least so many samples per class, within ``max_rows``."""
    min_pair_count: float = 0.02
    """Expected number of labels from which a pair of a true and a given label has a probability of its own."""

    # Pair flips.

    target_rounds: int = 8
    """Rounds of EM that tell whether another target is better."""
    target_updates: int = 5
    """How often a start may move its targets to where most wrong labels go."""
    target_sweeps: int = 3
    """How often the search goes through all classes."""
    target_rows: int = 2_000
    """Samples on which targets are searched."""
    max_search_classes: int = 200
    """With more classes, targets stay where the starts put them."""
    max_exhaustive_classes: int = 12
    """Up to so many classes, every other class is tried as a target."""
    max_likely_targets: int = 3
    """With more classes, so many of the most frequent destinations are tried."""
    min_relative_frequency: float = 0.5
    """A destination is tried if it is at least this frequent relative to the most frequent one."""
    max_search_deviations: float = 8.0
    """Standard errors that a start may lie behind the model without targets for a search to be worth its time."""
    min_search_gain: float = 1e-4
    """Gain of mean log-likelihood below which a target stays."""
    min_wrong_share: float = 0.05
    """Share of wrong labels below which a start says nothing about targets."""


DEFAULT_CONFIG = LabelModelConfig()
