"""Filters: samples whose label is probably wrong are left out, by their margins or by confident learning."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_class_codes, check_finite
from hardsight.weights.scheme import Scheme

_PLEISS = "Pleiss et al. 2020, Identifying mislabeled data using the area under the margin ranking, NeurIPS"
_NORTHCUTT = "Northcutt et al. 2021, Confident learning: estimating uncertainty in dataset labels, JAIR"


def threshold_samples(labels: Int[Tensor, " sample"], classes: int, *, seed: int = 0) -> Int[Tensor, " threshold"]:
    """Rows of N / (K + 1) samples, drawn at random. Give them the label K, one class more, and train with K + 1 classes.

    Their margins, averaged over training, are those of samples that are surely mislabelled: the ``threshold`` of
    :func:`aum_filter`. A second run with another draw judges the samples of the first.

    Args:
        labels: of all samples.
        classes: K.
        seed: of the draw.

    Raises:
        InputError: too few samples to draw one.
    """
    count = len(labels) // (check_int("classes", classes, 2) + 1)
    if count < 1:
        raise InputError(f"labels must be those of {classes + 1} samples or more. Got {len(labels)}")
    drawn = np.random.default_rng(seed).permutation(len(labels))[:count]
    return torch.from_numpy(np.sort(drawn)).to(labels.device)


def aum_filter(
    aum: Float[Tensor, " sample"], *, threshold: Float[Tensor, " threshold"], percentile: float = 99.0
) -> Float[Tensor, " sample"]:
    """1 above the percentile of the threshold samples' margins, 0 up to it.

    Args:
        aum: mean margin of each sample.
        threshold: mean margins of the threshold samples (:func:`threshold_samples`).
        percentile: 0-100.

    Raises:
        InputError: a margin is not finite, or there is no threshold sample.
    """
    if not len(threshold):
        raise InputError("threshold must hold the margin of one sample or more: see threshold_samples")
    bound = torch.quantile(
        check_finite("threshold", threshold).double(), check_range("percentile", percentile, 0, 100) / 100
    )
    return (check_finite("aum", aum).double() > bound).to(aum.dtype)


def noise_matrix(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """0 where the label is probably wrong; elsewhere 1 / P(label k is given | it is the true one), for its class k.

    Args:
        logits: by models that were not trained on the sample.
        labels: class codes.
    """
    p = check_finite("logits", logits).detach().double().softmax(1)
    labels = check_class_codes(labels, p.shape[1])
    sizes = torch.bincount(labels, minlength=p.shape[1])
    counts = _confident_counts(p, labels, sizes)
    right = counts.diagonal() / counts.sum(0).clamp(min=1)
    kept = ~_wrong(p, labels, counts)
    return (kept / right.clamp(min=1e-3)[labels]).to(logits.dtype)


def _confident_counts(p: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Samples by given and true class; (class, class) whole numbers whose rows add up to the classes' sizes."""
    own = p.gather(1, labels[:, None]).squeeze(1)
    mean = torch.zeros_like(p[0]).index_add(0, labels, own) / sizes
    confident = p >= mean.nan_to_num(nan=torch.inf) - 1e-6
    sure = confident.any(1)
    true = torch.where(confident, p, -1).argmax(1)
    classes = p.shape[1]
    counts = (
        torch.bincount(labels[sure] * classes + true[sure], minlength=classes**2).reshape(classes, classes).double()
    )
    counts.diagonal().clamp_(min=1)
    return _rounded(counts * (sizes / counts.sum(1))[:, None], sizes)


def _rounded(counts: Tensor, sizes: Tensor) -> Tensor:
    """Whole numbers with the same sums of rows: the largest remainders are rounded up."""
    low = (counts + 1e-9).floor()
    missing = sizes - low.sum(1)
    rank = (counts - low).argsort(dim=1, descending=True, stable=True).argsort(1)
    return low + (rank < missing[:, None])


def _wrong(p: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """As many samples of class k as belong to class j by the counts: those where j is likelier than k by most.

    But no sample whose own class is the likeliest, and never a whole class.
    """
    wrong = torch.zeros(len(p), dtype=torch.bool, device=p.device)
    for k in range(p.shape[1]):
        rows = (labels == k).nonzero()[:, 0]
        margin = p[rows] - p[rows, k, None]
        rank = margin.argsort(dim=0, descending=True, stable=True).argsort(0)
        asked = counts[k].clone()
        asked[k] = 0
        flagged = (rank < asked).any(1) & (margin > 0).any(1)
        if len(rows) and bool(flagged.all()):
            flagged[p[rows, k].argmax()] = False
        wrong[rows] = flagged
    return wrong


ROWS = (
    Scheme(
        "aum-filter",
        "samples whose label keeps a larger margin in training than purposely wrong labels do",
        "1[AUM > percentile 99 of the threshold samples' AUM]; AUM: mean over epochs of z_y - max other z",
        aum_filter,
        "easy",
        "area under the margin, logits",
        _PLEISS,
        reduction="weighted mean",
        note="Published with N/(K + 1) threshold samples of an extra class, and two runs, so that each sample is judged "
        "once (threshold_samples draws them); the rule was checked against a second account of the paper.",
    ),
    Scheme(
        "noise-matrix",
        "samples whose label is probably right; more of them in classes that lost many",
        "0 if pruned by the noise rate, otherwise 1/max(P(given k | true k), 1e-3)",
        noise_matrix,
        "easy",
        "probabilities by models that were not trained on the sample",
        _NORTHCUTT,
        per="class",
        note="As cleanlab does it: counts of the confident joint, calibrated to the classes' sizes, say how many are "
        "pruned. Of several confident classes the likeliest counts, as in the paper; cleanlab takes the likeliest of all. "
        "The logits must be held-out ones.",
    ),
)
