"""Rare classes and wrong labels at once: weights for LightGBM on a table of 64 columns."""

import altair as alt
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.datasets import load_digits
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

import hardsight as hs

X, y = load_digits(return_X_y=True)
rows = []
for seed in range(3):
    # Five of the ten classes keep ten samples each, the others about 90. Then a fifth of the labels goes wrong.
    X_train, X_test, truth, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    rng = np.random.default_rng(seed)
    rare = rng.permutation(10)[:5]
    kept = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[: 10 if c in rare else None] for c in range(10)])
    X_train, truth = X_train[kept], truth[kept]
    given = truth.copy()
    wrong = rng.random(len(given)) < 0.2
    given[wrong] = (truth[wrong] + rng.integers(1, 10, wrong.sum())) % 10

    d = hs.measure(X_train, given)
    for name, weights in {
        "none": None,
        "balanced": hs.weigh(d, "balanced"),  # what class_weight="balanced" does
        "auto": hs.weigh(d),  # down by P(label wrong), up for classes that are short of right labels
    }.items():
        model = LGBMClassifier(n_estimators=50, random_state=0, n_jobs=1, deterministic=True, verbose=-1)
        model.fit(X_train, given, sample_weight=weights)
        recall = recall_score(y_test, model.predict(X_test), average=None)
        for group, of in {"rare": np.isin(np.arange(10), rare), "common": ~np.isin(np.arange(10), rare)}.items():
            rows.append((seed, name, group, 100 * recall[of].mean()))

# In classes of ten, every label that wandered in from a large class counts as much as a right one when classes are
# balanced by count alone: that is what the automatic weights mend.
recalls = pd.DataFrame(rows, columns=["seed", "weights", "classes", "recall"])
table = recalls.pivot_table(index="weights", columns="classes", values="recall", sort=False)
table["all"] = table.mean(axis=1)
print("recall on clean data in percent, mean of three draws:")
print(table.round(1).to_string())
gain = table.loc["auto", "all"] - table.loc["none", "all"]
print(f"balanced accuracy gains {gain:.1f} points with hs.weigh(d)")

axes = (
    alt.X("recall", title="recall on clean data, %").scale(zero=False),
    alt.Y("weights", sort=["none", "balanced", "auto"], title=None),
)
figure = alt.Chart(recalls).mark_point(filled=True, size=60).encode(*axes, alt.Color("classes"), alt.Shape("classes"))
figure.properties(width=460, height=110).save("imbalanced_table.svg")
