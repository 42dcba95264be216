"""Which names the Python reference documents, and on which page."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

import hardsight
from hardsight.weights import SCHEMES


@dataclass(frozen=True)
class ReferencePage:
    """One page of the reference.

    Attributes:
        name: of the page's file.
        title: what stands above it.
        guide: page of the site that tells how it is used; "" for none.
        modules: whose docstrings open the page.
        names: what the page documents, as it is imported.
    """

    name: str
    title: str
    guide: str
    modules: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def source(self) -> str:
        """Its source path."""
        return f"reference/{self.name}.md"


def _public(module: str) -> tuple[str, ...]:
    """All that a package names as public. The functions of schemes have a page of their own."""
    schemes = {row.function.__name__ for row in SCHEMES.values()} if module == "hardsight.weights" else set()
    return _of(module, " ".join(name for name in import_module(module).__all__ if name not in schemes))


def _of(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


def _whole(name: str, title: str, guide: str, package: str = "") -> ReferencePage:
    """A page for a package: its docstring, and all that it names as public."""
    path = f"hardsight.{package or name}"
    return ReferencePage(name, title, guide, (path,), _public(path))


PAGES = (
    ReferencePage("measure", "Measure", "tutorial.md", (),
         _of("hardsight", "measure measure_predictions measure_losses leaks Execution Estimate load")),
    ReferencePage("difficulty", "Difficulty", "tutorial.md", (), _of("hardsight", "Difficulty")),
    ReferencePage("annotators", "Several annotators", "annotators.md", ("hardsight.attribution.annotators",),
         (*_of("hardsight", "Annotations measure_annotations AnnotationResult"),
          *_of("hardsight.attribution.annotators", "AnnotatorModel fit_annotators Incidence"))),
    _whole("samples", "Samples", "data-and-learners.md", "data"),
    ReferencePage("splits", "Splits", "data-and-learners.md", (), _of("hardsight", "KFold Subsets LeaveOneOut")),
    _whole("learners", "Learners", "data-and-learners.md"),
    _whole("backends", "Backends", "data-and-learners.md", "estimation.backends"),
    ReferencePage("ledger", "Ledger", "how-it-works.md", ("hardsight.attribution.ledger",),
         _of("hardsight.attribution.ledger", "Ledger ledger")),
    ReferencePage("decompose", "Bias and variance", "how-it-works.md", ("hardsight.measures.bias_variance",),
         _of("hardsight.measures.bias_variance", "Decomposition log_loss brier squared zero_one")),
    ReferencePage("truth", "Wrong labels", "how-it-works.md", ("hardsight.attribution.label_noise",),
         _of("hardsight.attribution.label_noise", "Evidence LabelModel LabelModelConfig LabelPosterior fit_label_model "
             "true_label_probabilities DEFAULT_CONFIG class_prior")),
    ReferencePage("ranking", "Ranking", "how-it-works.md",
         ("hardsight.attribution.hardness", "hardsight.measures.control_variate",
         "hardsight.attribution.regression_noise", "hardsight.measures.reliability", "hardsight.resampling.budget"),
         (*_of("hardsight.attribution.hardness", "hardness"),
          *_of("hardsight.measures.control_variate", "estimate_with_control_variate ControlVariateEstimate"),
          *_of("hardsight.attribution.regression_noise", "fit_noise RegressionNoise"), *_of("hardsight.measures.reliability",
          "ranking_reliability spearman_brown"),
          *_of("hardsight.resampling.budget", "parse_budget choose_layout Budget Layout"))),
    ReferencePage("record", "Record", "measures.md", ("hardsight.measures.record",), _of("hardsight", "Record")),
    ReferencePage("measures", "Measures", "measures.md", ("hardsight.measures",),
         _of("hardsight.measures", "MEASURES Measure describe_measures gradient_norms input_gradients centroid_distance "
                                   "knn_disagreement prototype_distance")),
    _whole("weights", "Weights", "weights.md"),
    ReferencePage("schemes", "Schemes", "weights.md", ("hardsight.weights.schemes",), tuple(dict.fromkeys(
        f"{row.function.__module__}.{row.function.__name__}" for row in SCHEMES.values()))),
    _whole("weighting", "Weighting", "weighting.md", "weights.training"),
    ReferencePage("integrations", "Integrations", "integrations.md",
         ("hardsight.integrations.sklearn", "hardsight.integrations.skorch", "hardsight.integrations.boosting",
          "hardsight.integrations.huggingface", "hardsight.integrations.lightning"),
         (*_of("hardsight.integrations.sklearn", "DifficultyWeightedClassifier DifficultyWeightedRegressor"),
          *_of("hardsight.integrations.skorch", "WeightedNeuralNetClassifier"),
          *_of("hardsight.integrations.boosting", "objective Objective probabilities"),
          *_of("hardsight.integrations.huggingface", "WeightedTrainer"),
          *_of("hardsight.integrations.lightning", "WeightingCallback"))),
    ReferencePage("labelling", "Labelling tools", "round-trips.md", ("hardsight.integrations.labelling",),
         (*_of("hardsight.integrations.labelling", "read export decisions TaskDecisions LabellingProject"),)),
    ReferencePage("explain", "Explain", "explain.md", ("hardsight.explanation",),
         ("hardsight.explanation.analysis.explain", "hardsight.explanation.Explanation")),
    ReferencePage("decisions", "Decisions", "review.md", ("hardsight.difficulty.decisions",),
         _of("hardsight.difficulty.decisions", "read_decisions Decisions CuratedLabels")),
    _whole("report", "Report", "tutorial.md", "reporting.report"),
    _whole("review", "Review", "review.md", "reporting.review"),
    _whole("plot", "Plots", "plots.md", "reporting.plot"),
    _whole("theory", "Theory", "theory.md"),
    ReferencePage("doctor", "Doctor", "versions.md", ("hardsight.cli.doctor",),
         _of("hardsight.cli.doctor", "EXTRAS examine describe")),
    ReferencePage("extensions", "For extensions", "extending.md", (),
         (*_of("hardsight.measures.measure", "pair Score Column"), *_of("hardsight.measures.statistics", "Statistic View"),
          *_of("hardsight.measures.reductions", "Reduction Accumulator"),
          *_of("hardsight.weights.inputs", "check_losses check_probabilities check_class_codes Input"),
          *_of("hardsight.validation", "check_range"),
          *_of("hardsight.resampling.plan", "Plan Member Round"), *_of("hardsight.resampling.splitters", "Splitter"))),
    ReferencePage("errors", "Errors", "", ("hardsight.errors",),
         _of("hardsight", "HardsightError InputError LearnerError HardsightWarning")),
)  # fmt: skip


# Modules whose names are called through them.
_WITHIN = ("boosting", "labelling", "plot", "sklearn", "skorch", "theory", "weights")


def documented() -> Iterator[str]:
    """Every path that the reference documents, modules too."""
    for page in PAGES:
        yield from (*page.modules, *page.names)


def called(path: str) -> str:
    """How code that imported ``hardsight as hs`` calls what a path names.

    >>> called("hardsight.estimation.measure.measure"), called("hardsight.reporting.plot.weights")
    ('hs.measure', 'hs.plot.weights')
    >>> called("hardsight.data.Kind")
    'hardsight.data.Kind'
    """
    name = path.rpartition(".")[2]
    if name in hardsight.__all__ and name not in _WITHIN:
        return f"hs.{name}"
    for page in _WITHIN:
        if path.startswith((f"hardsight.{page}.", f"hardsight.integrations.{page}.", f"hardsight.reporting.{page}.")):
            return f"hs.{page}.{name}"
    return path
