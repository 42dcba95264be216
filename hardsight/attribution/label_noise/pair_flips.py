r"""Label models in which the wrong labels of each class go to one other class: pair flips, and whatever is near them.

Where classes are rare or noise is heavy, most of the labels of a class can be another's. Rows of T that may go anywhere then
have several hills of like height: a class can take the name of the one that it is mistaken for. With one target a class
there is far less to get wrong, and targets are few enough to be searched: for each class in turn every other one is tried.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from hardsight.attribution.label_noise.em import (
    INF,
    SHARP,
    LabelModelFit,
    transition_from_confident,
    transition_matrix,
    z_deficit,
)
from hardsight.attribution.label_noise.model import LabelModel, log

# Rounds of EM that tell whether another target is worth having, how often all classes are gone through, and the samples on
# which they are.
_ROUNDS, _SWEEPS, _ROWS = 8, 3, 2000
# Of more classes targets stay where the starts see them.
_MANY = 200
# Up to so many classes every other one is tried as a target; of more, so many that labels of the class go to most, if it is
# by half as often as to the first.
_FEW, _NEAR, _HALF = 12, 3, 0.5
# Standard errors by which a start may be less likely than a model without targets for a search to be worth its time.
_FAR = 8.0
# Gain of log-likelihood a sample below which a target stays.
_GAIN = 1e-4
# Share of wrong labels below which a start says nothing of targets.
_LEAST = 0.05


def fit_pair_flips(
    fit: LabelModelFit, free: Sequence[LabelModel], plain: LabelModel, *, noise_aware: bool
) -> LabelModel | None:
    """The most_likely model found in which all classes have wrong labels at one rate, each to one other class.

    Args:
        fit: the samples.
        free: models without targets; those that take the consensus alike are started from.
        plain: the model without targets that would be taken.
        noise_aware: whether the consensus is taken for what members say that learned the noise, too.

    Returns:
        None where no start sees wrong labels, or all are far less likely than ``plain``.
    """
    seen = _seen(fit)
    starts = [
        model
        for model in (_settled(fit, start) for start in _starts(fit, free, seen, noise_aware))
        if model.wrong_share > _LEAST
    ]
    if not starts:
        return None
    best = fit.most_likely(starts)
    if z_deficit(fit.log_likelihood(best), fit.log_likelihood(plain)) > _FAR:
        return None
    if fit.classes <= _MANY:
        # The last start owes nothing to models without targets, and to their mistakes.
        few = fit.subsample(_ROWS)
        best = few.most_likely(_searched(few, start, seen) for start in (best, starts[-1]))
    return fit.run_em(best)


def _starts(
    fit: LabelModelFit, free: Sequence[LabelModel], seen: list[Tensor], noise_aware: bool
) -> Iterable[LabelModel]:
    """From models without targets, and from what surest predictions show, balanced and not."""
    for model in free:
        if model.noise_aware == noise_aware:
            yield _hard(model._replace(pseudo_counts=(INF, INF)))
    for shares, transition in zip((fit.shares(), _predicted(fit)), seen, strict=True):
        yield _hard(LabelModel(transition, shares, fit.consensus_only(SHARP), (INF, INF), noise_aware))


def _unbalanced(fit: LabelModelFit) -> Float64[Tensor, "class row"]:
    """The consensus where a class counts by its labels: a rare one does not outvote the one whose wrong labels it holds."""
    return (fit.witnesses[0] + fit.shares().clamp(min=1e-6).log()[:, None]).log_softmax(0)


def _seen(fit: LabelModelFit) -> list[Tensor]:
    return [
        transition_from_confident(fit.witnesses[0], fit.label),
        transition_from_confident(_unbalanced(fit), fit.label),
    ]


def _predicted(fit: LabelModelFit) -> Float64[Tensor, " class"]:
    counts = torch.bincount(_unbalanced(fit).argmax(0), minlength=fit.classes).double() + 1
    return counts / counts.sum()


def _off(matrix: Float64[Tensor, "class class"]) -> Float64[Tensor, "class class"]:
    """Without its diagonal, and a little everywhere else, so that a class without wrong labels has a target, too."""
    other = 1 - torch.eye(len(matrix), dtype=torch.float64)
    return (matrix + 1e-9) * other


def _hard(model: LabelModel) -> LabelModel:
    return _aimed(model, _off(model.transition).argmax(1))


def _aimed(model: LabelModel, targets: Int64[Tensor, " class"]) -> LabelModel:
    """The same rates, to these targets."""
    rate = 1 - model.transition.diagonal()
    return model._replace(transition=transition_matrix(rate, one_hot(targets, len(rate))), targets=targets)


def _settled(fit: LabelModelFit, model: LabelModel, goes: int = 5) -> LabelModel:
    """Climbed, and aimed anew at where most of the wrong labels are, until that is where it aims."""
    for _ in range(goes):
        model = fit.run_em(model, _ROUNDS)
        # As if labels could go anywhere: with targets, others are never seen.
        wide = 0.5 * model.transition + 0.5 / fit.classes
        r = (fit.before(model) + log(wide)[:, fit.label]).softmax(0)
        targets = _off(fit.counts(r)).argmax(1)
        assert model.targets is not None
        if torch.equal(targets, model.targets):
            break
        model = _aimed(model, targets)
    return model


def _searched(fit: LabelModelFit, model: LabelModel, seen: list[Tensor]) -> LabelModel:
    """Each class in turn with every other target, as long as one is better than the one it has."""
    score = float(fit.log_likelihood(model).mean())
    for _ in range(_SWEEPS):
        before = score
        for c in range(fit.classes):
            for target in _options(model, c, seen):
                other = fit.run_em(_turned(model, c, target), _ROUNDS, update_weights=False)
                found = float(fit.log_likelihood(other).mean())
                if found > score + _GAIN:
                    model, score = other, found
        if score == before:
            break
    return model


def _options(model: LabelModel, c: int, seen: list[Tensor]) -> list[int]:
    assert model.targets is not None
    classes = len(model.targets)
    if classes <= _FEW:
        near = set(range(classes))
    else:
        most = (_off(each)[c].topk(_NEAR) for each in seen)
        near = {int(d) for share, at in most for d in at[share >= _HALF * share[0]]}
        # Two that are each taken for the other.
        near |= {int(d) for d in (model.targets == c).nonzero().squeeze(1)}
    return sorted(near - {c, int(model.targets[c])})


def _turned(model: LabelModel, c: int, target: int) -> LabelModel:
    """With another target of one class, which may then be as large as that: what was the target's may be its own."""
    assert model.targets is not None
    targets, prior = model.targets.clone(), model.prior.clone()
    targets[c] = target
    prior[c] = max(float(prior[c]), float(prior[target]), 0.5 / len(prior))
    return _aimed(model._replace(prior=prior / prior.sum()), targets)
