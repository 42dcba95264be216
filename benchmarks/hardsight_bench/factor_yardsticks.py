"""Four yardsticks of the ledger, each for a question of its own.

- Interventions: if one cause alone is made stronger, does its line rise, and no other? The answer is the share of the
  movement that is in the right line.
- Exact posteriors: where the density of the data is known, does margin rank samples by the probability that any other
  label is right, and uncertainty by how far the members are from the posterior?
- Raters: does margin rank samples of one class by how much people disagree on them?
- Planted samples: does each line tell the samples of its factor from those of the other factors and from easy clean ones?
  Clean samples that the models get wrong may be hard for any reason; they are left out as unknown. Uncertainty is judged
  among samples whose error exceeds log 2, too: a line in nats cannot rank an easy sample high.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hardsight.attribution.ledger import HARD_ERROR
from hardsight.attribution.names import FACTORS
from hardsight.difficulty.result import Difficulty
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight_bench.corruptions import blend, near, rare, uniform
from hardsight_bench.datasets import RATED, Dataset, load_dataset, load_rated
from hardsight_bench.factors import Scenario, atypical_kinds, make_scenario
from hardsight_bench.humans import entropy, rank_correlations

# Which line an intervention should move. P(strange) counts for corruption, too, and is reported beside the lines.
INTERVENTIONS = {
    "more wrong labels": "noise", "blends of classes": "margin", "rarer classes": "imbalance",
    "half of the data": "uncertainty", "noisy features": "uncertainty",
}  # fmt: skip
_SHARE, _RARE_SHARE = 0.2, 0.12
GENERATED_SAMPLES = 2_000
P_STRANGE = "p_strange"
HARD_UNCERTAINTY = "uncertainty, error > log 2"


class Yardsticks(NamedTuple):
    """The tables of all yardsticks.

    Attributes:
        interventions: one row per set, seed, intervention and line: its mean movement over the samples concerned, in nats.
        posteriors: one row per generator and seed: Spearman correlations of margin with the probability of other labels
            than the likeliest, and of uncertainty with the members' divergence from the posterior; ``margin_ceiling``: the
            same of the exact log-loss of the drawn label, which is all that a model of the truth could say in the account.
        raters: one row per rated set, seed and line: Spearman correlation with the entropy of the votes, within classes.
        planted: one row per set, kind of strange samples, seed and factor: AUROC of its line, and that of P(strange).
    """

    interventions: pd.DataFrame
    posteriors: pd.DataFrame
    raters: pd.DataFrame
    planted: pd.DataFrame


def run_yardsticks(
    names: tuple[str, ...], folder: Path | None, most: int, seeds: int, repeats: int | None, on_progress: Callable[[], None]
) -> Yardsticks:
    """Measure all yardsticks; call ``on_progress`` after each of :func:`count_steps`.

    Args:
        names: data sets.
        folder: folder of data sets that do not come with scikit-learn.
        most: maximum number of samples of a set.
        seeds: number of seeds.
        repeats: of the measurements; None: the default.
        on_progress: called after each step.
    """
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in Yardsticks._fields}
    for seed in range(seeds):
        for generator in GENERATORS:
            tables["posteriors"].append(score_posterior(generator, seed, repeats))
            on_progress()
        for name in names:
            data = load_dataset(name, folder, most, seed)
            stream, planted_stream = np.random.SeedSequence(seed, spawn_key=(12,)).spawn(2)
            columns = {"set": name, "seed": seed}
            tables["interventions"] += [columns | row for row in score_interventions(data, stream, repeats)]
            on_progress()
            for kind, each in zip(atypical_kinds(data), planted_stream.spawn(3), strict=True):
                draw, models = each.spawn(2)
                scenario = make_scenario(data, kind, np.random.default_rng(draw))
                result = _measure(scenario.x, scenario.y, models, repeats)
                tables["planted"] += [columns | {"strange": kind} | row for row in score_planted(result, scenario)]
                on_progress()
            if name in RATED:
                votes = load_rated(name, folder, most, seed).votes
                tables["raters"] += [columns | row for row in score_raters(data, votes, stream, repeats)]
                on_progress()
    return Yardsticks(**{name: pd.DataFrame(rows) for name, rows in tables.items()})


def count_steps(names: tuple[str, ...], seeds: int) -> int:
    """Return the number of steps of :func:`run_yardsticks`."""
    return seeds * (len(GENERATORS) + 4 * len(names) + sum(name in RATED for name in names))


def lines_of(difficulty: Difficulty) -> dict[str, np.ndarray]:
    """Return the lines of a result and P(strange), ``(sample,)`` each."""
    assert difficulty.factors is not None
    assert difficulty.p_strange is not None
    return {name: difficulty.factors[name].to_numpy() for name in FACTORS} | {P_STRANGE: difficulty.p_strange}


class Intervention(NamedTuple):
    """Data after an intervention, and the samples that it concerns.

    Attributes:
        x, y: the data.
        rows: positions of the samples concerned.
        before: their positions in the data as they were.
    """

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    before: np.ndarray


def intervene(data: Dataset, name: str, rng: np.random.Generator) -> Intervention:
    """Make one cause of error stronger: one of ``INTERVENTIONS``.

    Wrong labels, blends and noisy features concern the samples that are changed; rarer classes, those that are left of
    these classes; half of the data, all that are left.
    """
    n = len(data.y)
    if name == "half of the data":
        order = rng.permutation(n)
        # Every other sample of each class in a random order.
        rank = pd.Series(data.y[order]).groupby(data.y[order]).cumcount().to_numpy()
        kept = np.sort(order[rank % 2 == 0])
        return Intervention(data.x[kept], data.y[kept], np.arange(len(kept)), kept)
    if name == "rarer classes":
        # The samples that are left are found by their positions, which stand in for the features.
        positions = rare(Dataset(np.arange(n, dtype=np.float64)[:, None], data.y), _RARE_SHARE, rng)
        kept = positions.x[:, 0].astype(np.int64)
        rows = np.flatnonzero(positions.hard)
        return Intervention(data.x[kept], data.y[kept], rows, kept[rows])
    change = {"more wrong labels": uniform, "blends of classes": blend, "noisy features": near}[name]
    changed = change(data, _SHARE, rng)
    rows = np.flatnonzero(changed.hard)
    return Intervention(changed.x, changed.y, rows, rows)


def score_interventions(data: Dataset, stream: np.random.SeedSequence, repeats: int | None) -> Iterator[dict[str, Any]]:
    """Yield the movement of every line by every intervention."""
    models, *streams = stream.spawn(1 + len(INTERVENTIONS))
    before = lines_of(_measure(data.x, data.y, models, repeats))
    for name, each in zip(INTERVENTIONS, streams, strict=True):
        draw, models = each.spawn(2)
        changed = intervene(data, name, np.random.default_rng(draw))
        after = lines_of(_measure(changed.x, changed.y, models, repeats))
        for line, values in after.items():
            movement = values[changed.rows].mean() - before[line][changed.before].mean()
            yield {"intervention": name, "line": line, "movement": float(movement)}


def share_in_right_line(movements: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each movement that is a rise of the right line, by set, seed and intervention.

    The rise over the sum of all lines' movements, whatever their signs.

    >>> rows = [("more wrong labels", "noise", 3.0), ("more wrong labels", "margin", -1.0)]
    >>> frame = pd.DataFrame(rows, columns=["intervention", "line", "movement"]).assign(set="a", seed=0)
    >>> share_in_right_line(frame)["share"].tolist()
    [0.75]
    """
    lines = movements[movements["line"] != P_STRANGE]
    total = lines.assign(size=lines["movement"].abs()).groupby(["set", "seed", "intervention"], sort=False)["size"].sum()
    right = lines[lines["line"] == lines["intervention"].map(INTERVENTIONS)]
    rise = right.set_index(["set", "seed", "intervention"])["movement"].clip(lower=0)
    return (rise / total.reindex(rise.index)).rename("share").reset_index()


