"""``hs.explain``: the effect of weights on the user's own samples, by forecast, paired training and a verdict."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Unpack, cast

import numpy as np
import pandas as pd

from hardsight.data import Samples
from hardsight.data.alignment import align_to_ids
from hardsight.data.columns import normalize_weights
from hardsight.difficulty.result import Difficulty
from hardsight.errors import Faults, InputError
from hardsight.estimation.backends import choose_backend
from hardsight.estimation.blocks import find_blocks
from hardsight.estimation.measure import measure
from hardsight.estimation.plan import describe_splits, make_plan, make_splitter
from hardsight.estimation.request import DataOptions, Execution, as_samples, check_execution, check_options
from hardsight.estimation.reweighted_rounds import weightable_learner
from hardsight.explanation.effect import effect_table, sample_effects
from hardsight.explanation.forecast import forecast, forecast_table, held_out_margins
from hardsight.explanation.groups import list_groups
from hardsight.explanation.margin_bound import MARGIN, ComplexityInputs, bound_terms, complexity_inputs, target_weights
from hardsight.explanation.optimization.dynamics import TrainingDynamics, follow_training
from hardsight.explanation.paired_training import ArmPredictions, PairedPredictions, train_arms
from hardsight.explanation.result import Explanation
from hardsight.explanation.verdict import make_verdict, write_paragraph
from hardsight.explanation.weight_summary import largest_weights, weight_overview, weight_shares
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, Network, TunableLength, capabilities_of, choose, weighted_learners
from hardsight.learners.registry import is_auto
from hardsight.measures.losses import Loss
from hardsight.validation import check_int, check_range
from hardsight.weights import weigh
from hardsight.weights.from_difficulty import CLASSIFICATION_INPUTS, REGRESSION_INPUTS, check_weighable

REPEATS = 5
"""Pairs of predictions of each sample; confidence intervals narrow with the square root of their number."""
_UNNAMED = "weights"


def explain(
    X: Any,
    y: Any = None,
    difficulty: Difficulty | None = None,
    weights: Any = "auto",
    *,
    learner: Any = "auto",
    folds: int | None = None,
    repeats: int | None = None,
    effect: bool = True,
    dynamics: bool = True,
    target: str | None = None,
    margin: float = MARGIN,
    groups: Any = None,
    ids: Any = None,
    duplicates: str = "auto",
    execution: Execution | None = None,
    seed: int = 0,
    progress: bool = False,
    **data: Unpack[DataOptions],
) -> Explanation:
    """Explain what weights are, what is to be expected of them, and what they do to models trained with them.

    Args:
        X: the samples, as for :func:`hardsight.measure`.
        y: their labels, likewise.
        difficulty: the difficulty of these samples, matched by id; it may hold more. None: it is measured first, with the
            same learner.
        weights: how much each sample counts, ``(sample,)`` in the order of the samples, 0 or more; the name of a scheme, or
            a list of them; or several by name, ``{"mine": array, "auto": "auto"}``.
        learner: the learner to train with and without the weights, as for :func:`hardsight.measure`; it must take weights.
            "auto": the small networks, with the training length that was chosen for ``difficulty``.
        folds: folds per repeat, 5 by default.
        repeats: held-out predictions of each sample per arm, 5 by default.
        effect: train with and without the weights, and compare; False: only the forecast.
        dynamics: also follow the training with each of the weights; see
            :mod:`hardsight.explanation.optimization.dynamics`. Classes only.
        target: the distribution that the bound is about, "training", "balanced" (classes) or "clean" (right labels,
            balanced classes). None: "clean" if there is a ledger.
        margin: gamma of the bound, in nats of held-out log-odds.
        groups: as for :func:`hardsight.measure`.
        ids: names of the samples, by which ``difficulty`` knows them.
        duplicates: "auto", "near", "together" or "apart", as for :func:`hardsight.measure`.
        execution: where to train, ``hs.Execution(jobs=…, backend=…, address=…)``; without a checkpoint.
        seed: fixes every random number; all arms share them.
        progress: show a progress bar on stderr.
        **data: ``task``, ``label``, ``text`` and ``embedding``, as for :func:`hardsight.measure`.

    Raises:
        InputError: data or arguments that cannot be used; the message says what to do.
        LearnerError: a model failed.
    """
    check_options(explain, data)
    execution = check_execution(execution)
    if execution.checkpoint is not None:
        raise InputError("execution must have no checkpoint, because explain keeps none: leave out checkpoint")
    check_range("margin", margin, 0, strict=(True, False))
    seed = check_int("seed", seed, 0)
    samples = as_samples(X, None, data, y=y, ids=ids, groups=groups, weights=None)
    if samples.loss_only:
        raise InputError("X must have labels or targets: samples with nothing but a loss cannot be explained")
    check_before_training(samples, weights, learner, folds, repeats, effect=effect)
    d = _get_difficulty(difficulty, samples, learner, folds, repeats, seed)
    arms_weights = _named_weights(weights, d, samples)
    trained = _choose_learner(learner, samples, d, weighted=effect)
    settings = {
        "samples": len(samples),
        "learner": trained.name,
        "recipe": trained.describe(),
        "seed": seed,
        "label_name": samples.label_name,
        "target": target or _default_target(d),
        "margin": margin,
        "notices": [],
    }
    arms = None
    if effect:
        paired = _train(samples, trained, arms_weights, folds, repeats, duplicates, execution, seed, progress=progress)
        arms, settings = paired.arms, settings | paired.settings
    course = None
    if dynamics and samples.classes is not None and samples.numeric:
        course = _follow(samples, d, arms_weights, trained, seed)
    return _assemble(d, arms_weights, arms, settings, complexity_inputs(samples, trained), course)


def check_before_training(
    samples: Samples,
    weights: Any,
    learner: Any,
    folds: int | None,
    repeats: int | None,
    *,
    effect: bool,
    parameters: Mapping[str, Any] | None = None,
    clip: float | None = None,
) -> None:
    """Check what :func:`explain` needs later, as far as that is known before anything is trained.

    Args:
        weights: as in :func:`explain`.
        parameters: of the schemes among them, and
        clip: their largest weight; see :func:`hardsight.weigh`.

    Raises:
        InputError: weights that do not fit the samples, unknown schemes, or a learner that takes no weights; all at once.
    """
    faults, inputs = Faults(), REGRESSION_INPUTS if samples.classes is None else CLASSIFICATION_INPUTS
    by_name: Mapping[Any, Any] = {}
    with faults.collect():
        by_name = _name_weights(weights)
    for each in by_name.values():
        with faults.collect():
            if isinstance(each, str):
                check_weighable(each, parameters or {}, clip, inputs)
            else:
                normalize_weights(align_to_ids("weights", each, samples.ids), len(samples), "weights")
    with faults.collect():
        chosen = _choose_weightable(learner, samples, weighted=effect)
        if effect:
            make_splitter(None, folds, repeats, chosen)
    faults.raise_all()


class _PairedTraining(NamedTuple):
    arms: PairedPredictions
    settings: dict[str, Any]


def _train(
    samples: Samples,
    learner: Learner,
    weights: Mapping[str, np.ndarray],
    folds: int | None,
    repeats: int | None,
    duplicates: str,
    execution: Execution,
    seed: int,
    *,
    progress: bool,
) -> _PairedTraining:
    """Train with and without each of the weights."""
    together = find_blocks(samples, duplicates)
    repeats = REPEATS if repeats is None else repeats
    splitter = make_splitter(None, folds, repeats, learner)
    plan = make_plan(samples, learner, splitter, together.codes, repeats, seed)
    loss: Loss = "squared" if samples.regression else "log"
    backend = choose_backend(execution.backend, execution.jobs, execution.address)
    pairs = learner.n_models(plan)
    with progress_bar(progress, pairs * (1 + len(weights)), "training in pairs") as on_progress:
        arms = train_arms(learner, samples, weights, plan, loss, backend, on_progress)
    splits = describe_splits(learner, splitter, plan)
    return _PairedTraining(
        arms, {"pairs": pairs, "splits": splits, "loss": loss, "notices": [*together.notices, *arms.notices]}
    )


def _follow(
    samples: Samples, d: Difficulty, weights: Mapping[str, np.ndarray], learner: Learner, seed: int
) -> TrainingDynamics | None:
    """Follow the training with each of the weights; None if there is only one class."""
    if len(np.unique(samples.labels)) < 2:
        return None
    network = None if capabilities_of(learner).hidden_widths is None else cast(Network, learner)
    groups = [group for group in list_groups(d) if group.by in ("cause", "decile")]
    features = "the embedding" if samples.embedding is not None else "the features"
    return follow_training(samples.matrix, samples.labels, weights, groups=groups, what=features, network=network, seed=seed)


def _get_difficulty(
    difficulty: Difficulty | None, samples: Samples, learner: Any, folds: int | None, repeats: int | None, seed: int
) -> Difficulty:
    """Return the difficulty of the samples, in their order.

    Raises:
        InputError: it is no result, or belongs to other samples or other labels.
    """
    if difficulty is None:
        return measure(samples, learner=learner, folds=folds, repeats=repeats, seed=seed)
    if not isinstance(difficulty, Difficulty):
        raise InputError(
            f"difficulty must be a result. Got {type(difficulty).__name__}: pass weights as weights=…, or a result of "
            "hs.measure or hs.load"
        )
    if difficulty.loss_only or difficulty.regression != samples.regression:
        raise InputError("difficulty must be of the same kind of labels as these: measure these samples")
    d = difficulty.select(samples.ids)
    if d.classes is not None and samples.classes is not None:
        same = np.array_equal(d.label_names(d.labels).astype(str), np.array(samples.classes, dtype=str)[samples.labels])
    else:
        same = np.array_equal(d.labels, samples.labels)
    if not same:
        raise InputError("difficulty was measured with other labels than these: measure again, or give the same labels")
    if d.classes is not None and d.classes != samples.classes:
        raise InputError(
            f"difficulty has {len(d.classes)} classes, and these samples have {len(samples.classes or ())}: "
            "measure these samples alone"
        )
    return d


def _named_weights(weights: Any, d: Difficulty, samples: Samples) -> dict[str, np.ndarray]:
    """Return weights of mean one by name.

    Raises:
        InputError: no such scheme, or weights that do not fit the samples.
    """
    return {
        str(name): weigh(d, each)
        if isinstance(each, str)
        else normalize_weights(align_to_ids("weights", each, d.ids), len(samples), "weights")
        for name, each in _name_weights(weights).items()
    }


def _name_weights(weights: Any) -> Mapping[Any, Any]:
    """Return weights, or names of schemes, by name.

    Raises:
        InputError: there are none.
    """
    if isinstance(weights, str):
        weights = {weights: weights}
    elif isinstance(weights, list | tuple) and weights and all(isinstance(name, str) for name in weights):
        weights = {name: name for name in weights}
    elif not isinstance(weights, Mapping):
        weights = {_UNNAMED: weights}
    if not weights:
        raise InputError("weights must not be empty: give weights, the name of a scheme, or several by name")
    by_name: Mapping[Any, Any] = weights
    return by_name


def _choose_learner(argument: Any, samples: Samples, d: Difficulty, *, weighted: bool) -> Learner:
    """Return the learner, with the training length that was chosen for a measured difficulty.

    Raises:
        InputError: as :func:`_choose_weightable`.
    """
    learner = _choose_weightable(argument, samples, weighted=weighted)
    length = (d.run.training_length or {}).get("length")
    if is_auto(argument) and isinstance(learner, TunableLength) and length is not None:
        return learner.with_length(length)
    return learner


def _choose_weightable(argument: Any, samples: Samples, *, weighted: bool) -> Learner:
    """Return the learner, in a form that takes weights if it is to be trained with them.

    Raises:
        InputError: it has no such form.
    """
    chosen, _ = choose(argument, samples)
    learner = weightable_learner(argument, chosen, samples) if weighted else chosen
    if learner is None:
        raise InputError(
            f"{chosen.name} does not take weights of training samples: use {', '.join(weighted_learners())}, "
            "or an estimator whose fit takes sample_weight; or effect=False for a forecast alone"
        )
    return learner


def _default_target(d: Difficulty) -> str:
    return "training" if d.classes is None else "balanced" if d.p_wrong is None else "clean"


def _assemble(
    d: Difficulty,
    weights: Mapping[str, np.ndarray],
    arms: PairedPredictions | None,
    settings: dict[str, Any],
    shape: ComplexityInputs,
    course: TrainingDynamics | None,
) -> Explanation:
    """Make all tables and texts."""
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in Explanation.TABLES}
    texts = {}
    for name, each in weights.items():
        tables_of_weights, texts[name] = _explain_weights(name, d, each, arms, settings, shape, course)
        for table, rows in tables_of_weights.items():
            if rows is not None:
                rows.insert(0, "weights", name)
                tables[table].append(rows)
    joined: dict[str, Any] = {name: pd.concat(rows, ignore_index=True) if rows else None for name, rows in tables.items()}
    return Explanation(names=tuple(weights), **joined, settings=settings, texts=texts, difficulty=d, dynamics=course)


def _explain_weights(
    name: str,
    d: Difficulty,
    weights: np.ndarray,
    arms: PairedPredictions | None,
    settings: Mapping[str, Any],
    shape: ComplexityInputs,
    course: TrainingDynamics | None,
) -> tuple[dict[str, pd.DataFrame | None], str]:
    """Return the tables of one of the weights by name, and the paragraph on it."""
    arm = None if arms is None else arms.by[name]
    overview, shares = weight_overview(d, weights), weight_shares(d, weights)
    expected = forecast(d, weights) if d.consensus is not None and d.p_wrong is not None else None
    expected_table = None if expected is None else forecast_table(d, expected)
    effects = None if arms is None or arm is None else effect_table(d, arms, arm)
    verdict = make_verdict(expected, effects)
    pairs = f"{settings.get('pairs', 0):,} pairs of models ({settings['learner']}, {settings.get('splits', 'none')})"
    text = write_paragraph(name, overview, shares, verdict, expected_table, effects, pairs, course)
    tables = {
        "overview": pd.DataFrame([overview]),
        "shares": shares,
        "largest": largest_weights(d, weights).reset_index(),
        "forecast": expected_table,
        "effects": effects,
        "samples": None if arms is None or arm is None else _sample_table(d, weights, arms, arm),
        "bound": None if d.classes is None else pd.DataFrame(_bound_rows(d, weights, arms, arm, settings, shape)),
        "verdicts": pd.DataFrame([verdict._asdict()]),
    }
    return tables, text


def _sample_table(d: Difficulty, weights: np.ndarray, arms: PairedPredictions, arm: ArmPredictions) -> pd.DataFrame:
    rows = sample_effects(d, arms, arm).reset_index()
    rows.insert(2, "weight", weights)
    return rows


def _bound_rows(
    d: Difficulty,
    weights: np.ndarray,
    arms: PairedPredictions | None,
    arm: ArmPredictions | None,
    settings: Mapping[str, Any],
    shape: ComplexityInputs,
) -> Iterator[dict[str, Any]]:
    """Yield the terms of the bound without and with the weights; without training, both from the consensus."""
    target, margin = target_weights(d, settings["target"]), settings["margin"]
    for models, used, predictions in (("without", np.ones(len(d)), arms and arms.without), ("with", weights, arm)):
        if arms is None or predictions is None:
            assert d.consensus is not None
            below = (held_out_margins(d.consensus, d.labels) < margin).astype(float)
        else:
            counts = np.maximum(np.bincount(arms.sample, minlength=len(d)), 1)
            below = np.bincount(arms.sample, predictions.margin < margin, minlength=len(d)) / counts
        terms = bound_terms(target, used, below, margin=margin, radius=shape.radius, depth=shape.depth)
        yield {"models": models, "target": settings["target"], "margin": margin, **terms._asdict()}
