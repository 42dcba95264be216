"""From samples to difficulty: draw the splits, check them, let the learner train, fold its views, hand over the result."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from numbers import Real
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch

from hardsight import __version__
from hardsight.attribution.hardness import hardness
from hardsight.attribution.label_noise import LabelPosterior, class_prior
from hardsight.attribution.ledger import ledger
from hardsight.attribution.names import CAUSES
from hardsight.attribution.neighbours import Neighbours, find_neighbours
from hardsight.attribution.regression_noise import fit_noise
from hardsight.data import Samples
from hardsight.data.columns import check_ids, to_numpy
from hardsight.data.from_hf_rows import rows_to_samples
from hardsight.data.labels import encode_labels
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.errors import InputError, first_line
from hardsight.estimation import backends
from hardsight.estimation import reweighted_rounds as later
from hardsight.estimation.checkpoint import Checkpoint, digest
from hardsight.estimation.plan import plan_of, splits_of, units_alike
from hardsight.estimation.runner import Until, carry_out
from hardsight.estimation.training_length import open_length, try_lengths
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, capabilities_of, choose, weighted_learners
from hardsight.learners.network import native
from hardsight.measures.held_out import HeldOut, Loss
from hardsight.measures.record import Record
from hardsight.resampling.budget import Budget, choose_layout, parse_budget
from hardsight.resampling.plan import Plan, max_folds
from hardsight.resampling.splitters import LeaveOneOut, Splitter
from hardsight.validation import check_int

MOST_REPEATS = 50
_NOTHING_KNOWN = (
    "held-out models and neighbours tell the labels no better than the shares of the classes do: for want of evidence no "
    "label is doubted, and the ledger's noise line is zero"
)


def measure(
    X: Any,
    y: Any = None,
    *,
    learner: Any = "auto",
    loss: str | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    splits: Any = None,
    groups: Any = None,
    ids: Any = None,
    weights: Any = None,
    duplicates: str = "together",
    task: str = "auto",
    label: str | None = None,
    text: str | None = None,
    embedding: Any = "auto",
    reliability: float | None = None,
    budget: str | float | None = None,
    adjusted: bool | None = None,
    pilot: bool | None = None,
    refine: bool | int | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    jobs: int | None = None,
    backend: Any = None,
    address: str | None = None,
    record: Record | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Difficulty:
    """Every sample's generalization error: the mean loss on it of models that were trained without it.

    Args:
        X: the samples: an array ``(sample, …)``, a DataFrame, tensors, strings, a map-style torch Dataset, a Hugging Face
            dataset, or :class:`Samples`.
        y: the labels ``(sample,)``, or the name of their column in ``X``; None where ``X`` holds them.
        learner: a name (``hardsight.learners.LEARNERS``), "auto", an estimator with ``fit`` and ``predict``,
            :class:`Network`, :class:`ForestOOB`, :class:`Ridge` or :class:`HuggingFace`.
        loss: "log" (default), "brier" or "zero-one" for classes; "squared" for numbers. Where the learner gives
            losses and no predictions, it says what they are, and there is no bias, variance or ledger.
        folds: parts of a repeat, 5 by default.
        repeats: how often all samples are dealt into folds anew, 10 by default; views a sample.
        splits: :class:`KFold`, :class:`Subsets` or :class:`LeaveOneOut` in place of ``folds``; or "loo".
        groups: ``(sample,)``; samples of one group are never split between training and judging.
        ids: ``(sample,)``, unique; names the samples for good.
        weights: ``(sample,)``, 0 or more: how much each sample counts in training, for learners that can weigh; or a
            column's name. The errors that are measured stay unweighted.
        duplicates: "together": samples with exactly equal features are treated as a group; "apart": they are not.
        task: "classification", "regression" or "auto"; for :class:`HuggingFace` also "loss", where samples have nothing to
            predict but a loss, such as texts of a language model.
        label: the label's name in tables and reports.
        text: the column of a DataFrame that holds texts to measure.
        embedding: how texts and images become numbers; see :meth:`Samples.of`.
        reliability: train until the ranking by error is this reliable (split-half, Spearman–Brown; 0.95, say), or all
            ``repeats``, then 50 by default, are done.
        budget: "20 models": folds and repeats that make the most of so many trainings
            (:mod:`hardsight.resampling.budget`), as far
            as ``folds`` and ``repeats`` leave that open. Or a time, "90s", "10min", "2h", or a number of minutes, to end
            when it is spent; ``repeats`` is then 50 by default.
        adjusted: also estimate the errors with the help of the models' in-sample losses, and keep that second estimate
            where a check says that it ranks better (:mod:`hardsight.measures.control_variate`); all else stays as it
            is, but for
            ``hardness``, which reads the in-sample losses, too. None: where this costs little beside the training.
        pilot: choose how long the networks are trained by the held-out losses of a few models, before the run
            (:mod:`hardsight.estimation.training_length`). None: where ``learner`` is "auto", but not for leave-one-out
            or a budget of models. Its
            models are not among the ``members``.
        refine: rounds beyond the first, in which models are trained with the automatic weights of the round before; they
            serve ``p_wrong``, ``suggested`` and the weights; errors stay those of the first
            (:mod:`hardsight.estimation.reweighted_rounds`).
            True: one. None: one where 1 % of the labels or more look wrong and the learner takes weights, but not for
            leave-one-out or a budget.
        checkpoint: a file to keep what is held so far in, after every few members; stays there when the run ends. Later
            rounds have files of their own beside it.
        resume: go on with what ``checkpoint`` holds; the end result is the same to the last byte.
        jobs: processes, or with Ray tasks, at a time. None: 1, or as many as there are cores where ``backend`` is given.
        backend: where models are trained: "serial", "processes" (default for several ``jobs``), "ray", or one of
            :mod:`hardsight.estimation.backends`. The numbers do not depend on it.
        address: of a Ray cluster, "auto" or "ray://host:port"; None starts Ray on this machine, if none is connected.
        record: also takes in what every model predicts: held-out views, and those of its training samples where
            ``adjusted`` looks at these. Make it with ``hs.Record(members=True)``; it then gives the classic measures
            (memorization, c-score, bald, …) of the same models. Classes only, and without ``checkpoint``.
        seed: fixes every random number.
        progress: show a progress bar on stderr.

    Raises:
        InputError: data or arguments that cannot be used; the message says the mend.
        LearnerError: a model failed.

    >>> from sklearn.datasets import load_wine
    >>> d = measure(*load_wine(return_X_y=True), learner="ridge", folds=3, repeats=2)
    >>> bool((d.error == d.bias + d.variance).all()), len(d.hardest(3))
    (True, 3)
    """
    given = {"y": y, "groups": groups, "ids": ids, "weights": weights, "label": label, "text": text}
    if isinstance(X, Samples):
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise InputError(
                f"X is Samples, which hold their labels, ids, groups and weights already: leave out {', '.join(extra)}"
            )
        found = X
    else:
        door = rows_to_samples if capabilities_of(learner).reads_items else Samples.of
        found = door(
            X, y, ids=ids, groups=groups, weights=weights, task=task, label=label, text=text, embedding=embedding
        )
    if duplicates not in ("together", "apart"):
        raise InputError(f"duplicates must be 'together' or 'apart'. Got {duplicates!r}")
    if reliability is not None and not (isinstance(reliability, Real) and 0 < reliability < 1):
        raise InputError(f"reliability must lie between 0 and 1, a number such as 0.95. Got {reliability!r}")
    adjusted, pilot = _switch("adjusted", adjusted), _switch("pilot", pilot)
    resume, progress = bool(_switch("resume", resume)), bool(_switch("progress", progress))
    if isinstance(refine, np.bool_):
        refine = bool(refine)
    if refine is not None and not hasattr(refine, "__index__"):
        raise InputError(f"refine must be True, False or a number of rounds. Got {refine!r}")
    if resume and checkpoint is None:
        raise InputError("resume needs the checkpoint that the run was started with: pass checkpoint=PATH")
    start = time.monotonic()
    seed, spend, where = check_int("seed", seed, 0), parse_budget(budget), backends.choose(backend, jobs, address)
    chosen, reason = choose(learner, found)
    if found.weights is not None and not capabilities_of(chosen).takes_weights:
        raise InputError(
            f"{chosen.name} cannot weigh its training samples: leave out weights, or use "
            f"{', '.join(weighted_learners())}, an estimator whose fit takes sample_weight, or hs.HuggingFace by its own loss"
        )
    if record is not None:
        _recordable(record, found, checkpoint)
    scored = _loss(loss, regression=found.regression, loss_only=found.loss_only)
    units, notices = units_alike(found, duplicates)
    folds, repeats, why = _planned(spend, found, chosen, units, splits, folds, repeats)
    if repeats is None and (reliability is not None or budget is not None) and splits in (None, "kfold"):
        repeats = MOST_REPEATS
    dealt = splits_of(splits, folds, repeats, chosen)
    limited = budget is not None or reliability is not None
    rounds, once = later.rounds_of(refine, learner, chosen, found, dealt, scored, limited=limited)
    refused = _no_adjusting(adjusted, chosen, dealt, scored)
    plan = replace(plan_of(found, chosen, dealt, units, repeats, seed), in_sample=refused is None)
    lengths = None
    if (network := open_length(pilot, learner, chosen, dealt, spend.models)) is not None:
        with progress_bar(progress, None, "choosing the training length") as tick:
            lengths = try_lengths(network, found, units, seed, scored, where, tick, must=bool(pilot))
        chosen, reason = network.with_length(lengths.length), f"{reason}; {lengths.describe()}"
    left = spend.seconds - (time.monotonic() - start)
    until = Until(reliability, left, 1 if isinstance(dealt, LeaveOneOut) else 2, scored)
    kept = None if checkpoint is None else Checkpoint(checkpoint, _identity(found, chosen, dealt, units, plan))
    with progress_bar(progress, chosen.n_models(plan)) as tick:
        done = carry_out(chosen, found, plan, until, tick, kept, resume=resume, backend=where, own=record)
    how = (f"out of bag × {plan.repeats} repeats" if capabilities_of(chosen).splits_itself else dealt.describe()) + why
    early = done.turns < plan.repeats
    settings = {
        "learner": chosen.name,
        "recipe": chosen.describe() + ("" if found.weights is None else "; training samples weighted"),
        "reason": reason,
        "splits": f"{how}, ended after {done.turns}: {done.ended}" if early else how,
        "members": chosen.n_models(plan.select(range(done.turns))),
        "reliability": _known(done.record.reliability(scored)),
        "seed": seed,
        "duplicates": duplicates,
        "label_name": found.label_name,
        "notices": [*found.notices, *notices, *done.notices],
    }
    if found.loss_only:
        settings |= {"task": "loss", "loss": capabilities_of(chosen).loss_name or scored}
    if lengths is not None:
        settings["pilot"] = lengths.settings()
    adjustment = None
    if refused is None:
        second = done.record.control_variate_estimate(scored)
        adjustment = second.error
        settings["adjusted"] = {"gain": _known(second.gain), "gain_se": _known(second.gain_se), "why": second.reason}
    else:
        settings["adjusted"] = {"gain": None, "gain_se": None, "why": refused}
    near = None
    if found.classes is not None and found.numeric:
        near = cache(partial(_near, found.matrix, found.labels, units, seed))
    known = None
    if rounds:
        known = later.known_by(done.record, found, None if near is None else torch.from_numpy(near().labels))
        if refine is None and not later.noisy(known):
            rounds, once = 0, f"fewer than {later.NOISY:.0%} of the labels look wrong"
    refined = {"rounds": 0, "members": 0, "why": once}
    if known is not None and rounds:
        weigher = later.weighing(learner, chosen, found)
        assert weigher is not None
        told = later.refine(
            later.Again(
                weigher,
                found,
                dealt,
                units,
                rounds,
                seed,
                where,
                partial(progress_bar, progress, description="training again by automatic weights"),
                lambda samples, by, plan: _identity(samples, by, dealt, units, plan),
                None if checkpoint is None else Path(checkpoint),
                resume,
            ),
            known,
        )
        known, refined = told.known, told.settings
        notices = [*found.notices, *notices, *done.notices]
        settings["notices"] = notices + [each for each in told.notices if each not in notices]
    settings["refined"] = refined
    return _difficulty(done.record, scored, found.ids, found.classes, settings, found, near, adjustment, known)


def _switch(name: str, value: Any) -> bool | None:
    """True or False as such, also numpy's, 1 and 0; None as it is."""
    if value is None:
        return None
    if not isinstance(value, bool | int | np.bool_) or value not in (0, 1):
        raise InputError(f"{name} must be True or False. Got {value!r}")
    return bool(value)


