"""Names of the ledger's factors and of causes. This module imports no torch, so a saved result loads without it."""

import numpy as np

FACTORS = ("noise", "imbalance", "margin", "uncertainty")
# The cause of a sample that is unlike the rest, whatever its error.
STRANGE = "strange"
# The cause of an easy sample.
NO_CAUSE = "none"
CAUSES = (*FACTORS, STRANGE, NO_CAUSE)
# In place of a cause, for samples of classes too small for their labels to be judged.
TOO_FEW = "too few to tell"


def causes_in(cause: np.ndarray | None) -> tuple[str, ...]:
    """Return the causes to list for a result: ``TOO_FEW`` only if some sample has it."""
    return CAUSES if cause is None or not (cause == TOO_FEW).any() else (*CAUSES, TOO_FEW)
