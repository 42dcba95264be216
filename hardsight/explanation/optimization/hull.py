r"""Points whose convex hull the max-margin problem is about: each sample against each other class.

With two classes they are $z_i = s_i x_i$, s the sign of the class. With more they are $z_{ij} = (e_{y_i} - e_j) \otimes
x_i$ for every other class j, so that $z_{ij} \cdot W = (w_{y_i} - w_j) \cdot x_i$ (Crammer & Singer 2001). They are
never materialised: sums and products over them are computed from the features.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


class MarginPoints(NamedTuple):
    """Points ``(sample, other)`` in the space of weights ``(output, feature)``.

    Two classes have one other class and one output.
    """

    x: Float64[np.ndarray, "sample feature"]  # features, (sample, feature)
    # Coefficient of the sample's own score in each output, (sample, output): its sign, or 1 at its class.
    code: Float64[np.ndarray, "sample output"]
    other_classes: Int64[np.ndarray, "sample other"]  # the other classes, (sample, other); a zero column for two classes

    @classmethod
    def from_codes(
        cls, x: Float64[np.ndarray, "sample feature"], codes: Int64[np.ndarray, " sample"], classes: int
    ) -> "MarginPoints":
        """Return the points of samples with class codes 0 … ``classes`` - 1."""
        if classes == 2:
            return cls(x, np.where(codes == 1, 1.0, -1.0)[:, None], np.zeros((len(x), 1), np.int64))
        # The other classes in order: lower codes stay, codes from the own class on move up by one.
        others = np.arange(classes - 1)[None].repeat(len(x), 0)
        others += others >= codes[:, None]
        return cls(x, np.eye(classes)[codes], others)

    @property
    def binary(self) -> bool:
        """Return whether there are two classes."""
        return int(self.code.shape[1]) == 1

    def output_coefficients(self, alpha: Float64[np.ndarray, "sample other"]) -> Float64[np.ndarray, "sample output"]:
        """Return the coefficient of each sample's features in each output of the sum of the points."""
        out: np.ndarray = self.code * alpha.sum(1, keepdims=True)
        if not self.binary:
            np.put_along_axis(out, self.other_classes, -alpha, axis=1)
        return out

    def margins_from_scores(self, scores: Float64[np.ndarray, "#sample output"]) -> Float64[np.ndarray, "sample other"]:
        """Return own score minus that of each other class: the transpose of :meth:`output_coefficients`."""
        own: np.ndarray = (self.code * scores).sum(1, keepdims=True)
        if self.binary:
            return own
        all_scores = np.broadcast_to(scores, self.code.shape)
        margins: np.ndarray = own - np.take_along_axis(all_scores, self.other_classes, axis=1)
        return margins

    def sum(self, alpha: Float64[np.ndarray, "sample other"]) -> Float64[np.ndarray, "output feature"]:
        """Return the sum of the points with coefficients ``alpha``."""
        total: np.ndarray = self.output_coefficients(alpha).T @ self.x
        return total

    def margins(self, weights: Float64[np.ndarray, "output feature"]) -> Float64[np.ndarray, "sample other"]:
        """Return the products of the points with the weights: every sample's margins over the other classes."""
        return self.margins_from_scores(self.x @ weights.T)

    def intercept_constraints(self) -> Float64[np.ndarray, "sample other intercept"]:
        """Return what must sum to zero with free intercepts: a column per intercept, one fewer than classes."""
        outputs = self.code.shape[1]
        return np.stack([self.margins_from_scores(row[None]) for row in np.eye(outputs)[: max(outputs - 1, 1)]], axis=-1)

    def second_moment(
        self, alpha: Float64[np.ndarray, "sample other"], curvature: Float64[np.ndarray, " sample"]
    ) -> Float64[np.ndarray, "weight weight"]:
        """Return Z'BZ, with the points Z as rows.

        B is the inverse of diag(1 / ``alpha``) + ``curvature`` between points of one sample. It is D - D e e' D ·
        curvature / (1 + curvature · sum of alpha) for each sample, with D its alpha and e ones, and is computed for
        each pair of outputs such that no two large numbers are subtracted.
        """
        own = np.abs(self.code)
        total = alpha.sum(1)
        others = -self.output_coefficients(alpha) * (1 - own)
        shrink = 1 / (1 + curvature * total)
        outputs, features = own.shape[1], self.x.shape[1]
        sum_of_others = others @ (1 - np.eye(outputs))
        moment = np.empty((outputs, features, outputs, features))
        for a in range(outputs):
            for b in range(a, outputs):
                if a == b:
                    factor = own[:, a] * total + others[:, a] * (1 + curvature * sum_of_others[:, a])
                else:
                    factor = -(own[:, a] * others[:, b] + own[:, b] * others[:, a] + curvature * others[:, a] * others[:, b])
                rows = np.flatnonzero(factor)
                x_rows = self.x[rows]
                block = x_rows.T @ ((factor * shrink)[rows, None] * x_rows)
                moment[a, :, b], moment[b, :, a] = block, block.T
        return moment.reshape(outputs * features, outputs * features)
