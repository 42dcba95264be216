"""Threads of numerical libraries: one for small matrices, whose operations take less time than waking the others."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

# Number of values from which a second thread pays. On a busy machine every small operation waits for all threads.
_LARGE = 2**20


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Run the block with this many threads, in BLAS, OpenMP and torch; restore their numbers afterwards.

    Torch is limited by itself: it need not use the OpenMP of the other libraries.
    """
    before = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def limit_threads(n_values: float, user_api: str | None = None) -> Iterator[None]:
    """Run the block with one thread if the matrices are small; restore the number of threads afterwards.

    Args:
        n_values: size of the largest matrix.
        user_api: "blas" to limit BLAS only; None to limit BLAS, OpenMP and torch.
    """
    if n_values >= _LARGE:
        yield
        return
    if user_api == "blas":
        with threadpool_limits(1, user_api=user_api):
            yield
    else:
        with use_threads(1):
            yield
