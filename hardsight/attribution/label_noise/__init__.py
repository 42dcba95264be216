r"""How given labels come about from true ones: $P(y|x) = \sum_c q(c|x)\,T(c \to y)$, and the posterior of the true label.

$q$ is what is known of the true label before the given one is seen, by two *witnesses*: the balanced consensus, and the
shares of classes among the nearest neighbours, where there are any. Both learned from given labels, so of a sample that is
surely of class $c$ they say $T(c \to \cdot)$ and not $c$ alone. A witness $w$ therefore speaks for $c$ by how little it
diverges from that, $q \propto \rho \prod_k e^{-\beta_k \mathrm{KL}(T^b_c \| w_k)}$ with $T^b_c \propto T(c \to \cdot)/\pi$;
pair flips, where a class's samples look like two, are found by that. The consensus may also be taken at its word
($\mathrm{KL} = -\log w(c)$), for members that did not learn the noise. The powers $\beta_k$ are fitted with $T$ and the true
classes' shares $\rho$ by maximum likelihood (EM), and weigh the witnesses against each other as stacking does. Each has a
normal prior of mean and variance 1, without which separate classes drive them to any size; their sum is held at 1 or more:
below, heavy noise in small data passes for soft predictions of right labels.

How far the rows of $T$ may differ is chosen from the data. Pseudo-counts hold the rate of wrong labels in each row to the
common one, and where they go to an even spread; of several such holds, the one is taken whose likelihood of labels left out
(three parts, given the powers) is best (with two classes, the strongest within 5 standard errors of it), among those that
leave each class's own label the most frequent one.

Where models are surest of a class, labels that are ambiguous by nature agree with them. If these labels miss more often than
in clean data (0.15), softness is no explanation, and a model that does explain them is taken if it is nearly as likely
(within 3 standard errors). Then models are tried, too, in which the wrong labels of each class go to one other class
(:mod:`hardsight.attribution.label_noise.pair_flips`): of pair flips among rare classes a free row of $T$ has too many hills.

Several of these models are often as likely as the one that is taken: a class that is mistaken for another may be ambiguous
or mislabelled. Picking one would be a bet, so what is known of the true label is the mean over all of them, each with the
weight $e^{-z^2/8}$, $z$ the standard errors by which labels left out are less likely under it than under the one taken.

Who knows nothing accuses nobody: where no witness gives the labels more probability than it gives labels drawn by the
classes' shares, by two standard errors, every label is taken as right. Labels that are all noise could not be told from
labels that have nothing to do with the features.
"""

from hardsight.attribution.label_noise.model import (
    Evidence,
    LabelModel,
    LabelPosterior,
    class_prior,
    true_label_probabilities,
)
from hardsight.attribution.label_noise.selection import fit_label_model

__all__ = ["Evidence", "LabelModel", "LabelPosterior", "class_prior", "fit_label_model", "true_label_probabilities"]