def _recordable(record: Record, samples: Samples, checkpoint: str | Path | None) -> None:
    """Check that a record can take in the views of a run.

    Raises:
        InputError: it cannot.
    """
    if samples.classes is None:
        raise InputError("a record is of classes, and these samples have none: leave out record")
    if checkpoint is not None:
        raise InputError("a record is not kept in the checkpoint of a run: leave out one of record and checkpoint")
    if record.ordered:
        raise InputError(
            f"the models of an ensemble have no order, which {', '.join(record.ordered)} would need: pass "
            "record=hs.Record(members=True)"
        )


def _planned(
    spend: Budget,
    samples: Samples,
    learner: Learner,
    units: np.ndarray,
    splits: Any,
    folds: int | None,
    repeats: int | None,
) -> tuple[int | None, int | None, str]:
    """Folds and repeats for a budget of models, and why in words; as asked for without one."""
    if spend.models is None:
        return folds, repeats, ""
    if splits not in (None, "kfold"):
        raise InputError(
            "a budget of models goes with repeated folds: leave out splits, or say with them how many models"
        )
    if capabilities_of(learner).splits_itself:
        each = learner.n_models(Plan([], units, 1, 0))
        most = spend.models // each
        if (2 if repeats is None else repeats) > most:
            raise InputError(
                f"budget must be {(repeats or 2) * each} models or more for {repeats or 2} repeats of {learner.name}. Got "
                f"{spend.models} models"
            )
        return folds, most if repeats is None else repeats, f" (for {spend.models} models)"
    found = choose_layout(
        spend.models, folds=folds, repeats=repeats, max_folds=max_folds(samples.labels, units, samples.classes)
    )
    return found.folds, found.repeats, f" ({found.reason})"


