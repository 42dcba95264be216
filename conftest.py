"""Fixtures that tests of several packages share."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits

import hardsight as hs

torch.set_num_threads(1)
# How long an example takes says nothing on a busy machine. What has passed once passes again: new examples are looked for
# with --hypothesis-profile=explore.
settings.register_profile("repeat", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeat")


# The files that take longest, longest first. Begun first, they leave two processes to end at about the same time.
LONGEST = (
    "test_claims.py", "test_docs.py", "test_backends.py", "test_gallery.py", "test_kills.py", "test_label_noise.py",
    "test_distributed_trainers.py", "test_explain.py", "test_concurrent_processes.py", "test_commands.py", "test_runner.py",
    "test_locales_and_names.py", "test_memmap.py", "test_weights_study.py", "test_reweighted_rounds.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; see the option ``--no-loadscope-reorder`` in the Makefile."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _encoder_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what encoders make out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSIGHT_CACHE", str(tmp_path_factory.mktemp("encoder_cache")))
        yield


@pytest.fixture(autouse=True)
def _registries_are_restored() -> Iterator[None]:
    """Forget the schemes, measures and learners that a test registered."""
    before = [(registry, dict(registry)) for registry in (hs.SCHEMES, hs.MEASURES, hs.LEARNERS)]
    yield
    for registry, entries in before:
        registry.clear()
        registry.update(entries)


Flipped = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def flipped_digits() -> Callable[[int], Flipped]:
    """Features, labels of which a tenth is replaced by another class, and where that was done; by seed."""
    X, y = load_digits(return_X_y=True)

    def flipped(seed: int) -> Flipped:
        rng = np.random.default_rng(seed)
        at = rng.choice(len(y), len(y) // 10, replace=False)
        given = y.copy()
        given[at] = (y[at] + rng.integers(1, 10, len(at))) % 10
        return X, given, given != y

    return flipped
