"""The effect of weights on optimization: distance from the max-margin dual, path of training, and its speed.

Every weighting is compared with uniform weights, from the same start: linear models by gradient flow over many decades
of time, and small networks trained as in practice.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy.typing import ArrayLike

from hardsight.data.columns import normalize_weights
from hardsight.errors import InputError
from hardsight.explanation.optimization.features import LIMIT, prepare_features
from hardsight.explanation.optimization.gradient_shares import Group, gradient_shares
from hardsight.explanation.optimization.linear_models import TIMES, LinearProblem, follow_linear_models
from hardsight.explanation.optimization.max_margin import Dual, solve_max_margin
from hardsight.explanation.optimization.network_runs import train_networks
from hardsight.io.json_values import to_records
from hardsight.learners.network.network import Network
from hardsight.validation import check_int

UNIFORM = "uniform"
SEEDS = 3
NOTE = (
    "KL(p*‖w) bounds the distance of training with these weights from the max-margin direction: a smaller KL is a "
    "smaller upper bound, not a faster direction"
)
_TOLERANCE = 1e-6
_NEAR_MARGIN = 0.9


@dataclass(frozen=True, eq=False)
class TrainingDynamics:
    """The optimization part of an explanation.

    Attributes:
        features: what the linear analysis runs on, as text.
        network: the recipe of the networks, as text.
        rows: positions of the samples that were used, ``(row,)``.
        dual: solution of the max-margin problem on those features, or of its soft-margin surrogate.
        kl: one row per weighting: ``weights``; ``kl``, KL(p* ‖ w) in nats, w of sum one; ``uncovered``, the part of p*
            on samples of weight 0, where ``kl`` is infinite.
        linear: see :func:`hardsight.explanation.optimization.linear_models.follow_linear_models`.
        networks: the curves of :func:`hardsight.explanation.optimization.network_runs.train_networks`.
        gradients: ``when`` ("start" or "end" of the networks' training), ``weights``, and the columns of
            :func:`hardsight.explanation.optimization.gradient_shares.gradient_shares`: exact gradients of the samples
            in all parameters.
        notes: what a reader must know, one sentence each.
    """

    features: str
    network: str
    rows: np.ndarray
    dual: Dual
    kl: pd.DataFrame
    linear: pd.DataFrame
    networks: pd.DataFrame
    gradients: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """Return one row per weighting: the columns of ``kl``, and the results of training.

        Of linear training: ``time``, when the margin reaches nine tenths of the largest (NaN if it never does, or there
        is none); ``margin_share``, the last margin over the largest (NaN if there is none); ``angle`` to the direction
        and ``angle_uniform`` to uniform training, at the last time, and ``angle_uniform_most``, the largest at any
        time. Of the networks, at the end, means over seeds: ``network_loss`` and ``network_wrong``, of all samples,
        unweighted.
        """
        best_margin = self.dual.margin if self.dual.separable else math.nan
        rows = []
        for name in self.kl["weights"]:
            run, nets = self.linear[self.linear["weights"] == name], self.networks[self.networks["weights"] == name]
            last, end = run.iloc[-1], nets[nets["step"] == nets["step"].max()]
            rows.append(
                {
                    "weights": name,
                    "time": time_to_margin(run, _NEAR_MARGIN * best_margin),
                    "margin_share": last["margin"] / best_margin,
                    "angle": last["angle"],
                    "angle_uniform": last["angle_uniform"],
                    "angle_uniform_most": run["angle_uniform"].max(),
                    "network_loss": end["loss"].mean(),
                    "network_wrong": end["wrong"].mean(),
                }
            )
        return self.kl.merge(pd.DataFrame(rows), on="weights")

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types; infinite numbers and NaN are None. The dual's direction is left out."""
        tables = {name: to_records(getattr(self, name)) for name in ("summary", "linear", "networks", "gradients")}
        return {
            "features": self.features,
            "network": self.network,
            "samples": len(self.rows),
            "dual": {
                "separable": self.dual.separable,
                "surrogate": self.dual.surrogate,
                "margin": self.dual.margin,
                "gap": self.dual.gap,
                "coefficients": self.dual.coefficients.tolist(),
                "rows": self.rows.tolist(),
            },
            **tables,
            "notes": list(self.notes),
        }


def follow_training(
    matrix: ArrayLike,
    labels: ArrayLike,
    weights: Mapping[str, ArrayLike],
    *,
    groups: Iterable[Group] = (),
    what: str = "the features",
    network: Network | None = None,
    seeds: int = SEEDS,
    decay: float = 0.0,
    limit: int = LIMIT,
    components: int | None = None,
    seed: int = 0,
) -> TrainingDynamics:
    """Follow training with each weighting, and without weights.

    Args:
        matrix: the samples' features, or an embedding of them, ``(sample, feature)``.
        labels: classes, ``(sample,)``.
        weights: by name, ``(sample,)`` each, 0 or more; "uniform" is added if it is missing.
        groups: kind, name and mask ``(sample,)`` of each group whose share of the gradient to report.
        what: what the matrix is, as text.
        network: recipe of the default perceptron. None: the default :class:`Network`.
        seeds: networks per weighting.
        decay: of the linear models, lambda of lambda ||theta||² / 2.
        limit: the largest number of samples to use.
        components: see :func:`~hardsight.explanation.optimization.features.prepare_features`.

    Raises:
        InputError: features, classes or weights that cannot be used; the message says which.
    """
    check_int("seeds", seeds, 1)
    if not 0 <= decay < math.inf:
        raise InputError(f"decay must be 0 or more. Got {decay}")
    inputs = prepare_features(matrix, labels, what=what, limit=limit, components=components, seed=seed)
    n = len(np.asarray(labels))
    by_name = {UNIFORM: np.ones(len(inputs.rows))} | {
        name: _check_weights(name, values, n, inputs.rows) for name, values in weights.items()
    }
    dual = solve_max_margin(inputs.x, inputs.codes, tolerance=_TOLERANCE)
    linear = follow_linear_models(
        LinearProblem.from_codes(inputs.x, inputs.codes, np.stack(list(by_name.values())), decay), list(by_name), dual
    )
    recipe = network or Network()
    network_runs = train_networks(inputs.standardised, inputs.codes, by_name, network=recipe, seeds=seeds, seed=seed)
    masks = [(by, name, np.asarray(mask)[inputs.rows]) for by, name, mask in groups]
    masks = [group for group in masks if group[2].any()]
    tables = [
        gradient_shares(lengths[name], by_name[name], masks).assign(when=when, weights=name)
        for when, lengths in (("start", network_runs.start), ("end", network_runs.end))
        for name in by_name
    ]
    gradients = pd.concat(tables, ignore_index=True)
    return TrainingDynamics(
        inputs.description,
        recipe.describe(),
        inputs.rows,
        dual,
        kl_from_dual(dual, by_name),
        linear,
        network_runs.curves,
        gradients[["when", "weights", *(c for c in gradients.columns if c not in ("when", "weights"))]],
        tuple(_notes(dual, by_name, linear, decay)),
    )


def kl_from_dual(dual: Dual, weights: Mapping[str, Float64[np.ndarray, " sample"]]) -> pd.DataFrame:
    """Return KL(p* ‖ w) of each weighting, and the part of p* on samples of weight 0; see :class:`TrainingDynamics`.

    >>> from hardsight.explanation.optimization.max_margin import solve_max_margin
    >>> dual = solve_max_margin([[1.0], [-1.0]], [1, 0])
    >>> kl_from_dual(dual, {"even": np.ones(2), "one": np.array([1.0, 0.0])})["kl"].round(6).tolist()
    [0.0, inf]
    """
    p = dual.coefficients
    rows = []
    for name, each in weights.items():
        uncovered = dual.is_support & (each == 0)
        positive = (each > 0) & (p > 0)
        value = (
            math.inf if uncovered.any() else float((p[positive] * np.log(p[positive] / each[positive] * each.sum())).sum())
        )
        rows.append({"weights": name, "kl": value, "uncovered": float(p[uncovered].sum())})
    return pd.DataFrame(rows)


def time_to_margin(run: pd.DataFrame, margin: float) -> float:
    """Return the time at which a linear run reaches the margin, interpolated in log time; NaN if it never does."""
    reached = (run["margin"] >= margin).to_numpy()
    if not reached.any():
        return math.nan
    index = int(reached.argmax())
    times, margins = np.log(run["time"].to_numpy()), run["margin"].to_numpy()
    if index == 0:
        return float(np.exp(times[0]))
    share = (margin - margins[index - 1]) / (margins[index] - margins[index - 1])
    return float(np.exp(times[index - 1] + share * (times[index] - times[index - 1])))


def _check_weights(name: str, weights: ArrayLike, n: int, rows: np.ndarray) -> np.ndarray:
    selected: np.ndarray = normalize_weights(weights, n, f"weights {name!r}")[rows]
    if not selected.any():
        raise InputError(f"weights {name!r} are zero on all {len(rows):,} samples used: give some of them weight")
    return selected


def _notes(dual: Dual, weights: Mapping[str, np.ndarray], linear: pd.DataFrame, decay: float) -> Iterable[str]:
    if not dual.separable:
        yield (
            f"no linear model of these features separates the classes: p* and the direction are those of a soft margin "
            f"with C = {dual.surrogate:.3g}, which training only passes; weights change where it ends, not only how fast"
        )
    elif decay:
        yield "with decay linear training stops short of the max-margin direction, at a point that depends on the weights"
    yield NOTE
    uncovered = [name for name, each in weights.items() if dual.is_support[each == 0].any()]
    if uncovered:
        yield f"{', '.join(uncovered)}: no weight on some support vectors, so KL(p*‖w) is infinite"
    end = float(linear["time"].max())
    if end < TIMES[-1]:
        yield f"the linear runs end at time {end:.3g}, when their budget of gradients is spent"
