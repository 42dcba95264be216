"""Why a sample is hard: the additive ledger, the label-noise model, neighbours, and noise in regression."""
