"""Leave-one-out predictions from one fit: logistic regression, nearest neighbours, kernel ridge."""

from hardsight.learners.leave_one_out.kernel_ridge import KernelRidgeLeaveOneOut
from hardsight.learners.leave_one_out.logistic import LogisticLeaveOneOut
from hardsight.learners.leave_one_out.neighbours import NeighboursLeaveOneOut

__all__ = ["KernelRidgeLeaveOneOut", "LogisticLeaveOneOut", "NeighboursLeaveOneOut"]
