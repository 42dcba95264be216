"""Comparing and drawing tensors."""

from typing import Any

import numpy as np
import torch


def assert_close(actual: Any, expected: Any, **tolerance: float) -> None:
    """Check numbers against others, to a relative 2e-5 by default: what six printed digits allow."""
    np.testing.assert_allclose(torch.as_tensor(actual).detach().double(), expected, **({"rtol": 2e-5} | tolerance))


def seeded_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
