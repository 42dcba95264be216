"""How long 50 networks take: hardsight's ensembles beside loops that train one network after another.

Perceptrons 64-128-10 on digits, 5 folds × 10 repeats, batches of 64, 10 epochs, AdamW at 3e-3 with a cosine schedule. All
rows train the same number of networks on the same splits and judge the same held-out samples; each way is timed several
times in turn, and the ratio is that of medians in this one run. Beside every time stand the mean held-out log-loss and the
rank correlation of the errors with those of 500 networks, so that no accuracy is traded unseen. Prints a markdown table.
"""

import platform
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import hardsight as hs
from hardsight.learners import training
from hardsight.learners.perceptrons import layers
from hardsight.record import HeldOut
from hardsight.samples import of
from hardsight.splits import KFold, Member, Plan, split_seed, units_of

RUNS, EPOCHS, BATCH, RATE = 5, 10, 64, 3e-3
RECIPE = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": RATE, "weight_decay": 1e-2}

images, labels = load_digits(return_X_y=True)
SAMPLES = of((images / 16).astype(np.float32), labels)
PLAN = Plan(KFold(5, 10).rounds(SAMPLES.labels, units_of(len(labels)), split_seed(0)), units_of(len(labels)), 10, 0)
X, Y = torch.from_numpy(SAMPLES.features), torch.from_numpy(SAMPLES.labels)


def net() -> nn.Sequential:
    """The network of every row."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def judged(members: Iterator[tuple[Member, torch.Tensor]]) -> np.ndarray:
    """Errors from held-out log-probabilities of members."""
    views = ((torch.from_numpy(m.held_out), out.double(), m.round) for m, out in members)
    return HeldOut.of(Y, 10, views).decompose("log").error.numpy()


def loop(batches: Callable[[np.ndarray], Iterator[tuple[torch.Tensor, torch.Tensor]]], fused: bool) -> np.ndarray:
    """Train one network after another."""

    def members() -> Iterator[tuple[Member, torch.Tensor]]:
        for member in PLAN.members():
            torch.manual_seed(member.seed)
            model = net()
            optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2, fused=fused)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
            for _ in range(EPOCHS):
                for x, y in batches(member.train):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                schedule.step()
            with torch.no_grad():
                yield member, model(X[member.held_out])

    return judged(members())


def loader(train: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What tutorials write."""
    return iter(DataLoader(Subset(TensorDataset(X, Y), train.tolist()), batch_size=BATCH, shuffle=True))


def tensors(train: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches cut from tensors."""
    order = torch.from_numpy(train)[torch.randperm(len(train))]
    return ((X[rows], Y[rows]) for rows in order.split(BATCH))


def sklearns() -> np.ndarray:
    """scikit-learn's network."""

    def members() -> Iterator[tuple[Member, torch.Tensor]]:
        for member in PLAN.members():
            model = MLPClassifier(
                128, batch_size=BATCH, max_iter=EPOCHS, learning_rate_init=RATE, random_state=member.seed
            )
            model.fit(SAMPLES.features[member.train], labels[member.train])
            yield member, torch.from_numpy(model.predict_log_proba(SAMPLES.features[member.held_out]))

    return judged(members())


def ensemble(by_hand: bool) -> np.ndarray:
    """Our stack, with the gradient by hand or by autograd as for any other module."""
    training.layers = layers if by_hand else lambda module: None
    learner = hs.Network(net, **RECIPE)
    views = learner.views(SAMPLES, PLAN, lambda done: None)
    return HeldOut.of(Y, 10, views).decompose("log").error.numpy()


WAYS: dict[str, Callable[[], np.ndarray]] = {
    "plain DataLoader loop": lambda: loop(loader, fused=False),
    "loop over tensors, fused AdamW": lambda: loop(tensors, fused=True),
    "scikit-learn MLPClassifier": sklearns,
    "hardsight, any module (vmap, autograd)": lambda: ensemble(by_hand=False),
    "**hardsight, perceptrons**": lambda: ensemble(by_hand=True),
}


def main() -> None:
    """Print the table."""
    import warnings

    warnings.simplefilter("ignore")
    gold = hs.measure(SAMPLES, learner=hs.Network(net, **RECIPE), duplicates="apart", repeats=100, seed=1).error
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    errors = {}
    for _ in range(RUNS):
        for name, way in WAYS.items():
            start = time.perf_counter()
            errors[name] = way()
            seconds[name].append(time.perf_counter() - start)
    slowest = median(seconds["plain DataLoader loop"])
    visits = PLAN.count * 0.8 * len(labels) * EPOCHS
    print("# How long do 50 networks take?\n")
    print(f"`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').strip()}\n")
    print(
        f"Medians of {RUNS}; {torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__}.\n"
    )
    print("| way | seconds | times as fast | thousand sample-epochs a second | held-out log-loss | Spearman with 500 |")
    print("|---|---|---|---|---|---|")
    for name, times in seconds.items():
        middle = median(times)
        print(
            f"| {name} | {middle:.2f} | {slowest / middle:.1f} | {visits / middle / 1e3:,.0f} | "
            f"{errors[name].mean():.4f} | {spearmanr(errors[name], gold).statistic:.4f} |"
        )


if __name__ == "__main__":
    main()
