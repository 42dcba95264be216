r"""How given labels come about from true ones: $P(y|x) = \sum_c q(c|x)\,T(c \to y)$, and the posterior of the true label.

$q$ is what is known of the true label before the given one is seen: $q \propto \rho \prod_k w_k^{\beta_k}$ over the
*witnesses*: the balanced consensus, and the shares of classes among the nearest neighbours, where there are any. Members
that were trained on noisy labels answer softly, as if $T$ were in their predictions already; the powers $\beta_k$, fitted
with $T$ and the true classes' shares $\rho$ by maximum likelihood (EM), take that out again, and weigh the witnesses
against each other as stacking does. Their sum is held at 1 or more: below, heavy noise in small data passes for soft
predictions of right labels.

How far the rows of $T$ may differ is chosen from the data. Pseudo-counts hold each row to the rate common to all classes,
spread evenly; the strongest of several holds is taken whose log-likelihood on labels left out (two halves, given the powers)
is within 2.5 standard errors of the best (5 with two classes), and that leaves the labels of every class mostly right. Noise
that is the same everywhere, which it mostly is, then costs no power, and structured noise is still found.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

ROUNDS = 400
SHARPEST = 20.0
HOLDS = (10.0, 30.0, 100.0, 300.0, float("inf"))
SURE = 2.5
# With two classes structure is no more than a difference of rates, and a bias of the members for one class looks like it.
SURE_OF_TWO = 5.0
STARTS = ((0.05, 1.0), (0.3, 3.0))
_CELLS, _FEWEST, _MOST = 200_000, 5_000, 20_000
# Added to the counts among neighbours, in neighbours, spread like the classes.
_SMOOTHED = 2.0


class Evidence(NamedTuple):
    """What speaks of the true labels.

    Attributes:
        consensus: log-probabilities of the dual mean.
        label: as given.
        prior: class shares that the members were trained on.
        neighbours: labels of the nearest neighbours, -1 where there are fewer; None where there are no features.
    """

    consensus: Float64[Tensor, "sample class"]
    label: Int64[Tensor, " sample"]
    prior: Float64[Tensor, " class"]
    neighbours: Tensor | None

    def witnesses(self, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "witness class row"]:
        """Log-probabilities under balanced classes. Sums over a first axis are many times quicker than over a last."""
        found = [self.consensus[rows].T - self.prior.log()[:, None]]
        if self.neighbours is not None:
            near = self.neighbours[rows].long()
            counts = torch.zeros(len(rows), len(self.prior) + 1, dtype=torch.float64)
            counts.scatter_add_(1, near + 1, torch.ones(near.shape, dtype=torch.float64))
            smooth = counts[:, 1:].T + _SMOOTHED * self.prior[:, None]
            found.append((smooth / self.prior[:, None]).log())
        return torch.stack(found).log_softmax(1)


class LabelModel(NamedTuple):
    """How labels come about.

    Attributes:
        transition: P(given label | true label), rows true.
        prior: share of each class among the true labels.
        powers: of the witnesses: the consensus, then the neighbours if there are any.
        held: pseudo-counts that hold the rows of ``transition`` to the common rate.
    """

    transition: Float64[Tensor, "class class"]
    prior: Float64[Tensor, " class"]
    powers: Float64[Tensor, " witness"]
    held: float


def label_model(evidence: Evidence) -> LabelModel:
    """The model of largest likelihood among those that the labels left out speak for.

    It is estimated on at most 20,000 samples, fewer where classes are many: those at even steps from the likeliest to
    the least likely label, so that it depends on nothing but what is known of the samples. The halves are every other one.

    Args:
        evidence: of all samples.
    """
    samples, classes = evidence.consensus.shape
    most = min(max(_CELLS // classes, _FEWEST), _MOST, samples)
    order = evidence.consensus.gather(1, evidence.label[:, None]).squeeze(1).argsort(stable=True)
    rows = order[torch.arange(most) * samples // most]
    fit = _Fit(evidence.witnesses(rows), evidence.label[rows])
    free = fit.best(HOLDS[0], STARTS)
    score = torch.einsum("k,kcr->cr", free.powers, fit.witnesses)
    held = _hold(score, fit.label, torch.arange(len(rows)) % 2 == 0)
    rate = 1 - float(free.transition.diagonal() @ free.prior)
    starts = ((max(rate, 0.02), float(free.powers.sum())), *STARTS)
    stronger = [hold for hold in HOLDS if hold >= held]
    for hold in stronger:
        found = free if hold == HOLDS[0] else fit.best(hold, starts)
        # A class whose labels are mostly wrong is another class: members that ignore a rare class lead there.
        if (found.transition.diagonal() > 0.5).all():
            break
    return found


def posterior(model: LabelModel, evidence: Evidence, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "row class"]:
    """P(true label | witnesses, given label); rows sum to one."""
    log_q = _log_q(evidence.witnesses(rows), model.powers, model.prior)
    return (log_q + _log(model.transition)[:, evidence.label[rows]]).softmax(0).T.contiguous()


class _Fit:
    """Maximum likelihood on some samples."""

    def __init__(self, witnesses: Float64[Tensor, "witness class row"], label: Int64[Tensor, " row"]) -> None:
        self.witnesses, self.label = witnesses, label
        self.classes, self.rows = witnesses.shape[1:]

    def best(self, held: float, starts: tuple[tuple[float, float], ...]) -> LabelModel:
        """The likeliest of several starts: softness and noise can stand in for each other, so there are several hills."""
        return max((self._climbed(held, *start) for start in starts), key=self._log_likelihood)

    def _log_likelihood(self, model: LabelModel) -> float:
        log_q = _log_q(self.witnesses, model.powers, model.prior)
        return float(torch.logsumexp(log_q + _log(model.transition)[:, self.label], 0).mean())

    def _climbed(self, held: float, rate: float, power: float) -> LabelModel:
        w, label, classes = self.witnesses, self.label, self.classes
        prior = torch.bincount(label, minlength=classes).clamp(min=1).double() / self.rows
        transition = _even(classes, rate)
        powers = torch.zeros(len(w), dtype=torch.float64)
        powers[0] = power
        for _ in range(ROUNDS):
            before = transition, powers
            log_q = _log_q(w, powers, prior)
            r = (log_q + _log(transition)[:, label]).softmax(0)
            powers = self._step(powers, log_q.exp(), r)
            prior = _shares(r)
            transition = _transition(r, label, held)
            if (transition - before[0]).abs().max() < 1e-6 and (powers - before[1]).abs().max() < 1e-4:
                break
        return LabelModel(transition, prior, powers, held)

    def _step(self, powers: Tensor, q: Tensor, r: Tensor) -> Tensor:
        """One Newton step on what EM maximises, which is concave in the powers, back into their bounds."""
        w = self.witnesses
        mean = (q * w).sum(1)
        slope = ((r * w).sum(1) - mean).sum(1)
        bend = torch.einsum("cr,kcr,lcr->kl", q, w, w) - mean @ mean.T
        ridge = 1e-6 * self.rows * torch.eye(len(w), dtype=torch.float64)
        moved: Tensor = (powers + torch.linalg.solve(bend + ridge, slope)).clamp(0, SHARPEST)
        moved[0] += max(1 - float(moved.sum()), 0.0)
        return moved


def _log_q(witnesses: Tensor, powers: Tensor, prior: Tensor) -> Float64[Tensor, "class row"]:
    return (torch.einsum("k,kcr->cr", powers, witnesses) + prior.log()[:, None]).log_softmax(0)


def _log(transition: Tensor) -> Tensor:
    return transition.clamp(min=1e-12).log()


def _even(classes: int, rate: float) -> Float64[Tensor, "class class"]:
    """Labels that are wrong at a rate, and then any other alike."""
    same = torch.eye(classes, dtype=torch.float64)
    found: Tensor = (1 - rate) * same + rate * (1 - same) / (classes - 1)
    return found


def _transition(r: Float64[Tensor, "class row"], label: Int64[Tensor, " row"], held: float) -> Tensor:
    classes = len(r)
    counts = torch.zeros(classes, classes, dtype=torch.float64).index_add_(1, label, r)
    common = _even(classes, 1 - float(counts.trace() / counts.sum()))
    if held == float("inf"):
        return common
    counts += held * common
    found: Tensor = counts / counts.sum(1, keepdim=True)
    return found


def _hold(score: Float64[Tensor, "class row"], label: Int64[Tensor, " row"], half: Tensor) -> float:
    """The strongest hold whose likelihood on labels left out is within some standard errors of the best."""
    sure = SURE if len(score) > 2 else SURE_OF_TWO
    told = {held: _left_out(score, label, half, held) for held in HOLDS}
    best = told[max(told, key=lambda held: float(told[held].mean()))]
    for held in reversed(HOLDS):
        short = best - told[held]
        if float(short.mean()) <= sure * float(short.std()) / len(short) ** 0.5:
            return held
    raise AssertionError("the best is within any distance of itself")


def _left_out(score: Tensor, label: Tensor, half: Tensor, held: float, rounds: int = 50) -> Float64[Tensor, " row"]:
    """Log-likelihood of every label under class shares and a transition matrix that the other half taught."""
    classes = len(score)
    out = torch.empty(len(label), dtype=torch.float64)
    for left in (half, ~half):
        seen, known = score[:, ~left], label[~left]
        prior = torch.bincount(known, minlength=classes).clamp(min=1).double() / len(known)
        transition = _even(classes, 0.2)
        for _ in range(rounds):
            r = ((seen + prior.log()[:, None]).log_softmax(0) + _log(transition)[:, known]).softmax(0)
            prior, transition = _shares(r), _transition(r, known, held)
        log_q = (score[:, left] + prior.log()[:, None]).log_softmax(0)
        out[left] = torch.logsumexp(log_q + _log(transition)[:, label[left]], 0)
    return out


def _shares(r: Float64[Tensor, "class row"]) -> Float64[Tensor, " class"]:
    return (r.sum(1) + 1) / (r.shape[1] + len(r))
