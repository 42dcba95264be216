"""Numbers to predict: diabetes progression with a tenth of the targets mistyped."""

import altair as alt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

import hardsight as hs

X, y = load_diabetes(return_X_y=True)
print(f"{len(y)} patients, progression {y.min():.0f} to {y.max():.0f}; typos lose the last digit, or add a zero")
rows, counts = [], []
for seed in range(10):
    X_train, X_test, truth, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
    rng = np.random.default_rng(seed)
    mistyped = rng.random(len(truth)) < 0.1
    given = np.where(mistyped, np.where(rng.random(len(truth)) < 0.5, truth * 10, truth // 10), truth)
    d = hs.measure(X_train, given, learner="ridge", repeats=4)
    models = {
        "targets as given": Ridge(0.1).fit(X_train, given),
        "the same, weighted": Ridge(0.1).fit(X_train, given, 1 - d.p_outlier),
        "all targets right": Ridge(0.1).fit(X_train, truth),
    }
    for name, model in models.items():
        rows.append((seed, name, mean_absolute_error(y_test, model.predict(X_test))))
    gross = mistyped & (given > truth)
    said = {"mistyped": mistyped, "flagged": d.p_outlier > 0.5, "gross": gross, "found": gross & (d.p_outlier > 0.5)}
    counts.append({name: mask.sum() for name, mask in said.items()})

errors = pd.DataFrame(rows, columns=["seed", "trained on", "error"])
mean, count = errors.groupby("trained on", sort=False)["error"].mean(), pd.DataFrame(counts).mean()
print(f"of {len(truth)} targets {count['mistyped']:.0f} are mistyped, {count['gross']:.0f} of them ten times too large")
print(f"{count['flagged']:.0f} are flagged, among them {count['found']:.0f} of those {count['gross']:.0f}")
print("mean absolute error on other patients, ten draws:")
for name, value in mean.items():
    print(f"  {name:19} {value:.1f}")
axes = (
    alt.X("error", title="mean absolute error, other patients").scale(zero=False),
    alt.Y("trained on", sort=None, title=None),
)
alt.Chart(errors).mark_point(filled=True, size=60).encode(*axes).properties(width=460, height=110).save("regression.svg")
