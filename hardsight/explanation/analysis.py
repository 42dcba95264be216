"""What weights do to the user's own samples: one call that reads, forecasts, trains in pairs, and tells."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from hardsight.data import Samples
from hardsight.data.columns import normalize_weights
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.estimation import backends
from hardsight.estimation.measure import measure
from hardsight.estimation.plan import plan_of, splits_of, units_alike
from hardsight.estimation.reweighted_rounds import weighing
from hardsight.explanation import effect as effects_of
from hardsight.explanation import weight_summary as anatomy
from hardsight.explanation.forecast import forecast, forecast_table, held_out_margins
from hardsight.explanation.groups import list_groups as groups_of
from hardsight.explanation.margin_bound import MARGIN, ComplexityInputs, bound_terms, complexity_inputs
from hardsight.explanation.margin_bound import target_weights as target_of
from hardsight.explanation.optimization.dynamics import TrainingDynamics
from hardsight.explanation.optimization.dynamics import follow_training as followed
from hardsight.explanation.paired_training import Arms, Said, train
from hardsight.explanation.result import Explanation
from hardsight.explanation.verdict import make_verdict, write_paragraph
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, Network, TunableLength, capabilities_of, choose, weighted_learners
from hardsight.measures.held_out import Loss
from hardsight.validation import check_int
from hardsight.weights import weigh

REPEATS = 5
"""Pairs of views of each sample; intervals narrow with their root."""
_NAMELESS = "weights"


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
    duplicates: str = "together",
    task: str = "auto",
    label: str | None = None,
    text: str | None = None,
    embedding: Any = "auto",
    jobs: int | None = None,
    backend: Any = None,
    address: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Explanation:
    """What weights are, what is to be expected of them, and what they do to models trained with them.

    Args:
        X: the samples, as for :func:`hardsight.measure`.
        y: their labels, likewise.
        difficulty: of these samples, by id; it may hold more. None: measured here first, with the same learner.
        weights: how much each sample counts, ``(sample,)`` in the order of the samples, 0 or more; a scheme's name, or a
            list of them; or several by name, ``{"mine": array, "auto": "auto"}``.
        learner: what is trained with and without the weights, as for :func:`hardsight.measure`; it must take weights.
            "auto": the small networks, trained as long as the pilot of ``difficulty`` found best.
        folds: parts of a repeat, 5 by default.
        repeats: views of each sample by each arm, 5 by default.
        effect: train with and without the weights, and compare; False: only what can be told before that.
        dynamics: also follow how training goes with each weights; see
            :mod:`hardsight.explanation.optimization.dynamics`. Classes alone.
        target: the distribution that the bound is about, "training", "balanced" (classes) or "clean" (right labels,
            balanced classes). None: "clean" where there is a ledger.
        margin: gamma of the bound, in nats of held-out log-odds.
        groups: as for :func:`hardsight.measure`, like those that follow.
        ids: names of the samples, by which ``difficulty`` knows them.
        duplicates: "together" or "apart".
        task: "classification", "regression" or "auto".
        label: the label's name, or its column.
        text: the column of a DataFrame that holds texts.
        embedding: how texts and images become numbers.
        jobs: processes at a time.
        backend: where models are trained.
        address: of a Ray cluster.
        seed: fixes every random number; both arms share what comes of it.
        progress: show a progress bar on stderr.

    Raises:
        InputError: data or arguments that cannot be used; the message says the mend.
        LearnerError: a model failed.
    """
    if isinstance(X, Samples):
        found = X
    else:
        found = Samples.of(X, y, ids=ids, groups=groups, task=task, label=label, text=text, embedding=embedding)
    if found.loss_only:
        raise InputError("samples that have a loss and nothing to predict cannot be explained: give labels")
    if not margin > 0:
        raise InputError(f"margin must be positive, nats of log-odds. Got {margin}")
    d = _difficulty(difficulty, found, learner, folds, repeats, seed)
    named = _weights(weights, d, found)
    chosen = _learner(learner, found, d, weighted=effect)
    arms, trained = None, dict[str, Any](notices=[])
    if effect:
        units, notices = units_alike(found, duplicates)
        dealt = splits_of(None, folds, REPEATS if repeats is None else repeats, chosen)
        plan = plan_of(found, chosen, dealt, units, REPEATS if repeats is None else repeats, check_int("seed", seed, 0))
        loss: Loss = "squared" if found.regression else "log"
        where = backends.choose(backend, jobs, address)
        models = chosen.n_models(plan)
        with progress_bar(progress, models * (1 + len(named)), "training in pairs") as tick:
            arms = train(chosen, found, named, plan, loss, where, tick)
        how = f"out of bag × {plan.repeats} repeats" if capabilities_of(chosen).splits_itself else dealt.describe()
        trained = {"pairs": models, "splits": how, "loss": loss, "notices": [*notices, *arms.notices]}
    settings = {
        "samples": len(found),
        "learner": chosen.name,
        "recipe": chosen.describe(),
        "seed": seed,
        "label_name": found.label_name,
        "target": target or _target(d),
        "margin": margin,
        **trained,
    }
    course = (
        _followed(found, d, named, chosen, seed) if dynamics and found.classes is not None and found.numeric else None
    )
    return _told(d, named, arms, settings, complexity_inputs(found, chosen), course)


def _followed(
    samples: Samples, d: Difficulty, named: Mapping[str, np.ndarray], learner: Learner, seed: int
) -> TrainingDynamics | None:
    """How training goes; None where there is nothing to tell apart."""
    assert samples.classes is not None
    if len(np.unique(samples.labels)) < 2:
        return None
    recipe = None if capabilities_of(learner).hidden_widths is None else cast(Network, learner)
    parts = [group for group in groups_of(d) if group.by in ("cause", "decile")]
    what = "the embedding" if samples.embedding is not None else "the features"
    return followed(samples.matrix, samples.labels, named, groups=parts, what=what, network=recipe, seed=seed)


def _difficulty(
    given: Difficulty | None, samples: Samples, learner: Any, folds: int | None, repeats: int | None, seed: int
) -> Difficulty:
    """The difficulty of the samples, in their order.

    Raises:
        InputError: it is of other samples, or of other labels.
    """
    if given is None:
        return measure(samples, learner=learner, folds=folds, repeats=repeats, seed=seed)
    if given.loss_only or given.regression != samples.regression:
        raise InputError("difficulty is of labels of another kind than these: measure these samples")
    d = given.select(samples.ids)
    if d.classes is not None and samples.classes is not None:
        same = np.array_equal(d.label_names(d.labels).astype(str), np.array(samples.classes, dtype=str)[samples.labels])
    else:
        same = np.array_equal(d.labels, samples.labels)
    if not same:
        raise InputError("difficulty was measured with other labels than these: measure again, or give the same labels")
    if d.classes is not None and d.classes != samples.classes:
        raise InputError(
            f"difficulty knows {len(d.classes)} classes, and these samples have {len(samples.classes or ())}: "
            "measure these samples alone"
        )
    return d


def _weights(given: Any, d: Difficulty, samples: Samples) -> dict[str, np.ndarray]:
    """Weights of mean one by name.

    Raises:
        InputError: no such scheme, or weights that do not fit the samples.
    """
    if isinstance(given, str):
        given = {given: given}
    elif isinstance(given, list | tuple) and given and all(isinstance(name, str) for name in given):
        given = {name: name for name in given}
    elif not isinstance(given, Mapping):
        given = {_NAMELESS: given}
    if not given:
        raise InputError("weights is empty: give weights, a scheme's name, or several by name")
    return {
        str(name): weigh(d, each) if isinstance(each, str) else normalize_weights(each, len(samples), "weights")
        for name, each in given.items()
    }


def _learner(given: Any, samples: Samples, d: Difficulty, *, weighted: bool) -> Learner:
    """The learner; in a form that takes weights where it is to be trained with them.

    Raises:
        InputError: it has none.
    """
    chosen, _ = choose(given, samples)
    able = weighing(given, chosen, samples) if weighted else chosen
    if able is None:
        raise InputError(
            f"{chosen.name} cannot weigh its training samples: use {', '.join(weighted_learners())}, "
            "or an estimator whose fit takes sample_weight; or effect=False for a forecast alone"
        )
    length = (d.run.training_length or {}).get("length")
    if given == "auto" and isinstance(able, TunableLength) and length is not None:
        return able.with_length(length)
    return able


def _target(d: Difficulty) -> str:
    return "training" if d.classes is None else "balanced" if d.p_wrong is None else "clean"


def _told(
    d: Difficulty,
    named: Mapping[str, np.ndarray],
    arms: Arms | None,
    settings: dict[str, Any],
    shape: ComplexityInputs,
    course: TrainingDynamics | None,
) -> Explanation:
    """All tables and texts."""
    pairs = f"{settings.get('pairs', 0):,} pairs of models ({settings['learner']}, {settings.get('splits', 'none')})"
    ledger = d.consensus is not None and d.p_wrong is not None
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in Explanation.TABLES}
    texts = {}
    for name, each in named.items():
        said = None if arms is None else arms.by[name]
        overview, shares = anatomy.weight_overview(d, each), anatomy.weight_shares(d, each)
        told = forecast(d, each) if ledger else None
        expected = None if told is None else forecast_table(d, told)
        effects = None if arms is None or said is None else effects_of.effect_table(d, arms, said)
        found = make_verdict(told, effects)
        texts[name] = write_paragraph(name, overview, shares, found, expected, effects, pairs, course)
        made = {
            "overview": pd.DataFrame([overview]),
            "shares": shares,
            "largest": anatomy.largest_weights(d, each).reset_index(),
            "forecast": expected,
            "effects": effects,
            "samples": None if arms is None or said is None else _samples(d, each, arms, said),
            "bound": None if d.classes is None else pd.DataFrame(_terms(d, each, arms, said, settings, shape)),
            "verdicts": pd.DataFrame([found._asdict()]),
        }
        for table, rows in made.items():
            if rows is not None:
                rows.insert(0, "weights", name)
                tables[table].append(rows)
    whole_tables: dict[str, Any] = {
        name: pd.concat(rows, ignore_index=True) if rows else None for name, rows in tables.items()
    }
    return Explanation(
        names=tuple(named), **whole_tables, settings=settings, texts=texts, difficulty=d, dynamics=course
    )


def _samples(d: Difficulty, weights: np.ndarray, arms: Arms, said: Said) -> pd.DataFrame:
    rows = effects_of.sample_effects(d, arms, said).reset_index()
    rows.insert(2, "weight", weights)
    return rows


def _terms(
    d: Difficulty,
    weights: np.ndarray,
    arms: Arms | None,
    said: Said | None,
    settings: Mapping[str, Any],
    shape: ComplexityInputs,
) -> Iterator[dict[str, Any]]:
    """The terms of the bound without and with the weights; before training, both of the consensus."""
    wanted, margin = target_of(d, settings["target"]), settings["margin"]
    for models, by, arm in (("without", np.ones(len(d)), arms and arms.without), ("with", weights, said)):
        if arms is None or arm is None:
            assert d.consensus is not None
            below = (held_out_margins(d.consensus, d.labels) < margin).astype(float)
        else:
            counts = np.maximum(np.bincount(arms.sample, minlength=len(d)), 1)
            below = np.bincount(arms.sample, arm.margin < margin, minlength=len(d)) / counts
        terms = bound_terms(wanted, by, below, margin=margin, radius=shape.radius, depth=shape.depth)
        yield {"models": models, "target": settings["target"], "margin": margin, **terms._asdict()}
