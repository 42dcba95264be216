r"""Label models in which the wrong labels of each class go to one other class: pair flips and near pair flips.

If classes are rare or noise is heavy, most of the labels of a class can be another's. Rows of T that may go anywhere then
have several local maxima of similar likelihood: a class can take the name of the one that it is mistaken for. One target per
class leaves far fewer ways to go wrong, and targets are few enough to be searched: for each class in turn, every other
one is tried.
"""

from collections.abc import Iterable, Sequence

import torch

from hardsight.attribution.label_noise.config import INF
from hardsight.attribution.label_noise.em import LabelModelFitter, z_deficit
from hardsight.attribution.label_noise.model import LabelModel, Transition


def fit_pair_flips(
    fitter: LabelModelFitter, free: Sequence[LabelModel], best: LabelModel, *, noise_aware: bool
) -> LabelModel | None:
    """Fit the most likely model in which all classes have wrong labels at one rate, each going to one other class.

    Args:
        free: models without targets; those with the same ``noise_aware`` are starts.
        best: the model without targets that would be taken.

    Returns:
        The model; None if no start sees wrong labels, or all are far less likely than ``best``.
    """
    config = fitter.config
    transitions = [fitter.confident_transition(balanced=balanced) for balanced in (True, False)]
    starts = [
        model
        for model in (_run_to_convergence(fitter, start) for start in _starts(fitter, free, transitions, noise_aware))
        if model.wrong_share > config.min_wrong_share
    ]
    if not starts:
        return None
    model = fitter.most_likely(starts)
    if z_deficit(fitter.log_likelihood(model), fitter.log_likelihood(best)) > config.max_search_deviations:
        return None
    if fitter.n_classes <= config.max_search_classes:
        # The last start does not depend on models without targets, nor on their mistakes.
        few = fitter.subsample(config.target_rows)
        model = few.most_likely(_search_targets(few, start, transitions) for start in (model, starts[-1]))
    return fitter.run_em(model)


def _starts(
    fitter: LabelModelFitter, free: Sequence[LabelModel], transitions: list[Transition], noise_aware: bool
) -> Iterable[LabelModel]:
    """Yield starts: the models without targets, then what confident predictions show, balanced and not."""
    no_spread = (INF, INF)
    for model in free:
        if model.noise_aware == noise_aware:
            yield _with_likeliest_targets(fitter, model._replace(pseudo_counts=no_spread))
    weights = fitter.models_only(fitter.config.confident_start_weight)
    for shares, transition in zip((fitter.label_shares(), fitter.predicted_shares()), transitions, strict=True):
        yield _with_likeliest_targets(fitter, LabelModel(transition, shares, weights, no_spread, noise_aware))


def _with_likeliest_targets(fitter: LabelModelFitter, model: LabelModel) -> LabelModel:
    return fitter.with_targets(model, fitter.likeliest_targets(model))


def _run_to_convergence(fitter: LabelModelFitter, model: LabelModel) -> LabelModel:
    """Alternate EM and moving the targets to where most of the wrong labels go, until they stay."""
    for _ in range(fitter.config.target_updates):
        model = fitter.run_em(model, fitter.config.target_rounds)
        targets = fitter.expected_targets(model)
        assert model.targets is not None
        if torch.equal(targets, model.targets):
            break
        model = fitter.with_targets(model, targets)
    return model


def _search_targets(fitter: LabelModelFitter, model: LabelModel, transitions: list[Transition]) -> LabelModel:
    """Try other targets for each class in turn, as long as one is better than the current one."""
    config = fitter.config
    score = float(fitter.log_likelihood(model).mean())
    for _ in range(config.target_sweeps):
        before = score
        for c in range(fitter.n_classes):
            for target in _candidate_targets(fitter, model, c, transitions):
                other = fitter.run_em(_with_target_of(fitter, model, c, target), config.target_rounds, update_weights=False)
                other_score = float(fitter.log_likelihood(other).mean())
                if other_score > score + config.min_search_gain:
                    model, score = other, other_score
        if score == before:
            break
    return model


def _candidate_targets(fitter: LabelModelFitter, model: LabelModel, c: int, transitions: list[Transition]) -> list[int]:
    """List the targets to try for a class: all others, or the most frequent destinations if there are many classes."""
    assert model.targets is not None
    config = fitter.config
    if fitter.n_classes <= config.max_exhaustive_classes:
        candidates = set(range(fitter.n_classes))
    else:
        candidates = {target for transition in transitions for target in fitter.likely_destinations(transition, c)}
        # Two classes can each be taken for the other.
        candidates |= {int(source) for source in (model.targets == c).nonzero().squeeze(1)}
    return sorted(candidates - {c, int(model.targets[c])})


def _with_target_of(fitter: LabelModelFitter, model: LabelModel, c: int, target: int) -> LabelModel:
    """Return the model with another target of one class, whose prior becomes at least as large as the target's.

    Samples taken for the target may be its own.
    """
    assert model.targets is not None
    targets, prior = model.targets.clone(), model.prior.clone()
    targets[c] = target
    prior[c] = max(float(prior[c]), float(prior[target]), 0.5 / len(prior))
    return fitter.with_targets(model._replace(prior=prior / prior.sum()), targets)
