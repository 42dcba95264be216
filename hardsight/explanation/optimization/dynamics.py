"""What weights do to optimization: how far they are from the max-margin dual, where training goes with them, and how fast.

Every weighting is compared with uniform weights, from the same start: linear models by gradient flow over many decades of
time, and small networks as they are trained in practice.
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
from hardsight.explanation.optimization import network_runs as training_runs
from hardsight.explanation.optimization.features import LIMIT, prepare_features
from hardsight.explanation.optimization.gradient_shares import Group, gradient_shares
from hardsight.explanation.optimization.linear_models import TIMES, LinearProblem, follow_linear_models
from hardsight.explanation.optimization.max_margin import Dual, solve_max_margin
from hardsight.learners.network.network import Network
from hardsight.validation import check_int

UNIFORM = "uniform"
SEEDS = 3
NOTE = (
    "KL(p*‖w) bounds how far training with these weights is from the max-margin direction: a smaller KL is a smaller upper "
    "bound, not a faster direction"
)
_GAP = 1e-6
_NEAR = 0.9


@dataclass(frozen=True, eq=False)
class TrainingDynamics:
    """The optimization part of an explanation.

    Attributes:
        features: what the linear analysis runs on, in words.
        network: the recipe of the networks, in words.
        rows: positions of the samples that were used, ``(row,)``.
        dual: of the max-margin problem on those features, or of its surrogate.
        kl: a row a weighting: ``weights``; ``kl``, KL(p* ‖ w) in nats, w of sum one; ``uncovered``, the part of p* that lies
            on samples of weight 0, where ``kl`` is infinite.
        linear: see :func:`hardsight.explanation.optimization.linear_models.follow_linear_models`.
        networks: the curves of :func:`hardsight.explanation.optimization.network_runs.train_networks`.
        gradients: ``when`` ("start", "end" of the networks' training), ``weights``, and the columns of
            :func:`hardsight.explanation.optimization.gradient_shares.gradient_shares`: exact gradients of the samples in all
            parameters.
        notes: what must be known to read this, a sentence each.
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
        """A row a weighting: the columns of ``kl``, and what came of it.

        Of linear training: ``time``, when the margin is nine tenths of the largest (NaN where it never is, or there is
        none); ``margin_share``, the last margin over the largest (NaN where there is none); ``angle`` to the direction and
        ``angle_uniform`` to uniform training, at the last time, and ``angle_uniform_most``, at any. Of the networks, at the
        end, means over seeds: ``network_loss`` and ``network_wrong``, of all samples alike.
        """
        reach = self.dual.margin if self.dual.separable else math.nan
        rows = []
        for name in self.kl["weights"]:
            run, nets = self.linear[self.linear["weights"] == name], self.networks[self.networks["weights"] == name]
            last, end = run.iloc[-1], nets[nets["step"] == nets["step"].max()]
            rows.append(
                {
                    "weights": name,
                    "time": time_to_margin(run, _NEAR * reach),
                    "margin_share": last["margin"] / reach,
                    "angle": last["angle"],
                    "angle_uniform": last["angle_uniform"],
                    "angle_uniform_most": run["angle_uniform"].max(),
                    "network_loss": end["loss"].mean(),
                    "network_wrong": end["wrong"].mean(),
                }
            )
        return self.kl.merge(pd.DataFrame(rows), on="weights")

    def as_dict(self) -> dict[str, Any]:
        """In JSON types; numbers that are infinite or none are None. The dual without its direction."""
        tables = {name: _records(getattr(self, name)) for name in ("summary", "linear", "networks", "gradients")}
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
        weights: by name, ``(sample,)`` each, 0 or more; "uniform" is added where it is not among them.
        groups: what a group is of, its name, and a mask ``(sample,)``: whose shares of the gradient to tell.
        what: what the matrix is, in words.
        network: recipe of the default perceptron. None: :class:`Network` as it is.
        seeds: networks a weighting.
        decay: of the linear models, lambda of lambda ||theta||² / 2.
        limit: the most samples to use.
        components: see :func:`~hardsight.explanation.optimization.features.prepare_features`.
        seed: all that is drawn follows from it.

    Raises:
        InputError: what cannot be read as features, classes, or weights; says which.
    """
    check_int("seeds", seeds, 1)
    if not 0 <= decay < math.inf:
        raise InputError(f"decay must be 0 or more. Got {decay}")
    read = prepare_features(matrix, labels, what=what, limit=limit, components=components, seed=seed)
    n = len(np.asarray(labels))
    given = {UNIFORM: np.ones(len(read.rows))} | {
        name: _checked(name, each, n, read.rows) for name, each in weights.items()
    }
    dual = solve_max_margin(read.x, read.codes, tolerance=_GAP)
    linear = follow_linear_models(
        LinearProblem.of(read.x, read.codes, np.stack(list(given.values())), decay), list(given), dual
    )
    recipe = network or Network()
    trained = training_runs.train_networks(read.standardised, read.codes, given, network=recipe, seeds=seeds, seed=seed)
    here = [(by, name, np.asarray(mask)[read.rows]) for by, name, mask in groups]
    here = [group for group in here if group[2].any()]
    moved = [
        gradient_shares(lengths[name], given[name], here).assign(when=when, weights=name)
        for when, lengths in (("start", trained.start), ("end", trained.end))
        for name in given
    ]
    gradients = pd.concat(moved, ignore_index=True)
    return TrainingDynamics(
        read.description,
        recipe.describe(),
        read.rows,
        dual,
        kl_from_dual(dual, given),
        linear,
        trained.curves,
        gradients[["when", "weights", *(c for c in gradients.columns if c not in ("when", "weights"))]],
        tuple(_notes(dual, given, linear, decay)),
    )


def kl_from_dual(dual: Dual, weights: Mapping[str, Float64[np.ndarray, " sample"]]) -> pd.DataFrame:
    """KL(p* ‖ w) of each weighting, and how much of p* lies where it gives no weight; see :class:`TrainingDynamics`.

    >>> from hardsight.explanation.optimization.max_margin import max_margin
    >>> found = solve_max_margin([[1.0], [-1.0]], [1, 0])
    >>> kl_from_dual(found, {"even": np.ones(2), "one": np.array([1.0, 0.0])})["kl"].round(6).tolist()
    [0.0, inf]
    """
    p = dual.coefficients
    rows = []
    for name, each in weights.items():
        bare = dual.holding & (each == 0)
        there = (each > 0) & (p > 0)
        value = math.inf if bare.any() else float((p[there] * np.log(p[there] / each[there] * each.sum())).sum())
        rows.append({"weights": name, "kl": value, "uncovered": float(p[bare].sum())})
    return pd.DataFrame(rows)


def time_to_margin(run: pd.DataFrame, margin: float) -> float:
    """When a linear run's margin is first so large, between the times told on a logarithmic scale; NaN where it never is."""
    reached = (run["margin"] >= margin).to_numpy()
    if not reached.any():
        return math.nan
    at = int(reached.argmax())
    times, margins = np.log(run["time"].to_numpy()), run["margin"].to_numpy()
    if at == 0:
        return float(np.exp(times[0]))
    share = (margin - margins[at - 1]) / (margins[at] - margins[at - 1])
    return float(np.exp(times[at - 1] + share * (times[at] - times[at - 1])))


def _checked(name: str, weights: ArrayLike, n: int, rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = normalize_weights(weights, n, f"weights {name!r}")[rows]
    if not found.any():
        raise InputError(
            f"weights {name!r} give none of the {len(rows):,} samples used any weight: give more samples some"
        )
    return found


def _notes(dual: Dual, weights: Mapping[str, np.ndarray], linear: pd.DataFrame, decay: float) -> Iterable[str]:
    if not dual.separable:
        yield (
            f"no linear model of these features separates the classes: p* and the direction are those of a soft margin with "
            f"C = {dual.surrogate:.3g}, which training passes by, and weights change where it ends, not only how fast"
        )
    elif decay:
        yield "with decay linear training stops short of the max-margin direction, at a point that depends on the weights"
    yield NOTE
    bare = [name for name, each in weights.items() if dual.holding[each == 0].any()]
    if bare:
        yield f"{', '.join(bare)}: no weight on samples that hold the max-margin direction, so KL(p*‖w) is infinite"
    last = float(linear["time"].max())
    if last < TIMES[-1]:
        yield f"the linear runs end at time {last:.3g}, where their budget of gradients ends"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]
