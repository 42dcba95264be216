"""Imbalance: how class sizes affect the probability of the true label, and where the log-loss form fails."""

import numpy as np
import torch

from hardsight.attribution.label_noise import Evidence, LabelModel, LabelPosterior
from hardsight.attribution.ledger import ledger
from hardsight.measures.bias_variance import log_loss
from hardsight.measures.record import Record
from hardsight.theory.claim import Figure, Finding, Series, Trial, bound_claim, exact_claim
from hardsight.theory.claims.ensembles import max_abs, max_gap, record_held_out
from hardsight.theory.scenarios import GaussianMixture
from hardsight.weights.catalogue import get_scheme

_PROPOSITION_3 = "Proposition 3, after Zhou et al. 2022, as reconstructed (there with a ratio above e:1)"


def _doubts(posterior: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return E[1 - p(y) | y = k] of a calibrated classifier on atoms, ``(class,)``, by the library's record."""
    atoms, classes = posterior.shape
    record = Record(["self-confidence"], members=True)
    ids, labels = np.arange(atoms * classes), np.tile(np.arange(classes), atoms)
    record.add(view=0, ids=ids, logits=np.repeat(np.log(posterior), classes, 0), labels=labels, held_out=True)
    doubt = record.measure("self-confidence").to_numpy().reshape(atoms, classes)
    weight = mass[:, None] * posterior
    doubts: np.ndarray = (weight * doubt).sum(0) / weight.sum(0)
    return doubts


@exact_claim(
    "calibrated-truth-probability",
    statement="A calibrated classifier gives the truth of class k the mean probability 1 - c_k/pi_k, with c_k = E[eta_k "
    "(1 - eta_k)].",
    source=f"derived here; it replaces {_PROPOSITION_3}",
    expected="largest gap 1e-12 or less in random discrete scenarios",
    limits="Calibrated (Bayes) posteriors; a trained network is calibrated only roughly.",
    runs=50,
)
def calibrated_truth_probability(trial: Trial) -> Finding:
    """Random scenarios with a few atoms, so that all expectations are sums."""
    gaps, formula, measured = [], [], []
    for rng in trial.rngs:
        atoms, classes = int(rng.integers(3, 12)), int(rng.integers(2, 6))
        posterior, mass = rng.dirichlet(np.full(classes, 0.7), atoms), rng.dirichlet(np.ones(atoms))
        posterior = np.clip(posterior, 1e-6, None)
        posterior /= posterior.sum(1, keepdims=True)
        shares, c = mass @ posterior, mass @ (posterior * (1 - posterior))
        doubts = _doubts(posterior, mass)
        gaps.append(max_gap(np.abs(doubts - c / shares).tolist()))
        formula += (c / shares).tolist()
        measured += doubts.tolist()
    figure = Figure(
        "c_k / pi_k",
        "mean doubt of the class",
        (Series("class", formula, measured, "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-12), {"largest gap": max_gap(gaps)}, figure)


@bound_claim(
    "two-classes-rare-is-harder",
    statement="Of two classes the smaller one has the larger mean 1 - p(truth) under a calibrated classifier, for every "
    "ratio above one: no ratio of e:1 is needed.",
    source=f"derived here; it sharpens {_PROPOSITION_3}",
    expected="the rare class has the larger doubt on every draw, ratios below e:1 included",
    limits="For 1 - p(truth); the log-loss form fails, see log-loss-imbalance-fails.",
    runs=200,
)
def two_classes_rare_is_harder(trial: Trial) -> Finding:
    """Random scenarios with two classes."""
    ratios, gaps, n_below_e = [], [], 0
    for rng in trial.rngs:
        atoms = int(rng.integers(2, 12))
        eta = np.clip(rng.beta(rng.uniform(0.3, 2), rng.uniform(0.3, 2), atoms), 1e-6, 1 - 1e-6)
        posterior, mass = np.column_stack([eta, 1 - eta]), rng.dirichlet(np.ones(atoms))
        shares = mass @ posterior
        frequent, rare = np.argsort(-shares)
        doubt = _doubts(posterior, mass)
        ratio = shares[frequent] / shares[rare]
        ratios.append(float(ratio))
        gaps.append(float(doubt[rare] - doubt[frequent]))
        n_below_e += bool(ratio < np.e)
    figure = Figure(
        "ratio of the class shares",
        "doubt: rare - frequent class",
        (Series("world", ratios, gaps, "point"),),
        log="x",
        rule=0.0,
        note="Above zero for every ratio above one.",
    )
    measured = {"smallest gap": float(np.min(gaps)), "worlds with a ratio below e": n_below_e}
    return Finding(bool(np.min(gaps) >= -1e-12 and n_below_e > 20), measured, figure)


@exact_claim(
    "many-classes-order",
    statement="With more than two classes a larger class may be harder: the order is that of c_k/pi_k, not that of the "
    "shares pi_k.",
    source="counterexample derived here; the naive reading orders classes by size",
    expected="a scenario where a larger class has the larger doubt, and c_k/pi_k orders all classes correctly",
    limits="Difficulty depends on both overlap and size.",
    runs=1,
)
def many_classes_order(trial: Trial) -> Finding:
    """The largest class overlaps another one; the smallest is isolated."""
    posterior = np.array([[0.5, 0.5 - 1e-9, 1e-9], [0.8, 0.2 - 1e-9, 1e-9], [1e-9, 1e-9, 1 - 2e-9]])
    mass = np.array([0.5, 0.4, 0.1])
    shares, c = mass @ posterior, mass @ (posterior * (1 - posterior))
    doubt = _doubts(posterior, mass)
    largest_class, smallest_class = int(shares.argmax()), int(shares.argmin())
    order = np.argsort(c / shares).tolist() == np.argsort(doubt).tolist()
    names = [f"share {share:.0%}" for share in shares]
    figure = Figure(
        "class",
        "mean doubt",
        (Series("mean 1 - p(truth)", names, doubt.tolist(), "bar"),),
        note="The smallest class is the easiest here.",
    )
    measured = {"doubt of the largest class": doubt[largest_class], "doubt of the smallest class": doubt[smallest_class]}
    return Finding(bool(doubt[largest_class] > doubt[smallest_class] and order), measured, figure)


@exact_claim(
    "log-loss-imbalance-fails",
    statement="The log-loss form of the imbalance claim is not a theorem: with 9:1 classes, the mean log-loss of the "
    "majority can be larger although its mean 1 - p(truth) is smaller.",
    source="counterexample derived here to Proposition A.1 of Zhou et al. 2022, as reconstructed",
    expected="log-loss majority 1.54e-6 > minority 1.00e-6, to 1 %, and doubt the other way round",
    limits="An extreme scenario; in measured data the tendency holds (long-tail-error).",
    runs=1,
)
def log_loss_imbalance_fails(trial: Trial) -> Finding:
    """Posterior 1e-6 of the majority on a tenth of the mass, 1 - 1e-300 elsewhere; losses by the library."""
    eta = np.array([1e-6, 1 - 1e-16])
    posterior, mass = np.column_stack([eta, [1 - 1e-6, 1e-16]]), np.array([0.1, 0.9])
    views = torch.from_numpy(np.log(posterior))
    mean = views.repeat_interleave(2, 0)
    losses = log_loss(mean, torch.tensor([0, 1, 0, 1]), torch.ones(4, dtype=torch.int64)).error.numpy().reshape(2, 2)
    weight = mass[:, None] * posterior
    loss = (weight * losses).sum(0) / weight.sum(0)
    doubt = _doubts(posterior, mass)
    figure = Figure(
        "measure",
        "mean of the class, in millionths",
        (
            Series("majority (9)", ["log-loss", "doubt"], [1e6 * loss[0], 1e6 * doubt[0]], "bar"),
            Series("minority (1)", ["log-loss", "doubt"], [1e6 * loss[1], 1e6 * doubt[1]], "bar"),
        ),
        note="Log-loss and doubt, 1 - p(truth), order the classes differently.",
    )
    measured = {"log-loss of the majority": loss[0], "of the minority": loss[1], "doubt of the majority": doubt[0],
                "doubt of the minority": doubt[1]}  # fmt: skip
    matches = abs(loss[0] / 1.54e-6 - 1) < 0.01 and abs(loss[1] / 1e-6 - 1) < 0.01
    return Finding(bool(matches and loss[0] > loss[1] and doubt[0] < doubt[1]), measured, figure)


@exact_claim(
    "imbalance-line",
    statement="For a Bayes consensus with right labels, the ledger's imbalance term is what balanced classes would "
    "save: the gap of the log-posteriors under equal and under the true class shares.",
    source="Bayes' rule; logit adjustment, Menon et al. 2021",
    expected="largest gap 1e-12 or less; the mean is positive for the rarest class and negative for the most frequent",
    limits="Exact if the consensus is the posterior; a trained ensemble follows class shares only roughly.",
    runs=10,
)
def imbalance_line(trial: Trial) -> Finding:
    """Gaussian classes of different sizes; every member predicts the posterior."""
    gaps, rare, frequent = [], [], []
    for rng in trial.rngs:
        mixture = GaussianMixture(1.5 * rng.normal(size=(3, 2)), np.array([0.7, 0.2, 0.1]))
        x, y = mixture.draw(400, rng)
        log_posterior = torch.from_numpy(mixture.log_posterior(x))
        balanced = torch.from_numpy(mixture.log_posterior(x, np.full(3, 1 / 3)))
        label, shares = torch.from_numpy(y), torch.from_numpy(mixture.shares)
        parts = record_held_out(torch.stack([log_posterior, log_posterior]), label, 3).decompose("log")
        identity_model = LabelModel(
            torch.eye(3, dtype=torch.float64), shares, torch.ones(1, dtype=torch.float64), (np.inf, np.inf),
            noise_aware=False, informative=False,
        )  # fmt: skip
        known = LabelPosterior(Evidence(log_posterior, label, shares, None), identity_model)
        term = ledger(parts, log_posterior, label, prior=shares, label_posterior=known).terms[:, 1]
        rows = torch.arange(len(y))
        gaps.append(max_abs(term - (balanced[rows, label] - log_posterior[rows, label])))
        rare.append(float(term[label == 2].mean()))
        frequent.append(float(term[label == 0].mean()))
    figure = Figure(
        "world",
        "mean imbalance line (nats)",
        (
            Series("rarest class (10 %)", list(range(len(rare))), rare, "point"),
            Series("most frequent class (70 %)", list(range(len(rare))), frequent, "point"),
        ),
        rule=0.0,
        note="Balanced classes would help rare ones and hurt frequent ones.",
    )
    measured = {"largest gap (nats)": max_gap(gaps), "smallest mean of the rarest class": float(np.min(rare))}
    return Finding(bool(max_gap(gaps) <= 1e-12 and np.min(rare) > 0 > np.max(frequent)), measured, figure)


@exact_claim(
    "balanced-weights-divide-prior",
    statement="Weighting classes by 1/n_c makes the Bayes posterior that of balanced classes: such weights and dividing "
    "the consensus by the prior agree.",
    source="Bayes' rule; King & Zeng 2001; Menon et al. 2021",
    expected="largest gap of the two posteriors 1e-6 or less, and of the classes' total weights: the scheme gives "
    "single precision",
    limits="For the population, and models that can represent the posterior; for separable data see weights-fade.",
    runs=20,
)
def balanced_weights_divide_prior(trial: Trial) -> Finding:
    """Discrete scenarios; the minimiser of the weighted log-loss in each atom is the weighted share of the labels."""
    gaps, totals, unweighted_posterior, weighted_posterior = [], [], [], []
    for rng in trial.rngs:
        atoms, classes = int(rng.integers(3, 10)), int(rng.integers(2, 6))
        counts = rng.integers(1, 40, (atoms, classes)) * rng.integers(1, 8, classes)
        sizes = torch.from_numpy(counts.sum(0))
        labels = torch.from_numpy(np.repeat(np.tile(np.arange(classes), atoms), counts.ravel()))
        atom_index = np.repeat(np.arange(atoms), counts.sum(1))
        weights = get_scheme("balanced")({"labels": labels, "sizes": sizes}, {}).double().numpy()
        weighted = np.zeros((atoms, classes))
        np.add.at(weighted, (atom_index, labels.numpy()), weights)
        minimiser = weighted / weighted.sum(1, keepdims=True)
        divided = counts / counts.sum(0)
        divided = divided / divided.sum(1, keepdims=True)
        total = weighted.sum(0)
        gaps.append(max_gap(np.abs(minimiser - divided).ravel()))
        totals.append(float(total.max() / total.min() - 1))
        unweighted_posterior += (counts / counts.sum(1, keepdims=True))[:, 0].tolist()
        weighted_posterior += minimiser[:, 0].tolist()
    figure = Figure(
        "posterior of class 0, unweighted",
        "posterior of class 0, weighted by class",
        (Series("atom of a scenario", unweighted_posterior, weighted_posterior, "point"),),
        note="Weights move the posterior to that of balanced classes.",
    )
    measured = {"largest gap": max_gap(gaps), "largest relative gap of class totals": max_gap(totals)}
    return Finding(bool(max_gap(gaps) <= 1e-6 and max_gap(totals) <= 1e-6), measured, figure)
