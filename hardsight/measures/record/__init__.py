"""What a user's own training loop saw of every sample: one line a batch, by id."""

from hardsight.measures.record.record import Record as Record
