r"""How given labels come about from true ones: $P(y|x) = \sum_c q(c|x)\,T(c \to y)$, and the posterior of the true label.

$q$ is what is known of the true label before the given one is seen, by two *witnesses*: the balanced consensus, and the
shares of classes among the nearest neighbours, where there are any. Both learned from given labels, so of a sample that is
surely of class $c$ they say $T(c \to \cdot)$ and not $c$ alone. A witness $w$ therefore speaks for $c$ by how little it
diverges from that, $q \propto \rho \prod_k e^{-\beta_k \mathrm{KL}(T^b_c \| w_k)}$ with $T^b_c \propto T(c \to \cdot)/\pi$;
pair flips, where a class's samples look like two, are found by that. The consensus may also be taken at its word
($\mathrm{KL} = -\log w(c)$), for members that did not learn the noise. The powers $\beta_k$ are fitted with $T$ and the true
classes' shares $\rho$ by maximum likelihood (EM), and weigh the witnesses against each other as stacking does. Their sum is
held at 1 or more: below, heavy noise in small data passes for soft predictions of right labels.

How far the rows of $T$ may differ is chosen from the data. Pseudo-counts hold the rate of wrong labels in each row to the
common one, and where they go to an even spread; of several such holds, the one is taken whose likelihood of labels left out
(three parts, given the powers) is best (with two classes, the strongest within 5 standard errors of it), among those that
leave each class's own label the most frequent one.

Who knows nothing accuses nobody: where no witness gives the labels more probability than it gives labels drawn by the
classes' shares, by two standard errors, every label is taken as right. Labels that are all noise could not be told from
labels that have nothing to do with the features.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

ROUNDS = 200
SHARPEST = 20.0
INF = float("inf")
# How strongly rows of T are held: to the common rate of wrong labels, and to an even spread of those; weakest first.
HOLDS = ((10.0, 3.0), (30.0, 30.0), (INF, 3.0), (INF, INF))
SURE = 0.0
# With two classes structure is no more than a difference of rates, and a bias of the members for one class looks like it.
SURE_OF_TWO = 5.0
# Standard errors by which a witness must do better than by luck.
SURE_OF_LUCK = 2.0
STARTS = ((0.05, 1.0),)
# Share of the samples that are predicted as a class, the surest ones, that show where its labels go; the fewest of them.
_SUREST, _ENOUGH = 0.25, 10
# Power on the consensus where the search starts from what they show.
_SHARP = 3.0
PARTS = 3
_BLOCK = 65_536
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
        held: pseudo-counts that hold the rows of ``transition``: to the common rate, and to an even spread.
        taught: whether the consensus is taken for what members say that learned the noise, too.
        informed: whether any witness tells the labels better than their shares do; where none does, no label is doubted.
    """

    transition: Float64[Tensor, "class class"]
    prior: Float64[Tensor, " class"]
    powers: Float64[Tensor, " witness"]
    held: tuple[float, float]
    taught: bool
    informed: bool = True


class Known(NamedTuple):
    """What is known of the true labels.

    Attributes:
        evidence: what speaks of them.
        model: how the given ones come about.
    """

    evidence: Evidence
    model: LabelModel

    @property
    def p_wrong(self) -> Float64[Tensor, " sample"]:
        """Posterior probability that each given label is wrong."""
        label, found = self.evidence.label, torch.empty(len(self.evidence.label), dtype=torch.float64)
        for start in range(0, len(label), _BLOCK):
            rows = torch.arange(start, min(start + _BLOCK, len(label)))
            right = posterior(self.model, self.evidence, rows).gather(1, label[rows][:, None]).squeeze(1)
            found[rows] = (1 - right).clamp(0, 1)
        return found