class Generated(NamedTuple):
    """Samples of a known density.

    Attributes:
        x: features, ``(sample, feature)``.
        posterior: exact probabilities of the classes, ``(sample, class)``.
        y: labels drawn with the features, ``(sample,)``.
    """

    x: np.ndarray
    posterior: np.ndarray
    y: np.ndarray


def twonorm(n: int, rng: np.random.Generator) -> Generated:
    """Two normal distributions of unit variance around (a, …, a) and its opposite, a = 2/√20, in 20 dimensions.

    Breiman 1996, *Bias, variance, and arcing classifiers*.
    """
    y, a = rng.integers(2, size=n), 2 / np.sqrt(20)
    x = rng.normal(size=(n, 20)) + a * (2 * y[:, None] - 1)
    score = a * x.sum(1)
    return Generated(x, softmax(np.stack([-score, score], 1), axis=1), y)


def three_normals(n: int, rng: np.random.Generator) -> Generated:
    """Three overlapping normal distributions in five dimensions, with standard deviations 1, 1.5 and 2."""
    y, deviations = rng.integers(3, size=n), np.array([1.0, 1.5, 2.0])
    centres = 1.5 * np.eye(3, 5)
    x = centres[y] + deviations[y][:, None] * rng.normal(size=(n, 5))
    square = np.square(x[:, None] - centres).sum(2)
    return Generated(x, softmax(-square / (2 * deviations**2) - 5 * np.log(deviations), axis=1), y)


