"""Where a plan is carried out: in this process, in several, or on the machines of a Ray cluster.

Every backend gives the views in the order of the plan, whichever worker is done first, so that a result holds the same
bytes wherever it was made. Learners know nothing of it.
"""

from hardsight.backends.cluster import Ray
from hardsight.backends.core import Backend, Serial
from hardsight.backends.named import choose
from hardsight.backends.processes import Processes

__all__ = ["Backend", "Processes", "Ray", "Serial", "choose"]
