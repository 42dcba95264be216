"""Learners of samples with several labels each: rows are parts, one per sample and label, that share the sample's features.

A network has one output per label and is trained once for all, and so are estimators of scikit-learn that take a matrix of
labels, such as forests. Any other learner is trained for each label separately.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import logsigmoid

from hardsight.data import Samples
from hardsight.data.from_label_sets import NO, YES
from hardsight.data.labelled_parts import Layout
from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import Learner, OnProgress, Predictions, capabilities_of
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.network.network import Network
from hardsight.learners.sklearn import SklearnModel, features_of, laplace, select_rows, set_seeds, wrap_errors
from hardsight.learners.wrapper import LearnerWrapper
from hardsight.resampling.plan import Plan, Round


def _parts_of(layout: Layout, rows: np.ndarray, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parts of some samples with their log-probabilities, ``(part, 2)``.

    Args:
        rows: samples.
        logits: of having each label, ``(row, label)``.
    """
    part = torch.from_numpy(layout.part[rows])
    present = part >= 0
    return part[present], no_and_yes(logits[present].double())


def no_and_yes(logits: Float64[Tensor, " row"]) -> Float64[Tensor, "row 2"]:
    """Return the log-probabilities of not having a label and of having it, from the log-odds of having it."""
    return torch.stack([logsigmoid(-logits), logsigmoid(logits)], 1)


def _plan_of_samples(plan: Plan, layout: Layout) -> Plan:
    """Return the plan of the samples, from that of their parts. It shares the cache."""
    rounds = [Round(each.fold[layout.first], each.n_models) for each in plan.rounds]
    return replace(plan, rounds=rounds, blocks=plan.blocks[layout.first])


class NetworkOfLabels(LearnerWrapper):
    """A network with one sigmoid output per label: the loss of a sample is the mean of those of its labels.

    Weights of parts multiply their losses; a part that is not there has none.

    Args:
        network: its modules return one logit per label.
        n_labels: number of labels.
    """

    def __init__(self, network: Network, n_labels: int) -> None:
        super().__init__(network)
        self.network, self.n_labels = network, n_labels

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return f"{super().describe()}; one output per label"

    def with_length(self, length: float) -> "NetworkOfLabels":
        """See :meth:`TunableLength.with_length`."""
        return NetworkOfLabels(self.network.with_length(length), self.n_labels)

    def steps(self, train_size: float) -> int:
        """See :meth:`TunableLength.steps`; the size is the number of parts, of which a sample has several."""
        return self.network.steps(train_size / self.n_labels)

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        layout = samples.layout
        key = ("targets", samples)
        if key not in plan.cache:
            plan.cache[key] = _weights_of_labels(samples, layout)
        plan_of_samples, targets = _plan_of_samples(plan, layout), plan.cache[key]
        for each in self.network.fit_predict_targets(layout.whole, plan_of_samples, on_progress, targets):
            rows, values = _parts_of(layout, each.rows.numpy(), each.values)
            yield each._replace(rows=rows, values=values)


def _weights_of_labels(samples: Samples, layout: Layout) -> np.ndarray:
    """Return the weights of having each label, then of not having it, ``(sample, 2 · label)`` float32."""
    present = layout.part >= 0
    weight = present.astype(np.float32)
    if samples.weights is not None:
        weight[present] = (samples.weights / samples.weights.mean())[layout.part[present]]
    label = np.where(present, samples.labels[layout.part], 0)
    return np.concatenate([weight * label, weight * (1 - label)], axis=1).astype(np.float32)


