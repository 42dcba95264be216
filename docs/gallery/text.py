"""Text: which library wrote this docstring? A tenth of the labels is wrong, and some texts cannot be told at all."""

import importlib
import inspect
import re

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import hardsight as hs

MODULES = {
    "numpy": ["numpy", "numpy.linalg", "numpy.random"],
    "scikit-learn": ["sklearn.linear_model", "sklearn.metrics", "sklearn.preprocessing", "sklearn.ensemble"],
    "scipy": ["scipy.stats", "scipy.linalg", "scipy.optimize"],
    "torch": ["torch.nn", "torch.nn.functional", "torch.linalg"],
}
NAMES = re.compile("numpy|scipy|torch|sklearn|scikit-learn|tensor", re.IGNORECASE)

# The first two paragraphs of what every public function says of itself, without the names of the libraries.
texts: dict[str, tuple[str, str]] = {}
for library, modules in MODULES.items():
    for module in map(importlib.import_module, modules):
        for name, thing in sorted(vars(module).items()):
            if callable(thing) and not name.startswith("_") and (said := inspect.getdoc(thing)):
                text = NAMES.sub("LIBRARY", " ".join(" ".join(re.split(r"\n\s*\n", said)[:2]).split()))
                if len(text) > 60:
                    texts.setdefault(text, (f"{module.__name__}.{name}", library))
ids, library = map(np.array, zip(*texts.values(), strict=True))
text = np.array(list(texts), dtype=object)

rng = np.random.default_rng(0)
test = rng.random(len(text)) < 0.3
names, truth = np.unique(library, return_inverse=True)
wrong = rng.random(len(text)) < 0.1
given = names[np.where(wrong, (truth + rng.integers(1, len(names), len(text))) % len(names), truth)]

d = hs.measure(list(text[~test]), given[~test], ids=ids[~test], learner="logistic", repeats=2)
flagged, spoilt = d.p_wrong > 0.5, wrong[~test]
print(f"{spoilt.sum()} of {len(d)} labels are wrong; {flagged.sum()} are flagged, {(flagged & spoilt).sum()} rightly")

for way, weights in {"as given": None, "weighted": hs.weigh(d)}.items():
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
    model.fit(text[~test], given[~test], logisticregression__sample_weight=weights)
    print(f"accuracy on other, rightly labelled texts, {way}: {100 * model.score(text[test], library[test]):.0f} %")

print("rightly labelled, and the hardest of all:")
for name, row in d.select(~spoilt).hardest(5).iterrows():
    print(f"- {name}, of {row['label']}, reads like {row['predicted']}")
d.plot.map().save("text.png", scale_factor=1.5)