GENERATORS: dict[str, Callable[[int, np.random.Generator], Generated]] = {
    "twonorm": twonorm, "three normals": three_normals
}  # fmt: skip


def score_posterior(generator: str, seed: int, repeats: int | None) -> dict[str, Any]:
    """Return how the lines rank samples of a known posterior."""
    draw, models = np.random.SeedSequence(seed, spawn_key=(13,)).spawn(2)
    data = GENERATORS[generator](GENERATED_SAMPLES, np.random.default_rng(draw))
    result = _measure(data.x.astype(np.float32), data.y, models, repeats)
    lines = lines_of(result)
    ambiguity = 1 - data.posterior.max(1)
    exact = -np.log(data.posterior[np.arange(len(data.y)), data.y])
    return {
        "generator": generator,
        "seed": seed,
        "margin": float(spearmanr(lines["margin"], ambiguity).statistic),
        "margin_ceiling": float(spearmanr(exact, ambiguity).statistic),
        "uncertainty": float(spearmanr(lines["uncertainty"], divergence(data.posterior, result)).statistic),
    }


def divergence(posterior: np.ndarray, difficulty: Difficulty) -> np.ndarray:
    """Return the mean Kullback-Leibler divergence of the members' held-out predictions from the posterior, ``(sample,)``.

    The members' mean log-probability is that of the consensus less a constant of the sample, which the error tells: it is
    the members' mean log-loss of the label.
    """
    assert difficulty.consensus is not None
    logs = np.log(np.maximum(posterior, 1e-300))
    constant = difficulty.error + difficulty.consensus[np.arange(len(posterior)), difficulty.labels]
    result: np.ndarray = (posterior * (logs - difficulty.consensus)).sum(1) + constant
    return result


def score_raters(
    data: Dataset, votes: np.ndarray, stream: np.random.SeedSequence, repeats: int | None
) -> Iterator[dict[str, Any]]:
    """Yield the correlation of every line with the entropy of the votes, within classes."""
    result = _measure(data.x, data.y, stream, repeats)
    for line, values in (lines_of(result) | {"error": result.error}).items():
        yield {"line": line, "within": rank_correlations(values, entropy(votes), data.y)[1]}


def score_planted(difficulty: Difficulty, truth: Scenario) -> Iterator[dict[str, Any]]:
    """Yield the AUROC of each factor's line among planted samples and clean ones that the models get right."""
    lines = lines_of(difficulty)
    unknown = (truth.reason == "none") & (difficulty.predicted != difficulty.labels)
    hard = difficulty.error > HARD_ERROR
    for factor in FACTORS:
        yield {"factor": factor, "auroc": _auroc(truth.hard[factor], lines[factor], ~unknown)}
    strange = truth.hard["uncertainty"]
    yield {"factor": HARD_UNCERTAINTY, "auroc": _auroc(strange, lines["uncertainty"], ~unknown & hard)}
    yield {"factor": P_STRANGE, "auroc": _auroc(strange, lines[P_STRANGE], ~unknown)}


def _auroc(positive: np.ndarray, values: np.ndarray, judged: np.ndarray) -> float:
    if positive[judged].all() or not positive[judged].any():
        return float("nan")
    return float(roc_auc_score(positive[judged], values[judged]))


def _measure(x: np.ndarray, y: np.ndarray, stream: np.random.SeedSequence, repeats: int | None) -> Difficulty:
    """Measure with the network, without a pilot or a second round: the account is on trial here, not the training."""
    seed, estimate = int(stream.generate_state(1)[0]), Estimate(adjusted=False, pilot=False)
    return measure(x, y, learner="network", repeats=repeats, refine=False, seed=seed, estimate=estimate)
