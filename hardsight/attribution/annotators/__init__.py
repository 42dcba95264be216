r"""Several annotators: one posterior of the true label of every item, from all its annotations and held-out models.

The true label of an item is $z$, with $P(z = c \mid x) \propto e^{b_c} f_c(x)^\beta$, $f$ the predictions of models that
never saw the item; without models, $P(z = c) \propto e^{b_c}$ (:mod:`hardsight.attribution.annotators.item_prior`).
Annotator $a$ labels an item of class $c$ rightly with probability $\theta_{ac}$, and otherwise with one of the other
classes, drawn from $\delta_{ac}$. So every annotator has a confusion matrix of their own (Dawid & Skene 1979, *Maximum
likelihood estimation of observer error-rates using the EM algorithm*). It is shrunk to what annotators have in common:
$\theta_{ac} \sim \mathrm{Beta}(\kappa m_c, \kappa (1 - m_c))$ and $\delta_{ac} \sim \mathrm{Dirichlet}(\lambda D_c)$, with
means and strengths fitted by evidence (:mod:`hardsight.attribution.annotators.shared`). An annotator of few items is
judged by the others, one of many by their own labels.

People disagree about some items whatever their skill. A share of the items is therefore *disputed*: there, each label is
drawn at random from all classes with a common probability. Without that, a class that few items have becomes the class of
all disputed ones.

The fit is coordinate ascent on a lower bound of the evidence (variational Bayes): all its steps increase the bound. Its
posterior is too sure, since each label has helped to judge its annotator. The posterior that is returned judges, for every
item, the annotators by all other items.
"""

from hardsight.attribution.annotators.fit import AnnotatorModel, fit_annotators
from hardsight.attribution.annotators.incidence import Incidence

__all__ = ["AnnotatorModel", "Incidence", "fit_annotators"]
