"""What weights do: what they are, what is to be expected of them, and what models trained with them do otherwise.

The package can be called: ``hs.explain(…)`` is :func:`hardsight.explain.core.explain`, and the modules stay within reach.
"""

import sys
from types import ModuleType
from typing import Any

from hardsight.explain.core import explain
from hardsight.explain.result import Explanation

__all__ = ["Explanation", "explain"]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **given: Any) -> Explanation:
        return explain(*args, **given)


# Importing a module makes it an attribute of its package, so that no function of its name could stand there.
sys.modules[__name__].__class__ = _Callable
