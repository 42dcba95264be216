r"""The points whose convex hull the max-margin problem is about: a sample against each of its rivals.

With two classes they are $z_i = s_i x_i$, s the sign of the class. With more they are $z_{ij} = (e_{y_i} - e_j) \otimes x_i$
for every other class j, so that $z_{ij} \cdot W = (w_{y_i} - w_j) \cdot x_i$ (Crammer & Singer 2001). They are never written
out: sums and products over them are products with the features.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


class MarginPoints(NamedTuple):
    """Points ``(sample, rival)`` in the space of weights ``(output, feature)``; one rival and one output for two classes.

    Attributes:
        x: features, ``(sample, feature)``.
        code: what a sample's own score counts in each output, ``(sample, output)``: its sign, or 1 at its class.
        rivals: the other classes, ``(sample, rival)``; a zero column for two classes.
    """

    x: Float64[np.ndarray, "sample feature"]
    code: Float64[np.ndarray, "sample output"]
    rivals: Int64[np.ndarray, "sample rival"]

    @classmethod
    def of(
        cls, x: Float64[np.ndarray, "sample feature"], codes: Int64[np.ndarray, " sample"], classes: int
    ) -> "MarginPoints":
        """The points of samples with class codes 0 … ``classes`` - 1."""
        if classes == 2:
            return cls(x, np.where(codes == 1, 1.0, -1.0)[:, None], np.zeros((len(x), 1), np.int64))
        # The others of a class, in order: those before it as they are, those after it one up.
        others = np.arange(classes - 1)[None].repeat(len(x), 0)
        others += others >= codes[:, None]
        return cls(x, np.eye(classes)[codes], others)

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return int(self.code.shape[1]) == 1

    def spread(self, amounts: Float64[np.ndarray, "sample rival"]) -> Float64[np.ndarray, "sample output"]:
        """What amounts of the points make in each output: the sample's features times this is their sum."""
        out: np.ndarray = self.code * amounts.sum(1, keepdims=True)
        if not self.binary:
            np.put_along_axis(out, self.rivals, -amounts, axis=1)
        return out

    def gathered(self, scores: Float64[np.ndarray, "#sample output"]) -> Float64[np.ndarray, "sample rival"]:
        """The sample's own score less each rival's: the transpose of :meth:`spread`."""
        own: np.ndarray = (self.code * scores).sum(1, keepdims=True)
        if self.binary:
            return own
        wide = np.broadcast_to(scores, self.code.shape)
        less: np.ndarray = own - np.take_along_axis(wide, self.rivals, axis=1)
        return less

    def sum(self, amounts: Float64[np.ndarray, "sample rival"]) -> Float64[np.ndarray, "output feature"]:
        """The points, added up with amounts."""
        total: np.ndarray = self.spread(amounts).T @ self.x
        return total

    def along(self, weights: Float64[np.ndarray, "output feature"]) -> Float64[np.ndarray, "sample rival"]:
        """The points' products with weights: every sample's margins over its rivals."""
        return self.gathered(self.x @ weights.T)

    def balance(self) -> Float64[np.ndarray, "sample rival balance"]:
        """What is to add up to zero where intercepts are free: a column an intercept, one fewer than there are classes."""
        outputs = self.code.shape[1]
        return np.stack([self.gathered(row[None]) for row in np.eye(outputs)[: max(outputs - 1, 1)]], axis=-1)

    def second_moment(
        self, amounts: Float64[np.ndarray, "sample rival"], bend: Float64[np.ndarray, " sample"]
    ) -> Float64[np.ndarray, "weight weight"]:
        """Z'BZ, Z the points as rows and B the inverse of (1 / ``amounts``, diagonal) + (``bend``, between a sample's own).

        B is D - D e e' D · bend / (1 + bend · sum of amounts) sample by sample, D its amounts and e ones, worked out for
        each pair of outputs so that no two large numbers are subtracted.
        """
        own = np.abs(self.code)
        total = amounts.sum(1)
        others = -self.spread(amounts) * (1 - own)
        shrink = 1 / (1 + bend * total)
        outputs, features = own.shape[1], self.x.shape[1]
        besides = others @ (1 - np.eye(outputs))
        moment = np.empty((outputs, features, outputs, features))
        for a in range(outputs):
            for b in range(a, outputs):
                if a == b:
                    factor = own[:, a] * total + others[:, a] * (1 + bend * besides[:, a])
                else:
                    factor = -(own[:, a] * others[:, b] + own[:, b] * others[:, a] + bend * others[:, a] * others[:, b])
                rows = np.flatnonzero(factor)
                some = self.x[rows]
                block = some.T @ ((factor * shrink)[rows, None] * some)
                moment[a, :, b], moment[b, :, a] = block, block.T
        return moment.reshape(outputs * features, outputs * features)
