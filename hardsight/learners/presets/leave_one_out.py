"""Leave-one-out learners by name."""

from hardsight.data import Samples
from hardsight.learners.base import Learner
from hardsight.learners.leave_one_out import KernelRidgeLeaveOneOut, LogisticLeaveOneOut, NeighboursLeaveOneOut
from hardsight.learners.presets import preset


@preset("logistic-loo", "logistic regression, leave-one-out from one fit, hard samples refitted (--splits loo)")
def logistic(samples: Samples) -> Learner:
    """Return :class:`LogisticLeaveOneOut`."""
    return LogisticLeaveOneOut()


@preset("knn-loo", "ten nearest neighbours, exact leave-one-out (--splits loo)")
def neighbours(samples: Samples) -> Learner:
    """Return :class:`NeighboursLeaveOneOut`."""
    return NeighboursLeaveOneOut()


@preset("kernel-loo", "kernel ridge, exact leave-one-out from one fit (--splits loo; to 10,000 samples)")
def kernel_ridge(samples: Samples) -> Learner:
    """Return :class:`KernelRidgeLeaveOneOut`."""
    return KernelRidgeLeaveOneOut()
