"""Several labels per sample: are wrong entries found, and is P(wrong) calibrated?

    python benchmarks/multilabel.py FOLDER > benchmarks/multilabel.md

FOLDER holds the real tables (hardsight_bench.real_tables), and human_ratings_movies.parquet.

Sets of at most 600 rows, whose labels are taken for right: digits (scikit-learn; even, at least 5, with a loop, prime),
votes (HouseVotes84: 8 votes from the party and 8 others; abstentions are not asked for), bfi (psych: agreement with 6
statements from the others), soybean (mlbench: 8 symptoms of two values from the class and the other symptoms, with
missing values), letter (mlbench: vowel, first half of the alphabet, with a straight stem, symmetric), income (kernlab:
the most frequent sex, home, dual income, ownership and language against the others, from the other columns), movies
(human ratings of texts: at least 30 % negative, neutral, positive ratings, and no 70 % of one kind, from embeddings), and
simulated (make_multilabel_classification, 6 labels).

5, 10 and 20 % of the entries are flipped, with seeds 0, 1 and 2. Held-out predictions: forests of all labels at once in 5
folds, repeated 3 times (votes, bfi, income and soybean, which lack some labels: a forest out of bag for each label);
logistic regression on embeddings. cleanlab (multilabel_classification: self-confidence by class, and find_label_issues)
and hardsight, without its second round, read the same ones. AP: average precision of P(wrong) of entries. F1: of the
entries that are reported, by hardsight those with P(wrong) above one half. Calibration error: mean distance of P(wrong)
and the share of wrong entries, in 10 bins; of cleanlab, that of 1 - quality. Means of three seeds. The penalty, the
condition for reading other labels, and one label model for all labels were chosen on the first four sets.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from cleanlab.rank import get_label_quality_scores
from hardsight_bench.factors import calibration_error
from hardsight_bench.real_tables import TABLES
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.metrics import average_precision_score, f1_score

import hardsight as hs

CHOSEN_ON = ("digits", "votes", "bfi", "income")
OTHERS = ("soybean", "letter", "movies", "simulated")
MAX_ROWS, FLIPPED = 600, (0.05, 0.10, 0.20)
METHODS, SCORES = ("cleanlab", "hardsight"), ("AP", "F1", "calibration")


class Labelled(NamedTuple):
    """Features, and right labels ``(sample, label)``, NaN where they are not known."""

    X: Any
    Y: np.ndarray
    learner: str = "forest"


def load_digits_set(folder: Path) -> Labelled:
    """Return properties of digits."""
    X, y = load_digits(return_X_y=True)
    return Labelled(X, np.stack([y % 2 == 0, y >= 5, np.isin(y, (0, 6, 8, 9)), np.isin(y, (2, 3, 5, 7))], 1))


def load_votes(folder: Path) -> Labelled:
    """Return eight votes; the party and the other votes are features."""
    table = read("votes", folder)
    asked = [f"V{n}" for n in range(9, 17)]
    return Labelled(table.drop(columns=asked), as_binary(table[asked]))


def load_bfi(folder: Path) -> Labelled:
    """Return agreement with six statements."""
    table = read("bfi", folder)
    asked = ["A3", "C2", "E4", "N1", "N3", "O3"]
    values = table[asked].astype(float)
    return Labelled(table.drop(columns=asked), np.where(values.isna(), np.nan, values > 3))


def load_income(folder: Path) -> Labelled:
    """Return properties of households."""
    table = read("income", folder)
    asked = ["SEX", "HOME.TYPE", "DUAL.INCOMES", "HOUSEHOLDER", "LANGUAGE"]
    first = table[asked].apply(lambda column: (column.astype(str) == column.astype(str).mode()[0]).where(column.notna()))
    return Labelled(table.drop(columns=asked), first.astype(float).to_numpy())


def load_soybean(folder: Path) -> Labelled:
    """Return eight symptoms of two values."""
    table = read("soybean", folder)
    two = [name for name in table if table[name].nunique() == 2 and table[name].value_counts().min() >= 60][:8]
    return Labelled(table.drop(columns=two), as_binary(table[two]))


def load_letter(folder: Path) -> Labelled:
    """Return properties of letters."""
    table = read("letter", folder)
    y = table["lettr"].astype(str)
    groups = ("AEIOU", "ABCDEFGHIJKLM", "BDEFHIKLMNPRT", "AHIMOTUVWXY")
    return Labelled(table.drop(columns="lettr"), np.stack([y.isin(list(group)) for group in groups], 1))


def load_movies(folder: Path) -> Labelled:
    """Return what people said of texts."""
    frame = pd.read_parquet(folder / "human_ratings_movies.parquet")
    shares = frame[["negative", "neutral", "positive"]].to_numpy()
    labels = np.column_stack([shares >= 0.3, shares.max(1) < 0.7])
    return Labelled(np.stack(list(frame["embedding"])).astype(np.float32), labels, "logistic")


def load_simulated(folder: Path) -> Labelled:
    """Return simulated counts of words."""
    return Labelled(*make_multilabel_classification(n_samples=600, n_classes=6, n_labels=2, random_state=0))


LOADERS: dict[str, Callable[[Path], Labelled]] = {
    "digits": load_digits_set,
    "votes": load_votes,
    "bfi": load_bfi,
    "income": load_income,
    "soybean": load_soybean,
    "letter": load_letter,
    "movies": load_movies,
    "simulated": load_simulated,
}


def read(name: str, folder: Path) -> pd.DataFrame:
    """Return a real table."""
    return TABLES[name].read(folder)


def as_binary(columns: pd.DataFrame) -> np.ndarray:
    """Return columns of two values as 0 and 1, NaN where they are missing."""
    codes = columns.apply(lambda column: pd.Series(pd.factorize(column, sort=True)[0], index=column.index))
    return codes.where(codes >= 0).to_numpy(dtype=float)


def draw(labelled: Labelled) -> Labelled:
    """Return at most 600 rows in which a label is known."""
    rows = np.flatnonzero(~np.isnan(labelled.Y.astype(float)).all(1))
    rows = np.random.default_rng(0).permutation(rows)[:MAX_ROWS]
    X = labelled.X.iloc[rows].reset_index(drop=True) if isinstance(labelled.X, pd.DataFrame) else labelled.X[rows]
    return Labelled(X, labelled.Y[rows].astype(float), labelled.learner)


def judge_by_cleanlab(labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of being wrong, NaN for entries that are not known, and what is reported, ``(sample, label)``."""
    if not np.isnan(labels).any():
        lists = [np.flatnonzero(row).tolist() for row in labels]
        score = 1 - get_label_quality_scores_per_class(lists, predicted, method="self_confidence")
        return score, np.asarray(find_multilabel_issues_per_class(lists, predicted), dtype=bool)
    score, reported = np.full(labels.shape, np.nan), np.zeros(labels.shape, dtype=bool)
    # What these functions do label by label, for the entries that are known.
    for label in range(labels.shape[1]):
        known = np.flatnonzero(~np.isnan(labels[:, label]))
        own, p = labels[known, label].astype(int), predicted[known, label]
        both = np.stack([1 - p, p], axis=1)
        score[known, label] = 1 - get_label_quality_scores(own, both)
        reported[known, label] = find_label_issues(own, both)
    return score, reported


