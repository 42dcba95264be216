"""Where models are trained: in this process, in several, or on the machines of a Ray cluster.

Every backend yields the predictions in the order of the plan, whichever worker finishes first, so a result has the same
bytes wherever it was computed. Learners know nothing of backends.
"""

from hardsight.estimation.backends.automatic import Automatic
from hardsight.estimation.backends.base import Backend, Serial
from hardsight.estimation.backends.processes import Processes
from hardsight.estimation.backends.ray import Ray
from hardsight.estimation.backends.registry import choose_backend

__all__ = ["Automatic", "Backend", "Processes", "Ray", "Serial", "choose_backend"]
