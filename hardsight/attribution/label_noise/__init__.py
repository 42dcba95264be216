r"""Label noise: $P(y|x) = \sum_c q(c|x)\,T(c \to y)$, and the posterior of the true label.

$q$ is the distribution of the true label before the given one is seen, from several kinds of *evidence*: the balanced
consensus, that of other kinds of models (the *witnesses*), if they are given, and the class shares among the nearest
neighbours, if there are features. All were learned from given labels, so for a sample that is certainly of class $c$ they
say $T(c \to \cdot)$ and not $c$ alone. An evidence $w$ therefore speaks for $c$ by how little it diverges from that, $q
\propto \rho \prod_k e^{-\beta_k \mathrm{KL}(T^b_c \| w_k)}$ with $T^b_c \propto T(c \to \cdot)/\pi$; this is how pair
flips, where a class's samples look like two classes, are found. A model that is not noise-aware takes predictions of
models at face value ($\mathrm{KL} = -\log w(c)$), for an ensemble that did not learn the noise. The evidence weights
$\beta_k$ are fitted with $T$ and a factor $\rho$ of each class by maximum likelihood (EM); they balance the evidence as
stacking does. Each has a normal prior of variance 1, without which separate classes drive them to any size. Its mean is 1
for the neighbours and, since all models learned from the same labels, 1 over their number for the consensus and each
witness. The sum of the weights is 1 or more: below, heavy noise in small data passes for soft predictions of right labels.
The logarithm of each factor has a normal prior of variance 1, too, with the share of the class's labels as its mean.

With three classes or more, the distances of the features from class centres are evidence, too, once a model is fitted
(:mod:`hardsight.attribution.label_noise.class_centres`). Their weight has a prior of mean 0.

How far the rows of $T$ may differ is chosen from the data. Pseudo-counts shrink the rate of wrong labels in each row to the
common one, and their destinations to an even spread. Of several levels of shrinkage, the strongest within 1.5 standard
errors (with two classes, 1) of the best likelihood of labels left out (three parts, given the weights) is taken, among
those whose $T$ is diagonal-dominant: each class's own label is the most frequent one.

Where models are most confident of a class, labels that are ambiguous by nature agree with them. If more of these labels
disagree than in clean data (0.15), models are also tried in which the wrong labels of each class go to one other class
(:mod:`hardsight.attribution.label_noise.pair_flips`): for pair flips among rare classes, a free row of $T$ has too many
local maxima. The likelihood of labels left out decides, less the $C \log(C - 1)$ nats that it takes to describe the targets
of $C$ classes, which were searched for with all labels. Only where the confidences form a plateau well below 1, as the exact
posterior of noisy labels does, a model that explains the disagreement is taken if it is nearly as likely (within 3 standard
errors): such predictions fit the labels exactly, whether there is noise or not.

Several of these models are often as likely as the one that is taken: a class that is mistaken for another may be ambiguous
or mislabelled. The posterior of the true label is therefore the mean over all of them, each with the weight 0.03 times
$e^{-z^2/8}$, $z$ the standard errors by which labels left out are less likely under it than under the one taken.

Without evidence no label is doubted: if no evidence gives the labels more probability than it gives labels drawn by the
class shares, by two standard errors, every label is taken as right. Labels that are all noise could not be told from labels
that have nothing to do with the features.
"""

from hardsight.attribution.label_noise.class_centres import SampleFeatures, add_class_centres
from hardsight.attribution.label_noise.config import DEFAULT_CONFIG, LabelModelConfig
from hardsight.attribution.label_noise.model import (
    Evidence,
    LabelModel,
    LabelPosterior,
    class_prior,
    true_label_probabilities,
)
from hardsight.attribution.label_noise.selection import fit_label_model

__all__ = [
    "DEFAULT_CONFIG",
    "Evidence",
    "LabelModel",
    "LabelModelConfig",
    "LabelPosterior",
    "SampleFeatures",
    "add_class_centres",
    "class_prior",
    "fit_label_model",
    "true_label_probabilities",
]
