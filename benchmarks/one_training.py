"""What one training that memorises can say: its measures against held-out errors, and against planted wrong labels.

    python benchmarks/one_training.py FOLDER    # of the data sets (benchmarks/README.md); writes benchmarks/one_training.md

A network with two hidden layers of 256 units learns all labels by heart, a fifth of them wrong. Every epoch is recorded.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hardsight_bench.datasets import load_dataset
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score
from torch import nn

import hardsight as hs
from hardsight.measures import input_gradients

SETS, SEEDS, SAMPLES, EPOCHS, FLIPPED = ("digits", "fashion", "letter"), (0, 1, 2), 1000, 40, 0.2
MEASURES = (
    "cumulative-loss", "cumulative-input-gradient", "memory-perturbation", "aum", "el2n", "forgetting", "first-learned",
    "vog", "grand",
)  # fmt: skip
PAGE = Path(__file__).with_suffix(".md")


def flip(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of which a fifth became another class, and which."""
    flipped = np.zeros(len(labels), dtype=bool)
    flipped[rng.choice(len(labels), int(FLIPPED * len(labels)), replace=False)] = True
    classes = labels.max() + 1
    return np.where(flipped, (labels + rng.integers(1, classes, len(labels))) % classes, labels), flipped


def record_training(X: np.ndarray, labels: np.ndarray, seed: int) -> tuple[pd.DataFrame, float]:
    """Return all measures of one training, by sample, and the final accuracy on the given labels."""
    torch.manual_seed(seed)
    x, y = torch.tensor((X - X.mean(0)) / (X.std(0) + 1e-3)).float(), torch.tensor(labels)
    body = nn.Sequential(nn.Linear(x.shape[1], 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
    module = nn.Sequential(body, nn.Linear(256, int(y.max()) + 1))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    record, last = hs.Record(MEASURES), hs.Record(["loss", "memory-perturbation", "grand", "cumulative-input-gradient"])
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
        for rows in torch.arange(len(x)).split(500):
            with torch.no_grad():
                features = body(x[rows])
                logits = module[1](features)
            quantities = {
                "features": features, "rate": 1e-3, "input_gradients": input_gradients(module, x[rows], y[rows]),
                "loss_gradients": input_gradients(module, x[rows], y[rows], of="loss"),
            }  # fmt: skip
            for each in (record, last) if epoch == EPOCHS - 1 else (record,):
                each.add(view=epoch, ids=rows, logits=logits, labels=y[rows], **quantities)
    with torch.no_grad():
        accuracy = float((module(x).argmax(1) == y).float().mean())
    return record.table.join(last.table.add_suffix(", last epoch")), accuracy


def study(name: str, folder: Path, seed: int) -> pd.DataFrame:
    """Return Spearman's correlation with the held-out error and the average precision of wrong labels, by measure."""
    X, true, _ = load_dataset(name, folder, SAMPLES, seed)
    labels, flipped = flip(true, np.random.default_rng(seed))
    d = hs.measure(X, labels, seed=seed)
    table, accuracy = record_training(X, labels, seed)
    table["hs.measure: error"], table["hs.measure: P(wrong)"] = d.error, d.p_wrong
    return pd.DataFrame(
        {
            "Spearman": {column: spearmanr(table[column], d.error)[0] for column in table},
            "among right labels": {column: spearmanr(table[column][~flipped], d.error[~flipped])[0] for column in table},
            "AP": {column: average_precision_score(flipped, table[column]) for column in table},
        }
    ).assign(fitted=accuracy)


def main() -> None:
    """Run all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the data sets")
    folder = parser.parse_args().folder
    parts = {name: sum(study(name, folder, seed) for seed in SEEDS) / len(SEEDS) for name in SETS}
    # One view or many, it reads the last one.
    parts = {name: part.drop(index="memory-perturbation") for name, part in parts.items()}
    order = (sum(part["AP"] for part in parts.values())).sort_values(ascending=False).index
    heads = [f"{name}: {column}" for name in SETS for column in ("Spearman", "among right labels", "AP")]
    lines = [f"| measure | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for measure in order:
        cells = [
            f"{parts[name][column][measure]:.3f}" for name in SETS for column in ("Spearman", "among right labels", "AP")
        ]
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    fitted = ", ".join(f"{name} {100 * parts[name]['fitted'].iloc[0]:.1f} %" for name in SETS)
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "<!-- table -->\n<!-- end -->\n"
    start, end = text.index("<!-- table -->"), text.index("<!-- end -->")
    table = "\n".join(lines)
    note = f"Given labels that the network predicts at the end: {fitted}."
    PAGE.write_text(f"{text[:start]}<!-- table -->\n{table}\n\n{note}\n\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