def label_model(evidence: Evidence) -> LabelModel:
    """The model of largest likelihood among those that the labels left out speak for.

    It is estimated on at most 20,000 samples, fewer where classes are many: those at even steps from the likeliest to
    the least likely label, so that it depends on nothing but what is known of the samples. The parts are every third one.

    Args:
        evidence: of all samples.
    """
    samples, classes = evidence.consensus.shape
    most = min(max(_CELLS // classes, _FEWEST), _MOST, samples)
    order = evidence.consensus.gather(1, evidence.label[:, None]).squeeze(1).argsort(stable=True)
    rows = order[torch.arange(most) * samples // most]
    fit = _Fit(evidence.witnesses(rows), evidence.label[rows], evidence.prior)
    if not fit.informed():
        return fit.undoubted()
    found = [fit.best(held, taught=taught) for held in HOLDS for taught in (True, False)]
    # A class whose labels are mostly those of another is that other: members that ignore a rare class lead there.
    sound = [model for model in found if bool((model.transition.argmax(1) == torch.arange(classes)).all())]
    return _chosen(fit, sound or found[-2:])


def posterior(model: LabelModel, evidence: Evidence, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "row class"]:
    """P(true label | witnesses, given label); rows sum to one."""
    if not model.informed:
        return model.transition[evidence.label[rows]]
    log_q = _log_q(_likeness(model, evidence.prior, evidence.witnesses(rows)), model.powers, model.prior)
    return (log_q + _log(model.transition)[:, evidence.label[rows]]).softmax(0).T.contiguous()


def _likeness(
    model: LabelModel, trained: Float64[Tensor, " class"], witnesses: Tensor
) -> Float64[Tensor, "witness class row"]:
    """Minus the divergence of what each witness says from what it would say of a sample that is surely of the class."""
    told = model.transition / trained
    told = told / told.sum(1, keepdim=True)
    found: Tensor = torch.matmul(told, witnesses) + torch.special.entr(told).sum(1)[:, None]
    if not model.taught:
        found[0] = witnesses[0]
    return found


class _Fit:
    """Maximum likelihood on some samples."""

    def __init__(
        self,
        witnesses: Float64[Tensor, "witness class row"],
        label: Int64[Tensor, " row"],
        trained: Float64[Tensor, " class"],
    ) -> None:
        self.witnesses, self.label, self.trained = witnesses, label, trained
        self.classes, self.rows = witnesses.shape[1:]

    def informed(self) -> bool:
        """Whether a witness gives the labels more than it gives labels that are drawn by the classes' shares."""
        shares = torch.bincount(self.label, minlength=self.classes).double() / self.rows
        told = self.witnesses.exp()
        own = told.gather(1, self.label.expand(len(told), 1, -1)).squeeze(1)
        gain = own - torch.einsum("c,kcr->kr", shares, told)
        return bool((gain.mean(1) > SURE_OF_LUCK * gain.std(1) / self.rows**0.5).any())

    def undoubted(self) -> LabelModel:
        """The model in which every label is right."""
        powers = torch.zeros(len(self.witnesses), dtype=torch.float64)
        powers[0] = 1.0
        shares = torch.bincount(self.label, minlength=self.classes).clamp(min=1).double()
        same = torch.eye(self.classes, dtype=torch.float64)
        return LabelModel(same, shares / shares.sum(), powers, (INF, INF), taught=False, informed=False)

    def best(self, held: tuple[float, float], *, taught: bool) -> LabelModel:
        """The likeliest of several starts: softness and noise can stand in for each other, so there are several hills."""
        starts = [(_even(self.classes, rate), power) for rate, power in STARTS]
        starts.append((_shown(self.witnesses[0], self.label), _SHARP))
        found = (self._from(*start, held, taught) for start in starts)
        return max(found, key=lambda model: float(self.log_likelihood(model).mean()))

    def log_likelihood(self, model: LabelModel) -> Float64[Tensor, " row"]:
        """Of every label."""
        log_q = _log_q(_likeness(model, self.trained, self.witnesses), model.powers, model.prior)
        return torch.logsumexp(log_q + _log(model.transition)[:, self.label], 0)

    def part(self, rows: Tensor) -> "_Fit":
        """The same for some of the samples, a mask."""
        return _Fit(self.witnesses[:, :, rows], self.label[rows], self.trained)

    def _from(self, transition: Tensor, power: float, held: tuple[float, float], taught: bool) -> LabelModel:
        powers = torch.zeros(len(self.witnesses), dtype=torch.float64)
        powers[0] = power
        shares = torch.bincount(self.label, minlength=self.classes).clamp(min=1).double() / self.rows
        return self.climbed(LabelModel(transition, shares, powers, held, taught))

    def climbed(self, start: LabelModel, rounds: int = ROUNDS, *, powers_too: bool = True) -> LabelModel:
        """The top of the hill that a model stands on, or where some rounds lead on the way to it."""
        model = start
        for _ in range(rounds):
            before = model
            like = _likeness(model, self.trained, self.witnesses)
            log_q = _log_q(like, model.powers, model.prior)
            r = (log_q + _log(model.transition)[:, self.label]).softmax(0)
            powers = self._step(like, model.powers, log_q.exp(), r) if powers_too else model.powers
            model = model._replace(transition=_transition(r, self.label, model.held), prior=_shares(r), powers=powers)
            if (model.transition - before.transition).abs().max() < 1e-6 and (
                powers - before.powers
            ).abs().max() < 1e-4:
                break
        return model

    def _step(self, w: Tensor, powers: Tensor, q: Tensor, r: Tensor) -> Tensor:
        """One Newton step on what EM maximises, which is concave in the powers, back into their bounds."""
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


def _transition(r: Float64[Tensor, "class row"], label: Int64[Tensor, " row"], held: tuple[float, float]) -> Tensor:
    classes = len(r)
    counts = torch.zeros(classes, classes, dtype=torch.float64).index_add_(1, label, r)
    total, right = counts.sum(1), counts.diagonal()
    common = 1 - float(right.sum() / counts.sum())
    level, spread = held
    rate = torch.full_like(total, common) if level == INF else (total - right + level * common) / (total + level)
    same = torch.eye(classes, dtype=torch.float64)
    where = (1 - same) / (classes - 1)
    if spread != INF:
        where = (counts * (1 - same) + spread * where) / (total - right + spread)[:, None]
    found: Tensor = (1 - rate)[:, None] * same + rate[:, None] * where
    return found


def _shown(score: Float64[Tensor, "class row"], label: Int64[Tensor, " row"]) -> Float64[Tensor, "class class"]:
    """Where the labels of each class go, by the labels of those samples that are most surely of it."""
    classes = len(score)
    sure, told = score.softmax(0).max(0)
    counts = _even(classes, 0.2)
    for c in range(classes):
        at = (told == c).nonzero().squeeze(1)
        first = at[sure[at].argsort(descending=True, stable=True)[: max(_ENOUGH, round(_SUREST * len(at)))]]
        counts[c] += torch.bincount(label[first], minlength=classes)
    found: Tensor = counts / counts.sum(1, keepdim=True)
    return found


def _chosen(fit: _Fit, found: list[LabelModel]) -> LabelModel:
    """The strongest hold whose likelihood on labels left out is within some standard errors of the best."""
    part = torch.arange(fit.rows) % PARTS
    sure = SURE if fit.classes > 2 else SURE_OF_TWO
    told = [_left_out(fit, model, part) for model in found]
    best = max(told, key=lambda each: float(each.mean()))
    for model, each in reversed(list(zip(found, told, strict=True))):
        short = best - each
        if float(short.mean()) <= sure * float(short.std()) / len(short) ** 0.5:
            return model
    raise AssertionError("the best is within any distance of itself")


def _left_out(fit: _Fit, model: LabelModel, part: Tensor, rounds: int = 50) -> Float64[Tensor, " row"]:
    """Log-likelihood of every label under class shares and a transition matrix that the other parts taught."""
    out = torch.empty(fit.rows, dtype=torch.float64)
    for left in (part == k for k in range(PARTS)):
        out[left] = fit.part(left).log_likelihood(fit.part(~left).climbed(model, rounds, powers_too=False))
    return out


def _shares(r: Float64[Tensor, "class row"]) -> Float64[Tensor, " class"]:
    return (r.sum(1) + 1) / (r.shape[1] + len(r))
