"""Error = bias + variance per sample, in all forms that the theory uses."""

import numpy as np
import torch

from hardsight.attribution.ledger import ledger
from hardsight.measures.record import Record
from hardsight.theory.claim import Figure, Finding, Series, Trial, exact_claim
from hardsight.theory.claims.ensembles import (
    max_abs,
    max_gap,
    plug_in_variance,
    random_labels,
    random_log_probs,
    record_held_out,
)

_EXACT = 1e-12
_HESKES = "Heskes 1998; Pfau 2013; Yang et al. 2020; checked here by its definition"


@exact_claim(
    "log-loss-parts",
    statement="The mean log-loss of a sample is the log-loss of the consensus (bias) plus the mean KL divergence from "
    "the consensus to the members (variance).",
    source=_HESKES,
    expected="largest gap 1e-12 or less, between hardsight and both sides written out",
    limits="The consensus is the normalised geometric mean. With the arithmetic mean the parts do not add up.",
    runs=50,
)
def log_loss_parts(trial: Trial) -> Finding:
    """Random ensembles; error, bias and variance by the library, and by their definitions."""
    gaps, errors, sums = [], [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        views, y = random_log_probs(rng, members, 20, classes), random_labels(rng, 20, classes)
        parts = record_held_out(views, y, classes).decompose("log")
        consensus = views.mean(0).log_softmax(1)
        error = -views[:, torch.arange(20), y].mean(0)
        bias = -consensus[torch.arange(20), y]
        variance = (consensus.exp() * (consensus - views)).sum(2).mean(0)
        plug_in = plug_in_variance(members, parts.variance)
        gaps.append(
            max_gap(
                [
                    max_abs(parts.error - error),
                    max_abs(plug_in - variance),
                    max_abs(parts.error - plug_in - bias),
                    max_abs(parts.error - parts.bias - parts.variance),
                ]
            )
        )
        errors += parts.error.tolist()
        sums += (bias + variance).tolist()
    figure = Figure(
        "bias + variance by their definitions (nats)",
        "error by hardsight (nats)",
        (Series("sample of an ensemble", sums[:300], errors[:300], "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= _EXACT), {"largest gap (nats)": max_gap(gaps), "ensembles": len(gaps)}, figure)


@exact_claim(
    "label-distribution",
    statement="If labels are random, the expected log-loss is the entropy of the labels (noise) plus the KL divergence "
    "from them to the consensus (bias) plus the variance.",
    source=_HESKES,
    expected="largest gap 1e-12 or less",
    limits="Noise is the same for every model; it can be separated from bias only if the label distribution is known.",
    runs=50,
)
def label_distribution(trial: Trial) -> Finding:
    """The library's error for each label, weighted by the labels' probabilities, against the three parts."""
    gaps, parts = [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        views, label_probs = (random_log_probs(rng, members, 1, classes), torch.from_numpy(rng.dirichlet(np.ones(classes))))
        # One sample under every label.
        views_per_label = views.expand(members, classes, classes)
        label_parts = record_held_out(views_per_label, torch.arange(classes), classes).decompose("log")
        consensus = views.mean(0).log_softmax(1)[0]
        noise = torch.special.entr(label_probs).sum()
        bias = (label_probs * (label_probs.log() - consensus)).sum()
        variance = plug_in_variance(members, label_parts.variance)[0]
        gaps.append(abs(float(label_probs @ label_parts.error - noise - bias - variance)))
        parts.append([float(noise), float(bias), float(variance)])
    order = np.argsort(np.sum(parts, 1))
    sorted_parts = np.array(parts)[order].T
    figure = Figure(
        "ensembles, by expected error",
        "nats",
        tuple(
            Series(name, list(range(len(order))), row.tolist())
            for name, row in zip(("noise", "bias", "variance"), sorted_parts, strict=True)
        ),
        note="The three parts of each ensemble's expected error.",
    )
    return Finding(bool(max_gap(gaps) <= _EXACT), {"largest gap (nats)": max_gap(gaps)}, figure)


@exact_claim(
    "brier-parts",
    statement="The mean Brier score of a sample is that of the mean probability plus the mean squared distance to it.",
    source="Brier 1950 and the bias-variance identity; Yang et al. 2020 for the factor M/(M-1)",
    expected="largest gap 1e-12 or less",
    limits="The consensus is the arithmetic mean here, unlike for log-loss.",
    runs=50,
)
def brier_parts(trial: Trial) -> Finding:
    """Random ensembles, against the definition."""
    gaps, errors, sums = [], [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        views, y = random_log_probs(rng, members, 20, classes), random_labels(rng, 20, classes)
        parts = record_held_out(views, y, classes).decompose("brier")
        p, truth = views.exp(), torch.nn.functional.one_hot(y, classes)
        error = (p - truth).square().sum(2).mean(0)
        bias, variance = (p.mean(0) - truth).square().sum(1), (p - p.mean(0)).square().sum(2).mean(0)
        plug_in = plug_in_variance(members, parts.variance)
        gaps.append(
            max_gap([max_abs(parts.error - error), max_abs(plug_in - variance), max_abs(parts.error - plug_in - bias)])
        )
        errors += parts.error.tolist()
        sums += (bias + variance).tolist()
    figure = Figure(
        "bias + variance by their definitions",
        "error by hardsight",
        (Series("sample of an ensemble", sums[:300], errors[:300], "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= _EXACT), {"largest gap": max_gap(gaps)}, figure)


@exact_claim(
    "squared-parts",
    statement="The mean squared error of a sample is that of the mean prediction plus the variance of the predictions: "
    "the epistemic uncertainty of a regression ensemble is the variance part of its error.",
    source="the uncertainty part of Zhou et al. 2022, as reconstructed; the identity itself is classic",
    expected="largest gap 1e-12 or less, against numpy's variance",
    limits="Aleatoric uncertainty is part of the bias.",
    runs=50,
)
def squared_parts(trial: Trial) -> Finding:
    """Random predictions of numbers."""
    gaps, variances, uncertainty = [], [], []
    for rng in trial.rngs:
        members = int(rng.integers(2, 9))
        views, targets = torch.from_numpy(rng.normal(size=(members, 20))), torch.from_numpy(rng.normal(size=20))
        parts = record_held_out(views, targets, None).decompose("squared")
        epistemic = torch.from_numpy(np.var(views.numpy(), axis=0, ddof=1))
        error = (views - targets).square().mean(0)
        gaps.append(
            max_gap(
                [
                    max_abs(parts.error - error),
                    max_abs(parts.variance - epistemic),
                    max_abs(parts.bias - (error - epistemic)),
                ]
            )
        )
        variances += parts.variance.tolist()
        uncertainty += epistemic.tolist()
    figure = Figure(
        "unbiased variance of the predictions (numpy)",
        "variance by hardsight",
        (Series("sample of an ensemble", uncertainty[:300], variances[:300], "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= _EXACT), {"largest gap": max_gap(gaps)}, figure)


def _domingos(rng: np.random.Generator, classes: int) -> tuple[float, float, float, bool]:
    """Return the gap of E = c1 N + B + c2 V on a random draw.

    Also the expected 0-1 loss, the disagreement of the votes, and whether the main prediction is biased.
    """
    members = int(rng.integers(3, 12))
    views = random_log_probs(rng, members, 1, classes)
    label_probs = rng.dirichlet(np.ones(classes))
    # c1 refers to labels that differ from the best one.
    best = int(label_probs.argmax())
    parts = record_held_out(views.expand(members, classes, classes), torch.arange(classes), classes).decompose("zero-one")
    expected = float(torch.from_numpy(label_probs) @ parts.error)
    votes = np.bincount(views[:, 0].argmax(1).numpy(), minlength=classes) / members
    main_prediction = int(votes.argmax())
    disagreement = 1 - votes[main_prediction]
    share_best = votes[best]
    others = np.delete(votes, best) @ np.delete(label_probs, best)
    noise = 1 - label_probs[best]
    # P(a != y*) P(a = t | a != y*, t != y*), times N: the share of votes that match a noisy label.
    noise_effect = share_best * noise - others
    biased = main_prediction != best
    variance_effect = (
        (disagreement if not biased else -(share_best / disagreement) * disagreement) if disagreement > 0 else 0.0
    )
    gap = abs(expected - (noise_effect + biased + variance_effect))
    parts_gap = abs(float(parts.bias[best]) - biased) + abs(float(parts.variance[best]) - variance_effect)
    return max_gap([gap, parts_gap]), expected, float(disagreement), biased


def _zero_one(trial: Trial, classes: tuple[int, int]) -> Finding:
    rows = [_domingos(rng, int(rng.integers(*classes))) for rng in trial.rngs]
    gap = max_gap([row[0] for row in rows])
    figure = Figure(
        "share of views that differ from the main prediction",
        "expected 0-1 error",
        tuple(
            Series(name, [r[2] for r in rows if r[3] == biased], [r[1] for r in rows if r[3] == biased], "point")
            for name, biased in (("main prediction right", False), ("main prediction wrong", True))
        ),
        note="Variance around the main prediction costs if it is right, and helps if it is wrong.",
    )
    return Finding(bool(gap <= _EXACT), {"largest gap": gap, "draws": len(rows)}, figure)


@exact_claim(
    "zero-one-two-classes",
    statement="Two classes, noisy labels: expected 0-1 loss = c1 N + B + c2 V, with c1 = 2 P(prediction right) - 1, and "
    "c2 = 1 if the main prediction is right and -1 if it is wrong.",
    source="Domingos 2000, A unified bias-variance decomposition",
    expected="largest gap 1e-12 or less",
    limits="With tied votes the main prediction is a convention: the lowest class here.",
    runs=200,
)
def zero_one_two_classes(trial: Trial) -> Finding:
    """Random votes of two classes."""
    return _zero_one(trial, (2, 3))


@exact_claim(
    "zero-one-many-classes",
    statement="More classes: the same with c2 = -P(right | not the main prediction) if the main prediction is wrong, "
    "and c1 reduced by the probability of predicting the noisy label.",
    source="Domingos 2000, A unified bias-variance decomposition",
    expected="largest gap 1e-12 or less",
    limits="No sign-free bias and variance exist for 0-1 loss: only Bregman losses have them (Heskes 2025).",
    runs=200,
)
def zero_one_many_classes(trial: Trial) -> Finding:
    """Random votes of three to seven classes."""
    return _zero_one(trial, (3, 8))


@exact_claim(
    "variance-forms",
    statement="The variance under log-loss is mean LSE(z) - LSE(mean z) of the logits: it needs no label, is never "
    "negative, and is zero exactly if all members agree.",
    source="derived here from Heskes 1998",
    expected="largest gap 1e-12 or less; no negative value; 0 for equal members; the same under every label",
    limits="For the plain variance over the given members; the reported variance is M/(M-1) times as large.",
    runs=50,
)
def variance_forms(trial: Trial) -> Finding:
    """Logits whose members are drawn apart step by step."""
    gaps, lowest, curves = [], np.inf, []
    scales = [0.0, 0.1, 0.25, 0.5, 1.0, 2.0]
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        mean_logits, deviations = rng.normal(size=classes), rng.normal(size=(members, classes))
        curve = []
        for scale in scales:
            z = torch.from_numpy(mean_logits + scale * deviations)
            views = z[:, None, :].expand(members, classes, classes)
            variance = plug_in_variance(
                members, record_held_out(views, torch.arange(classes), classes).decompose("log").variance
            )
            form = z.logsumexp(1).mean() - z.mean(0).logsumexp(0)
            gaps.append(max_gap([max_abs(variance - form), float(variance.max() - variance.min())]))
            lowest = min(lowest, float(variance.min()))
            curve.append(float(variance[0]))
        curves.append(curve)
    equal = max(curve[0] for curve in curves)
    figure = Figure(
        "scale of the differences between members",
        "variance (nats)",
        tuple(Series(f"ensemble {k + 1}", scales, curve) for k, curve in enumerate(curves[:4])),
        note="Zero where members agree, and growing with their disagreement.",
    )
    measured = {"largest gap (nats)": max_gap(gaps), "smallest variance": lowest, "largest variance of equal members": equal}
    return Finding(bool(max_gap(gaps) <= _EXACT and lowest >= 0 and equal <= _EXACT), measured, figure)


@exact_claim(
    "consensus-loss",
    statement="The log-loss of the geometric-mean ensemble is the bias, and hence never above the members' mean loss.",
    source=_HESKES,
    expected="largest gap 1e-12 or less; no sample where the ensemble's loss is above the mean",
    limits="Says nothing about the best member, which may be better than the ensemble.",
    runs=50,
)
def consensus_loss(trial: Trial) -> Finding:
    """The library's consensus, evaluated on its own."""
    gaps, gains, ensemble, mean = [], [], [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        views, y = random_log_probs(rng, members, 20, classes), random_labels(rng, 20, classes)
        record = record_held_out(views, y, classes)
        parts = record.decompose("log")
        loss = -record.consensus[torch.arange(20), y]
        gaps.append(max_abs(loss - (parts.error - plug_in_variance(members, parts.variance))))
        gains.append(float((parts.error - loss).min()))
        ensemble += loss.tolist()
        mean += parts.error.tolist()
    figure = Figure(
        "members' mean loss (nats)",
        "loss of the consensus (nats)",
        (Series("sample", mean[:300], ensemble[:300], "point"), Series("equal", [0, max(mean[:300])], [0, max(mean[:300])])),
        note="No point lies above the diagonal.",
    )
    measured = {"largest gap (nats)": max_gap(gaps), "smallest gain (nats)": min(gains)}
    return Finding(bool(max_gap(gaps) <= _EXACT and min(gains) >= -_EXACT), measured, figure)


@exact_claim(
    "bald-is-not-variance",
    statement="Mutual information (BALD) is the mean KL divergence of the members from the arithmetic mean; the variance is "
    "that from the geometric mean to the members. They are different numbers; both vanish together.",
    source="Houlsby et al. 2011 for BALD; the comparison was derived here",
    expected="largest gap of bald to its KL form 1e-12 or less; the two differ by more than 0.01 nats somewhere, and "
    "not where members agree",
    limits="They often rank samples alike; a report must name which one it shows.",
    runs=50,
)
def bald_is_not_variance(trial: Trial) -> Finding:
    """The record's `bald` and the library's variance of the same views."""
    gaps, bald, variance = [], [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(2, 9)), int(rng.integers(2, 7))
        views, y = random_log_probs(rng, members, 20, classes, scale=4.0), random_labels(rng, 20, classes)
        views[:, 0] = views[0, 0]
        record = Record(["bald"], members=True)
        for member, view in enumerate(views):
            record.add(view=member, ids=np.arange(20), logits=view, labels=y)
        information = torch.tensor(record.measure("bald").to_numpy())
        mean_log_prob = views.exp().mean(0).log()
        gaps.append(max_abs(information - (views.exp() * (views - mean_log_prob)).sum(2).mean(0)))
        bald += information.tolist()
        variance += plug_in_variance(members, record_held_out(views, y, classes).decompose("log").variance).tolist()
    difference = np.abs(np.subtract(bald, variance))
    where_agreed = float(difference[::20].max())
    figure = Figure(
        "variance (nats)",
        "mutual information (nats)",
        (
            Series("sample", variance[:400], bald[:400], "point"),
            Series("equal", [0, max(variance[:400])], [0, max(variance[:400])]),
        ),
        note="Two measures of disagreement; they differ.",
    )
    measured = {
        "largest gap to the KL form": max_gap(gaps),
        "largest difference": float(difference.max()),
        "where all agree": where_agreed,
    }
    return Finding(bool(max_gap(gaps) <= _EXACT and difference.max() > 0.01 and where_agreed <= _EXACT), measured, figure)


@exact_claim(
    "ledger-adds-up",
    statement="Noise, imbalance, margin and uncertainty of a sample add up to its error.",
    source="this library's ledger",
    expected="largest gap 1e-10 or less",
    limits="An exact sum does not show whether each term names the right cause.",
    runs=2,
    full_runs=20,
)
def ledger_adds_up(trial: Trial) -> Finding:
    """Random ensembles, unbalanced classes, some labels flipped."""
    gaps, rows = [], []
    for rng in trial.rngs:
        members, classes, samples = int(rng.integers(2, 9)), int(rng.integers(2, 6)), 120
        y = torch.from_numpy(rng.choice(classes, samples, p=rng.dirichlet(np.full(classes, 3.0))))
        z = rng.normal(size=(members, samples, classes)) + 3 * np.eye(classes)[y.numpy()]
        flipped = torch.from_numpy(rng.random(samples) < 0.15)
        y = torch.where(flipped, (y + 1) % classes, y)
        record = record_held_out(torch.from_numpy(z).log_softmax(2), y, classes)
        parts = record.decompose("log")
        terms = ledger(parts, record.consensus, y).terms
        gaps.append(max_abs(terms.sum(1) - parts.error))
        rows.append(terms.mean(0))
    mean = torch.stack(rows).mean(0)
    figure = Figure(
        "term of the ledger",
        "mean (nats)",
        (Series("mean over ensembles", ["noise", "imbalance", "margin", "uncertainty"], mean.tolist(), "bar"),),
        note="The four bars add up to the mean error.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-10), {"largest gap (nats)": max_gap(gaps)}, figure)
