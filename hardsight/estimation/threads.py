"""Threads of numerical libraries: one for small matrices, whose operations take less time than waking the others."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

# Number of values from which a second thread pays. On a busy machine every small operation waits for all threads.
_LARGE = 2**20


@contextmanager
def limit_threads(n_values: int, user_api: str | None = None) -> Iterator[None]:
    """Run the block with one thread if the matrices are small; restore the number of threads afterwards.

    Args:
        n_values: size of the largest matrix.
        user_api: "blas" or "openmp" to limit these libraries only; None for both. Torch uses OpenMP.
    """
    if n_values >= _LARGE:
        yield
        return
    with threadpool_limits(1, user_api=user_api):
        yield
