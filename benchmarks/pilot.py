"""Which training length does the pilot search choose, and does it improve the run?

Seven data sets of at most 2,000 samples, clean and with 20 and 40 % of the labels flipped to any other class. Compared
are the default network with its default training length, and with the length that the pilot search chooses. Mean
held-out log-loss; average precision of the error and of P(label wrong) for the flips; expected calibration error of
P(label wrong) (ten bins of equal width); CPU seconds, including the search. Prints a Markdown table; the argument is
the folder of the sets (see :mod:`hardsight_bench.datasets`).
"""

import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from hardsight_bench.corruptions import KINDS, CorruptedDataset
from hardsight_bench.datasets import load_dataset
from hardsight_bench.factors import calibration_error
from sklearn.metrics import average_precision_score

import hardsight as hs
from hardsight.estimation.training_length import times

SETS = ("digits", "wine", "breast-cancer", "phoneme", "satellite", "letter", "movies")
SHARES = (0.0, 0.2, 0.4)
SEEDS = range(2)
COLUMNS = ("held-out loss", "precision, error", "precision, P(wrong)", "calibration error", "CPU s")


def measure_row(hard: CorruptedDataset, seed: int, *, pilot: bool) -> tuple[list[float], str]:
    """Return the numbers of one row for one seed, and the training length."""
    start = time.process_time()
    d = hs.measure(hard.x, hard.y, seed=seed, estimate=hs.Estimate(pilot=pilot))
    seconds = time.process_time() - start
    precisions = [average_precision_score(hard.hard, s) if hard.hard.any() else np.nan for s in (d.error, d.p_wrong)]
    length = times(d.settings["pilot"]["length"]) if pilot else times(1)
    return [d.error.mean(), *precisions, calibration_error(d.p_wrong, hard.hard), seconds], length


def cell(without: float, with_pilot: float, digits: int) -> str:
    """Format two numbers, the first without the pilot search."""
    if np.isnan(without):
        return "–"
    return (
        f"{without:.{digits}f} → {with_pilot:.{digits}f}".replace("0.", ".")
        if digits > 1
        else f"{without:.1f} → {with_pilot:.1f}"
    )


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print("# The pilot\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {' '.join((__doc__ or '').split())}\n")
    print(
        f"Seeds {', '.join(map(str, SEEDS))}, means; 5 folds × 10 repeats; Python {platform.python_version()}, torch "
        f"{torch.__version__}, one thread. Without → with the pilot.\n"
    )
    print(f"| data | flipped | length | {' | '.join(COLUMNS)} |\n|---|---|---|{'---|' * len(COLUMNS)}")
    hs.measure(np.arange(40.0)[:, None], np.arange(40) % 2, repeats=2)
    for name in SETS:
        data = load_dataset(name, Path(sys.argv[1]))
        for share in SHARES:
            rows: dict[bool, list[list[float]]] = {False: [], True: []}
            lengths = []
            for seed in SEEDS:
                hard = KINDS["uniform"].make(data, share, np.random.default_rng(seed))
                for pilot in (False, True):
                    numbers, length = measure_row(hard, seed, pilot=pilot)
                    rows[pilot].append(numbers)
                lengths.append(length)
            means = zip(*(np.mean(rows[pilot], axis=0) for pilot in (False, True)), (3, 3, 3, 3, 1), strict=True)
            cells = " | ".join(cell(*pair) for pair in means)
            print(f"| {name} | {share:.0%} | {', '.join(dict.fromkeys(lengths))} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