def _no_adjusting(adjusted: bool | None, learner: Learner, splits: Splitter, loss: Loss) -> str | None:
    """Why no in-sample losses are to be looked at; None if they are.

    Raises:
        InputError: they are asked for, and cannot be had.
    """
    if adjusted is False:
        return "not asked for"
    reason = None
    if not capabilities_of(learner).predicts_in_sample:
        reason = f"{learner.name} does not give the losses of its training samples"
    elif isinstance(splits, LeaveOneOut):
        reason = "leaving one out would take a judgement of every pair of samples"
    elif loss == "zero-one":
        reason = "0-1 losses are too coarse to relate in-sample to held-out errors"
    elif adjusted is None and not capabilities_of(learner).in_sample_is_cheap:
        reason = "judging its training samples may take the learner long: adjusted=True asks for it"
    if adjusted and reason is not None:
        raise InputError(f"there can be no adjusted errors, because {reason}: leave out adjusted=True")
    return reason


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _identity(samples: Samples, learner: Learner, splits: Splitter, units: np.ndarray, plan: Plan) -> dict[str, str]:
    """What must be equal for an unfinished run to go on."""
    return {
        "the data": digest(
            samples.kind, samples.fingerprints().view(np.uint8), samples.matrix if samples.numeric else None
        ),
        "the labels": digest(samples.labels, samples.classes),
        "the weights": digest(samples.weights),
        "the ids": digest(samples.ids),
        "the groups or duplicates": digest(units),
        "the learner": digest(learner.name, learner.describe()),
        "the splits": digest(splits.describe() if plan.rounds else plan.repeats),
        "the seed": digest(plan.seed),
        "whether errors are adjusted": digest(plan.in_sample),
        "the versions of hardsight, torch or numba": digest(__version__, torch.__version__, native.version()),
    }


