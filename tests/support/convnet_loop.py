"""A training loop as people write them: batch norm, dropout, shifts, mixup and a schedule of its own."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

import hardsight as hs

N = 90
LABELS = np.arange(N) % 3


def make_images():
    noise = np.random.default_rng(0).normal(size=(N, 1, 4, 4))
    noise[np.arange(N), 0, LABELS] += 1
    return TensorDataset(torch.tensor(noise).float(), torch.tensor(LABELS))


IMAGES = make_images()


def small_convnet():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(64, 3)
    )


def train_convnet(ids, weights, seed):
    """Batch norm, dropout, shifts, mixup and a schedule of its own."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    weight = torch.zeros(N)
    weight[ids] = torch.as_tensor(weights)
    net = small_convnet()
    loader = DataLoader(hs.indexed(Subset(IMAGES, ids)), batch_size=16, shuffle=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=3 * len(loader))
    for _ in range(3):
        for x, y, at in loader:
            x = torch.roll(x, torch.randint(-1, 2, (2,)).tolist(), (2, 3))
            share, other = float(rng.beta(0.4, 0.4)), torch.randperm(len(x))
            logits = net(share * x + (1 - share) * x[other])
            loss = share * cross_entropy(logits, y, reduction="none")
            loss = loss + (1 - share) * cross_entropy(logits, y[other], reduction="none")
            optimizer.zero_grad()
            (weight[at] * loss).mean().backward()
            optimizer.step()
            schedule.step()
    return net


@torch.no_grad()
def predict_convnet(net, ids):
    net.eval()
    return [net(x) for x, _ in DataLoader(Subset(IMAGES, ids), batch_size=20)]