class EstimatorOfLabels(LearnerWrapper):
    """An estimator of scikit-learn that takes a matrix of labels, ``(sample, label)``.

    Args:
        model: holds the estimator.
    """

    def __init__(self, model: SklearnModel) -> None:
        super().__init__(model)
        self.model = model
        self.capabilities = replace(self.capabilities, takes_weights=False, predicts_in_sample=False)

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return f"{super().describe()}; all labels at once"

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        layout = samples.layout
        features = features_of(layout.whole, self.model.estimator, numbers=self.model.numbers)
        labels = samples.labels[layout.part]
        with threadpool_limits(1):
            for member in _plan_of_samples(plan, layout).members():
                where = f"member {member.fold} of round {member.round}"
                estimator = set_seeds(clone(self.model.estimator, safe=False), member.seed)
                fit = partial(estimator.fit, select_rows(features, member.train), labels[member.train])
                wrap_errors(fit, self.name, where)
                x = select_rows(features, member.held_out)
                predict = partial(_logits, estimator, x, labels.shape[1], len(member.train))
                rows, values = _parts_of(layout, member.held_out, wrap_errors(predict, self.name, where))
                yield Predictions(rows, values, member.round)
                on_progress(1)


def _logits(estimator: Any, x: Any, n_labels: int, trained_on: int) -> Tensor:
    """Return the logits of having each label, ``(row, label)``, of an estimator fitted to a matrix of labels."""
    if hasattr(estimator, "predict_proba"):
        predicted = estimator.predict_proba(x)
    else:
        predicted = np.asarray(estimator.predict(x), dtype=np.float64)
    if isinstance(predicted, list):
        # One array per label, with a column per class of the training part.
        columns = [
            np.asarray(each)[:, list(classes).index(1)] if 1 in list(classes) else np.zeros(len(each))
            for each, classes in zip(predicted, estimator.classes_, strict=True)
        ]
        predicted = np.stack(columns, axis=1)
    predicted = np.asarray(predicted, dtype=np.float64)
    if predicted.shape != (x.shape[0], n_labels):
        raise LearnerError(f"it predicts shape {predicted.shape} for {x.shape[0]} samples and {n_labels} labels")
    with np.errstate(divide="ignore"):
        pairs = np.log(np.stack([1 - predicted, predicted], axis=-1)).reshape(-1, 2)
    log_no, log_yes = laplace(pairs, trained_on).T
    return torch.from_numpy((log_yes - log_no).reshape(predicted.shape))


class LabelsApart(LearnerWrapper):
    """A learner that is trained for each label separately, on the samples of which that label is known.

    A model whose training samples all have the label, or all lack it, is not trained: its predictions follow Laplace's rule.

    Args:
        learner: learns two classes.
        n_labels: number of labels.
        adapt: returns the learner for a label, from the samples of which that label is known and in every training part;
            None: it is the same for all labels.
    """

    def __init__(self, learner: Learner, n_labels: int, adapt: Callable[[Learner, Samples], Learner] | None = None) -> None:
        super().__init__(learner)
        self.n_labels, self.adapt = n_labels, adapt
        self.capabilities = replace(self.capabilities, divisible=False, tunable_length=False)

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return f"{super().describe()}; each label apart"

    def n_models(self, plan: Plan) -> int:
        """See :meth:`Learner.n_models`."""
        return self.n_labels * super().n_models(plan)

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        layout, held_out = samples.layout, dict[int, list[Predictions]]()
        for label in range(layout.part.shape[1]):
            # Made anew for every part of the plan: all at once would hold the features as often as there are labels.
            task = _LabelTask.of(samples, plan, layout, label)
            trained = not task.plan.rounds or task.plan.n_models
            learner = self.learner if self.adapt is None else self.adapt(self.learner, task.always_trained_on())
            for each in learner.fit_predict(task.samples, task.plan, on_progress) if trained else ():
                of_parts = each._replace(rows=task.parts[each.rows])
                if each.in_sample:
                    yield of_parts
                else:
                    held_out.setdefault(each.repeat, []).append(of_parts)
            for each in task.constant:
                if each.repeat in plan.repeat_indices:
                    held_out.setdefault(each.repeat, []).append(each)
                    on_progress(1)
        # All labels of a sample together, so that their losses add up view by view.
        for repeat, views in held_out.items():
            yield Predictions(torch.cat([each.rows for each in views]), torch.cat([each.values for each in views]), repeat)


