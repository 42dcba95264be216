"""Where a plan is carried out: in this process, in several, or on the machines of a Ray cluster.

Every backend gives the views in the order of the plan, whichever worker is done first, so that a result holds the same
bytes wherever it was made. Learners know nothing of it.
"""

from hardsight.estimation.backends.base import Backend, Serial
from hardsight.estimation.backends.processes import Processes
from hardsight.estimation.backends.ray import Ray
from hardsight.estimation.backends.registry import choose

__all__ = ["Backend", "Processes", "Ray", "Serial", "choose"]
