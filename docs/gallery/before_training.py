"""What will a scheme do? Forecast from the ledger alone, then measured, then held against clean test data."""

import altair as alt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hardsight as hs

# Digits, of which half the classes are cut to twelve samples and a fifth of the labels are wrong.
X, y = load_digits(return_X_y=True)
X_train, X_test, truth, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
rng = np.random.default_rng(0)
kept = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[: 12 if c % 2 else None] for c in range(10)])
X_train, truth = X_train[kept], truth[kept]
wrong = rng.random(len(truth)) < 0.2
given = np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth)

schemes = ["focal", "hard-first", "easy-first", "balanced", "auto"]
mine = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
d = hs.measure(X_train, given, learner=mine, repeats=4)
e = hs.explain(X_train, given, d, schemes, learner=mine, repeats=4, dynamics=False)


def judged(weights: np.ndarray | None) -> float:
    """Balanced accuracy on clean test data of the model trained with the weights, in percent."""
    mine.fit(X_train, given, logisticregression__sample_weight=weights)
    return 100 * balanced_accuracy_score(y_test, mine.predict(X_test))


found = e.verdicts.set_index("weights")[["predicted_change", "measured_change", "low", "high"]] * 100
found["clean test"] = [judged(hs.weigh(d, name)) - judged(None) for name in schemes]
priority = e.overview.set_index("weights")["priority"]
print("change of balanced accuracy, in points:")
print("scheme      forecast  measured (95 %)      clean test  who weighs most")
for name, row in found.iterrows():
    interval = f"{row['measured_change']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"
    print(f"{name:11} {row['predicted_change']:+8.1f}  {interval:22} {row['clean test']:+8.1f}  {priority[name]}")

frame = found.reset_index()
points = frame.melt("weights", ["predicted_change", "measured_change", "clean test"], "change", "points")
points["change"] = points["change"].map({"predicted_change": "forecast", "measured_change": "measured"}).fillna("clean test")
y_axis = alt.Y("weights", sort=None, title=None)
x_axis = alt.X("points", title="change of balanced accuracy, points")
marks = alt.Chart(points).mark_point(filled=True, size=70).encode(x_axis, y_axis, alt.Color("change"), alt.Shape("change"))
bars = alt.Chart(frame).mark_rule().encode(alt.X("low"), alt.X2("high"), y_axis)
(bars + marks).properties(width=460).save("before_training.svg")