class _LabelTask(NamedTuple):
    """One label of all samples."""

    samples: Samples
    plan: Plan
    parts: Tensor  # of these samples
    constant: list[Predictions]  # of models that have a single class to train on

    def always_trained_on(self) -> Samples:
        """Return the samples that no model holds out."""
        held_out = np.zeros(len(self.samples), dtype=bool)
        for each in self.plan.rounds:
            held_out |= each.fold >= 0
        return self.samples.take(np.flatnonzero(~held_out))

    @classmethod
    def of(cls, samples: Samples, plan: Plan, layout: Layout, label: int) -> "_LabelTask":
        present = np.flatnonzero(layout.part[:, label] >= 0)
        parts, whole = layout.part[present, label], layout.whole
        if whole.kind in ("table", "array") and not whole.sparse:
            # Computed once for all labels.
            whole = replace(whole, embedding=whole.matrix)
        if len(present) < len(whole):
            whole = whole.take(present)
        labels = samples.labels[parts]
        weights = None if samples.weights is None else samples.weights[parts]
        rounds, constant = [], list[Predictions]()
        for index, each in enumerate(plan.rounds):
            fold, n_models, predictions = _without_constant(each.fold[parts], each.n_models, labels, parts, index)
            rounds.append(Round(fold, n_models))
            constant += predictions
        blocks = np.unique(plan.blocks[parts], return_inverse=True)[1].reshape(-1)
        return cls(
            replace(whole, labels=labels, classes=(NO, YES), weights=weights),
            replace(plan, rounds=rounds, blocks=blocks, cache={}),
            torch.from_numpy(parts),
            constant,
        )


def _without_constant(
    fold: np.ndarray, n_models: int, labels: np.ndarray, parts: np.ndarray, repeat: int
) -> tuple[np.ndarray, int, list[Predictions]]:
    """Return a round without the models whose training samples are of one class, and the predictions of these."""
    number, predictions = np.full(n_models, -1), list[Predictions]()
    n_trained = 0
    for model in range(n_models):
        train, held_out = labels[fold != model], np.flatnonzero(fold == model)
        if not len(held_out):
            # Samples without a label may all have this one.
            continue
        if len(np.unique(train)) == 2:
            number[model], n_trained = n_trained, n_trained + 1
            continue
        other = -np.log(len(train) + 2)
        log_prob = np.full((len(held_out), 2), other)
        log_prob[:, int(train[0]) if len(train) else 0] = np.log1p(-np.exp(other))
        predictions.append(Predictions(torch.from_numpy(parts[held_out]), torch.from_numpy(log_prob), repeat))
    return np.where(fold >= 0, number[fold], -1).astype(np.int32), n_trained, predictions


def learn_labels(learner: Learner, samples: Samples, *, by_name: bool) -> Learner:
    """Return a learner of the parts of samples with several labels, from one of the samples.

    Args:
        learner: learns the samples.
        samples: the parts.
        by_name: whether the learner was chosen by its name, so that a forest may be measured by folds.

    Raises:
        InputError: the learner reads its own labels, and would not know which of them a model is for.
    """
    assert samples.parts is not None
    assert samples.whole is not None
    assert samples.parts.names is not None
    if capabilities_of(learner).reads_ids:
        raise InputError(
            f"{learner.name} gets ids alone, and would not know which of several labels to learn: pass an estimator or a "
            "network, or measure each label by itself (y=Y[:, 0])"
        )
    n_labels = len(samples.parts.names)
    if isinstance(learner, Network):
        return NetworkOfLabels(learner, n_labels)
    # A single column of labels is not a matrix to estimators.
    complete = n_labels > 1 and samples.weights is None and len(samples) == n_labels * len(samples.whole)
    if complete and by_name and isinstance(learner, ForestOOB):
        return EstimatorOfLabels(SklearnModel(learner.forest, name="forest", numbers=learner.numbers))
    if complete and isinstance(learner, SklearnModel) and _takes_matrix(learner.estimator):
        return EstimatorOfLabels(learner)
    return LabelsApart(learner, n_labels)


def _takes_matrix(estimator: Any) -> bool:
    """Return whether an estimator says that it takes a matrix of labels."""
    if not isinstance(estimator, BaseEstimator):
        return False
    tags = get_tags(estimator)
    return tags.classifier_tags is not None and bool(tags.classifier_tags.multi_label or tags.target_tags.multi_output)