def measure_predictions(
    log_probs: Any,
    y: Any,
    *,
    held_out: Any = None,
    loss: str | None = None,
    ids: Any = None,
    classes: Any = None,
    features: Any = None,
    label: str = "label",
) -> Difficulty:
    """Difficulty from held-out predictions that you already have.

    Args:
        log_probs: ``(view, sample, class)`` log-probabilities or logits, normalised here; ``(view, sample)`` predicted
            targets for regression.
        y: ``(sample,)`` labels, or targets in regression.
        held_out: ``(view, sample)`` bool, True where the view's model had not seen the sample; None: everywhere. What
            stands where it is False is never read.
        loss: as in :func:`measure`.
        ids: ``(sample,)``, unique; positions by default.
        classes: the labels that the columns stand for, in their order; by default those in ``y``, sorted.
        features: ``(sample, feature)`` numbers, NaN where missing: the ledger then sees who the neighbours of a sample are,
            as it does in :func:`measure`; None: it goes by the predictions alone.
        label: the label's name.

    Raises:
        InputError: shapes that do not match, predictions that are not finite, a sample without a held-out view.

    >>> import numpy as np
    >>> p = np.log([[[0.9, 0.1], [0.5, 0.5]], [[0.7, 0.3], [0.5, 0.5]]])
    >>> measure_predictions(p, ["a", "b"]).error.round(3).tolist()
    [0.231, 0.693]
    """
    shape = "(view, sample, class), or (view, sample) in regression"
    views = torch.as_tensor(_array("log_probs", log_probs, shape, np.float64))
    if views.ndim not in (2, 3):
        raise InputError(f"log_probs must have shape {shape}. Got {tuple(views.shape)}")
    n = views.shape[1]
    names = np.arange(n) if ids is None else check_ids(ids, n)
    task = "classification" if views.ndim == 3 else "regression"
    labels, found, notices = encode_labels(y, ids=names, task=task, name=label)
    if classes is not None and found is not None:
        labels, found = _recoded(labels, found, classes)
    if found is not None and views.shape[2] != len(found):
        raise InputError(
            f"log_probs has {views.shape[2]} classes, and y has {len(found)}: name the columns' classes with classes=…"
        )
    mask = np.ones(views.shape[:2], dtype=bool)
    if held_out is not None:
        mask = _array("held_out", held_out, "(view, sample)", bool)
    if mask.shape != tuple(views.shape[:2]):
        raise InputError(f"held_out must have shape {tuple(views.shape[:2])}, (view, sample). Got {mask.shape}")
    unseen = np.flatnonzero(~mask.any(axis=0))
    if len(unseen):
        raise InputError(
            f"{len(unseen)} samples have no held-out view, the first is {names[unseen[0]].item()!r}: leave them out"
        )
    rows = [torch.from_numpy(np.flatnonzero(view)) for view in mask]
    for index, at in enumerate(rows):
        odd = ~views[index, at].isfinite()
        if odd.any():
            where = int(at[odd.nonzero()[0, 0]])
            raise InputError(
                f"log_probs of view {index}, sample {names[where].item()!r} is not finite: give log-probabilities, with "
                "zeros smoothed away"
            )
    record = HeldOut.from_views(
        torch.from_numpy(labels),
        None if found is None else len(found),
        ((at, views[i, at], i) for i, at in enumerate(rows)),
    )
    settings: dict[str, Any] = {
        "learner": "predictions as given",
        "recipe": "",
        "reason": "as given",
        "splits": "as given",
        "members": len(views),
        "seed": 0,
        "label_name": label,
        "notices": notices,
    }
    scored = _loss(loss, regression=found is None)
    near = None
    if features is not None and found is not None and scored == "log":
        matrix = _array("features", features, "(sample, feature)", np.float64)
        if matrix.ndim != 2 or len(matrix) != n:
            raise InputError(f"features must have shape ({n}, feature), one row a sample. Got {matrix.shape}")
        alike = np.unique(matrix, axis=0, return_inverse=True)[1].reshape(-1)
        near = partial(_near, matrix, labels, alike, settings["seed"])
    return _difficulty(record, scored, names, found, settings, None, near)


