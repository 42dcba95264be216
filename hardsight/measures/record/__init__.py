"""Record of a user's own training loop: one line per batch, by sample id."""

from hardsight.measures.record.record import Record as Record
