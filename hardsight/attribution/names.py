"""Names of the ledger's factors and of causes. This module imports no torch, so a saved result loads without it."""

FACTORS = ("noise", "imbalance", "margin", "uncertainty")
# The cause of an easy sample.
NO_CAUSE = "none"
CAUSES = (*FACTORS, NO_CAUSE)
