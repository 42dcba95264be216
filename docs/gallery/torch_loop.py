"""A training loop of your own on images, 40 % of the labels wrong: two lines more."""

import altair as alt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import hardsight as hs

X, y = load_digits(return_X_y=True)
images = X.reshape(-1, 1, 8, 8).astype(np.float32) / 16
train, test, truth, y_test = train_test_split(images, y, test_size=0.5, stratify=y, random_state=0)
rng = np.random.default_rng(0)
wrong = rng.random(len(truth)) < 0.4
given = np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth)


def trained(weighting: hs.Weighting | None, epochs: int = 20) -> list[float]:
    """Accuracy on clean images after each epoch, in percent."""
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*body, nn.Flatten(), nn.Linear(512, 10))
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    data = TensorDataset(torch.from_numpy(train), torch.from_numpy(given))
    course = []
    for epoch in range(epochs):
        if weighting is not None:
            weighting.set_epoch(epoch)
        for x, labels, ids in DataLoader(hs.indexed(data), batch_size=64, shuffle=True):
            logits = net(x)
            losses = cross_entropy(logits, labels, reduction="none")
            loss = losses.mean() if weighting is None else weighting(losses, ids, logits=logits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            course.append(100 * (net(torch.from_numpy(test)).argmax(1).numpy() == y_test).mean())
    return course


d = hs.measure(train[:, 0], given)  # images (sample, height, width)
ways = {
    "no weights": None,
    "SuperLoss, as it trains": hs.Weighting("superloss", num_samples=len(given)),
    "hs.Weighting(d)": hs.Weighting(d),
}
courses = pd.DataFrame({name: trained(weighting) for name, weighting in ways.items()})
print("accuracy on clean images in percent, mean of the last five epochs:")
for name, course in courses.items():
    print(f"  {name:24} {course[-5:].mean():.1f}")
long = courses.rename_axis("epoch").reset_index().melt("epoch", var_name="weights", value_name="accuracy, %")
axes = alt.X("epoch:Q"), alt.Y("accuracy, %:Q").scale(domain=(60, 100), clamp=True), alt.Color("weights:N")
alt.Chart(long).mark_line().encode(*axes).properties(width=460).save("torch_loop.svg")
