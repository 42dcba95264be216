"""Find and fix label errors, retrain, measure the gain: handwritten digits with a fifth of the labels wrong."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import hardsight as hs

# 898 digits to learn from, a fifth of them mislabelled on purpose; 899 clean ones to judge by.
X, y = load_digits(return_X_y=True)
X_train, X_test, truth, y_test = train_test_split(X / 16, y, test_size=0.5, stratify=y, random_state=0)
rng = np.random.default_rng(0)
given = truth.copy()
wrong = rng.random(len(given)) < 0.2
given[wrong] = (truth[wrong] + rng.integers(1, 10, wrong.sum())) % 10

# Measure: models that never saw a sample say how likely its label is wrong.
d = hs.measure(X_train, given)
flagged = d.p_wrong > 0.5
print(f"{wrong.sum()} labels are wrong, {d.p_wrong.sum():.0f} are expected to be")
print(f"{flagged.sum()} are flagged: {(flagged & wrong).sum()} of them rightly")

# Review: somebody looks at what was flagged. Here the truth plays that person; you would use the review page, which
# exports the same three columns (d.review("review.html", samples=...), or hardsight measure ...).
looked_at = d.table[flagged]
kept = given[flagged] == truth[flagged]
decisions = pd.DataFrame(
    {
        "id": looked_at.index,
        "action": np.where(kept, "keep", "relabel"),
        "label": np.where(kept, "", truth[flagged].astype(str)),
    }
)
reviewed = d.apply(decisions)

# Or take the suggested labels unseen, after a forecast, or touch no label and train with weights.
print(d.forecast(d.suggestions()).describe())
unseen = d.apply(d.suggestions())
weights = hs.weigh(d)


def accuracy(labels: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Of a classifier trained with these labels, on clean digits, in percent."""
    model = LogisticRegression(max_iter=1000).fit(X_train, labels, sample_weight)
    return 100 * model.score(X_test, y_test)


before, after, best = accuracy(given), accuracy(reviewed.labels), accuracy(truth)
print("accuracy on clean digits, in percent:")
print(f"  labels as given          {before:.1f}")
print(f"  the same, with weights   {accuracy(given, weights):.1f}")
print(f"  suggestions, unseen      {accuracy(unseen.labels):.1f}")
print(f"  reviewed                 {after:.1f}")
print(f"  all labels right         {best:.1f}")
print(f"the review gains {after - before:.1f} points of {best - before:.1f}, for {100 * flagged.mean():.0f} % of the work")
d.plot.map().save("label_errors.png", scale_factor=1.5)
