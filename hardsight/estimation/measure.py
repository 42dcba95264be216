"""``hs.measure``: from samples to difficulty, in six steps."""

from dataclasses import replace
from typing import Any, Unpack

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.estimation.assemble import assemble_run
from hardsight.estimation.job import apply_calibration, plan_job, tune_training_length
from hardsight.estimation.label_sets import assemble_label_sets
from hardsight.estimation.learner_comparison import compare_learners
from hardsight.estimation.loss_parts import with_loss_parts
from hardsight.estimation.neighbouring_tags import add_tag_witness
from hardsight.estimation.request import Estimate, Execution, MeasureOptions, Request, as_samples, check_options
from hardsight.estimation.run_witnesses import witnesses_of
from hardsight.estimation.true_labels import infer_true_labels
from hardsight.estimation.unlabelled import predict_unlabelled
from hardsight.io.progress import progress_bar
from hardsight.measures.record import Record


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
    duplicates: str = "auto",
    refine: bool | int | None = None,
    budget: str | float | None = None,
    reliability: float | None = None,
    estimate: Estimate | None = None,
    execution: Execution | None = None,
    record: Record | None = None,
    seed: int = 0,
    progress: bool = False,
    **data: Unpack[MeasureOptions],
) -> Difficulty:
    """Measure every sample's generalization error: its mean loss under models that were trained without it.

    Args:
        X: the samples: an array ``(sample, …)``, a DataFrame, tensors, strings, a map-style torch Dataset, a Hugging Face
            dataset, or :class:`Samples`. With :class:`Loop`, also None or ids, for data that only the loop reads.
        y: the labels ``(sample,)``, or the name of their column in ``X``; None if ``X`` holds them. Several labels per
            sample are zeros and ones ``(sample, label)``, NaN where a label was not asked for, or lists of labels: one model
            learns all of them, and a row of the result is a sample's label, "no" or "yes", with the id "sample/label".
            :meth:`Difficulty.by_sample` adds them up.
        learner: a name (``hardsight.learners.LEARNERS``), "auto", an estimator with ``fit`` and ``predict``,
            :class:`Network`, :class:`Loop`, :class:`ForestOOB`, :class:`Ridge` or :class:`HuggingFace`. "auto" is the small
            networks, and a few short trainings choose their length first (``estimate``). For tables, gradient boosting,
            forests and logistic regression are compared with them (:mod:`hardsight.estimation.learner_comparison`).
        loss: "log" (default), "brier" or "zero-one" for classes; "squared" for numbers. A learner that gives losses and no
            predictions fixes the loss itself, and then there is no bias, variance or ledger.
        folds: folds per repeat, 5 by default.
        repeats: number of times that all samples are split into folds anew, 10 by default; held-out predictions per sample.
        splits: :class:`KFold`, :class:`Subsets` or :class:`LeaveOneOut` in place of ``folds``; or "loo".
        groups: ``(sample,)``; samples of one group are never split between training and held-out part.
        ids: ``(sample,)``, unique; permanent names of the samples.
        weights: ``(sample,)``, 0 or more: how much each sample counts in training, for learners that take weights; or a
            column's name. The measured errors stay unweighted.
        duplicates: "near": samples that are far closer to each other than the data's own spacing
            (:mod:`hardsight.copies.near`) are treated as a group, as are equal ones; "together": equal ones alone; "apart":
            neither. "auto": "near", except where more than a fifth of the samples equal another one and chance makes that
            likely, as in a table of few categories: then "apart".
        refine: number of later rounds in which models are trained with the automatic weights of the round before. They
            serve ``p_wrong``, ``suggested`` and the weights; errors stay those of the first round
            (:mod:`hardsight.estimation.reweighted_rounds`). True: one. None: one if 1 % of the labels or more look wrong
            and the learner takes weights, but not for leave-one-out or a budget.
        budget: "20 models": the best folds and repeats for so many models (:mod:`hardsight.resampling.budget`), as far as
            ``folds`` and ``repeats`` leave that open. Or a time, "90s", "10min", "2h", or a number of minutes, after which
            the run ends; ``repeats`` is then 50 by default.
        reliability: train until the ranking by error is this reliable (split-half, Spearman–Brown; 0.95, say), or all
            ``repeats``, then 50 by default, are done.
        estimate: extra steps, ``hs.Estimate(adjusted=…, pilot=…, calibrate=…)``: a second estimate of the errors from
            in-sample losses, the search for the training length, and calibration of the models' probabilities by a
            temperature. By default they are taken where they pay.
        execution: where to train and what to save, ``hs.Execution(jobs=…, backend=…, address=…, checkpoint=…, resume=…)``.
            By default in this process, without a checkpoint.
        record: a record that also receives what every model predicts: held-out predictions, and those of training samples
            if they are made for the second estimate. Make it with ``hs.Record(members=True)``; it then gives the
            classic measures (memorization, c-score, bald, …) of the same models. Classes only, and without a checkpoint.
        seed: fixes every random number.
        progress: show a progress bar on stderr.
        **data: ``task``: "classification", "regression" or "auto" (default); for :class:`HuggingFace` and :class:`Loop` also
            "loss", if samples have nothing to predict but a loss, such as texts of a language model. ``label``: the label's
            name in tables and reports. ``text``: the column of a DataFrame that holds the texts to measure. ``embedding``:
            how texts and images become numbers. ``merge_spellings``: whether classes that differ only in case, blanks or the
            encoding of letters are one. ``unlabelled``: what to do with samples without a label.
            ``labels``: columns of zeros and ones, one per label. ``label_separator``: what stands between the labels of a
            text that holds several, such as ";". See :meth:`Samples.of`.
            ``witness``: what something that never saw these labels says of the samples, such as a zero-shot model, rules, an
            older model or another annotator. It is evidence for ``p_wrong`` and ``suggested``, and how much it counts is
            estimated (:mod:`hardsight.attribution.label_noise.independent_witness`). An array ``(sample, class)`` of
            probabilities or log-probabilities, columns in the order of the sorted classes; a frame with a column per class,
            in any order; or labels, ``(sample,)``. Missing values: no answer. Rows are matched by the index if there is
            one, else by position. Several witnesses: a dict of them by name.
            ``parts``, with :class:`Loop` and ``task="loss"``: the parts of each sample whose losses the loop returns, such
            as boxes of images: how many there are, or their names in the order of the losses, ``(sample,)`` or a dict by id.
            ``kind``: what a part is called, "box". The result then has one row per part.

    Raises:
        InputError: data or arguments that cannot be used; the message says what to do.
        LearnerError: a model failed.

    >>> from sklearn.datasets import load_wine
    >>> d = measure(*load_wine(return_X_y=True), learner="ridge", folds=3, repeats=2)
    >>> bool((d.error == d.bias + d.variance).all()), len(d.hardest(3))
    (True, 3)
    """
    check_options(measure, data, MeasureOptions)
    request = Request(
        learner=learner,
        loss=loss,
        folds=folds,
        repeats=repeats,
        splits=splits,
        duplicates=duplicates,
        refine=refine,
        budget=budget,
        reliability=reliability,
        estimate=estimate,
        execution=execution,
        record=record,
        seed=seed,
        progress=progress,
    ).checked()
    witness, parts, kind = data.pop("witness", None), data.pop("parts", None), data.pop("kind", None)
    samples = as_samples(X, learner, data, y=y, ids=ids, groups=groups, weights=weights)
    if parts is not None:
        samples = with_loss_parts(samples, parts, "part" if kind is None else kind, learner)
    elif kind is not None:
        raise InputError("kind says what parts are called: pass parts=…, or leave it out")
    witnesses = witnesses_of(witness, samples, X, y, request)
    job = replace(plan_job(samples, request), independent_witnesses=tuple(witnesses))
    runner = job.make_runner()
    job = compare_learners(tune_training_length(job, runner), runner)
    job = add_tag_witness(job, runner)
    runner = replace(runner, learner=job.learner, calibrate=job.calibrate)
    with progress_bar(request.progress, job.learner.n_models(job.plan)) as on_progress:
        result = runner.run(job.plan, job.stop_rule(), on_progress, job.make_checkpoint())
    job = apply_calibration(job, result.calibration)
    runner = replace(runner, learner=job.learner, calibrate=False)
    labels = infer_true_labels(job, result.held_out, runner)
    assembled = (assemble_run if samples.whole is None else assemble_label_sets)(job, result, labels)
    return replace(assembled, unlabelled=predict_unlabelled(job, runner))
