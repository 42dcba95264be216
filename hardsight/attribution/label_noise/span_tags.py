r"""The label model of tags that spell spans, such as names: one large class "O" outside of spans, and many small ones.

$P(y | x) = \sum_c q(c | x)\,T(c \to y)$ with $q \propto \rho_c\,p_c^\beta$, $p$ the held-out consensus. Models are too sure
that a name which they never saw is none, and the general model (:mod:`hardsight.attribution.label_noise`) then explains
such names as wrong labels. So this one is simpler, and starts from what is usual. $T$ has two rates of wrong labels, one of
"O" and one of all tags in spans, each with a beta prior whose mean is 5 % and which is worth 200 tokens. Wrong labels spread
evenly over the other tags. The power $\beta$ has a normal prior around 1 and no lower bound but zero, since predictions that
are too sure need a power below 1. Neighbours and ranks are not used. ``benchmarks/LOG.md`` has what else was tried.

A tag that models never saw has no probability of its own. It gets a part of that of all tags in spans, by its share among
their labels: what is known of the token is whether it looks like a part of any span.
"""

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG, INF
from hardsight.attribution.label_noise.em import LabelModelFitter, solve_nonnegative
from hardsight.attribution.label_noise.model import Evidence, LabelModel
from hardsight.attribution.label_noise.selection import rows_to_fit

_MEAN_RATE = DEFAULT_CONFIG.start_wrong_share
# Tokens that the prior of each rate is worth.
_PRIOR_TOKENS = 200.0


def fit_span_tag_model(evidence: Evidence, outside: int | None) -> LabelModel:
    """Fit the model by EM, to at most 20,000 tokens.

    Args:
        evidence: evidence without neighbours.
        outside: class of the tokens outside of spans; None if there are none.
    """
    fitter = _Fitter(evidence, rows_to_fit(evidence, DEFAULT_CONFIG), outside)
    if not fitter.is_informative():
        return fitter.noise_free_model()
    shares = fitter.label_shares().clamp(min=1 / fitter.n_rows)
    start = LabelModel(
        fitter.even_transition(_MEAN_RATE), shares / shares.sum(), fitter.models_only(1.0), (INF, INF), noise_aware=False
    )
    return fitter.run_em(start)


def back_off(
    consensus: Float64[Tensor, "token class"],
    label: Int64[Tensor, " token"],
    unseen: Bool[Tensor, " token"],
    outside: int | None,
) -> Float64[Tensor, "token class"]:
    """Return the consensus in which the tags of spans divide their probability by their shares, for some tokens.

    Args:
        consensus: held-out log-probabilities.
        label: given labels.
        unseen: tokens whose tag is missing from the training part of models that predict them.
        outside: class of the tokens outside of spans; None if there are none.
    """
    counts = torch.bincount(label, minlength=consensus.shape[1]).double()
    if outside is not None:
        counts[outside] = 0
    probability = consensus[unseen].double().exp()
    of_spans = probability.sum(1) if outside is None else 1 - probability[:, outside]
    parts = of_spans.clamp(min=1e-12)[:, None] * counts / counts.sum()
    if outside is not None:
        parts[:, outside] = probability[:, outside]
    result = consensus.clone()
    result[unseen] = parts.clamp(min=1e-300).log().to(result.dtype)
    return result


class _Fitter(LabelModelFitter):
    """Fits the model: other rates, and no lower bound of the evidence weights."""

    def __init__(self, evidence: Evidence, rows: Int64[Tensor, " row"], outside: int | None) -> None:
        super().__init__(evidence.label_evidence(rows), evidence.label[rows], evidence.prior, counts=evidence.counts)
        # The rate of each class: 0 outside of spans, 1 in them.
        self.group = torch.ones(self.n_classes, dtype=torch.int64)
        if outside is not None:
            self.group[outside] = 0

    def bounded_weights(
        self, curvature: Float64[Tensor, "evidence evidence"], target: Float64[Tensor, " evidence"]
    ) -> Float64[Tensor, " evidence"]:
        """Solve ``curvature @ weights = target`` with nonnegative weights."""
        return solve_nonnegative(curvature, target).clamp(max=self.config.max_weight)

    def shrunk_rates(
        self, total: Float64[Tensor, " class"], right: Float64[Tensor, " class"], common_rate: float, model: LabelModel
    ) -> Float64[Tensor, " class"]:
        """Estimate the rates of wrong labels outside of spans and in them."""
        sums = (torch.zeros(2, dtype=torch.float64).index_add_(0, self.group, each) for each in (total - right, total))
        wrong, tokens = sums
        rates = (wrong + _PRIOR_TOKENS * _MEAN_RATE) / (tokens + _PRIOR_TOKENS)
        return rates[self.group]
