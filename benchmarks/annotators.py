"""Several annotators: are wrong labels found, is P(wrong) calibrated, and is the consensus right?

    python benchmarks/annotators.py FOLDER > benchmarks/annotators.md

FOLDER holds the real tables (hardsight_bench.real_tables), and human_ratings_products.parquet and _movies.parquet.

Crowds on real tables of at most 1,200 rows: 30 simulated annotators, who label a Dirichlet-distributed share of the
items, 1.5 or 3 labels per item on average. Three guess, three always give the same label, six take each class for
another one in 40 % of its items, the others are right in 76 % on average. An item that held-out forests find hard is
mistaken more often, and for what it looks like. Human ratings: the first 15 ratings of each text, of three classes by
their sign, are taken for 15 annotators, of whom 1.5, 3 or 6 label an item; the truth is the most frequent class of all
ratings, votes included.

Held-out predictions: of random forests (of logistic regression on embeddings), in 5 folds, trained on the majority
vote. cleanlab (CROWDLAB) and hardsight read the same ones. "Alone" is hardsight without predictions. DS is Dawid and
Skene's EM, 50 rounds, with 0.01 pseudo-counts. AP: average precision of P(wrong) of single annotations. Calibration
error: mean distance of P(wrong) and the share of wrong labels, in 10 bins. Means of three seeds. Constants were chosen
on the first four sets with seed 0. The need for disputed items showed on the film reviews, which are no test of them.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from cleanlab.multiannotator import get_label_quality_multiannotator
from hardsight_bench.factors import calibration_error
from hardsight_bench.real_tables import load_table
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold

from hardsight import Samples
from hardsight.attribution.annotators import Incidence, fit_annotators

CHOSEN_ON = ("hpc", "letter", "satellite", "products")
OTHERS = ("segment", "vehicle", "cells", "movies")
RATINGS = ("products", "movies")
MAX_ROWS, MIN_CLASS, SEEDS = 1200, 10, 3
N_ANNOTATORS, N_RATERS = 30, 15


class Items(NamedTuple):
    """Features, true labels as codes, and for human ratings the classes that raters gave."""

    X: np.ndarray
    y: np.ndarray
    ratings: list[np.ndarray] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1


class Annotated(NamedTuple):
    """Codes of annotations."""

    item: np.ndarray
    annotator: np.ndarray
    label: np.ndarray

    def votes(self, n_items: int, n_classes: int) -> np.ndarray:
        """Return how often each item was given each label, ``(item, class)``."""
        counts = np.zeros((n_items, n_classes))
        np.add.at(counts, (self.item, self.label), 1.0)
        return counts


class Judged(NamedTuple):
    """P(wrong) of annotations, which majority votes lack, and the consensus."""

    p_wrong: np.ndarray | None
    consensus: np.ndarray


def load_items(name: str, folder: Path) -> Items:
    """Return at most 1,200 items of classes with at least 10."""
    rng = np.random.default_rng(0)
    if name in RATINGS:
        frame = pd.read_parquet(folder / f"human_ratings_{name}.parquet")
        frame = frame.iloc[rng.permutation(len(frame))[:MAX_ROWS]]
        ratings = [np.sign(each).astype(int) + 1 for each in frame["ratings"]]
        y = np.array([np.bincount(each, minlength=3).argmax() for each in ratings])
        return Items(np.stack(list(frame["embedding"])).astype(np.float32), y, ratings)
    table = load_table(name, folder, MAX_ROWS, 0)
    samples = Samples.of(table.features, table.labels, task="classification")
    frequent = np.bincount(samples.labels)[samples.labels] >= MIN_CLASS
    return Items(np.nan_to_num(samples.matrix[frequent]), np.unique(samples.labels[frequent], return_inverse=True)[1])


def predict_held_out(X: np.ndarray, y: np.ndarray, n_classes: int, seed: int) -> np.ndarray:
    """Return held-out probabilities, ``(item, class)``, none of them zero."""
    probability = np.full((len(y), n_classes), 1e-3)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y):
        linear = LogisticRegression(C=30, max_iter=300)
        model = linear if X.shape[1] > 100 else ExtraTreesClassifier(100, min_samples_leaf=2, random_state=seed)
        model.fit(X[train], y[train])
        probability[np.ix_(test, model.classes_)] += model.predict_proba(X[test])
    return probability / probability.sum(1, keepdims=True)


def sample_ratings(ratings: list[np.ndarray], per_item: float, rng: np.random.Generator) -> Annotated:
    """Return some of the first 15 ratings of each item."""
    rows = []
    for item, of_item in enumerate(ratings):
        size = min(N_RATERS, 1 + rng.poisson(per_item - 1))
        rows += [(item, who, of_item[who]) for who in rng.choice(N_RATERS, size, replace=False)]
    return Annotated(*np.array(rows).T)


def simulate_crowd(items: Items, per_item: float, rng: np.random.Generator) -> Annotated:
    """Return annotations by people who guess, who never vary, who take classes for others, and who mistake hard items."""
    n, n_classes = len(items.y), items.n_classes
    looks = predict_held_out(items.X, items.y, n_classes, 99)
    hard = 1 - looks[np.arange(n), items.y]
    looks[np.arange(n), items.y] = 0
    looks /= looks.sum(1, keepdims=True)
    accuracy = np.clip(rng.beta(8, 2.5, N_ANNOTATORS), 0.3, 0.99)
    always = rng.integers(0, n_classes, N_ANNOTATORS)
    taken_for = (np.arange(n_classes) + rng.integers(1, n_classes, (N_ANNOTATORS, n_classes))) % n_classes
    activity = rng.dirichlet(np.ones(N_ANNOTATORS))
    rows = []
    for item, true in enumerate(items.y):
        size = min(N_ANNOTATORS, 1 + rng.poisson(per_item - 1))
        for who in rng.choice(N_ANNOTATORS, size, replace=False, p=activity):
            error = float(np.clip((1 - accuracy[who]) * (0.5 + 2 * hard[item]), 0, 0.8))
            confuses = 6 <= who < 12
            wrong = rng.random() < (max(error, 0.4) if confuses else error)
            if who < 3:
                label = rng.integers(n_classes)
            elif who < 6:
                label = always[who]
            elif wrong:
                label = taken_for[who, true] if confuses else rng.choice(n_classes, p=looks[item])
            else:
                label = true
            rows.append((item, who, label))
    item, who, label = np.array(rows).T
    return Annotated(item, np.unique(who, return_inverse=True)[1], label)


def judge_by_cleanlab(annotated: Annotated, predicted: np.ndarray) -> Judged:
    """Judge annotations by CROWDLAB."""
    wide = np.full((len(predicted), int(annotated.annotator.max()) + 1), np.nan)
    wide[annotated.item, annotated.annotator] = annotated.label
    quality_report = get_label_quality_multiannotator(pd.DataFrame(wide), predicted, verbose=False)
    quality = quality_report["detailed_label_quality"].to_numpy()[annotated.item, annotated.annotator]
    return Judged(1 - quality, quality_report["label_quality"]["consensus_label"].to_numpy())


def judge_by_dawid_skene(annotated: Annotated, n_items: int, n_classes: int) -> Judged:
    """Judge annotations by the EM of Dawid and Skene."""
    posterior = annotated.votes(n_items, n_classes)
    posterior /= posterior.sum(1, keepdims=True)
    for _ in range(50):
        matrices = np.full((int(annotated.annotator.max()) + 1, n_classes, n_classes), 0.01)
        for true in range(n_classes):
            np.add.at(matrices[:, true], (annotated.annotator, annotated.label), posterior[annotated.item, true])
        matrices /= matrices.sum(2, keepdims=True)
        scores = np.tile(np.log(posterior.mean(0) + 1e-9), (n_items, 1))
        np.add.at(scores, annotated.item, np.log(matrices[annotated.annotator, :, annotated.label]))
        posterior = np.exp(scores - scores.max(1, keepdims=True))
        posterior /= posterior.sum(1, keepdims=True)
    return Judged(1 - posterior[annotated.item, annotated.label], posterior.argmax(1))


def judge_by_hardsight(annotated: Annotated, n_items: int, n_classes: int, predicted: np.ndarray | None) -> Judged:
    """Judge annotations by hardsight, with or without predictions."""
    incidence = Incidence.of(annotated.item, annotated.annotator, annotated.label, n_items, n_classes)
    posterior = fit_annotators(incidence, None if predicted is None else np.log(predicted)).posterior
    return Judged(1 - posterior[annotated.item, annotated.label], posterior.argmax(1))


def compare(items: Items, per_item: float, seed: int) -> pd.DataFrame:
    """Return AP, calibration error and accuracy of the consensus by method."""
    rng, n, n_classes = np.random.default_rng(seed), len(items.y), items.n_classes
    crowd = simulate_crowd(items, per_item, rng) if items.ratings is None else None
    annotated = crowd or sample_ratings(items.ratings or [], per_item, rng)
    votes = annotated.votes(n, n_classes)
    majority = (votes + 1e-6 * votes.sum(0) / votes.sum()).argmax(1)
    predicted = predict_held_out(items.X, majority, n_classes, seed)
    methods: dict[str, Callable[[], Judged]] = {
        "majority": lambda: Judged(None, majority),
        "DS": lambda: judge_by_dawid_skene(annotated, n, n_classes),
        "cleanlab": lambda: judge_by_cleanlab(annotated, predicted),
        "alone": lambda: judge_by_hardsight(annotated, n, n_classes, None),
        "hardsight": lambda: judge_by_hardsight(annotated, n, n_classes, predicted),
    }
    wrong = annotated.label != items.y[annotated.item]
    rows = {}
    for name, judge in methods.items():
        judged = judge()
        scores = {"accuracy": (judged.consensus == items.y).mean()}
        if judged.p_wrong is not None:
            scores |= {
                "AP": average_precision_score(wrong, judged.p_wrong),
                "calibration": calibration_error(judged.p_wrong, wrong),
            }
        rows[name] = scores
    return pd.DataFrame(rows).T


def main(folder: Path) -> None:
    """Compare on all sets, and print the tables."""
    rows: dict[tuple[str, float], pd.DataFrame] = {}
    for name in CHOSEN_ON + OTHERS:
        items = load_items(name, folder)
        for per_item in (1.5, 3.0, 6.0) if name in RATINGS else (1.5, 3.0):
            runs = [compare(items, per_item, seed) for seed in range(SEEDS)]
            rows[name, per_item] = sum(runs) / SEEDS
            print(name, per_item, file=sys.stderr)
    print("# Several annotators\n")
    print(f"`python benchmarks/annotators.py FOLDER`: {(__doc__ or '').split('FOLDER holds', 1)[0].splitlines()[0]}\n")
    print("FOLDER holds" + (__doc__ or "").split("FOLDER holds", 1)[1])
    for score, title in (("AP", "Average precision"), ("calibration", "Calibration error"), ("accuracy", "Consensus")):
        methods = ["majority", "DS", "cleanlab", "alone", "hardsight"]
        methods = methods if score == "accuracy" else methods[1:]
        print(f"## {title}\n\n| set | labels per item | {' | '.join(methods)} |\n|---|--:|{'--:|' * len(methods)}")
        for (name, per_item), table in rows.items():
            print(f"| {name} | {per_item:g} | {' | '.join(f'{table.loc[each, score]:.3f}' for each in methods)} |")
        for title_of, names in (("first four", CHOSEN_ON), ("others", OTHERS)):
            mean = sum(table for (name, _), table in rows.items() if name in names) / sum(n in names for n, _ in rows)
            print(f"| **{title_of}** | | {' | '.join(f'{mean.loc[each, score]:.3f}' for each in methods)} |")
        print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