def compare(labelled: Labelled, rate: float, seed: int) -> pd.DataFrame:
    """Return AP, F1 and calibration error by method."""
    known = ~np.isnan(labelled.Y)
    flipped = (np.random.default_rng(seed).random(known.shape) < rate) & known
    labels = np.where(flipped, 1 - labelled.Y, labelled.Y)
    d = hs.measure(labelled.X, labels, learner=labelled.learner, repeats=3, refine=False, seed=seed)
    if len(d) != known.sum() or d.consensus is None or d.p_wrong is None:
        raise ValueError("labels were left out")
    predicted = np.full(known.shape, 0.5)
    predicted[known] = np.exp(d.consensus[:, 1])
    score, reported = judge_by_cleanlab(labels, predicted)
    wrong = flipped[known]
    rows = {
        "cleanlab": {
            "AP": average_precision_score(wrong, score[known]),
            "F1": f1_score(wrong, reported[known]),
            "calibration": calibration_error(score[known].clip(0, 1), wrong),
        },
        "hardsight": {
            "AP": average_precision_score(wrong, -d.doubt_rank),
            "F1": f1_score(wrong, d.p_wrong > 0.5),
            "calibration": calibration_error(d.p_wrong, wrong),
        },
    }
    return pd.DataFrame(rows).T


def mean_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean of tables."""
    return pd.concat(tables).groupby(level=0).mean()


def main(folder: Path, names: tuple[str, ...]) -> None:
    """Compare on sets, and print the table."""
    rows = dict[str, pd.DataFrame]()
    for name in names:
        labelled = draw(LOADERS[name](folder))
        rows[name] = mean_of([compare(labelled, rate, seed) for seed, rate in enumerate(FLIPPED)])
        print(name, labelled.Y.shape, rows[name].round(3).to_dict(), file=sys.stderr)
    print(f"# Several labels per sample\n\n`python benchmarks/multilabel.py FOLDER`: {(__doc__ or '').splitlines()[0]}\n")
    print("FOLDER holds" + (__doc__ or "").split("FOLDER holds", 1)[1])
    titles = [f"{score}, {method}" for score in SCORES for method in METHODS]
    print(f"| set | {' | '.join(titles)} |\n|---|{'--:|' * len(titles)}")
    groups = [(f"**{title}**", [rows[name] for name in group if name in rows])
              for title, group in (("first four", CHOSEN_ON), ("others", OTHERS))]  # fmt: skip
    means = [(title, mean_of(tables)) for title, tables in groups if tables]
    lines: list[tuple[str, pd.DataFrame]] = [*rows.items(), *means]
    for title, table in lines:
        cells = [f"{value:.3f}" for value in table.loc[list(METHODS), list(SCORES)].to_numpy().T.ravel().tolist()]
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or CHOSEN_ON + OTHERS)