def _array(name: str, values: Any, shape: str, kind: type) -> np.ndarray:
    """Numbers or truth values of one type.

    Raises:
        InputError: they are no such, or their rows differ in length.
    """
    try:
        found = np.asarray(to_numpy(values))
        if found.dtype.kind in "biufO":
            return np.asarray(found, dtype=kind, order="C")
        why = f"the type {found.dtype}"
    except (TypeError, ValueError) as fault:
        why = first_line(fault)
    raise InputError(f"{name} must be numbers of shape {shape}. Got {why}")


def _recoded(labels: np.ndarray, found: tuple[Any, ...], classes: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Codes into the classes as the user orders them."""
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise InputError(f"classes must be a list of labels, one a column of log_probs. Got {classes!r}")
    given = tuple(name.item() if isinstance(name, np.generic) else name for name in to_numpy(classes))
    foreign = [name for name in found if name not in given]
    if foreign or len(set(given)) != len(given):
        raise InputError(f"classes must name every label once. Got {given!r}, and y holds {foreign or 'them all'!r}")
    return np.array([given.index(name) for name in found])[labels], given


def _near(matrix: np.ndarray, labels: np.ndarray, units: np.ndarray, seed: int) -> Neighbours:
    draw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    return find_neighbours(matrix, labels, units, draw)


def _loss(loss: str | None, *, regression: bool, loss_only: bool = False) -> Loss:
    if loss_only:
        if loss is not None:
            raise InputError(
                f"these samples have a loss, and nothing to predict, so that it cannot be {loss!r}: leave out loss"
            )
        return "own"
    if loss is None:
        return "squared" if regression else "log"
    known = ("squared",) if regression else tuple(name for name in get_args(Loss) if name not in ("squared", "own"))
    if loss not in known:
        kind = "numbers to predict" if regression else "classes"
        raise InputError(f"loss must be {' or '.join(known)} for labels that are {kind}. Got {loss!r}")
    return cast(Loss, loss)


def _difficulty(
    record: HeldOut,
    loss: Loss,
    ids: np.ndarray,
    classes: tuple[Any, ...] | None,
    settings: dict[str, Any],
    samples: Samples | None,
    near: Callable[[], Neighbours] | None = None,
    adjusted: np.ndarray | None = None,
    known: LabelPosterior | None = None,
) -> Difficulty:
    parts = record.decompose(loss)
    consensus = None if classes is None else record.consensus
    settings = {"loss": loss, **settings}
    if record.notice is not None:
        settings["notices"] = [*settings["notices"], record.notice]
    account = residual = score = None
    if consensus is not None and loss == "log" and bool((record.count > 1).all()):
        prior = None if samples is None else class_prior(samples.labels, consensus.shape[1], samples.weights)
        account = ledger(
            parts, consensus, record.labels, None if near is None else near(), prior=prior, label_posterior=known
        )
        if not account.label_model.informative:
            settings["notices"] = [*settings["notices"], _NOTHING_KNOWN]
        settings |= {
            "transition": account.label_model.mean_transition().tolist(),
            "class_shares": account.label_model.mean_prior().tolist(),
            "powers": account.label_model.evidence_weights.tolist(),
            "held": [_known(float(hold)) for hold in account.label_model.pseudo_counts],
        }
        share = torch.bincount(record.labels)[record.labels].double() * consensus.shape[1] / len(consensus)
        apart, fitted = (
            None if part is None else part.numpy() for part in (account.atypicality, record.in_sample_loss)
        )
        score = hardness(
            parts.error.numpy(), parts.variance.numpy(), account.p_wrong.numpy(), share.numpy(), apart, fitted
        )
    if record.loss_only:
        predicted = torch.full_like(parts.error, torch.nan)
    elif consensus is None:
        predicted = record.moments["prediction"].mean
        residual = fit_noise(record.labels.numpy(), predicted.numpy())
    else:
        predicted = record.majority if loss == "zero-one" else consensus.argmax(1)
    return Difficulty(
        error=parts.error.numpy(),
        error_se=record.standard_error(loss).numpy(),
        bias=parts.bias.numpy(),
        variance=parts.variance.numpy(),
        n_views=record.count.numpy(),
        labels=record.labels.numpy(),
        predicted=predicted.numpy(),
        ids=ids,
        classes=classes,
        consensus=None if consensus is None else consensus.numpy(),
        ledger=None if account is None else account.terms.numpy(),
        p_wrong=None if account is None else account.p_wrong.numpy(),
        cause=None if account is None else np.array(CAUSES)[account.cause.numpy()],
        run=RunInfo.from_json(settings),
        samples=samples,
        hardness=score,
        adjusted=adjusted,
        suggested=None if account is None else account.suggested.numpy(),
        p_suggested=None if account is None else account.p_suggested.numpy(),
        noise_variance=None if residual is None else residual.variance,
        p_outlier=None if residual is None else residual.p_outlier,
    )
